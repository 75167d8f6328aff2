//! The admission machine: verifier and prover in one, as every node is both.

use super::{
    event::{Command, Event, Outcome},
    message::{Message, Refusal, Request, Response},
    prover::{MAX_EXTRA_BITS, Prover},
    puzzle::{MAX_BITS, Purpose, Puzzle},
    verifier::{Needs, Verifier},
};
use crate::{
    machine::{Input, Machine, Output},
    network_group::NetworkGroup,
    peer::Peer,
    penalty::Penalty,
    time::Time,
};
use conclave_ledger::hash::NetworkId;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// Most requests that wait for their answer.
const MAX_REQUESTS: usize = 1024;

/// Configuration of the machine.
#[derive(Clone, Debug)]
pub struct Config {
    /// The network.
    pub network: NetworkId,
    /// This node.
    pub peer: Peer,
    /// Zero bits that this node asks for (default 24: some seconds of one core).
    pub bits: u8,
    /// Time for an answer (default 60 s).
    pub expiry: Duration,
    /// How long an admission holds (default 1 h).
    pub remember: Duration,
    /// Seed of the nonces; never twice the same.
    pub seed: [u8; 32],
}

/// The machine.
pub struct Admission {
    config: Config,
    random: ChaCha20Rng,
    verifier: Verifier,
    prover: Prover,
    requests: u64,
    /// Solutions and challenges that were sent, by their request.
    sent: BTreeMap<u64, (Peer, Request)>,
    outputs: VecDeque<Output<Self>>,
}

impl Admission {
    /// A machine without peers.
    pub fn new(config: Config) -> Self {
        Self {
            random: ChaCha20Rng::from_seed(config.seed),
            config,
            verifier: Verifier::default(),
            prover: Prover::default(),
            requests: 0,
            sent: BTreeMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// A peer that lied has to work again.
    pub fn forget(&mut self, peer: &Peer) {
        self.verifier.forget(peer);
    }

    fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Emit(event));
    }

    fn request(&mut self, peer: Peer, request: Request) {
        self.requests += 1;
        let number = self.requests;
        if self.sent.len() >= MAX_REQUESTS {
            self.sent.pop_first();
        }
        self.sent.insert(number, (peer, request));
        self.outputs.push_back(Output::Send(peer, Message::Request { number, request }));
    }

    fn joined(&mut self, peer: Peer, group: NetworkGroup, dialled: bool, exempt: bool, now: Time) {
        if dialled {
            self.emit(Event::Admitted { peer, outcome: Outcome::Exempt });
            let early = self.prover.dialled(peer, now);
            return early.into_iter().for_each(|request| self.heed(peer, request, now));
        }
        let needs = match exempt {
            true => Needs::Nothing(Outcome::Exempt),
            false => {
                let nonce = self.random.next_u64();
                self.verifier.joined(peer, group, nonce, self.config.expiry, now)
            }
        };
        match needs {
            Needs::Nothing(outcome) => {
                self.request(peer, Request::Welcome);
                self.emit(Event::Admitted { peer, outcome });
            }
            Needs::Work(nonce) => {
                let bits = self.config.bits;
                self.request(peer, Request::Challenge { nonce, bits });
            }
            Needs::Patience => self.emit(Event::Refused { peer, reason: Refusal::Busy }),
        }
    }

    /// Does what a peer wants that this node dialled.
    fn heed(&mut self, peer: Peer, request: Request, now: Time) {
        match request {
            Request::Challenge { nonce, bits } => self.solve(peer, nonce, bits, now),
            Request::Welcome => self.emit(Event::AdmittedBy { peer }),
            Request::Solution { .. } => {}
        }
    }

    fn solve(&mut self, verifier: Peer, nonce: u64, bits: u8, now: Time) {
        let (purpose, network, prover) = (Purpose::Admission, self.config.network, self.config.peer);
        let puzzle = Puzzle { purpose, network, verifier, prover, nonce, bits };
        let events = self.prover.challenge(puzzle, now + self.config.expiry);
        events.into_iter().for_each(|event| self.emit(event));
    }

