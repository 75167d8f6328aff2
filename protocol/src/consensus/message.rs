//! What validators send each other about a height, over one ordered channel each way.
//!
//! Small messages keep the order in which they were sent; [`Message::Block`] may be overtaken by them.

use conclave_ledger::{
    block::Block,
    hash::BlockHash,
    signed::{Height, SignatureSet, Value},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Most bytes of a canonical message that is not a block: three signature sets of a thousand validators.
pub const MAX_SMALL_MESSAGE_BYTES: usize = 256 << 10;

/// Bytes that a block may have beyond its body: header and proofs.
pub const MAX_BLOCK_OVERHEAD_BYTES: usize = 4 << 20;

/// A message of the consensus protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Message {
    /// A block that a chain names.
    Block(Arc<Block>),
    /// A chain on a block: `Vote(b)` and `Endorse(b)` by distinct validators, the leader's among them.
    Chain {
        /// The height.
        height: Height,
        /// `b`.
        block: BlockHash,
        /// The signatures that are votes.
        votes: SignatureSet,
        /// The signatures that are endorsements.
        endorsements: SignatureSet,
    },
    /// `Vote(Skip)` by one or more validators.
    Skip {
        /// The height.
        height: Height,
        /// The votes.
        votes: SignatureSet,
    },
    /// A certificate with the relays gathered so far.
    Certificate {
        /// The height.
        height: Height,
        /// The value it is on.
        value: Value,
        /// `q` or more `Vote(value)`.
        votes: SignatureSet,
        /// `Relay(value)` of the certificate.
        relays: SignatureSet,
    },
    /// Support for a block with the relays gathered so far.
    Support {
        /// The height.
        height: Height,
        /// The block it is for.
        block: BlockHash,
        /// `n − q + 1` or more `Vote(block)`.
        votes: SignatureSet,
        /// `Relay(block)` of the support.
        relays: SignatureSet,
    },
    /// The sender is undecided in its last window, and everything that it sent before has arrived (rule P1).
    Closing {
        /// The height.
        height: Height,
    },
    /// `Settle(value)` by one or more validators (rule P3).
    Settle {
        /// The height.
        height: Height,
        /// The value.
        value: Value,
        /// The signatures.
        settles: SignatureSet,
    },
    /// `Commit(value)` by one or more validators that decided without a certificate.
    Commit {
        /// The height.
        height: Height,
        /// The value.
        value: Value,
        /// The signatures.
        commits: SignatureSet,
    },
    /// The sender has decided this height, so it needs no certificate of it.
    Decided {
        /// The height.
        height: Height,
        /// Fingerprint of the proofs that the sender has, so that nodes whose proofs differ exchange them (see sync).
        proofs: u64,
    },
}

impl Message {
    /// The last height that an honest sender of this has decided: the height itself, if it says so, or else the one
    /// before, for nobody speaks of a height before it is next.
    pub fn decided_height(&self) -> Height {
        match self {
            Self::Decided { height, .. } => *height,
            other => other.height().saturating_sub(1),
        }
    }

    /// The height it is about.
    pub fn height(&self) -> Height {
        match self {
            Self::Block(block) => block.header.height,
            Self::Chain { height, .. }
            | Self::Skip { height, .. }
            | Self::Certificate { height, .. }
            | Self::Support { height, .. }
            | Self::Closing { height }
            | Self::Settle { height, .. }
            | Self::Commit { height, .. }
            | Self::Decided { height, .. } => *height,
        }
    }
}
