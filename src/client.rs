//! A client of a node's HTTP API, as the command line and the tests use it.
//!
//! Connections are kept open and used again. Transactions travel as canonical CBOR, everything else as JSON.

mod events;

pub use events::Events;

use crate::api::{
    MAX_WAIT_MS, Problem,
    types::{
        Announce, Announced, BallotInfo, BlockInfo, BlockTree, Blocks, Connect, GenesisInfo, Health,
        KnownPeers, Peer, Peers, Poll, PollTally, Polls, ProofInfo, ProposalInfo, Proposals, Sender, Status,
        Submitted, TransactionInfo, TransactionProof, TransactionStatus, Validators,
    },
};
use conclave_ledger::{
    codec,
    hash::{Hash, TransactionId},
    keys::PublicKey,
    signed::Height,
    transaction::Transaction,
};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
    http::uri::{Authority, Uri},
};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Write as _, time::Duration};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may take, besides the wait that was asked for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an unused connection is kept: shorter than the node keeps it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// Largest answer, in bytes: a block of 64 MiB in JSON.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// Why a request has no answer, or which problem is the answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL is none of an API.
    #[error("{url:?} is not the URL of a node's API: give one such as http://127.0.0.1:8080 ({reason})")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// Nobody answers there.
    #[error(
        "{url} cannot be reached: {reason}; is a node running? start one with `conclave up` or `conclave run`"
    )]
    Unreachable {
        /// The API's URL.
        url: String,
        /// What the network says.
        reason: String,
    },
    /// The answer does not come.
    #[error("{url} has not answered within {seconds} seconds")]
    Timeout {
        /// The API's URL.
        url: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The connection broke while the answer came.
    #[error("the connection to the node broke: {0}")]
    Interrupted(String),
    /// The node answers with a problem.
    #[error(transparent)]
    Problem(Box<Problem>),
    /// The answer is not what this version expects.
    #[error("{what} cannot be read: {reason}; is it a Conclave node, of this version?")]
    Malformed {
        /// What was to be read.
        what: String,
        /// Why it could not be.
        reason: String,
    },
}

impl ClientError {
    /// The problem, if that is the node's answer.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }
}

/// A client of one node's API. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    url: String,
    authority: Authority,
    authorization: Option<header::HeaderValue>,
    http: legacy::Client<HttpConnector, Full<Bytes>>,
}

impl std::fmt::Debug for Client {
    /// Its URL; never the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Client").field(&self.url).finish()
    }
}

