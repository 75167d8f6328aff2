//! Branches and the work done on them, where that decides.

use super::schema;
use conclave_ledger::{hash::Hash, keys::PublicKey, proof_of_work::Work};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a node stands among branches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkStatus {
    /// Expected number of hashes behind the chain, as a number of 256 bits.
    #[schema(value_type = schema::Hex32)]
    pub work: Work,
    /// Target of the next block, in compact form.
    pub target: u32,
    /// Expected number of hashes for the next block.
    pub difficulty: u64,
    /// This node's hashes in a second, over the last seconds.
    pub hash_rate: u64,
    /// Whether it searches for a block at this moment.
    pub mining: bool,
    /// Blocks over the one that holds something before it is called final.
    pub depth: u64,
    /// Forks seen since the start: blocks at a height that the chain has another one at.
    pub forks: u64,
    /// Times that blocks were undone for a branch with more work.
    pub reorganisations: u64,
    /// Blocks that were undone.
    pub undone: u64,
    /// Blocks that the deepest reorganisation has undone.
    pub deepest: u64,
}

/// The tree of the last heights: every branch that the node knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlockTree {
    /// The last height of the chain.
    pub height: u64,
    /// Blocks, by height and then by hash.
    pub blocks: Vec<TreeBlock>,
}

/// A block of the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TreeBlock {
    /// Its height.
    pub height: u64,
    /// Its hash.
    #[schema(value_type = schema::Hex32)]
    pub hash: Hash,
    /// Hash of the one before.
    #[schema(value_type = schema::Hex32)]
    pub parent: Hash,
    /// Who mined it.
    #[schema(value_type = schema::Hex32)]
    pub miner: PublicKey,
    /// Its timestamp.
    pub timestamp: u64,
    /// Its target, in compact form.
    pub target: u32,
    /// Number of its transactions; absent where only the header is known.
    pub transactions: Option<usize>,
    /// Whether it is on the chain.
    pub on_chain: bool,
}
