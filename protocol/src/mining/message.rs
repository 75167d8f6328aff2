//! What nodes that mine, or follow miners, tell and ask each other.

use conclave_ledger::{
    block::{Block, Header},
    hash::{BlockHash, Hash},
    signed::Height,
    transaction::SharedTransaction,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Most bytes of an announcement: half a million short ids.
pub const MAX_COMPACT_BYTES: usize = 5 << 20;

/// Most bytes of a request.
pub const MAX_REQUEST_BYTES: usize = 256 << 10;

/// Bytes after which a response takes nothing more; the last block may make it longer.
pub(super) const RESPONSE_BYTES: usize = 4 << 20;

/// Most bytes of a response: a full one and the largest block.
pub const MAX_RESPONSE_BYTES: usize = RESPONSE_BYTES + (72 << 20);

/// Most headers in one response.
pub const MAX_HEADERS_ANSWERED: usize = 512;

/// Most blocks in one request.
pub const MAX_BLOCKS_ASKED: usize = 16;

/// Most places of a locator: ten and one for each doubling.
pub const MAX_LOCATOR: usize = 64;

/// Most transactions in one request.
pub(super) const MAX_TRANSACTIONS_ASKED: usize = 16_384;

/// A block by where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Its height.
    pub height: Height,
    /// Its hash.
    pub hash: BlockHash,
}

/// A block by its header and the short ids of its transactions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompactBlock {
    /// The header.
    pub header: Header,
    /// [`short_id`] of each transaction, in order.
    pub short_ids: Vec<u64>,
}

impl CompactBlock {
    /// The compact form of a block.
    pub fn of(block: &Block) -> Self {
        let hash = block.hash();
        let short_ids = block.transactions.iter().map(|transaction| short_id(&hash, transaction)).collect();
        Self { header: block.header.clone(), short_ids }
    }
}

/// The short id of a transaction in the announcement of a block: 64 bits of a hash of both. The block's hash is not known
/// before the work is done, so nobody can prepare transactions that share one.
pub fn short_id(block: &BlockHash, transaction: &SharedTransaction) -> u64 {
    let hash = Hash::of("conclave/short-id/1", &[&block.0, &transaction.leaf()]);
    hash.0.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Headers of the receiver's chain after the first of these places that is on it, or from the start.
    Headers(Vec<Place>),
    /// Blocks.
    Blocks(Vec<Place>),
    /// Transactions of a block, by their numbers in it, ascending.
    Transactions {
        /// The block.
        block: Place,
        /// Numbers from 0.
        indexes: Vec<u32>,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Response {
    /// To `Headers`: ascending, each the parent of the next.
    Headers(Vec<Header>),
    /// To `Blocks`: those that the sender has, in the order asked for, as many as fit.
    Blocks(Vec<Arc<Block>>),
    /// To `Transactions`: all of them, or none.
    Transactions(Vec<SharedTransaction>),
}

/// What the machines of two nodes exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The sender's chain ends with this block.
    Announce(CompactBlock),
    /// A request; the number is not on the wire.
    Request {
        /// Chosen by the side that sends it, or by the driver for one that came in.
        number: u64,
        /// What is asked.
        request: Request,
    },
    /// The answer.
    Response {
        /// Number of the request.
        number: u64,
        /// What is answered.
        response: Response,
    },
}
