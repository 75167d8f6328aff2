//! The whole logic of a node, [`conclave_protocol::node`], under inputs of any kind and order.
//!
//! The other nodes can be honest for a while: they finish handshakes, do the work for their admission, propose blocks
//! that the node's own chain finds valid, and vote for them, so that the runs get to where transactions are decided.
//! Between that they send whatever the bytes say, over every channel and protocol. The laws are those of machines.

use crate::{
    draw::{self, below, chance},
    laws::MAX_OUTPUTS,
    world,
};
use arbitrary::Unstructured;
use conclave_ledger::{
    applications::Payload,
    block::{Block, Decided},
    chain::Chain,
    codec,
    hash::Hash,
    keys::SecretKey,
    pool::PoolLimits,
    proof::Proof,
    signed::{Height, Kind, SignatureSet, Value},
    transaction::{Request, SharedTransaction, Transaction, find_stamp},
};
use conclave_protocol::{
    admission::{self, Purpose, Puzzle},
    announcements::{self, Announcement, ModuleId},
    consensus::Message,
    dissemination, handshake,
    handshake::{Binding, Direction, Hello, Role},
    known_peers::{SavedPeers, Source},
    node::{Channel, Clock, Config, Effect, Input, LogRecord, Node, Protocol, Restored, meeting},
    peer::Peer,
    peer_exchange,
    rules::Rules,
    sync,
    time::Time,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hasher},
    sync::Arc,
    time::Duration,
};

/// The node under test. Nobody else has its keys.
const OWN: usize = 1;

/// Most inputs of a run; each can be a whole handshake.
const MAX_STEPS: usize = 120;

/// Most transactions in the pool.
const POOL: usize = 8;

const PROTOCOLS: [Protocol; 4] = [Protocol::Handshake, Protocol::Sync, Protocol::Admission, Protocol::Peers];

/// Runs a node twice over the same bytes.
pub fn node(bytes: &[u8]) {
    let (first, second) = (Run::over(bytes), Run::over(bytes));
    let differs = first.iter().zip(&second).position(|(first, second)| first != second);
    assert!(
        differs.is_none() && first.len() == second.len(),
        "the same inputs gave other effects at step {differs:?}"
    );
}

struct Run {
    node: Node,
    now: Time,
    /// Connections that are there, one for each peer.
    connections: BTreeMap<Peer, u64>,
    open: BTreeSet<(Peer, Channel)>,
    challenges: BTreeMap<Peer, Hash>,
    /// Work that peers owe the node.
    owed: BTreeMap<Peer, Puzzle>,
    /// Requests of the node without an answer.
    asked: Vec<(Peer, Protocol, u64, Vec<u8>)>,
    lookups: Vec<(u64, sync::Request)>,
    searches: Vec<(u64, Puzzle)>,
    /// What storage would hold.
    decided: BTreeMap<Height, (Decided, Option<Proof>)>,
    log: Vec<LogRecord>,
    next: u64,
    hasher: DefaultHasher,
}

fn role(number: usize) -> Role {
    match number < world::VALIDATORS {
        true => Role::Validator(world::validator_key(number).public()),
        false => Role::Observer(world::node_key(number).public()),
    }
}

fn role_key(number: usize) -> SecretKey {
    if number < world::VALIDATORS { world::validator_key(number) } else { world::node_key(number) }
}

/// Another node: number and identifier.
fn any_node(source: &mut Unstructured<'_>) -> (usize, Peer) {
    let number = [0, 2, 3, 4, 5, 6][below(source, 6)];
    (number, world::peer(number))
}

fn config(source: &mut Unstructured<'_>) -> Config {
    Config {
        peer: world::peer(OWN),
        node_key: world::node_key(OWN),
        validator_key: (!chance(source, 64)).then(|| world::validator_key(OWN)),
        version: "fuzzed".into(),
        meeting: meeting::Config {
            admission_bits: world::BITS,
            max_observers: 2,
            ..meeting::Config::default()
        },
        pool: PoolLimits { transactions: POOL, bytes: 64 << 10, per_sender: 4 },
        announcements: announcements::Config::default(),
        seed: [source.arbitrary().unwrap_or(0); 32],
        rules: Rules::default(),
    }
}

