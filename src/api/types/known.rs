//! Who a node knows.

use super::NamedKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A peer that the node knows, connected or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KnownPeer {
    /// Its libp2p peer id.
    pub peer_id: String,
    /// The validator that it has proved to be, or is said to be.
    pub validator: Option<NamedKey>,
    /// Whether it has proved that to this node.
    pub proved: bool,
    /// Multiaddrs at which it is dialled, best first.
    pub addresses: Vec<String>,
    /// From where it is known: `configured`, `tracker`, `kademlia`, `mdns`, `peer-exchange`, `incoming`.
    pub sources: Vec<String>,
    /// The part of the network that it is in: an IPv4 /16, an IPv6 /32, or `names`.
    pub group: String,
    /// Whether it is connected.
    pub connected: bool,
    /// Whether a handshake with it was ever done.
    pub met: bool,
    /// Whether it is one of the connections that are kept over a restart.
    pub anchor: bool,
    /// Dials in a row without success.
    pub failures: u32,
}

/// All peers that the node knows, in the order of their peer ids' bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KnownPeers {
    /// Peers.
    pub peers: Vec<KnownPeer>,
}
