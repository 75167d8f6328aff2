//! Proofs of the last heights: gathered until all nodes have the same, and the certificate that outranks a decision
//! without one (R1).

use super::{Block, Clock, Effect, Height, LogRecord, Node, Proof, Value};
use crate::{
    consensus::Command,
    peer::Peer,
    penalty::Penalty,
    sync::{self, MAX_PROOFS, ProvedValue},
};
use conclave_ledger::{codec, hash::Hash, validators::ValidatorSet};
use std::sync::Arc;

impl Node {
    /// The oldest height whose proof is of use: the last block's, or one that can still be undone.
    pub(super) fn oldest_wanted_proof(&self) -> Height {
        let undoable = self.chain.undoable().next().map(|(height, _)| height);
        let unproven = self.chain.tip().block_height;
        undoable.map_or(unproven, |undoable| undoable.min(unproven))
    }

    /// Tells consensus and sync what this node has of the heights since the last block, of the last [`MAX_PROOFS`] at
    /// most.
    pub(super) fn tell_proofs(&mut self, clock: Clock) {
        let tip = self.chain.tip().height;
        let first =
            self.chain.tip().block_height.max((tip + 1).saturating_sub(Height::from(MAX_PROOFS))).max(1);
        let known: Vec<Option<&Proof>> = (first..=tip).map(|height| self.proofs.get(&height)).collect();
        let hash = Hash::of("conclave/fingerprint/proofs", &[&codec::encode(&known)]);
        let fingerprint = hash.0.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
        let from = self.oldest_wanted_proof().clamp(first.saturating_sub(Height::from(MAX_PROOFS)), first);
        let uncertain = self.chain.undoable().next().is_some();
        self.sync_command(sync::Command::Proofs { from, fingerprint, uncertain }, clock);
        self.consensus_command(Command::Proofs(fingerprint), clock);
    }

    /// What was decided at a height whose proof is of use: the value, whether it is final, who decided it.
    fn decision_at(&self, height: Height) -> Option<(Value, bool, Arc<ValidatorSet>)> {
        if let Some((_, undo)) = self.chain.undoable().find(|(undoable, _)| *undoable == height) {
            return Some((undo.decided.value(), undo.certified, undo.validators.clone()));
        }
        let (_, value) = self.chain.unproven().find(|(unproven, _)| *unproven == height)?;
        Some((value, true, Arc::new(self.chain.validators_at(height)?)))
    }

    /// Proofs that a peer has: what they add is added, and a certificate on something else is followed if it outranks
    /// what was decided here.
    pub(super) fn receive_proofs(&mut self, peer: Peer, proofs: Vec<ProvedValue>, clock: Clock) {
        for ProvedValue { height, value, proof } in proofs {
            let Some((decided, certified, validators)) = self.decision_at(height) else { continue };
            let adds = self.proofs.get(&height).is_none_or(|known| known.merged(&proof).is_some());
            let outranks = decided != value && !certified && proof.is_certificate();
            if !(outranks || (decided == value && adds)) {
                continue;
            }
            if let Err(error) = proof.verify(self.chain.network(), height, &value, &validators) {
                let reason = format!("a proof of height {height}: {error}");
                return self.penalize(peer, Penalty::fatal(reason), clock);
            }
            if outranks {
                return self.outranked(height, value, proof, clock);
            }
            self.proved(height, proof, clock);
        }
    }

    /// A certificate contradicts what was decided here without one. Who decides with others goes back by way of its
    /// consensus machine, which knows what it signed.
    fn outranked(&mut self, height: Height, value: Value, proof: Proof, clock: Clock) {
        if self.consensus.is_some() {
            let votes = proof.signatures().clone();
            self.consensus_command(Command::Certificate { height, value, votes }, clock);
        } else {
            self.repair(height, value, proof, clock);
        }
    }

    /// A proof that came later, or more signatures for one: all nodes end with the same.
    pub(super) fn proved(&mut self, height: Height, proof: Proof, clock: Clock) {
        if height > self.chain.tip().height {
            return; // It was undone.
        }
        let merged = match self.proofs.get(&height) {
            Some(known) => known.merged(&proof),
            None => Some(proof),
        };
        let Some(proof) = merged else { return };
        if height >= self.oldest_wanted_proof() {
            self.proofs.insert(height, proof.clone());
        }
        if proof.is_certificate() {
            self.chain.certified(height);
            self.consensus_command(Command::Certified(height), clock);
        }
        self.effects.push_back(Effect::Append(LogRecord::Proved { height, proof: proof.clone() }));
        self.effects.push_back(Effect::Proved { height, proof });
        self.tell_proofs(clock);
        // A leader that lacked this proof can build now.
        self.update_pending(clock);
    }

    /// R1: back to the state before the height; what was undone waits to be decided again.
    pub(super) fn repair(&mut self, height: Height, value: Value, proof: Proof, clock: Clock) {
        let reason =
            format!("a certificate at height {height} is on {value}, which is not what was decided here");
        let undone = self.chain.undoable().filter(|(undone, _)| *undone >= height);
        let undone: Vec<Arc<Block>> = undone.filter_map(|(_, undo)| undo.decided.block().cloned()).collect();
        match self.chain.rollback(height) {
            Ok(changes) => {
                self.effects.push_back(Effect::Append(LogRecord::RolledBack { height }));
                self.effects.push_back(Effect::RolledBack { height, changes });
                self.proofs.split_off(&height);
                for block in undone {
                    // What has become invalid meanwhile is reported as dropped by those who wait for it.
                    let _ = self.admit_local(block.transactions.clone(), clock);
                }
                self.begin(clock);
                let votes = proof.signatures().clone();
                self.consensus_command(Command::Certificate { height, value, votes }, clock);
            }
            Err(error) => self.fail(format!("{reason}, and {error}: let this node catch up in a fresh home")),
        }
    }
}