    fn receive_request(&mut self, peer: Peer, number: u64, request: Request, now: Time) {
        let response = match request {
            Request::Challenge { bits, .. } if bits > self.most_bits() => {
                self.emit(Event::RefusedBy { peer, reason: Refusal::TooHard });
                Response::Refused(Refusal::TooHard)
            }
            Request::Challenge { .. } | Request::Welcome => {
                if self.prover.has_dialled(peer, request, now) {
                    self.heed(peer, request, now);
                }
                Response::Accepted
            }
            Request::Solution { nonce, solution } => self.check(peer, nonce, solution, now),
        };
        self.outputs.push_back(Output::Send(peer, Message::Response { number, response }));
    }

    fn most_bits(&self) -> u8 {
        self.config.bits.saturating_add(MAX_EXTRA_BITS).min(MAX_BITS)
    }

    fn check(&mut self, peer: Peer, nonce: u64, solution: u64, now: Time) -> Response {
        let terms = (self.config.network, self.config.peer, self.config.bits);
        let remember = self.config.remember;
        match self.verifier.check(terms, peer, (nonce, solution), (now, remember)) {
            Ok(()) => {
                self.emit(Event::Admitted { peer, outcome: Outcome::Worked });
                Response::Admitted
            }
            Err(reason) => {
                let penalty = match reason {
                    Refusal::NoWork | Refusal::ForeignChallenge => Some(Penalty::fatal(reason.to_string())),
                    Refusal::Replayed | Refusal::UnknownChallenge => {
                        Some(Penalty::serious(reason.to_string()))
                    }
                    Refusal::Expired | Refusal::Busy | Refusal::TooHard => None,
                };
                penalty.into_iter().for_each(|penalty| {
                    self.outputs.push_back(Output::Penalize(peer, penalty));
                });
                self.emit(Event::Refused { peer, reason });
                Response::Refused(reason)
            }
        }
    }

    fn receive_response(&mut self, peer: Peer, number: u64, response: Response) {
        let Some((whom, request)) = self.sent.remove(&number) else { return };
        match (request, response) {
            _ if whom != peer => {}
            (Request::Solution { .. }, Response::Admitted) => self.emit(Event::AdmittedBy { peer }),
            (Request::Solution { .. }, Response::Refused(reason)) => {
                self.emit(Event::RefusedBy { peer, reason });
            }
            (Request::Challenge { .. }, Response::Refused(_)) => {
                self.verifier.left(&peer);
                self.emit(Event::Refused { peer, reason: Refusal::TooHard });
            }
            // Understood, or an answer to something else.
            _ => {}
        }
    }

    fn command(&mut self, command: Command, now: Time) {
        match command {
            Command::Joined { peer, group, dialled, exempt } => {
                self.joined(peer, group, dialled, exempt, now);
            }
            Command::Solved { ticket, solution } => {
                let (puzzle, events) = self.prover.solved(ticket);
                events.into_iter().for_each(|event| self.emit(event));
                if let Some(Puzzle { verifier, nonce, .. }) = puzzle {
                    self.request(verifier, Request::Solution { nonce, solution });
                }
            }
            // A challenge that got lost expires, a solution that got lost is asked for anew after a reconnect.
            Command::RequestFailed { number, .. } => {
                self.sent.remove(&number);
            }
        }
    }
}

impl Machine for Admission {
    type Message = Message;
    type Command = Command;
    type Event = Event;

    fn handle(&mut self, input: Input<Self>, now: Time) {
        match input {
            // Told by command, with what is known of the peer.
            Input::Connected(_) => {}
            Input::Disconnected(peer) => {
                self.verifier.left(&peer);
                let events = self.prover.left(&peer);
                events.into_iter().for_each(|event| self.emit(event));
                self.sent.retain(|_, (whom, _)| *whom != peer);
            }
            Input::Received(peer, Message::Request { number, request }) => {
                self.receive_request(peer, number, request, now);
            }
            Input::Received(peer, Message::Response { number, response }) => {
                self.receive_response(peer, number, response);
            }
            Input::Command(command) => self.command(command, now),
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        for peer in self.verifier.expire(now) {
            self.emit(Event::Refused { peer, reason: Refusal::Expired });
        }
        let events = self.prover.expire(now);
        events.into_iter().for_each(|event| self.emit(event));
    }

    fn poll_output(&mut self) -> Option<Output<Self>> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        [self.verifier.next_timeout(), self.prover.next_timeout()].into_iter().flatten().min()
    }
}