impl Client {
    /// A client of the API at `url`, such as `http://127.0.0.1:8080`, with the node's token if it has one. Nothing
    /// is sent yet.
    ///
    /// # Errors
    /// When `url` is not `http://host:port`, or the token has characters that no header can hold.
    pub fn new(url: &str, token: Option<&str>) -> Result<Self, ClientError> {
        let fail = |reason: &str| ClientError::Url { url: url.into(), reason: reason.into() };
        let uri: Uri = url.parse().map_err(|error| fail(&format!("{error}")))?;
        if uri.scheme_str() != Some("http") {
            return Err(fail("it begins with http://"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(fail("it has no path"));
        }
        let authority = uri.authority().cloned().ok_or_else(|| fail("it names no host"))?;
        let authorization = match token {
            None => None,
            Some(token) => {
                let value = header::HeaderValue::try_from(format!("Bearer {token}"));
                let mut value =
                    value.map_err(|_| fail("the token has characters that no header can hold"))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self { url: format!("http://{authority}"), authority, authorization, http })
    }

    /// The API's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the node stands.
    ///
    /// # Errors
    /// [`ClientError`], as for every request below.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get("/v1/status").await
    }

    /// Whether the node is ready; the problem says why it is not.
    pub async fn ready(&self) -> Result<Health, ClientError> {
        self.get("/readyz").await
    }

    /// Whether the process is alive.
    pub async fn alive(&self) -> Result<Health, ClientError> {
        self.get("/healthz").await
    }

    /// The network's definition.
    pub async fn genesis(&self) -> Result<GenesisInfo, ClientError> {
        self.get("/v1/genesis").await
    }

    /// The connected peers.
    pub async fn peers(&self) -> Result<Peers, ClientError> {
        self.get("/v1/peers").await
    }

    /// The peers that the node knows, connected or not.
    pub async fn known_peers(&self) -> Result<KnownPeers, ClientError> {
        self.get("/v1/peers/known").await
    }

    /// Has the node connect to a multiaddress; returns the peer there when its handshake is done.
    pub async fn connect(&self, address: &str) -> Result<Peer, ClientError> {
        let body = Body::json(&Connect { address: address.into() });
        self.post("/v1/peers", body, ANSWER_TIMEOUT).await
    }

    /// Says something to everybody in the network.
    pub async fn announce(&self, text: &str) -> Result<Announced, ClientError> {
        self.post("/v1/announcements", Body::json(&Announce { text: text.into() }), ANSWER_TIMEOUT).await
    }

    /// The validators of the next height.
    pub async fn validators(&self) -> Result<Validators, ClientError> {
        self.get("/v1/validators").await
    }

    /// What the ledger makes of a sender.
    pub async fn sender(&self, key: &PublicKey) -> Result<Sender, ClientError> {
        self.get(&format!("/v1/senders/{key}")).await
    }

    /// Decided heights from `from` (or the last one) downwards.
    pub async fn blocks(&self, from: Option<Height>, limit: Option<usize>) -> Result<Blocks, ClientError> {
        self.get(&paged("/v1/blocks", "from", from, limit)).await
    }

    /// The last heights with all branches, where proofs of work decide.
    pub async fn block_tree(&self, heights: Option<usize>) -> Result<BlockTree, ClientError> {
        self.get(&paged("/v1/tree", "heights", heights.map(|heights| heights as u64), None)).await
    }

    /// A decided height.
    pub async fn block(&self, height: Height) -> Result<BlockInfo, ClientError> {
        self.get(&format!("/v1/blocks/{height}")).await
    }

    /// The proof of a decided height.
    pub async fn block_proof(&self, height: Height) -> Result<ProofInfo, ClientError> {
        self.get(&format!("/v1/blocks/{height}/proof")).await
    }

    /// A transaction and where it stands.
    pub async fn transaction(&self, id: &TransactionId) -> Result<TransactionInfo, ClientError> {
        self.get(&format!("/v1/transactions/{id}")).await
    }

    /// Proof that a transaction is decided.
    pub async fn transaction_proof(&self, id: &TransactionId) -> Result<TransactionProof, ClientError> {
        self.get(&format!("/v1/transactions/{id}/proof")).await
    }

    /// Polls that were opened before the one numbered `before` (or the newest), newest first.
    pub async fn polls(&self, before: Option<u64>, limit: Option<usize>) -> Result<Polls, ClientError> {
        self.get(&paged("/v1/polls", "before", before, limit)).await
    }

    /// A poll.
    pub async fn poll(&self, id: &Hash) -> Result<Poll, ClientError> {
        self.get(&format!("/v1/polls/{id}")).await
    }

    /// The tally of a poll.
    pub async fn tally(&self, id: &Hash) -> Result<PollTally, ClientError> {
        self.get(&format!("/v1/polls/{id}/tally")).await
    }

    /// The ballot of a voter that counts.
    pub async fn ballot(&self, poll: &Hash, voter: &PublicKey) -> Result<BallotInfo, ClientError> {
        self.get(&format!("/v1/polls/{poll}/ballots/{voter}")).await
    }

    /// Proposals of governance.
    pub async fn proposals(&self) -> Result<Proposals, ClientError> {
        self.get("/v1/proposals").await
    }

    /// A proposal.
    pub async fn proposal(&self, id: &Hash) -> Result<ProposalInfo, ClientError> {
        self.get(&format!("/v1/proposals/{id}")).await
    }

    /// What the node measures, as OpenMetrics text.
    pub async fn metrics(&self) -> Result<String, ClientError> {
        let bytes = self.exchange(Method::GET, "/metrics", None, ANSWER_TIMEOUT).await?;
        String::from_utf8(bytes.to_vec()).map_err(|error| malformed("/metrics", error))
    }

    /// Submits a transaction and does not wait for the decision. The status is `Pending`.
    pub async fn submit(&self, transaction: &Transaction) -> Result<TransactionStatus, ClientError> {
        self.post("/v1/transactions", Body::cbor(transaction), ANSWER_TIMEOUT).await
    }

    /// Submits a transaction and waits until it is decided: `Pending` when it is not after `timeout` (at most a
    /// minute). It may be repeated safely.
    pub async fn submit_and_wait(
        &self,
        transaction: &Transaction,
        timeout: Duration,
    ) -> Result<TransactionStatus, ClientError> {
        let (path, patience) = waiting(timeout);
        self.post(&path, Body::cbor(transaction), patience).await
    }

    /// Submits several transactions, at most [`MAX_SUBMISSION`](crate::api::MAX_SUBMISSION), with one result for each in their order; waits for the
    /// decisions if `timeout` is given.
    pub async fn submit_all(
        &self,
        transactions: &[Transaction],
        timeout: Option<Duration>,
    ) -> Result<Vec<TransactionStatus>, ClientError> {
        let (path, patience) = timeout.map_or_else(|| ("/v1/transactions".into(), ANSWER_TIMEOUT), waiting);
        let submitted: Submitted = self.post(&path, Body::cbor(transactions), patience).await?;
        Ok(submitted.results)
    }

    /// What happens on the node from now on.
    pub async fn events(&self) -> Result<Events, ClientError> {
        let response = self.send(Method::GET, "/v1/events", None, ANSWER_TIMEOUT).await?;
        Ok(Events::new(response.into_body()))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let bytes = self.exchange(Method::GET, path, None, ANSWER_TIMEOUT).await?;
        serde_json::from_slice(&bytes).map_err(|error| malformed(path, error))
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Body,
        patience: Duration,
    ) -> Result<T, ClientError> {
        let bytes = self.exchange(Method::POST, path, Some(body), patience).await?;
        serde_json::from_slice(&bytes).map_err(|error| malformed(path, error))
    }

    /// Sends a request and reads the whole answer.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Body>,
        patience: Duration,
    ) -> Result<Bytes, ClientError> {
        let response = self.send(method, path, body, patience).await?;
        self.in_time(patience, read(path, response)).await
    }

    /// Sends a request; an answer that is no success is an error.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Body>,
        patience: Duration,
    ) -> Result<Response<Incoming>, ClientError> {
        let uri =
            Uri::builder().scheme("http").authority(self.authority.clone()).path_and_query(path).build();
        let mut request = Request::builder().method(method).uri(uri.map_err(|error| malformed(path, error))?);
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if let Some(body) = &body {
            request = request.header(header::CONTENT_TYPE, body.media_type);
        }
        let body = Full::new(Bytes::from(body.map(|body| body.bytes).unwrap_or_default()));
        let request = request.body(body).map_err(|error| malformed(path, error))?;
        let response = self.in_time(patience, async {
            self.http.request(request).await.map_err(|error| match error.is_connect() {
                true => ClientError::Unreachable { url: self.url.clone(), reason: causes(&error) },
                false => ClientError::Interrupted(causes(&error)),
            })
        });
        let response = response.await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let bytes = self.in_time(patience, read(path, response)).await?;
        Err(problem(path, status, &bytes))
    }

