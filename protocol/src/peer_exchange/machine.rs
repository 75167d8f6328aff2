//! The peer exchange machine: asker and responder in one.

use super::message::{MAX_RECORDS, Message, Refusal, Request, Response, Told};
use crate::{
    admission::{MAX_BITS, MAX_EXTRA_BITS, Purpose, Puzzle},
    machine::{Input, Machine, Output},
    peer::Peer,
    peer_record::PeerRecord,
    penalty::Penalty,
    time::Time,
};
use conclave_ledger::{hash::NetworkId, keys::PublicKey};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// Least time between two answers to one peer.
pub const MIN_INTERVAL: Duration = Duration::from_secs(5);

/// Most requests that wait for the work of another to be done.
pub const MAX_WAITING: usize = 8;

/// After this time nobody waits for an answer any more.
const ANSWER_WITHIN: Duration = Duration::from_secs(55);

/// Configuration of the machine.
#[derive(Clone, Debug)]
pub struct Config {
    /// The network.
    pub network: NetworkId,
    /// This node.
    pub peer: Peer,
    /// Zero bits that this node asks for.
    pub bits: u8,
    /// Seed of the nonces; never twice the same.
    pub seed: [u8; 32],
}

/// What the node tells the machine.
#[derive(Clone, Debug)]
pub enum Command {
    /// A peer owes this node no work, or owes it no more: it may ask.
    MayAsk {
        /// The peer.
        peer: Peer,
    },
    /// Ask a peer, unless it was asked not long ago.
    Ask {
        /// Whom.
        peer: Peer,
        /// Whether it is a validator, and need not work.
        exempt: bool,
    },
    /// The answer to [`Event::Choose`].
    Chosen {
        /// Who asked.
        peer: Peer,
        /// Number of its request.
        number: u64,
        /// The work.
        solution: Option<u64>,
        /// What is told.
        peers: Vec<Told>,
    },
    /// The search of [`Event::Solve`] has found this.
    Solved {
        /// Its number.
        ticket: u64,
        /// The solution.
        solution: u64,
    },
    /// A request got no answer.
    RequestFailed {
        /// Who was asked.
        peer: Peer,
        /// Number of the request.
        number: u64,
    },
}

/// What the machine tells the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Search for a solution, answered by [`Command::Solved`].
    Solve {
        /// Its number.
        ticket: u64,
        /// What to solve.
        puzzle: Puzzle,
    },
    /// Give that search up.
    Cancel {
        /// Its number.
        ticket: u64,
    },
    /// A request is taken, and will be answered when the work for it is done.
    Asked {
        /// Who asks.
        by: Peer,
    },
    /// A request may be answered: choose peers, answered by [`Command::Chosen`].
    Choose {
        /// Who asks.
        peer: Peer,
        /// Number of its request.
        number: u64,
        /// Most records.
        limit: u16,
        /// The work.
        solution: Option<u64>,
    },
    /// A peer has answered, and every record holds.
    Learned {
        /// Who told.
        by: Peer,
        /// Of whom, and which validators they are as it says.
        peers: Vec<(PeerRecord, Option<PublicKey>)>,
    },
    /// A peer has answered with what does not hold; it is blamed.
    Refused {
        /// Who.
        by: Peer,
    },
    /// A peer does not answer this node.
    RefusedBy {
        /// Who.
        peer: Peer,
        /// Why.
        reason: Refusal,
    },
}

struct Asked {
    peer: Peer,
    nonce: u64,
    exempt: bool,
}

struct Job {
    ticket: u64,
    peer: Peer,
    number: u64,
    limit: u16,
    puzzle: Puzzle,
    until: Time,
}

/// The machine.
pub struct PeerExchange {
    config: Config,
    random: ChaCha20Rng,
    /// Whether this node is a validator and answers without work.
    exempt: bool,
    /// Peers that may ask, and when they may again.
    askers: BTreeMap<Peer, Time>,
    asked: BTreeMap<u64, Asked>,
    /// When a connected peer may be asked again.
    ask_after: BTreeMap<Peer, Time>,
    requests: u64,
    tickets: u64,
    /// What is being worked for, then what waits.
    jobs: VecDeque<Job>,
    outputs: VecDeque<Output<Self>>,
}

