//! The part of the network that an address is in: what one attacker can have many addresses of.
//!
//! An IPv4 /16 or an IPv6 /32 is about what one provider gives one customer at most, so tables that hold few peers of
//! one group cannot be filled from one place. Names say nothing of where they lead: all of them are one group.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// A group of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetworkGroup {
    /// An IPv4 /16: its first two bytes.
    V4([u8; 2]),
    /// An IPv6 /32: its first four bytes.
    V6([u8; 4]),
    /// Anything that does not begin with an IP address.
    Other,
}

impl NetworkGroup {
    /// The group of a multiaddr in its text form.
    pub fn of(address: &str) -> Self {
        let mut parts = address.split('/').skip(1);
        let ip = match (parts.next(), parts.next()) {
            (Some("ip4"), Some(ip)) => ip.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            (Some("ip6"), Some(ip)) => ip.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        };
        ip.map_or(Self::Other, Self::of_ip)
    }

    /// The group of an IP address; an IPv4 address within IPv6 is the IPv4 address.
    pub fn of_ip(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                let [first, second, ..] = ip.octets();
                Self::V4([first, second])
            }
            IpAddr::V6(ip) => {
                let [first, second, third, fourth, ..] = ip.octets();
                Self::V6([first, second, third, fourth])
            }
        }
    }
}

impl fmt::Display for NetworkGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4([first, second]) => write!(f, "{first}.{second}.0.0/16"),
            Self::V6([a, b, c, d]) => write!(f, "{a:02x}{b:02x}:{c:02x}{d:02x}::/32"),
            Self::Other => f.write_str("names"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_provider_are_one_group() {
        for (address, group) in [
            ("/ip4/192.0.2.7/tcp/7700", "192.0.0.0/16"),
            ("/ip4/192.0.3.8/udp/1/quic-v1", "192.0.0.0/16"),
            ("/ip4/192.1.2.7/tcp/7700", "192.1.0.0/16"),
            ("/ip6/2001:db8:1::1/tcp/1", "2001:0db8::/32"),
            ("/ip6/2001:db8:2::1/tcp/1", "2001:0db8::/32"),
            ("/ip6/::ffff:192.0.2.7/tcp/1", "192.0.0.0/16"),
            ("/dns4/example.org/tcp/1", "names"),
            ("/ip4/nonsense/tcp/1", "names"),
            ("ip4/192.0.2.7", "names"),
            ("", "names"),
        ] {
            assert_eq!(NetworkGroup::of(address).to_string(), group, "{address}");
        }
    }
}
