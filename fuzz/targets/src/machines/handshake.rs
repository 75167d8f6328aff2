//! Connections that come and go, and peers that greet in any order, with proofs that hold and proofs that do not.

use super::admission::any_peer;
use crate::{
    draw::{self, below, chance},
    laws::Subject,
    world,
};
use arbitrary::Unstructured;
use conclave_ledger::hash::Hash;
use conclave_protocol::{
    handshake::{
        Binding, Command, Config, Direction, Event, Handshake, Hello, Message, RefusalReason, Request,
        Response, Role,
    },
    machine::{Input, Machine, Output},
    peer::Peer,
    rules::Rules,
    time::Time,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Addresses that are dialled: the numbers of nodes, as text.
const ADDRESSES: usize = 4;

pub(super) struct Greeting {
    machine: Handshake,
    /// Connections that are there.
    connections: BTreeMap<u64, Peer>,
    next: u64,
    /// The last challenge that each peer was given.
    challenges: BTreeMap<Peer, Hash>,
    /// Requests of the machine without an answer.
    asked: Vec<(Peer, u64)>,
    established: BTreeSet<Peer>,
    record: u64,
}

fn number_of(peer: &Peer) -> usize {
    (0..world::NODES).find(|number| world::peer(*number) == *peer).unwrap_or(0)
}

fn role_of(number: usize) -> Role {
    match number < world::VALIDATORS {
        true => Role::Validator(world::validator_key(number).public()),
        false => Role::Observer(world::node_key(number).public()),
    }
}

impl Greeting {
    /// What an honest peer would say, with one thing changed now and then.
    fn hello(&self, source: &mut Unstructured<'_>, number: usize) -> Hello {
        let claimed = if chance(source, 24) { below(source, world::NODES) } else { number };
        Hello {
            network: if chance(source, 16) { Hash::ZERO } else { world::network() },
            role: role_of(claimed),
            version: "fuzzed".repeat(below(source, 12)),
            height: draw::number(source, &world::KNOWN),
            record: chance(source, 64).then(|| {
                let of = if chance(source, 32) { claimed } else { number };
                conclave_ledger::bytes::Bytes(world::peer_record(of, 1).envelope().to_vec())
            }),
            challenge: Hash([7; 32]),
        }
    }

    fn proof(&self, source: &mut Unstructured<'_>, peer: Peer) -> conclave_ledger::keys::Signature {
        let number = number_of(&peer);
        let challenge = self.challenges.get(&peer).copied().unwrap_or(Hash::ZERO);
        let role = role_of(number);
        let (network, prover, verifier) = (world::network(), peer, world::peer(0));
        let binding = Binding { network, challenge, prover, verifier, role };
        match below(source, 16) {
            0 => world::signature(1),
            1 => binding.sign(&world::node_key(0)),
            _ if number < world::VALIDATORS => binding.sign(&world::validator_key(number)),
            _ => binding.sign(&world::node_key(number)),
        }
    }

    fn received(&mut self, source: &mut Unstructured<'_>) -> Option<Input<Handshake>> {
        let peer = any_peer(source);
        if chance(source, 16) {
            let (number, request) = (9, draw::value(source, &world::KNOWN).ok()?);
            return Some(Input::Received(peer, Message::Request { number, request }));
        }
        if chance(source, 128)
            && let Some((of, number)) = draw::one_of(source, &self.asked).copied()
        {
            let peer = if chance(source, 16) { peer } else { of };
            let response = match below(source, 8) {
                0..3 => Response::Hello(self.hello(source, number_of(&peer))),
                3..6 => Response::Proof { signature: self.proof(source, peer) },
                6 => Response::Done,
                _ => Response::Refused(RefusalReason::Full),
            };
            return Some(Input::Received(peer, Message::Response { number, response }));
        }
        let number = below(source, 8) as u64;
        let request = match below(source, 12) {
            0..4 => Request::Hello(self.hello(source, number_of(&peer))),
            4..8 => Request::Proof { signature: self.proof(source, peer) },
            8..10 => Request::Done,
            10 => Request::Refused(RefusalReason::NotNeeded),
            _ => Request::Goodbye,
        };
        Some(Input::Received(peer, Message::Request { number, request }))
    }

    fn command(&mut self, source: &mut Unstructured<'_>, now: Time) -> Option<Command> {
        let peer = any_peer(source);
        Some(match below(source, 24) {
            0..6 => {
                let address = chance(source, 96).then(|| below(source, ADDRESSES).to_string());
                let direction = match address.is_some() || chance(source, 32) {
                    true => Direction::Dialled,
                    false => Direction::Accepted,
                };
                self.next += 1;
                self.connections.insert(self.next, peer);
                Command::ConnectionEstablished { peer, connection: self.next, direction, address }
            }
            6..9 => {
                let connections: Vec<(u64, Peer)> =
                    self.connections.iter().map(|(connection, peer)| (*connection, *peer)).collect();
                let (connection, peer) = draw::one_of(source, &connections).copied()?;
                self.connections.remove(&connection);
                Command::ConnectionClosed { peer, connection }
            }
            9..11 => {
                let peer = chance(source, 128).then_some(peer);
                Command::AddAddress { peer, address: below(source, ADDRESSES).to_string() }
            }
            11..13 => Command::DialFailed { address: below(source, ADDRESSES).to_string() },
            13..15 if !self.asked.is_empty() => {
                let (peer, number) = draw::take(source, &mut self.asked);
                Command::RequestFailed { peer, number }
            }
            15 if !self.asked.is_empty() => {
                let (peer, number) = draw::take(source, &mut self.asked);
                Command::Unsupported { peer, number }
            }
            16 => Command::OtherNetwork { peer },
            17..19 => Command::Height(draw::number(source, &world::KNOWN)),
            19 => {
                self.record += 1;
                Command::Record(world::peer_record(0, self.record))
            }
            20 => Command::Refuse { peer, reason: draw::value(source, &world::KNOWN).ok()? },
            21 => Command::KeepOut { peer, until: now + Duration::from_secs(below(source, 100) as u64) },
            22 if chance(source, 16) => Command::Leave,
            _ => return None,
        })
    }
}

impl Subject for Greeting {
    type Machine = Handshake;

    fn new(source: &mut Unstructured<'_>) -> Self {
        let validates = chance(source, 128);
        let key = if validates { world::validator_key(0) } else { world::node_key(0) };
        let role = if validates { Role::Validator(key.public()) } else { Role::Observer(key.public()) };
        let config = Config {
            network: world::network(),
            peer: world::peer(0),
            role,
            key,
            version: "fuzzed".into(),
            response_timeout: Duration::from_secs(2),
            max_attempts: 3,
            first_retry: Duration::from_millis(100),
            longest_retry: Duration::from_secs(2),
            slow_retry: Duration::from_secs(10),
            unwelcome_retry: Duration::from_secs(60),
            simultaneous_window: Duration::from_secs(2),
            goodbye_timeout: Duration::from_millis(500),
            seed: [source.arbitrary().unwrap_or(0); 32],
            rules: Rules::default(),
        };
        Self {
            machine: Handshake::new(config),
            connections: BTreeMap::new(),
            next: 0,
            challenges: BTreeMap::new(),
            asked: Vec::new(),
            established: BTreeSet::new(),
            record: 1,
        }
    }

    fn machine(&mut self) -> &mut Handshake {
        &mut self.machine
    }

    fn own(&self) -> Peer {
        world::peer(0)
    }

    fn input(&mut self, source: &mut Unstructured<'_>, now: Time) {
        let input = match below(source, 2) {
            0 => self.command(source, now).map(Input::Command),
            _ => self.received(source),
        };
        if let Some(input) = input {
            self.machine.handle(input, now);
        }
    }

    fn heed(&mut self, output: Output<Handshake>, _: Time) {
        match output {
            Output::Send(peer, Message::Request { number, request }) => {
                self.asked.push((peer, number));
                if let Request::Hello(hello) = request {
                    self.challenges.insert(peer, hello.challenge);
                }
            }
            Output::Send(peer, Message::Response { response: Response::Hello(hello), .. }) => {
                self.challenges.insert(peer, hello.challenge);
            }
            Output::Emit(Event::Established { peer, role, .. }) => {
                assert!(self.established.insert(peer), "established twice");
                assert_eq!(role, role_of(number_of(&peer)), "established with a key that it does not hold");
                let is_there = self.connections.values().any(|of| *of == peer);
                assert!(is_there, "established without a connection");
            }
            Output::Emit(Event::Lost { peer }) => {
                assert!(self.established.remove(&peer), "lost without having been established");
            }
            _ => {}
        }
    }
}
