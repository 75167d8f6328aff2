//! The tracker's side of libp2p's rendezvous protocol, for clients that may flood it.
//!
//! ```text
//! Register {namespace, signed record, ttl} ─► granted ttl      the record must be signed by the peer that sends it
//! Discover {namespace, limit, cookie}      ─► records that are newer than the cookie, oldest first, and a cookie
//! Unregister {namespace}                   ─► nothing: the substream ends
//! ```
//! A registration lives for the time that was granted, and is renewed by registering again. A cookie is the number of
//! the last registration that was told, so that a tracker keeps nothing for those who ask. A cookie of another
//! tracker, or of this one before its restart, counts as none.
//!
//! Everything is bounded: registrations in all, by peer, and by address block ([`AddressBlock`]: what one attacker can
//! have cheaply; connections are bounded by the same blocks in [`address_blocks`](crate::address_blocks)); the size of a record and of an answer; requests by peer and by block ([`Buckets`]). What goes beyond
//! is refused with `unavailable`.
//!
//! (libp2p's own server keeps records of up to a mebibyte, and when those of one namespace outgrow its own limit on
//! answers nobody can discover anything there until they expire; each refresh leaves the old record in memory for its
//! time to live; and each question leaves a set of all that was told. Therefore this one. Both sides are tested against
//! libp2p's.)
//!
//! - `registrations.rs`: the table. `codec.rs`: framing. `server.rs`: the behaviour.
//! - `block.rs`: address blocks. `buckets.rs`: how often somebody may ask.
//! - `swarm.rs`: a swarm that does nothing else.

mod block;
mod buckets;
mod codec;
mod registrations;
mod server;
pub mod swarm;
#[cfg(test)]
mod tests;

pub use block::AddressBlock;
pub use buckets::{Buckets, Rate};
pub use codec::{Answer, Codec};
pub use server::{Behaviour, Event, RefusalReason};

use std::time::Duration;

/// Bounds of a tracker.
#[derive(Clone, Debug)]
pub struct Config {
    /// Most registrations (default 4,096, some 20 MiB at the most).
    pub max_registrations: usize,
    /// Most registrations of one peer, each under another name (default 8).
    pub max_per_peer: usize,
    /// Most registrations from one address block (default 512).
    pub max_per_block: usize,
    /// Shortest time to live that is granted (default 10 s).
    pub min_ttl: Duration,
    /// Longest time to live that is granted (default 2 h), also to those who ask for none in particular.
    pub max_ttl: Duration,
    /// How often one peer may ask (default 64 at once, 4 a second).
    pub per_peer: Rate,
    /// How often all peers of one address block may ask (default 2,048 at once, 256 a second).
    pub per_block: Rate,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_registrations: 4096,
            max_per_peer: 8,
            max_per_block: 512,
            min_ttl: Duration::from_secs(10),
            max_ttl: Duration::from_secs(2 * 3600),
            per_peer: Rate { at_once: 64, per_second: 4 },
            per_block: Rate { at_once: 2048, per_second: 256 },
        }
    }
}
