//! A small network in virtual time for adversaries: nodes that keep the rules, some of which have an adversary around
//! them. Delays are drawn between a 50th and a tenth of Δ, and frames between two nodes keep their order.

use crate::adversaries::{Adversary, Coalition, Misbehaviour, Moment};
use conclave_ledger::{
    applications::{Payload, records::Record},
    bytes::Bytes,
    chain::Chain,
    genesis::{Engine, FORMAT, Genesis},
    hash::BlockHash,
    keys::SecretKey,
    proof::Proof,
    signed::{Height, Value},
    transaction::Request as Asked,
    validators::{FaultBound, Validator},
};
use conclave_protocol::{
    consensus::Message,
    handshake::{Command, Direction},
    node::{Channel, Clock, Config, Effect, Input, Node, Notice, Protocol, Restored},
    peer::Peer,
    sync::{self, ProvedHeight},
    time::Time,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

pub(super) const DELTA: Duration = Duration::from_millis(400);
const BEGIN_MS: u64 = 1_800_000_000_000;

pub(super) fn key(index: usize) -> SecretKey {
    SecretKey::from_seed([index as u8 + 1; 32])
}

pub(super) fn peer(index: usize) -> Peer {
    Peer::from_bytes(&[index as u8]).unwrap()
}

fn index(peer: &Peer) -> usize {
    usize::from(peer.as_bytes()[0])
}

/// What a node has told.
#[derive(Default)]
pub(super) struct Told {
    /// By height.
    pub(super) decided: BTreeMap<Height, Value>,
    /// Heights that it went back from, and what it had decided there.
    pub(super) reverted: BTreeMap<Height, Value>,
    /// Whom it blamed for what.
    pub(super) blamed: Vec<(usize, String)>,
    /// Validators that it saw sign twice.
    pub(super) misbehaved: BTreeSet<usize>,
    /// Payloads of evidence that were decided.
    pub(super) evidence: usize,
    pub(super) failed: Option<String>,
    pub(super) lost: usize,
}

struct Member {
    node: Node,
    adversary: Option<Box<dyn Adversary>>,
    told: Told,
    heights: BTreeMap<Height, ProvedHeight>,
    /// Peers that it has opened its channels to.
    open: BTreeSet<usize>,
}

/// What left an adversary, and when.
pub(super) type Left = (Time, Peer, Channel, Vec<u8>);

pub(super) struct Lab {
    pub(super) seed: u64,
    members: Vec<Member>,
    adversaries: usize,
    coalition: Coalition,
    random: ChaCha20Rng,
    pub(super) now: Time,
    queue: BTreeMap<(Time, u64), (usize, Input)>,
    last: BTreeMap<(usize, usize), Time>,
    count: u64,
    /// Requests on their way: the number at who asks.
    requests: BTreeMap<u64, (usize, u64)>,
    /// Frames of the adversaries.
    pub(super) left: Vec<Left>,
}

pub(super) fn genesis(validators: usize, faulty: u16) -> Genesis {
    Genesis {
        format: FORMAT,
        name: "lab".into(),
        engine: Engine::DolevStrong,
        fast: true,
        faulty: FaultBound::Exactly(faulty),
        delta_ms: DELTA.as_millis() as u64,
        created_ms: BEGIN_MS - 1000,
        stamp_bits: 8,
        proof_of_work: None,
        limits: Default::default(),
        validators: (0..validators)
            .map(|n| Validator { name: format!("v{n}"), key: key(n).public() })
            .collect(),
        senders: Vec::new(),
        records: Vec::new(),
    }
}

impl Lab {
    /// The first `adversaries` of the validators misbehave.
    pub(super) fn new(
        seed: u64,
        validators: usize,
        faulty: u16,
        kind: Misbehaviour,
        adversaries: usize,
    ) -> Self {
        let genesis = Arc::new(genesis(validators, faulty));
        let clock = Clock { time: Time(0), unix_ms: BEGIN_MS };
        let members = (0..validators).map(|number| {
            let config = Config {
                peer: peer(number),
                node_key: SecretKey::from_seed([number as u8 + 101; 32]),
                validator_key: Some(key(number)),
                rules: Default::default(),
                mines: false,
                version: "lab".into(),
                meeting: Default::default(),
                pool: Default::default(),
                announcements: Default::default(),
                seed: [number as u8; 32],
            };
            let chain = Chain::new(genesis.clone());
            let restored =
                Restored { chain, proofs: BTreeMap::new(), log: Vec::new(), known_peers: Default::default() };
            Member {
                node: Node::new(config, restored, clock).unwrap(),
                adversary: (number < adversaries).then(|| kind.adversary()),
                told: Told::default(),
                heights: BTreeMap::new(),
                open: BTreeSet::new(),
            }
        });
        let mut lab = Self {
            seed,
            members: members.collect(),
            adversaries,
            coalition: Coalition::new(genesis.network_id(), (0..adversaries).map(key)),
            random: ChaCha20Rng::seed_from_u64(seed),
            now: Time(0),
            queue: BTreeMap::new(),
            last: BTreeMap::new(),
            count: 0,
            requests: BTreeMap::new(),
            left: Vec::new(),
        };
        for from in 0..validators {
            for to in 0..from {
                lab.connect(from, to, Direction::Dialled);
                lab.connect(to, from, Direction::Accepted);
            }
        }
        lab.run_for(DELTA * 2);
        lab
    }

    fn connect(&mut self, at: usize, to: usize, direction: Direction) {
        let connection = (at.max(to) * 100 + at.min(to)) as u64;
        let command = Command::ConnectionEstablished { peer: peer(to), connection, direction, address: None };
        self.input(at, Input::Handshake(command));
    }

    fn clock(&self) -> Clock {
        Clock { time: self.now, unix_ms: BEGIN_MS + self.now.0 / 1000 }
    }

    pub(super) fn told(&self, node: usize) -> &Told {
        &self.members[node].told
    }

    /// The nodes that keep the rules.
    pub(super) fn honest(&self) -> impl Iterator<Item = (usize, &Told)> {
        self.members.iter().map(|member| &member.told).enumerate().skip(self.adversaries)
    }

    /// A record, submitted at a node at a time.
    pub(super) fn submit(&mut self, node: usize, text: &str) {
        let network = self.members[node].node.chain().network();
        let data = Bytes(text.as_bytes().to_vec());
        let payload = Payload::Record(Record { kind: "note".into(), data });
        let sender = key(node);
        let expires = self.members[node].node.chain().next_height() + 100;
        let request = Asked { network, sender: sender.public(), expires, payload };
        self.input(node, Input::Submit { ticket: 0, transactions: vec![request.sign(&sender).into()] });
    }

    // --- What an adversary does --------------------------------------------------------------------------------

    /// Lets the adversary of a node do something; without one, nothing is done.
    fn act(
        &mut self,
        number: usize,
        act: impl FnOnce(&mut dyn Adversary, &mut Moment<'_>) -> Vec<Effect>,
    ) -> Vec<Effect> {
        let clock = self.clock();
        let member = &mut self.members[number];
        let Some(adversary) = &mut member.adversary else { return Vec::new() };
        let mut moment = Moment {
            clock,
            node: &member.node,
            key: &key(number),
            coalition: &mut self.coalition,
            random: &mut self.random,
        };
        act(adversary.as_mut(), &mut moment)
    }

    pub(super) fn input(&mut self, number: usize, input: Input) {
        for effect in self.act(number, |adversary, at| adversary.overhear(&input, at)) {
            self.carry_out(number, effect);
        }
        let clock = self.clock();
        self.members[number].node.handle(input, clock);
        self.drain(number);
    }

    fn drain(&mut self, number: usize) {
        while let Some(effect) = self.members[number].node.poll_effect() {
            if self.members[number].adversary.is_some() {
                self.note(number, &effect);
                for effect in self.act(number, |adversary, at| adversary.effect(effect, at)) {
                    self.carry_out(number, effect);
                }
            } else {
                self.note(number, &effect);
                self.carry_out(number, effect);
            }
        }
    }

    fn note(&mut self, number: usize, effect: &Effect) {
        let member = &mut self.members[number];
        let told = &mut member.told;
        match effect {
            Effect::Decided { decided, applied, proof, .. } => {
                told.decided.insert(applied.height, decided.value());
                let payloads = decided.block().into_iter().flat_map(|block| &block.transactions);
                told.evidence +=
                    payloads.filter(|one| matches!(one.request.payload, Payload::Evidence(_))).count();
                if let Some(proof) = proof {
                    let proved = ProvedHeight { decided: decided.as_ref().clone(), proof: proof.clone() };
                    member.heights.insert(applied.height, proved);
                }
            }
            Effect::Proved { height, proof } => {
                let signatures = |proof: &Proof| proof.signatures().len();
                if let Some(proved) = member.heights.get_mut(height)
                    && signatures(&proved.proof) < signatures(proof)
                {
                    proved.proof = proof.clone();
                }
            }
            Effect::RolledBack { height, .. } => {
                let undone = told.decided.split_off(height);
                told.reverted.extend(undone);
                member.heights.split_off(height);
            }
            Effect::Tell(Notice::PeerPenalized { peer, reason, .. }) => {
                told.blamed.push((index(peer), reason.clone()));
            }
            Effect::Tell(Notice::Misbehaved { validator, .. }) => {
                let liar = (0..self.adversaries).find(|liar| key(*liar).public() == *validator);
                told.misbehaved.insert(liar.unwrap_or(usize::MAX));
            }
            Effect::Tell(Notice::Failed(reason)) => told.failed = Some(reason.clone()),
            Effect::Tell(Notice::PeerLost(_)) => told.lost += 1,
            _ => {}
        }
    }

    // --- The network -------------------------------------------------------------------------------------------

    fn deliver(&mut self, from: usize, to: usize, input: Input) {
        let most = DELTA.as_micros() as u64 / 10;
        let delay = most / 5 + self.random.next_u64() % (most * 4 / 5);
        let at = Time(self.now.0 + delay).max(self.last.get(&(from, to)).copied().unwrap_or_default());
        self.last.insert((from, to), at);
        self.count += 1;
        self.queue.insert((at, self.count), (to, input));
    }

    fn carry_out(&mut self, from: usize, effect: Effect) {
        match effect {
            Effect::Send { peer: to, channel, bytes, .. } => {
                if from < self.adversaries {
                    self.left.push((self.now, to, channel, bytes.to_vec()));
                }
                if self.members[from].open.contains(&index(&to)) {
                    self.deliver(from, index(&to), Input::Frame(peer(from), channel, bytes.to_vec()));
                }
            }
            Effect::OpenChannels(to) => {
                self.members[from].open.insert(index(&to));
            }
            Effect::CloseChannels(to) => {
                self.members[from].open.remove(&index(&to));
            }
            Effect::Request { peer: to, protocol, number, bytes } => {
                self.count += 1;
                let id = self.count;
                self.requests.insert(id, (from, number));
                let request = Input::Request { peer: peer(from), protocol, number: id, bytes };
                self.deliver(from, index(&to), request);
            }
            Effect::Respond { protocol, number, bytes, .. } => {
                if let Some((asker, number)) = self.requests.remove(&number) {
                    let answer = Input::Response { peer: peer(from), protocol, number, bytes };
                    self.deliver(from, asker, answer);
                }
            }
            Effect::Ignore { number } => {
                if let Some((asker, number)) = self.requests.remove(&number) {
                    let failed = Input::RequestFailed { peer: peer(from), protocol: Protocol::Sync, number };
                    self.deliver(from, asker, failed);
                }
            }
            Effect::CloseConnection { peer: to, connection, .. } => {
                let other = index(&to);
                let between = |node: usize, input: &Input| {
                    let Input::Frame(by, ..) = input else { return false };
                    [(from, other), (other, from)].contains(&(node, index(by)))
                };
                self.queue.retain(|_, (node, input)| !between(*node, input));
                let closed =
                    |to: usize| Input::Handshake(Command::ConnectionClosed { peer: peer(to), connection });
                self.deliver(from, other, closed(from));
                self.deliver(other, from, closed(other));
            }
            Effect::Lookup { token, request } => {
                let heights = &self.members[from].heights;
                let response = sync::respond(request, |height| heights.get(&height).cloned());
                self.deliver(from, from, Input::LookedUp { token, response });
            }
            _ => {}
        }
    }

    fn next(&self) -> Option<(Time, Option<usize>)> {
        let delivery = self.queue.first_key_value().map(|((at, _), _)| (*at, None));
        let timeouts = self.members.iter().enumerate().filter_map(|(number, member)| {
            let adversary = member.adversary.as_ref().and_then(|adversary| adversary.poll_timeout());
            let due = [member.node.poll_timeout(), adversary].into_iter().flatten().min()?;
            Some((due, Some(number)))
        });
        timeouts.chain(delivery).min()
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((due, timeout)) = self.next().filter(|(due, _)| *due <= end) {
            self.now = due.max(self.now);
            match timeout {
                Some(number) => self.timeout(number),
                None => {
                    if let Some((_, (to, input))) = self.queue.pop_first() {
                        self.arrive(to, input);
                    }
                }
            }
        }
        self.now = end;
    }

    /// A frame waits until the receiver has opened its side of the channel.
    fn arrive(&mut self, to: usize, input: Input) {
        match &input {
            Input::Frame(from, ..) if !self.members[to].open.contains(&index(from)) => {
                if self.members[index(from)].open.contains(&to) {
                    let (at, from) = (self.now + DELTA / 20, index(from));
                    self.count += 1;
                    self.queue.insert((at, self.count), (to, input));
                    let last = self.last.entry((from, to)).or_default();
                    *last = at.max(*last);
                }
            }
            _ => self.input(to, input),
        }
    }

    fn timeout(&mut self, number: usize) {
        let now = self.now;
        let is_due = |due: Option<Time>| due.is_some_and(|due| due <= now);
        if is_due(self.members[number].node.poll_timeout()) {
            let clock = self.clock();
            self.members[number].node.handle_timeout(clock);
            self.drain(number);
        }
        if is_due(self.members[number].adversary.as_ref().and_then(|adversary| adversary.poll_timeout())) {
            for effect in self.act(number, |adversary, at| adversary.handle_timeout(at)) {
                self.carry_out(number, effect);
            }
            let next = self.members[number].adversary.as_ref().and_then(|adversary| adversary.poll_timeout());
            assert!(next.is_none_or(|next| next > now), "seed {}: deadlines move on", self.seed);
        }
    }

    // --- What is said of it ------------------------------------------------------------------------------------

    /// What left the adversaries over the consensus channel and is a message.
    pub(super) fn said(&self) -> Vec<(Time, Peer, Message)> {
        let of_consensus = self.left.iter().filter(|(_, _, channel, _)| *channel == Channel::Consensus);
        of_consensus
            .filter_map(|(at, to, _, bytes)| {
                Some((*at, *to, conclave_ledger::codec::decode(bytes, usize::MAX).ok()?))
            })
            .collect()
    }

    /// Blocks that the adversaries sent bodies of.
    pub(super) fn bodies(&self) -> BTreeSet<BlockHash> {
        let bodies = self.said().into_iter().filter_map(|(_, _, message)| match message {
            Message::Block(block) => Some(block.hash()),
            _ => None,
        });
        bodies.collect()
    }

    /// Honest nodes agree on what they have decided, went back from nothing, failed at nothing, and blame no honest node.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut values: BTreeMap<Height, Value> = BTreeMap::new();
        for (number, told) in self.honest() {
            if let Some(reason) = &told.failed {
                return Err(format!("node {number} failed: {reason}"));
            }
            if let Some((height, value)) = told.reverted.first_key_value() {
                return Err(format!("node {number} went back from {value} at height {height}"));
            }
            if let Some((honest, reason)) = told.blamed.iter().find(|(by, _)| *by >= self.adversaries) {
                return Err(format!("node {number} blames the honest node {honest}: {reason}"));
            }
            if told.misbehaved.contains(&usize::MAX) {
                return Err(format!("node {number} accuses an honest validator"));
            }
            for (height, value) in &told.decided {
                let known = values.entry(*height).or_insert(*value);
                if known != value {
                    return Err(format!("height {height}: {known} and {value}"));
                }
            }
        }
        Ok(())
    }

    /// The lowest height that all honest nodes have decided.
    pub(super) fn height(&self) -> Height {
        let last = |told: &Told| told.decided.last_key_value().map_or(0, |(height, _)| *height);
        self.honest().map(|(_, told)| last(told)).min().unwrap_or(0)
    }
}
