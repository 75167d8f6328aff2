//! Whole nodes in virtual time: their logic as it runs, a network that delivers at once, and disks that keep what they
//! were given. A restarted node gets back what its disk holds and nothing else.

use conclave_ledger::{
    applications::{Payload, records::Record},
    block::Decided,
    bytes::Bytes,
    chain::{Chain, Undo},
    codec,
    genesis::{Engine, FORMAT, Genesis, Limits},
    keys::SecretKey,
    proof::Proof,
    signed::{Height, Kind},
    state::Changes,
    transaction::{Request, SharedTransaction, Transaction},
    validators::{FaultBound, Validator},
};
use conclave_protocol::{
    handshake::{Command, Direction},
    node::{Channel, Clock, Config, Effect, Input, LogRecord, Node, Notice, Protocol, Restored},
    peer::Peer,
    peer_record::peer_of_key,
    sync::{self, ProvedHeight, ProvedValue},
    time::Time,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

/// Milliseconds since 1970 at the start.
const START_MS: u64 = 1_700_000_000_000;

/// Most steps in one moment: whatever is said at once comes to an end.
const MAX_STEPS: usize = 20_000;

/// Δ, in milliseconds.
pub(crate) const DELTA_MS: u64 = 500;

fn key(number: usize) -> SecretKey {
    SecretKey::from_seed([number as u8 + 1; 32])
}

/// Who may send records without stamps.
fn sender() -> SecretKey {
    SecretKey::from_seed([200; 32])
}

fn genesis(validators: usize, faulty: u16) -> Arc<Genesis> {
    Arc::new(Genesis {
        format: FORMAT,
        name: "test".into(),
        engine: Engine::DolevStrong,
        fast: true,
        faulty: FaultBound::Exactly(faulty),
        delta_ms: DELTA_MS,
        created_ms: START_MS,
        stamp_bits: 8,
        proof_of_work: None,
        limits: Limits::default(),
        validators: (0..validators)
            .map(|number| Validator { name: format!("v{number}"), key: key(number).public() })
            .collect(),
        senders: vec![sender().public()],
        records: Vec::new(),
    })
}

/// What a node has written.
#[derive(Default)]
pub(crate) struct Storage {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) heights: BTreeMap<Height, (Arc<Decided>, Option<Proof>)>,
    undo: BTreeMap<Height, Vec<u8>>,
    /// Records of the log that the rest does not cover.
    log: Vec<LogRecord>,
}

impl Storage {
    fn change(&mut self, changes: &Changes) {
        for (key, value) in changes {
            match value {
                Some(value) => drop(self.entries.insert(key.clone(), value.clone())),
                None => drop(self.entries.remove(key)),
            }
        }
    }

    fn append(&mut self, record: LogRecord) {
        match record {
            LogRecord::Decided { .. } | LogRecord::RolledBack { .. } => {
                self.log.retain(|record| matches!(record, LogRecord::Signed(_)));
            }
            LogRecord::Proved { .. } => {}
            record => self.log.push(record),
        }
    }

    fn restore(&self, genesis: Arc<Genesis>) -> Restored {
        let mut chain = match self.heights.is_empty() {
            true => Chain::new(genesis),
            false => Chain::restore(genesis, self.entries.clone()).unwrap(),
        };
        let mut proofs: BTreeMap<Height, Proof> = BTreeMap::new();
        let undo = self.undo.iter().map(|(height, bytes)| {
            let (decided, proof) = &self.heights[height];
            proofs.extend(proof.clone().map(|proof| (*height, proof)));
            (*height, Undo::decode(bytes, decided.as_ref().clone()).unwrap())
        });
        let undo = undo.collect();
        chain.restore_undo(undo).unwrap();
        for (height, _) in chain.unproven() {
            proofs.extend(self.heights[&height].1.clone().map(|proof| (height, proof)));
        }
        Restored { chain, proofs, log: self.log.clone(), known_peers: Default::default() }
    }

