//! The dissemination machine.

use super::message::{BATCH_BYTES, MAX_ITEMS, Message};
use crate::{
    machine::{Input, Machine, Output},
    peer::Peer,
    penalty::Penalty,
    time::Time,
    token_bucket::{Rate, TokenBuckets},
};
use conclave_ledger::{hash::TransactionId, transaction::SharedTransaction};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// Most undecided transactions that are tracked: as many as a pool holds by default.
pub const MAX_TRACKED: usize = 16_384;

/// Most ids that are pulled at a time; further announcements are dropped, and come again on the next connection.
pub const MAX_WANTED: usize = 16_384;

/// Most of them that one peer was the first to announce, so that inventions leave room for others' announcements.
pub const MAX_WANTED_OF_PEER: usize = 4_096;

/// Refused transactions in one message that are a serious offence where they are too much; fewer are a slight one.
pub const MANY_REFUSED: usize = 64;

/// Most buckets kept for peers that send what is refused.
pub const MAX_BUCKETS: usize = 4096;

/// Most peers remembered as announcers of one id.
const MAX_ANNOUNCERS: usize = 8;

/// Configuration of the machine.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long a transaction that came from a peer may be undecided before it is announced (default `Δ/8`). With
    /// the pull it has to stay well under `Δ`.
    pub announce_delay: Duration,
    /// How long a pull may take before another announcer is asked (default `Δ/4`).
    pub pull_timeout: Duration,
    /// How many transactions of one peer may be refused by a rule that depends on the state (default 128 a second, and
    /// [`MAX_WANTED_OF_PEER`] at once: all that is pulled of a peer that is behind may be refused).
    pub refused: Rate,
}

impl Config {
    /// The defaults for a network's `Δ`.
    pub fn for_delta(delta: Duration) -> Self {
        Self {
            announce_delay: delta / 8,
            pull_timeout: delta / 4,
            refused: Rate { per_second: 128, capacity: MAX_WANTED_OF_PEER as u64 },
        }
    }
}

/// What the node tells the machine.
#[derive(Clone, Debug)]
pub enum Command {
    /// A transaction was submitted here and admitted to the pool.
    Submitted(SharedTransaction),
    /// A peer's transaction was admitted to the pool.
    Admitted {
        /// The transaction.
        transaction: SharedTransaction,
        /// Who sent it.
        peer: Peer,
    },
    /// So many of the transactions of one message of a peer break a rule at this node's tip, which may be another than
    /// the peer's: a stamp that is missing, an application's refusal, a height that is past.
    Refused {
        /// Who sent them.
        peer: Peer,
        /// How many.
        count: usize,
        /// Whether it is a validator: one that was away may be behind by more, and is missed when it is kept out.
        is_validator: bool,
    },
    /// These are decided or dropped.
    Gone(Vec<TransactionId>),
    /// These still wait, although a height is open: peers may have refused them at another height, and are told again.
    Remind(Vec<TransactionId>),
}

/// What the machine tells the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Admit these transactions to the pool, or blame the peer. They come together so that their signatures can be
    /// verified together.
    Check {
        /// Who sent them.
        peer: Peer,
        /// The transactions.
        transactions: Vec<SharedTransaction>,
    },
}

struct Tracked {
    transaction: SharedTransaction,
    /// Peers that have it.
    holders: BTreeSet<Peer>,
    announce_at: Option<Time>,
}

struct Wanted {
    /// Who announced it first.
    first: Peer,
    announcers: VecDeque<Peer>,
    ask_at: Time,
}

/// The machine.
pub struct Dissemination {
    config: Config,
    peers: BTreeSet<Peer>,
    tracked: BTreeMap<TransactionId, Tracked>,
    announcements: BTreeSet<(Time, TransactionId)>,
    wanted: BTreeMap<TransactionId, Wanted>,
    pulls: BTreeSet<(Time, TransactionId)>,
    /// How many of the ids that are pulled each peer was the first to announce.
    wanted_of: BTreeMap<Peer, usize>,
    /// What each peer may send that is refused. It outlasts a connection, or coming again would fill it.
    refused: TokenBuckets<Peer>,
    /// Transactions on their way to a peer, gathered until the next output.
    outgoing: BTreeMap<Peer, Vec<SharedTransaction>>,
    outputs: VecDeque<Output<Self>>,
}

