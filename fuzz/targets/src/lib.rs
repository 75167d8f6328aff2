//! What is fuzzed: for each decoder and machine a function of bytes that panics where a law is broken.
//!
//! The same functions are called by the coverage-guided fuzzer (`fuzz/fuzz_targets`) and by the smoke run of every
//! `cargo test` (`tests/smoke.rs`). `docs/fuzzing.md` says how to run both.
//!
//! - [`decoders`]: what the ledger and the protocol read.
//! - [`machines`]: the machines, over inputs in any order; [`laws`]: what holds for all of them.
//! - [`node`]: all of them together, with the chain and the pool.
//! - [`files`]: what is read from disks. [`streams`]: what is read from connections.
//! - [`draw`]: how bytes become values. [`world`]: who and what there is. [`seeds`]: inputs to begin with.

pub mod decoders;
pub mod draw;
pub mod files;
pub mod laws;
pub mod machines;
pub mod node;
pub mod seeds;
pub mod streams;
pub mod world;

/// A target: its name, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, by the names under which they are run.
pub const TARGETS: &[Target] = &[
    ("ledger", decoders::ledger),
    ("messages", decoders::messages),
    ("peer_records", decoders::peer_records),
    ("admission", machines::admission),
    ("announcements", machines::announcements),
    ("consensus", machines::consensus),
    ("dissemination", machines::dissemination),
    ("gather", machines::gather),
    ("handshake", machines::handshake),
    ("known_peers", machines::known_peers),
    ("mining", machines::mining),
    ("peer_exchange", machines::peer_exchange),
    ("sync", machines::sync),
    ("node", node::node),
    ("texts", files::texts),
    ("chat", files::chat),
    ("archive", files::archive),
    ("log", files::log),
    ("frames", streams::frames),
    ("rendezvous", streams::rendezvous),
    ("gossip_api", streams::gossip_api),
];
