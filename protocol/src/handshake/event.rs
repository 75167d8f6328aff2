//! What the handshake machine is told and what it tells.

use super::message::{RefusalReason, Role};
use crate::{peer::Peer, peer_record::PeerRecord, time::Time};
use conclave_ledger::signed::Height;

/// Who dialled a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// This node.
    Dialled,
    /// The other.
    Accepted,
}

/// What the node tells the machine.
#[derive(Clone, Debug)]
pub enum Command {
    /// An address to be connected to for good.
    AddAddress {
        /// Whose it is, if the address says so.
        peer: Option<Peer>,
        /// The address.
        address: String,
    },
    /// A connection is there.
    ConnectionEstablished {
        /// To whom.
        peer: Peer,
        /// The driver's number for it.
        connection: u64,
        /// Who dialled.
        direction: Direction,
        /// The address that was dialled.
        address: Option<String>,
    },
    /// A connection is gone.
    ConnectionClosed {
        /// To whom.
        peer: Peer,
        /// The driver's number for it.
        connection: u64,
    },
    /// A dial of this address failed.
    DialFailed {
        /// The address.
        address: String,
    },
    /// A request got no answer.
    RequestFailed {
        /// Who was asked.
        peer: Peer,
        /// Number of the request.
        number: u64,
    },
    /// The peer does not speak the handshake of this network.
    Unsupported {
        /// Who was asked.
        peer: Peer,
        /// Number of the request.
        number: u64,
    },
    /// The peer says that it makes the handshake of another network, and not of this one.
    OtherNetwork {
        /// Who.
        peer: Peer,
    },
    /// The height of the last decision here.
    Height(Height),
    /// Where this node can be reached: what peers are told from now on.
    Record(PeerRecord),
    /// A peer is refused although its handshake is done: it is told the reason, and disconnected.
    Refuse {
        /// Whom.
        peer: Peer,
        /// Why.
        reason: RefusalReason,
    },
    /// A peer is kept out until then: its connections are closed.
    KeepOut {
        /// Whom.
        peer: Peer,
        /// Until when.
        until: Time,
    },
    /// This node leaves.
    Leave,
}

/// Which side refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedBy {
    /// This node.
    Us,
    /// The peer.
    Them,
}

/// What the machine tells the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Dial this address, answered by `ConnectionEstablished` or `DialFailed`.
    Dial {
        /// The address.
        address: String,
    },
    /// Close a connection.
    CloseConnection {
        /// To whom.
        peer: Peer,
        /// The driver's number for it.
        connection: u64,
        /// Why.
        reason: String,
        /// Whether to close it at once; otherwise the last answer is given a moment to get there.
        at_once: bool,
    },
    /// A handshake is done: the peer takes part.
    Established {
        /// The peer.
        peer: Peer,
        /// What it proved.
        role: Role,
        /// Who dialled the connection that is kept.
        direction: Direction,
        /// Where it can be reached, in its own signed words.
        record: Option<PeerRecord>,
        /// Height of its last decision.
        height: Height,
        /// Program and version.
        version: String,
    },
    /// A peer no longer takes part.
    Lost {
        /// The peer.
        peer: Peer,
    },
    /// A handshake was refused.
    Refused {
        /// The peer.
        peer: Peer,
        /// Why.
        reason: RefusalReason,
        /// By whom.
        by: RefusedBy,
    },
    /// Nobody answers at this address; it is dialled slowly from now on.
    GaveUp {
        /// The address.
        address: String,
    },
    /// Every peer has acknowledged the goodbye, or had the time to.
    Left,
}
