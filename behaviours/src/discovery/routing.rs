//! Addresses in a Kademlia table. libp2p bounds its peers, but not the addresses of a peer that says ever new ones.

use super::Kademlia;
use crate::addresses::useful_addresses;
use libp2p::{Multiaddr, PeerId};

/// Puts a peer into the table with the useful ones of its addresses, at most `limit` of them; what it said earlier
/// makes room. Returns how many of `addresses` were not kept.
pub fn learn(kademlia: &mut Kademlia, peer: PeerId, addresses: &[Multiaddr], limit: usize) -> usize {
    let (kept, ignored) = useful_addresses(&peer, addresses, limit);
    let known = known_addresses(kademlia, &peer);
    let stale: Vec<&Multiaddr> =
        known.iter().filter(|address| !kept.iter().any(|new| is_same(new, address, &peer))).collect();
    let excess = (stale.len() + kept.len()).saturating_sub(limit);
    for address in kept {
        kademlia.add_address(&peer, address);
    }
    for address in stale.into_iter().take(excess) {
        kademlia.remove_address(&peer, address);
    }
    ignored
}

/// The addresses of a peer in the table.
fn known_addresses(kademlia: &mut Kademlia, peer: &PeerId) -> Vec<Multiaddr> {
    let Some(bucket) = kademlia.kbucket(*peer) else { return Vec::new() };
    let entry = bucket.iter().find(|entry| entry.node.key.preimage() == peer);
    entry.map_or_else(Vec::new, |entry| entry.node.value.iter().cloned().collect())
}

/// Whether two addresses of a peer are the same: the table writes them with the peer's id.
fn is_same(one: &Multiaddr, other: &Multiaddr, peer: &PeerId) -> bool {
    let with_peer = |address: &Multiaddr| address.clone().with_p2p(*peer).unwrap_or_else(|address| address);
    with_peer(one) == with_peer(other)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::discovery::{Role, kademlia};

    const LIMIT: usize = 8;

    fn addresses(range: std::ops::Range<u16>) -> Vec<Multiaddr> {
        range.map(|port| format!("/ip4/192.0.2.1/tcp/{port}").parse().unwrap()).collect()
    }

    #[test]
    fn a_peer_that_says_ever_new_addresses_keeps_a_bounded_number_of_the_newest() {
        let mut kademlia = kademlia::behaviour(PeerId::random(), Role::Server);
        let peer = PeerId::random();
        assert_eq!(learn(&mut kademlia, peer, &addresses(1..1001), LIMIT), 1000 - LIMIT);
        for start in 2..50_u16 {
            learn(&mut kademlia, peer, &addresses(start * 100..start * 100 + 5), LIMIT);
            let known = known_addresses(&mut kademlia, &peer);
            assert!(known.len() <= LIMIT, "{known:?}");
            let newest = addresses(start * 100..start * 100 + 5);
            assert!(newest.iter().all(|new| known.iter().any(|old| is_same(new, old, &peer))), "{known:?}");
        }
    }
}
