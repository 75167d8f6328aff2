//! How the rest of the process talks to the running node: the HTTP API, the consoles and the tests.
//!
//! Queries run on the node's own task between two inputs, so they see one consistent state and never wait for
//! consensus. A query must be short: what takes long (a tally of a thousand options) copies what it needs inside
//! [`Handle::read`] and computes outside.

use crate::{
    chat::{Said, SaidError},
    storage::Database,
};
use conclave_ledger::{
    block::{Block, Decided},
    chain::{Applied, Chain},
    hash::{Hash, TransactionId},
    keys::PublicKey,
    pool::{Pool, PoolError},
    proof::Proof,
    signed::{Height, Value},
    transaction::SharedTransaction,
};
use conclave_protocol::{known_peers::KnownPeers, mining::Mining};
use libp2p::Multiaddr;
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// Requests that may wait for the node's task.
pub const REQUEST_QUEUE: usize = 4096;

/// Events that a slow subscriber may be behind before it misses some.
pub const EVENT_QUEUE: usize = 1024;

/// The node has stopped, or is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node has stopped")]
pub struct Stopped;

/// What a query may look at.
pub struct NodeView<'a> {
    /// The chain at its tip.
    pub chain: &'a Chain,
    /// What waits to be decided.
    pub pool: &'a Pool,
    /// Connected peers.
    pub peers: &'a [PeerInfo],
    /// Who is known, connected or not.
    pub known_peers: &'a KnownPeers,
    /// Where the node itself stands.
    pub status: &'a NodeStatus,
    /// Decided heights that are in the log but not in the database yet, ascending.
    pub recent: &'a std::collections::BTreeMap<Height, RecentHeight>,
    /// Branches and their work, where that decides.
    pub mining: Option<&'a Mining>,
}

/// A decided height with its proof, if that is known yet.
#[derive(Clone, Debug)]
pub struct RecentHeight {
    /// The record.
    pub decided: Arc<Decided>,
    /// The proof.
    pub proof: Option<Proof>,
    /// Ids of its transactions, in order.
    pub transactions: Arc<[TransactionId]>,
}

/// What a node says of itself.
#[derive(Clone, Debug, Default)]
pub struct NodeStatus {
    /// The node's libp2p peer id, as text.
    pub peer_id: String,
    /// Addresses that it listens on, each with `/p2p/…`.
    pub listen: Vec<String>,
    /// The validator key, if it has one.
    pub validator: Option<PublicKey>,
    /// Whether it searches for a block at this moment.
    pub is_mining: bool,
    /// Its hashes in a second, over the last seconds.
    pub hash_rate: f64,
    /// The height it is catching up to, while it does.
    pub catching_up_to: Option<Height>,
    /// The height that cannot close for want of a quorum, while there is one.
    pub halted: Option<Height>,
    /// Why the node has stopped taking part for good (a state that differs, a log that cannot be written).
    pub failed: Option<String>,
}

/// A connected peer.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// Its libp2p peer id, as text.
    pub peer_id: String,
    /// Its validator key, if it has proved one of the current set.
    pub validator: Option<PublicKey>,
    /// Its name in the validator set.
    pub name: Option<String>,
    /// The height that it last spoke of.
    pub height: Height,
    /// Its program and version.
    pub version: String,
    /// Address of the connection.
    pub address: String,
}

/// What happens on the node, for those who watch.
#[derive(Clone, Debug)]
pub enum NodeEvent {
    /// A height was opened.
    Opened {
        /// The height.
        height: Height,
        /// Its leader.
        leader: PublicKey,
    },
    /// This node signed a vote.
    Voted {
        /// The height.
        height: Height,
        /// What for.
        value: Value,
    },
    /// A height was decided and is in the log.
    Decided {
        /// The record.
        decided: Arc<Decided>,
        /// What it did.
        applied: Arc<Applied>,
        /// Time from opening to decision on this node, in microseconds; `None` if it came by sync.
        micros: Option<u64>,
    },
    /// Decided heights from this one on were undone (rule R1).
    RolledBack {
        /// The height.
        height: Height,
    },
    /// A block was undone for a branch with more work.
    Undone(Arc<Block>),
    /// A height cannot close: too few validators are reachable.
    Halted {
        /// The height.
        height: Height,
        /// Validators reachable, this one counted.
        closing: usize,
        /// How many are needed.
        quorum: usize,
    },
    /// A peer finished its handshake.
    PeerConnected(PeerInfo),
    /// A peer is gone.
    PeerLost {
        /// Its peer id.
        peer_id: String,
    },
    /// A handshake was refused.
    PeerRefused {
        /// The peer's id.
        peer_id: String,
        /// Why.
        reason: String,
        /// Whether it was this node that refused.
        by_us: bool,
    },
    /// A peer was blamed for something.
    PeerPenalized {
        /// Its peer id.
        peer_id: String,
        /// What for.
        reason: String,
    },
    /// Somebody said something to everybody.
    Announced {
        /// Whose node.
        peer_id: String,
        /// When, in milliseconds since 1970, by their clock.
        timestamp: u64,
        /// What.
        text: String,
    },
    /// The node is catching up.
    CatchingUp {
        /// Where it is.
        height: Height,
        /// Where it is going.
        target: Height,
    },
}

