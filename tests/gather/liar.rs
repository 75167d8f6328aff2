//! A party that lies: an honest machine whose card is another one for two of the others.

use crate::party::Group;
use conclave::{
    gathering::{self, GatherConfig, GatherError},
    keys,
};
use conclave_ledger::keys::SecretKey;
use conclave_protocol::{
    gather::{Command, Config, Event, Gather, Message, Seat, SignedCard},
    machine::{Input, Machine, Output},
    peer::Peer,
    time::Time,
};
use std::{thread::JoinHandle, time::Duration};

struct Liar {
    inner: Gather,
    config: Config,
    fooled: Vec<Peer>,
}

impl Liar {
    /// The card with another validator key, signed as well as the first.
    fn other(&self, card: &SignedCard) -> SignedCard {
        let card = &card.card;
        let other = SecretKey::from_seed([77; 32]);
        let (terms, name) = (card.terms.clone(), &card.validator.name);
        SignedCard::sign(card.seat, terms, card.roster, name, card.created_ms, &self.config.node_key, &other)
    }
}

impl Machine for Liar {
    type Message = Message;
    type Command = Command;
    type Event = Event;

    fn handle(&mut self, input: Input<Self>, now: Time) {
        let input = match input {
            Input::Connected(peer) => Input::Connected(peer),
            Input::Disconnected(peer) => Input::Disconnected(peer),
            Input::Received(peer, message) => Input::Received(peer, message),
            Input::Command(command) => Input::Command(command),
        };
        self.inner.handle(input, now);
    }

    fn handle_timeout(&mut self, now: Time) {
        self.inner.handle_timeout(now);
    }

    fn poll_output(&mut self) -> Option<Output<Self>> {
        Some(match self.inner.poll_output()? {
            Output::Send(to, Message::Card { card, roster }) => {
                let others =
                    roster.iter().map(|seat: &Seat| seat.peer).filter(|peer| *peer != card.card.seat.peer);
                self.fooled = others.take(2).collect();
                let card = if self.fooled.contains(&to) { self.other(&card) } else { card };
                Output::Send(to, Message::Card { card, roster })
            }
            Output::Send(to, message) => Output::Send(to, message),
            Output::Penalize(peer, penalty) => Output::Penalize(peer, penalty),
            Output::Emit(event) => Output::Emit(event),
        })
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.inner.poll_timeout()
    }
}

pub(crate) struct Lying {
    pub(crate) peer_id: String,
    thread: JoinHandle<Result<gathering::Gathered, GatherError>>,
}

impl Lying {
    /// The liar has no genesis either.
    pub(crate) fn finished(self) {
        assert!(self.thread.join().unwrap().is_err());
    }
}

/// Gathers with the others as "mallory", and shows two of them another validator key.
pub(crate) fn lie_to_two_of(group: &Group, parties: u16, tracker: &str) -> Lying {
    group.make_home("mallory", true);
    let node_key = keys::load(&group.home("mallory").join("keys/node.key"), &Default::default()).unwrap();
    let run = 1;
    let config = GatherConfig {
        node_key: node_key.clone(),
        validator_key: group.validator_key("mallory"),
        name: "mallory".into(),
        terms: gathering::terms("lunch".into(), parties),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        trackers: vec![tracker.parse().unwrap()],
        register_limit: Duration::from_secs(60),
    };
    let party = Config {
        terms: config.terms.clone(),
        name: config.name.clone(),
        node_key: node_key.clone(),
        validator_key: config.validator_key.clone(),
        run,
        created_ms: 1_700_000_000_000,
        register_limit: config.register_limit,
        round_limit: Config::ROUND_LIMIT,
        grace: Config::GRACE,
    };
    let liar = Liar { inner: Gather::new(party.clone(), Time(0)), config: party, fooled: Vec::new() };
    let peer_id = keys::node_identity(&node_key).public().to_peer_id().to_base58();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(gathering::gather_with(config, run, liar, |_| {}))
    });
    Lying { peer_id, thread }
}
