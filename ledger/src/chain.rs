//! The chain: decided heights applied to the state one after the other.
//!
//! ```text
//! propose ──► Block ──► validate ──► Execution ──► apply ──► Applied (what storage writes)
//!                                                   │
//!                                 rollback ◄────────┘  (rule R1: a certificate outranks a decision without one)
//! ```
//! A block is executed on a view while it is validated; its changes wait until consensus has decided it. Whatever
//! the chain knows is in its state, so it is restored from the state's entries alone; what undoes its last heights is
//! kept beside the state, and restored after it ([`Chain::restore_undo`]).

mod engine;
mod rules;
mod undo;

pub(crate) use rules::apply_transaction;
pub use rules::{BlockError, Knowledge, NothingKnown, TransactionError, check_transaction};
pub use undo::{BrokenUndo, CannotUndo, UNDO_HEIGHTS, Undo};

use crate::{
    applications::{self, HeightContext, governance},
    block::{Block, Decided, Header, Skip},
    codec,
    genesis::Genesis,
    hash::{Hash, NetworkId, TransactionId},
    keys::PublicKey,
    proof::Proof,
    proof_of_work::{CompactTarget, Nonce, Position, Seal},
    signed::{Height, Value},
    state::{Changes, State, View, key},
    transaction::SharedTransaction,
    validators::ValidatorSet,
};
use engine::Engine;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use undo::UndoLog;

/// Where the chain stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tip {
    /// Last decided height; 0 before the first.
    pub height: Height,
    /// Hash of its record; [`Hash::ZERO`] before the first.
    pub hash: Hash,
    /// Timestamp of the last block, or of the genesis file, in milliseconds since 1970.
    pub timestamp: u64,
    /// Height of the last block; 0 before the first.
    pub block_height: Height,
    /// Hash of the last block.
    pub block_hash: Hash,
}

impl Tip {
    /// The timestamp of a block that is built when the clock says `now_ms`: larger than that of the last block, except
    /// where there is no larger number.
    pub fn next_timestamp(&self, now_ms: u64) -> u64 {
        now_ms.max(self.timestamp.saturating_add(1))
    }
}

/// A block that was found valid, and what it would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    parent: Hash,
    changes: Changes,
}

/// What applying a decided height did, for storage and for those who wait for transactions.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The height.
    pub height: Height,
    /// Hash of its record.
    pub hash: Hash,
    /// Entries of the state that changed.
    pub changes: Changes,
    /// Ids of the block's transactions, in order.
    pub transactions: Vec<TransactionId>,
    /// What undoes the height ([`Undo::encode`]), if it can be undone.
    pub undo: Option<Vec<u8>>,
    /// What undoes heights before this one is needed no more.
    pub undo_from: Height,
}

/// The chain and its state.
pub struct Chain {
    genesis: Arc<Genesis>,
    engine: &'static dyn Engine,
    network: NetworkId,
    state: State,
    root: Hash,
    tip: Tip,
    validators: Arc<ValidatorSet>,
    leader: PublicKey,
    undo: UndoLog,
}

fn tip_key() -> Vec<u8> {
    key("chain/tip", &[])
}

fn tip_in(state: &View<'_>) -> Option<Tip> {
    state.get(&tip_key())
}

/// What adds up along a chain by proof of work.
fn work_key() -> Vec<u8> {
    key("chain/work", &[])
}

/// Validator sets by the height from which they hold, back to the last block's.
fn sets_key() -> Vec<u8> {
    key("chain/sets", &[])
}

fn seen_key(expires: Height, id: &[u8]) -> Vec<u8> {
    key("seen/", &[&expires.to_be_bytes(), id])
}

impl Chain {
    /// The chain of a checked genesis file, at height 0.
    pub fn new(genesis: Arc<Genesis>) -> Self {
        let mut state = State::default();
        let mut view = state.view();
        applications::begin(&genesis, &mut view);
        let (network, timestamp) = (genesis.network_id(), genesis.created_ms);
        let tip = Tip { height: 0, hash: Hash::ZERO, timestamp, block_height: 0, block_hash: Hash::ZERO };
        view.put(tip_key(), &tip);
        view.put(sets_key(), &vec![(1 as Height, governance::validator_set(&view))]);
        engine::of(genesis.engine).begin(&mut view);
        let changes = view.into_changes();
        state.apply(changes);
        Self::with_state(genesis, network, state)
    }

