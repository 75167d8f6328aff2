//! From a stream and the genesis file to a report, or to the height and the rule that is broken.
//!
//! Every height is applied to the chain as if it had come from a stranger: hashes, links, signatures, every rule,
//! the state hash before each block, and the proofs of the heights before it against the validators of their time.
//! The tip's own proofs and state hash are checked at the end, and every tally is counted once more.

use super::{
    format::{Entry, FORMAT, FormatError, Reader, Tip},
    recount::{CountedPoll, Recount, WrongTally},
};
use conclave_ledger::{
    block::Decided,
    chain::{Applied, BlockError, Chain, NothingKnown},
    genesis::Genesis,
    hash::{Hash, NetworkId},
    proof::{Proof, ProofError},
    signed::{Height, Value},
};
use serde::Serialize;
use std::{convert::Infallible, io::Read, sync::Arc};

/// What a good archive holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The network.
    pub network: NetworkId,
    /// Its name.
    pub name: String,
    /// Decided heights.
    pub heights: u64,
    /// Heights that decided a block.
    pub blocks: u64,
    /// Heights that were skipped.
    pub skips: u64,
    /// Transactions.
    pub transactions: u64,
    /// Ballots among them.
    pub ballots: u64,
    /// Closed polls, whose tallies were recounted.
    pub polls: Vec<CountedPoll>,
    /// Polls that are not closed.
    pub open_polls: usize,
    /// Hash of the last record.
    pub tip: Hash,
    /// Hash of the state.
    pub state: Hash,
}

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError<E: std::error::Error + 'static = Infallible> {
    /// It is no archive.
    #[error("after height {after}: {error}")]
    Format {
        /// The last height that was in order.
        after: Height,
        /// What is wrong.
        #[source]
        error: FormatError,
    },
    /// The archive is of another format.
    #[error("the archive has format {0}; this program reads format {FORMAT}")]
    Version(u32),
    /// The archive is of another network.
    #[error(
        "the archive is of network {found}, the genesis file defines {expected}: use that network's genesis file"
    )]
    Network {
        /// The archive's.
        found: NetworkId,
        /// The genesis file's.
        expected: NetworkId,
    },
    /// It does not begin at the beginning.
    #[error(
        "the archive begins with height {0}; to be checked from the genesis file alone it has to begin with 1"
    )]
    Start(Height),
    /// Entries in another order, or another number of them.
    #[error("after height {after}: expected {expected}")]
    Order {
        /// The last height that was in order.
        after: Height,
        /// What should be there.
        expected: &'static str,
    },
    /// A height breaks a rule.
    #[error("height {height}: {error}")]
    Height {
        /// Which.
        height: Height,
        /// The rule.
        #[source]
        error: BlockError,
    },
    /// A proof of the heights after the last block proves nothing.
    #[error("height {height}: its proof: {error}")]
    Proof {
        /// Which.
        height: Height,
        /// The rule.
        #[source]
        error: ProofError,
    },
    /// The tip is not where the heights lead.
    #[error("height {height}: the tip's {what} is not the one that the heights lead to")]
    Tip {
        /// The last height.
        height: Height,
        /// Which of its values.
        what: &'static str,
    },
    /// A tally is wrong.
    #[error("height {height}: {error}")]
    Tally {
        /// Height at which the poll was closed.
        height: Height,
        /// Which.
        #[source]
        error: WrongTally,
    },
    /// What was verified cannot be taken over.
    #[error("height {0} is in order but cannot be stored")]
    Store(Height, #[source] E),
}

/// Checks an archive from the genesis file alone. `progress` is told each height and the bytes read so far.
///
/// # Errors
/// The first rule that is broken, and the height.
pub fn verify(
    genesis: Arc<Genesis>,
    reader: impl Read,
    progress: impl FnMut(Height, u64),
) -> Result<Report, VerifyError> {
    replay(genesis, reader, progress, |_, _, _| Ok(())).map(|(report, _)| report)
}

