//! Sync and the chain: heights that others decided, verified one by one.

use super::{Clock, Effect, Node, Notice, Proof, Protocol};
use crate::{
    consensus,
    machine::{Machine, Output},
    peer::Peer,
    sync::{Command, Event, ProvedHeight, Request, Response},
};
use conclave_ledger::{chain::BlockError, signed::Value};
use std::sync::Arc;

impl Node {
    pub(super) fn drain_sync(&mut self, clock: Clock) -> bool {
        let mut any = false;
        while let Some(output) = self.sync.poll_output() {
            any = true;
            match output {
                Output::Send(peer, message) => self.send_exchange(peer, Protocol::Sync, &message),
                Output::Penalize(peer, penalty) => self.penalize(peer, penalty, clock),
                Output::Emit(event) => self.sync_event(event, clock),
            }
        }
        any
    }

    fn sync_event(&mut self, event: Event, clock: Clock) {
        match event {
            Event::Lookup { token, request: Request::Block { height, hash } } => {
                match self.block_at_hand(&hash) {
                    Some(block) => {
                        let response = Response::Block(Some(block.clone()));
                        self.sync_command(Command::Found { token, response }, clock);
                    }
                    None => self
                        .effects
                        .push_back(Effect::Lookup { token, request: Request::Block { height, hash } }),
                }
            }
            Event::Lookup { token, request } => self.effects.push_back(Effect::Lookup { token, request }),
            Event::Deliver { peer, heights } => self.follow(peer, heights, clock),
            Event::Proofs { peer, proofs } => self.receive_proofs(peer, proofs, clock),
            Event::BlockFetched { block } => {
                self.consensus_command(consensus::Command::Block(block), clock);
            }
            Event::Progress { height, target } => self.tell(Notice::CatchingUp { height, target }),
            Event::CaughtUp { height } => {
                self.tell(Notice::CaughtUp(height));
                self.resume_if_absent(clock);
            }
        }
    }

    /// Commits of no more than `f` validators prove a height to who was away, where more may never come (`f ≥ n/2`). They
    /// may all be faulty, and who takes part will see by its own clock.
    fn knows_better(&self, proof: &Proof, clock: Clock) -> bool {
        let is_weak = !proof.is_certificate() && proof.signatures().len() <= self.chain.validators().faulty();
        is_weak && self.consensus.as_ref().is_some_and(|consensus| consensus.is_timed(clock.time))
    }

    /// Verifies and applies heights that a peer gave; the first that does not hold ends it.
    fn follow(&mut self, peer: Peer, heights: Vec<ProvedHeight>, clock: Clock) {
        for ProvedHeight { decided, proof } in heights {
            let height = decided.height();
            if self.failed || height < self.chain.next_height() {
                continue;
            }
            let value = decided.value();
            // A block that was checked before is known by its header alone.
            if decided.block().is_some_and(|block| !block.is_whole()) {
                let reason = format!("the body of height {height} is not that of its header");
                return self.sync_command(Command::Rejected { peer, reason }, clock);
            }
            let proved = proof.verify(self.chain.network(), height, &value, self.chain.validators());
            let follows = decided.parent() == self.chain.tip().hash;
            let disputed = !follows && self.chain.undoable().next().is_some();
            if proved.is_ok() && (disputed || self.knows_better(&proof, clock)) {
                return self.sync_command(Command::Disputed { peer }, clock);
            }
            let applied = match proved {
                Ok(()) => self.decide(Arc::new(decided), Some(proof), None, clock).map_err(|error| match error {
                    BlockError::State { .. } => {
                        self.fail(format!(
                            "the state at height {height} differs from the one that the validators proved: {error}. \
                             Stop this node, compare its version with the others', and let it catch up in a fresh \
                             home"
                        ));
                        error.to_string()
                    }
                    error => error.to_string(),
                }),
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = applied {
                let what = if value == Value::Skip { "skip" } else { "block" };
                let reason = format!("the {what} of height {height} does not hold: {error}");
                return self.sync_command(Command::Rejected { peer, reason }, clock);
            }
        }
        self.sync_command(Command::Applied, clock);
    }
}
