//! What the engine below the ledger adds to it. Applications see none of this: to them, heights come one after the other.

use super::{BlockError, Chain, Knowledge, rules, work_key};
use crate::{
    applications::HeightContext,
    block::{Block, Header},
    chain::UNDO_HEIGHTS,
    codec::DecodeError,
    genesis,
    keys::PublicKey,
    proof_of_work::{self, Parameters, Position, Progress, WorkError},
    rotation::Rotation,
    state::View,
    validators::ValidatorSet,
};

/// An engine's part in the rules of the chain.
pub(super) trait Engine: Sync {
    /// Writes what the engine has at the start of the network.
    fn begin(&self, state: &mut View<'_>);

    /// Whether what it has in a restored state is there and of its shape.
    ///
    /// # Errors
    /// What is not.
    fn check_state(&self, state: &View<'_>) -> Result<(), DecodeError>;

    /// Who builds the next block; a key of nobody where anyone may.
    fn leader(&self, validators: &ValidatorSet, state: &View<'_>) -> PublicKey;

    /// Checks everything that makes a block the next one but its place and its transactions.
    ///
    /// # Errors
    /// The first rule that it breaks.
    fn check_block(&self, chain: &Chain, block: &Block, known: &dyn Knowledge) -> Result<(), BlockError>;

    /// What the engine writes at the end of a height, whose block has this header if it has one.
    fn end_height(&self, at: &HeightContext<'_>, header: Option<&Header>, state: &mut View<'_>);

    /// Whether blocks carry proofs of the heights before them.
    fn carries_proofs(&self) -> bool;

    /// Most heights that can be undone.
    fn undo_heights(&self) -> usize;
}

/// The engine that the genesis file chooses.
pub(super) fn of(choice: genesis::Engine) -> &'static dyn Engine {
    match choice {
        genesis::Engine::DolevStrong => &DolevStrong,
        genesis::Engine::ProofOfWork => &ProofOfWork,
    }
}

/// A validator set decides; leaders take turns; proofs are signatures.
struct DolevStrong;

impl Engine for DolevStrong {
    fn begin(&self, _: &mut View<'_>) {}

    fn check_state(&self, state: &View<'_>) -> Result<(), DecodeError> {
        Rotation::check(state)
    }

    fn leader(&self, validators: &ValidatorSet, state: &View<'_>) -> PublicKey {
        Rotation::read(state).leader(validators)
    }

    fn check_block(&self, chain: &Chain, block: &Block, known: &dyn Knowledge) -> Result<(), BlockError> {
        if block.header.work.is_some() {
            return Err(WorkError::Unwanted.into());
        }
        rules::check_leader(chain, block)?;
        rules::check_proofs(chain, block, known)
    }

    fn end_height(&self, at: &HeightContext<'_>, header: Option<&Header>, state: &mut View<'_>) {
        Rotation::end_turn(&at.leader, at.height, header.is_none(), state);
    }

    fn carries_proofs(&self) -> bool {
        true
    }

    fn undo_heights(&self) -> usize {
        UNDO_HEIGHTS
    }
}

/// Whoever does the work builds; each block proves itself.
struct ProofOfWork;

fn parameters<'a>(at: &HeightContext<'a>) -> &'a Parameters {
    at.genesis.proof_of_work.as_ref().expect("a checked genesis file of this engine has its parameters")
}

fn progress(state: &View<'_>) -> Progress {
    state.get(&work_key()).expect("every state under this engine has it from the beginning")
}

impl Engine for ProofOfWork {
    fn begin(&self, state: &mut View<'_>) {
        state.put(work_key(), &Progress::START);
    }

    fn check_state(&self, state: &View<'_>) -> Result<(), DecodeError> {
        state.checked::<Progress>(&work_key(), "the work")?;
        Ok(())
    }

    fn leader(&self, _: &ValidatorSet, _: &View<'_>) -> PublicKey {
        PublicKey([0; 32])
    }

    fn check_block(&self, chain: &Chain, block: &Block, _: &dyn Knowledge) -> Result<(), BlockError> {
        let at = chain.next_context(block.header.timestamp);
        let position = Position::of(&chain.tip, progress(&chain.view()));
        position.check_seal(&block.header, parameters(&at))?;
        if !block.proofs.is_empty() {
            return Err(BlockError::ProofsHash);
        }
        Ok(())
    }

    fn end_height(&self, at: &HeightContext<'_>, header: Option<&Header>, state: &mut View<'_>) {
        if let (Some(header), Some(tip)) = (header, super::tip_in(state)) {
            let position = Position::of(&tip, progress(state));
            let after = position.after(header, header.hash(), parameters(at));
            state.put(work_key(), &after.progress());
        }
    }

    fn carries_proofs(&self) -> bool {
        false
    }

    fn undo_heights(&self) -> usize {
        proof_of_work::UNDO_HEIGHTS
    }
}
