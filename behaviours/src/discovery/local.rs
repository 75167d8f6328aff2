//! What mDNS hears on the local network, within bounds.

use super::Found;
use crate::addresses::useful_addresses;
use libp2p::{Multiaddr, PeerId, mdns};
use std::collections::BTreeMap;

/// Most peers that are taken from one event; others are heard again when they are asked for the next time.
pub const MAX_PEERS: usize = 64;

/// Most addresses of one of them.
const MAX_ADDRESSES: usize = 8;

/// The peers of an event.
pub fn found(event: mdns::Event) -> Vec<Found> {
    let mdns::Event::Discovered(heard) = event else { return Vec::new() };
    group(heard)
}

fn group(heard: Vec<(PeerId, Multiaddr)>) -> Vec<Found> {
    let mut peers: BTreeMap<PeerId, Vec<Multiaddr>> = BTreeMap::new();
    for (peer, address) in heard {
        if peers.len() < MAX_PEERS || peers.contains_key(&peer) {
            peers.entry(peer).or_default().push(address);
        }
    }
    let of_one = |(peer, addresses): (PeerId, Vec<Multiaddr>)| {
        let (kept, _) = useful_addresses(&peer, &addresses, MAX_ADDRESSES);
        let with_peer = |address: Multiaddr| address.with_p2p(peer).unwrap_or_else(|address| address);
        Found { peer, addresses: kept.into_iter().map(with_peer).collect() }
    };
    peers.into_iter().map(of_one).filter(|found| !found.addresses.is_empty()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_grouped_by_peer_and_name_it() {
        let (one, other) = (PeerId::random(), PeerId::random());
        let address = |port: u16| format!("/ip4/192.0.2.1/tcp/{port}").parse::<Multiaddr>().unwrap();
        let found =
            found(mdns::Event::Discovered(vec![(one, address(1)), (other, address(2)), (one, address(3))]));
        let of_one = found.iter().find(|found| found.peer == one).unwrap();
        let expected = [1, 3].map(|port| address(port).with_p2p(one).unwrap());
        assert_eq!((found.len(), &of_one.addresses[..]), (2, &expected[..]));
    }

    #[test]
    fn a_flood_is_cut() {
        let heard = (1..=1000).map(|port| {
            (PeerId::random(), format!("/ip4/192.0.2.1/tcp/{port}").parse::<Multiaddr>().unwrap())
        });
        assert_eq!(group(heard.collect()).len(), MAX_PEERS);
    }
}
