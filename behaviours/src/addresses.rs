//! Which addresses that a stranger tells are worth keeping.

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

/// The first `limit` of `addresses` that could lead to `peer`, each once, and how many were left out.
pub(crate) fn useful_addresses(
    peer: &PeerId,
    addresses: &[Multiaddr],
    limit: usize,
) -> (Vec<Multiaddr>, usize) {
    let mut kept: Vec<Multiaddr> = Vec::new();
    for address in addresses {
        if kept.len() < limit && is_useful(peer, address) && !kept.contains(address) {
            kept.push(address.clone());
        }
    }
    let ignored = addresses.len() - kept.len();
    (kept, ignored)
}

/// Whether an address could be dialled, and does not name somebody else.
fn is_useful(peer: &PeerId, address: &Multiaddr) -> bool {
    let mut has_port = false;
    let mut last_peer = None;
    for part in address {
        match part {
            Protocol::Tcp(0) | Protocol::Udp(0) => return false,
            Protocol::Ip4(ip) if ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast() => {
                return false;
            }
            Protocol::Ip6(ip) if ip.is_unspecified() || ip.is_multicast() => return false,
            Protocol::Tcp(_) | Protocol::Udp(_) | Protocol::P2pCircuit => has_port = true,
            Protocol::P2p(id) => last_peer = Some(id),
            _ => {}
        }
    }
    let is_relayed = address.iter().any(|part| part == Protocol::P2pCircuit);
    has_port && (is_relayed || last_peer.is_none_or(|id| id == *peer))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_lead_nowhere_or_to_others_are_ignored() {
        let peer = PeerId::random();
        let other = PeerId::random();
        let parse = |text: String| text.parse::<Multiaddr>().unwrap();
        let relayed = format!("/ip4/192.0.2.1/tcp/1/p2p/{other}/p2p-circuit/p2p/{peer}");
        let good =
            ["/ip4/192.0.2.1/tcp/1".into(), format!("/dns/example.org/udp/1/quic-v1/p2p/{peer}"), relayed];
        let bad = [
            "/ip4/192.0.2.1".into(),
            "/ip4/0.0.0.0/tcp/1".into(),
            "/ip4/224.0.0.1/udp/1".into(),
            "/ip6/::/tcp/1".into(),
            "/ip4/192.0.2.1/tcp/0".into(),
            format!("/ip4/192.0.2.1/tcp/1/p2p/{other}"),
        ];
        let all: Vec<Multiaddr> = good.iter().chain(&bad).chain(&good[..1]).cloned().map(parse).collect();
        let (kept, ignored) = useful_addresses(&peer, &all, 8);
        assert_eq!(kept, good.map(parse).to_vec());
        assert_eq!(ignored, bad.len() + 1);
    }

    #[test]
    fn more_addresses_than_the_bound_are_ignored() {
        let peer = PeerId::random();
        let all: Vec<Multiaddr> =
            (1..=1000).map(|port| format!("/ip4/192.0.2.1/tcp/{port}").parse().unwrap()).collect();
        let (kept, ignored) = useful_addresses(&peer, &all, 16);
        assert_eq!((kept.len(), ignored), (16, 1000 - 16));
    }
}