    /// The chain whose state has these entries.
    ///
    /// # Errors
    /// When the entries are not a state that this chain wrote.
    pub fn restore(
        genesis: Arc<Genesis>,
        entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<Self, codec::DecodeError> {
        let state = State::restore(entries);
        let view = state.view();
        view.checked::<Tip>(&tip_key(), "the tip")?;
        view.checked::<Vec<(Height, ValidatorSet)>>(&sets_key(), "the history of validator sets")?;
        governance::check(&view)?;
        engine::of(genesis.engine).check_state(&view)?;
        let network = genesis.network_id();
        Ok(Self::with_state(genesis, network, state))
    }

    fn with_state(genesis: Arc<Genesis>, network: NetworkId, state: State) -> Self {
        let tip = state.view().get(&tip_key()).expect("every state of a chain has a tip");
        let engine = engine::of(genesis.engine);
        let mut chain = Self {
            genesis,
            engine,
            network,
            root: Hash::ZERO,
            tip,
            validators: Arc::new(ValidatorSet { members: Vec::new(), faulty: 0 }),
            leader: PublicKey([0; 32]),
            undo: UndoLog::new(engine.undo_heights()),
            state,
        };
        chain.refresh();
        chain
    }

    /// Recomputes what follows from the state.
    fn refresh(&mut self) {
        self.root = self.state.root();
        let view = self.state.view();
        self.tip = view.get(&tip_key()).expect("every state of a chain has a tip");
        let validators = governance::validator_set(&view);
        self.leader = self.engine.leader(&validators, &view);
        if *self.validators != validators {
            self.validators = Arc::new(validators);
        }
    }

    /// The network's definition.
    pub fn genesis(&self) -> &Arc<Genesis> {
        &self.genesis
    }

    /// The network id.
    pub fn network(&self) -> NetworkId {
        self.network
    }

    /// Where the chain stands.
    pub fn tip(&self) -> &Tip {
        &self.tip
    }

    /// The height that is to be decided next.
    pub fn next_height(&self) -> Height {
        self.tip.height + 1
    }

    /// The validators of the next height.
    pub fn validators(&self) -> &Arc<ValidatorSet> {
        &self.validators
    }

    /// The leader of the next height.
    pub fn leader(&self) -> PublicKey {
        self.leader
    }

    /// Hash of the state after the last decided height.
    pub fn state_hash(&self) -> Hash {
        self.root
    }

    /// The state after the last decided height, for queries.
    pub fn view(&self) -> View<'_> {
        self.state.view()
    }

