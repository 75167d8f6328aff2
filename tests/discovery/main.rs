//! Nodes that find each other in a Kademlia table, and nodes that are reached over a relay: processes on loopback.
//!
//! mDNS and UPnP speak to the local network, so no test here switches them on.

#![allow(clippy::unwrap_used)]

#[path = "../common/hub.rs"]
mod hub;
mod liars;
mod node;
mod relays;
mod table;

use node::eventually;
