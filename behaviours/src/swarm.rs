//! The swarm: transports, security and the composed behaviour.

use crate::behaviour::{Behaviour, Config};
use libp2p::{Swarm, SwarmBuilder, identity::Keypair, metrics::Registry, noise, tcp, tls, yamux};
use std::time::Duration;

/// How long a connection that nothing keeps stays open: long enough for a handshake.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a swarm cannot be built.
#[derive(Debug, thiserror::Error)]
#[error("the node key does not work for the transport's encryption: {0}")]
pub struct SwarmError(String);

/// A swarm over TCP (Noise or TLS 1.3, Yamux) and QUIC, with DNS where the system has it configured. Its transport
/// metrics go to `registry`.
///
/// # Errors
/// When the key does not fit the transports.
pub fn build_swarm(
    keypair: Keypair,
    config: &Config,
    registry: &mut Registry,
) -> Result<Swarm<Behaviour>, SwarmError> {
    let builder = || {
        Ok::<_, SwarmError>(
            SwarmBuilder::with_existing_identity(keypair.clone())
                .with_tokio()
                .with_tcp(
                    tcp::Config::default().nodelay(true),
                    (noise::Config::new, tls::Config::new),
                    yamux::Config::default,
                )
                .map_err(|error| SwarmError(error.to_string()))?
                .with_quic(),
        )
    };
    let behaviour = |keypair: &Keypair| Behaviour::new(keypair, config);
    let swarm_config = |swarm: libp2p::swarm::Config| {
        swarm
            .with_idle_connection_timeout(IDLE_TIMEOUT)
            .with_notify_handler_buffer_size(std::num::NonZeroUsize::MIN.saturating_add(1023))
    };
    match builder()?.with_dns() {
        Ok(with_dns) => Ok(with_dns
            .with_bandwidth_metrics(registry)
            .with_behaviour(behaviour)
            .unwrap_or_else(|never| match never {})
            .with_swarm_config(swarm_config)
            .build()),
        Err(error) => {
            tracing::warn!(%error, "no DNS: addresses with names cannot be dialled");
            Ok(builder()?
                .with_bandwidth_metrics(registry)
                .with_behaviour(behaviour)
                .unwrap_or_else(|never| match never {})
                .with_swarm_config(swarm_config)
                .build())
        }
    }
}
