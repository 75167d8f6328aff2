//! From where a peer is known.

use serde::{Deserialize, Serialize};

/// Who told this node of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The node's own configuration.
    Configured,
    /// A tracker.
    Tracker,
    /// The distributed hash table.
    Kademlia,
    /// The local network.
    Mdns,
    /// Another peer, with a record that the peer itself signed.
    PeerExchange,
    /// The peer itself: it connected.
    Incoming,
}

impl Source {
    /// Every source, in the order of the enumeration.
    pub const ALL: [Self; 6] =
        [Self::Configured, Self::Tracker, Self::Kademlia, Self::Mdns, Self::PeerExchange, Self::Incoming];

    /// Its name in output, metrics and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Tracker => "tracker",
            Self::Kademlia => "kademlia",
            Self::Mdns => "mdns",
            Self::PeerExchange => "peer-exchange",
            Self::Incoming => "incoming",
        }
    }
}