/// Checks an archive, handing every height to `keep` as soon as its proof is known (or at once, where blocks prove
/// themselves), with what applying it did; the chain at the end comes with the report. Whatever `keep` was given is good even if the archive turns out not to
/// be further on.
///
/// # Errors
/// The first rule that is broken, and the height; or the error of `keep`.
pub fn replay<E: std::error::Error + 'static>(
    genesis: Arc<Genesis>,
    reader: impl Read,
    mut progress: impl FnMut(Height, u64),
    mut keep: impl FnMut(&Decided, Option<&Proof>, &Applied) -> Result<(), E>,
) -> Result<(Report, Chain), VerifyError<E>> {
    let mut reader = Reader::new(reader).map_err(|error| VerifyError::Format { after: 0, error })?;
    let mut chain = Chain::new(genesis);
    let to = read_begin(&mut reader, &chain)?;
    let has_proofs = chain.genesis().proof_of_work.is_none();
    let (mut recount, mut counts) = (Recount::default(), Counts::default());
    // Heights whose proofs have not come yet: those since the last block.
    let mut unproven: Vec<(Decided, Applied)> = Vec::new();
    for height in 1..=to {
        let Entry::Height(decided) = next(&mut reader, height - 1)? else {
            return Err(VerifyError::Order { after: height - 1, expected: "the next height" });
        };
        let applied = chain
            .apply(&decided, None, &NothingKnown, has_proofs)
            .map_err(|error| VerifyError::Height { height, error })?;
        if let Decided::Block(block) = &decided {
            for ((earlier, applied), proof) in unproven.drain(..).zip(&block.proofs) {
                keep(&earlier, Some(proof), &applied)
                    .map_err(|error| VerifyError::Store(earlier.height(), error))?;
            }
            recount.read(block);
        }
        counts.add(&decided);
        recount.compare(&chain.view()).map_err(|error| VerifyError::Tally { height, error })?;
        if has_proofs {
            unproven.push((decided, applied));
        } else {
            keep(&decided, None, &applied).map_err(|error| VerifyError::Store(height, error))?;
        }
        progress(height, reader.offset());
    }
    let tip = read_tip(&mut reader, &chain)?;
    for ((decided, applied), proof) in unproven.iter().zip(&tip.proofs) {
        keep(decided, Some(proof), applied).map_err(|error| VerifyError::Store(decided.height(), error))?;
    }
    let report = Report {
        network: chain.network(),
        name: chain.genesis().name.clone(),
        heights: to,
        blocks: counts.blocks,
        skips: counts.skips,
        transactions: counts.transactions,
        ballots: recount.ballots,
        open_polls: recount.still_open(),
        polls: recount.closed,
        tip: tip.hash,
        state: tip.state,
    };
    Ok((report, chain))
}

#[derive(Default)]
struct Counts {
    blocks: u64,
    skips: u64,
    transactions: u64,
}

impl Counts {
    fn add(&mut self, decided: &Decided) {
        match decided {
            Decided::Block(block) => {
                self.blocks += 1;
                self.transactions += block.transactions.len() as u64;
            }
            Decided::Skip(_) => self.skips += 1,
        }
    }
}

fn next<E: std::error::Error>(
    reader: &mut Reader<impl Read>,
    after: Height,
) -> Result<Entry, VerifyError<E>> {
    reader.read().map_err(|error| VerifyError::Format { after, error })
}

/// Reads what the archive says it is, and gives its last height.
fn read_begin<E: std::error::Error>(
    reader: &mut Reader<impl Read>,
    chain: &Chain,
) -> Result<Height, VerifyError<E>> {
    let Entry::Begin { format, network, from, to } = next(reader, 0)? else {
        return Err(VerifyError::Order { after: 0, expected: "what the archive is of" });
    };
    if format != FORMAT {
        return Err(VerifyError::Version(format));
    }
    if network != chain.network() {
        return Err(VerifyError::Network { found: network, expected: chain.network() });
    }
    if from != 1 {
        return Err(VerifyError::Start(from));
    }
    Ok(to)
}

/// Reads and checks the tip and the end.
fn read_tip<E: std::error::Error>(
    reader: &mut Reader<impl Read>,
    chain: &Chain,
) -> Result<Tip, VerifyError<E>> {
    let height = chain.tip().height;
    let Entry::Tip(tip) = next(reader, height)? else {
        return Err(VerifyError::Order { after: height, expected: "the tip" });
    };
    for (what, matches) in [
        ("height", tip.height == height),
        ("hash", tip.hash == chain.tip().hash),
        ("state hash", tip.state == chain.state_hash()),
    ] {
        if !matches {
            return Err(VerifyError::Tip { height, what });
        }
    }
    let unproven: Vec<(Height, Value)> = chain.unproven().collect();
    if tip.proofs.len() != unproven.len() {
        return Err(VerifyError::Tip { height, what: "number of proofs" });
    }
    for (proof, (height, value)) in tip.proofs.iter().zip(unproven) {
        let set = chain.validators_at(height).expect("the sets since the last block are in the state");
        proof
            .verify(chain.network(), height, &value, &set)
            .map_err(|error| VerifyError::Proof { height, error })?;
    }
    match next(reader, height)? {
        Entry::End { heights, .. } if heights == height => Ok(tip),
        _ => Err(VerifyError::Order { after: height, expected: "the end, with the number of heights" }),
    }
}

#[cfg(test)]
pub(super) mod tests;
