//! The protocol: sans-IO state machines, and how they are wired to each other.
//!
//! Nothing here names a network, a file or a clock; messages, time, keys and randomness come in as arguments. The
//! node drives these machines over libp2p, a simulator can drive them over virtual time.
//!
//! - What a machine is: [`machine`], over [`peer`], [`time`], [`penalty`], [`exchange`] and [`token_bucket`].
//! - The machines: [`handshake`], [`consensus`] or [`mining`], [`dissemination`], [`sync`], [`announcements`]; before there is a
//!   network, [`gather`].
//! - How strangers meet: [`admission`], [`known_peers`] by [`network_group`], [`peer_exchange`] of [`peer_record`]s.
//! - Their wiring to each other, the chain and the pool: [`node`].
//! - The rules by name, and how a test takes one out: [`rules`].

pub mod admission;
pub mod announcements;
pub mod consensus;
pub mod dissemination;
pub mod exchange;
pub mod gather;
pub mod handshake;
pub mod known_peers;
pub mod machine;
pub mod mining;
pub mod network_group;
pub mod node;
pub mod peer;
pub mod peer_exchange;
pub mod peer_record;
pub mod penalty;
pub mod rules;
pub mod sync;
pub mod time;
pub mod token_bucket;
