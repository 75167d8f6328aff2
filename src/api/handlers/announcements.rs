//! Saying something to everybody in the network.

use crate::{
    api::{
        App, extract,
        problem::Problem,
        types::{Announce, Announced},
    },
    chat::Said,
};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use std::sync::Arc;

/// Says a text to everybody in the network.
///
/// The node signs it with its own key and announces it to all nodes, which show it as the event `announced`. There is
/// no record of it, and nobody acknowledges it.
#[utoipa::path(post, path = "/v1/announcements", tag = "events", request_body = Announce, responses(
    (status = 202, body = Announced, description = "On its way."),
    (status = 400, body = Problem, content_type = "application/problem+json",
        description = "Not one line of 1 to 1,000 bytes."),
    (status = 415, body = Problem, content_type = "application/problem+json", description = "Not JSON."),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::api) async fn announce(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Announced>), Problem> {
    let Announce { text } = extract::json(&app, &headers, body).await?;
    let said = app.handle.say(text).await?;
    let said = said.map_err(|error| Problem::bad_request(format!("`text`: {error}")))?;
    Ok((StatusCode::ACCEPTED, Json(said.into())))
}

impl From<Said> for Announced {
    fn from(said: Said) -> Self {
        let peer_id = said.peer_id().map(|id| id.to_base58()).unwrap_or_default();
        Self { peer_id, timestamp: said.at, text: said.text }
    }
}