impl Run {
    fn over(bytes: &[u8]) -> Vec<u64> {
        let mut source = Unstructured::new(bytes);
        let restored = Restored {
            chain: Chain::new(world::GENESIS.clone()),
            proofs: BTreeMap::new(),
            log: Vec::new(),
            known_peers: SavedPeers::default(),
        };
        let clock = Clock { time: Time(0), unix_ms: world::GENESIS.created_ms };
        let node =
            Node::new(config(&mut source), restored, clock).expect("a chain at its start fits an empty log");
        let mut run = Self {
            node,
            now: Time(0),
            connections: BTreeMap::new(),
            open: BTreeSet::new(),
            challenges: BTreeMap::new(),
            owed: BTreeMap::new(),
            asked: Vec::new(),
            lookups: Vec::new(),
            searches: Vec::new(),
            decided: BTreeMap::new(),
            log: Vec::new(),
            next: 0,
            hasher: DefaultHasher::new(),
        };
        run.drain();
        let mut trace = Vec::new();
        for _ in 0..MAX_STEPS {
            if source.is_empty() {
                break;
            }
            run.step(&mut source);
            assert!(
                run.node.pool().len() <= POOL,
                "{} transactions in a pool for {POOL}",
                run.node.pool().len()
            );
            trace.push(run.hasher.finish());
        }
        run.restore(&mut source);
        trace.push(run.hasher.finish());
        trace
    }

    fn clock(&self) -> Clock {
        Clock { time: self.now, unix_ms: world::GENESIS.created_ms + self.now.0 / 1000 }
    }

    fn step(&mut self, source: &mut Unstructured<'_>) {
        match below(source, 32) {
            0..3 => {
                let due = self.node.poll_timeout().filter(|_| !chance(source, 32));
                let pause = Duration::from_millis(below(source, 2000) as u64);
                self.now = due.map_or(self.now + pause, |due| due.max(self.now));
                self.time_out();
            }
            3 => {
                let hours = if chance(source, 32) { 3600 } else { 1 };
                self.now = self.now + Duration::from_secs(hours * below(source, 100) as u64);
            }
            4..8 => {
                let (number, peer) = any_node(source);
                if !self.connections.contains_key(&peer) {
                    self.shake_hands(source, number);
                }
            }
            8..10 => self.work(),
            10..15 => self.vote(source),
            15..17 => self.submit(source),
            17 => self.disconnect(source),
            18..21 => self.frame(source),
            21..23 => self.request(source),
            23..27 => self.respond(source),
            27 => self.local(source),
            28 => self.announce(source),
            _ => self.stranger(source),
        }
    }

    fn time_out(&mut self) {
        let (clock, due) = (self.clock(), self.node.poll_timeout());
        self.node.handle_timeout(clock);
        let wanted = self.drain();
        let next = self.node.poll_timeout();
        assert!(next.is_none_or(|next| next > self.now), "the deadline {next:?} is not after {:?}", self.now);
        if due.is_none_or(|due| due > self.now) {
            assert_eq!((due, wanted), (next, 0), "a timeout that was not due did something");
        }
    }