    /// All entries of the state.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.state.entries()
    }

    /// The context of the next height at `timestamp`.
    pub fn next_context(&self, timestamp: u64) -> HeightContext<'_> {
        HeightContext { genesis: &self.genesis, height: self.next_height(), timestamp, leader: self.leader }
    }

    /// The validator set that decided `height`, from the last block's height on.
    pub fn validators_at(&self, height: Height) -> Option<ValidatorSet> {
        let sets: Vec<(Height, ValidatorSet)> = self.state.view().get(&sets_key())?;
        sets.into_iter().rev().find(|(from, _)| *from <= height).map(|(_, set)| set)
    }

    /// Where the chain stands by the work done on it, under that engine.
    pub fn position(&self) -> Option<Position> {
        self.state.view().get(&work_key()).map(|progress| Position::of(&self.tip, progress))
    }

    /// Blocks over the one that holds something before it is called final: none under an engine whose decisions are.
    pub fn depth(&self) -> u64 {
        self.genesis.proof_of_work.as_ref().map_or(0, |parameters| parameters.depth)
    }

    /// Heights whose proofs the next block carries, with the values that they decided.
    pub fn unproven(&self) -> impl Iterator<Item = (Height, Value)> + use<> {
        let (block_height, block_hash) = (self.tip.block_height, self.tip.block_hash);
        let first = if self.engine.carries_proofs() { block_height.max(1) } else { self.tip.height + 1 };
        (first..=self.tip.height).map(move |height| {
            let value = if height == block_height { Value::Block(block_hash) } else { Value::Skip };
            (height, value)
        })
    }

    /// Builds the next height's block from as many of `candidates` as are valid one after the other and fit; `None`
    /// if there is none, or no later timestamp than that of the last block. `proofs` are those of [`Chain::unproven`], in order. The candidates' signatures are good.
    ///
    /// The block is executed while it is built: its execution is the one that [`Chain::validate`] finds, if the
    /// proofs are good and `leader` is the height's.
    pub fn propose<'t>(
        &self,
        leader: PublicKey,
        now_ms: u64,
        proofs: Vec<Proof>,
        candidates: impl IntoIterator<Item = &'t SharedTransaction>,
    ) -> Option<(Block, Execution)> {
        let timestamp = self.tip.next_timestamp(now_ms);
        let at = HeightContext { leader, ..self.next_context(timestamp) };
        let (view, transactions) = self.fill(&at, candidates);
        if transactions.is_empty() || timestamp == self.tip.timestamp {
            return None;
        }
        let header = self.next_header(&at, Block::proofs_hash(&proofs), &transactions, None);
        let changes = self.finish(view, &at, header.hash(), Some(&header));
        Some((Block { header, proofs, transactions }, Execution { parent: self.tip.hash, changes }))
    }

    /// Builds the next height's block for `miner` to work on, in the same way: all it lacks is its nonce. `None` if there
    /// is no valid candidate and no empty block is wanted (`breaks_tie` says that another branch has as much work), or no
    /// later timestamp.
    pub fn template<'t>(
        &self,
        miner: PublicKey,
        now_ms: u64,
        breaks_tie: bool,
        candidates: impl IntoIterator<Item = &'t SharedTransaction>,
    ) -> Option<Block> {
        let (parameters, position) = (self.genesis.proof_of_work.as_ref()?, self.position()?);
        let timestamp = self.tip.next_timestamp(now_ms);
        let at = HeightContext { leader: miner, ..self.next_context(timestamp) };
        let (_, transactions) = self.fill(&at, candidates);
        let may_be_empty =
            position.wants_block(parameters) || (breaks_tie && position.may_be_empty(parameters));
        if (transactions.is_empty() && !may_be_empty) || timestamp == self.tip.timestamp {
            return None;
        }
        let target = position.next_target(parameters);
        let header = self.next_header(&at, Block::proofs_hash(&[]), &transactions, Some(target));
        Some(Block { header, proofs: Vec::new(), transactions })
    }

    /// As many of `candidates` as are valid one after the other and fit, and the state after them.
    fn fill<'t>(
        &self,
        at: &HeightContext<'_>,
        candidates: impl IntoIterator<Item = &'t SharedTransaction>,
    ) -> (View<'_>, Vec<SharedTransaction>) {
        let mut view = self.state.view();
        let limits = governance::limits(&view);
        let (mut transactions, mut total) = (Vec::new(), 0);
        for transaction in candidates {
            if total + transaction.size() > limits.body_bytes as usize {
                break;
            }
            if check_transaction(transaction, &limits, at, &view).is_ok() {
                rules::apply_transaction(transaction, at, &mut view);
                total += transaction.size();
                transactions.push(transaction.clone());
            }
        }
        (view, transactions)
    }

    fn next_header(
        &self,
        at: &HeightContext<'_>,
        proofs: Hash,
        transactions: &[SharedTransaction],
        target: Option<CompactTarget>,
    ) -> Header {
        Header {
            network: self.network,
            height: at.height,
            parent: self.tip.hash,
            leader: at.leader,
            timestamp: at.timestamp,
            state: self.root,
            proofs,
            transactions: Block::transactions_root(transactions),
            work: target.map(|target| Seal { target, nonce: Nonce([0; 8]) }),
        }
    }

    /// Checks every rule of a block for the next height and executes it on trial.
    ///
    /// # Errors
    /// The first rule that it breaks. All honest nodes at the same tip find the same.
    pub fn validate(&self, block: &Block, known: &impl Knowledge) -> Result<Execution, BlockError> {
        rules::check_header(self, block)?;
        self.engine.check_block(self, block, known)?;
        let leader = block.header.leader;
        let at = HeightContext { leader, ..self.next_context(block.header.timestamp) };
        let mut view = self.state.view();
        rules::execute_body(block, &at, &mut view, known)?;
        let changes = self.finish(view, &at, block.hash(), Some(&block.header));
        Ok(Execution { parent: self.tip.hash, changes })
    }

    /// Applies the decision of the next height. A block that was not validated at this tip is validated first.
    ///
    /// # Errors
    /// When the record does not belong at this place or is not valid; nothing is changed then.
    pub fn apply(
        &mut self,
        decided: &Decided,
        execution: Option<Execution>,
        known: &impl Knowledge,
        has_certificate: bool,
    ) -> Result<Applied, BlockError> {
        let hash = decided.hash();
        let changes = match (decided, execution) {
            (Decided::Block(_), Some(execution)) if execution.parent == self.tip.hash => execution.changes,
            (Decided::Block(block), _) => self.validate(block, known)?.changes,
            (Decided::Skip(skip), _) => {
                rules::check_skip(self, skip)?;
                let at = self.next_context(self.tip.timestamp);
                self.finish(self.state.view(), &at, hash, None)
            }
        };
        let height = self.next_height();
        let undo = Undo {
            decided: decided.clone(),
            leader: self.leader,
            validators: self.validators.clone(),
            certified: has_certificate,
            changes: self.state.apply(changes.clone()),
        };
        self.undo.push(height, undo);
        self.refresh();
        let transactions = decided
            .block()
            .map_or_else(Vec::new, |block| block.transactions.iter().map(SharedTransaction::id).collect());
        let undo = self.undo.get(height).map(Undo::encode);
        let undo_from = self.undo.oldest().unwrap_or(height + 1);
        Ok(Applied { height, hash, changes, transactions, undo, undo_from })
    }

    /// Notes that a certificate of `height` has become known: its decision is final.
    pub fn certified(&mut self, height: Height) {
        self.undo.certified(height);
    }

    /// The heights that can be undone, ascending: from the oldest one without a certificate to the tip, at most
    /// [`UNDO_HEIGHTS`], or the [`UNDO_HEIGHTS`](crate::proof_of_work::UNDO_HEIGHTS) of proof of work.
    pub fn undoable(&self) -> impl Iterator<Item = (Height, &Undo)> {
        self.undo.iter()
    }

    /// Gives a restored chain back what undoes its last heights, as [`Applied::undo`] gave it.
    ///
    /// # Errors
    /// When these are not the chain's last heights; nothing is changed then.
    pub fn restore_undo(&mut self, heights: Vec<(Height, Undo)>) -> Result<(), BrokenUndo> {
        self.undo = UndoLog::restore(heights, &self.tip, self.engine.undo_heights())?;
        Ok(())
    }

    /// The skip record of the next height.
    pub fn skip(&self) -> Skip {
        Skip { network: self.network, height: self.next_height(), parent: self.tip.hash }
    }

    /// Goes back to the state before `height` and returns the entries that changed by it.
    ///
    /// # Errors
    /// When `height` was not decided, or is further back than what is kept ([`UNDO_HEIGHTS`], and only behind
    /// heights that were decided without a certificate).
    pub fn rollback(&mut self, height: Height) -> Result<Changes, CannotUndo> {
        let mut changed = Changes::new();
        for undo in self.undo.split_off(height, self.tip.height)? {
            self.state.apply(undo.changes.clone());
            changed.extend(undo.changes);
        }
        self.refresh();
        Ok(changed)
    }

    /// What every height does at its end: the engine, applications, forgetting of expired ids, the new tip.
    fn finish(
        &self,
        mut view: View<'_>,
        at: &HeightContext<'_>,
        hash: Hash,
        header: Option<&Header>,
    ) -> Changes {
        self.engine.end_height(at, header, &mut view);
        applications::end_height(at, &mut view);
        let prefix = seen_key(at.height, &[]);
        let expired: Vec<Vec<u8>> = view.prefix(&prefix).map(|(key, _)| key.to_vec()).collect();
        expired.iter().for_each(|key| view.remove(key));
        let mut tip = Tip { height: at.height, hash, ..self.tip.clone() };
        let mut sets: Vec<(Height, ValidatorSet)> = view.get(&sets_key()).unwrap_or_default();
        if header.is_some() {
            tip.timestamp = at.timestamp;
            (tip.block_height, tip.block_hash) = (at.height, hash);
            let needed = sets.iter().rposition(|(from, _)| *from <= at.height).unwrap_or(0);
            sets.drain(..needed);
        }
        let next = governance::validator_set(&view);
        if sets.last().is_none_or(|(_, last)| *last != next) {
            sets.push((at.height + 1, next));
        }
        view.put(sets_key(), &sets);
        view.put(tip_key(), &tip);
        view.into_changes()
    }
}

#[cfg(test)]
mod tests;
