//! Parties, a perfect tracker and a network in which messages arrive in order, with a way to meddle with each of them.

use super::super::{Command, Config, Event, Failure, Gather, Gathered, Message, Reason, Seat, Terms};
use crate::{
    machine::{Input, Machine, Output},
    peer::Peer,
    peer_record::peer_of_key,
    time::Time,
};
use conclave_ledger::{keys::SecretKey, validators::FaultBound};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

pub(super) const ROUND: Duration = Duration::from_secs(30);

pub(super) fn node_key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

pub(super) fn validator_key(number: u8) -> SecretKey {
    SecretKey::from_seed([100 + number; 32])
}

pub(super) fn peer(number: u8) -> Peer {
    peer_of_key(&node_key(number).public())
}

pub(super) fn terms(parties: u16) -> Terms {
    Terms { name: "lunch".into(), parties, faulty: FaultBound::Third, delta_ms: 500, fast: true }
}

/// A party of `parties`; names are not in the order of numbers.
pub(super) fn config(number: u8, parties: u16) -> Config {
    Config {
        terms: terms(parties),
        name: format!("party-{}", 50 - number),
        node_key: node_key(number),
        validator_key: validator_key(number),
        run: 1000 + u64::from(number),
        created_ms: 1_700_000_000_000 + u64::from(number) * 1000,
        register_limit: Duration::from_secs(600),
        round_limit: ROUND,
        grace: Duration::from_secs(5),
    }
}

pub(super) fn seat(number: u8) -> Seat {
    Seat { peer: peer(number), run: 1000 + u64::from(number) }
}

/// What becomes of a message from one to another.
pub(super) type Meddle = Box<dyn FnMut(u8, u8, Message) -> Vec<Message>>;

pub(super) struct World {
    pub(super) parties: BTreeMap<u8, Gather>,
    pub(super) now: Time,
    pub(super) ends: BTreeMap<u8, Result<Box<Gathered>, Failure>>,
    pub(super) let_go: BTreeSet<u8>,
    pub(super) penalties: BTreeMap<u8, usize>,
    /// Pairs that cannot speak to each other.
    pub(super) cut: BTreeSet<(u8, u8)>,
    pub(super) meddle: Meddle,
    inboxes: VecDeque<(u8, u8, Message)>,
}

impl World {
    pub(super) fn of(configs: impl IntoIterator<Item = (u8, Config)>) -> Self {
        let parties = configs.into_iter().map(|(number, config)| (number, Gather::new(config, Time(0))));
        Self {
            parties: parties.collect(),
            now: Time(0),
            ends: BTreeMap::new(),
            let_go: BTreeSet::new(),
            penalties: BTreeMap::new(),
            cut: BTreeSet::new(),
            meddle: Box::new(|_, _, message| vec![message]),
            inboxes: VecDeque::new(),
        }
    }

    pub(super) fn honest(parties: u8) -> Self {
        Self::of((1..=parties).map(|number| (number, config(number, u16::from(parties)))))
    }

    fn number_of(&self, whom: &Peer) -> Option<u8> {
        (1..=60).find(|number| peer(*number) == *whom)
    }

    pub(super) fn seats(&self) -> Vec<Seat> {
        self.parties.keys().map(|number| seat(*number)).collect()
    }

    /// Tells one party whom the tracker lists.
    pub(super) fn register(&mut self, number: u8, seats: Vec<Seat>) {
        self.input(number, Input::Command(Command::Registered(seats)));
        self.deliver();
    }

    /// Tells everybody the same roster, and lets everything happen that happens at once.
    pub(super) fn start(&mut self) {
        let numbers: Vec<u8> = self.parties.keys().copied().collect();
        for number in numbers {
            self.register(number, self.seats());
        }
    }

    pub(super) fn input(&mut self, number: u8, input: Input<Gather>) {
        let now = self.now;
        if let Some(party) = self.parties.get_mut(&number) {
            party.handle(input, now);
        }
        self.drain(number);
    }