    fn look_up(&self, request: sync::Request) -> sync::Response {
        let proved = |height: Height| {
            let (decided, proof) = self.heights.get(&height)?;
            Some(ProvedHeight { decided: decided.as_ref().clone(), proof: proof.clone()? })
        };
        match request {
            sync::Request::Status { height, proofs } => sync::Response::Status { height, proofs },
            sync::Request::Blocks { from, limit } => {
                sync::Response::Blocks((from..from + u64::from(limit)).map_while(proved).collect())
            }
            sync::Request::Proofs { from, limit } => {
                let proved = (from..from + u64::from(limit)).filter_map(proved);
                let value = |proved: ProvedHeight| ProvedValue {
                    height: proved.decided.height(),
                    value: proved.decided.value(),
                    proof: proved.proof,
                };
                sync::Response::Proofs(proved.map(value).collect())
            }
            sync::Request::Block { height, hash } => {
                let block = self.heights.get(&height).and_then(|(decided, _)| decided.block().cloned());
                sync::Response::Block(block.filter(|block| block.hash() == hash))
            }
        }
    }

    /// Heights in which the log holds more than one vote.
    pub(crate) fn double_votes(&self) -> Vec<Height> {
        let mut voted = BTreeSet::new();
        let votes = self.log.iter().filter_map(|record| match record {
            LogRecord::Signed(signed) if signed.kind == Kind::Vote => Some(signed.height),
            _ => None,
        });
        votes.filter(|height| !voted.insert(*height)).collect()
    }
}

pub(crate) struct World {
    pub(crate) now: Time,
    genesis: Arc<Genesis>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) storage: Vec<Storage>,
    links: BTreeMap<(usize, usize), u64>,
    /// A node from and to which nothing comes through, although its links stand.
    unheard: Option<usize>,
    inbox: VecDeque<(usize, Input)>,
    requests: BTreeMap<u64, (usize, u64, Protocol)>,
    numbers: u64,
    /// Consensus frames that were sent so far.
    pub(crate) frames: usize,
    pub(crate) notices: Vec<(usize, Notice)>,
}

impl World {
    /// That many validators and one observer, the last node; nobody is linked.
    pub(crate) fn new(validators: usize, faulty: u16) -> Self {
        let mut world = Self {
            now: Time(0),
            genesis: genesis(validators, faulty),
            nodes: Vec::new(),
            storage: Vec::new(),
            links: BTreeMap::new(),
            unheard: None,
            inbox: VecDeque::new(),
            requests: BTreeMap::new(),
            numbers: 0,
            frames: 0,
            notices: Vec::new(),
        };
        for number in 0..=validators {
            let first = Chain::new(world.genesis.clone());
            let entries = first.entries().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
            let storage = Storage { entries, ..Storage::default() };
            world.nodes.push(world.start(number, &storage));
            world.storage.push(storage);
            world.drain(number);
        }
        world
    }

    fn clock(&self) -> Clock {
        Clock { time: self.now, unix_ms: START_MS + 1 + self.now.0 / 1000 }
    }

    fn start(&self, number: usize, storage: &Storage) -> Node {
        let is_validator = number < self.genesis.validators.len();
        let config = Config {
            peer: peer(number),
            node_key: node_key(number),
            validator_key: is_validator.then(|| key(number)),
            mines: false,
            version: "test".into(),
            meeting: Default::default(),
            pool: Default::default(),
            announcements: Default::default(),
            seed: [number as u8; 32],
            rules: Default::default(),
        };
        Node::new(config, storage.restore(self.genesis.clone()), self.clock()).unwrap()
    }

    /// The process dies and starts again from its disk. Its links are gone.
    pub(crate) fn restart(&mut self, number: usize) {
        for other in 0..self.nodes.len() {
            self.unlink(number, other);
        }
        self.inbox.retain(|(to, _)| *to != number);
        self.requests.retain(|_, (asker, ..)| *asker != number);
        self.nodes[number] = self.start(number, &self.storage[number]);
        self.drain(number);
    }

