//! Announcements of local programs ("modules"), spread over gossipsub and validated by modules before they are passed
//! on.
//!
//! ```text
//!  module ──Announce──► known? ──► own bucket ──► Publish ──► gossipsub ──► neighbours
//!                          └─────────► Notify the other subscribers
//!  neighbour ──gossipsub──► envelope, buckets, known? ──► Notify all subscribers ──► all say valid?
//!                                                             without limit: Verdict::Forward (gossipsub forwards)
//!                                                             TTL k ≥ 2:     Publish with TTL k − 1
//! ```
//! 1. **Subscriptions.** The node subscribes to a data type's topic while a module does, and for [`LINGER`] longer, so
//!    that a module that comes back finds the mesh in place. What comes meanwhile is not passed on.
//! 2. **Announce.** What a module announces goes out without validation, also when no module here subscribes to its
//!    type. All local subscribers but the announcer are notified; what they say of it changes nothing.
//! 3. **From a peer.** The envelope is checked, then the buckets of the origin (whose signature gossipsub has
//!    verified) and of the peer it came from. If its content is not known yet, every local subscriber is notified
//!    and has `validation_timeout` to answer.
//! 4. **Validation.** All valid: passed on. One invalid: dropped, the peers that sent it are blamed. No answer in
//!    time, or nobody left who could: dropped without blame. A module that leaves is no longer waited for.
//! 5. **Hop limits.** An announcement with a TTL is not forwarded by gossipsub: a node that validated it publishes it
//!    as its own message with a TTL lowered by one, and one that came with TTL 1 not at all. So the signature on a
//!    limited announcement is the neighbour's, and one from anybody but the peer that sent it is an offence. Its id holds
//!    its publisher: what one neighbour has published reaches that neighbour's neighbours, not this node's. A copy
//!    that may go further than all before is passed on without being validated anew.
//! 6. **Known again.** Content is known by its hash without the TTL for `duplicate_window`, and is notified once in
//!    that time. The same message twice from one peer is a slight offence; from different peers it is how gossip works.
//! 7. **Rates.** A message costs its bytes, at least [`LEAST_COST`]. A node keeps what it publishes under the rate that
//!    others allow an origin: more waits in a bounded queue. Who publishes faster is blamed by its neighbours;
//!    everybody else drops what is too much without blame, because the forwarder could not know. Apart from that each
//!    copy, known or not, counts against the peer that sends it, at a rate that no honest mesh reaches.
//!
//! Bounds: `cache_size` announcements and [`MAX_CHECKED_BYTES`] of data in validation, [`MAX_KNOWN`] contents,
//! [`MAX_COUNTED`] messages whose senders are counted and 65,536 of these, [`MAX_TYPES`] data types, [`MAX_UNANSWERED`] notifications of
//! one module, [`MAX_WAITING`] messages and [`MAX_WAITING_BYTES`] that wait to be published, [`MAX_BUCKETS`] buckets.
//! How many modules there are is bounded by whoever accepts them.

mod config;
mod copies;
mod event;
mod known;
mod machine;
mod message;
mod modules;
mod outgoing;
mod receiving;
mod validation;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use config::{
    Config, LEAST_COST, LINGER, MAX_BUCKETS, MAX_CHECKED_BYTES, MAX_COUNTED, MAX_KNOWN, MAX_TYPES,
    MAX_UNANSWERED, MAX_WAITING, MAX_WAITING_BYTES,
};
pub use event::{CloseReason, Command, Event, ModuleId, Outcome, Verdict};
pub use machine::{Announcements, Message};
pub use message::{Announcement, ContentId, DataType, MAX_DATA_BYTES, MAX_ENVELOPE_BYTES, MessageId};
