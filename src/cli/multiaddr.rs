//! Multiaddrs on the command line.

use libp2p::{Multiaddr, multiaddr::Protocol};
use std::net::SocketAddr;

/// Reads a multiaddr.
///
/// # Errors
/// With the form that it has to have; where an address and a port are given, with these in that form.
pub(crate) fn multiaddr(text: &str) -> Result<Multiaddr, String> {
    text.parse().map_err(|_| match text.parse::<SocketAddr>() {
        Ok(address) => {
            let meant = Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port()));
            format!("it is no multiaddr; did you mean {meant}?")
        }
        Err(_) => {
            "it is no multiaddr, such as /ip4/192.0.2.7/tcp/7700 or /dns4/example.org/udp/7700/quic-v1".into()
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_multiaddr_is_told_how_one_looks() {
        assert_eq!(multiaddr("/ip4/192.0.2.7/tcp/7700").unwrap().to_string(), "/ip4/192.0.2.7/tcp/7700");
        for (text, says) in [
            ("192.0.2.7:7700", "did you mean /ip4/192.0.2.7/tcp/7700?"),
            ("[2001:db8::1]:7700", "did you mean /ip6/2001:db8::1/tcp/7700?"),
            ("example.org", "such as /ip4/192.0.2.7/tcp/7700"),
        ] {
            let error = multiaddr(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
