//! A network of chains with their machines, whose messages arrive in the order in which they were sent.

use crate::{
    machine::{Input, Machine, Output},
    mining::{Command, Config, Event, Message, Mining, Request, respond, short_id},
    peer::Peer,
    penalty::Severity,
    time::Time,
};
use conclave_ledger::{
    applications::{Payload, records::Record},
    block::Block,
    bytes::Bytes,
    chain::{Chain, NothingKnown},
    genesis::{Engine, FORMAT, Genesis, Limits},
    keys::{PublicKey, SecretKey},
    pool::{Pool, PoolLimits},
    proof_of_work::{Nonce, NotReorganised, Parameters, SealSearch, reorganise},
    transaction::{Request as Asked, SharedTransaction},
    validators::FaultBound,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

pub(super) const NOW: u64 = 1_700_000_000_000;

pub(super) fn peer(number: usize) -> Peer {
    Peer::from_bytes(&[number as u8]).unwrap()
}

pub(super) fn number_of(peer: &Peer) -> usize {
    usize::from(peer.as_bytes()[0])
}

pub(super) fn at(ms: u64) -> Time {
    Time::after_start(Duration::from_millis(ms))
}

pub(super) fn parameters() -> Parameters {
    Parameters {
        leading_zero_bits: 1,
        block_interval_ms: 1_000,
        half_life_ms: 600_000,
        mine_empty: true,
        depth: 2,
    }
}

pub(super) fn genesis() -> Arc<Genesis> {
    Arc::new(Genesis {
        format: FORMAT,
        name: "mined".into(),
        engine: Engine::ProofOfWork,
        fast: true,
        faulty: FaultBound::Third,
        delta_ms: 100,
        created_ms: NOW,
        stamp_bits: 0,
        proof_of_work: Some(parameters()),
        limits: Limits::default(),
        validators: Vec::new(),
        senders: vec![SecretKey::from_seed([50; 32]).public()],
        records: Vec::new(),
    })
}

pub(super) fn record(text: &str) -> SharedTransaction {
    let key = SecretKey::from_seed([50; 32]);
    let payload = Payload::Record(Record { kind: "note".into(), data: Bytes(text.into()) });
    Asked { network: genesis().network_id(), sender: key.public(), expires: 1_000, payload }.sign(&key).into()
}

/// Gives a block the nonce that its target asks for.
pub(super) fn seal(block: &mut Block) {
    let nonce = SealSearch::new(&block.header).unwrap().find(0, u64::MAX).unwrap();
    block.header.work.as_mut().unwrap().nonce = Nonce(nonce.to_be_bytes());
}

/// The next block of a chain.
pub(super) fn mine(chain: &Chain, miner: u8, transactions: &[SharedTransaction]) -> Arc<Block> {
    let now = chain.tip().timestamp + 1_000;
    let mut block = chain.template(PublicKey([miner; 32]), now, false, transactions).unwrap();
    seal(&mut block);
    Arc::new(block)
}

/// One node.
pub(super) struct Host {
    pub(super) chain: Chain,
    pub(super) mining: Mining,
    pub(super) pool: Pool,
    /// The blocks of the chain, by height, as storage has them.
    pub(super) stored: BTreeMap<u64, Arc<Block>>,
    pub(super) blamed: Vec<(usize, Severity, String)>,
    pub(super) refused: Vec<&'static str>,
    pub(super) diverged: Vec<usize>,
}

impl Host {
    pub(super) fn new() -> Self {
        let chain = Chain::new(genesis());
        let mining = Mining::new(Config::for_delta(Duration::from_millis(100)), &chain).unwrap();
        Self {
            chain,
            mining,
            pool: Pool::new(PoolLimits::default()),
            stored: BTreeMap::new(),
            blamed: Vec::new(),
            refused: Vec::new(),
            diverged: Vec::new(),
        }
    }

    fn adopt(&mut self, branch: &conclave_ledger::proof_of_work::Branch) -> Command {
        match reorganise(&mut self.chain, branch.fork, &branch.blocks, &NothingKnown) {
            Ok(done) => {
                self.stored.split_off(&(branch.fork + 1));
                for (block, applied) in done.adopted {
                    applied.transactions.iter().for_each(|id| drop(self.pool.remove(id)));
                    self.stored.insert(block.header.height, block);
                }
                let undone = done.undone.iter().flat_map(|block| block.transactions.clone());
                self.pool.readmit(undone, &self.chain, NOW);
                Command::Adopted
            }
            Err(NotReorganised::Invalid { hash, error, .. }) => {
                Command::Refused(Some((hash, error.name(), error.to_string())))
            }
            Err(NotReorganised::TooDeep(_)) => Command::Refused(None),
        }
    }

    /// Carries out what the machine wants of its own node; what it sends is returned.
    pub(super) fn settle(&mut self, now: Time) -> Vec<(usize, Message)> {
        let mut sent = Vec::new();
        while let Some(output) = self.mining.poll_output() {
            let command = match output {
                Output::Send(to, message) => {
                    sent.push((number_of(&to), message));
                    continue;
                }
                Output::Penalize(peer, penalty) => {
                    self.blamed.push((number_of(&peer), penalty.severity, penalty.reason));
                    continue;
                }
                Output::Emit(Event::Adopt(branch)) => self.adopt(&branch),
                Output::Emit(Event::Reconstruct { block, short_ids }) => {
                    let find =
                        |id: &u64| self.pool.iter().find(|waits| short_id(&block, waits) == *id).cloned();
                    Command::Reconstructed { block, transactions: short_ids.iter().map(find).collect() }
                }
                Output::Emit(Event::Lookup { token, request }) => {
                    let response = respond(&request, |height| self.stored.get(&height).cloned());
                    Command::Found { token, response }
                }
                Output::Emit(Event::Refused(rule)) => {
                    self.refused.push(rule);
                    continue;
                }
                Output::Emit(Event::Diverged(peer)) => {
                    self.diverged.push(number_of(&peer));
                    continue;
                }
                Output::Emit(Event::Behind { .. }) => continue,
            };
            self.mining.handle(Input::Command(command), now);
        }
        sent
    }
}

/// Several nodes and who is connected to whom.
pub(super) struct Lab {
    pub(super) hosts: Vec<Host>,
    pub(super) now: Time,
    links: BTreeSet<(usize, usize)>,
    on_the_way: VecDeque<(usize, usize, Message)>,
    /// What was carried: the announcements and requests, by kind.
    pub(super) carried: BTreeMap<&'static str, usize>,
}

fn kind(message: &Message) -> &'static str {
    match message {
        Message::Announce(_) => "announce",
        Message::Request { request: Request::Headers(_), .. } => "headers",
        Message::Request { request: Request::Blocks(_), .. } => "blocks",
        Message::Request { request: Request::Transactions { .. }, .. } => "transactions",
        Message::Response { .. } => "response",
    }
}

