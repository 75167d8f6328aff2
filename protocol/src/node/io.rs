//! What goes into the node's logic and what comes out of it: bytes, identifiers and verdicts, nothing of libp2p.

use super::record::LogRecord;
use crate::{
    admission::{self, Puzzle},
    announcements,
    handshake::{self, RefusalReason},
    known_peers::{SavedPeers, Source},
    peer::Peer,
    penalty::Severity,
    sync,
    time::Time,
};
use conclave_ledger::{
    block::Decided,
    chain::Applied,
    hash::TransactionId,
    keys::PublicKey,
    pool::PoolError,
    proof::Proof,
    signed::{Height, Value},
    state::Changes,
    transaction::SharedTransaction,
};
use std::sync::Arc;

/// The two clocks of a node at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Monotonic; windows and timeouts count on it.
    pub time: Time,
    /// Milliseconds since 1970; blocks' timestamps only.
    pub unix_ms: u64,
}

/// The long-lived ordered channels between two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// Consensus messages.
    Consensus,
    /// Transactions.
    Transactions,
}

/// The request-response protocols between two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Handshake.
    Handshake,
    /// Sync.
    Sync,
    /// Admission.
    Admission,
    /// Peer exchange.
    Peers,
}

/// What the driver tells the logic.
#[derive(Debug)]
pub enum Input {
    /// Something for the handshake machine: connections, addresses, leaving.
    Handshake(handshake::Command),
    /// A channel to a peer can be written to; after a reconnect it says so again.
    ChannelOpened(Peer, Channel),
    /// A channel to a peer is gone.
    ChannelClosed(Peer, Channel),
    /// A peer has opened its side of a channel that is not open.
    ChannelEarly(Peer, Channel),
    /// A frame came over a channel.
    Frame(Peer, Channel, Vec<u8>),
    /// A peer sent what no honest node sends, below the level of messages.
    Malformed(Peer, String),
    /// A request came; the answer goes out with the same number.
    Request {
        /// Who asks.
        peer: Peer,
        /// Over which protocol.
        protocol: Protocol,
        /// The driver's number for it.
        number: u64,
        /// The request.
        bytes: Vec<u8>,
    },
    /// The answer to a request of [`Effect::Request`].
    Response {
        /// Who answers.
        peer: Peer,
        /// Over which protocol.
        protocol: Protocol,
        /// The number of the request.
        number: u64,
        /// The answer.
        bytes: Vec<u8>,
    },
    /// A request of [`Effect::Request`] got no answer.
    RequestFailed {
        /// Who was asked.
        peer: Peer,
        /// Over which protocol.
        protocol: Protocol,
        /// The number of the request.
        number: u64,
    },
    /// A local program submits transactions; answered by [`Effect::Submitted`] with the same ticket.
    Submit {
        /// The driver's number for it.
        ticket: u64,
        /// The transactions.
        transactions: Vec<SharedTransaction>,
    },
    /// A finder (a tracker, the hash table, the local network) found a peer. All finders feed the logic by this.
    Found {
        /// Whom.
        peer: Peer,
        /// Its multiaddrs, with or without `/p2p/…`; those that are too many or too long are dropped.
        addresses: Vec<String>,
        /// Which finder.
        source: Source,
        /// Which tracker, if it was one.
        by: Option<Peer>,
    },
    /// A dial of [`Effect::DialPeer`] failed. (One that succeeds is told to the handshake.)
    DialFailed(Peer),
    /// Where a connection leads to or comes from; told before the handshake hears of the connection.
    RemoteAddress {
        /// Whose.
        peer: Peer,
        /// The multiaddr of the other end.
        address: String,
    },
    /// Where this node can be reached: binary multiaddrs, without `/p2p/…`; all of them, each time one changes.
    OwnAddresses(Vec<Vec<u8>>),
    /// The search of [`Effect::Solve`] has found this.
    Solved {
        /// Its number.
        ticket: u64,
        /// The solution.
        solution: u64,
    },
    /// Gossipsub brought something of a peer.
    Announcement(Peer, announcements::Message),
    /// A local module wants something.
    Module(announcements::Command),
    /// What storage found for [`Effect::Lookup`].
    LookedUp {
        /// The number of the lookup.
        token: u64,
        /// The answer.
        response: sync::Response,
    },
}

