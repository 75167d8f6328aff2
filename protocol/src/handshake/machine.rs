//! The handshake machine: what it is told, and what is due. What it makes of it is in the files beside this one.

use super::{
    config::Config,
    dialling::Dialling,
    event::{Command, Event, RefusedBy},
    message::{Binding, Hello, Message, RefusalReason, Request, Response, Role},
    state::{Leaving, State, Step},
};
use crate::{
    machine::{Input, Machine, Output},
    peer::Peer,
    peer_record::PeerRecord,
    rules::Rule,
    time::Time,
};
use conclave_ledger::{bytes::Bytes, hash::Hash, keys::Signature, signed::Height};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, VecDeque};

/// Most peers whose handshake is under way or done.
pub const MAX_PEERS: usize = 1024;

/// The machine.
pub struct Handshake {
    pub(super) config: Config,
    pub(super) random: ChaCha20Rng,
    pub(super) height: Height,
    /// Where this node can be reached.
    pub(super) record: Option<PeerRecord>,
    pub(super) peers: BTreeMap<Peer, State>,
    pub(super) kept_out: BTreeMap<Peer, Time>,
    pub(super) dialling: Dialling,
    pub(super) requests: u64,
    pub(super) leaving: Leaving,
    pub(super) goodbyes: BTreeMap<u64, Peer>,
    pub(super) outputs: VecDeque<Output<Self>>,
}

impl Handshake {
    /// A machine without peers.
    pub fn new(config: Config) -> Self {
        Self {
            random: ChaCha20Rng::from_seed(config.seed),
            config,
            height: 0,
            record: None,
            peers: BTreeMap::new(),
            kept_out: BTreeMap::new(),
            dialling: Dialling::default(),
            requests: 0,
            leaving: Leaving::No,
            goodbyes: BTreeMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Whether the peer may know that the handshake is done before this node does: its last answer is on its way.
    pub fn is_nearly_done(&self, peer: &Peer) -> bool {
        self.peers.get(peer).is_some_and(|state| matches!(state.step, Step::SentDone(..)))
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Emit(event));
    }

    pub(super) fn request(&mut self, peer: Peer, request: Request) -> u64 {
        self.requests += 1;
        let number = self.requests;
        self.outputs.push_back(Output::Send(peer, Message::Request { number, request }));
        number
    }

    pub(super) fn respond(&mut self, peer: Peer, number: u64, response: Response) {
        self.outputs.push_back(Output::Send(peer, Message::Response { number, response }));
    }

    pub(super) fn hello(&self, challenge: Hash) -> Hello {
        Hello {
            network: self.config.network,
            role: self.config.role,
            version: self.config.version.clone(),
            height: self.height,
            record: self.record.as_ref().map(|record| Bytes(record.envelope().to_vec())),
            challenge,
        }
    }

    pub(super) fn challenge(&mut self) -> Hash {
        let mut challenge = [0; 32];
        self.random.fill_bytes(&mut challenge);
        Hash(challenge)
    }

    pub(super) fn my_proof(&self, peer: Peer, theirs: &Hello) -> Signature {
        let binding = self.binding(theirs.challenge, self.config.peer, peer, self.config.role);
        binding.sign(&self.config.key)
    }

    pub(super) fn binding(&self, challenge: Hash, prover: Peer, verifier: Peer, role: Role) -> Binding {
        let network = self.config.network;
        if !self.config.rules.keep(Rule::HandshakeBinding) {
            return Binding { network, challenge, prover: Peer::NOBODY, verifier: Peer::NOBODY, role };
        }
        Binding { network, challenge, prover, verifier, role }
    }

    fn command(&mut self, command: Command, now: Time) {
        match command {
            Command::AddAddress { peer, address } => self.dialling.add(&self.config, peer, address, now),
            Command::ConnectionEstablished { peer, connection, direction, address } => {
                self.connection_established(peer, connection, direction, address.as_deref(), now);
            }
            Command::ConnectionClosed { peer, connection } => self.connection_closed(peer, connection, now),
            Command::DialFailed { address } => {
                let gave_up = self.dialling.failed(&self.config, &address, now, &mut self.random);
                gave_up.into_iter().for_each(|event| self.emit(event));
            }
            Command::RequestFailed { peer, number } => self.request_failed(peer, number),
            Command::Unsupported { peer, number } => self.unsupported(peer, number),
            Command::OtherNetwork { peer } => self.other_network(peer),
            Command::Height(height) => self.height = height,
            Command::Record(record) => self.record = Some(record),
            Command::Refuse { peer, reason } => {
                if self.peers.get(&peer).is_some_and(|state| !state.is_over) {
                    self.refuse(peer, None, reason);
                }
            }
            Command::KeepOut { peer, until } => {
                self.kept_out.retain(|_, until| now < *until);
                if self.kept_out.len() < MAX_PEERS {
                    self.kept_out.insert(peer, until);
                }
                self.close(peer, &RefusalReason::KeptOut.to_string());
            }
            Command::Leave => self.leave(now),
        }
    }

    fn dial_due(&mut self, now: Time) {
        if self.leaving == Leaving::No {
            let peers = &self.peers;
            let due = self
                .dialling
                .due(now, |peer| peers.get(peer).is_some_and(|state| !state.connections.is_empty()));
            due.into_iter().for_each(|event| self.emit(event));
        }
    }
}

impl Machine for Handshake {
    type Message = Message;
    type Command = Command;
    type Event = Event;

    fn handle(&mut self, input: Input<Self>, now: Time) {
        match input {
            // Connections are told by command, with their numbers.
            Input::Connected(_) | Input::Disconnected(_) => {}
            Input::Received(peer, Message::Request { number, request }) => {
                self.receive_request(peer, number, request, now);
            }
            Input::Received(peer, Message::Response { number, response }) => {
                self.receive_response(peer, number, response, now);
            }
            Input::Command(command) => self.command(command, now),
        }
        self.dial_due(now);
        self.finish_leaving(now);
    }

    fn handle_timeout(&mut self, now: Time) {
        let window = self.config.simultaneous_window;
        self.peers.retain(|_, state| !state.connections.is_empty() || now.since(state.latest.since) < window);
        let late: Vec<Peer> = self
            .peers
            .iter()
            .filter(|(_, state)| state.deadline.is_some_and(|deadline| deadline <= now))
            .map(|(peer, _)| *peer)
            .collect();
        for peer in late {
            let Some(state) = self.peers.get_mut(&peer) else { continue };
            state.deadline = None;
            if state.connections.is_empty() {
                state.is_over = true;
                continue;
            }
            let reason =
                if state.is_unsupported { RefusalReason::NoHandshake } else { RefusalReason::Timeout };
            self.emit(Event::Refused { peer, reason, by: RefusedBy::Us });
            self.close(peer, &reason.to_string());
        }
        self.dial_due(now);
        self.finish_leaving(now);
    }

    fn poll_output(&mut self) -> Option<Output<Self>> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        let deadlines = self.peers.values().filter_map(|state| state.deadline).min();
        let window = self.config.simultaneous_window;
        let gone = self.peers.values().filter(|state| state.connections.is_empty());
        let gone = gone.map(|state| state.latest.since + window).min();
        let dial = self.dialling.next_timeout().filter(|_| self.leaving == Leaving::No);
        let leaving = match self.leaving {
            Leaving::Until(until) => Some(until),
            Leaving::No | Leaving::Done => None,
        };
        [deadlines, gone, dial, leaving].into_iter().flatten().min()
    }
}
