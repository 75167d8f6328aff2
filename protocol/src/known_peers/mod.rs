//! Known peers: who is known, from where, and whom to meet next.
//!
//! **The table** holds what finders and peers tell, within bounds that one attacker cannot use up: so many peers in
//! all, so many of one part of the network ([`NetworkGroup`](crate::network_group::NetworkGroup)), so many that one
//! peer or one finder told of. An observer enters it only when it was [admitted](crate::admission), by an address of
//! the group that it really came from; a peer that was told of enters it with a record that it signed itself. A peer
//! that was met stays before one that was only heard of. A peer that cannot be reached [`Config::max_attempts`] times
//! in a row is dropped; one that lied is dropped and stays out for a while.
//!
//! **Whom to meet.** A validator dials every validator that it knows of, and while one of the set is missing it also
//! tries peers of whom it knows nothing; it keeps no connection to an observer that it dialled. An observer dials until
//! it has [`Config::target_connections`]: the anchors of its last run first, then validators, then peers in parts of
//! the network where it has none yet, chosen at random. At most [`MAX_MEETING`] at once are being met, because each of
//! them may ask for work. Configured peers are dialled by the [handshake](crate::handshake) and only counted here.
//! When there is nobody left to dial, the finders and one connected peer are asked, ever more slowly.
//!
//! **Against eclipse.** Every [`Config::refresh_interval`] the finders are asked again, and a fresh peer is met and
//! takes the place of one that this node dialled, if that is no validator and no anchor. The anchors are the
//! [`ANCHORS`] longest connections of that kind; they are known over a restart and dialled first.
//!
//! **Who may stay.** [`Places`] divides the connections that a node may have at all: those that it dials, those of
//! observers that dialled it and stay, and those of visitors. A visitor is admitted like any other, so that it may ask
//! for addresses, and goes: when it was answered, when it has not asked for [`ASKS_WITHIN`], or after [`VISIT`].

mod choice;
mod entry;
mod event;
mod machine;
mod places;
mod saved;
mod source;
mod table;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use choice::{MAX_DIALLING, MAX_MEETING};
pub use entry::{Entry, MAX_ADDRESS_BYTES, MAX_ADDRESSES_OF_ONE, Standing, Teller};
pub use event::{Command, Config, Event, Release};
pub use machine::{ANCHORS, ASKS_WITHIN, KnownPeers, VISIT};
pub use places::{MAX_VISITORS, Places};
pub use saved::{SavedPeer, SavedPeers};
pub use source::Source;
pub use table::Table;
