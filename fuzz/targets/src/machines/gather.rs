//! Parties that make a network together, with cards and signatures that hold and others that do not.

use crate::{
    draw::{self, below, chance},
    laws::Subject,
    world,
};
use arbitrary::Unstructured;
use conclave_ledger::{codec, hash::Hash, validators::FaultBound};
use conclave_protocol::{
    gather::{Command, Config, Event, Gather, MAX_MESSAGE_BYTES, Message, Seat, SignedCard, Signing, Terms},
    machine::{Input, Machine, Output},
    peer::Peer,
    time::Time,
};

/// Parties that gather, of those that there are.
const PARTIES: usize = 3;

pub(super) struct Gathering {
    machine: Gather,
    /// The genesis that the machine has signed.
    signed: Option<Hash>,
    ended: bool,
}

fn terms() -> Terms {
    Terms {
        name: "fuzzed".into(),
        parties: PARTIES as u16,
        faulty: FaultBound::Third,
        delta_ms: 500,
        fast: true,
    }
}

fn seat(number: usize) -> Seat {
    Seat { peer: world::peer(number), run: number as u64 }
}

fn roster() -> Vec<Seat> {
    let mut roster: Vec<Seat> = (0..PARTIES).map(seat).collect();
    roster.sort_unstable();
    roster
}

fn any_seats(source: &mut Unstructured<'_>) -> Vec<Seat> {
    if !chance(source, 64) {
        return roster();
    }
    let any = |source: &mut Unstructured<'_>| Seat {
        run: below(source, 3) as u64,
        ..seat(below(source, PARTIES + 2))
    };
    (0..below(source, PARTIES + 3)).map(|_| any(source)).collect()
}

fn any_card(source: &mut Unstructured<'_>) -> SignedCard {
    let number = below(source, PARTIES + 1);
    let key = if chance(source, 16) { below(source, PARTIES) } else { number };
    let mut terms = terms();
    if chance(source, 16) {
        terms.delta_ms = draw::number(source, &world::KNOWN);
    }
    let hash = if chance(source, 16) { Hash::ZERO } else { roster_hash() };
    let name = if chance(source, 24) { "same".to_owned() } else { format!("v{number}") };
    let (clock, node) = (draw::number(source, &world::KNOWN), world::node_key(number));
    SignedCard::sign(seat(number), terms, hash, &name, clock, &node, &world::validator_key(key))
}

/// What tells the roster from another: the machine says it in its own card.
fn roster_hash() -> Hash {
    Hash::of("conclave/gather/roster/1", &[&codec::encode(&roster())])
}

impl Gathering {
    fn any_signing(&self, source: &mut Unstructured<'_>) -> Signing {
        let number = below(source, PARTIES + 1);
        let genesis =
            self.signed.filter(|_| !chance(source, 24)).unwrap_or(Hash([below(source, 3) as u8; 32]));
        Signing::sign(seat(number), genesis, &world::node_key(number), &world::validator_key(number))
    }

    fn message(&self, source: &mut Unstructured<'_>) -> Option<Message> {
        let cards = |source: &mut Unstructured<'_>| (0..below(source, 5)).map(|_| any_card(source)).collect();
        Some(match below(source, 12) {
            0..5 => Message::Card { card: any_card(source), roster: any_seats(source) },
            5..8 => Message::Held { cards: cards(source), signing: self.any_signing(source) },
            8..10 => Message::Complete {
                signings: (0..below(source, 5)).map(|_| self.any_signing(source)).collect(),
            },
            10 => Message::Stopped {
                reason: draw::value(source, &world::KNOWN).ok()?,
                cards: cards(source),
                signings: (0..below(source, 3)).map(|_| self.any_signing(source)).collect(),
            },
            _ => draw::value(source, &world::KNOWN).ok()?,
        })
    }
}

impl Subject for Gathering {
    type Machine = Gather;

    fn new(source: &mut Unstructured<'_>) -> Self {
        let config = Config {
            terms: terms(),
            name: "v0".into(),
            node_key: world::node_key(0),
            validator_key: world::validator_key(0),
            run: 0,
            created_ms: draw::number(source, &world::KNOWN),
            register_limit: Config::REGISTER_LIMIT,
            round_limit: Config::ROUND_LIMIT,
            grace: Config::GRACE,
        };
        Self { machine: Gather::new(config, Time(0)), signed: None, ended: false }
    }

    fn machine(&mut self) -> &mut Gather {
        &mut self.machine
    }

    fn own(&self) -> Peer {
        world::peer(0)
    }

    fn input(&mut self, source: &mut Unstructured<'_>, now: Time) {
        let peer = world::peer(1 + below(source, PARTIES));
        let input = match below(source, 12) {
            0..2 => Input::Connected(peer),
            2 => Input::Disconnected(peer),
            3..5 => Input::Command(Command::Registered(any_seats(source))),
            _ => match self.message(source) {
                Some(message) => Input::Received(peer, message),
                None => return,
            },
        };
        self.machine.handle(input, now);
    }

    fn heed(&mut self, output: Output<Gather>, _: Time) {
        match output {
            Output::Send(_, message) => {
                let bytes = message.encode();
                assert!(bytes.len() <= MAX_MESSAGE_BYTES, "{} bytes", bytes.len());
                assert_eq!(Message::decode(&bytes).as_ref(), Some(&message), "what is sent reads back");
                if let Message::Held { signing, .. } = message {
                    let before = self.signed.replace(signing.genesis);
                    assert!(before.is_none_or(|before| before == signing.genesis), "signs two genesis files");
                }
            }
            Output::Emit(Event::Gathered(gathered)) => {
                assert!(!std::mem::replace(&mut self.ended, true), "ends twice");
                assert_eq!(gathered.signings.len(), PARTIES);
                assert_eq!(gathered.genesis.check(), Ok(()));
            }
            Output::Emit(Event::Failed(_)) => {
                assert!(!std::mem::replace(&mut self.ended, true), "ends twice")
            }
            _ => {}
        }
    }
}