impl PeerExchange {
    /// A machine without peers.
    pub fn new(config: Config) -> Self {
        Self {
            random: ChaCha20Rng::from_seed(config.seed),
            config,
            exempt: false,
            askers: BTreeMap::new(),
            asked: BTreeMap::new(),
            ask_after: BTreeMap::new(),
            requests: 0,
            tickets: 0,
            jobs: VecDeque::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Whether this node is a validator of the current set, and need not work for its answers.
    pub fn set_exempt(&mut self, exempt: bool) {
        self.exempt = exempt;
    }

    fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Emit(event));
    }

    fn respond(&mut self, peer: Peer, number: u64, response: Response) {
        self.outputs.push_back(Output::Send(peer, Message::Response { number, response }));
    }

    // --- The asker -------------------------------------------------------------------------------------------

    fn ask(&mut self, peer: Peer, exempt: bool, now: Time) {
        let too_soon = self.ask_after.get(&peer).is_some_and(|after| now < *after);
        if too_soon || self.asked.values().any(|asked| asked.peer == peer) {
            return;
        }
        // A question may be under way for longer than the one before it.
        self.ask_after.insert(peer, now + 2 * MIN_INTERVAL);
        self.requests += 1;
        let (number, nonce) = (self.requests, self.random.next_u64());
        self.asked.insert(number, Asked { peer, nonce, exempt });
        let request = Request::Peers { limit: MAX_RECORDS, nonce, bits: self.config.bits };
        self.outputs.push_back(Output::Send(peer, Message::Request { number, request }));
    }

    fn receive_response(&mut self, peer: Peer, number: u64, response: Response) {
        if self.asked.get(&number).is_none_or(|asked| asked.peer != peer) {
            return;
        }
        let Some(asked) = self.asked.remove(&number) else { return };
        match response {
            Response::Refused(reason) => self.emit(Event::RefusedBy { peer, reason }),
            Response::Peers { solution, peers } => match self.check(&asked, solution, &peers) {
                Ok(peers) => self.emit(Event::Learned { by: peer, peers }),
                Err(penalty) => {
                    self.outputs.push_back(Output::Penalize(peer, penalty));
                    self.emit(Event::Refused { by: peer });
                }
            },
        }
    }

    fn check(
        &self,
        asked: &Asked,
        solution: Option<u64>,
        peers: &[Told],
    ) -> Result<Vec<(PeerRecord, Option<PublicKey>)>, Penalty> {
        if peers.len() > usize::from(MAX_RECORDS) {
            return Err(Penalty::fatal(format!("{} peer records instead of {MAX_RECORDS}", peers.len())));
        }
        if !asked.exempt {
            let puzzle = self.puzzle(self.config.peer, asked.peer, asked.nonce, self.config.bits);
            match solution {
                Some(solution) if puzzle.is_solved_by(solution) => {}
                Some(_) => return Err(Penalty::fatal("peer records with work that is not its own")),
                None => return Err(Penalty::serious("peer records without work")),
            }
        }
        let records = peers.iter().map(|told| {
            let record = PeerRecord::decode(&told.record.0)
                .map_err(|error| Penalty::fatal(format!("a peer record that does not hold: {error}")))?;
            Ok((record, told.validator))
        });
        records.collect()
    }

    pub(super) fn puzzle(&self, verifier: Peer, prover: Peer, nonce: u64, bits: u8) -> Puzzle {
        Puzzle { purpose: Purpose::Peers, network: self.config.network, verifier, prover, nonce, bits }
    }

    // --- The responder ---------------------------------------------------------------------------------------

