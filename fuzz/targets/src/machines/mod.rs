//! The machines, each under inputs of any kind and order.
//!
//! What peers send is drawn freely, and often enough it is true: signatures that hold, answers to what was asked. What
//! a machine's own node tells it keeps the contract of its commands: the node is no enemy, but it may be slow.

mod admission;
mod announcements;
mod asking;
mod consensus;
mod dissemination;
mod gather;
mod handshake;
mod known_peers;
mod peer_exchange;
mod sync;

use crate::laws;

/// See [`conclave_protocol::admission`].
pub fn admission(bytes: &[u8]) {
    laws::check::<admission::Admitting>(bytes);
}

/// See [`conclave_protocol::announcements`].
pub fn announcements(bytes: &[u8]) {
    laws::check::<announcements::Announcing>(bytes);
}

/// See [`conclave_protocol::consensus`].
pub fn consensus(bytes: &[u8]) {
    laws::check::<consensus::Deciding>(bytes);
}

/// See [`conclave_protocol::dissemination`].
pub fn dissemination(bytes: &[u8]) {
    laws::check::<dissemination::Spreading>(bytes);
}

/// See [`conclave_protocol::gather`].
pub fn gather(bytes: &[u8]) {
    laws::check::<gather::Gathering>(bytes);
}

/// See [`conclave_protocol::handshake`].
pub fn handshake(bytes: &[u8]) {
    laws::check::<handshake::Greeting>(bytes);
}

/// See [`conclave_protocol::known_peers`].
pub fn known_peers(bytes: &[u8]) {
    laws::check::<known_peers::Knowing>(bytes);
}

/// See [`conclave_protocol::peer_exchange`].
pub fn peer_exchange(bytes: &[u8]) {
    laws::check::<peer_exchange::Exchanging>(bytes);
}

/// See [`conclave_protocol::sync`].
pub fn sync(bytes: &[u8]) {
    laws::check::<sync::Following>(bytes);
}
