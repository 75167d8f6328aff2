//! How a node finds others without being told, and how it is reached behind a router. Everything is off unless it is
//! asked for.
//!
//! | field of the file | flag | variable |
//! |---|---|---|
//! | `discovery.kademlia` | `--kademlia` | `CONCLAVE_KADEMLIA` |
//! | `discovery.kademlia_peers` | `--kademlia-peer` | `CONCLAVE_KADEMLIA_PEERS` |
//! | `discovery.mdns` | `--mdns` | `CONCLAVE_MDNS` |
//! | `nat.external` | `--external` | `CONCLAVE_EXTERNAL` |
//! | `nat.relay_client` | `--relay-client` | `CONCLAVE_RELAY_CLIENT` |
//! | `nat.relays` | `--relay` | `CONCLAVE_RELAYS` |
//! | `nat.relay_server` | `--relay-server` | `CONCLAVE_RELAY_SERVER` |
//! | `nat.hole_punching` | `--hole-punching` | `CONCLAVE_HOLE_PUNCHING` |
//! | `nat.autonat` | `--autonat` | `CONCLAVE_AUTONAT` |
//! | `nat.upnp` | `--upnp` | `CONCLAVE_UPNP` |
//!
//! Switches are `true` or `false`, lists of multiaddrs are separated by commas in a variable.

use super::{ConfigError, environment, file::Text};
use conclave_behaviours::nat::Switches;
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use serde::Deserialize;

/// Most relays, and most peers of the Kademlia table, that a configuration names.
pub const MAX_NAMED: usize = 16;

/// Finders and NAT traversal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiscoveryConfig {
    /// Whether the node announces itself in the shared Kademlia table and looks for others there. One that no relay
    /// stands before serves the table too.
    pub kademlia: bool,
    /// Peers of the table to begin with: ids and addresses.
    pub kademlia_peers: Vec<(PeerId, Multiaddr)>,
    /// Whether the node asks and tells the local network.
    pub mdns: bool,
    /// Addresses under which others reach this node, where it cannot find them out; they are told to others.
    pub external: Vec<Multiaddr>,
    /// Relays at which the node reserves a place.
    pub relays: Vec<Multiaddr>,
    /// The parts of NAT traversal.
    pub nat: Switches,
}

/// What one source says of it; `None` where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiscoveryLayer {
    /// See [`DiscoveryConfig::kademlia`].
    pub kademlia: Option<bool>,
    /// See [`DiscoveryConfig::kademlia_peers`].
    pub kademlia_peers: Option<Vec<Multiaddr>>,
    /// See [`DiscoveryConfig::mdns`].
    pub mdns: Option<bool>,
    /// See [`DiscoveryConfig::external`].
    pub external: Option<Vec<Multiaddr>>,
    /// See [`Switches::relay_client`]; on as soon as a relay is named.
    pub relay_client: Option<bool>,
    /// See [`DiscoveryConfig::relays`].
    pub relays: Option<Vec<Multiaddr>>,
    /// See [`Switches::relay_server`].
    pub relay_server: Option<bool>,
    /// See [`Switches::hole_punching`].
    pub hole_punching: Option<bool>,
    /// See [`Switches::autonat`].
    pub autonat: Option<bool>,
    /// See [`Switches::upnp`].
    pub upnp: Option<bool>,
}

/// The section `[discovery]` of the file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DiscoverySection {
    kademlia: Option<bool>,
    kademlia_peers: Option<Vec<Text<Multiaddr>>>,
    mdns: Option<bool>,
}

/// The section `[nat]` of the file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NatSection {
    external: Option<Vec<Text<Multiaddr>>>,
    relay_client: Option<bool>,
    relays: Option<Vec<Text<Multiaddr>>>,
    relay_server: Option<bool>,
    hole_punching: Option<bool>,
    autonat: Option<bool>,
    upnp: Option<bool>,
}

