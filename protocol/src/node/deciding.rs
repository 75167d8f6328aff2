//! What consensus hands to the chain, and the chain to consensus.

use super::{
    Block, BlockHash, Chain, Channel, Clock, Decided, Effect, Height, LogRecord, Node, Notice, Proof, Value,
    messages::Encoder,
};
use crate::{
    consensus::{Command, Event, Message, Past, Verdict},
    dissemination, handshake,
    machine::{Input as MachineInput, Machine, Output},
    penalty::Severity,
    sync,
};
use conclave_ledger::{
    chain::{Applied, BlockError, Execution, Knowledge},
    keys::PublicKey,
    pool::Pool,
    signed::Kind,
    transaction::SharedTransaction,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// What part of `Δ` a height may be open before peers are told again of the transactions that wait: in the good case it
/// is decided by then.
const REMIND_PART: u32 = 8;

/// Bytes of transactions that this node puts into a block that it builds, unless a single one is larger. The genesis file
/// allows more; but a block is in memory several times on its way (pool, log, database, three peers' buffers), and
/// several of this size in a second carry as much as fewer larger ones, and sooner.
pub const BODY_TARGET_BYTES: usize = 1 << 20;

/// What need not be verified again: transactions of the pool, and proofs whose every signature is in one that is
/// known.
pub(super) struct Verified<'a> {
    pub(super) pool: &'a Pool,
    pub(super) proofs: &'a BTreeMap<Height, Proof>,
}

impl Knowledge for Verified<'_> {
    fn transaction(&self, transaction: &SharedTransaction) -> bool {
        self.pool.transaction(transaction)
    }

    fn proof(&self, height: Height, _: &Value, proof: &Proof) -> bool {
        // The known proof is of the value that was decided, which is the one that is asked for.
        self.proofs.get(&height).is_some_and(|known| {
            let is_known = |(signer, signature)| known.signatures().get(signer) == Some(signature);
            known.is_certificate() == proof.is_certificate() && proof.signatures().iter().all(is_known)
        })
    }
}

impl Node {
    /// Carries out what the consensus machine wants; true if there was anything.
    pub(super) fn drain_consensus(&mut self, clock: Clock) -> bool {
        let mut any = false;
        let mut encoder = Encoder::new();
        while let Some(output) = self.consensus.as_mut().and_then(Machine::poll_output) {
            any = true;
            match output {
                Output::Send(peer, message) => {
                    let bulk = matches!(message, Message::Block(_));
                    let bytes = encoder.encode(message);
                    self.effects.push_back(Effect::Send { peer, channel: Channel::Consensus, bulk, bytes });
                }
                Output::Penalize(peer, penalty) => self.penalize(peer, penalty, clock),
                Output::Emit(event) => self.consensus_event(event, clock),
            }
        }
        any
    }

    fn consensus_event(&mut self, event: Event, clock: Clock) {
        match event {
            Event::Append(record) => {
                if let Value::Block(block) = &record.value {
                    self.log_block(block);
                }
                if record.kind == Kind::Vote {
                    self.tell(Notice::Voted { height: record.height, value: record.value });
                }
                self.effects.push_back(Effect::Append(LogRecord::Signed(record)));
            }
            Event::Proposed { block, kind, signature } => {
                self.proposed.insert(block, (kind, signature));
            }
            Event::Opened { height } => {
                self.opened_at = Some(clock.time);
                let delta = Duration::from_millis(self.chain.genesis().delta_ms);
                self.remind_at = Some(clock.time + delta / REMIND_PART);
                let leader = self.chain.leader();
                self.tell(Notice::Opened { height, leader });
            }
            Event::Build { height } => {
                let block = self.build(height, clock);
                self.consensus_command(Command::Built { height, block }, clock);
            }
            Event::Check { block } => self.check(block, clock),
            Event::Fetch { height, block, peers } => {
                self.sync_command(sync::Command::FetchBlock { height, hash: block, peers }, clock);
            }
            Event::Decide { height, value, block, proof } => {
                let decided = match block {
                    Some(block) => Decided::Block(block),
                    None => Decided::Skip(self.chain.skip()),
                };
                if height == self.chain.next_height() && decided.value() == value {
                    let micros = self.opened_at.map(|opened| clock.time.since(opened).as_micros() as u64);
                    if let Err(error) = self.decide(Arc::new(decided), proof, micros, clock) {
                        self.fail(format!(
                            "height {height} was decided by the validators but breaks a rule here: {error}. This \
                             node's program or database differs from the others'; stop it, compare versions, and \
                             let it catch up in a fresh home"
                        ));
                    }
                }
            }
            Event::Proved { height, proof, .. } => self.proved(height, proof, clock),
            Event::Halted { height, closing, quorum } => {
                self.tell(Notice::Halted { height, closing, quorum })
            }
            Event::Repair { height, value, proof } => self.repair(height, value, proof, clock),
            Event::Misbehaved { validator, height, first, second } => {
                self.tell(Notice::Misbehaved { validator, height });
                self.submit_evidence(validator, height, first, second, clock);
            }
            Event::Behind { peer, height } => {
                self.sync_command(sync::Command::Behind { peer, height }, clock)
            }
        }
    }

    /// The leader's block, once the proofs of all heights since the last block are known.
    fn build(&mut self, height: Height, clock: Clock) -> Option<Arc<Block>> {
        let leader = self.validator_key()?;
        if height != self.chain.next_height() || leader != self.chain.leader() {
            return None;
        }
        let unproven = self.chain.unproven();
        let proofs =
            unproven.map(|(height, _)| self.proofs.get(&height).cloned()).collect::<Option<Vec<_>>>()?;
        let mut bytes = 0;
        let candidates = self.pool.iter().take_while(|transaction| {
            let is_first = bytes == 0;
            bytes += transaction.size();
            is_first || bytes <= BODY_TARGET_BYTES
        });
        let (block, execution) = self.chain.propose(leader, clock.unix_ms, proofs, candidates)?;
        let block = Arc::new(block);
        self.executions.insert(block.hash(), execution);
        self.remember(block.clone());
        Some(block)
    }

