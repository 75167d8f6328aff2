//! A node of one validator that decides a block as soon as something is submitted, for tests of the API alone.
//!
//! It has a real chain, a real pool and a real database; consensus is the signature of its only validator. The
//! newest [`RECENT`] heights are kept as recent ones, older ones are in the database only.

use super::super::{ApiConfig, Metrics, ServeError, serve};
use crate::{
    chat::Said,
    client::Client,
    node::handle::{
        Dialled, EVENT_QUEUE, Handle, NodeEvent, NodeStatus, NodeView, NotDialled, Outcome, PeerInfo,
        REQUEST_QUEUE, RecentHeight, Report, Request,
    },
    storage::{Batch, Database, TransactionLocation},
};
use conclave_ledger::{
    applications::{Payload, records::Record},
    block::Decided,
    bytes::Bytes,
    chain::{Chain, NothingKnown},
    codec,
    genesis::{Engine, FORMAT, Genesis, Limits},
    hash::{Hash, TransactionId},
    keys::SecretKey,
    pool::{Pool, PoolLimits},
    proof::Proof,
    signed::{Height, Kind, Slot},
    transaction::{self, Transaction},
    validators::{FaultBound, Validator},
};
use conclave_protocol::{
    known_peers::{self, KnownPeers, Source},
    machine::{Input, Machine},
    peer::Peer,
    peer_record::peer_of_key,
    time::Time,
};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{broadcast, mpsc, oneshot, watch},
    task::JoinHandle,
};

/// Decided heights that are not only in the database.
const RECENT: usize = 2;

/// What a test has the node do.
pub(super) enum Control {
    /// Decide what is submitted (as at the start), or let it wait.
    Decide(bool),
    /// Decide a skip.
    Skip,
    /// Forget the proof of the last height.
    ForgetProof,
    /// Say this of itself.
    Status(NodeStatus),
    /// Be connected to these peers.
    Peers(Vec<PeerInfo>),
    /// Say this to whoever has an address dialled from now on.
    Dialled(Dialled),
    /// Drop everything that waits, for this reason.
    Drop(String),
}

/// The peer whom the node knows, from a tracker.
pub(super) fn known_peer() -> Peer {
    peer_of_key(&SecretKey::from_seed([9; 32]).public())
}

fn known_peers() -> KnownPeers {
    let config = known_peers::Config {
        peer: peer_of_key(&validator().public()),
        target_connections: 8,
        max_observers: 8,
        max_connections: 512,
        refresh_interval: Duration::from_secs(600),
        max_attempts: 10,
        max_known_peers: 16,
        seed: [0; 32],
    };
    let mut known = KnownPeers::new(config, Time(0));
    let addresses = vec!["/ip4/192.0.2.9/tcp/7700".into()];
    let command =
        known_peers::Command::Found { peer: known_peer(), addresses, source: Source::Tracker, by: None };
    known.handle(Input::Command(command), Time(0));
    known
}

/// The key of the validator.
pub(super) fn validator() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

/// A key that needs no stamp.
pub(super) fn sender() -> SecretKey {
    SecretKey::from_seed([2; 32])
}

/// The network of the node.
pub(super) fn genesis() -> Genesis {
    Genesis {
        format: FORMAT,
        name: "api-test".into(),
        engine: Engine::DolevStrong,
        fast: true,
        faulty: FaultBound::Third,
        delta_ms: 100,
        created_ms: 1_000,
        stamp_bits: 8,
        proof_of_work: None,
        limits: Limits::default(),
        validators: vec![Validator { name: "alice".into(), key: validator().public() }],
        senders: vec![sender().public()],
        records: vec![],
    }
}

/// A transaction of the network that expires at height 900.
pub(super) fn signed(key: &SecretKey, payload: Payload) -> Transaction {
    let network = genesis().network_id();
    transaction::Request { network, sender: key.public(), expires: 900, payload }.sign(key)
}

/// A record that says `text`.
pub(super) fn record(text: &str) -> Transaction {
    signed(&sender(), Payload::Record(Record { kind: "note".into(), data: Bytes(text.as_bytes().to_vec()) }))
}

struct FakeNode {
    chain: Chain,
    pool: Pool,
    peers: Vec<PeerInfo>,
    known_peers: KnownPeers,
    status: NodeStatus,
    recent: BTreeMap<Height, RecentHeight>,
    proofs: BTreeMap<Height, Proof>,
    waiting: Vec<(TransactionId, mpsc::UnboundedSender<Report>)>,
    events: broadcast::Sender<NodeEvent>,
    database: Arc<Database>,
    decides: bool,
    dialled: Dialled,
}

