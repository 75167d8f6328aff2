//! Blocks, skips, and the record that each decided height leaves behind.

use crate::{
    codec,
    hash::{BlockHash, Hash, NetworkId},
    keys::PublicKey,
    merkle,
    proof::Proof,
    proof_of_work::Seal,
    signed::{Height, Value},
    transaction::SharedTransaction,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a block's hash covers; the body is bound by two roots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The network it belongs to.
    pub network: NetworkId,
    /// Its height, from 1.
    pub height: Height,
    /// Hash of the record of the height before; [`Hash::ZERO`] at height 1.
    pub parent: Hash,
    /// The height's leader, or the miner: who built it.
    pub leader: PublicKey,
    /// Milliseconds since 1970, larger than the timestamp of the block before.
    pub timestamp: u64,
    /// Hash of the state before this block.
    pub state: Hash,
    /// Hash of the canonical form of `proofs`.
    pub proofs: Hash,
    /// Merkle root (RFC 6962) over the canonical transactions.
    pub transactions: Hash,
    /// The proof of work, where that decides; then its nonce is the end of the header's bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Seal>,
}

/// A block: its header, the proofs of the heights since the last block, and the transactions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// What the hash covers.
    pub header: Header,
    /// Proofs of every height from the last block's on up to the parent's, ascending. They travel in the block so
    /// that all nodes keep the same ones.
    pub proofs: Vec<Proof>,
    /// What the block does, in order; shared with the pool that they came from.
    pub transactions: Vec<SharedTransaction>,
}

/// A height that decided no block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    /// The network it belongs to.
    pub network: NetworkId,
    /// Its height.
    pub height: Height,
    /// Hash of the record of the height before.
    pub parent: Hash,
}

/// What a decided height leaves behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decided {
    /// A block.
    Block(Arc<Block>),
    /// A skip.
    Skip(Skip),
}

/// What is hashed begins with this and a zero byte.
const DOMAIN: &str = "conclave/block/1";

impl Header {
    /// SHA-256 of the canonical form.
    pub fn hash(&self) -> BlockHash {
        Hash::of(DOMAIN, &[&codec::encode(self)])
    }

    /// All that is hashed.
    pub(crate) fn hashed_bytes(&self) -> Vec<u8> {
        [DOMAIN.as_bytes(), &[0], &codec::encode(self)].concat()
    }
}

impl Block {
    /// The header's hash.
    pub fn hash(&self) -> BlockHash {
        self.header.hash()
    }

    /// Whether the body is the one that the header binds. The hash covers the header alone, so only of such a block does it
    /// say everything.
    pub fn is_whole(&self) -> bool {
        self.header.proofs == Self::proofs_hash(&self.proofs)
            && self.header.transactions == Self::transactions_root(&self.transactions)
    }

    /// Hash that `header.proofs` must have.
    pub fn proofs_hash(proofs: &[Proof]) -> Hash {
        Hash::of("conclave/proofs/1", &[&codec::encode(proofs)])
    }

    /// Merkle root that `header.transactions` must have.
    pub fn transactions_root(transactions: &[SharedTransaction]) -> Hash {
        Hash(merkle::root(&Self::leaves(transactions)))
    }

    /// Merkle leaves of the transactions, for inclusion proofs.
    pub fn leaves(transactions: &[SharedTransaction]) -> Vec<[u8; 32]> {
        transactions.iter().map(SharedTransaction::leaf).collect()
    }
}

impl Decided {
    /// The height that was decided.
    pub fn height(&self) -> Height {
        match self {
            Self::Block(block) => block.header.height,
            Self::Skip(skip) => skip.height,
        }
    }

    /// Hash of the record, which the next one names as its parent.
    pub fn hash(&self) -> Hash {
        match self {
            Self::Block(block) => block.hash(),
            Self::Skip(skip) => Hash::of("conclave/skip/1", &[&codec::encode(skip)]),
        }
    }

    /// Hash of the record before it.
    pub fn parent(&self) -> Hash {
        match self {
            Self::Block(block) => block.header.parent,
            Self::Skip(skip) => skip.parent,
        }
    }

    /// The value that consensus decided.
    pub fn value(&self) -> Value {
        match self {
            Self::Block(block) => Value::Block(block.hash()),
            Self::Skip(_) => Value::Skip,
        }
    }

    /// The block, if it is one.
    pub fn block(&self) -> Option<&Arc<Block>> {
        match self {
            Self::Block(block) => Some(block),
            Self::Skip(_) => None,
        }
    }
}
