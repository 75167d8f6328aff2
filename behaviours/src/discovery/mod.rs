//! Finders that need no tracker: a Kademlia table, and mDNS on a local network.
//!
//! **Kademlia.** Nodes of all networks may share one table (protocol `/conclave/kad/1.0.0`), so that a small network needs
//! no table of its own. A node announces itself in it as a *provider* of its network's key, which is the network id as a
//! SHA-256 multihash, and looks the providers of that key up. Anybody can announce anything there: what is found is a
//! claim, verified by dialling the peer id, which an address carries, and by the handshake.
//!
//! What others can make a node hold or do is bounded: peers that one lookup finds, addresses of each, records and
//! providers that it keeps for others (`kademlia.rs`), addresses of one peer in the table (`routing.rs`).
//!
//! **mDNS** tells and asks the local network by multicast; see [`local`].

pub mod kademlia;
pub mod local;
pub mod routing;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use kademlia::{Finder, Found, Ignored, Kademlia, PROTOCOL};

/// Which finders are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The Kademlia table.
    pub kademlia: Option<Role>,
    /// mDNS.
    pub mdns: bool,
}

/// What a node does in the Kademlia table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Answers others, and is in their tables: a node that can be dialled.
    Server,
    /// Only asks.
    Client,
}