impl FakeNode {
    async fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        mut controls: mpsc::Receiver<(Control, oneshot::Sender<()>)>,
    ) {
        loop {
            tokio::select! {
                Some(request) = requests.recv() => self.handle(request),
                Some((control, done)) = controls.recv() => {
                    self.control(control);
                    let _ = done.send(());
                }
                else => return,
            }
        }
    }

    fn handle(&mut self, request: Request) {
        match request {
            Request::Read(query) => query(&NodeView {
                chain: &self.chain,
                pool: &self.pool,
                peers: &self.peers,
                known_peers: &self.known_peers,
                status: &self.status,
                recent: &self.recent,
                mining: None,
            }),
            Request::Submit { transactions, reply, watcher } => {
                if let Some(watcher) = watcher {
                    self.waiting.extend(transactions.iter().map(|it| (it.id(), watcher.clone())));
                }
                let admitted = transactions.into_iter().map(|it| self.pool.admit(it, &self.chain, 2_000));
                let _ = reply.send(admitted.collect());
                if self.decides {
                    self.decide_block();
                }
            }
            Request::Say { text, reply } => {
                let said = Said::new(self.chain.network(), &validator(), 2_000, text);
                if let Ok(Said { at, text, .. }) = said.clone() {
                    let (peer_id, timestamp) = (self.status.peer_id.clone(), at);
                    let _ = self.events.send(NodeEvent::Announced { peer_id, timestamp, text });
                }
                drop(reply.send(said));
            }
            Request::Dial { reply, .. } => drop(reply.send(self.dialled.clone())),
        }
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Decide(decides) => {
                self.decides = decides;
                if decides {
                    self.decide_block();
                }
            }
            Control::Skip => self.apply(Decided::Skip(self.chain.skip())),
            Control::ForgetProof => {
                if let Some(mut last) = self.recent.last_entry() {
                    last.get_mut().proof = None;
                }
            }
            Control::Status(status) => self.status = status,
            Control::Peers(peers) => self.peers = peers,
            Control::Dialled(dialled) => self.dialled = dialled,
            Control::Drop(reason) => {
                let waiting = std::mem::take(&mut self.waiting);
                for (id, waiter) in waiting {
                    self.pool.remove(&id);
                    let _ = waiter.send((id, Outcome::Dropped(reason.clone())));
                }
            }
        }
    }

    fn decide_block(&mut self) {
        let proofs = self.chain.unproven().map(|(height, _)| self.proofs[&height].clone()).collect();
        let block = self.chain.propose(validator().public(), 2_000, proofs, self.pool.iter());
        if let Some((block, _)) = block {
            self.apply(Decided::Block(block.into()));
        }
    }

    fn apply(&mut self, decided: Decided) {
        let (height, value) = (decided.height(), decided.value());
        let slot = Slot { network: self.chain.network(), height };
        let vote = slot.sign(&validator(), Kind::Vote, &value);
        let proof = Proof::Certificate([(0, vote)].into_iter().collect());
        let applied =
            self.chain.apply(&decided, None, &NothingKnown, true).expect("what the node proposes is valid");
        for (index, id) in applied.transactions.iter().enumerate() {
            self.pool.remove(id);
            for (_, waiter) in self.waiting.extract_if(.., |(waited_for, _)| waited_for == id) {
                let outcome = Outcome::Decided { height, block: applied.hash, index: index as u32 };
                let _ = waiter.send((*id, outcome));
            }
        }
        let decided = Arc::new(decided);
        self.proofs.insert(height, proof.clone());
        self.recent.insert(
            height,
            RecentHeight {
                decided: decided.clone(),
                proof: Some(proof),
                transactions: applied.transactions.as_slice().into(),
            },
        );
        while self.recent.len() > RECENT {
            let (height, oldest) = self.recent.pop_first().expect("there are several");
            write(&self.database, height, &oldest);
        }
        let _ = self.events.send(NodeEvent::Decided { decided, applied: Arc::new(applied), micros: Some(7) });
    }
}

fn write(database: &Database, height: Height, recent: &RecentHeight) {
    let mut batch = Batch { last_height: height, ..Batch::default() };
    batch.blocks.push((height, codec::encode(recent.decided.as_ref()).into()));
    if let Some(proof) = &recent.proof {
        batch.proofs.push((height, codec::encode(proof)));
    }
    for (index, transaction) in
        recent.decided.block().iter().flat_map(|block| &block.transactions).enumerate()
    {
        let location = TransactionLocation { height, position: index as u32 };
        batch.transactions.push((transaction.id().0, location));
    }
    database.commit(&batch).unwrap();
}

