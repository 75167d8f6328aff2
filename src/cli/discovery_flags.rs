//! The flags of `conclave run` for finding others, and for being reached behind a router.

use super::multiaddr::multiaddr;
use crate::config::discovery::DiscoveryLayer;
use clap::Args;
use libp2p::Multiaddr;

/// Finders and NAT traversal; see the configuration's documentation.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Finding others, and being reached")]
pub(crate) struct DiscoveryFlags {
    /// Be announced in a Kademlia table, and look for others there
    #[arg(long)]
    kademlia: bool,
    /// Multiaddr of a peer of the Kademlia table to begin with, with /p2p/; may be given several times
    #[arg(long = "kademlia-peer", value_name = "MULTIADDR", value_parser = multiaddr)]
    kademlia_peers: Vec<Multiaddr>,
    /// Ask and tell the local network (mDNS)
    #[arg(long)]
    mdns: bool,
    /// Multiaddr under which others reach this node, if the node cannot find it out; may be given several times
    #[arg(long, value_name = "MULTIADDR", value_parser = multiaddr)]
    external: Vec<Multiaddr>,
    /// Dial over relays; on by itself with --relay
    #[arg(long)]
    relay_client: bool,
    /// Multiaddr of a relay, with /p2p/, behind which this node can be reached; may be given several times
    #[arg(long = "relay", value_name = "MULTIADDR", value_parser = multiaddr)]
    relays: Vec<Multiaddr>,
    /// Be a relay for others
    #[arg(long)]
    relay_server: bool,
    /// Turn relayed connections into direct ones (DCUtR)
    #[arg(long)]
    hole_punching: bool,
    /// Ask others which addresses of this node work, and tell others of theirs (AutoNAT)
    #[arg(long)]
    autonat: bool,
    /// Ask the router for a port (UPnP)
    #[arg(long)]
    upnp: bool,
}

impl DiscoveryFlags {
    /// What the flags say; one that is not given says nothing.
    pub(crate) fn layer(&self) -> DiscoveryLayer {
        let switch = |on: bool| on.then_some(true);
        let list = |list: &[Multiaddr]| (!list.is_empty()).then(|| list.to_vec());
        DiscoveryLayer {
            kademlia: switch(self.kademlia),
            kademlia_peers: list(&self.kademlia_peers),
            mdns: switch(self.mdns),
            external: list(&self.external),
            relay_client: switch(self.relay_client),
            relays: list(&self.relays),
            relay_server: switch(self.relay_server),
            hole_punching: switch(self.hole_punching),
            autonat: switch(self.autonat),
            upnp: switch(self.upnp),
        }
    }
}
