//! A swarm that is a tracker and nothing else.

use super::Config;
use crate::{
    address_blocks,
    swarm::{SwarmError, build_with},
};
use libp2p::{Swarm, connection_limits, identify, identity::Keypair, metrics::Registry, ping};
use std::time::Duration;

/// How long a connection on which nothing happens stays open.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Bounds of the connections of such a swarm.
#[derive(Clone, Debug)]
pub struct ConnectionBounds {
    /// Most established connections (default 1,024).
    pub max_connections: u32,
    /// Most established incoming connections from one block of addresses (default 256).
    pub max_per_block: usize,
}

impl Default for ConnectionBounds {
    fn default() -> Self {
        Self { max_connections: 1024, max_per_block: 256 }
    }
}

/// Most established connections to one peer.
const MAX_PER_PEER: u32 = 4;

/// Most incoming connections that are being negotiated.
const MAX_PENDING_INCOMING: u32 = 128;

/// Most of these from one block of addresses, so that others have their turn too.
const MAX_PENDING_OF_BLOCK: usize = 64;

pub use composition::{TrackerBehaviour, TrackerBehaviourEvent};

/// The struct alone, because the derive writes an enum of events beside it whose variants carry no documentation.
#[allow(missing_docs)]
mod composition {
    use crate::{address_blocks, tracker};
    use libp2p::{connection_limits, identify, ping, swarm::NetworkBehaviour};

    /// Everything that a tracker speaks.
    #[derive(NetworkBehaviour)]
    pub struct TrackerBehaviour {
        /// Bounds on connections by address block.
        pub blocks: address_blocks::Behaviour,
        /// Bounds on connections.
        pub limits: connection_limits::Behaviour,
        /// Who is there; peers learn their own addresses by it.
        pub identify: identify::Behaviour,
        /// Whether it is still there.
        pub ping: ping::Behaviour,
        /// The registrations.
        pub server: tracker::Behaviour,
    }
}

/// A tracker's swarm. `agent` is what identify says of the program.
///
/// # Errors
/// When the key does not fit the transports.
pub fn build_tracker(
    keypair: Keypair,
    agent: String,
    config: Config,
    bounds: &ConnectionBounds,
    registry: &mut Registry,
) -> Result<Swarm<TrackerBehaviour>, SwarmError> {
    let limits = connection_limits::ConnectionLimits::default()
        .with_max_established(Some(bounds.max_connections))
        .with_max_established_per_peer(Some(MAX_PER_PEER))
        .with_max_pending_incoming(Some(MAX_PENDING_INCOMING));
    let blocks =
        address_blocks::Config { max_pending: MAX_PENDING_OF_BLOCK, max_established: bounds.max_per_block };
    let behaviour = |keypair: &Keypair| TrackerBehaviour {
        blocks: address_blocks::Behaviour::new(blocks),
        limits: connection_limits::Behaviour::new(limits),
        identify: identify::Behaviour::new(
            identify::Config::new("/conclave/1".into(), keypair.public()).with_agent_version(agent),
        ),
        ping: ping::Behaviour::default(),
        server: super::Behaviour::new(config),
    };
    build_with(keypair, registry, IDLE_TIMEOUT, |keypair, _| behaviour(keypair))
}