    /// From now on everything from and to a node is lost, which nobody notices.
    pub(crate) fn unhear(&mut self, number: usize) {
        self.unheard = Some(number);
    }

    /// The links of that node are found to be dead.
    pub(crate) fn cut_unheard(&mut self) {
        if let Some(number) = self.unheard.take() {
            (0..self.nodes.len()).for_each(|other| self.unlink(number, other));
        }
    }

    pub(crate) fn link(&mut self, one: usize, other: usize) {
        self.numbers += 1;
        self.links.insert((one.min(other), one.max(other)), self.numbers);
        for (at, to, direction) in [(one, other, Direction::Dialled), (other, one, Direction::Accepted)] {
            let command = Command::ConnectionEstablished {
                peer: peer(to),
                connection: self.numbers,
                direction,
                address: None,
            };
            self.inbox.push_back((at, Input::Handshake(command)));
        }
    }

    pub(crate) fn link_all(&mut self, nodes: &[usize]) {
        for (place, one) in nodes.iter().enumerate() {
            nodes[..place].iter().for_each(|other| self.link(*one, *other));
        }
    }

    pub(crate) fn unlink(&mut self, one: usize, other: usize) {
        if let Some(connection) = self.links.remove(&(one.min(other), one.max(other))) {
            for (at, to) in [(one, other), (other, one)] {
                let command = Command::ConnectionClosed { peer: peer(to), connection };
                self.inbox.push_back((at, Input::Handshake(command)));
            }
        }
    }

    /// A record that everybody accepts.
    pub(crate) fn record(&self, text: &str) -> Transaction {
        let payload = Payload::Record(Record { kind: "note".into(), data: Bytes(text.into()) });
        let (network, sender) = (self.genesis.network_id(), sender());
        Request { network, sender: sender.public(), expires: 50, payload }.sign(&sender)
    }

    pub(crate) fn submit(&mut self, number: usize, text: &str) {
        self.submit_all(number, vec![self.record(text).into()]);
    }

    pub(crate) fn submit_all(&mut self, number: usize, transactions: Vec<SharedTransaction>) {
        self.inbox.push_back((number, Input::Submit { ticket: 0, transactions }));
    }

