//! The local modules, as the node's loop sees them: what they say, the way to each of them, and what is counted.

use super::NodeError;
use crate::gossip_api::{self, Intake, message, outbox::Outbox, server};
use conclave_ledger::{hash::NetworkId, keys::SecretKey};
use conclave_protocol::announcements::ModuleId;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::{collections::BTreeMap, net::SocketAddr};
use tokio::net::TcpListener;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    outcome: &'static str,
}

/// What is counted of announcements and modules.
#[derive(Clone, Default)]
pub(super) struct GossipMetrics {
    announcements: Family<Labels, Counter>,
    published_bytes: Counter,
    notifications: Counter,
    modules: Gauge,
    pub(super) module_subscriptions: Gauge,
    pub(super) peer_subscriptions: Gauge,
    slow_modules: Counter,
    closed_modules: Counter,
}

impl GossipMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("conclave");
        registry.register(
            "announcements",
            "Announcements and copies of them by what became of them",
            metrics.announcements.clone(),
        );
        registry.register(
            "announcement_published_bytes",
            "Bytes of announcements published by this node, before they go to several peers",
            metrics.published_bytes.clone(),
        );
        registry.register(
            "module_notifications",
            "Notifications sent to local modules",
            metrics.notifications.clone(),
        );
        registry.register("modules", "Local modules connected to the gossip API", metrics.modules.clone());
        registry.register(
            "module_subscriptions",
            "Subscriptions of local modules to data types, each module and type counted",
            metrics.module_subscriptions.clone(),
        );
        registry.register(
            "announcement_peer_subscriptions",
            "Subscriptions of connected peers to data types, each peer and type counted",
            metrics.peer_subscriptions.clone(),
        );
        registry.register(
            "slow_modules",
            "Modules disconnected because they read too slowly",
            metrics.slow_modules.clone(),
        );
        registry.register(
            "closed_modules",
            "Modules disconnected because they broke a rule of the gossip API that their messages kept",
            metrics.closed_modules.clone(),
        );
        metrics
    }

    pub(super) fn count(&self, outcome: &'static str) {
        self.announcements.get_or_create(&Labels { outcome }).inc();
    }

    pub(super) fn published(&self, bytes: usize) {
        self.published_bytes.inc_by(bytes as u64);
    }
}

/// The modules of a node.
pub(super) struct Gossip {
    pub(super) intake: Intake,
    pub(super) metrics: GossipMetrics,
    /// With what the node speaks for people; without it nobody speaks or is heard.
    pub(super) voice: Option<Voice>,
    modules: BTreeMap<ModuleId, Outbox>,
}

/// With what this node speaks for people: see [`crate::chat`].
pub(super) struct Voice {
    /// The network that it speaks in.
    pub(super) network: NetworkId,
    /// The node key.
    pub(super) key: SecretKey,
}

/// Opens the socket for modules, if there is to be one.
pub(super) async fn listen(address: Option<SocketAddr>) -> Result<Intake, NodeError> {
    let Some(address) = address else { return Ok(server::nobody()) };
    let failed = |source| NodeError::GossipListen { address: address.to_string(), source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    server::tell(listener.local_addr().map_err(failed)?);
    Ok(gossip_api::server::start(listener))
}

impl Gossip {
    pub(super) fn new(intake: Intake, metrics: GossipMetrics, voice: Option<Voice>) -> Self {
        Self { intake, metrics, voice, modules: BTreeMap::new() }
    }

    /// Modules of a node without a socket for them.
    pub(super) fn nobody() -> Self {
        Self::new(server::nobody(), GossipMetrics::default(), None)
    }

    pub(super) fn connected(&mut self, module: ModuleId, outbox: Outbox) {
        self.modules.insert(module, outbox);
        self.metrics.modules.set(self.modules.len() as i64);
    }

    pub(super) fn left(&mut self, module: ModuleId) {
        self.modules.remove(&module);
        self.metrics.modules.set(self.modules.len() as i64);
    }

    /// Disconnects a module. It may have hung up meanwhile; why it would have been disconnected is said all the same.
    pub(super) fn close(&mut self, module: ModuleId, reason: String) {
        tracing::warn!(%module, reason, "a module is disconnected");
        if let Some(outbox) = self.modules.remove(&module) {
            self.metrics.closed_modules.inc();
            self.metrics.modules.set(self.modules.len() as i64);
            outbox.close(reason);
        }
    }

    /// Notifies a module; false if it is so far behind that it is disconnected.
    pub(super) fn notify(&mut self, module: ModuleId, id: u16, data_type: u16, data: &[u8]) -> bool {
        let Some(outbox) = self.modules.get(&module) else { return true };
        match outbox.push(message::notification(id, data_type, data)) {
            Ok(()) => {
                self.metrics.notifications.inc();
                true
            }
            Err(behind) => {
                self.metrics.slow_modules.inc();
                self.close(module, behind.to_string());
                false
            }
        }
    }
}
