//! Transactions pushed, announced and pulled by peers that have them and peers that do not.

use super::admission::any_peer;
use crate::{
    draw::{self, below, chance},
    laws::Subject,
    world,
};
use arbitrary::Unstructured;
use conclave_ledger::{codec, hash::TransactionId, transaction::SharedTransaction};
use conclave_protocol::{
    dissemination::{Command, Config, Dissemination, Event, MAX_ITEMS, MAX_MESSAGE_BYTES, Message},
    machine::{Input, Machine, Output},
    peer::Peer,
    time::Time,
};
use std::{collections::BTreeSet, time::Duration};

/// Transactions that there are.
const TRANSACTIONS: usize = 8;

pub(super) struct Spreading {
    machine: Dissemination,
    /// Peers that are there, or were when they last said something.
    reachable: BTreeSet<Peer>,
    /// Transactions that the pool has to check.
    unchecked: Vec<(Peer, SharedTransaction)>,
}

fn any_transaction(source: &mut Unstructured<'_>) -> SharedTransaction {
    world::transaction(below(source, TRANSACTIONS))
}

fn any_ids(source: &mut Unstructured<'_>) -> Vec<TransactionId> {
    // An invention among them now and then, and lists that are too long.
    let count = if chance(source, 8) { MAX_ITEMS + below(source, 3) } else { below(source, 6) };
    (0..count)
        .map(|index| match index < 6 {
            true => any_transaction(source).id(),
            false => conclave_ledger::hash::Hash([index as u8; 32]),
        })
        .collect()
}

impl Spreading {
    fn command(&mut self, source: &mut Unstructured<'_>) -> Command {
        match below(source, 8) {
            0..4 if !self.unchecked.is_empty() => {
                let (peer, transaction) = draw::take(source, &mut self.unchecked);
                Command::Admitted { transaction, peer }
            }
            4 => {
                let (peer, count) = (any_peer(source), below(source, MAX_ITEMS) + 1);
                Command::Refused { peer, count, is_validator: chance(source, 64) }
            }
            0..6 => Command::Submitted(any_transaction(source)),
            _ => Command::Gone(any_ids(source)),
        }
    }

    fn message(&self, source: &mut Unstructured<'_>) -> Option<Message> {
        Some(match below(source, 8) {
            0..3 => Message::Transactions((0..below(source, 6)).map(|_| any_transaction(source)).collect()),
            3..5 => Message::Have(any_ids(source)),
            5..7 => Message::Want(any_ids(source)),
            _ => draw::value(source, &world::KNOWN).ok()?,
        })
    }
}

impl Subject for Spreading {
    type Machine = Dissemination;

    fn new(_: &mut Unstructured<'_>) -> Self {
        let config = Config::for_delta(Duration::from_millis(500));
        Self { machine: Dissemination::new(config), reachable: BTreeSet::new(), unchecked: Vec::new() }
    }

    fn machine(&mut self) -> &mut Dissemination {
        &mut self.machine
    }

    fn own(&self) -> Peer {
        world::peer(0)
    }

    fn input(&mut self, source: &mut Unstructured<'_>, now: Time) {
        let peer = any_peer(source);
        let input = match below(source, 8) {
            0 => {
                self.reachable.insert(peer);
                Input::Connected(peer)
            }
            1 => {
                self.reachable.remove(&peer);
                Input::Disconnected(peer)
            }
            2..5 => {
                let Some(message) = self.message(source) else { return };
                self.reachable.insert(peer);
                Input::Received(peer, message)
            }
            _ => Input::Command(self.command(source)),
        };
        self.machine.handle(input, now);
    }

    fn heed(&mut self, output: Output<Dissemination>, _: Time) {
        match output {
            Output::Send(peer, message) => {
                assert!(self.reachable.contains(&peer), "sends to a peer that is not there");
                assert!(codec::encode(&message).len() <= MAX_MESSAGE_BYTES);
                let (Message::Have(ids) | Message::Want(ids)) = &message else { return };
                assert!(ids.len() <= MAX_ITEMS && !ids.is_empty(), "{} ids", ids.len());
            }
            Output::Emit(Event::Check { peer, transactions }) => {
                self.unchecked.extend(transactions.into_iter().map(|transaction| (peer, transaction)));
                self.unchecked.truncate(64);
            }
            Output::Penalize(..) => {}
        }
    }
}
