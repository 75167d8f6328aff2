//! Verifier and prover: challenges, work that is right and work that is not, at any time.

use crate::{
    draw::{self, below, chance, take},
    laws::Subject,
    world,
};
use arbitrary::Unstructured;
use conclave_protocol::{
    admission::{Admission, Command, Config, Event, MAX_BITS, Message, Purpose, Puzzle, Request},
    machine::{Input, Machine, Output},
    network_group::NetworkGroup,
    peer::Peer,
    time::Time,
};
use std::time::Duration;

/// Most bits of a puzzle that is solved here.
const CHEAP: u8 = 8;

pub(super) struct Admitting {
    machine: Admission,
    /// Challenges that the machine gave, as its peers must solve them.
    given: Vec<(Peer, Puzzle)>,
    /// Searches that are under way.
    searches: Vec<(u64, Puzzle)>,
    /// Requests of the machine without an answer.
    asked: Vec<(Peer, u64)>,
}

pub(super) fn any_peer(source: &mut Unstructured<'_>) -> Peer {
    // Node 0 is the one under test.
    world::peer(1 + below(source, world::NODES - 1))
}

pub(super) fn any_group(source: &mut Unstructured<'_>) -> NetworkGroup {
    match below(source, 4) {
        0 => NetworkGroup::Other,
        1 => NetworkGroup::V6([0x20, 1, 0xd, 0xb8]),
        _ => NetworkGroup::V4([192, below(source, 3) as u8]),
    }
}

/// A solution, if finding one is cheap.
pub(super) fn solve(puzzle: &Puzzle) -> u64 {
    if puzzle.bits > CHEAP { 0 } else { puzzle.search().attempt(0, 1 << (CHEAP + 4)).unwrap_or(0) }
}

impl Admitting {
    fn received(&mut self, source: &mut Unstructured<'_>) -> Option<Input<Admission>> {
        let peer = any_peer(source);
        if chance(source, 128)
            && let Some((of, puzzle)) = draw::one_of(source, &self.given)
        {
            let solution = if chance(source, 224) { solve(puzzle) } else { 7 };
            let from = if chance(source, 224) { *of } else { peer };
            let request = Request::Solution { nonce: puzzle.nonce, solution };
            return Some(Input::Received(
                from,
                Message::Request { number: below(source, 8) as u64, request },
            ));
        }
        Some(Input::Received(
            peer,
            match chance(source, 128) {
                true => {
                    let number = draw::number(source, &world::KNOWN);
                    Message::Request { number, request: draw::value(source, &world::KNOWN).ok()? }
                }
                false => {
                    let number = draw::one_of(source, &self.asked).map_or(0, |(_, number)| *number);
                    Message::Response { number, response: draw::value(source, &world::KNOWN).ok()? }
                }
            },
        ))
    }

    fn command(&mut self, source: &mut Unstructured<'_>) -> Option<Input<Admission>> {
        Some(Input::Command(match below(source, 4) {
            0 if !self.searches.is_empty() => {
                let (ticket, puzzle) = take(source, &mut self.searches);
                Command::Solved { ticket, solution: solve(&puzzle) }
            }
            1 if !self.asked.is_empty() => {
                let (peer, number) = take(source, &mut self.asked);
                Command::RequestFailed { peer, number }
            }
            _ => Command::Joined {
                peer: any_peer(source),
                group: any_group(source),
                dialled: chance(source, 128),
                exempt: chance(source, 64),
            },
        }))
    }
}

impl Subject for Admitting {
    type Machine = Admission;

    fn new(source: &mut Unstructured<'_>) -> Self {
        let config = Config {
            network: world::network(),
            peer: world::peer(0),
            bits: if chance(source, 16) { MAX_BITS } else { world::BITS },
            expiry: Duration::from_secs(60),
            remember: Duration::from_secs(3600),
            seed: [source.arbitrary().unwrap_or(0); 32],
        };
        Self { machine: Admission::new(config), given: Vec::new(), searches: Vec::new(), asked: Vec::new() }
    }

    fn machine(&mut self) -> &mut Admission {
        &mut self.machine
    }

    fn own(&self) -> Peer {
        world::peer(0)
    }

    fn input(&mut self, source: &mut Unstructured<'_>, now: Time) {
        let input = match below(source, 8) {
            0 => Some(Input::Disconnected(any_peer(source))),
            1 => Some(Input::Connected(any_peer(source))),
            2..5 => self.received(source),
            5 => {
                self.machine.forget(&any_peer(source));
                None
            }
            _ => self.command(source),
        };
        if let Some(input) = input {
            self.machine.handle(input, now);
        }
    }

    fn heed(&mut self, output: Output<Admission>, _: Time) {
        match output {
            Output::Send(peer, Message::Request { number, request }) => {
                self.asked.push((peer, number));
                if let Request::Challenge { nonce, bits } = request {
                    let puzzle = Puzzle {
                        purpose: Purpose::Admission,
                        network: world::network(),
                        verifier: world::peer(0),
                        prover: peer,
                        nonce,
                        bits,
                    };
                    self.given.push((peer, puzzle));
                }
            }
            Output::Emit(Event::Solve { ticket, puzzle }) => self.searches.push((ticket, puzzle)),
            Output::Emit(Event::Cancel { ticket }) => {
                let before = self.searches.len();
                self.searches.retain(|(search, _)| *search != ticket);
                assert!(self.searches.len() < before, "gives up search {ticket}, which is not under way");
            }
            _ => {}
        }
    }

    fn check(&mut self) {
        let most = conclave_protocol::admission::MAX_SOLVING;
        assert!(self.searches.len() <= most, "{} searches at once", self.searches.len());
    }
}
