//! Who may talk to the API.
//!
//! The API listens on loopback and asks for no password there, so it has to defend itself against the other
//! program on the same machine that speaks for strangers, the browser:
//!
//! - `Host` must be a loopback name or address, the address that the API listens on, or a configured name. A page
//!   whose name was made to resolve to 127.0.0.1 (DNS rebinding) sends its own name.
//! - `Origin` must be that of the API itself, and where a browser says where a request comes from
//!   (`Sec-Fetch-Site`), it must not be another site, unless somebody follows a link to a page.
//! - What changes something takes JSON or CBOR only, for which a browser asks first; no answer allows it.
//! - With a token, every request but `/healthz` has to carry it.

use super::{ApiConfig, App, problem::Problem};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use conclave_ledger::hash::Hash;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// Headers of every answer: nothing is guessed, framed, cached, sent on or read by another origin.
const ANSWER_HEADERS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The rules by which requests are let in.
pub(super) struct Guard {
    listen: SocketAddr,
    hostnames: Vec<String>,
    /// SHA-256 of the token, so that comparing takes the same time whatever a client sends.
    token: Option<Hash>,
}

impl Guard {
    /// The rules of `config`.
    pub(super) fn new(config: &ApiConfig) -> Self {
        let hostnames = config.hostnames.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { listen: config.listen, hostnames, token: config.token.as_deref().map(digest) }
    }

    fn check(&self, request: &Request) -> Result<(), Problem> {
        let headers = request.headers();
        let host = host(request)?;
        if !self.allows_host(&host) {
            let detail = format!(
                "the API does not answer to the host name {:?}: use localhost, or list the name in the \
                 configuration (api.hostnames)",
                host.host()
            );
            return Err(Problem::new(StatusCode::FORBIDDEN, detail).with_rule("api/host"));
        }
        check_origin(request.method(), headers, &host)?;
        if request.uri().path() != "/healthz" {
            self.check_token(headers)?;
        }
        Ok(())
    }

    fn allows_host(&self, host: &Authority) -> bool {
        let name = host.host().to_ascii_lowercase();
        let literal = name.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = literal.parse::<IpAddr>() {
            // A name that was made to resolve here is never sent as an address.
            let listens = self.listen.ip();
            return address.is_loopback() || address == listens || listens.is_unspecified();
        }
        name == "localhost" || self.hostnames.contains(&name)
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(expected) = &self.token else { return Ok(()) };
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| digest(token.trim()));
        let matches = given.is_some_and(|given| {
            let pairs = given.0.iter().zip(&expected.0);
            pairs.fold(0, |difference, (left, right)| difference | (left ^ right)) == 0
        });
        if matches {
            return Ok(());
        }
        let detail = "this node's API needs its token: send `Authorization: Bearer …`";
        Err(Problem::new(StatusCode::UNAUTHORIZED, detail).with_rule("api/token"))
    }
}

fn digest(token: &str) -> Hash {
    Hash::of("conclave/api-token/1", &[token.as_bytes()])
}

/// The one host that a request is meant for.
fn host(request: &Request) -> Result<Authority, Problem> {
    if let Some(authority) = request.uri().authority() {
        return Ok(authority.clone());
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    first
        .filter(|_| second.is_none())
        .and_then(|host| host.to_str().ok())
        .and_then(|host| host.parse::<Authority>().ok())
        .filter(|authority| !authority.as_str().contains('@'))
        .ok_or_else(|| Problem::bad_request("a request has one `Host` header with a name or address"))
}

/// Refuses what a browser sends for a page of another origin.
fn check_origin(method: &Method, headers: &HeaderMap, host: &Authority) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("null"));
    let refuse = |what: String| {
        let detail = format!("{what}: pages of other origins may not use this API");
        Err(Problem::new(StatusCode::FORBIDDEN, detail).with_rule("api/origin"))
    };
    if let Some(origin) = text("origin")
        && !origin.strip_prefix("http://").is_some_and(|rest| rest.eq_ignore_ascii_case(host.as_str()))
    {
        return refuse(format!("the request comes from {origin:?}"));
    }
    let follows_link = *method == Method::GET
        && text("sec-fetch-mode") == Some("navigate")
        && text("sec-fetch-dest") == Some("document");
    match text("sec-fetch-site") {
        Some("cross-site" | "same-site") if !follows_link => {
            refuse("the request comes from another site".into())
        }
        _ => Ok(()),
    }
}

/// Lets a request in, or answers with the problem; puts the headers of every answer on it.
pub(super) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = match app.guard.check(&request) {
        Ok(()) => match app.requests.try_acquire() {
            Ok(_permit) => next.run(request).await,
            Err(_) => Problem::unavailable(format!(
                "{} requests are in progress, the most that this node serves at a time: try again",
                super::MAX_REQUESTS
            ))
            .into_response(),
        },
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in ANSWER_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
