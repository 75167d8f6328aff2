//! What nodes ask each other about decided heights.

use crate::exchange;
use conclave_ledger::{
    block::{Block, Decided},
    hash::BlockHash,
    proof::Proof,
    signed::{Height, Value},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Most bytes of a request.
pub const MAX_REQUEST_BYTES: usize = 4 << 10;

/// Most heights in one response.
pub const MAX_HEIGHTS: u32 = 256;

/// Bytes after which a response takes no further height; the last one may make it longer.
pub const RESPONSE_BYTES: usize = 4 << 20;

/// Most bytes of a response: a full one and the largest block.
pub const MAX_RESPONSE_BYTES: usize = RESPONSE_BYTES + (72 << 20);

/// A decided height with its proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvedHeight {
    /// The record.
    pub decided: Decided,
    /// The proof.
    pub proof: Proof,
}

/// Most proofs in one response.
pub const MAX_PROOFS: u32 = 64;

/// What was decided at a height, by its hash, and the proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvedValue {
    /// The height.
    pub height: Height,
    /// What was decided.
    pub value: Value,
    /// The proof.
    pub proof: Proof,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// The sender's last decided height; answered by the receiver's.
    Status {
        /// The height.
        height: Height,
        /// Fingerprint of the proofs that the sender has of the heights since the last block.
        proofs: u64,
    },
    /// Decided heights with their proofs, ascending.
    Blocks {
        /// The first.
        from: Height,
        /// How many at most.
        limit: u32,
    },
    /// Proofs of decided heights, ascending; heights whose proof is not known are left out.
    Proofs {
        /// The first height.
        from: Height,
        /// How many heights at most.
        limit: u32,
    },
    /// One block, of a height that is being decided or was.
    Block {
        /// Its height.
        height: Height,
        /// Its hash.
        hash: BlockHash,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Response {
    /// To `Status`.
    Status {
        /// The height.
        height: Height,
        /// Fingerprint of the proofs that the sender has of the heights since the last block.
        proofs: u64,
    },
    /// To `Blocks`.
    Blocks(Vec<ProvedHeight>),
    /// To `Proofs`.
    Proofs(Vec<ProvedValue>),
    /// To `Block`.
    Block(Option<Arc<Block>>),
}

/// What the machines of two nodes exchange.
pub type Message = exchange::Message<Request, Response>;
