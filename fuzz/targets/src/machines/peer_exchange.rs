//! Asker and responder: records that hold and records that do not, with work and without.

use super::{
    admission::{any_peer, solve},
    asking::Asking,
};
use crate::{
    draw::{self, below, chance, take},
    laws::Subject,
    world,
};
use arbitrary::Unstructured;
use conclave_ledger::bytes::Bytes;
use conclave_protocol::{
    admission::{Purpose, Puzzle},
    machine::{Input, Output},
    peer::Peer,
    peer_exchange::{Command, Config, Event, MAX_RECORDS, Message, PeerExchange, Request, Response, Told},
    time::Time,
};

pub(super) struct Exchanging {
    machine: PeerExchange,
    searches: Vec<(u64, Puzzle)>,
    /// Questions of the machine without an answer.
    asked: Vec<(Peer, u64, Request)>,
    /// Choices that it has asked for.
    choices: Vec<(Peer, u64, u16, Option<u64>)>,
}

fn any_told(source: &mut Unstructured<'_>, limit: u16) -> Vec<Told> {
    let told = |source: &mut Unstructured<'_>| Told {
        record: match below(source, 8) {
            0 => Bytes(vec![1; below(source, 5000)]),
            _ => Bytes(world::peer_record(below(source, world::NODES), 1).envelope().to_vec()),
        },
        validator: chance(source, 64).then(|| world::validator_key(1).public()),
    };
    (0..below(source, usize::from(limit.min(6)) + 2)).map(|_| told(source)).collect()
}

impl Asking for Exchanging {
    fn received(&mut self, source: &mut Unstructured<'_>) -> Option<Input<PeerExchange>> {
        let peer = any_peer(source);
        if !self.asked.is_empty() && chance(source, 128) {
            let (of, number, Request::Peers { limit, nonce, bits }) = take(source, &mut self.asked);
            let prover = if chance(source, 16) { peer } else { of };
            let (purpose, network, verifier) = (Purpose::Peers, world::network(), world::peer(0));
            let solution = solve(&Puzzle { purpose, network, verifier, prover, nonce, bits });
            let response = match chance(source, 32) {
                true => draw::value(source, &world::KNOWN).ok()?,
                false => Response::Peers {
                    solution: (!chance(source, 32)).then_some(solution),
                    peers: any_told(source, limit),
                },
            };
            return Some(Input::Received(prover, Message::Response { number, response }));
        }
        let (number, request) = (below(source, 8) as u64, draw::value(source, &world::KNOWN).ok()?);
        Some(Input::Received(peer, Message::Request { number, request }))
    }

    fn command(&mut self, source: &mut Unstructured<'_>, _: Time) -> Command {
        let peer = any_peer(source);
        match below(source, 8) {
            0..2 if !self.searches.is_empty() => {
                let (ticket, puzzle) = take(source, &mut self.searches);
                Command::Solved { ticket, solution: solve(&puzzle) }
            }
            2..4 if !self.choices.is_empty() => {
                let (peer, number, limit, solution) = take(source, &mut self.choices);
                let mut peers = any_told(source, limit);
                peers.truncate(usize::from(limit));
                Command::Chosen { peer, number, solution, peers }
            }
            4 if !self.asked.is_empty() => {
                let (peer, number, _) = take(source, &mut self.asked);
                Command::RequestFailed { peer, number }
            }
            5 => Command::MayAsk { peer },
            _ => Command::Ask { peer, exempt: chance(source, 64) },
        }
    }
}

impl Subject for Exchanging {
    type Machine = PeerExchange;

    fn new(source: &mut Unstructured<'_>) -> Self {
        let seed = [source.arbitrary().unwrap_or(0); 32];
        let config = Config { network: world::network(), peer: world::peer(0), bits: world::BITS, seed };
        let (searches, asked, choices) = Default::default();
        Self { machine: PeerExchange::new(config), searches, asked, choices }
    }

    fn machine(&mut self) -> &mut PeerExchange {
        &mut self.machine
    }

    fn own(&self) -> Peer {
        world::peer(0)
    }

    fn input(&mut self, source: &mut Unstructured<'_>, now: Time) {
        self.any_input(source, now);
    }

    fn heed(&mut self, output: Output<PeerExchange>, _: Time) {
        match output {
            Output::Send(peer, Message::Request { number, request }) => {
                self.asked.push((peer, number, request))
            }
            Output::Emit(Event::Solve { ticket, puzzle }) => self.searches.push((ticket, puzzle)),
            Output::Emit(Event::Cancel { ticket }) => self.searches.retain(|(search, _)| *search != ticket),
            Output::Emit(Event::Choose { peer, number, limit, solution }) => {
                assert!(limit <= MAX_RECORDS, "asks for {limit} records");
                self.choices.push((peer, number, limit, solution));
            }
            _ => {}
        }
    }

    fn check(&mut self) {
        assert!(self.searches.len() <= 1, "{} searches at once", self.searches.len());
    }
}
