//! What a restart gives back: decided heights that only the log holds, those that can still be undone (R1), and what
//! this validator has signed in the open height.

use super::{Block, BlockHash, Clock, Decided, Effect, Height, LogRecord, Node, Proof, RestoreError, Value};
use crate::consensus::{Command, Past};
use conclave_ledger::{keys::Signature, signed::Kind};
use std::{collections::BTreeMap, sync::Arc};

/// A block that the log holds, with the leader's signature if this node signed for it.
struct LoggedBlock {
    block: Arc<Block>,
    proposal: Option<(Kind, Signature)>,
}

/// Blocks of the open height that the log holds.
pub(super) struct OpenHeight(Vec<LoggedBlock>);

impl Node {
    /// Applies what only the log holds; returns what it holds of the open height. Storage is told of decided heights
    /// as of new ones, one effect for each record, in order.
    pub(super) fn replay(&mut self, log: Vec<LogRecord>) -> Result<OpenHeight, RestoreError> {
        let mut blocks: BTreeMap<BlockHash, LoggedBlock> = BTreeMap::new();
        for record in log {
            match record {
                LogRecord::Signed(_) => {}
                LogRecord::Block(block) => {
                    blocks.entry(block.hash()).or_insert(LoggedBlock { block, proposal: None });
                }
                LogRecord::Proposal { block, kind, signature, .. } => {
                    if let Some(logged) = blocks.get_mut(&block) {
                        logged.proposal = Some((kind, signature));
                    }
                }
                LogRecord::Decided { height, value, proof } if height == self.chain.next_height() => {
                    let decided = match value {
                        Value::Skip => Decided::Skip(self.chain.skip()),
                        Value::Block(hash) => {
                            let logged = blocks.get(&hash).ok_or(RestoreError::BlockMissing(height))?;
                            Decided::Block(logged.block.clone())
                        }
                    };
                    self.replay_decided(decided, proof)?;
                }
                LogRecord::Decided { .. } => {}
                LogRecord::Proved { height, proof } => self.replay_proved(height, proof),
                LogRecord::RolledBack { height } => self.replay_rolled_back(height)?,
            }
        }
        let next = self.chain.next_height();
        let open = blocks.into_values().filter(|logged| logged.block.header.height == next);
        Ok(OpenHeight(open.collect()))
    }

    fn replay_decided(&mut self, decided: Decided, proof: Option<Proof>) -> Result<(), RestoreError> {
        let height = decided.height();
        let certified = proof.as_ref().is_some_and(Proof::is_certificate);
        let applied = self
            .apply(&decided, None, certified)
            .map_err(|error| RestoreError::Invalid { height, error: error.to_string() })?;
        self.note_proof(height, &proof, &decided);
        let (decided, applied) = (Arc::new(decided), Arc::new(applied));
        self.effects.push_back(Effect::Decided { decided, applied, proof, micros: None });
        Ok(())
    }

    fn replay_proved(&mut self, height: Height, proof: Proof) {
        if height > self.chain.tip().height {
            return;
        }
        if height >= self.oldest_wanted_proof() {
            self.proofs.insert(height, proof.clone());
        }
        if proof.is_certificate() {
            self.chain.certified(height);
        }
        self.effects.push_back(Effect::Proved { height, proof });
    }

    fn replay_rolled_back(&mut self, height: Height) -> Result<(), RestoreError> {
        if height <= self.chain.tip().height {
            let changes = self
                .chain
                .rollback(height)
                .map_err(|error| RestoreError::Invalid { height, error: error.to_string() })?;
            self.proofs.split_off(&height);
            self.effects.push_back(Effect::RolledBack { height, changes });
        }
        Ok(())
    }

    /// Tells consensus of the heights that can still be undone, so that a certificate undoes them after the restart
    /// as before it, and what was said of them is said again.
    pub(super) fn recall_decisions(&mut self, clock: Clock) {
        let past: Vec<Past> = self
            .chain
            .undoable()
            .map(|(height, undo)| Past {
                height,
                value: undo.decided.value(),
                proof: self.proofs.get(&height).cloned(),
                leader: undo.leader,
                validators: undo.validators.clone(),
            })
            .collect();
        past.into_iter().for_each(|past| self.consensus_command(Command::Decided(past), clock));
    }

    /// Gives the blocks of the open height back, those that this node signed for with the leader's signature.
    pub(super) fn recall_blocks(&mut self, open: OpenHeight, clock: Clock) {
        let height = self.chain.next_height();
        for LoggedBlock { block, proposal } in open.0 {
            let hash = block.hash();
            self.remember(block.clone());
            self.logged.insert(hash);
            if let Some((kind, signature)) = proposal {
                self.consensus_command(Command::Proposed { height, block: hash, kind, signature }, clock);
            }
            self.consensus_command(Command::Block(block), clock);
        }
    }
}