    fn check(&mut self, block: Arc<Block>, clock: Clock) {
        if block.header.height != self.chain.next_height() {
            return; // Sync was quicker: the height is decided.
        }
        let hash = block.hash();
        self.remember(block.clone());
        let known = Verified { pool: &self.pool, proofs: &self.proofs };
        let execution = self.chain.validate(&block, &known);
        let latest = clock.unix_ms.saturating_add(self.chain.genesis().delta_ms);
        let verdict = Verdict { valid: execution.is_ok(), timely: block.header.timestamp <= latest };
        match execution {
            Ok(execution) => {
                self.executions.insert(hash, execution);
            }
            Err(error) => self.tell_invalid(&block, &error),
        }
        let height = block.header.height;
        self.consensus_command(Command::Checked { height, block: hash, verdict }, clock);
    }

    fn tell_invalid(&mut self, block: &Block, error: &BlockError) {
        // What is checked has the signature of the height's leader, whoever its header names.
        let leader = self.chain.leader();
        let leader = self.peers.iter().find(|(_, role)| role.validator() == Some(leader));
        if let Some(peer) = leader.map(|(peer, _)| *peer) {
            let reason = format!("an invalid block at height {}: {error}", block.header.height);
            self.tell(Notice::PeerPenalized { peer, severity: Severity::Serious, reason });
        }
    }

    fn log_block(&mut self, hash: &BlockHash) {
        if let Some(block) = self.block_at_hand(hash).filter(|_| self.logged.insert(*hash)) {
            let height = block.header.height;
            self.effects.push_back(Effect::Append(LogRecord::Block(block)));
            if let Some((kind, signature)) = self.proposed.get(hash).copied() {
                let record = LogRecord::Proposal { height, block: *hash, kind, signature };
                self.effects.push_back(Effect::Append(record));
            }
        }
    }

    /// Applies a decision, logs it, and begins the next height.
    pub(super) fn decide(
        &mut self,
        decided: Arc<Decided>,
        proof: Option<Proof>,
        micros: Option<u64>,
        clock: Clock,
    ) -> Result<(), BlockError> {
        let has_certificate = proof.as_ref().is_some_and(Proof::is_certificate);
        let execution = decided.value().block().and_then(|hash| self.executions.remove(&hash));
        let past = Past {
            height: decided.height(),
            value: decided.value(),
            proof: proof.clone(),
            leader: self.chain.leader(),
            validators: self.chain.validators().clone(),
        };
        let applied = self.apply(&decided, execution, has_certificate)?;
        if let Decided::Block(block) = decided.as_ref() {
            self.remember(block.clone());
            self.log_block(&block.hash());
        }
        let height = applied.height;
        self.effects.push_back(Effect::Append(LogRecord::Decided {
            height,
            value: decided.value(),
            proof: proof.clone(),
        }));
        self.note_proof(height, &proof, &decided);
        if self.consensus.as_ref().is_some_and(|consensus| !consensus.has_decided()) {
            self.consensus_command(Command::Decided(past), clock);
        }
        for id in &applied.transactions {
            self.pool.remove(id);
        }
        let gone = dissemination::Command::Gone(applied.transactions.clone());
        self.dissemination.handle(MachineInput::Command(gone), clock.time);
        self.effects.push_back(Effect::Decided { decided, applied: Arc::new(applied), proof, micros });
        self.begin(clock);
        Ok(())
    }

    pub(super) fn apply(
        &mut self,
        decided: &Decided,
        execution: Option<Execution>,
        has_certificate: bool,
    ) -> Result<Applied, BlockError> {
        let known = Verified { pool: &self.pool, proofs: &self.proofs };
        self.chain.apply(decided, execution, &known, has_certificate)
    }

    pub(super) fn note_proof(&mut self, height: Height, proof: &Option<Proof>, decided: &Decided) {
        if decided.block().is_some() {
            let oldest = self.oldest_wanted_proof();
            self.proofs = self.proofs.split_off(&oldest);
        }
        if let Some(proof) = proof {
            self.proofs.insert(height, proof.clone());
        }
    }

    /// Tells everybody that the next height begins.
    pub(super) fn begin(&mut self, clock: Clock) {
        if self.mining.is_some() {
            return self.begin_mining(clock);
        }
        let height = self.chain.next_height();
        self.executions.clear();
        self.at_hand.retain(|(_, block)| block.header.height + 1 >= height);
        self.logged.clear();
        self.proposed.clear();
        self.opened_at = None;
        self.remind_at = None;
        let tip = self.chain.tip().height;
        let validators = self.chain.validators().clone();
        let leader = self.chain.leader();
        self.handshake.handle(MachineInput::Command(handshake::Command::Height(tip)), clock.time);
        self.sync_command(sync::Command::Height { height: tip }, clock);
        self.meet_validators(clock);
        self.send_evidence(clock);
        // Before the height begins: what was just decided must not open it.
        self.update_pending(clock);
        self.consensus_command(Command::Begin { height, validators, leader }, clock);
        self.tell_proofs(clock);
        self.resume_if_absent(clock);
    }

    /// Whether `key` is a validator whose word counts at the next height.
    pub(super) fn is_active(chain: &Chain, key: &PublicKey) -> bool {
        let set = chain.validators();
        set.index_of(key).is_some_and(|index| set.signer(index).is_some())
    }
}
