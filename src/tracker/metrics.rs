//! What Prometheus is told of a tracker, and where it asks.

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
use conclave_behaviours::tracker::RefusalReason;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

/// Media type of the metrics (OpenMetrics 1.0, which Prometheus reads).
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// A tracker's own metrics; libp2p adds its own to the same registry.
pub(super) struct Metrics {
    pub(super) registrations: Gauge,
    pub(super) connections: Gauge,
    pub(super) registered: Counter,
    pub(super) told: Counter,
    pub(super) refused_connections: Counter,
    refused: Family<Reason, Counter>,
}

impl Metrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            registrations: Gauge::default(),
            connections: Gauge::default(),
            registered: Counter::default(),
            told: Counter::default(),
            refused_connections: Counter::default(),
            refused: Family::default(),
        };
        let registry = registry.sub_registry_with_prefix("conclave_tracker");
        registry.register("registrations", "Registrations that are alive", metrics.registrations.clone());
        registry.register("connections", "Established connections", metrics.connections.clone());
        registry.register("registered", "Registrations, renewals counted", metrics.registered.clone());
        registry.register("told_records", "Records told to those who asked", metrics.told.clone());
        registry.register("refused_connections", "Connections refused", metrics.refused_connections.clone());
        registry.register("refused_requests", "Requests refused, by reason", metrics.refused.clone());
        metrics
    }

    pub(super) fn refuse(&self, reason: RefusalReason) {
        let reason = match reason {
            RefusalReason::InvalidNamespace => "invalid-namespace",
            RefusalReason::NotSigned => "not-signed",
            RefusalReason::NotAuthorized => "not-authorized",
            RefusalReason::PeerFull => "peer-full",
            RefusalReason::BlockFull => "block-full",
            RefusalReason::TrackerFull => "tracker-full",
            RefusalReason::TooOften => "too-often",
        };
        self.refused.get_or_create(&Reason { reason }).inc();
    }
}

/// Serves `/metrics` and `/healthz` until the process ends.
pub(super) fn serve(listener: TcpListener, registry: Arc<Mutex<Registry>>) {
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .with_state(registry);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, "the metrics are no longer served");
        }
    });
}

async fn metrics(State(registry): State<Arc<Mutex<Registry>>>) -> impl IntoResponse {
    let mut text = String::new();
    let registry = registry.lock().unwrap_or_else(PoisonError::into_inner);
    // Writing to a string cannot fail.
    let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
    ([(header::CONTENT_TYPE, OPEN_METRICS)], text)
}