    fn receive_request(&mut self, peer: Peer, number: u64, request: Request, now: Time) {
        let Request::Peers { limit, nonce, bits } = request;
        match self.admits(peer, bits, now) {
            Err(reason) => self.respond(peer, number, Response::Refused(reason)),
            Ok(()) => {
                self.askers.insert(peer, now + MIN_INTERVAL);
                let limit = limit.min(MAX_RECORDS);
                if self.exempt {
                    return self.emit(Event::Choose { peer, number, limit, solution: None });
                }
                self.tickets += 1;
                let (ticket, until) = (self.tickets, now + ANSWER_WITHIN);
                let puzzle = self.puzzle(peer, self.config.peer, nonce, bits);
                self.jobs.push_back(Job { ticket, peer, number, limit, puzzle, until });
                self.emit(Event::Asked { by: peer });
                if self.jobs.len() == 1 {
                    self.start();
                }
            }
        }
    }

    fn admits(&mut self, peer: Peer, bits: u8, now: Time) -> Result<(), Refusal> {
        let Some(not_before) = self.askers.get(&peer) else {
            let penalty = Penalty::slight("a question for peers before its admission");
            self.outputs.push_back(Output::Penalize(peer, penalty));
            return Err(Refusal::NotAdmitted);
        };
        let too_soon = now < *not_before;
        if too_soon || self.jobs.iter().any(|job| job.peer == peer) {
            let penalty = Penalty::slight("questions for peers too often");
            self.outputs.push_back(Output::Penalize(peer, penalty));
            return Err(Refusal::TooSoon);
        }
        if bits > self.config.bits.saturating_add(MAX_EXTRA_BITS).min(MAX_BITS) {
            return Err(Refusal::TooHard);
        }
        if self.jobs.len() > MAX_WAITING { Err(Refusal::Busy) } else { Ok(()) }
    }

    fn start(&mut self) {
        if let Some(job) = self.jobs.front() {
            let (ticket, puzzle) = (job.ticket, job.puzzle);
            self.emit(Event::Solve { ticket, puzzle });
        }
    }

    fn solved(&mut self, ticket: u64, solution: u64) {
        if let Some(job) = self.jobs.pop_front_if(|job| job.ticket == ticket) {
            let Job { peer, number, limit, .. } = job;
            self.emit(Event::Choose { peer, number, limit, solution: Some(solution) });
            self.start();
        }
    }

    /// Ends the jobs that nobody waits for.
    fn drop_jobs(&mut self, is_over: impl Fn(&Job) -> bool) {
        let running = self.jobs.front().map(|job| job.ticket);
        self.jobs.retain(|job| !is_over(job));
        if running.is_some() && self.jobs.front().map(|job| job.ticket) != running {
            running.into_iter().for_each(|ticket| self.emit(Event::Cancel { ticket }));
            self.start();
        }
    }
}

impl Machine for PeerExchange {
    type Message = Message;
    type Command = Command;
    type Event = Event;

    fn handle(&mut self, input: Input<Self>, now: Time) {
        match input {
            // Told by command, once the admission is settled.
            Input::Connected(_) => {}
            Input::Disconnected(peer) => {
                self.askers.remove(&peer);
                self.ask_after.remove(&peer);
                self.asked.retain(|_, asked| asked.peer != peer);
                self.drop_jobs(|job| job.peer == peer);
            }
            Input::Received(peer, Message::Request { number, request }) => {
                self.receive_request(peer, number, request, now);
            }
            Input::Received(peer, Message::Response { number, response }) => {
                self.receive_response(peer, number, response);
            }
            Input::Command(Command::MayAsk { peer }) => {
                self.askers.entry(peer).or_insert(now);
            }
            Input::Command(Command::Ask { peer, exempt }) => self.ask(peer, exempt, now),
            Input::Command(Command::Chosen { peer, number, solution, peers }) => {
                self.respond(peer, number, Response::Peers { solution, peers });
            }
            Input::Command(Command::Solved { ticket, solution }) => self.solved(ticket, solution),
            Input::Command(Command::RequestFailed { number, .. }) => {
                self.asked.remove(&number);
            }
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        self.drop_jobs(|job| job.until <= now);
    }

    fn poll_output(&mut self) -> Option<Output<Self>> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.jobs.iter().map(|job| job.until).min()
    }
}
