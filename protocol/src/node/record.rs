//! What the write-ahead log holds, record by record.
//!
//! The log is replayed from the height that the database covers: decided heights are applied again, and what this
//! validator signed goes back into the consensus machine, which sends it again instead of signing anew.

use crate::consensus::SignedRecord;
use conclave_ledger::{
    block::Block,
    codec::{self, DecodeError},
    hash::BlockHash,
    keys::Signature,
    proof::Proof,
    signed::{Height, Kind, Value},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Most bytes of a record: a block with its body, proofs and names.
pub const MAX_RECORD_BYTES: usize = 72 << 20;

/// A record of the write-ahead log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum LogRecord {
    /// A block that a later record names: decided, or signed for by its leader, which is this node.
    Block(Arc<Block>),
    /// The leader's signature on the block of the record before, which a later record signs: the chain that this node
    /// sent, so that it can be sent again.
    Proposal {
        /// The height.
        height: Height,
        /// The block.
        block: BlockHash,
        /// Kind of the leader's signature.
        kind: Kind,
        /// The leader's signature.
        signature: Signature,
    },
    /// A signature of this validator.
    Signed(SignedRecord),
    /// A decided height.
    Decided {
        /// The height.
        height: Height,
        /// The value.
        value: Value,
        /// The proof, if it was known with the decision.
        proof: Option<Proof>,
    },
    /// A proof that became known later, or one with more signatures.
    Proved {
        /// The height.
        height: Height,
        /// The proof.
        proof: Proof,
    },
    /// Decided heights from this one on were undone (rule R1).
    RolledBack {
        /// The height.
        height: Height,
    },
}

impl LogRecord {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// When the bytes are not one.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode(bytes, MAX_RECORD_BYTES)
    }
}

/// A record of the log that the database makes superfluous once it has what the record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// A height was decided.
    Decided(Height),
    /// Heights from this one on were undone.
    RolledBack(Height),
}

impl Milestone {
    /// That of a record, if it is one.
    pub fn of(record: &LogRecord) -> Option<Self> {
        match record {
            LogRecord::Decided { height, .. } => Some(Self::Decided(*height)),
            LogRecord::RolledBack { height } => Some(Self::RolledBack(*height)),
            _ => None,
        }
    }
}
