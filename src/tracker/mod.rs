//! The program as a tracker and nothing else: no chain, no disk but its key, no API but metrics if they are asked for.
//!
//! Whoever runs one is trusted with nothing: what it tells is signed by those whom it tells of, and nodes that have
//! met no longer need it.

mod metrics;

use conclave_behaviours::{
    SwarmError,
    tracker::{
        Config, Event,
        swarm::{ConnectionBounds, TrackerBehaviour, TrackerBehaviourEvent, build_tracker},
    },
};
use futures::StreamExt;
use libp2p::{
    Multiaddr, Swarm,
    identity::Keypair,
    swarm::{ListenError, SwarmEvent},
};
use metrics::Metrics;
use prometheus_client::registry::Registry;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// How often the number of registrations is counted for the metrics although nothing happens.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// All that a tracker has to know to run.
pub struct TrackerConfig {
    /// Its identity.
    pub identity: Keypair,
    /// Multiaddrs to listen on; at least one.
    pub listen: Vec<Multiaddr>,
    /// Where Prometheus may ask, over HTTP at `/metrics`; nowhere if there is none.
    pub metrics_listen: Option<SocketAddr>,
    /// Bounds of the registrations.
    pub bounds: Config,
    /// Bounds of the connections.
    pub connections: ConnectionBounds,
}

/// Why a tracker does not start, or has stopped.
#[derive(Debug, thiserror::Error)]
pub enum TrackerError {
    /// The swarm.
    #[error(transparent)]
    Swarm(#[from] SwarmError),
    /// An address for nodes.
    #[error("cannot listen on {address}: {reason}; give another with --listen")]
    Listen {
        /// The address.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// The address for metrics.
    #[error("cannot listen on {address} for metrics: {source}; give another with --metrics-listen")]
    MetricsListen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The last address that it listened on is gone.
    #[error("the tracker no longer listens anywhere: {0}")]
    Deaf(String),
    /// Signals.
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
}

/// Runs a tracker until SIGINT or SIGTERM. `listening` is told each address, with `/p2p/` and the peer id, at which
/// nodes reach it.
///
/// # Errors
/// Why it did not start or had to stop.
pub async fn run(config: TrackerConfig, mut listening: impl FnMut(&Multiaddr)) -> Result<(), TrackerError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(TrackerError::Signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(TrackerError::Signals)?;
    let mut registry = Registry::default();
    let agent = concat!("conclave-tracker/", env!("CARGO_PKG_VERSION")).to_owned();
    let mut swarm = build_tracker(config.identity, agent, config.bounds, &config.connections, &mut registry)?;
    let metrics = Metrics::register(&mut registry);
    for address in &config.listen {
        swarm.listen_on(address.clone()).map_err(|error| TrackerError::Listen {
            address: address.to_string(),
            reason: error.to_string(),
        })?;
    }
    if let Some(address) = config.metrics_listen {
        let failed = |source| TrackerError::MetricsListen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        // The system has chosen the port if none was named.
        let address = listener.local_addr().map_err(failed)?;
        tracing::info!(%address, "the metrics are served");
        metrics::serve(listener, Arc::new(Mutex::new(registry)));
    }
    let mut count = tokio::time::interval(COUNT_EVERY);
    loop {
        tokio::select! {
            event = swarm.select_next_some() => handle(&mut swarm, event, &metrics, &mut listening)?,
            _ = count.tick() => {}
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        }
        metrics.registrations.set(swarm.behaviour_mut().server.registrations() as i64);
        metrics.connections.set(i64::from(swarm.network_info().connection_counters().num_established()));
    }
    tracing::info!("the tracker has stopped");
    Ok(())
}

fn handle(
    swarm: &mut Swarm<TrackerBehaviour>,
    event: SwarmEvent<TrackerBehaviourEvent>,
    metrics: &Metrics,
    listening: &mut impl FnMut(&Multiaddr),
) -> Result<(), TrackerError> {
    match event {
        SwarmEvent::NewListenAddr { address, .. } => {
            let id = *swarm.local_peer_id();
            let address = address.with_p2p(id).unwrap_or_else(|address| address);
            tracing::info!(%address, "listening");
            listening(&address);
        }
        SwarmEvent::ListenerClosed { reason, .. } if swarm.listeners().next().is_none() => {
            let reason = reason.err().map_or_else(|| "closed".to_owned(), |error| error.to_string());
            return Err(TrackerError::Deaf(reason));
        }
        SwarmEvent::IncomingConnectionError {
            error: ListenError::Denied { cause }, send_back_addr, ..
        } => {
            tracing::debug!(from = %send_back_addr, %cause, "refused a connection");
            metrics.refused_connections.inc();
        }
        SwarmEvent::Behaviour(TrackerBehaviourEvent::Server(event)) => served(&event, metrics),
        _ => {}
    }
    Ok(())
}

fn served(event: &Event, metrics: &Metrics) {
    match event {
        Event::Registered { peer, namespace } => {
            tracing::debug!(%peer, %namespace, "registered");
            metrics.registered.inc();
        }
        Event::Unregistered { peer, namespace } => tracing::debug!(%peer, %namespace, "left"),
        Event::Told { peer, records } => {
            tracing::debug!(%peer, records, "told of others");
            metrics.told.inc_by(*records as u64);
        }
        Event::Refused { peer, reason } => {
            tracing::debug!(%peer, %reason, "refused");
            metrics.refuse(*reason);
        }
    }
}
