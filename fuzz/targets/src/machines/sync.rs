//! Catching up with peers that have what they claim, and peers that do not.

use super::{admission::any_peer, asking::Asking};
use crate::{
    draw::{self, below, chance, take},
    laws::Subject,
    world,
};
use arbitrary::Unstructured;
use conclave_ledger::{block::Decided, signed::Height};
use conclave_protocol::{
    machine::{Input, Machine, Output},
    peer::Peer,
    sync::{
        Command, Config, Event, MAX_HEIGHTS, MAX_LOOKUPS, Message, ProvedHeight, ProvedValue, Request,
        Response, Sync,
    },
    time::Time,
};
use std::time::Duration;

pub(super) struct Following {
    machine: Sync,
    height: Height,
    /// Fingerprint of the proofs that it has.
    proofs: u64,
    asked: Vec<(Peer, u64, Request)>,
    lookups: Vec<(u64, Request)>,
    /// Heights that the machine has delivered and waits for.
    delivered: Option<(Peer, Height)>,
}

fn proved(height: Height) -> ProvedHeight {
    let block = world::block(height, 0, 0);
    let proof = world::certificate(1, block.hash());
    ProvedHeight { decided: Decided::Block(block), proof }
}

fn proved_value(height: Height) -> ProvedValue {
    let ProvedHeight { decided, proof } = proved(height);
    ProvedValue { height, value: decided.value(), proof }
}

/// What was asked for, or rather more or less of it.
fn any_response(source: &mut Unstructured<'_>, request: &Request) -> Option<Response> {
    if chance(source, 24) {
        return draw::value(source, &world::KNOWN).ok();
    }
    Some(match request {
        Request::Status { .. } => Response::Status {
            height: draw::number(source, &world::KNOWN),
            proofs: draw::number(source, &world::KNOWN),
        },
        Request::Proofs { from, .. } => {
            let count = below(source, 4) as u64;
            Response::Proofs((0..count).map(|index| proved_value(from.saturating_add(index))).collect())
        }
        Request::Blocks { from, .. } => {
            let from = if chance(source, 32) { from.saturating_add(1) } else { *from };
            let count = below(source, 4) as u64;
            Response::Blocks((0..count).map(|index| proved(from.saturating_add(index))).collect())
        }
        Request::Block { height, .. } => {
            Response::Block((!chance(source, 64)).then(|| world::block(*height, 0, below(source, 2))))
        }
    })
}

impl Asking for Following {
    fn received(&mut self, source: &mut Unstructured<'_>) -> Option<Input<Sync>> {
        let peer = any_peer(source);
        if !self.asked.is_empty() && chance(source, 160) {
            let (of, number, request) = take(source, &mut self.asked);
            let response = any_response(source, &request)?;
            return Some(Input::Received(of, Message::Response { number, response }));
        }
        let number = draw::number(source, &world::KNOWN);
        Some(Input::Received(
            peer,
            match chance(source, 32) {
                true => Message::Response { number, response: draw::value(source, &world::KNOWN).ok()? },
                false => Message::Request { number, request: draw::value(source, &world::KNOWN).ok()? },
            },
        ))
    }

    fn command(&mut self, source: &mut Unstructured<'_>, now: Time) -> Command {
        let peer = any_peer(source);
        if let Some((of, last)) = self.delivered.filter(|_| chance(source, 128)) {
            self.delivered = None;
            if chance(source, 32) {
                return Command::Disputed { peer: of };
            }
            if chance(source, 64) {
                return Command::Rejected { peer: of, reason: "it does not hold".into() };
            }
            self.height = self.height.max(last);
            self.machine.handle(Input::Command(Command::Height { height: self.height }), now);
            return Command::Applied;
        }
        match below(source, 10) {
            0 if !self.lookups.is_empty() => {
                let (token, request) = take(source, &mut self.lookups);
                let response = match request {
                    Request::Status { .. } => Response::Status { height: self.height, proofs: self.proofs },
                    Request::Proofs { from, limit } => {
                        let count = u64::from(limit.min(3));
                        Response::Proofs(
                            (0..count).map(|index| proved_value(from.saturating_add(index))).collect(),
                        )
                    }
                    Request::Blocks { from, limit } => {
                        let count = u64::from(limit.min(3));
                        Response::Blocks((0..count).map(|index| proved(from.saturating_add(index))).collect())
                    }
                    Request::Block { .. } => Response::Block(None),
                };
                Command::Found { token, response }
            }
            1 if !self.asked.is_empty() => {
                let (peer, number, _) = take(source, &mut self.asked);
                Command::RequestFailed { peer, number }
            }
            2 => {
                self.height += below(source, 3) as u64;
                Command::Height { height: self.height }
            }
            3 => Command::Behind { peer, height: draw::number(source, &world::KNOWN) },
            4 => {
                let block = world::block(self.height + 1, 0, below(source, 2));
                let peers = (0..below(source, 4)).map(|_| any_peer(source)).collect();
                Command::FetchBlock { height: block.header.height, hash: block.hash(), peers }
            }
            5 => {
                self.proofs = draw::number(source, &world::KNOWN);
                let from = self.height.saturating_sub(below(source, 3) as u64);
                Command::Proofs { from, fingerprint: self.proofs, uncertain: chance(source, 128) }
            }
            6 => Command::Told {
                peer,
                height: draw::number(source, &world::KNOWN),
                proofs: draw::number(source, &world::KNOWN),
            },
            _ => Command::Joined {
                peer,
                height: draw::number(source, &world::KNOWN),
                follows: chance(source, 128),
            },
        }
    }
}

impl Subject for Following {
    type Machine = Sync;

    fn new(source: &mut Unstructured<'_>) -> Self {
        let config = Config::for_delta(Duration::from_millis(500), chance(source, 128));
        Self {
            machine: Sync::new(config),
            height: 0,
            proofs: 0,
            asked: Vec::new(),
            lookups: Vec::new(),
            delivered: None,
        }
    }

    fn machine(&mut self) -> &mut Sync {
        &mut self.machine
    }

    fn own(&self) -> Peer {
        world::peer(0)
    }

    fn input(&mut self, source: &mut Unstructured<'_>, now: Time) {
        self.any_input(source, now);
    }

    fn heed(&mut self, output: Output<Sync>, _: Time) {
        match output {
            Output::Send(peer, Message::Request { number, request }) => {
                if let Request::Blocks { limit, .. } = &request {
                    assert!(*limit <= MAX_HEIGHTS, "asks for {limit} heights");
                }
                self.asked.push((peer, number, request));
            }
            Output::Emit(Event::Lookup { token, request }) => self.lookups.push((token, request)),
            Output::Emit(Event::Deliver { peer, heights }) => {
                let found: Vec<Height> = heights.iter().map(|height| height.decided.height()).collect();
                assert!(
                    found.iter().zip(found.iter().skip(1)).all(|(one, next)| one + 1 == *next),
                    "{found:?}"
                );
                assert!(self.delivered.is_none(), "delivers before the last ones are applied");
                self.delivered = found.last().map(|last| (peer, *last));
            }
            _ => {}
        }
    }

    fn check(&mut self) {
        let most = MAX_LOOKUPS * world::NODES;
        assert!(self.lookups.len() <= most, "{} lookups", self.lookups.len());
    }
}