/// The sections as a new file has them: comments with the defaults.
pub(super) const TEMPLATE: &str = r#"[discovery]
# Whether the node announces itself in a Kademlia table, under the network id, and looks for others there. The table may
# be shared with nodes of other networks; what is found is checked like any other peer.
# kademlia = false
# Peers of the table to begin with: multiaddrs with /p2p/ and the peer id.
# kademlia_peers = []
# Whether the node asks and tells the local network by multicast (mDNS). Of no use where it listens on loopback.
# mdns = false

[nat]
# Addresses under which others reach this node, where the node cannot find them out: they are told to others.
# external = []
# Whether the node can dial others over relays (circuit v2); on by itself as soon as a relay is named below.
# relay_client = false
# Relays, behind which this node can be reached: multiaddrs with /p2p/ and the peer id.
# relays = []
# Whether this node is a relay for others: at most 128 at once; a relayed connection lasts an hour or 256 MiB.
# relay_server = false
# Whether relayed connections are turned into direct ones where the routers allow it (DCUtR).
# hole_punching = false
# Whether others are asked to dial back, to learn which addresses work; the node then also does this for others.
# autonat = false
# Whether the router is asked for a port (UPnP).
# upnp = false
"#;

impl DiscoveryLayer {
    /// What the sections of a file say.
    pub(super) fn of_file(discovery: DiscoverySection, nat: NatSection) -> Self {
        let plain = |list: Option<Vec<Text<Multiaddr>>>| {
            list.map(|list| list.into_iter().map(|Text(address)| address).collect())
        };
        Self {
            kademlia: discovery.kademlia,
            kademlia_peers: plain(discovery.kademlia_peers),
            mdns: discovery.mdns,
            external: plain(nat.external),
            relay_client: nat.relay_client,
            relays: plain(nat.relays),
            relay_server: nat.relay_server,
            hole_punching: nat.hole_punching,
            autonat: nat.autonat,
            upnp: nat.upnp,
        }
    }

    /// What the environment says, read through `lookup`.
    pub(super) fn of_environment(
        lookup: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let switch = |name| environment::parsed(name, lookup(name), environment::one);
        let list = |name| environment::parsed(name, lookup(name), environment::list);
        Ok(Self {
            kademlia: switch("CONCLAVE_KADEMLIA")?,
            kademlia_peers: list("CONCLAVE_KADEMLIA_PEERS")?,
            mdns: switch("CONCLAVE_MDNS")?,
            external: list("CONCLAVE_EXTERNAL")?,
            relay_client: switch("CONCLAVE_RELAY_CLIENT")?,
            relays: list("CONCLAVE_RELAYS")?,
            relay_server: switch("CONCLAVE_RELAY_SERVER")?,
            hole_punching: switch("CONCLAVE_HOLE_PUNCHING")?,
            autonat: switch("CONCLAVE_AUTONAT")?,
            upnp: switch("CONCLAVE_UPNP")?,
        })
    }

    /// This layer, and where it says nothing the one below.
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            kademlia: self.kademlia.or(below.kademlia),
            kademlia_peers: self.kademlia_peers.or(below.kademlia_peers),
            mdns: self.mdns.or(below.mdns),
            external: self.external.or(below.external),
            relay_client: self.relay_client.or(below.relay_client),
            relays: self.relays.or(below.relays),
            relay_server: self.relay_server.or(below.relay_server),
            hole_punching: self.hole_punching.or(below.hole_punching),
            autonat: self.autonat.or(below.autonat),
            upnp: self.upnp.or(below.upnp),
        }
    }

    /// The configuration that it makes.
    ///
    /// # Errors
    /// When an address lacks what it needs, switches contradict each other, or too much is named.
    pub(super) fn resolve(self) -> Result<DiscoveryConfig, ConfigError> {
        let (kademlia_peers, relays) =
            (self.kademlia_peers.unwrap_or_default(), self.relays.unwrap_or_default());
        for (field, list) in [("discovery.kademlia_peers", &kademlia_peers), ("nat.relays", &relays)] {
            if list.len() > MAX_NAMED {
                return Err(ConfigError::TooManyNamed { field, found: list.len() });
            }
        }
        let with_peer = |address: Multiaddr| match last_peer(&address) {
            Some(peer) => Ok((peer, address)),
            None => Err(ConfigError::NoPeerId { field: "discovery.kademlia_peers", address }),
        };
        if let Some(address) = relays.iter().find(|address| last_peer(address).is_none()) {
            return Err(ConfigError::NoPeerId { field: "nat.relays", address: address.clone() });
        }
        let nat = Switches {
            relay_client: self.relay_client.unwrap_or(!relays.is_empty()),
            relay_server: self.relay_server.unwrap_or(false),
            hole_punching: self.hole_punching.unwrap_or(false),
            autonat: self.autonat.unwrap_or(false),
            upnp: self.upnp.unwrap_or(false),
        };
        if !nat.relay_client && (!relays.is_empty() || nat.hole_punching) {
            return Err(ConfigError::NoRelayClient);
        }
        Ok(DiscoveryConfig {
            kademlia: self.kademlia.unwrap_or(false),
            kademlia_peers: kademlia_peers.into_iter().map(with_peer).collect::<Result<_, _>>()?,
            mdns: self.mdns.unwrap_or(false),
            external: self.external.unwrap_or_default(),
            relays,
            nat,
        })
    }
}