    fn give(&mut self, input: Input) {
        self.node.handle(input, self.clock());
        self.drain();
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    // --- What comes out --------------------------------------------------------------------------------------

    fn drain(&mut self) -> usize {
        let mut count = 0;
        while let Some(effect) = self.node.poll_effect() {
            count += 1;
            assert!(count <= MAX_OUTPUTS, "one input leads to more than {MAX_OUTPUTS} effects");
            self.hasher.write(format!("{effect:?}").as_bytes());
            self.heed(effect);
        }
        count
    }

    fn heed(&mut self, effect: Effect) {
        match effect {
            Effect::Append(record) => {
                let bytes = record.encode();
                assert_eq!(LogRecord::decode(&bytes).as_ref(), Ok(&record), "what is logged reads back");
                self.log.push(record);
            }
            Effect::Request { peer, protocol, number, bytes } => {
                if let Ok(handshake::Request::Hello(hello)) = codec::decode(&bytes, bytes.len()) {
                    self.challenges.insert(peer, hello.challenge);
                }
                if let Ok(admission::Request::Challenge { nonce, bits }) = codec::decode(&bytes, bytes.len())
                {
                    let (purpose, network, verifier) =
                        (Purpose::Admission, world::network(), world::peer(OWN));
                    self.owed.insert(peer, Puzzle { purpose, network, verifier, prover: peer, nonce, bits });
                }
                self.asked.push((peer, protocol, number, bytes));
            }
            Effect::Respond { peer, protocol: Protocol::Handshake, bytes, .. } => {
                if let Ok(handshake::Response::Hello(hello)) = codec::decode(&bytes, bytes.len()) {
                    self.challenges.insert(peer, hello.challenge);
                }
            }
            Effect::Send { bytes, .. } => {
                let limit = self.node.consensus_frame_limit().max(dissemination::MAX_MESSAGE_BYTES);
                assert!(bytes.len() <= limit, "a frame of {} bytes", bytes.len());
            }
            Effect::Lookup { token, request } => self.lookups.push((token, request)),
            Effect::Solve { ticket, puzzle } => self.searches.push((ticket, puzzle)),
            Effect::CancelSolve(ticket) => self.searches.retain(|(search, _)| *search != ticket),
            Effect::Decided { decided, proof, .. } => {
                let height = decided.height();
                assert!(!self.decided.contains_key(&height), "height {height} is decided twice");
                self.decided.insert(height, (Decided::clone(&decided), proof));
            }
            Effect::Proved { height, proof } => {
                if let Some((_, known)) = self.decided.get_mut(&height) {
                    *known = Some(proof);
                }
            }
            Effect::RolledBack { height, .. } => drop(self.decided.split_off(&height)),
            Effect::CloseConnection { peer, connection, .. }
                if self.connections.get(&peer) == Some(&connection) =>
            {
                self.connections.remove(&peer);
                self.open.retain(|(of, _)| *of != peer);
                let command = handshake::Command::ConnectionClosed { peer, connection };
                // Later, as the swarm would; the effects of that are drained with those of now.
                self.node.handle(Input::Handshake(command), self.clock());
            }
            Effect::CloseChannels(peer) => self.open.retain(|(of, _)| *of != peer),
            _ => {}
        }
    }

    /// A node that has crashed comes back from its log, to the same chain.
    fn restore(&mut self, source: &mut Unstructured<'_>) {
        let restored = Restored {
            chain: Chain::new(world::GENESIS.clone()),
            proofs: BTreeMap::new(),
            log: std::mem::take(&mut self.log),
            known_peers: self.node.known_peers().saved(),
        };
        let (before, clock) = (self.node.chain().tip().clone(), self.clock());
        let config = Config { seed: [9; 32], ..config(source) };
        match Node::new(config, restored, clock) {
            Ok(node) => assert_eq!(*node.chain().tip(), before, "the log leads elsewhere"),
            Err(error) => panic!("the node does not read its own log: {error}"),
        }
    }

    // --- What honest nodes do --------------------------------------------------------------------------------

    /// A connection, the handshake over it, and its channels.
    fn shake_hands(&mut self, source: &mut Unstructured<'_>, number: usize) {
        let (peer, connection) = (world::peer(number), self.number());
        let address = format!("/ip4/192.{number}.2.7/tcp/7700");
        self.give(Input::RemoteAddress { peer, address });
        self.connections.insert(peer, connection);
        let direction = if chance(source, 64) { Direction::Dialled } else { Direction::Accepted };
        let command =
            handshake::Command::ConnectionEstablished { peer, connection, direction, address: None };
        self.give(Input::Handshake(command));
        let record = chance(source, 128)
            .then(|| conclave_ledger::bytes::Bytes(world::peer_record(number, 1).envelope().to_vec()));
        let hello = Hello {
            network: world::network(),
            role: role(number),
            version: "other".into(),
            height: if chance(source, 32) { draw::number(source, &world::KNOWN) } else { 0 },
            record,
            challenge: Hash([7; 32]),
        };
        if direction == Direction::Dialled {
            self.answer_handshake(peer, handshake::Response::Hello(hello));
            let signature = self.proof(number);
            self.answer_handshake(peer, handshake::Response::Proof { signature });
            self.answer_handshake(peer, handshake::Response::Done);
        } else {
            self.ask(peer, Protocol::Handshake, &handshake::Request::Hello(hello));
            let signature = self.proof(number);
            self.ask(peer, Protocol::Handshake, &handshake::Request::Proof { signature });
            self.ask(peer, Protocol::Handshake, &handshake::Request::Done);
        }
        for channel in [Channel::Consensus, Channel::Transactions] {
            if self.node.peers().contains_key(&peer) && !chance(source, 16) {
                self.open.insert((peer, channel));
                self.give(Input::ChannelOpened(peer, channel));
            }
        }
    }

    fn proof(&self, number: usize) -> conclave_ledger::keys::Signature {
        let challenge = self.challenges.get(&world::peer(number)).copied().unwrap_or(Hash::ZERO);
        let (network, prover, verifier, role) =
            (world::network(), world::peer(number), world::peer(OWN), role(number));
        Binding { network, challenge, prover, verifier, role }.sign(&role_key(number))
    }

    fn ask(&mut self, peer: Peer, protocol: Protocol, request: &impl serde::Serialize) {
        let (number, bytes) = (self.number(), codec::encode(request));
        self.give(Input::Request { peer, protocol, number, bytes });
    }

    fn answer_handshake(&mut self, peer: Peer, response: handshake::Response) {
        let asked =
            self.asked.iter().position(|(of, protocol, ..)| *of == peer && *protocol == Protocol::Handshake);
        if let Some(asked) = asked {
            let (peer, protocol, number, _) = self.asked.swap_remove(asked);
            self.give(Input::Response { peer, protocol, number, bytes: codec::encode(&response) });
        }
    }

    /// Everybody does the work that is due.
    fn work(&mut self) {
        for (peer, puzzle) in std::mem::take(&mut self.owed) {
            let solution = puzzle.search().attempt(0, 1 << 12).unwrap_or(0);
            self.ask(
                peer,
                Protocol::Admission,
                &admission::Request::Solution { nonce: puzzle.nonce, solution },
            );
        }
        for (ticket, puzzle) in std::mem::take(&mut self.searches) {
            let solution = if puzzle.bits > 8 { 0 } else { puzzle.search().attempt(0, 1 << 12).unwrap_or(0) };
            self.give(Input::Solved { ticket, solution });
        }
    }

    /// What the others say of the open height: a block that is valid, and their signatures.
    fn vote(&mut self, source: &mut Unstructured<'_>) {
        let Some(message) = self.truth(source) else { return };
        let from = [0, 2, 3][below(source, 3)];
        self.send(world::peer(from), Channel::Consensus, codec::encode(&message));
    }

    /// A block for the next height by its leader, unless that is the node itself.
    fn proposal(&self, timestamp: u64) -> Option<Block> {
        let chain = self.node.chain();
        let leader = chain.leader();
        let proofs = chain.unproven().map(|(height, value)| {
            // As this network's liars can sign anything, so can they prove it.
            Proof::Certificate(world::signatures(height, Kind::Vote, value, &[0, 2, 3]))
        });
        let proposed = (leader != world::validator_key(OWN).public())
            .then(|| chain.propose(leader, timestamp, proofs.collect(), self.node.pool().iter()));
        proposed.flatten().map(|(block, _)| block)
    }

    fn truth(&self, source: &mut Unstructured<'_>) -> Option<Message> {
        let chain = self.node.chain();
        let height =
            if chance(source, 32) { draw::number(source, &world::KNOWN) } else { chain.next_height() };
        let block = self.proposal(self.clock().unix_ms + below(source, 2) as u64).map(Arc::new);
        let value = match (&block, chance(source, 64)) {
            (Some(block), false) => Value::Block(block.hash()),
            _ => Value::Skip,
        };
        let signers: &[usize] = [&[0, 2, 3][..], &[0, 2, 3], &[0, 2], &[3], &[]][below(source, 5)];
        let leads = |number: &usize| world::validator_key(*number).public() == chain.leader();
        let leader: Vec<usize> = (0..world::VALIDATORS).filter(leads).collect();
        let set = |kind, value, of: &[usize]| world::signatures(height, kind, value, of);
        let none = SignatureSet::default();
        Some(match (below(source, 10), block) {
            (0..2, Some(block)) => Message::Block(block),
            (2..4, Some(block)) => {
                let votes = set(Kind::Vote, value, &leader);
                Message::Chain { height, block: block.hash(), votes, endorsements: none }
            }
            (4, Some(block)) => {
                let (votes, endorsements) =
                    (set(Kind::Vote, value, signers), set(Kind::Endorse, value, &[0]));
                Message::Chain { height, block: block.hash(), votes, endorsements }
            }
            (5, Some(block)) => {
                let (votes, relays) =
                    (set(Kind::Vote, value, signers), set(Kind::RelaySupport, value, signers));
                Message::Support { height, block: block.hash(), votes, relays }
            }
            (0..6, None) => Message::Skip { height, votes: set(Kind::Vote, Value::Skip, signers) },
            (6..8, _) => {
                let relays = set(Kind::RelayCertificate, value, signers);
                Message::Certificate { height, value, votes: set(Kind::Vote, value, &[0, 2, 3]), relays }
            }
            (8, _) => Message::Settle { height, value, settles: set(Kind::Settle, value, signers) },
            _ => match below(source, 3) {
                0 => Message::Closing { height },
                1 => Message::Commit { height, value, commits: set(Kind::Commit, value, signers) },
                _ => Message::Decided { height, proofs: 0 },
            },
        })
    }

    fn transaction(&self, source: &mut Unstructured<'_>) -> Option<Transaction> {
        if chance(source, 24) {
            return draw::value(source, &world::KNOWN).ok();
        }
        let key = world::validator_key(below(source, world::NODES));
        let payload: Payload = match chance(source, 96) {
            true => Payload::Record(world::record(below(source, 250))),
            false => draw::value(source, &world::KNOWN).ok()?,
        };
        let height = self.node.chain().tip().height;
        let expires = if chance(source, 16) { draw::number(source, &world::KNOWN) } else { height + 50 };
        let request = Request { network: world::network(), sender: key.public(), expires, payload };
        let stamp = find_stamp(&request.id(), world::BITS, 0, 1 << 8).filter(|_| !chance(source, 32));
        Some(Transaction { stamp, ..request.sign(&key) })
    }

    fn submit(&mut self, source: &mut Unstructured<'_>) {
        let ticket = self.number();
        let transactions: Vec<SharedTransaction> =
            (0..1 + below(source, 3)).filter_map(|_| self.transaction(source)).map(Into::into).collect();
        if chance(source, 96) {
            let bytes = codec::encode(&dissemination::Message::Transactions(transactions));
            let (_, peer) = any_node(source);
            return self.send(peer, Channel::Transactions, bytes);
        }
        self.give(Input::Submit { ticket, transactions });
    }

    /// A frame over a channel, which the swarm brings only where it is open.
    fn send(&mut self, peer: Peer, channel: Channel, bytes: Vec<u8>) {
        if self.open.contains(&(peer, channel)) {
            self.give(Input::Frame(peer, channel, bytes));
        }
    }

    // --- What any node may do --------------------------------------------------------------------------------

    fn disconnect(&mut self, source: &mut Unstructured<'_>) {
        let (_, peer) = any_node(source);
        if chance(source, 64) {
            let channel = if chance(source, 128) { Channel::Consensus } else { Channel::Transactions };
            if self.open.remove(&(peer, channel)) {
                self.give(Input::ChannelClosed(peer, channel));
            }
            return;
        }
        if let Some(connection) = self.connections.remove(&peer) {
            for channel in [Channel::Consensus, Channel::Transactions] {
                if self.open.remove(&(peer, channel)) {
                    self.give(Input::ChannelClosed(peer, channel));
                }
            }
            self.give(Input::Handshake(handshake::Command::ConnectionClosed { peer, connection }));
        }
    }

    fn frame(&mut self, source: &mut Unstructured<'_>) {
        let (_, peer) = any_node(source);
        let (channel, bytes) = match below(source, 8) {
            0 => (Channel::Consensus, garbage(source)),
            1 => (Channel::Transactions, garbage(source)),
            2..6 => (Channel::Consensus, drawn::<Message>(source)),
            _ => (Channel::Transactions, drawn::<dissemination::Message>(source)),
        };
        self.send(peer, channel, bytes);
    }

    fn request(&mut self, source: &mut Unstructured<'_>) {
        let (_, peer) = any_node(source);
        let protocol = PROTOCOLS[below(source, PROTOCOLS.len())];
        let bytes = match protocol {
            _ if chance(source, 32) => garbage(source),
            Protocol::Handshake => drawn::<handshake::Request>(source),
            Protocol::Sync => drawn::<sync::Request>(source),
            Protocol::Admission => drawn::<admission::Request>(source),
            Protocol::Peers => drawn::<peer_exchange::Request>(source),
        };
        let number = self.number();
        if self.connections.contains_key(&peer) {
            self.give(Input::Request { peer, protocol, number, bytes });
        }
    }

    fn respond(&mut self, source: &mut Unstructured<'_>) {
        if !self.lookups.is_empty() && chance(source, 64) {
            let (token, request) = draw::take(source, &mut self.lookups);
            let response = self.look_up(&request);
            return self.give(Input::LookedUp { token, response });
        }
        if self.asked.is_empty() {
            return;
        }
        let (peer, protocol, number, request) = draw::take(source, &mut self.asked);
        if chance(source, 24) {
            return self.give(Input::RequestFailed { peer, protocol, number });
        }
        let bytes = match protocol {
            _ if chance(source, 24) => garbage(source),
            Protocol::Handshake => drawn::<handshake::Response>(source),
            Protocol::Sync => match codec::decode(&request, request.len()) {
                Ok(request) if !chance(source, 64) => codec::encode(&self.sync_answer(source, &request)),
                _ => drawn::<sync::Response>(source),
            },
            Protocol::Admission if !chance(source, 64) => codec::encode(&admission::Response::Accepted),
            Protocol::Admission => drawn::<admission::Response>(source),
            Protocol::Peers => drawn::<peer_exchange::Response>(source),
        };
        self.give(Input::Response { peer, protocol, number, bytes });
    }

    /// What the node's own storage holds.
    fn look_up(&self, request: &sync::Request) -> sync::Response {
        match request {
            sync::Request::Status { .. } => {
                sync::Response::Status { height: self.node.chain().tip().height, proofs: 0 }
            }
            sync::Request::Proofs { from, limit } => {
                let heights = self.decided.range(from..).take(*limit as usize);
                let proved = heights.filter_map(|(height, (decided, proof))| {
                    Some(sync::ProvedValue { height: *height, value: decided.value(), proof: proof.clone()? })
                });
                sync::Response::Proofs(proved.collect())
            }
            sync::Request::Blocks { from, limit } => {
                let heights = self.decided.range(from..).take(*limit as usize);
                let proved = heights.map_while(|(_, (decided, proof))| {
                    Some(sync::ProvedHeight { decided: decided.clone(), proof: proof.clone()? })
                });
                sync::Response::Blocks(proved.collect())
            }
            sync::Request::Block { height, hash } => {
                let block = self.decided.get(height).and_then(|(decided, _)| decided.block().cloned());
                sync::Response::Block(block.filter(|block| block.hash() == *hash))
            }
        }
    }

    /// What a peer that is ahead would answer: the next height, decided without this node.
    fn sync_answer(&self, source: &mut Unstructured<'_>, request: &sync::Request) -> sync::Response {
        let chain = self.node.chain();
        match request {
            sync::Request::Blocks { from, .. } if *from == chain.next_height() => {
                let decided = match self.proposal(self.clock().unix_ms) {
                    Some(block) if !chance(source, 64) => Decided::Block(block.into()),
                    _ => Decided::Skip(chain.skip()),
                };
                let signers: &[usize] = if chance(source, 24) { &[0] } else { &[0, 2, 3] };
                let proof =
                    Proof::Certificate(world::signatures(*from, Kind::Vote, decided.value(), signers));
                sync::Response::Blocks(vec![sync::ProvedHeight { decided, proof }])
            }
            sync::Request::Status { .. } => sync::Response::Status {
                height: draw::number(source, &world::KNOWN),
                proofs: draw::number(source, &world::KNOWN),
            },
            other => self.look_up(other),
        }
    }

    /// What finders, the swarm and the operator tell.
    fn local(&mut self, source: &mut Unstructured<'_>) {
        let (number, peer) = any_node(source);
        let address = format!("/ip4/192.{number}.2.7/tcp/{}", below(source, 3));
        let input = match below(source, 8) {
            0..2 => {
                let source_of = draw::one_of(source, &Source::ALL).copied().unwrap_or(Source::Tracker);
                let by = chance(source, 128).then(|| any_node(source).1);
                Input::Found { peer, addresses: vec![address], source: source_of, by }
            }
            2 => Input::DialFailed(peer),
            3 => Input::OwnAddresses(
                (0..below(source, 20)).map(|byte| vec![4, 10, 0, 0, byte as u8]).collect(),
            ),
            4 => {
                let peer = chance(source, 128).then_some(peer);
                Input::Handshake(handshake::Command::AddAddress { peer, address })
            }
            5 => Input::Handshake(handshake::Command::DialFailed { address }),
            6 if chance(source, 16) => Input::Handshake(handshake::Command::Leave),
            _ => Input::Module(match below(source, 4) {
                0 => announcements::Command::Notify { module: ModuleId(1), data_type: 1 },
                1 => {
                    let (module, ttl, data_type) =
                        (ModuleId(1), below(source, 3) as u8, below(source, 2) as u16);
                    announcements::Command::Announce {
                        module,
                        ttl,
                        data_type,
                        data: vec![1; below(source, 4)],
                    }
                }
                2 => announcements::Command::Validate { module: ModuleId(1), notification: 0, valid: true },
                _ => announcements::Command::Left(ModuleId(1)),
            }),
        };
        self.give(input);
    }

    fn announce(&mut self, source: &mut Unstructured<'_>) {
        let (_, peer) = any_node(source);
        let ttl = below(source, 3) as u8;
        let data = conclave_ledger::bytes::Bytes(vec![below(source, 3) as u8; below(source, 3)]);
        let bytes = Announcement { ttl, data_type: 1, data }.encode();
        let id = Hash::of("fuzz/message", &[&bytes]);
        self.give(Input::Announcement(peer, announcements::Message::Copy { id, bytes: bytes.len() }));
        let (origin, per_origin) = (peer, ttl > 0);
        let first = announcements::Message::First { id, origin, data_type: 1, per_origin, bytes };
        self.give(Input::Announcement(peer, first));
    }

    /// What peers do below the level of messages, and before their handshake is done.
    fn stranger(&mut self, source: &mut Unstructured<'_>) {
        let (number, peer) = any_node(source);
        let channel = if chance(source, 128) { Channel::Consensus } else { Channel::Transactions };
        match below(source, 8) {
            0 => self.give(Input::Malformed(peer, "no frame".into())),
            1 => self.give(Input::ChannelEarly(peer, channel)),
            2 => self.give(Input::Frame(peer, channel, garbage(source))),
            3 if self.node.peers().contains_key(&peer) => {
                self.open.insert((peer, channel));
                self.give(Input::ChannelOpened(peer, channel));
            }
            4..6 if !self.connections.contains_key(&peer) => {
                let connection = self.number();
                self.connections.insert(peer, connection);
                let direction = Direction::Accepted;
                let command =
                    handshake::Command::ConnectionEstablished { peer, connection, direction, address: None };
                self.give(Input::Handshake(command));
            }
            _ => {
                let signature = self.proof(number);
                self.ask(peer, Protocol::Handshake, &handshake::Request::Proof { signature });
            }
        }
    }
}

fn drawn<T: serde::Serialize + serde::de::DeserializeOwned>(source: &mut Unstructured<'_>) -> Vec<u8> {
    draw::value::<T>(source, &world::KNOWN).map_or_else(|_| Vec::new(), |value| codec::encode(&value))
}

fn garbage(source: &mut Unstructured<'_>) -> Vec<u8> {
    let length = below(source, 32);
    source.bytes(length.min(source.len())).map_or_else(|_| Vec::new(), <[u8]>::to_vec)
}