/// What the logic wants of the driver, in order.
#[derive(Debug)]
pub enum Effect {
    /// Write to the log and sync it before any later effect but [`Effect::Send`] with `bulk` takes place.
    Append(LogRecord),
    /// Dial an address.
    Dial(String),
    /// Dial a peer, unless it is connected or being dialled; failure is answered by [`Input::DialFailed`].
    DialPeer {
        /// Whom.
        peer: Peer,
        /// Its multiaddrs; any that leads to it will do.
        addresses: Vec<String>,
    },
    /// Search for a solution, away from the loop; answered by [`Input::Solved`].
    Solve {
        /// Its number.
        ticket: u64,
        /// What to solve.
        puzzle: Puzzle,
    },
    /// Give the search with this number up.
    CancelSolve(u64),
    /// Write down who is known.
    SavePeers(SavedPeers),
    /// The node wants to know more peers: ask the trackers and the other finders; answered by [`Input::Found`], as
    /// often as there is something.
    AskTrackers,
    /// Close one connection.
    CloseConnection {
        /// To whom.
        peer: Peer,
        /// The driver's number for it.
        connection: u64,
        /// Why, for the log.
        reason: String,
        /// Whether to close it at once; otherwise the last answer is given a moment to get there.
        at_once: bool,
    },
    /// The handshake with a peer is done: open its channels.
    OpenChannels(Peer),
    /// The admission of a peer is settled, too: let its announcements in. Closing the channels ends that.
    OpenAnnouncements(Peer),
    /// Close the channels of a peer.
    CloseChannels(Peer),
    /// Send a frame. Bulk frames bind nobody, may be overtaken, and need not wait for the log.
    Send {
        /// To whom.
        peer: Peer,
        /// Over which channel.
        channel: Channel,
        /// Whether it is a block's body.
        bulk: bool,
        /// The frame.
        bytes: Arc<[u8]>,
    },
    /// Send a request.
    Request {
        /// To whom.
        peer: Peer,
        /// Over which protocol.
        protocol: Protocol,
        /// Its number.
        number: u64,
        /// The request.
        bytes: Vec<u8>,
    },
    /// Answer a request.
    Respond {
        /// To whom.
        peer: Peer,
        /// Over which protocol.
        protocol: Protocol,
        /// The number of [`Input::Request`].
        number: u64,
        /// The answer.
        bytes: Vec<u8>,
    },
    /// Drop a request unanswered: it fails at the peer.
    Ignore {
        /// The number of [`Input::Request`].
        number: u64,
    },
    /// Find what a peer asks for in storage; answered by [`Input::LookedUp`].
    Lookup {
        /// Its number.
        token: u64,
        /// What.
        request: sync::Request,
    },
    /// The verdicts on submitted transactions, in order.
    Submitted {
        /// The number of the submission.
        ticket: u64,
        /// One verdict for each.
        verdicts: Vec<Result<TransactionId, PoolError>>,
    },
    /// Transactions that can no longer be decided, and the rule that they broke.
    Dropped(Vec<(TransactionId, String)>),
    /// A height was decided and is in the log.
    Decided {
        /// The record.
        decided: Arc<Decided>,
        /// What it did.
        applied: Arc<Applied>,
        /// The proof, if known.
        proof: Option<Proof>,
        /// Time since this node opened the height, in microseconds; `None` if it came by sync.
        micros: Option<u64>,
    },
    /// A proof became known, or one with more signatures.
    Proved {
        /// The height.
        height: Height,
        /// The proof.
        proof: Proof,
    },
    /// Decided heights from this one on were undone; `changes` take the state back.
    RolledBack {
        /// The height.
        height: Height,
        /// Entries of the state.
        changes: Changes,
    },
    /// Something for gossipsub, a local module or the metrics. It binds nobody and need not wait for the log.
    Announcements(announcements::Event),
    /// For the log, the metrics and those who watch.
    Tell(Notice),
}

/// What happens, for those who watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
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
    /// A height cannot close (rule P2).
    Halted {
        /// The height.
        height: Height,
        /// Validators reachable, this one counted.
        closing: usize,
        /// How many are needed.
        quorum: usize,
    },
    /// A peer finished its handshake.
    PeerConnected {
        /// The peer.
        peer: Peer,
        /// Its validator key, if it has proved one of the current set.
        validator: Option<PublicKey>,
        /// The height that it spoke of.
        height: Height,
        /// Its program and version.
        version: String,
    },
    /// A peer is gone.
    PeerLost(Peer),
    /// A peer was refused, by us or by them.
    PeerRefused {
        /// The peer.
        peer: Peer,
        /// Why.
        reason: RefusalReason,
        /// Whether it was this node that refused.
        by_us: bool,
    },
    /// A peer was blamed.
    PeerPenalized {
        /// The peer.
        peer: Peer,
        /// How bad it was.
        severity: Severity,
        /// What for.
        reason: String,
    },
    /// What became of transactions that a peer sent.
    PeerTransactions {
        /// What.
        outcome: TransactionOutcome,
        /// Of how many.
        count: usize,
    },
    /// A peer that dialled this node is admitted.
    Admitted {
        /// The peer.
        peer: Peer,
        /// How.
        outcome: admission::Outcome,
    },
    /// A peer that this node dialled admits it.
    AdmittedBy(Peer),
    /// A peer is not admitted, by us or by them.
    NotAdmitted {
        /// The peer.
        peer: Peer,
        /// Why.
        reason: admission::Refusal,
        /// Whether it was this node that refused.
        by_us: bool,
    },
    /// A peer told of others, with records that hold.
    PeersTold {
        /// Who.
        by: Peer,
        /// Of how many.
        count: usize,
    },
    /// A peer told of others what does not hold.
    RecordsRefused(Peer),
    /// Nobody answered at an address for so long that it is only tried slowly.
    AddressSilent(String),
    /// The node is behind and catches up.
    CatchingUp {
        /// Where it is.
        height: Height,
        /// Where it is going.
        target: Height,
    },
    /// The node is at the tip again.
    CaughtUp(Height),
    /// A validator signed twice; evidence was submitted.
    Misbehaved {
        /// Whose key.
        validator: PublicKey,
        /// At which height.
        height: Height,
    },
    /// The node must not take part any more; a person has to look at it.
    Failed(String),
    /// All peers know that the node leaves.
    Left,
}

/// What becomes of a transaction that a peer sends and that this node has not got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TransactionOutcome {
    /// It waits in the pool.
    Admitted,
    /// There is no room for it, or it waits already.
    NoRoom,
    /// It breaks a rule at this node's tip.
    Refused,
    /// It breaks a rule at any tip: its sender is blamed.
    False,
}

impl TransactionOutcome {
    pub(super) fn of(verdict: &Result<TransactionId, PoolError>) -> Self {
        match verdict {
            Ok(_) => Self::Admitted,
            Err(PoolError::AlreadyWaiting | PoolError::Full { .. } | PoolError::TooManyOfSender(_)) => {
                Self::NoRoom
            }
            Err(error) if error.is_temporary() => Self::Refused,
            Err(_) => Self::False,
        }
    }

    /// Its name in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::NoRoom => "no_room",
            Self::Refused => "refused",
            Self::False => "false",
        }
    }
}