/// A running node with its API.
pub(super) struct TestNode {
    pub(super) address: SocketAddr,
    pub(super) client: Client,
    pub(super) handle: Handle,
    controls: mpsc::Sender<(Control, oneshot::Sender<()>)>,
    /// Ends when the API has stopped.
    pub(super) served: JoinHandle<Result<(), ServeError>>,
    _home: tempfile::TempDir,
}

impl TestNode {
    /// A node without a token.
    pub(super) async fn start() -> Self {
        Self::start_with(PoolLimits::default(), None, vec![]).await
    }

    pub(super) async fn start_with(limits: PoolLimits, token: Option<&str>, hostnames: Vec<String>) -> Self {
        let (handle, controls, home) = node(limits);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = ApiConfig { listen: address, token: token.map(Into::into), hostnames };
        let served = tokio::spawn(serve(listener, handle.clone(), config, Metrics::default()));
        let client = Client::new(&format!("http://{address}"), token).unwrap();
        Self { address, client, handle, controls, served, _home: home }
    }

    /// Has the node do something, and waits until it has.
    pub(super) async fn control(&self, control: Control) {
        let (done, wait) = oneshot::channel();
        self.controls.send((control, done)).await.ok().unwrap();
        wait.await.unwrap();
    }

    /// Submits a transaction and returns its height when it is decided.
    pub(super) async fn decide(&self, transaction: &Transaction) -> Height {
        use super::super::types::TransactionStatus;
        let status =
            self.client.submit_and_wait(transaction, std::time::Duration::from_secs(30)).await.unwrap();
        match status {
            TransactionStatus::Decided { height, id, .. } if id == transaction.id() => height,
            other => panic!("not decided: {other:?}"),
        }
    }

    /// Sends a request with these headers besides `Connection`, exactly as they are.
    pub(super) async fn raw(&self, request_line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut head = format!("{request_line} HTTP/1.1\r\nConnection: close\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        // The node may answer and close before it has read everything.
        let _ = stream.write_all(body).await;
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        Answer::parse(&bytes)
    }

    /// Gets `path` as a program on this machine does.
    pub(super) async fn get(&self, path: &str) -> Answer {
        self.raw(&format!("GET {path}"), &[("Host", &self.address.to_string())], b"").await
    }

    /// Posts `body` to `path`.
    pub(super) async fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Answer {
        let (host, length) = (self.address.to_string(), body.len().to_string());
        let headers = [("Host", host.as_str()), ("Content-Type", content_type), ("Content-Length", &length)];
        self.raw(&format!("POST {path}"), &headers, body).await
    }
}

type Controls = mpsc::Sender<(Control, oneshot::Sender<()>)>;

/// A node without its API.
pub(super) fn node(limits: PoolLimits) -> (Handle, Controls, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    let network = genesis().network_id().0;
    let database = Arc::new(Database::create(&home.path().join("chain.redb"), network).unwrap());
    let (requests, requests_in) = mpsc::channel(REQUEST_QUEUE);
    let (controls, controls_in) = mpsc::channel(16);
    let (events, _) = broadcast::channel(EVENT_QUEUE);
    let fake = FakeNode {
        chain: Chain::new(Arc::new(genesis())),
        pool: Pool::new(limits),
        peers: vec![],
        known_peers: known_peers(),
        status: NodeStatus {
            peer_id: "12D3KooWTest".into(),
            listen: vec!["/ip4/127.0.0.1/tcp/1/p2p/12D3KooWTest".into()],
            validator: Some(validator().public()),
            ..NodeStatus::default()
        },
        recent: BTreeMap::new(),
        proofs: BTreeMap::new(),
        waiting: vec![],
        events: events.clone(),
        database: database.clone(),
        decides: true,
        dialled: Err(NotDialled::Failed("nobody is there".into())),
    };
    tokio::spawn(fake.run(requests_in, controls_in));
    (Handle { requests, events, database, stopping: watch::Sender::new(false) }, controls, home)
}

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|it| it == b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap();
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that it is a problem with this status and rule, and returns its detail.
    #[track_caller]
    pub(super) fn problem(&self, status: u16, rule: Option<&str>) -> String {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["rule"].as_str(), rule, "{problem}");
        let kind = rule.map_or("about:blank".into(), |rule| format!("urn:conclave:rule:{rule}"));
        assert_eq!(problem["type"], kind);
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()));
        problem["detail"].as_str().unwrap().to_owned()
    }
}

/// A hash that nothing has.
pub(super) fn no_such() -> Hash {
    Hash([9; 32])
}
