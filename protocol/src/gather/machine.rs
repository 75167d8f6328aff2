//! The gathering machine.

use super::{
    MAX_PARTIES,
    config::Config,
    evidence::{Evidence, Taken},
    failure::{Failure, Reason},
    message::{Message, Seat, SignedCard, Signing, hash_of_roster},
    roster,
};
use crate::{
    machine::{Input, Machine, Output},
    peer::Peer,
    peer_record::peer_of_key,
    penalty::Penalty,
    time::Time,
};
use conclave_ledger::genesis::Genesis;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Most messages of one peer that are kept before the roster is known: its card, and that it stopped.
const MAX_EARLY: usize = 2;

/// What the party is told.
#[derive(Clone, Debug)]
pub enum Command {
    /// The tracker lists these, each by a record that it has signed.
    Registered(Vec<Seat>),
}

/// What the party tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// So many have registered.
    Waiting {
        /// How many.
        registered: usize,
    },
    /// Who takes part: connect to each.
    Roster(Vec<Seat>),
    /// Everybody is there: the tracker is no longer needed.
    LetGo,
    /// All have signed.
    Gathered(Box<Gathered>),
    /// There will be no genesis.
    Failed(Failure),
}

/// What a gathering ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gathered {
    /// The genesis.
    pub genesis: Genesis,
    /// Everybody's signature on it.
    pub signings: Vec<Signing>,
}

enum Step {
    /// Until all are registered.
    Registering,
    /// Until all cards are here.
    Cards,
    /// Until all signatures are here.
    Signatures,
    /// All are here; the others may still need them.
    Done {
        until: Time,
    },
    /// It has failed; others may know more about why.
    Failing {
        failure: Failure,
        until: Time,
    },
    Over,
}

/// The machine.
pub struct Gather {
    config: Config,
    seat: Seat,
    step: Step,
    deadline: Time,
    /// In the order of peers; empty until it is known.
    roster: Vec<Seat>,
    registered: BTreeSet<Peer>,
    connected: BTreeSet<Peer>,
    early: BTreeMap<Peer, Vec<Message>>,
    /// What everybody is told, for those who connect later.
    said: Vec<Message>,
    evidence: Evidence,
    /// Who has shown its card to this party itself.
    shown: BTreeSet<Peer>,
    genesis: Option<Genesis>,
    /// Who has said that it holds everything, or that it stops.
    ended: BTreeSet<Peer>,
    outputs: VecDeque<Output<Self>>,
}

impl Gather {
    /// A party that is about to register.
    pub fn new(config: Config, now: Time) -> Self {
        let seat = Seat { peer: peer_of_key(&config.node_key.public()), run: config.run };
        Self {
            seat,
            step: Step::Registering,
            deadline: now + config.register_limit,
            config,
            roster: Vec::new(),
            registered: BTreeSet::new(),
            connected: BTreeSet::new(),
            early: BTreeMap::new(),
            said: Vec::new(),
            evidence: Evidence::default(),
            shown: BTreeSet::new(),
            genesis: None,
            ended: BTreeSet::new(),
            outputs: VecDeque::new(),
        }
    }

    /// The name that a party has put on its card.
    pub fn name_of(&self, peer: &Peer) -> Option<&str> {
        self.evidence.cards.get(peer).map(|signed| signed.card.validator.name.as_str())
    }

    fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Emit(event));
    }

    /// Says something to everybody in the roster, also to those who connect later.
    fn say(&mut self, message: Message) {
        let others = self.roster.iter().map(|seat| seat.peer).filter(|peer| *peer != self.seat.peer);
        for peer in others.filter(|peer| self.connected.contains(peer)) {
            self.outputs.push_back(Output::Send(peer, message.clone()));
        }
        self.said.push(message);
    }

    fn is_in_roster(&self, peer: &Peer) -> bool {
        self.roster.iter().any(|seat| seat.peer == *peer)
    }

    // --- Registering -----------------------------------------------------------------------------------------

    fn registered(&mut self, mut registered: Vec<Seat>, now: Time) {
        if !matches!(self.step, Step::Registering) || !registered.contains(&self.seat) {
            return;
        }
        registered.sort_unstable();
        registered.dedup_by_key(|seat| seat.peer);
        let parties = usize::from(self.config.terms.parties);
        self.waiting_for(registered.iter().map(|seat| seat.peer).collect());
        let Some(chosen) = roster::choose(&registered, parties) else { return };
        if !chosen.contains(&self.seat) {
            self.step = Step::Over;
            return self.emit(Event::Failed(Failure::found(Reason::Late)));
        }
        self.roster = chosen;
        self.step = Step::Cards;
        self.deadline = now + self.config.round_limit;
        self.emit(Event::Roster(self.roster.clone()));
        let config = &self.config;
        let card = SignedCard::sign(
            self.seat,
            config.terms.clone(),
            hash_of_roster(&self.roster),
            &config.name,
            config.created_ms,
            &config.node_key,
            &config.validator_key,
        );
        self.say(Message::Card { card: card.clone(), roster: self.roster.clone() });
        self.shown.insert(self.seat.peer);
        self.take_cards(&[card], now);
        for (peer, messages) in std::mem::take(&mut self.early) {
            messages.into_iter().for_each(|message| self.received(peer, message, now));
        }
        self.decide(now);
    }

    /// Those who are registered, for who watches and for the error if it stays like that.
    fn waiting_for(&mut self, registered: BTreeSet<Peer>) {
        if self.registered.len() != registered.len() {
            self.emit(Event::Waiting { registered: registered.len() });
        }
        self.registered = registered;
    }

    // --- Rounds ----------------------------------------------------------------------------------------------

    fn received(&mut self, from: Peer, message: Message, now: Time) {
        match &self.step {
            Step::Over => return,
            Step::Registering => return self.keep_early(from, message),
            _ if from == self.seat.peer || !self.is_in_roster(&from) => {
                let penalty = Penalty::slight("it is not in the roster of this gathering");
                return self.outputs.push_back(Output::Penalize(from, penalty));
            }
            _ => {}
        }
        match message {
            Message::Card { card, roster } => self.receive_card(from, card, &roster, now),
            Message::Held { cards, signing } => {
                self.take_cards(&cards, now);
                self.take_signings(&[signing], now);
            }
            Message::Complete { signings } => {
                self.ended.insert(from);
                self.take_signings(&signings, now);
            }
            Message::Stopped { reason, cards, signings } => {
                self.take_cards(&cards, now);
                self.take_signings(&signings, now);
                self.ended.insert(from);
                self.fail(Failure { claimed_by: Some(from), reason }, now);
            }
        }
        self.decide(now);
        self.conclude(now);
    }

    /// Keeps what comes from somebody who knows the roster already.
    fn keep_early(&mut self, from: Peer, message: Message) {
        let is_early = matches!(message, Message::Card { .. } | Message::Stopped { .. });
        if !is_early || self.early.len() >= MAX_PARTIES && !self.early.contains_key(&from) {
            return;
        }
        let kept = self.early.entry(from).or_default();
        if kept.len() < MAX_EARLY {
            kept.push(message);
        }
    }

    fn receive_card(&mut self, from: Peer, signed: SignedCard, theirs: &[Seat], now: Time) {
        if signed.card.seat.peer != from || !signed.is_signed() {
            let penalty = Penalty::fatal("a card that it has not signed");
            return self.outputs.push_back(Output::Penalize(from, penalty));
        }
        if !self.roster.contains(&signed.card.seat) {
            return self.fail(Failure::found(Reason::BeganAgain(from)), now);
        }
        self.shown.insert(from);
        self.take_cards(std::slice::from_ref(&signed), now);
        let card = &signed.card;
        if let Some(field) = self.config.terms.difference(&card.terms) {
            let reason = Reason::OtherTerms { peer: from, field: field.into() };
            self.fail(Failure::found(reason), now);
        } else if card.roster != hash_of_roster(&self.roster) {
            let said = if hash_of_roster(theirs) == card.roster { theirs } else { &[] };
            self.fail(Failure::found(roster::difference(from, &self.roster, said)), now);
        } else if !signed.proves_possession() {
            self.fail(Failure::found(Reason::ForeignKey(from)), now);
        }
    }

    fn take_cards(&mut self, cards: &[SignedCard], now: Time) {
        for card in cards {
            if self.evidence.take_card(&self.roster, card) == Taken::Contradicts {
                self.fail(Failure::found(Reason::Lied(card.card.seat.peer)), now);
            }
        }
    }

    fn take_signings(&mut self, signings: &[Signing], now: Time) {
        for signing in signings {
            if self.evidence.take_signing(&self.roster, signing) == Taken::Contradicts {
                self.fail(Failure::found(Reason::Lied(signing.seat.peer)), now);
            }
        }
    }

    /// Signs, once every party has shown its card and all agree.
    fn decide(&mut self, now: Time) {
        let everybody = self.roster.iter().all(|seat| self.shown.contains(&seat.peer));
        if !matches!(self.step, Step::Cards) || !everybody || self.evidence.cards.len() < self.roster.len() {
            return;
        }
        match roster::genesis(&self.config.terms, &self.evidence.cards) {
            Err(reason) => self.fail(Failure::found(reason), now),
            Ok(genesis) => {
                let (node_key, validator_key) = (&self.config.node_key, &self.config.validator_key);
                let signing = Signing::sign(self.seat, genesis.network_id(), node_key, validator_key);
                self.genesis = Some(genesis);
                self.step = Step::Signatures;
                self.emit(Event::LetGo);
                let cards = self.evidence.cards.values().cloned().collect();
                self.say(Message::Held { cards, signing });
                self.take_signings(&[signing], now);
                self.conclude(now);
            }
        }
    }

    /// Ends the rounds when every signature is there, or one of them is on something else.
    fn conclude(&mut self, now: Time) {
        let Some(genesis) = &self.genesis else { return };
        if !matches!(self.step, Step::Signatures | Step::Failing { .. }) {
            return;
        }
        let id = genesis.network_id();
        let of_seat = |seat: &Seat| self.evidence.signings.get(&seat.peer);
        let good = |seat: &Seat| {
            of_seat(seat).is_some_and(|signing| signing.genesis == id && self.evidence.is_whole(signing))
        };
        if self.roster.iter().all(good) {
            self.step = Step::Done { until: now + self.config.grace };
            let signings = self.evidence.signings.values().copied().collect();
            return self.say(Message::Complete { signings });
        }
        let other = self.roster.iter().find(|seat| of_seat(seat).is_some() && !good(seat));
        if let Some(seat) = other {
            self.fail(Failure::found(Reason::OtherGenesis(seat.peer)), now);
        }
    }

    // --- The end ---------------------------------------------------------------------------------------------

    /// Gives up, or learns more about why. Who has everything does not give up any more.
    fn fail(&mut self, failure: Failure, now: Time) {
        match &mut self.step {
            Step::Failing { failure: known, .. } => {
                if failure.weight() > known.weight() {
                    let reason = failure.reason.clone();
                    *known = failure;
                    self.say_stopped(reason);
                }
            }
            Step::Cards | Step::Signatures => {
                let reason = failure.reason.clone();
                self.step = Step::Failing { failure, until: now + self.config.grace };
                self.say_stopped(reason);
            }
            Step::Registering | Step::Done { .. } | Step::Over => {}
        }
    }

    /// Tells the others why, with all that is held, and with both halves of a contradiction where there is one.
    fn say_stopped(&mut self, reason: Reason) {
        let (cards, signings) = self.evidence.all();
        self.say(Message::Stopped { reason, cards, signings });
    }

    /// Ends what has ended for all others too, or has waited for them long enough.
    fn end(&mut self, now: Time) {
        let others = self.roster.iter().filter(|seat| seat.peer != self.seat.peer);
        let all_ended = others.into_iter().all(|seat| self.ended.contains(&seat.peer));
        let event = match &self.step {
            Step::Done { until } if all_ended || *until <= now => {
                let Some(genesis) = self.genesis.clone() else { return };
                let signings = self.evidence.signings.values().copied().collect();
                Event::Gathered(Box::new(Gathered { genesis, signings }))
            }
            Step::Failing { failure, until } if all_ended || *until <= now => Event::Failed(failure.clone()),
            _ => return,
        };
        self.step = Step::Over;
        self.emit(event);
    }

    fn out_of_time(&mut self, now: Time) {
        let missing = |has: &dyn Fn(&Peer) -> bool| -> Vec<Peer> {
            self.roster.iter().map(|seat| seat.peer).filter(|peer| !has(peer)).collect()
        };
        let reason = match self.step {
            Step::Registering => {
                let registered = std::mem::take(&mut self.registered).into_iter().collect();
                let parties = self.config.terms.parties;
                self.step = Step::Over;
                let reason = Reason::TooFew { registered, parties };
                return self.emit(Event::Failed(Failure::found(reason)));
            }
            Step::Cards => Reason::NoCard(missing(&|peer| self.shown.contains(peer))),
            Step::Signatures => {
                Reason::NoSignature(missing(&|peer| self.evidence.signings.contains_key(peer)))
            }
            Step::Done { .. } | Step::Failing { .. } | Step::Over => return,
        };
        self.fail(Failure::found(reason), now);
    }
}

impl Machine for Gather {
    type Message = Message;
    type Command = Command;
    type Event = Event;

    fn handle(&mut self, input: Input<Self>, now: Time) {
        match input {
            Input::Connected(peer) => {
                self.connected.insert(peer);
                if self.is_in_roster(&peer) && !matches!(self.step, Step::Over) {
                    let said = self.said.iter().cloned();
                    self.outputs.extend(said.map(|message| Output::Send(peer, message)));
                }
            }
            Input::Disconnected(peer) => drop(self.connected.remove(&peer)),
            Input::Received(peer, message) => self.received(peer, message, now),
            Input::Command(Command::Registered(registered)) => self.registered(registered, now),
        }
        self.end(now);
    }

    fn handle_timeout(&mut self, now: Time) {
        if self.deadline <= now {
            self.out_of_time(now);
        }
        self.end(now);
    }

    fn poll_output(&mut self) -> Option<Output<Self>> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        match &self.step {
            Step::Registering | Step::Cards | Step::Signatures => Some(self.deadline),
            Step::Done { until } | Step::Failing { until, .. } => Some(*until),
            Step::Over => None,
        }
    }
}
