//! The composition of what crosses NAT, each part behind its switch.

use libp2p::{PeerId, autonat, dcutr, relay, swarm::behaviour::toggle::Toggle, upnp};
use std::time::Duration;

/// Most places that a relay server gives away at once, and to one peer.
const MAX_RESERVATIONS: usize = 128;
const MAX_RESERVATIONS_PER_PEER: usize = 2;

/// Most relayed connections at once, and of one peer.
const MAX_CIRCUITS: usize = 64;
const MAX_CIRCUITS_PER_PEER: usize = 8;

/// How long a relayed connection lasts, and how many bytes it carries each way: enough for a validator behind a router
/// that cannot be punched through, which dials again then. (libp2p's defaults, 2 minutes and 128 KiB, only do to agree
/// on a direct connection.)
const MAX_CIRCUIT_DURATION: Duration = Duration::from_secs(3600);
const MAX_CIRCUIT_BYTES: u64 = 256 << 20;

/// Which parts are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// Dial over relays, and be dialled over them.
    pub relay_client: bool,
    /// Be a relay for others.
    pub relay_server: bool,
    /// Turn relayed connections into direct ones (DCUtR).
    pub hole_punching: bool,
    /// Find out which of this node's addresses work, and help others to (AutoNAT v2).
    pub autonat: bool,
    /// Ask the router for a port.
    pub upnp: bool,
}

pub use composition::{Behaviour, BehaviourEvent};

/// The struct alone, because the derive writes an enum of events beside it whose variants carry no documentation.
#[allow(missing_docs)]
mod composition {
    use libp2p::{
        autonat, dcutr, relay,
        swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
        upnp,
    };

    /// What crosses NAT.
    #[derive(NetworkBehaviour)]
    pub struct Behaviour {
        /// Dials over relays, and is dialled over them.
        pub relay_client: Toggle<relay::client::Behaviour>,
        /// Relays for others.
        pub relay_server: Toggle<relay::Behaviour>,
        /// Turns relayed connections into direct ones.
        pub hole_punching: Toggle<dcutr::Behaviour>,
        /// Asks others to dial back.
        pub autonat_client: Toggle<autonat::v2::client::Behaviour>,
        /// Dials others back.
        pub autonat_server: Toggle<autonat::v2::server::Behaviour>,
        /// Asks the router for a port.
        pub upnp: Toggle<upnp::tokio::Behaviour>,
    }
}

impl Behaviour {
    /// What is on of `switches`, for the peer with this id; `relay` is the client that belongs to its transport.
    pub fn new(peer: PeerId, relay: relay::client::Behaviour, switches: Switches) -> Self {
        let server = || {
            let mut server = relay::Behaviour::new(peer, relay_server_config());
            // By itself it would wait until an external address is confirmed.
            server.set_status(Some(relay::Status::Enable));
            server
        };
        Self {
            relay_client: Toggle::from(switches.relay_client.then_some(relay)),
            relay_server: Toggle::from(switches.relay_server.then(server)),
            hole_punching: Toggle::from(switches.hole_punching.then(|| dcutr::Behaviour::new(peer))),
            autonat_client: Toggle::from(switches.autonat.then(autonat::v2::client::Behaviour::default)),
            autonat_server: Toggle::from(switches.autonat.then(autonat::v2::server::Behaviour::default)),
            upnp: Toggle::from(switches.upnp.then(upnp::tokio::Behaviour::default)),
        }
    }
}

/// The bounds of a relay server; libp2p adds limits on the rate, by peer and by address.
pub fn relay_server_config() -> relay::Config {
    relay::Config {
        max_reservations: MAX_RESERVATIONS,
        max_reservations_per_peer: MAX_RESERVATIONS_PER_PEER,
        max_circuits: MAX_CIRCUITS,
        max_circuits_per_peer: MAX_CIRCUITS_PER_PEER,
        max_circuit_duration: MAX_CIRCUIT_DURATION,
        max_circuit_bytes: MAX_CIRCUIT_BYTES,
        ..relay::Config::default()
    }
}
