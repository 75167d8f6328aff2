//! The swarm of a gathering: parties who have no network yet, each connected to each.

use crate::{
    exchange, rendezvous,
    swarm::{SwarmError, build_with},
};
use libp2p::{Swarm, connection_limits, identify, identity::Keypair, metrics::Registry, ping};
use std::time::Duration;

/// How long a connection on which nothing happens stays open: longer than the rounds.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Most established connections: more than twice those of a full gathering.
const MAX_CONNECTIONS: u32 = 512;

/// Most established connections to one peer: two that were dialled at once, and one to replace.
const MAX_PER_PEER: u32 = 3;

/// Most incoming connections that are being negotiated.
const MAX_PENDING_INCOMING: u32 = 64;

pub use composition::{GatheringBehaviour, GatheringBehaviourEvent};

/// The struct alone, because the derive writes an enum of events beside it whose variants carry no documentation.
#[allow(missing_docs)]
mod composition {
    use crate::{exchange, rendezvous};
    use libp2p::{connection_limits, identify, ping, swarm::NetworkBehaviour};

    /// Everything that a gathering party speaks.
    #[derive(NetworkBehaviour)]
    pub struct GatheringBehaviour {
        /// Bounds on connections.
        pub limits: connection_limits::Behaviour,
        /// Who is there.
        pub identify: identify::Behaviour,
        /// Whether it is still there.
        pub ping: ping::Behaviour,
        /// What is asked of trackers.
        pub rendezvous: rendezvous::Behaviour,
        /// The rounds: a message each, and an empty answer as its acknowledgement.
        pub rounds: exchange::Behaviour,
    }
}

/// The swarm of a gathering party; messages have at most `max_message_bytes`.
///
/// # Errors
/// When the key does not fit the transports.
pub fn build_gathering(
    keypair: Keypair,
    agent: String,
    max_message_bytes: u64,
) -> Result<Swarm<GatheringBehaviour>, SwarmError> {
    let limits = connection_limits::ConnectionLimits::default()
        .with_max_established(Some(MAX_CONNECTIONS))
        .with_max_established_per_peer(Some(MAX_PER_PEER))
        .with_max_pending_incoming(Some(MAX_PENDING_INCOMING));
    let rounds = exchange::Config {
        name: "/conclave/gather/1".into(),
        max_request_bytes: max_message_bytes,
        max_response_bytes: 0,
        timeout: Duration::from_secs(10),
        max_concurrent: 8,
        framing: exchange::Framing::Length,
    };
    // Nobody asks a gathering for metrics.
    let mut registry = Registry::default();
    build_with(keypair, &mut registry, IDLE_TIMEOUT, |keypair, _| GatheringBehaviour {
        limits: connection_limits::Behaviour::new(limits),
        identify: identify::Behaviour::new(
            identify::Config::new("/conclave/1".into(), keypair.public()).with_agent_version(agent),
        ),
        ping: ping::Behaviour::default(),
        rendezvous: rendezvous::Behaviour::default(),
        rounds: exchange::behaviour(&rounds),
    })
}
