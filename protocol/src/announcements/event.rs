//! What the machine is told and what it tells.

use super::message::{DataType, MessageId};
use crate::peer::Peer;
use std::{fmt, sync::Arc};

/// A connected module, by the node's own number for it; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModuleId(pub u64);

/// What the node tells the machine.
#[derive(Clone, Debug)]
pub enum Command {
    /// A module subscribes to a data type until it leaves.
    Notify {
        /// Who.
        module: ModuleId,
        /// To what.
        data_type: DataType,
    },
    /// A module announces data.
    Announce {
        /// Who.
        module: ModuleId,
        /// 0: no limit; otherwise the hops that it may go.
        ttl: u8,
        /// Kind of the data.
        data_type: DataType,
        /// The data, at least one byte.
        data: Vec<u8>,
    },
    /// A module says what it thinks of a notification.
    Validate {
        /// Who.
        module: ModuleId,
        /// The number of [`Event::Notify`].
        notification: u16,
        /// Whether the data is well-formed.
        valid: bool,
    },
    /// A module is gone.
    Left(ModuleId),
}

/// What the machine tells the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Subscribe to a topic.
    Subscribe(DataType),
    /// Leave a topic.
    Unsubscribe(DataType),
    /// Publish an envelope, signed by this node.
    Publish {
        /// On which topic.
        data_type: DataType,
        /// Whether its id is to hold its origin: with a TTL, because every node that passes it on publishes it for its
        /// own neighbours, whom another's message of the same bytes does not reach.
        per_origin: bool,
        /// The envelope.
        bytes: Arc<[u8]>,
    },
    /// What becomes of a message of gossipsub; said once for every first copy.
    Verdict {
        /// The message.
        id: MessageId,
        /// Who sent its first copy.
        peer: Peer,
        /// What becomes of it.
        verdict: Verdict,
    },
    /// Notify a module.
    Notify {
        /// Whom.
        module: ModuleId,
        /// Its number, unique among those that the module has not answered.
        notification: u16,
        /// Kind of the data.
        data_type: DataType,
        /// The data.
        data: Arc<[u8]>,
    },
    /// Disconnect a module.
    Close {
        /// Whom.
        module: ModuleId,
        /// Why.
        reason: CloseReason,
    },
    /// Something to be counted.
    Outcome(Outcome),
}

/// What becomes of a message of gossipsub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Gossipsub forwards it.
    Forward,
    /// Gossipsub does not forward it, and nobody is to blame.
    Drop,
    /// Gossipsub does not forward it, and holds it against who sent it.
    Reject,
}

/// Why a module is disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// It answered what it was not asked.
    #[error("a VALIDATION for message id {0}, which this module was not notified of or has answered already")]
    UnknownNotification(u16),
    /// It announced nothing.
    #[error("an ANNOUNCE without data")]
    NoData,
    /// It announced too much at once.
    #[error("an ANNOUNCE with {found} bytes of data, more than the {} allowed", super::MAX_DATA_BYTES)]
    TooMuchData {
        /// How much, in bytes.
        found: usize,
    },
    /// It answers nothing.
    #[error("{} notifications without an answer", super::MAX_UNANSWERED)]
    AnswersNothing,
    /// The node is subscribed to as many data types as it may be.
    #[error("a NOTIFY for one data type more than the {} that a node subscribes to", super::MAX_TYPES)]
    TooManyTypes,
}

/// What became of an announcement, or of a copy of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// A module's announcement went out.
    Announced,
    /// A module announced what was known already.
    AnnouncedAgain,
    /// This node was to publish faster than others would take it, and the queue was full.
    PublishedTooFast,
    /// A copy came from a peer.
    Copy,
    /// It was not the first of its message.
    Duplicate,
    /// The peer had sent the same message before.
    CopyAgain,
    /// The peer sent more copies than any mesh brings.
    CopiesTooFast,
    /// A peer's announcement was validated and passed on.
    PassedOn,
    /// It was validated and had no hop left.
    LastHop,
    /// Its content was known already, by another TTL.
    Known,
    /// A module called it invalid.
    Invalid,
    /// It was no envelope, or broke a rule of the protocol.
    Malformed,
    /// Nobody answered in time.
    Unanswered,
    /// The modules that could have answered left.
    Abandoned,
    /// No module here subscribes to its type any more.
    NoSubscriber,
    /// Its origin sent too much.
    OriginTooFast,
    /// The peer it came from sent too much.
    PeerTooFast,
    /// Too many others were in validation.
    Busy,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Announced,
        Self::AnnouncedAgain,
        Self::PublishedTooFast,
        Self::Copy,
        Self::Duplicate,
        Self::CopyAgain,
        Self::CopiesTooFast,
        Self::PassedOn,
        Self::LastHop,
        Self::Known,
        Self::Invalid,
        Self::Malformed,
        Self::Unanswered,
        Self::Abandoned,
        Self::NoSubscriber,
        Self::OriginTooFast,
        Self::PeerTooFast,
        Self::Busy,
    ];

    /// Its name in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::AnnouncedAgain => "announced_again",
            Self::PublishedTooFast => "published_too_fast",
            Self::Copy => "copy",
            Self::Duplicate => "duplicate",
            Self::CopyAgain => "copy_again",
            Self::CopiesTooFast => "copies_too_fast",
            Self::PassedOn => "passed_on",
            Self::LastHop => "last_hop",
            Self::Known => "known",
            Self::Invalid => "invalid",
            Self::Malformed => "malformed",
            Self::Unanswered => "unanswered",
            Self::Abandoned => "abandoned",
            Self::NoSubscriber => "no_subscriber",
            Self::OriginTooFast => "origin_too_fast",
            Self::PeerTooFast => "peer_too_fast",
            Self::Busy => "busy",
        }
    }
}

impl fmt::Display for ModuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