/// The peer id at the end of an address.
fn last_peer(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const RELAY: &str = "/ip4/192.0.2.1/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    #[test]
    fn everything_is_off_unless_it_is_asked_for() {
        assert_eq!(DiscoveryLayer::default().resolve().unwrap(), DiscoveryConfig::default());
        assert_eq!(DiscoveryConfig::default().nat, Switches::default());
    }

    #[test]
    fn a_relay_that_is_named_switches_the_client_on() {
        let layer = DiscoveryLayer { relays: Some(vec![RELAY.parse().unwrap()]), ..Default::default() };
        assert!(layer.clone().resolve().unwrap().nat.relay_client);
        let contradicting = DiscoveryLayer { relay_client: Some(false), ..layer };
        assert!(matches!(contradicting.resolve(), Err(ConfigError::NoRelayClient)));
        let alone = DiscoveryLayer { hole_punching: Some(true), ..Default::default() };
        assert!(matches!(alone.resolve(), Err(ConfigError::NoRelayClient)));
    }

    #[test]
    fn addresses_need_a_peer_id_and_an_end() {
        let without: Multiaddr = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
        let with: Multiaddr = RELAY.parse().unwrap();
        let peers =
            |list: Vec<Multiaddr>| DiscoveryLayer { kademlia_peers: Some(list), ..Default::default() };
        let relays = |list: Vec<Multiaddr>| DiscoveryLayer { relays: Some(list), ..Default::default() };
        for layer in [peers(vec![without.clone()]), relays(vec![without])] {
            let error = layer.resolve().unwrap_err().to_string();
            assert!(error.contains("/ip4/192.0.2.1/tcp/1") && error.contains("/p2p/"), "{error}");
        }
        for layer in [peers(vec![with.clone(); MAX_NAMED + 1]), relays(vec![with.clone(); MAX_NAMED + 1])] {
            assert!(matches!(layer.resolve(), Err(ConfigError::TooManyNamed { found: 17, .. })));
        }
        assert_eq!(peers(vec![with]).resolve().unwrap().kademlia_peers.len(), 1);
    }

    #[test]
    fn variables_are_read_and_named_in_errors() {
        let lookup = |name: &'static str| match name {
            "CONCLAVE_KADEMLIA" | "CONCLAVE_AUTONAT" => Some("true".to_owned()),
            "CONCLAVE_RELAYS" => Some(format!("{RELAY},{RELAY}")),
            _ => None,
        };
        let layer = DiscoveryLayer::of_environment(lookup).unwrap();
        assert_eq!((layer.kademlia, layer.autonat, layer.mdns), (Some(true), Some(true), None));
        assert_eq!(layer.relays.unwrap().len(), 2);
        let wrong = |name: &'static str| (name == "CONCLAVE_UPNP").then(|| "perhaps".to_owned());
        let error = DiscoveryLayer::of_environment(wrong).unwrap_err().to_string();
        assert!(error.contains("CONCLAVE_UPNP") && error.contains("perhaps"), "{error}");
    }
}
