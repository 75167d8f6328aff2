//! The table of routes. Each has its description in the OpenAPI document, under the same path.

use super::{
    App, guard,
    handlers::{
        announcements, blocks, connecting, events, governance, node, operations, peers, polls, transactions,
    },
};
use axum::{
    Router,
    middleware::from_fn_with_state,
    routing::{MethodRouter, get, post},
};
use std::sync::Arc;

/// Paths and what answers there.
pub(super) fn routes() -> Vec<(&'static str, MethodRouter<Arc<App>>)> {
    vec![
        ("/", get(operations::page)),
        ("/openapi.json", get(operations::openapi)),
        ("/healthz", get(operations::healthz)),
        ("/readyz", get(operations::readyz)),
        ("/metrics", get(operations::metrics)),
        ("/v1/status", get(node::status)),
        ("/v1/genesis", get(node::genesis)),
        ("/v1/peers", get(peers::peers).post(connecting::connect)),
        ("/v1/peers/known", get(peers::known)),
        ("/v1/validators", get(node::validators)),
        ("/v1/senders/{key}", get(node::sender)),
        ("/v1/blocks", get(blocks::list)),
        ("/v1/blocks/{height}", get(blocks::block)),
        ("/v1/blocks/{height}/proof", get(blocks::proof)),
        ("/v1/tree", get(blocks::tree)),
        ("/v1/transactions", post(transactions::submit)),
        ("/v1/transactions/{id}", get(transactions::transaction)),
        ("/v1/transactions/{id}/proof", get(transactions::proof)),
        ("/v1/polls", get(polls::list)),
        ("/v1/polls/{id}", get(polls::poll)),
        ("/v1/polls/{id}/tally", get(polls::tally)),
        ("/v1/polls/{id}/ballots/{voter}", get(polls::ballot)),
        ("/v1/proposals", get(governance::list)),
        ("/v1/proposals/{id}", get(governance::proposal)),
        ("/v1/events", get(events::events)),
        ("/v1/announcements", post(announcements::announce)),
    ]
}

/// The whole API, behind its guard.
pub(super) fn router(app: Arc<App>) -> Router {
    routes()
        .into_iter()
        .fold(Router::new(), |router, (path, answer)| router.route(path, answer))
        .fallback(operations::not_found)
        .method_not_allowed_fallback(operations::method_not_allowed)
        .layer(from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}
