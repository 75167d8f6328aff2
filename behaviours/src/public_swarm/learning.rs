//! What is kept of what a stranger says of itself.

use super::Behaviour;
use crate::discovery::routing;
use libp2p::{PeerId, StreamProtocol, identify};

/// Most addresses of one peer that are in the routing table. An honest peer has a handful for each transport.
pub const MAX_ADDRESSES_PER_PEER: usize = 16;

impl Behaviour {
    /// Puts a peer that speaks this swarm's Kademlia into the routing table, with the useful ones of its addresses.
    /// Returns how many addresses were not kept.
    pub fn learn(&mut self, peer: PeerId, info: &identify::Info) -> usize {
        let Some(kademlia) = self.kademlia.as_mut() else { return 0 };
        let speaks = |name: &StreamProtocol| info.protocols.contains(name);
        if !kademlia.protocol_names().iter().any(speaks) {
            return 0;
        }
        routing::learn(kademlia, peer, &info.listen_addrs, MAX_ADDRESSES_PER_PEER)
    }
}
