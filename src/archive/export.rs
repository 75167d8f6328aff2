//! From a chain to a stream.

use super::format::{Entry, FORMAT, Tip, Writer};
use conclave_ledger::{
    block::Decided,
    chain::Chain,
    hash::{Hash, NetworkId},
    proof::Proof,
    signed::Height,
};
use std::io::{self, Write};

/// What an export is of: a chain at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The network.
    pub network: NetworkId,
    /// The last height; 0 before the first.
    pub tip: Height,
    /// Hash of the last record.
    pub hash: Hash,
    /// Hash of the state.
    pub state: Hash,
    /// First height whose proof no block carries yet; the one after the tip where each block proves itself.
    pub first_unproven: Height,
}

impl Snapshot {
    /// The chain as it is now.
    pub fn of(chain: &Chain) -> Self {
        let tip = chain.tip();
        Self {
            network: chain.network(),
            tip: tip.height,
            hash: tip.hash,
            state: chain.state_hash(),
            first_unproven: chain.unproven().next().map_or(tip.height + 1, |(height, _)| height),
        }
    }
}

/// Why a chain cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError<E: std::error::Error + 'static> {
    /// The stream cannot be written.
    #[error("the archive cannot be written")]
    Write(#[from] io::Error),
    /// A height cannot be read.
    #[error("height {0} cannot be read")]
    Source(Height, #[source] E),
    /// A height is not there.
    #[error("height {0} is not there, although a later one is: the database is damaged")]
    Missing(Height),
    /// The heights do not lead to the tip: the node has undone some in the meantime (rule R1).
    #[error(
        "height {0} no longer follows from the one before: the node has undone it meanwhile; export again"
    )]
    Undone(Height),
    /// A height has no proof.
    #[error("the proof of height {0} is not there yet: try again when the next height is decided")]
    NoProof(Height),
}

/// Writes an archive of the chain at `snapshot`. `record` and `proof` give a height's record and its proof, if there
/// is one; the proof is asked for only where no block carries it. `progress` is told each height.
///
/// # Errors
/// When something cannot be read or written.
pub fn export<W: Write, E: std::error::Error + 'static>(
    snapshot: &Snapshot,
    mut record: impl FnMut(Height) -> Result<Option<Decided>, E>,
    mut proof: impl FnMut(Height) -> Result<Option<Proof>, E>,
    writer: W,
    mut progress: impl FnMut(Height),
) -> Result<W, ExportError<E>> {
    let mut writer = Writer::new(writer)?;
    writer.write(&Entry::Begin { format: FORMAT, network: snapshot.network, from: 1, to: snapshot.tip })?;
    let mut last = Hash::ZERO;
    for height in 1..=snapshot.tip {
        let decided = record(height).map_err(|error| ExportError::Source(height, error))?;
        let decided = decided.ok_or(ExportError::Missing(height))?;
        if decided.parent() != last {
            return Err(ExportError::Undone(height));
        }
        last = decided.hash();
        writer.write(&Entry::Height(decided))?;
        progress(height);
    }
    if last != snapshot.hash {
        return Err(ExportError::Undone(snapshot.tip));
    }
    let mut proofs = Vec::new();
    for height in snapshot.first_unproven..=snapshot.tip {
        let proof = proof(height).map_err(|error| ExportError::Source(height, error))?;
        proofs.push(proof.ok_or(ExportError::NoProof(height))?);
    }
    let Snapshot { tip: height, hash, state, .. } = *snapshot;
    writer.write(&Entry::Tip(Tip { height, hash, state, proofs }))?;
    Ok(writer.finish(snapshot.tip)?)
}