    async fn in_time<T>(
        &self,
        patience: Duration,
        exchange: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let timeout = || ClientError::Timeout { url: self.url.clone(), seconds: patience.as_secs() };
        tokio::time::timeout(patience, exchange).await.unwrap_or_else(|_| Err(timeout()))
    }
}

/// What a request carries.
struct Body {
    media_type: &'static str,
    bytes: Vec<u8>,
}

impl Body {
    fn cbor(value: &(impl Serialize + ?Sized)) -> Self {
        Self { media_type: "application/cbor", bytes: codec::encode(value) }
    }

    fn json(value: &impl Serialize) -> Self {
        let bytes = serde_json::to_vec(value).expect("what is sent as JSON has only texts and numbers");
        Self { media_type: "application/json", bytes }
    }
}

async fn read(path: &str, response: Response<Incoming>) -> Result<Bytes, ClientError> {
    match Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(malformed(path, format!("it has more than {MAX_ANSWER_BYTES} bytes")))
        }
        Err(error) => Err(ClientError::Interrupted(error.to_string())),
    }
}

/// The problem in an answer that is no success.
fn problem(path: &str, status: StatusCode, bytes: &[u8]) -> ClientError {
    match serde_json::from_slice(bytes) {
        Ok(problem) => ClientError::Problem(Box::new(problem)),
        Err(_) => malformed(path, format!("status {status} without problem details")),
    }
}

fn malformed(path: &str, reason: impl std::fmt::Display) -> ClientError {
    ClientError::Malformed { what: format!("the answer to {path}"), reason: reason.to_string() }
}

/// The path that waits for a decision, and how long its answer may take.
fn waiting(timeout: Duration) -> (String, Duration) {
    let milliseconds = (timeout.as_millis() as u64).min(MAX_WAIT_MS);
    (format!("/v1/transactions?wait=decided&timeout_ms={milliseconds}"), timeout + ANSWER_TIMEOUT)
}

fn paged(path: &str, name: &str, from: Option<u64>, limit: Option<usize>) -> String {
    let mut text = path.to_owned();
    let mut separator = '?';
    for (name, value) in [(name, from), ("limit", limit.map(|limit| limit as u64))] {
        if let Some(value) = value {
            write!(text, "{separator}{name}={value}").expect("writing to a string cannot fail");
            separator = '&';
        }
    }
    text
}

/// An error and what caused it, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        write!(text, ": {cause}").expect("writing to a string cannot fail");
        source = cause.source();
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_are_none_of_an_api_are_refused() {
        for url in
            ["https://127.0.0.1:1", "127.0.0.1:1", "http://127.0.0.1:1/v1", "http://h:1/?x=1", "", "http://"]
        {
            assert!(matches!(Client::new(url, None), Err(ClientError::Url { .. })), "{url}");
        }
        assert!(Client::new("http://h:1", Some("a\nb")).is_err());
        assert_eq!(Client::new("http://[::1]:80/", None).unwrap().url(), "http://[::1]:80");
    }

    #[test]
    fn pages_are_asked_for_by_query() {
        assert_eq!(paged("/p", "from", None, None), "/p");
        assert_eq!(paged("/p", "from", None, Some(3)), "/p?limit=3");
        assert_eq!(paged("/p", "from", Some(9), Some(3)), "/p?from=9&limit=3");
    }
}
