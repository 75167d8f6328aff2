//! Dissemination and the pool.

use super::{Channel, Clock, Effect, Node, Notice, io::TransactionOutcome, messages::Encoder};
use crate::{
    consensus::Command,
    dissemination::{self, Event},
    machine::{Input, Machine, Output},
    peer::Peer,
    penalty::Penalty,
};
use conclave_ledger::{hash::TransactionId, pool::PoolError, transaction::SharedTransaction};
use std::collections::BTreeMap;

/// Most transactions of which peers are told again when a height is not decided at once.
const MAX_REMINDED: usize = 64;

impl Node {
    pub(super) fn drain_dissemination(&mut self, clock: Clock) -> bool {
        let (mut any, mut admitted) = (false, false);
        let mut encoder = Encoder::new();
        while let Some(output) = self.dissemination.poll_output() {
            any = true;
            match output {
                Output::Send(peer, message) => {
                    let (channel, bytes) = (Channel::Transactions, encoder.encode(message));
                    self.effects.push_back(Effect::Send { peer, channel, bulk: false, bytes });
                }
                Output::Penalize(peer, penalty) => self.penalize(peer, penalty, clock),
                Output::Emit(Event::Check { peer, transactions }) => {
                    admitted |= self.admit_from(peer, transactions, clock);
                }
            }
        }
        if admitted {
            self.update_pending(clock);
        }
        any
    }

    /// A peer's transactions: each admitted, or refused and, where no honest node would have sent it, blamed. True
    /// if any was admitted.
    fn admit_from(&mut self, peer: Peer, transactions: Vec<SharedTransaction>, clock: Clock) -> bool {
        let mut counts: BTreeMap<TransactionOutcome, usize> = BTreeMap::new();
        for verdict in self.pool.admit_all(transactions, &self.chain, clock.unix_ms) {
            *counts.entry(TransactionOutcome::of(&verdict)).or_default() += 1;
            match verdict {
                Ok(id) => {
                    if let Some(transaction) = self.pool.get(&id).cloned() {
                        let command = dissemination::Command::Admitted { transaction, peer };
                        self.dissemination.handle(Input::Command(command), clock.time);
                    }
                }
                Err(error) if error.is_temporary() => {}
                Err(error) => self.penalize(peer, Penalty::serious(format!("a transaction: {error}")), clock),
            }
        }
        if let Some(count) = counts.get(&TransactionOutcome::Refused).copied() {
            let is_validator = self.peers.get(&peer).is_some_and(|role| role.validator().is_some());
            let command = dissemination::Command::Refused { peer, count, is_validator };
            self.dissemination.handle(Input::Command(command), clock.time);
        }
        let any = counts.contains_key(&TransactionOutcome::Admitted);
        for (outcome, count) in counts {
            self.tell(Notice::PeerTransactions { outcome, count });
        }
        any
    }

    /// Transactions of this node's own, or those that a rollback returned; one verdict for each.
    pub(super) fn admit_local(
        &mut self,
        transactions: Vec<SharedTransaction>,
        clock: Clock,
    ) -> Vec<Result<TransactionId, PoolError>> {
        let verdicts = self.pool.admit_all(transactions, &self.chain, clock.unix_ms);
        for id in verdicts.iter().flatten() {
            if let Some(transaction) = self.pool.get(id).cloned() {
                let command = dissemination::Command::Submitted(transaction);
                self.dissemination.handle(Input::Command(command), clock.time);
            }
        }
        verdicts
    }

    pub(super) fn submit(&mut self, ticket: u64, transactions: Vec<SharedTransaction>, clock: Clock) {
        let verdicts = self.admit_local(transactions, clock);
        self.effects.push_back(Effect::Submitted { ticket, verdicts });
        self.update_pending(clock);
    }

    /// A height is open and not decided at once: perhaps the others lack what opened it here. They may have refused it
    /// because they were at another height then, and all honest nodes open within `Δ` only if they all have it.
    pub(super) fn remind(&mut self, clock: Clock) {
        if self.remind_at.take_if(|at| *at <= clock.time).is_some() {
            let waiting = self.pool.iter().take(MAX_REMINDED).map(|transaction| transaction.id()).collect();
            self.dissemination.handle(Input::Command(dissemination::Command::Remind(waiting)), clock.time);
        }
    }

    /// Tells consensus whether a valid transaction waits. Those that have become invalid are dropped from the
    /// front, so that a height is never opened for nothing.
    pub(super) fn update_pending(&mut self, clock: Clock) {
        let dropped = self.pool.drop_invalid_front(&self.chain, clock.unix_ms);
        let dropped = dropped.into_iter().map(|(id, error)| (id, error.to_string())).collect();
        self.drop_transactions(dropped, clock);
        let pending = !self.pool.is_empty();
        self.consensus_command(Command::Pending(pending), clock);
    }
}