impl Dissemination {
    /// A machine without peers.
    pub fn new(config: Config) -> Self {
        Self {
            refused: TokenBuckets::new(config.refused, MAX_BUCKETS),
            config,
            peers: BTreeSet::new(),
            tracked: BTreeMap::new(),
            announcements: BTreeSet::new(),
            wanted: BTreeMap::new(),
            pulls: BTreeSet::new(),
            wanted_of: BTreeMap::new(),
            outgoing: BTreeMap::new(),
            outputs: VecDeque::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn refused_buckets(&self) -> usize {
        self.refused.len()
    }

    fn connected(&mut self, peer: Peer) {
        self.peers.insert(peer);
        let ids: Vec<TransactionId> = self.tracked.keys().copied().collect();
        for part in ids.chunks(MAX_ITEMS) {
            self.outputs.push_back(Output::Send(peer, Message::Have(part.to_vec())));
        }
    }

    fn disconnected(&mut self, peer: Peer) {
        self.peers.remove(&peer);
        self.outgoing.remove(&peer);
        self.tracked.values_mut().for_each(|tracked| {
            tracked.holders.remove(&peer);
        });
        self.wanted.values_mut().for_each(|wanted| wanted.announcers.retain(|announcer| *announcer != peer));
    }

    fn track(&mut self, tracked: Tracked) {
        let id = tracked.transaction.id();
        if self.tracked.len() >= MAX_TRACKED || self.tracked.contains_key(&id) {
            return;
        }
        if let Some(at) = tracked.announce_at {
            self.announcements.insert((at, id));
        }
        self.tracked.insert(id, tracked);
    }

    fn submitted(&mut self, transaction: SharedTransaction) {
        for peer in &self.peers {
            self.outgoing.entry(*peer).or_default().push(transaction.clone());
        }
        let holders = self.peers.clone();
        self.track(Tracked { transaction, holders, announce_at: None });
    }

    fn admitted(&mut self, transaction: SharedTransaction, peer: Peer, now: Time) {
        let announce_at = Some(now + self.config.announce_delay);
        self.forget_wanted(&transaction.id());
        self.track(Tracked { transaction, holders: BTreeSet::from([peer]), announce_at });
    }

    /// Nobody is to blame for one transaction that is refused, but for more than any difference between two states explains.
    fn refused(&mut self, peer: Peer, count: usize, is_validator: bool, now: Time) {
        if !self.refused.take(peer, count as u64, now) {
            let reason = "more transactions that are refused than an honest peer sends";
            let is_serious = count >= MANY_REFUSED && !is_validator;
            let penalty = if is_serious { Penalty::serious(reason) } else { Penalty::slight(reason) };
            self.outputs.push_back(Output::Penalize(peer, penalty));
        }
    }

    /// Tells all peers again of transactions; those who were sent one before may ask for it once more.
    fn remind(&mut self, ids: Vec<TransactionId>) {
        let known: Vec<TransactionId> = ids.into_iter().filter(|id| self.tracked.contains_key(id)).collect();
        for id in &known {
            self.tracked.get_mut(id).into_iter().for_each(|tracked| tracked.holders.clear());
        }
        let have = self.peers.iter().map(|peer| (*peer, known.clone())).collect();
        self.send_ids(have, Message::Have);
    }

    fn gone(&mut self, id: &TransactionId) {
        if let Some(at) = self.tracked.remove(id).and_then(|tracked| tracked.announce_at) {
            self.announcements.remove(&(at, *id));
        }
        self.forget_wanted(id);
    }

    fn forget_wanted(&mut self, id: &TransactionId) {
        if let Some(wanted) = self.wanted.remove(id) {
            self.pulls.remove(&(wanted.ask_at, *id));
            if let Some(count) = self.wanted_of.get_mut(&wanted.first) {
                *count -= 1;
                if *count == 0 {
                    self.wanted_of.remove(&wanted.first);
                }
            }
        }
    }

    fn receive(&mut self, peer: Peer, message: Message, now: Time) {
        let items = match &message {
            Message::Transactions(transactions) => transactions.len(),
            Message::Have(ids) | Message::Want(ids) => ids.len(),
        };
        if items > MAX_ITEMS {
            let reason = format!("a message of {items} items, more than the {MAX_ITEMS} allowed");
            return self.outputs.push_back(Output::Penalize(peer, Penalty::fatal(reason)));
        }
        match message {
            Message::Transactions(transactions) => {
                self.receive_transactions(peer, transactions);
            }
            Message::Have(ids) => ids.into_iter().for_each(|id| self.announced(peer, id, now)),
            Message::Want(ids) => {
                for id in ids {
                    // Who has it, or was sent it over this connection, gets it no second time.
                    if let Some(tracked) = self.tracked.get_mut(&id)
                        && tracked.holders.insert(peer)
                    {
                        self.outgoing.entry(peer).or_default().push(tracked.transaction.clone());
                    }
                }
            }
        }
    }

    fn receive_transactions(&mut self, peer: Peer, mut transactions: Vec<SharedTransaction>) {
        transactions.retain(|transaction| match self.tracked.get_mut(&transaction.id()) {
            Some(tracked) => {
                tracked.holders.insert(peer);
                false
            }
            None => true,
        });
        if !transactions.is_empty() {
            self.outputs.push_back(Output::Emit(Event::Check { peer, transactions }));
        }
    }

    fn announced(&mut self, peer: Peer, id: TransactionId, now: Time) {
        if let Some(tracked) = self.tracked.get_mut(&id) {
            tracked.holders.insert(peer);
        } else if let Some(wanted) = self.wanted.get_mut(&id) {
            if wanted.announcers.len() < MAX_ANNOUNCERS && !wanted.announcers.contains(&peer) {
                wanted.announcers.push_back(peer);
            }
        } else if self.wanted.len() < MAX_WANTED
            && self.wanted_of.get(&peer).is_none_or(|count| *count < MAX_WANTED_OF_PEER)
        {
            *self.wanted_of.entry(peer).or_default() += 1;
            self.wanted.insert(id, Wanted { first: peer, announcers: VecDeque::from([peer]), ask_at: now });
            self.pulls.insert((now, id));
        }
    }

    /// Announces what is due to those who are not known to have it.
    fn announce(&mut self, now: Time) {
        let mut have: BTreeMap<Peer, Vec<TransactionId>> = BTreeMap::new();
        while let Some((_, id)) = self.announcements.first().copied().filter(|(at, _)| *at <= now) {
            self.announcements.pop_first();
            let Some(tracked) = self.tracked.get_mut(&id) else { continue };
            tracked.announce_at = None;
            for peer in self.peers.difference(&tracked.holders) {
                have.entry(*peer).or_default().push(id);
            }
        }
        self.send_ids(have, Message::Have);
    }

    /// Asks for what is wanted, each id from the announcer whose turn it is.
    fn pull(&mut self, now: Time) {
        let mut want: BTreeMap<Peer, Vec<TransactionId>> = BTreeMap::new();
        while let Some((_, id)) = self.pulls.first().copied().filter(|(at, _)| *at <= now) {
            self.pulls.pop_first();
            let Some(wanted) = self.wanted.get_mut(&id) else { continue };
            let Some(peer) = wanted.announcers.pop_front() else {
                self.forget_wanted(&id);
                continue;
            };
            want.entry(peer).or_default().push(id);
            wanted.ask_at = now + self.config.pull_timeout;
            self.pulls.insert((wanted.ask_at, id));
        }
        self.send_ids(want, Message::Want);
    }

    fn send_ids(
        &mut self,
        ids: BTreeMap<Peer, Vec<TransactionId>>,
        message: fn(Vec<TransactionId>) -> Message,
    ) {
        for (peer, ids) in ids {
            for part in ids.chunks(MAX_ITEMS) {
                self.outputs.push_back(Output::Send(peer, message(part.to_vec())));
            }
        }
    }

    /// Cuts what was gathered for each peer into messages.
    fn flush(&mut self) {
        for (peer, items) in std::mem::take(&mut self.outgoing) {
            let (mut batch, mut bytes) = (Vec::new(), 0);
            for transaction in items {
                bytes += transaction.size();
                batch.push(transaction);
                if batch.len() == MAX_ITEMS || bytes >= BATCH_BYTES {
                    let full = Message::Transactions(std::mem::take(&mut batch));
                    self.outputs.push_back(Output::Send(peer, full));
                    bytes = 0;
                }
            }
            if !batch.is_empty() {
                self.outputs.push_back(Output::Send(peer, Message::Transactions(batch)));
            }
        }
    }
}

impl Machine for Dissemination {
    type Message = Message;
    type Command = Command;
    type Event = Event;

    fn handle(&mut self, input: Input<Self>, now: Time) {
        match input {
            Input::Connected(peer) => self.connected(peer),
            Input::Disconnected(peer) => self.disconnected(peer),
            Input::Received(peer, message) => self.receive(peer, message, now),
            Input::Command(Command::Submitted(transaction)) => self.submitted(transaction),
            Input::Command(Command::Admitted { transaction, peer }) => self.admitted(transaction, peer, now),
            Input::Command(Command::Refused { peer, count, is_validator }) => {
                self.refused(peer, count, is_validator, now);
            }
            Input::Command(Command::Remind(ids)) => self.remind(ids),
            Input::Command(Command::Gone(ids)) => ids.iter().for_each(|id| self.gone(id)),
        }
        self.pull(now);
    }

    fn handle_timeout(&mut self, now: Time) {
        self.announce(now);
        self.pull(now);
    }

    fn poll_output(&mut self) -> Option<Output<Self>> {
        self.flush();
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        let announcement = self.announcements.first().map(|(at, _)| *at);
        let pull = self.pulls.first().map(|(at, _)| *at);
        [announcement, pull].into_iter().flatten().min()
    }
}
