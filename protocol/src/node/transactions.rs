//! Dissemination and the pool.

use super::{Channel, Clock, Effect, Node};
use crate::{
    consensus::Command,
    dissemination::{self, Event},
    machine::{Input, Machine, Output},
    penalty::Penalty,
};
use conclave_ledger::{codec, hash::TransactionId, pool::PoolError, transaction::Transaction};

impl Node {
    pub(super) fn drain_dissemination(&mut self, clock: Clock) -> bool {
        let (mut any, mut admitted) = (false, false);
        while let Some(output) = self.dissemination.poll_output() {
            any = true;
            match output {
                Output::Send(peer, message) => {
                    let bytes = codec::encode(&message).into();
                    let channel = Channel::Transactions;
                    self.effects.push_back(Effect::Send { peer, channel, bulk: false, bytes });
                }
                Output::Penalize(peer, penalty) => self.penalize(peer, penalty, clock),
                Output::Emit(Event::Check { peer, id, transaction }) => {
                    admitted |= self.admit_from(peer, id, transaction, clock);
                }
            }
        }
        if admitted {
            self.update_pending(clock);
        }
        any
    }

    /// A peer's transaction: admitted, or refused and, where no honest node would have sent it, blamed.
    fn admit_from(
        &mut self,
        peer: crate::peer::Peer,
        id: TransactionId,
        transaction: Transaction,
        clock: Clock,
    ) -> bool {
        match self.pool.admit(transaction, &self.chain, clock.unix_ms) {
            Ok(_) => {
                if let Some((transaction, size)) = self.pool.entry(&id) {
                    let command = dissemination::Command::Admitted { id, transaction, size, peer };
                    self.dissemination.handle(Input::Command(command), clock.time);
                }
                true
            }
            Err(error) => {
                if !error.is_temporary() {
                    self.penalize(peer, Penalty::serious(format!("transaction {id}: {error}")), clock);
                }
                false
            }
        }
    }

    /// A transaction of this node's own, or one that a rollback returned.
    pub(super) fn admit_local(
        &mut self,
        transaction: Transaction,
        clock: Clock,
    ) -> Result<TransactionId, PoolError> {
        let id = self.pool.admit(transaction, &self.chain, clock.unix_ms)?;
        if let Some((transaction, size)) = self.pool.entry(&id) {
            let command = dissemination::Command::Submitted { id, transaction, size };
            self.dissemination.handle(Input::Command(command), clock.time);
        }
        Ok(id)
    }

    pub(super) fn submit(&mut self, ticket: u64, transactions: Vec<Transaction>, clock: Clock) {
        let verdicts =
            transactions.into_iter().map(|transaction| self.admit_local(transaction, clock)).collect();
        self.effects.push_back(Effect::Submitted { ticket, verdicts });
        self.update_pending(clock);
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
