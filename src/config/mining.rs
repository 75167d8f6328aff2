//! Mining, in networks where proofs of work decide, and the log of blocks for people who debug.

use serde::Deserialize;
use std::path::PathBuf;

/// Mining and the log of blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MiningConfig {
    /// Threads that mine (default 0: the node follows the chain and does not mine).
    pub threads: usize,
    /// File to which a line of JSON is added for each block that is adopted or undone (default none).
    pub block_log: Option<PathBuf>,
}

/// What one source says of mining; see [`MiningConfig`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MiningLayer {
    /// See [`MiningConfig::threads`].
    pub threads: Option<usize>,
    /// See [`MiningConfig::block_log`].
    pub block_log: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MiningSection {
    pub(super) threads: Option<usize>,
    pub(super) block_log: Option<PathBuf>,
}

impl MiningLayer {
    /// This layer, and where it says nothing the one below.
    pub(super) fn over(self, below: Self) -> Self {
        Self { threads: self.threads.or(below.threads), block_log: self.block_log.or(below.block_log) }
    }

    pub(super) fn resolve(self) -> MiningConfig {
        MiningConfig { threads: self.threads.unwrap_or(0), block_log: self.block_log }
    }
}
