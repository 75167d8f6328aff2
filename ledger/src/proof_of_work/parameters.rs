//! What the genesis file says of an open network.

use super::{
    MAX_REORGANISATION,
    target::{CompactTarget, Target},
};
use serde::{Deserialize, Serialize};

/// Where no empty blocks are mined, the time between two blocks counts for the retarget rule as no more than so many
/// intervals. Limiting it at six is taken from LWMA (zawy12, *Difficulty algorithms*, 2017).
pub const MAX_SOLVE_INTERVALS: u64 = 6;

/// Empty blocks that may follow those that confirm the last transaction, to break ties: a chain that rests while two of its
/// branches have the same work would leave its nodes apart.
pub const TIE_BLOCKS: u64 = 64;

/// Intervals that a timestamp may be in the future: Bitcoin's two hours at ten minutes.
const FUTURE_INTERVALS: u64 = 12;

/// Clocks of honest nodes differ, whatever the interval: at least so far may a timestamp be in the future, in
/// milliseconds.
const LEAST_FUTURE_MS: u64 = 10_000;

/// The section `proof_of_work` of the genesis file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Zero bits that hashes begin with at the start, which is also the easiest that it ever gets (default 16: some tens
    /// of thousands of hashes for each block, for demonstrations).
    pub leading_zero_bits: u8,
    /// Time between two blocks for which the target is made, in milliseconds (default 2 s). Much less than messages
    /// take through the network, and most blocks are for nothing.
    pub block_interval_ms: u64,
    /// So far behind its schedule the target has doubled, in milliseconds (default 10 min). Shorter follows changes of the
    /// hash rate more quickly, and chance too.
    pub half_life_ms: u64,
    /// Whether blocks without transactions are mined (default no).
    pub mine_empty: bool,
    /// Blocks over the one that holds something before the node calls it final (default 6).
    pub depth: u64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            leading_zero_bits: 16,
            block_interval_ms: 2_000,
            half_life_ms: 600_000,
            mine_empty: false,
            depth: 6,
        }
    }
}

impl Parameters {
    /// Checks that a network can work with these: the field and the rule that it breaks otherwise.
    ///
    /// # Errors
    /// The first field that cannot work.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let broken = [
            (
                "leading_zero_bits",
                !(1..=200).contains(&self.leading_zero_bits),
                "hashes begin with 1 to 200 zero bits at the start",
            ),
            (
                "block_interval_ms",
                !(1..=86_400_000).contains(&self.block_interval_ms),
                "the interval is 1 millisecond to a day",
            ),
            (
                "half_life_ms",
                self.half_life_ms < self.block_interval_ms || self.half_life_ms > 31_536_000_000,
                "the half-life is at least the block interval and at most a year",
            ),
            (
                "depth",
                self.depth > MAX_REORGANISATION as u64,
                "the depth is at most 1,024, the most blocks that can be undone",
            ),
        ];
        match broken.into_iter().find(|(_, is_broken, _)| *is_broken) {
            Some((field, _, rule)) => Err((field, rule)),
            None => Ok(()),
        }
    }

    /// The target at the start, and the easiest.
    pub fn easiest(&self) -> Target {
        Target::of_leading_zero_bits(self.leading_zero_bits)
    }

    /// The same in compact form.
    pub fn easiest_compact(&self) -> CompactTarget {
        self.easiest().compact()
    }

    /// How far ahead of a node's clock the timestamp of a block may be that it takes, in milliseconds.
    pub fn future_ms(&self) -> u64 {
        self.block_interval_ms.saturating_mul(FUTURE_INTERVALS).max(LEAST_FUTURE_MS)
    }
}