    pub(crate) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        let mut steps = (self.now, 0);
        loop {
            steps = (self.now, if steps.0 == self.now { steps.1 + 1 } else { 0 });
            assert!(steps.1 < MAX_STEPS, "time stands still at {:?}: {:?}", self.now, self.waiting());
            if let Some((number, input)) = self.inbox.pop_front() {
                let clock = self.clock();
                self.nodes[number].handle(input, clock);
                self.drain(number);
                continue;
            }
            let due = self.nodes.iter().filter_map(Node::poll_timeout).min();
            let Some(due) = due.filter(|due| *due <= end) else { break };
            self.now = due.max(self.now);
            for number in 0..self.nodes.len() {
                if self.nodes[number].poll_timeout().is_some_and(|due| due <= self.now) {
                    let clock = self.clock();
                    self.nodes[number].handle_timeout(clock);
                    self.drain(number);
                }
            }
        }
        self.now = end;
    }

    /// What is to be delivered next, shortly.
    fn waiting(&self) -> Vec<String> {
        let sync = |bytes: &[u8]| {
            let request = codec::decode::<sync::Request>(bytes, bytes.len()).map(|it| format!("{it:?}"));
            request
                .or_else(|_| codec::decode::<sync::Response>(bytes, bytes.len()).map(|it| format!("{it:?}")))
        };
        let describe = |input: &Input| match input {
            Input::Request { protocol: Protocol::Sync, bytes, .. }
            | Input::Response { protocol: Protocol::Sync, bytes, .. } => sync(bytes).unwrap_or_default(),
            other => format!("{other:?}"),
        };
        let line = |(to, input): &(usize, Input)| {
            format!("to {to}: {}", describe(input).chars().take(160).collect::<String>())
        };
        self.inbox.iter().take(12).map(line).collect()
    }

    fn drain(&mut self, from: usize) {
        while let Some(effect) = self.nodes[from].poll_effect() {
            self.carry_out(from, effect);
        }
    }

    fn carries(&self, one: usize, other: usize) -> bool {
        self.unheard.is_none_or(|unheard| unheard != one && unheard != other)
            && self.links.contains_key(&(one.min(other), one.max(other)))
    }

    fn carry_out(&mut self, from: usize, effect: Effect) {
        match effect {
            Effect::Append(record) => self.storage[from].append(record),
            Effect::Decided { decided, applied, proof, .. } => {
                let storage = &mut self.storage[from];
                storage.change(&applied.changes);
                storage.heights.insert(applied.height, (decided, proof));
                storage.undo = storage.undo.split_off(&applied.undo_from);
                storage.undo.extend(applied.undo.clone().map(|undo| (applied.height, undo)));
            }
            Effect::Proved { height, proof } => {
                self.storage[from].heights.get_mut(&height).unwrap().1 = Some(proof);
            }
            Effect::RolledBack { height, changes } => {
                self.storage[from].change(&changes);
                self.storage[from].heights.split_off(&height);
                self.storage[from].undo.split_off(&height);
            }
            Effect::Send { peer: to, channel, bytes, .. } => {
                self.frames += usize::from(channel == Channel::Consensus);
                if self.carries(from, number_of(&to)) {
                    let frame = Input::Frame(peer(from), channel, bytes.to_vec());
                    self.inbox.push_back((number_of(&to), frame));
                }
            }
            Effect::Request { peer: to, protocol, number, bytes } => {
                self.numbers += 1;
                let id = self.numbers;
                if self.carries(from, number_of(&to)) {
                    self.requests.insert(id, (from, number, protocol));
                    let request = Input::Request { peer: peer(from), protocol, number: id, bytes };
                    self.inbox.push_back((number_of(&to), request));
                } else {
                    self.inbox.push_back((from, Input::RequestFailed { peer: to, protocol, number }));
                }
            }
            Effect::Respond { protocol, number, bytes, .. } => {
                if let Some((asker, number, _)) = self.requests.remove(&number) {
                    let response = Input::Response { peer: peer(from), protocol, number, bytes };
                    self.inbox.push_back((asker, response));
                }
            }
            Effect::OpenChannels(to) => {
                for channel in [Channel::Consensus, Channel::Transactions] {
                    self.inbox.push_back((from, Input::ChannelOpened(to, channel)));
                }
            }
            Effect::Lookup { token, request } => {
                let response = self.storage[from].look_up(request);
                self.inbox.push_back((from, Input::LookedUp { token, response }));
            }
            Effect::CloseConnection { peer: to, .. } => self.unlink(from, number_of(&to)),
            Effect::Tell(notice) => self.notices.push((from, notice)),
            _ => {}
        }
    }

    /// The last decided heights of all nodes.
    pub(crate) fn tips(&self) -> Vec<Height> {
        self.nodes.iter().map(|node| node.chain().tip().height).collect()
    }

    /// Proofs that a node has of its last heights.
    pub(crate) fn last_proofs(&self, number: usize) -> Vec<Proof> {
        let unproven = self.nodes[number].chain().unproven();
        unproven.filter_map(|(height, _)| self.storage[number].heights[&height].1.clone()).collect()
    }
}

/// Most nodes of a world.
const MAX_NODES: usize = 16;

fn node_key(number: usize) -> SecretKey {
    SecretKey::from_seed([100 + number as u8; 32])
}

fn peer(number: usize) -> Peer {
    peer_of_key(&node_key(number).public())
}

fn number_of(wanted: &Peer) -> usize {
    (0..MAX_NODES).find(|number| peer(*number) == *wanted).unwrap()
}
