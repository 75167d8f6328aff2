//! The OpenAPI document, gathered from the handlers' own descriptions.

use super::{handlers, types};
use std::sync::LazyLock;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Conclave node",
        description = "What a Conclave node knows, and the way to hand it transactions. Hashes and keys are \
            lower-case hexadecimal, times are milliseconds since 1970, heights count from 1. Errors are problem \
            details (RFC 9457); `rule` names the rule that was broken. Where the node has a token, every request \
            but /healthz carries it as `Authorization: Bearer …`.",
    ),
    paths(
        handlers::node::status,
        handlers::node::genesis,
        handlers::peers::peers,
        handlers::peers::known,
        handlers::connecting::connect,
        handlers::node::validators,
        handlers::node::sender,
        handlers::blocks::list,
        handlers::blocks::block,
        handlers::blocks::proof,
        handlers::blocks::tree,
        handlers::transactions::submit,
        handlers::transactions::transaction,
        handlers::transactions::proof,
        handlers::polls::list,
        handlers::polls::poll,
        handlers::polls::tally,
        handlers::polls::ballot,
        handlers::governance::list,
        handlers::governance::proposal,
        handlers::events::events,
        handlers::announcements::announce,
        handlers::operations::healthz,
        handlers::operations::readyz,
        handlers::operations::metrics,
        handlers::operations::openapi,
        handlers::operations::page,
    ),
    components(schemas(types::Submitted, types::schema::Transaction)),
    tags(
        (name = "node", description = "Where the node stands, and who decides."),
        (name = "blocks", description = "Decided heights and their proofs."),
        (name = "transactions", description = "Handing in transactions, and proving that they are decided."),
        (name = "polls", description = "Polls, tallies and ballots."),
        (name = "governance", description = "Proposals to change who decides."),
        (name = "events", description = "What happens, as it happens."),
        (name = "operations", description = "For those who run nodes."),
        (name = "documentation", description = "This document."),
    ),
)]
struct Document;

/// The document.
pub(super) fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// The document as JSON.
pub(super) fn json() -> &'static str {
    static JSON: LazyLock<String> = LazyLock::new(|| {
        document().to_pretty_json().expect("the document is made of texts and maps that JSON holds")
    });
    &JSON
}