/// What became of a transaction that somebody waits for.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is in this block, and the decision is on this node's disk.
    Decided {
        /// The block's height.
        height: Height,
        /// The block's hash.
        block: Hash,
        /// Its position in the block, from 0.
        index: u32,
    },
    /// It can no longer be decided; the text says which rule it broke.
    Dropped(String),
}

/// The verdicts on submitted transactions, in order.
pub type Verdicts = Vec<Result<TransactionId, PoolError>>;

/// A transaction, and what became of it.
pub type Report = (TransactionId, Outcome);

/// What came of dialling an address: the peer id of the node there, or why there is no connection.
pub type Dialled = Result<String, NotDialled>;

/// Why there is no connection to an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDialled {
    /// So many addresses are being dialled for callers already.
    #[error("{0} addresses are being dialled already: try again in a moment")]
    Busy(usize),
    /// The dial failed.
    #[error("{0}")]
    Failed(String),
}

/// A request to the node's task.
pub(crate) enum Request {
    Read(Box<dyn FnOnce(&NodeView<'_>) + Send>),
    Submit {
        transactions: Vec<SharedTransaction>,
        reply: oneshot::Sender<Verdicts>,
        /// Who is told what becomes of those that wait in the pool then.
        watcher: Option<mpsc::UnboundedSender<Report>>,
    },
    Say {
        text: String,
        reply: oneshot::Sender<Result<Said, SaidError>>,
    },
    Dial {
        address: Multiaddr,
        reply: oneshot::Sender<Dialled>,
    },
}

/// A running node, as the rest of the process sees it. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(crate) requests: mpsc::Sender<Request>,
    pub(crate) events: broadcast::Sender<NodeEvent>,
    pub(crate) database: Arc<Database>,
    pub(crate) stopping: watch::Sender<bool>,
}

impl Handle {
    /// Runs `query` on the node's task and returns what it returns.
    ///
    /// # Errors
    /// When the node has stopped.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&NodeView<'_>) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        let run = Box::new(move |view: &NodeView<'_>| {
            // The one who asked may have gone meanwhile.
            let _ = reply.send(query(view));
        });
        self.requests.send(Request::Read(run)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// Offers transactions to the pool; each is admitted or refused by itself. Admitted ones are gossiped.
    ///
    /// # Errors
    /// When the node has stopped.
    pub async fn submit(&self, transactions: Vec<SharedTransaction>) -> Result<Verdicts, Stopped> {
        self.offer(transactions, None).await
    }

    /// The same, and each of them that waits in the pool then is reported once it is decided or can no longer be. The
    /// queue holds no more than one report for each; it ends when nothing is left to be reported, or the node stops.
    ///
    /// # Errors
    /// When the node has stopped.
    pub async fn submit_and_watch(
        &self,
        transactions: Vec<SharedTransaction>,
    ) -> Result<(Verdicts, mpsc::UnboundedReceiver<Report>), Stopped> {
        let (watcher, reports) = mpsc::unbounded_channel();
        Ok((self.offer(transactions, Some(watcher)).await?, reports))
    }

    async fn offer(
        &self,
        transactions: Vec<SharedTransaction>,
        watcher: Option<mpsc::UnboundedSender<Report>>,
    ) -> Result<Verdicts, Stopped> {
        let (reply, answer) = oneshot::channel();
        let submission = Request::Submit { transactions, reply, watcher };
        self.requests.send(submission).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// Says something to everybody in the network, in this node's name. Nobody acknowledges it.
    ///
    /// # Errors
    /// When the node has stopped; inside, when it is no text that can be said.
    pub async fn say(&self, text: String) -> Result<Result<Said, SaidError>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Say { text, reply }).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// Dials an address once and waits for the connection. The handshake follows it: see
    /// [`NodeEvent::PeerConnected`]. A peer that was reached is dialled again when it is lost.
    ///
    /// # Errors
    /// When the node has stopped.
    pub async fn dial(&self, address: Multiaddr) -> Result<Dialled, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Dial { address, reply }).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// What happens from now on. A subscriber that falls [`EVENT_QUEUE`] behind misses some and is told so.
    pub fn events(&self) -> broadcast::Receiver<NodeEvent> {
        self.events.subscribe()
    }

    /// The database, for heights that are no longer in [`NodeView::recent`]. Reading it blocks.
    pub fn database(&self) -> &Arc<Database> {
        &self.database
    }

    /// Asks the node to stop cleanly.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }
}