    fn drain(&mut self, number: u8) {
        let mut roster = None;
        while let Some(output) = self.parties.get_mut(&number).and_then(Machine::poll_output) {
            match output {
                Output::Send(to, message) => {
                    let Some(to) = self.number_of(&to) else { continue };
                    let meddled = (self.meddle)(number, to, message);
                    self.inboxes.extend(meddled.into_iter().map(|message| (number, to, message)));
                }
                Output::Penalize(..) => *self.penalties.entry(number).or_default() += 1,
                Output::Emit(Event::Roster(seats)) => roster = Some(seats),
                Output::Emit(Event::LetGo) => drop(self.let_go.insert(number)),
                Output::Emit(Event::Waiting { .. }) => {}
                Output::Emit(Event::Gathered(gathered)) => drop(self.ends.insert(number, Ok(gathered))),
                Output::Emit(Event::Failed(failure)) => drop(self.ends.insert(number, Err(failure))),
            }
        }
        for seat in roster.into_iter().flatten() {
            if let Some(other) = self.number_of(&seat.peer).filter(|other| *other != number) {
                self.connect(number, other);
            }
        }
    }

    pub(super) fn connect(&mut self, one: u8, other: u8) {
        if !self.cut.contains(&(one, other)) && !self.cut.contains(&(other, one)) {
            self.input(one, Input::Connected(peer(other)));
            self.input(other, Input::Connected(peer(one)));
        }
    }

    pub(super) fn deliver(&mut self) {
        while let Some((from, to, message)) = self.inboxes.pop_front() {
            // As over the wire.
            let Some(message) = Message::decode(&message.encode()) else { continue };
            if !self.cut.contains(&(from, to)) && !self.cut.contains(&(to, from)) {
                self.input(to, Input::Received(peer(from), message));
            }
        }
    }

    /// Lets time pass from deadline to deadline until nobody waits for anything.
    pub(super) fn finish(&mut self) {
        self.deliver();
        while let Some(next) = self.parties.values().filter_map(Machine::poll_timeout).min() {
            self.now = self.now.max(next);
            let due = self
                .parties
                .iter()
                .filter(|(_, party)| party.poll_timeout().is_some_and(|at| at <= self.now));
            let due: Vec<u8> = due.map(|(number, _)| *number).collect();
            for number in due {
                let now = self.now;
                if let Some(party) = self.parties.get_mut(&number) {
                    party.handle_timeout(now);
                    assert!(
                        party.poll_timeout().is_none_or(|at| at > now),
                        "party {number} waits in the past"
                    );
                }
                self.drain(number);
            }
            self.deliver();
        }
    }

    /// The failures of these parties; panics if one of them has none.
    pub(super) fn failures(&self, numbers: impl IntoIterator<Item = u8>) -> Vec<(u8, Failure)> {
        let failure = |number| match &self.ends[&number] {
            Ok(_) => panic!("party {number} has a genesis"),
            Err(failure) => (number, failure.clone()),
        };
        numbers.into_iter().map(failure).collect()
    }

    /// Every one of `numbers` has ended with this very reason, found by itself.
    pub(super) fn assert_found(&self, numbers: impl IntoIterator<Item = u8>, reason: &Reason) {
        for (number, failure) in self.failures(numbers) {
            let expected = Failure { claimed_by: None, reason: reason.clone() };
            assert_eq!(failure, expected, "party {number}: {}", failure.describe(|peer| format!("{peer:?}")));
        }
    }

    /// Every one of `numbers` names `liar`, alone, as a party or as who claims something.
    pub(super) fn assert_named(&self, numbers: impl IntoIterator<Item = u8>, liar: u8) {
        for (number, failure) in self.failures(numbers) {
            let mut named = failure.reason.names();
            named.extend(failure.claimed_by);
            assert!(named.contains(&peer(liar)), "party {number}: {failure:?}");
        }
    }
}
