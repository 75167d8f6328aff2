//! Blocks of addresses: what one attacker can have many of for the price of one.

use libp2p::{Multiaddr, multiaddr::Protocol};
use std::fmt;

/// An IPv4 /24, an IPv6 /48, or everything that has no such address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressBlock {
    /// The first three bytes of an IPv4 address.
    V4([u8; 3]),
    /// The first six bytes of an IPv6 address.
    V6([u8; 6]),
    /// A relayed connection, or another transport.
    Other,
}

impl AddressBlock {
    /// The block of the first IP address in `address`; an IPv4 address in IPv6 form counts as the former.
    pub fn of(address: &Multiaddr) -> Self {
        let ip = address.iter().find_map(|part| match part {
            Protocol::Ip4(ip) => Some(std::net::IpAddr::V4(ip)),
            Protocol::Ip6(ip) => Some(ip.to_canonical()),
            _ => None,
        });
        match ip {
            _ if address.iter().any(|part| part == Protocol::P2pCircuit) => Self::Other,
            Some(std::net::IpAddr::V4(ip)) => {
                let [a, b, c, _] = ip.octets();
                Self::V4([a, b, c])
            }
            Some(std::net::IpAddr::V6(ip)) => {
                let mut block = [0; 6];
                block.copy_from_slice(&ip.octets()[..6]);
                Self::V6(block)
            }
            None => Self::Other,
        }
    }
}

impl fmt::Display for AddressBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4([a, b, c]) => write!(f, "{a}.{b}.{c}.0/24"),
            Self::V6([a, b, c, d, e, g]) => write!(f, "{a:02x}{b:02x}:{c:02x}{d:02x}:{e:02x}{g:02x}::/48"),
            Self::Other => f.write_str("no address of its own"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_fall_into_their_blocks() {
        for (address, block) in [
            ("/ip4/192.0.2.7/tcp/1", "192.0.2.0/24"),
            ("/ip4/192.0.2.200/udp/9/quic-v1", "192.0.2.0/24"),
            ("/ip6/::ffff:192.0.2.7/tcp/1", "192.0.2.0/24"),
            ("/ip6/2001:db8:1:2::3/tcp/1", "2001:0db8:0001::/48"),
            ("/dns4/example.org/tcp/1", "no address of its own"),
            ("/ip4/192.0.2.7/tcp/1/p2p-circuit", "no address of its own"),
            ("/memory/5", "no address of its own"),
        ] {
            assert_eq!(AddressBlock::of(&address.parse().unwrap()).to_string(), block, "{address}");
        }
    }
}
