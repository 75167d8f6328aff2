//! For those who run nodes: health, readiness, metrics; and the documentation.

use super::{Answer, node};
use crate::api::{App, docs, openapi, problem::Problem, types::Health};
use axum::{
    Json,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse},
};
use std::sync::{Arc, PoisonError};

/// Media type of the metrics (OpenMetrics 1.0, which Prometheus reads).
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the documentation page may load: its own style, nothing else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Whether the process is alive. Needs no token.
#[utoipa::path(get, path = "/healthz", tag = "operations", responses((status = 200, body = Health)))]
pub(in crate::api) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok".into() })
}

/// Whether the node takes part, is up to date and sees a quorum.
#[utoipa::path(get, path = "/readyz", tag = "operations", responses(
    (status = 200, body = Health),
    (status = 503, body = Problem, content_type = "application/problem+json", description = "Not ready, and why."),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::api) async fn readyz(State(app): State<Arc<App>>) -> Answer<Health> {
    match app.handle.read(node::not_ready).await? {
        None => Ok(Json(Health { status: "ok".into() })),
        Some(reason) => Err(Problem::unavailable(reason).with_rule("node/not-ready")),
    }
}

/// What the node measures, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses(
    (status = 200, body = String, content_type = "application/openmetrics-text"),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::api) async fn metrics(State(app): State<Arc<App>>) -> Result<impl IntoResponse, Problem> {
    let mut text = String::new();
    let registry = app.metrics.lock().unwrap_or_else(PoisonError::into_inner);
    prometheus_client::encoding::text::encode(&mut text, &registry).map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the metrics cannot be written: {error}"))
    })?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text))
}

/// The OpenAPI document of this API.
#[utoipa::path(get, path = "/openapi.json", tag = "documentation", responses(
    (status = 200, body = Object),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::api) async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], openapi::json())
}

/// This documentation as a page.
#[utoipa::path(get, path = "/", tag = "documentation", responses(
    (status = 200, body = String, content_type = "text/html"),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::api) async fn page() -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)], Html(docs::page()))
}

/// What no route answers.
pub(in crate::api) async fn not_found(request: Request) -> Problem {
    Problem::not_found(format!("there is nothing at {}: / lists what there is", request.uri().path()))
}

/// What a route does not answer by this method.
pub(in crate::api) async fn method_not_allowed(request: Request) -> Problem {
    let detail = format!("{} is not answered at {}", request.method(), request.uri().path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}
