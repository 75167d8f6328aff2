//! What handlers take from a request; what does not fit is a problem that says where.

use super::{App, MAX_BODY_BYTES, problem::Problem};
use axum::{
    body::{Body, Bytes},
    extract::{FromRequestParts, Path, Query},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// How long the body of a request may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The parameters in a path.
pub(super) struct ApiPath<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for ApiPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(value)| Self(value)).map_err(|rejection| {
            Problem::bad_request(format!("in the path {}: {}", parts.uri.path(), rejection.body_text()))
        })
    }
}

/// The parameters after the question mark.
pub(super) struct ApiQuery<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|Query(value)| Self(value))
            .map_err(|rejection| Problem::bad_request(format!("in the query: {}", rejection.body_text())))
    }
}

/// The formats that a request's body can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `application/json`.
    Json,
    /// `application/cbor`.
    Cbor,
}

/// The format that the headers name. Nothing else is taken, so that a browser asks before it sends anything.
pub(super) fn format(headers: &HeaderMap) -> Result<Format, Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/json" => Ok(Format::Json),
        "application/cbor" => Ok(Format::Cbor),
        _ => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("send application/json or application/cbor as `Content-Type`, found {content_type:?}"),
        )),
    }
}

/// Reads a body of at most [`MAX_BODY_BYTES`], once there is room for it among the bodies being read.
pub(super) async fn body(app: &App, headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = format!("a request takes at most {MAX_BODY_BYTES} bytes: send less at a time");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    };
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let length = length.unwrap_or(MAX_BODY_BYTES);
    if length > MAX_BODY_BYTES {
        return Err(too_large());
    }
    let read = async {
        let kibibytes = length.div_ceil(1 << 10) as u32;
        let _room =
            app.body_memory.acquire_many(kibibytes).await.map_err(|_| crate::node::handle::Stopped)?;
        match Limited::new(body, MAX_BODY_BYTES).collect().await {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
            Err(error) => Err(Problem::bad_request(format!("the body broke off: {error}"))),
        }
    };
    tokio::time::timeout(BODY_TIMEOUT, read).await.unwrap_or_else(|_| {
        let detail = format!("the body took longer than {} seconds", BODY_TIMEOUT.as_secs());
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail))
    })
}

/// A body in JSON, and in nothing else.
pub(super) async fn json<T: DeserializeOwned>(
    app: &App,
    headers: &HeaderMap,
    content: Body,
) -> Result<T, Problem> {
    if format(headers)? != Format::Json {
        let detail = "send application/json as `Content-Type`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let bytes = body(app, headers, content).await?;
    serde_json::from_slice(&bytes).map_err(|error| Problem::bad_request(format!("in the body: {error}")))
}