impl Lab {
    pub(super) fn new(hosts: usize) -> Self {
        Self {
            hosts: (0..hosts).map(|_| Host::new()).collect(),
            now: at(0),
            links: BTreeSet::new(),
            on_the_way: VecDeque::new(),
            carried: BTreeMap::new(),
        }
    }

    pub(super) fn connect(&mut self, one: usize, other: usize) {
        for (from, to) in [(one, other), (other, one)] {
            self.links.insert((from, to));
            self.hosts[from].mining.handle(Input::Connected(peer(to)), self.now);
        }
        self.carry();
    }

    pub(super) fn connect_all(&mut self) {
        for one in 0..self.hosts.len() {
            for other in 0..one {
                self.connect(one, other);
            }
        }
    }

    pub(super) fn cut(&mut self, one: usize, other: usize) {
        for (from, to) in [(one, other), (other, one)] {
            self.links.remove(&(from, to));
            self.hosts[from].mining.handle(Input::Disconnected(peer(to)), self.now);
        }
        self.carry();
    }

    /// Lets a host mine a block of what waits in its pool.
    pub(super) fn mine(&mut self, number: usize) -> Arc<Block> {
        let host = &mut self.hosts[number];
        let waiting: Vec<SharedTransaction> = host.pool.iter().cloned().collect();
        let block = mine(&host.chain, number as u8, &waiting);
        host.mining.handle(Input::Command(Command::Mined(block.clone())), self.now);
        self.carry();
        block
    }

    /// Puts a transaction into the pools of some hosts.
    pub(super) fn submit(&mut self, transaction: &SharedTransaction, to: &[usize]) {
        for number in to {
            let host = &mut self.hosts[*number];
            host.pool.admit(transaction.clone(), &host.chain, NOW).unwrap();
        }
    }

    pub(super) fn wait(&mut self, ms: u64) {
        self.now = self.now + Duration::from_millis(ms);
        self.hosts.iter_mut().for_each(|host| host.mining.handle_timeout(self.now));
        self.carry();
    }

    /// Carries messages until none is left.
    pub(super) fn carry(&mut self) {
        loop {
            for from in 0..self.hosts.len() {
                let sent = self.hosts[from].settle(self.now);
                self.on_the_way.extend(sent.into_iter().map(|(to, message)| (from, to, message)));
            }
            let Some((from, to, message)) = self.on_the_way.pop_front() else { break };
            if self.links.contains(&(from, to)) {
                *self.carried.entry(kind(&message)).or_default() += 1;
                self.hosts[to].mining.handle(Input::Received(peer(from), message), self.now);
            }
        }
    }

    pub(super) fn heights(&self) -> Vec<u64> {
        self.hosts.iter().map(|host| host.chain.tip().height).collect()
    }

    /// All hosts are on one chain, and nobody is blamed.
    pub(super) fn assert_agreement(&self) {
        let first = &self.hosts[0].chain;
        for host in &self.hosts {
            assert_eq!((host.chain.tip(), host.chain.state_hash()), (first.tip(), first.state_hash()));
            assert_eq!(host.mining.tree().tip(), &host.chain.position().unwrap());
            assert_eq!(host.blamed, []);
        }
    }
}
