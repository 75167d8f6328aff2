//! The client's side of libp2p's rendezvous protocol, for trackers that may lie.
//!
//! ```text
//! register(tracker, namespace, record, ttl) ─► Registered { ttl }   again before the ttl is over: the heartbeat
//! discover(tracker, namespace, since)       ─► Discovered { records }
//! unregister(tracker, namespace)            ─► Unregistered
//!                          any of them      ─► Failed { what, reason }
//! ```
//! The protocol is `/rendezvous/1.0.0` (<https://github.com/libp2p/specs/tree/master/rendezvous>): one request and one
//! response on a substream, each a protobuf message after its length (a varint).
//!
//! A tracker is believed nothing that it could make up. A record counts only if it is of the namespace that was asked
//! for and signed by the key of the peer that it names; others are counted and left out. Sizes and numbers are bounded
//! before anything is decoded, times are brought into a range in which they mean something. What does not decode is a
//! [`Event::Failed`]. (libp2p's own client keeps whatever a tracker sends, and a time to live of its choice can make it
//! panic; therefore this one.)
//!
//! - `wire.rs`: the messages. `codec.rs`: how they are framed. [`record`]: signed records. `client.rs`: the behaviour.

mod client;
pub(crate) mod codec;
pub mod record;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

pub use client::{Asked, Behaviour, Busy, Event, Since};
pub use codec::Codec;
pub use record::{Record, SignedRecord};
pub use wire::{
    Incoming, MAX_NAMESPACE_BYTES, MAX_RECORDS, MAX_RESPONSE_BYTES, Namespace, NamespaceError, Request,
    Response,
};

use std::time::Duration;

/// Name of the protocol.
pub const PROTOCOL: libp2p::StreamProtocol = libp2p::StreamProtocol::new("/rendezvous/1.0.0");

/// Shortest time to live that is believed of a tracker, so that a heartbeat is never a flood.
pub const MIN_TTL: Duration = Duration::from_secs(10);

/// Longest time to live that is believed of a tracker: what the specification recommends as the most, 72 hours.
pub const MAX_TTL: Duration = Duration::from_secs(72 * 3600);
