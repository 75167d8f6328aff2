//! Where a branch stands, and what the header has to say that comes next on it.
//!
//! All of it follows from the header before and three numbers that add up along the branch, so a chain of headers can be
//! checked without a single transaction.

use super::{
    asert,
    parameters::{MAX_SOLVE_INTERVALS, Parameters, TIE_BLOCKS},
    target::{CompactTarget, Work},
};
use crate::{
    block::{Block, Header},
    chain::Tip,
    genesis::Genesis,
    hash::{BlockHash, Hash, NetworkId},
    signed::Height,
};
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// A rule of proof of work that a header breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// For another network.
    #[error("the header is for network {0}")]
    Network(Hash),
    /// Not for the height after its parent's.
    #[error("the header is for height {found}, its parent is at {parent}")]
    Height {
        /// Height found.
        found: Height,
        /// The parent's height.
        parent: Height,
    },
    /// No proof of work.
    #[error("the header has no proof of work")]
    Missing,
    /// A proof of work where none is wanted.
    #[error("the header has a proof of work, and this network decides without")]
    Unwanted,
    /// Not the target of the retarget rule.
    #[error("the target is {:08x}, the rule gives {:08x}", .found.0, .expected.0)]
    Target {
        /// Target found.
        found: CompactTarget,
        /// Target expected.
        expected: CompactTarget,
    },
    /// The hash does not meet the target.
    #[error("the hash {0} does not meet the target")]
    Hash(BlockHash),
    /// Not later than the block before.
    #[error("the timestamp {found} is not larger than the parent's {parent}")]
    Timestamp {
        /// Timestamp found, in milliseconds since 1970.
        found: u64,
        /// The parent's.
        parent: u64,
    },
    /// Proofs of validators, who do not exist.
    #[error("the header binds proofs of earlier heights, and here each block proves itself")]
    Proofs,
    /// No transaction where one is needed.
    #[error("the block has no transaction, and none that waits for confirmations is before it")]
    Empty,
}

impl WorkError {
    /// The rule's name, for metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Network(_) => "network",
            Self::Height { .. } => "height",
            Self::Missing => "missing-work",
            Self::Unwanted => "unwanted-work",
            Self::Target { .. } => "target",
            Self::Hash(_) => "hash",
            Self::Timestamp { .. } => "timestamp",
            Self::Proofs => "proofs",
            Self::Empty => "empty",
        }
    }
}

/// The numbers that add up along a branch: what a chain's state holds of it, besides its tip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// Work of all its blocks.
    pub(crate) work: Work,
    /// Time since the network's start as the retarget rule counts it, in milliseconds.
    pub(crate) elapsed_ms: u64,
    /// Height of the last block with transactions; 0 before the first.
    pub(crate) busy: Height,
}

impl Progress {
    pub(crate) const START: Self = Self { work: Work::NONE, elapsed_ms: 0, busy: 0 };
}

/// Where a branch stands: after one of its blocks, or at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Height of the block; 0 at the start.
    pub height: Height,
    /// Its hash; [`Hash::ZERO`] at the start.
    pub hash: BlockHash,
    /// Its timestamp, in milliseconds since 1970.
    pub timestamp: u64,
    /// The numbers that add up.
    progress: Progress,
}

fn no_proofs() -> Hash {
    static HASH: LazyLock<Hash> = LazyLock::new(|| Block::proofs_hash(&[]));
    *HASH
}

fn no_transactions() -> Hash {
    static ROOT: LazyLock<Hash> = LazyLock::new(|| Block::transactions_root(&[]));
    *ROOT
}

impl Position {
    /// The start of a network.
    pub fn start(genesis: &Genesis) -> Self {
        let timestamp = genesis.created_ms;
        Self { height: 0, hash: Hash::ZERO, timestamp, progress: Progress::START }
    }

    /// The position of a chain with this tip.
    pub(crate) fn of(tip: &Tip, progress: Progress) -> Self {
        Self { height: tip.height, hash: tip.hash, timestamp: tip.timestamp, progress }
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress
    }

    /// Work of all blocks up to here.
    pub fn work(&self) -> Work {
        self.progress.work
    }

    /// The target of the next block.
    pub fn next_target(&self, parameters: &Parameters) -> CompactTarget {
        let easiest = parameters.easiest();
        let due = i128::from(self.height) * i128::from(parameters.block_interval_ms);
        let behind = i128::from(self.progress.elapsed_ms) - due;
        asert::next_target(easiest, easiest, behind, parameters.half_life_ms).compact()
    }

    /// Whether the next block may have no transactions.
    pub fn may_be_empty(&self, parameters: &Parameters) -> bool {
        self.wants_block(parameters)
            || (self.progress.busy > 0 && self.height < self.progress.busy + parameters.depth + TIE_BLOCKS)
    }

    /// Whether a block without transactions is wanted here, even if no other branch has as much work: to confirm what came
    /// before.
    pub fn wants_block(&self, parameters: &Parameters) -> bool {
        parameters.mine_empty
            || (self.progress.busy > 0 && self.height < self.progress.busy + parameters.depth)
    }

    /// Checks every rule of the header that comes next here, but those of its place: network, height and parent.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check_seal(&self, header: &Header, parameters: &Parameters) -> Result<(), WorkError> {
        let seal = header.work.ok_or(WorkError::Missing)?;
        let expected = self.next_target(parameters);
        if seal.target != expected {
            return Err(WorkError::Target { found: seal.target, expected });
        }
        let hash = header.hash();
        if !expected.target().is_some_and(|target| target.is_met_by(&hash)) {
            return Err(WorkError::Hash(hash));
        }
        if header.timestamp <= self.timestamp {
            return Err(WorkError::Timestamp { found: header.timestamp, parent: self.timestamp });
        }
        if header.proofs != no_proofs() {
            return Err(WorkError::Proofs);
        }
        if header.transactions == no_transactions() && !self.may_be_empty(parameters) {
            return Err(WorkError::Empty);
        }
        Ok(())
    }

    /// Checks every rule of a header whose parent is here.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(
        &self,
        header: &Header,
        network: NetworkId,
        parameters: &Parameters,
    ) -> Result<(), WorkError> {
        if header.network != network {
            return Err(WorkError::Network(header.network));
        }
        if header.height.checked_sub(1) != Some(self.height) {
            return Err(WorkError::Height { found: header.height, parent: self.height });
        }
        self.check_seal(header, parameters)
    }

    /// Where the branch stands after a header that keeps the rules, whose hash is `hash`.
    pub fn after(&self, header: &Header, hash: BlockHash, parameters: &Parameters) -> Self {
        let target = header.work.and_then(|seal| seal.target.target());
        let work = target.map_or(Work::NONE, |target| target.work());
        let rested = header.timestamp.saturating_sub(self.timestamp);
        let counted = match parameters.mine_empty {
            true => rested,
            false => rested.min(parameters.block_interval_ms.saturating_mul(MAX_SOLVE_INTERVALS)),
        };
        let busy = if header.transactions == no_transactions() { self.progress.busy } else { header.height };
        Self {
            height: header.height,
            hash,
            timestamp: header.timestamp,
            progress: Progress {
                work: self.progress.work.plus(&work),
                elapsed_ms: self.progress.elapsed_ms.saturating_add(counted),
                busy,
            },
        }
    }
}
