//! The handshake machine.

use super::{
    config::Config,
    dialling::Dialling,
    event::{Command, Direction, Event, RefusedBy},
    message::{Binding, Hello, MAX_VERSION_BYTES, Message, RefusalReason, Request, Response, Role},
};
use crate::{
    machine::{Input, Machine, Output},
    peer::Peer,
    peer_record::PeerRecord,
    penalty::Penalty,
    time::Time,
};
use conclave_ledger::{bytes::Bytes, hash::Hash, keys::Signature, signed::Height};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, VecDeque};

/// Most peers whose handshake is under way or done.
pub const MAX_PEERS: usize = 1024;

/// How often in one handshake a request is sent again that was lost with its connection.
const MAX_RESENT: u32 = 8;

#[derive(Clone, Copy, Debug)]
struct Connection {
    number: u64,
    direction: Direction,
    since: Time,
}

/// Where a handshake is. The listener's steps wait for requests, the dialer's for responses.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// Listener, before a `Hello`.
    AwaitHello,
    /// Listener, `Hello` answered.
    AwaitProof(Hello),
    /// Listener, `Proof` answered, which came with this signature.
    AwaitDone(Hello, Signature),
    /// Dialer, `Hello` sent.
    SentHello(u64),
    /// Dialer, `Proof` sent.
    SentProof(u64, Hello),
    /// Dialer, `Done` sent.
    SentDone(u64, Hello),
    /// Done, with what the peer said and proved.
    Established(Hello),
}

struct State {
    /// The connection that is kept, then those that are being closed.
    connections: Vec<Connection>,
    /// The one that was kept last.
    latest: Connection,
    /// Whether it was refused or took its leave, so that the next connection begins anew.
    is_over: bool,
    /// Whether it has said that it does not speak this handshake; why is perhaps still to come.
    is_unsupported: bool,
    /// Whether the request of the present step was lost and no connection is there to send it again.
    is_unsent: bool,
    challenge: Hash,
    /// The peer's challenge in this handshake: a `Hello` that has it was sent again, or crossed ours.
    theirs: Option<Hash>,
    /// Requests that were sent again.
    resent: u32,
    step: Step,
    role: Option<Role>,
    deadline: Option<Time>,
}

/// Whether this node is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    /// Acknowledgements are waited for until then.
    Until(Time),
    Done,
}

/// The machine.
pub struct Handshake {
    config: Config,
    random: ChaCha20Rng,
    height: Height,
    /// Where this node can be reached.
    record: Option<PeerRecord>,
    peers: BTreeMap<Peer, State>,
    kept_out: BTreeMap<Peer, Time>,
    dialling: Dialling,
    requests: u64,
    leaving: Leaving,
    goodbyes: BTreeMap<u64, Peer>,
    outputs: VecDeque<Output<Self>>,
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

    /// Whether a connection to a peer is there, its handshake done or not.
    pub fn is_connected(&self, peer: &Peer) -> bool {
        self.peers.get(peer).is_some_and(|state| !state.connections.is_empty())
    }

    fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Emit(event));
    }

    fn request(&mut self, peer: Peer, request: Request) -> u64 {
        self.requests += 1;
        let number = self.requests;
        self.outputs.push_back(Output::Send(peer, Message::Request { number, request }));
        number
    }

    fn respond(&mut self, peer: Peer, number: u64, response: Response) {
        self.outputs.push_back(Output::Send(peer, Message::Response { number, response }));
    }

    fn hello(&self, challenge: Hash) -> Hello {
        Hello {
            network: self.config.network,
            role: self.config.role,
            version: self.config.version.clone(),
            height: self.height,
            record: self.record.as_ref().map(|record| Bytes(record.envelope().to_vec())),
            challenge,
        }
    }

    fn challenge(&mut self) -> Hash {
        let mut challenge = [0; 32];
        self.random.fill_bytes(&mut challenge);
        Hash(challenge)
    }

    fn my_proof(&self, peer: Peer, theirs: &Hello) -> Signature {
        let (network, role) = (self.config.network, self.config.role);
        let binding =
            Binding { network, challenge: theirs.challenge, prover: self.config.peer, verifier: peer, role };
        binding.sign(&self.config.key)
    }

    // --- Connections -----------------------------------------------------------------------------------------

    fn connection_established(
        &mut self,
        peer: Peer,
        number: u64,
        direction: Direction,
        address: Option<&str>,
        now: Time,
    ) {
        self.dialling.connected(peer, address);
        let is_kept_out = self.is_kept_out(&peer, now);
        let is_full = self.peers.len() >= MAX_PEERS && !self.peers.contains_key(&peer);
        if is_kept_out || is_full || self.leaving != Leaving::No || peer == self.config.peer {
            let reason =
                if is_kept_out { RefusalReason::KeptOut.to_string() } else { "no room for it".to_owned() };
            if is_kept_out {
                self.emit(Event::Refused { peer, reason: RefusalReason::KeptOut, by: RefusedBy::Us });
            }
            return self.emit(Event::CloseConnection { peer, connection: number, reason, at_once: false });
        }
        let connection = Connection { number, direction, since: now };
        let Some(state) = self.peers.get_mut(&peer) else {
            let challenge = self.challenge();
            let state = State {
                connections: vec![connection],
                latest: connection,
                is_over: false,
                is_unsupported: false,
                is_unsent: false,
                challenge,
                theirs: None,
                resent: 0,
                step: Step::AwaitHello,
                role: None,
                deadline: None,
            };
            self.peers.insert(peer, state);
            return self.begin(peer, direction, now);
        };
        let current = state.latest;
        let is_gone = state.connections.is_empty();
        let at_once = !state.is_over
            && current.direction != direction
            && now.since(current.since) < self.config.simultaneous_window;
        if !at_once {
            state.connections.insert(0, connection);
            state.latest = connection;
            if !is_gone {
                let reason = "the peer has opened a newer connection".to_owned();
                self.emit(Event::CloseConnection { peer, connection: current.number, reason, at_once: true });
            }
            self.restart(peer, now);
            return self.begin(peer, direction, now);
        }
        // The handshake is between two peers and goes on over the connection that is kept.
        if is_gone {
            state.connections.push(connection);
            state.latest = connection;
            return self.resume(peer, direction, now);
        }
        let keeps_current = (current.direction == Direction::Dialled) == (self.config.peer < peer);
        state.connections.insert(usize::from(keeps_current), connection);
        state.latest = state.connections[0];
        let is_untouched = state.step == Step::AwaitHello;
        let (kept, closed) = if keeps_current { (current, connection) } else { (connection, current) };
        let reason = "both nodes dialled at once: the connection that the smaller identifier dialled is kept";
        let reason = reason.to_owned();
        self.emit(Event::CloseConnection { peer, connection: closed.number, reason, at_once: true });
        if is_untouched && kept.direction == Direction::Dialled {
            self.begin(peer, Direction::Dialled, now);
        }
    }

    /// Goes on where the handshake was when the other of two connections dialled at once was closed.
    fn resume(&mut self, peer: Peer, direction: Direction, now: Time) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let is_unsent = std::mem::take(&mut state.is_unsent);
        match state.step.clone() {
            Step::Established(hello) => self.establish(peer, hello, now),
            Step::AwaitHello if direction == Direction::Dialled => self.begin(peer, direction, now),
            _ if is_unsent => self.send_again(peer),
            _ => {}
        }
    }

    /// Begins the handshake on a connection: its dialer speaks first.
    fn begin(&mut self, peer: Peer, direction: Direction, now: Time) {
        let Some(challenge) = self.peers.get(&peer).map(|state| state.challenge) else { return };
        let step = match direction {
            Direction::Dialled => {
                let hello = self.hello(challenge);
                Step::SentHello(self.request(peer, Request::Hello(hello)))
            }
            Direction::Accepted => Step::AwaitHello,
        };
        self.advance(peer, step, now);
    }

    fn advance(&mut self, peer: Peer, step: Step, now: Time) {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.deadline =
                (!matches!(step, Step::Established(_))).then_some(now + self.config.response_timeout);
            state.step = step;
        }
    }

    /// Forgets what was proved, with a fresh challenge.
    fn restart(&mut self, peer: Peer, now: Time) {
        let challenge = self.challenge();
        let Some(state) = self.peers.get_mut(&peer) else { return };
        // Without a connection the loss was told already.
        let was_established = state.role.is_some();
        (state.is_over, state.is_unsupported, state.is_unsent) = (false, false, false);
        (state.challenge, state.theirs, state.resent, state.role) = (challenge, None, 0, None);
        self.advance(peer, Step::AwaitHello, now);
        if was_established {
            self.emit(Event::Lost { peer });
        }
    }

    fn connection_closed(&mut self, peer: Peer, number: u64, now: Time) {
        let Some(state) = self.peers.get_mut(&peer) else {
            // Closed at once by this node: the pauses between dials go on.
            return self.dialling.lost(&self.config, &peer, now, &mut self.random);
        };
        let was_current = state.connections.first().is_some_and(|connection| connection.number == number);
        state.connections.retain(|connection| connection.number != number);
        let Some(next) = state.connections.first().copied() else {
            let was_established = state.role.take().is_some();
            let is_young = now.since(state.latest.since) < self.config.simultaneous_window;
            if !is_young || state.is_over {
                self.peers.remove(&peer);
            }
            self.dialling.lost(&self.config, &peer, now, &mut self.random);
            if was_established {
                self.emit(Event::Lost { peer });
            }
            return;
        };
        if was_current {
            state.latest = next;
            self.restart(peer, now);
            self.begin(peer, next.direction, now);
        }
    }

    fn close(&mut self, peer: Peer, reason: &str) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        state.is_over = true;
        let connections = state.connections.clone();
        for connection in connections {
            let (connection, reason) = (connection.number, reason.to_owned());
            self.emit(Event::CloseConnection { peer, connection, reason, at_once: false });
        }
    }

    fn is_kept_out(&self, peer: &Peer, now: Time) -> bool {
        self.kept_out.get(peer).is_some_and(|until| now < *until)
    }

    // --- Steps -----------------------------------------------------------------------------------------------

    /// Checks a `Hello`; for another network or a malformed one the reason of the refusal.
    fn check_hello(&self, peer: Peer, hello: &Hello) -> Result<(), RefusalReason> {
        if hello.network != self.config.network {
            return Err(RefusalReason::WrongNetwork);
        }
        let too_long = hello.version.len() > MAX_VERSION_BYTES || hello.version.chars().any(char::is_control);
        if too_long {
            return Err(RefusalReason::MalformedHello);
        }
        if let Some(Bytes(record)) = &hello.record
            && PeerRecord::decode(record).map(|record| record.peer()) != Ok(peer)
        {
            return Err(RefusalReason::ForeignRecord);
        }
        match hello.role {
            // An Ed25519 peer id is the key itself, behind a fixed prefix.
            Role::Observer(key) if !peer.as_bytes().ends_with(&key.0) => Err(RefusalReason::ForeignKey),
            Role::Validator(key) if self.config.role.validator() == Some(key) => Err(RefusalReason::KeyInUse),
            Role::Validator(key) if self.is_in_use(&peer, key) => Err(RefusalReason::KeyInUse),
            _ => Ok(()),
        }
    }

    /// Whether another connected peer has proved this validator key.
    fn is_in_use(&self, peer: &Peer, key: conclave_ledger::keys::PublicKey) -> bool {
        let mut others = self.peers.iter().filter(|(other, _)| *other != peer);
        others.any(|(_, state)| state.role == Some(Role::Validator(key)))
    }

    /// A role that was proved still has to be nobody else's when the handshake is done.
    fn check_free(&self, peer: Peer, role: Role) -> Result<(), RefusalReason> {
        match role {
            Role::Validator(key) if self.is_in_use(&peer, key) => Err(RefusalReason::KeyInUse),
            _ => Ok(()),
        }
    }

    fn check_proof(&self, peer: Peer, hello: &Hello, signature: &Signature) -> Result<(), RefusalReason> {
        let challenge = self.peers.get(&peer).map_or(Hash::ZERO, |state| state.challenge);
        let (network, role) = (self.config.network, hello.role);
        let binding = Binding { network, challenge, prover: peer, verifier: self.config.peer, role };
        if !binding.verify(signature) {
            return Err(RefusalReason::FalseClaim);
        }
        self.check_free(peer, role)
    }

    fn receive_request(&mut self, peer: Peer, number: u64, request: Request, now: Time) {
        let Some(step) = self.peers.get(&peer).map(|state| state.step.clone()) else {
            let reason = if self.is_kept_out(&peer, now) {
                RefusalReason::KeptOut
            } else {
                RefusalReason::UnexpectedMessage
            };
            return self.respond(peer, number, Response::Refused(reason));
        };
        match (request, step) {
            (Request::Hello(hello), step) => self.receive_hello(peer, number, hello, step, now),
            (Request::Proof { signature }, Step::AwaitProof(hello)) => {
                if let Err(reason) = self.check_proof(peer, &hello, &signature) {
                    return self.refuse(peer, Some(number), reason);
                }
                self.answer_proof(peer, number, &hello);
                self.advance(peer, Step::AwaitDone(hello, signature), now);
            }
            // Sent again, because the answer was lost with its connection.
            (Request::Proof { signature }, Step::AwaitDone(hello, seen)) if signature == seen => {
                self.answer_proof(peer, number, &hello);
            }
            (Request::Done, Step::AwaitDone(hello, _)) => {
                if let Err(reason) = self.check_free(peer, hello.role) {
                    return self.refuse(peer, Some(number), reason);
                }
                self.respond(peer, number, Response::Done);
                self.establish(peer, hello, now);
            }
            (Request::Done, Step::Established(_)) => self.respond(peer, number, Response::Done),
            (Request::Refused(reason), _) => {
                self.respond(peer, number, Response::Done);
                self.refused_by_them(peer, reason);
            }
            (Request::Goodbye, _) => {
                self.respond(peer, number, Response::Done);
                self.restart(peer, now);
                if let Some(state) = self.peers.get_mut(&peer) {
                    state.is_over = true;
                }
            }
            (Request::Proof { .. } | Request::Done, _) => {
                self.refuse(peer, Some(number), RefusalReason::UnexpectedMessage);
            }
        }
    }

    /// A `Hello` begins the handshake, unless it crossed ours, was sent again, or comes when one is under way.
    fn receive_hello(&mut self, peer: Peer, number: u64, hello: Hello, step: Step, now: Time) {
        let Some(state) = self.peers.get(&peer) else { return };
        let (challenge, is_known, deadline) =
            (state.challenge, state.theirs == Some(hello.challenge), state.deadline);
        match step {
            Step::AwaitProof(_) if is_known => {
                let answer = self.hello(challenge);
                return self.respond(peer, number, Response::Hello(answer));
            }
            // Both speak first: the smaller identifier does, and the other takes back what it said.
            Step::SentHello(_) if self.config.peer < peer => {
                return self.respond(peer, number, Response::Done);
            }
            _ if is_known => return self.respond(peer, number, Response::Done),
            Step::AwaitHello | Step::SentHello(_) => {}
            _ => {
                self.outputs.push_back(Output::Penalize(peer, Penalty::slight("a second hello")));
                self.restart(peer, now);
            }
        }
        if let Err(reason) = self.check_hello(peer, &hello) {
            return self.refuse(peer, Some(number), reason);
        }
        let Some(state) = self.peers.get_mut(&peer) else { return };
        state.theirs = Some(hello.challenge);
        let is_second = matches!(step, Step::AwaitProof(_) | Step::AwaitDone(..));
        let challenge = state.challenge;
        let answer = self.hello(challenge);
        self.respond(peer, number, Response::Hello(answer));
        self.advance(peer, Step::AwaitProof(hello), now);
        if let Some(state) = self.peers.get_mut(&peer)
            && is_second
        {
            // Hellos without end do not keep a connection open.
            state.deadline = deadline;
        }
    }

    fn answer_proof(&mut self, peer: Peer, number: u64, hello: &Hello) {
        let signature = self.my_proof(peer, hello);
        self.respond(peer, number, Response::Proof { signature });
    }

    /// A request was lost, perhaps with one of two connections; the deadline of the step stays.
    fn request_failed(&mut self, peer: Peer, number: u64) {
        self.goodbyes.remove(&number);
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let (Step::SentHello(sent) | Step::SentProof(sent, _) | Step::SentDone(sent, _)) = state.step else {
            return;
        };
        if sent != number {
            return;
        }
        if state.connections.is_empty() {
            state.is_unsent = true;
        } else {
            self.send_again(peer);
        }
    }

    /// The peer does not speak this handshake. What it speaks instead comes with its identification, so that is
    /// waited for as long as an answer would have been.
    fn unsupported(&mut self, peer: Peer, number: u64) {
        if let Some(state) = self.peers.get_mut(&peer)
            && state.step == Step::SentHello(number)
        {
            state.is_unsupported = true;
        }
    }

    fn other_network(&mut self, peer: Peer) {
        if self.peers.get(&peer).is_some_and(|state| state.role.is_none() && !state.is_over) {
            self.emit(Event::Refused { peer, reason: RefusalReason::WrongNetwork, by: RefusedBy::Us });
            self.close(peer, &RefusalReason::WrongNetwork.to_string());
        }
    }

    /// Sends the request of the present step again, with a new number.
    fn send_again(&mut self, peer: Peer) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        if state.resent >= MAX_RESENT {
            return;
        }
        state.resent += 1;
        let (challenge, step) = (state.challenge, state.step.clone());
        let step = match step {
            Step::SentHello(_) => {
                let hello = self.hello(challenge);
                Step::SentHello(self.request(peer, Request::Hello(hello)))
            }
            Step::SentProof(_, hello) => {
                let signature = self.my_proof(peer, &hello);
                Step::SentProof(self.request(peer, Request::Proof { signature }), hello)
            }
            Step::SentDone(_, hello) => Step::SentDone(self.request(peer, Request::Done), hello),
            other => other,
        };
        if let Some(state) = self.peers.get_mut(&peer) {
            state.step = step;
        }
    }

    fn receive_response(&mut self, peer: Peer, number: u64, response: Response, now: Time) {
        if self.goodbyes.remove(&number).is_some() {
            return;
        }
        let Some(step) = self.peers.get(&peer).map(|state| state.step.clone()) else { return };
        match (response, step) {
            (Response::Hello(hello), Step::SentHello(sent)) if sent == number => {
                if let Err(reason) = self.check_hello(peer, &hello) {
                    return self.refuse(peer, None, reason);
                }
                if let Some(state) = self.peers.get_mut(&peer) {
                    state.theirs = Some(hello.challenge);
                }
                let signature = self.my_proof(peer, &hello);
                let sent = self.request(peer, Request::Proof { signature });
                self.advance(peer, Step::SentProof(sent, hello), now);
            }
            (Response::Proof { signature }, Step::SentProof(sent, hello)) if sent == number => {
                if let Err(reason) = self.check_proof(peer, &hello, &signature) {
                    return self.refuse(peer, None, reason);
                }
                let sent = self.request(peer, Request::Done);
                self.advance(peer, Step::SentDone(sent, hello), now);
            }
            (Response::Done, Step::SentDone(sent, hello)) if sent == number => {
                match self.check_free(peer, hello.role) {
                    Ok(()) => self.establish(peer, hello, now),
                    Err(reason) => self.refuse(peer, None, reason),
                }
            }
            (
                Response::Refused(reason),
                Step::SentHello(sent) | Step::SentProof(sent, _) | Step::SentDone(sent, _),
            ) if sent == number => self.refused_by_them(peer, reason),
            // An answer to what was asked before the handshake began anew, or to a notice.
            _ => {}
        }
    }

    fn establish(&mut self, peer: Peer, hello: Hello, now: Time) {
        self.advance(peer, Step::Established(hello.clone()), now);
        let mut direction = Direction::Accepted;
        if let Some(state) = self.peers.get_mut(&peer) {
            state.role = Some(hello.role);
            direction = state.latest.direction;
        }
        self.dialling.established(&peer, now);
        let Hello { role, height, version, record, .. } = hello;
        // It was checked when it came.
        let record = record.and_then(|record| PeerRecord::decode(&record.0).ok());
        self.emit(Event::Established { peer, role, direction, record, height, version });
    }

    fn refuse(&mut self, peer: Peer, number: Option<u64>, reason: RefusalReason) {
        match number {
            Some(number) => self.respond(peer, number, Response::Refused(reason)),
            None => {
                self.request(peer, Request::Refused(reason));
            }
        }
        self.emit(Event::Refused { peer, reason, by: RefusedBy::Us });
        let penalty = match reason {
            RefusalReason::FalseClaim | RefusalReason::ForeignKey | RefusalReason::ForeignRecord => {
                Some(Penalty::fatal(reason.to_string()))
            }
            RefusalReason::UnexpectedMessage | RefusalReason::MalformedHello => {
                Some(Penalty::serious(reason.to_string()))
            }
            _ => None,
        };
        if let Some(penalty) = penalty {
            self.outputs.push_back(Output::Penalize(peer, penalty));
        }
        if let Some(state) = self.peers.get_mut(&peer) {
            // The answer is given the time to get there; the other side closes too.
            state.deadline = None;
        }
        self.close(peer, &reason.to_string());
    }

    fn refused_by_them(&mut self, peer: Peer, reason: RefusalReason) {
        if matches!(reason, RefusalReason::Full | RefusalReason::NotNeeded) {
            self.dialling.unwelcome(&self.config, &peer);
        }
        self.emit(Event::Refused { peer, reason, by: RefusedBy::Them });
        self.close(peer, &format!("refused by the peer: {reason}"));
    }

    fn leave(&mut self, now: Time) {
        let established: Vec<Peer> =
            self.peers.iter().filter(|(_, state)| state.role.is_some()).map(|(peer, _)| *peer).collect();
        for peer in established {
            let number = self.request(peer, Request::Goodbye);
            self.goodbyes.insert(number, peer);
        }
        self.leaving = Leaving::Until(now + self.config.goodbye_timeout);
        self.finish_leaving(now);
    }

    fn finish_leaving(&mut self, now: Time) {
        if let Leaving::Until(until) = self.leaving
            && (self.goodbyes.is_empty() || until <= now)
        {
            self.leaving = Leaving::Done;
            self.emit(Event::Left);
        }
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
