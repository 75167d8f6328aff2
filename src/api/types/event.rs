//! What happens on a node, as its event stream tells it.

use super::{NamedKey, Peer, RecordKind, schema};
use conclave_ledger::{hash::Hash, signed::Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something that happened on the node. `event` is also the name of the server-sent event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A height was opened.
    Opened {
        /// The height.
        height: u64,
        /// Its leader.
        leader: NamedKey,
    },
    /// This node signed a vote.
    Voted {
        /// The height.
        height: u64,
        /// What for.
        #[schema(value_type = schema::Decision)]
        value: Value,
    },
    /// A height was decided and is on this node's disk.
    Decided {
        /// The height.
        height: u64,
        /// Hash of its record.
        #[schema(value_type = schema::Hex32)]
        hash: Hash,
        /// Block or skip.
        kind: RecordKind,
        /// The block's leader; absent for a skip.
        leader: Option<NamedKey>,
        /// The block's timestamp; absent for a skip.
        timestamp: Option<u64>,
        /// Number of transactions.
        transactions: usize,
        /// From opening to decision on this node, in microseconds; absent if it came by sync.
        micros: Option<u64>,
    },
    /// Decided heights from this one on were undone: a certificate outranks a decision without one, or a branch with more
    /// work takes their place.
    RolledBack {
        /// The height.
        height: u64,
    },
    /// A block was undone: a branch with more work takes its place. The latest comes first; the blocks of the other branch
    /// follow as `decided`. Its transactions wait again, unless that branch has them too.
    BlockUndone {
        /// Its height.
        height: u64,
        /// Its hash.
        #[schema(value_type = schema::Hex32)]
        hash: Hash,
        /// Number of its transactions.
        transactions: usize,
    },
    /// A height cannot close: too few validators are reachable.
    Halted {
        /// The height.
        height: u64,
        /// Validators reachable, this one counted.
        reachable: usize,
        /// How many are needed.
        quorum: usize,
    },
    /// A peer finished its handshake.
    PeerConnected {
        /// The peer.
        peer: Peer,
    },
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
    /// The node is catching up.
    CatchingUp {
        /// Where it is.
        height: u64,
        /// Where it is going.
        target: u64,
    },
    /// Somebody said something to everybody in the network.
    Announced {
        /// Whose node said it; the signature is checked.
        peer_id: String,
        /// The validator's name, if it is this node's own or a connected one's.
        name: Option<String>,
        /// When, by that node's clock.
        timestamp: u64,
        /// What.
        text: String,
    },
    /// This subscriber reads too slowly and missed that many events.
    Missed {
        /// How many.
        count: u64,
    },
}

impl Event {
    /// The names of all kinds of events.
    pub const NAMES: [&'static str; 13] = [
        "opened",
        "voted",
        "decided",
        "rolled-back",
        "block-undone",
        "halted",
        "peer-connected",
        "peer-lost",
        "peer-refused",
        "peer-penalized",
        "catching-up",
        "announced",
        "missed",
    ];

    /// The name of the server-sent event.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::Voted { .. } => "voted",
            Self::Decided { .. } => "decided",
            Self::RolledBack { .. } => "rolled-back",
            Self::BlockUndone { .. } => "block-undone",
            Self::Halted { .. } => "halted",
            Self::PeerConnected { .. } => "peer-connected",
            Self::PeerLost { .. } => "peer-lost",
            Self::PeerRefused { .. } => "peer-refused",
            Self::PeerPenalized { .. } => "peer-penalized",
            Self::CatchingUp { .. } => "catching-up",
            Self::Announced { .. } => "announced",
            Self::Missed { .. } => "missed",
        }
    }
}
