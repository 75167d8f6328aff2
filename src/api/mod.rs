//! The node's HTTP API: JSON on loopback, for the command line, scripts and monitoring.
//!
//! ```text
//! connection ──► guard (host, origin, token, limits) ──► routes ──► handlers ──► Handle ──► the node's task
//!                                                                       └──► lookup ──► database
//! ```
//! - `/` shows the documentation, made from the OpenAPI document at `/openapi.json`.
//! - `/v1/…` is the API; errors are problem details (RFC 9457) with the broken rule's name.
//! - `/v1/events` is a stream of server-sent events.
//! - `/metrics`, `/healthz` and `/readyz` are for those who run nodes.
//!
//! Queries run on the node's task only for as long as it takes to copy what is asked; the rest is done here, on
//! threads that may block. Everything that a client can fill is bounded by a constant of this module.

mod docs;
mod extract;
mod guard;
mod handlers;
mod lookup;
mod openapi;
mod problem;
mod routes;
mod server;
mod tallies;
#[cfg(test)]
mod tests;
pub mod types;

pub use problem::{PROBLEM_JSON, Problem};
pub use server::{ServeError, serve};

use crate::node::handle::Handle;
use prometheus_client::registry::Registry;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::sync::Semaphore;

/// Most bytes in the body of a request: as many as the pool holds.
pub const MAX_BODY_BYTES: usize = 8 << 20;

/// Most bytes of bodies that are being read at a time; further requests wait for their turn.
pub const MAX_BODY_MEMORY: usize = 64 << 20;

/// Most transactions in one submission.
pub const MAX_SUBMISSION: usize = 1_000;

/// Most connections at a time; further ones wait to be accepted.
pub const MAX_CONNECTIONS: usize = 1_024;

/// Most requests in progress at a time; further ones are refused.
pub const MAX_REQUESTS: usize = 1_024;

/// Most subscribers of the event stream at a time; further ones are refused.
pub const MAX_SUBSCRIBERS: usize = 64;

/// Most decided heights in one answer.
pub const MAX_BLOCKS_PAGE: usize = 100;

/// Longest wait for a decision that a request can ask for, in milliseconds.
pub const MAX_WAIT_MS: u64 = 60_000;

/// Longest time in which a peer that is connected to has to finish its handshake, the dial included, in milliseconds.
pub const MAX_CONNECT_MS: u64 = 10_000;

/// What is measured; shared with whoever registers more.
pub type Metrics = Arc<Mutex<Registry>>;

/// How the API is served.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Address to listen on; anything but loopback needs a token.
    pub listen: SocketAddr,
    /// Secret that every request has to carry (`Authorization: Bearer …`), at least [`ApiConfig::MIN_TOKEN_BYTES`]
    /// bytes.
    pub token: Option<String>,
    /// Names that the API answers to besides `localhost` and addresses.
    pub hostnames: Vec<String>,
}

/// A configuration under which the API is not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Others could use it.
    #[error(
        "the API would listen on {0}, which others can reach, without a token: listen on 127.0.0.1 or set a token \
         (api.token_file)"
    )]
    NeedsToken(SocketAddr),
    /// Somebody could guess it.
    #[error("the API's token has {0} bytes, fewer than {min}: make one with `openssl rand -hex 32`", min = ApiConfig::MIN_TOKEN_BYTES)]
    ShortToken(usize),
}

impl ApiConfig {
    /// Fewest bytes of a token.
    pub const MIN_TOKEN_BYTES: usize = 16;

    /// Checks that the API can be served like this.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check(&self) -> Result<(), ConfigError> {
        match &self.token {
            None if !self.listen.ip().is_loopback() => Err(ConfigError::NeedsToken(self.listen)),
            Some(token) if token.len() < Self::MIN_TOKEN_BYTES => Err(ConfigError::ShortToken(token.len())),
            _ => Ok(()),
        }
    }
}

/// What all requests share.
struct App {
    handle: Handle,
    guard: guard::Guard,
    metrics: Metrics,
    tallies: tallies::Tallies,
    /// Permits for [`MAX_REQUESTS`].
    requests: Semaphore,
    /// Permits for [`MAX_SUBSCRIBERS`].
    subscribers: Arc<Semaphore>,
    /// Permits of a KiB each for [`MAX_BODY_MEMORY`].
    body_memory: Semaphore,
}

impl App {
    fn new(handle: Handle, config: &ApiConfig, metrics: Metrics) -> Self {
        Self {
            handle,
            guard: guard::Guard::new(config),
            metrics,
            tallies: tallies::Tallies::default(),
            requests: Semaphore::new(MAX_REQUESTS),
            subscribers: Arc::new(Semaphore::new(MAX_SUBSCRIBERS)),
            body_memory: Semaphore::new(MAX_BODY_MEMORY >> 10),
        }
    }
}
