//! The swarm: transports, security and a behaviour.

use crate::behaviour::{Behaviour, Config, Sockets};
use hickory_resolver::config::ResolverOpts;
use libp2p::{
    Swarm, SwarmBuilder, identity::Keypair, mdns, metrics::Registry, noise, relay, swarm::NetworkBehaviour,
    tcp, tls, yamux,
};
use std::time::Duration;

/// How long a connection that nothing keeps stays open: long enough for a handshake.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long an answer of DNS is kept. Containers and home connections change their addresses more often than the
/// answers say (Docker's may be kept for ten minutes), and a node that is looked for there again asks seldom anyway.
const DNS_KEPT: Duration = Duration::from_secs(5);

/// Why a swarm cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum SwarmError {
    /// The key.
    #[error("the node key does not work for the transport's encryption: {0}")]
    Key(String),
    /// mDNS.
    #[error(
        "mDNS cannot use the local network: {0}; switch it off (discovery.mdns), or look at the interfaces"
    )]
    Mdns(std::io::Error),
}

/// The swarm of a node: [`build_with`] its composed [`Behaviour`].
///
/// # Errors
/// When the key does not fit the transports, or mDNS is on and cannot use the network.
pub fn build_swarm(
    keypair: Keypair,
    config: &Config,
    registry: &mut Registry,
) -> Result<Swarm<Behaviour>, SwarmError> {
    let peer = keypair.public().to_peer_id();
    let mdns = config.discovery.mdns.then(|| mdns::tokio::Behaviour::new(mdns::Config::default(), peer));
    let mdns = mdns.transpose().map_err(SwarmError::Mdns)?;
    build_with(keypair, registry, IDLE_TIMEOUT, |keypair, relay| {
        Behaviour::new(keypair, Sockets { relay, mdns }, config)
    })
}

/// A swarm over TCP (Noise or TLS 1.3, Yamux) and QUIC, with DNS where the system has it configured, and over relays
/// (circuit v2): the behaviour is given the relay client, which it must keep, or nothing is dialled over relays. Its
/// transport metrics go to `registry`. A connection that no protocol keeps is closed after `idle_timeout`.
///
/// # Errors
/// When the key does not fit the transports.
pub fn build_with<B: NetworkBehaviour>(
    keypair: Keypair,
    registry: &mut Registry,
    idle_timeout: Duration,
    behaviour: impl FnOnce(&Keypair, relay::client::Behaviour) -> B,
) -> Result<Swarm<B>, SwarmError> {
    let failed = |error: &dyn std::error::Error| SwarmError::Key(error.to_string());
    let builder = || {
        Ok::<_, SwarmError>(
            SwarmBuilder::with_existing_identity(keypair.clone())
                .with_tokio()
                .with_tcp(
                    tcp::Config::default().nodelay(true),
                    (noise::Config::new, tls::Config::new),
                    yamux::Config::default,
                )
                .map_err(|error| failed(&error))?
                .with_quic(),
        )
    };
    let swarm_config = |swarm: libp2p::swarm::Config| {
        swarm
            .with_idle_connection_timeout(idle_timeout)
            .with_notify_handler_buffer_size(std::num::NonZeroUsize::MIN.saturating_add(1023))
    };
    match hickory_resolver::system_conf::read_system_conf() {
        Ok((servers, options)) => Ok(builder()?
            .with_dns_config(servers, impatient(options))
            .with_relay_client((noise::Config::new, tls::Config::new), yamux::Config::default)
            .map_err(|error| failed(&error))?
            .with_bandwidth_metrics(registry)
            .with_behaviour(behaviour)
            .unwrap_or_else(|never| match never {})
            .with_swarm_config(swarm_config)
            .build()),
        Err(error) => {
            tracing::warn!(%error, "no DNS: addresses with names cannot be dialled");
            Ok(builder()?
                .with_relay_client((noise::Config::new, tls::Config::new), yamux::Config::default)
                .map_err(|error| failed(&error))?
                .with_bandwidth_metrics(registry)
                .with_behaviour(behaviour)
                .unwrap_or_else(|never| match never {})
                .with_swarm_config(swarm_config)
                .build())
        }
    }
}

/// The options of the system, except how long answers are kept, good ones and bad ones.
fn impatient(mut options: ResolverOpts) -> ResolverOpts {
    options.positive_max_ttl = Some(DNS_KEPT);
    options.negative_max_ttl = Some(DNS_KEPT);
    options
}
