//! Whole networks in virtual time, by seed: honest machines, crashes, clean cuts, and validators that run as twins
//! (two correct machines with one key, each talking to some of the others), which is how a correct-looking node
//! equivocates in every way at once.

use super::lab::{DELTA, block, config, key, peer, set};
use crate::{
    consensus::{Command, Consensus, Event, Message, SignedRecord, Verdict},
    machine::{Input, Machine, Output},
    time::Time,
};
use conclave_ledger::{
    block::Block,
    hash::BlockHash,
    signed::{Kind, Value},
};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

struct Node {
    validator: usize,
    machine: Consensus,
    log: Vec<SignedRecord>,
    decided: Option<Value>,
    is_up: bool,
    /// Nodes that it speaks to.
    links: BTreeSet<usize>,
}

struct Network {
    nodes: Vec<Node>,
    validators: usize,
    faulty: u16,
    now: Time,
    random: ChaCha20Rng,
    /// Deliveries by time; those between two nodes keep their order.
    queue: BTreeMap<(Time, u64), (usize, usize, Message)>,
    last: BTreeMap<(usize, usize), Time>,
    sequence: u64,
    /// Whether nodes that are behind catch up from their peers, besides what consensus sends.
    syncs: bool,
    /// Every block that was built, to be pulled.
    blocks: BTreeMap<BlockHash, Arc<Block>>,
    /// Nodes on the other side of a cut.
    cut: BTreeSet<usize>,
}

impl Network {
    fn new(seed: u64, validators: usize, faulty: u16, twins: usize) -> Self {
        let mut random = ChaCha20Rng::seed_from_u64(seed);
        let mut owners: Vec<usize> = (0..validators).collect();
        owners.extend(0..twins);
        let count = owners.len();
        let nodes = owners.iter().map(|validator| Node {
            validator: *validator,
            machine: Consensus::new(config(*validator, true), Vec::new()),
            log: Vec::new(),
            decided: None,
            is_up: true,
            links: BTreeSet::new(),
        });
        let mut network = Self {
            nodes: nodes.collect(),
            validators,
            faulty,
            now: Time(0),
            queue: BTreeMap::new(),
            last: BTreeMap::new(),
            sequence: 0,
            syncs: twins == 0,
            blocks: BTreeMap::new(),
            cut: BTreeSet::new(),
            random: ChaCha20Rng::seed_from_u64(seed ^ 0xffff),
        };
        // Each honest node sees one of two twins, or both.
        for a in 0..count {
            for b in 0..a {
                let is_twin = |node: usize| network.nodes[node].validator < twins;
                let linked = !is_twin(a) && !is_twin(b) || random.next_u32() % 4 != 0;
                if network.nodes[a].validator != network.nodes[b].validator && linked {
                    network.nodes[a].links.insert(b);
                    network.nodes[b].links.insert(a);
                }
            }
        }
        (0..count).for_each(|node| network.start(node));
        // Heights are opened in time once the nodes have been connected for Δ.
        network.run_until(windows(0));
        network
    }

    fn begin(&self, height: u64) -> Command {
        Command::Begin { height, validators: set(self.validators, self.faulty), leader: key(0).public() }
    }

    /// A node begins at the height after what it has decided, as its log says.
    fn start(&mut self, node: usize) {
        let begin = self.begin(if self.nodes[node].decided.is_some() { 2 } else { 1 });
        self.input(node, Input::Command(begin));
        for other in self.nodes[node].links.clone() {
            self.join(node, other);
        }
    }

    fn join(&mut self, node: usize, other: usize) {
        let key = key(self.nodes[other].validator).public();
        self.input(node, Input::Command(Command::Joined { peer: peer(other), key }));
    }

    fn input(&mut self, node: usize, input: Input<Consensus>) {
        self.nodes[node].machine.handle(input, self.now);
        self.drain(node);
    }

    fn drain(&mut self, node: usize) {
        let mut answers = VecDeque::new();
        loop {
            while let Some(output) = self.nodes[node].machine.poll_output() {
                match output {
                    Output::Send(to, message) => self.send(node, usize::from(to.as_bytes()[0]), message),
                    Output::Penalize(by, penalty) => {
                        let liar = self.nodes[usize::from(by.as_bytes()[0])].validator;
                        panic!("node {node} blames validator {liar}: {}", penalty.reason);
                    }
                    Output::Emit(Event::Append(record)) => self.append(node, record),
                    Output::Emit(Event::Build { height }) => {
                        let block = block(height, self.nodes[node].validator, node as u64 + 1);
                        self.blocks.insert(block.hash(), block.clone());
                        answers.push_back(Command::Built { height, block: Some(block) });
                    }
                    Output::Emit(Event::Fetch { block, .. }) => {
                        answers.extend(self.blocks.get(&block).cloned().map(Command::Block));
                    }
                    Output::Emit(Event::Check { block }) => {
                        let verdict = Verdict { valid: true, timely: true };
                        let (height, block) = (block.header.height, block.hash());
                        answers.push_back(Command::Checked { height, block, verdict });
                    }
                    Output::Emit(Event::Decide { height: 1, value, .. }) => {
                        self.nodes[node].decided = Some(value);
                        answers.extend([Command::Pending(false), self.begin(2)]);
                    }
                    // Sync: what a peer has decided and is proved is taken over.
                    Output::Emit(Event::Behind { peer, height: 2.. })
                        if self.syncs && self.nodes[node].decided.is_none() =>
                    {
                        self.nodes[node].decided = self.nodes[usize::from(peer.as_bytes()[0])].decided;
                        answers.extend([Command::Pending(false), self.begin(2)]);
                    }
                    Output::Emit(_) => {}
                }
            }
            let Some(answer) = answers.pop_front() else { break };
            self.nodes[node].machine.handle(Input::Command(answer), self.now);
        }
    }

    fn append(&mut self, node: usize, record: SignedRecord) {
        let voted =
            self.nodes[node].log.iter().any(|known| known.kind == Kind::Vote && record.kind == Kind::Vote);
        assert!(!voted, "node {node} signs a second vote");
        self.nodes[node].log.push(record);
    }

    fn send(&mut self, from: usize, to: usize, message: Message) {
        let apart = self.cut.contains(&from) != self.cut.contains(&to);
        if apart || !self.nodes[to].is_up || !self.nodes[from].is_up {
            return;
        }
        let delay = 1 + u64::from(self.random.next_u32()) % (DELTA.as_micros() as u64 / 2);
        let at = Time(self.now.0 + delay).max(self.last.get(&(from, to)).copied().unwrap_or_default());
        self.last.insert((from, to), at);
        self.sequence += 1;
        self.queue.insert((at, self.sequence), (from, to, message));
    }

    fn run_until(&mut self, end: Time) {
        loop {
            let delivery = self.queue.first_key_value().map(|((at, _), _)| *at);
            let up = self.nodes.iter().filter(|node| node.is_up);
            let timeout = up.filter_map(|node| node.machine.poll_timeout()).min();
            let Some(next) = [delivery, timeout].into_iter().flatten().min().filter(|next| *next <= end)
            else {
                break;
            };
            self.now = next.max(self.now);
            if delivery == Some(next) {
                if let Some((_, (from, to, message))) = self.queue.pop_first()
                    && self.nodes[to].is_up
                {
                    self.input(to, Input::Received(peer(from), message));
                }
            } else {
                for node in 0..self.nodes.len() {
                    if self.nodes[node].is_up
                        && self.nodes[node].machine.poll_timeout().is_some_and(|due| due <= next)
                    {
                        self.nodes[node].machine.handle_timeout(self.now);
                        self.drain(node);
                    }
                }
            }
        }
        self.now = end.max(self.now);
    }

    fn pending(&mut self) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].is_up {
                self.input(node, Input::Command(Command::Pending(true)));
            }
        }
    }

    /// The transaction reaches the nodes at different moments, less than `Δ` apart: so far are their windows.
    fn pending_one_after_the_other(&mut self) {
        let latest = DELTA.as_micros() as u64;
        let mut starts: Vec<(Time, usize)> = (0..self.nodes.len())
            .map(|node| {
                (windows(0) + Duration::from_micros(u64::from(self.random.next_u32()) % latest), node)
            })
            .collect();
        starts.sort_unstable();
        for (at, node) in starts {
            self.run_until(at);
            if self.nodes[node].decided.is_none() {
                self.input(node, Input::Command(Command::Pending(true)));
            }
        }
    }

    fn crash(&mut self, node: usize) {
        self.nodes[node].is_up = false;
        self.queue.retain(|_, (from, to, _)| *to != node && *from != node);
        for other in 0..self.nodes.len() {
            if other != node {
                self.input(other, Input::Disconnected(peer(node)));
            }
        }
    }

    fn restart(&mut self, node: usize) {
        let log = self.nodes[node].log.clone();
        let validator = self.nodes[node].validator;
        self.nodes[node].machine = Consensus::new(config(validator, true), log);
        self.nodes[node].is_up = true;
        self.start(node);
        for other in self.nodes[node].links.clone() {
            if self.nodes[other].is_up {
                self.join(other, node);
            }
        }
        let undecided = self.nodes[node].decided.is_none();
        self.input(node, Input::Command(Command::Pending(undecided)));
    }

    fn split(&mut self, side: BTreeSet<usize>) {
        self.cut = side;
        let cut = self.cut.clone();
        self.queue.retain(|_, (from, to, _)| cut.contains(from) == cut.contains(to));
    }

    fn heal(&mut self) {
        self.cut.clear();
        for node in 0..self.nodes.len() {
            for other in self.nodes[node].links.clone() {
                self.input(node, Input::Disconnected(peer(other)));
                self.join(node, other);
            }
        }
    }

    /// The decisions of nodes that are not twins.
    fn honest(&self, twins: usize) -> Vec<Option<Value>> {
        self.nodes.iter().filter(|node| node.validator >= twins).map(|node| node.decided).collect()
    }
}

/// So many windows after the start of the first height.
fn windows(count: u32) -> Time {
    Time::after_start(DELTA + DELTA * 2 * count)
}

fn agree(decisions: &[Option<Value>]) -> bool {
    let values: BTreeSet<Value> = decisions.iter().flatten().copied().collect();
    values.len() <= 1
}

#[test]
fn honest_validators_decide_the_leaders_block_at_once() {
    for seed in 0..50 {
        let (validators, faulty) = [(1, 0), (3, 1), (4, 1), (7, 2), (4, 3)][seed as usize % 5];
        let mut network = Network::new(seed, validators, faulty, 0);
        network.pending();
        network.run_until(windows(1));
        let decided = network.honest(0);
        assert!(
            decided.iter().all(|value| matches!(value, Some(Value::Block(_)))),
            "seed {seed}: {decided:?}"
        );
        assert!(agree(&decided), "seed {seed}");
    }
}

#[test]
fn twins_of_up_to_f_validators_cannot_split_the_honest_ones() {
    for seed in 0..600 {
        let (validators, faulty) = [(4, 1), (7, 2), (5, 3), (3, 2), (4, 3), (5, 1)][seed as usize % 6];
        let twins = usize::from(faulty);
        let mut network = Network::new(seed, validators, faulty, twins);
        if seed.is_multiple_of(4) {
            network.pending();
        } else {
            network.pending_one_after_the_other();
        }
        network.run_until(windows(u32::from(faulty) + 4));
        let decided = network.honest(twins);
        assert!(decided.iter().all(Option::is_some), "seed {seed}: {decided:?} within f+3 windows");
        assert!(agree(&decided), "seed {seed}: {decided:?}");
    }
}

#[test]
fn crashes_and_a_clean_cut_halt_rather_than_split_and_everybody_goes_on_after_it() {
    for seed in 0..600 {
        let (validators, faulty) = [(4, 1), (7, 2)][seed as usize % 2];
        let mut random = ChaCha20Rng::seed_from_u64(seed);
        let mut network = Network::new(seed, validators, faulty, 0);
        network.pending();
        network.run_until(
            windows(0)
                + Duration::from_micros(u64::from(random.next_u32()) % (DELTA * 10).as_micros() as u64),
        );
        network.split((0..validators).filter(|_| random.next_u32() % 2 == 0).collect());
        let victim = random.next_u32() as usize % validators;
        if random.next_u32() % 2 == 0 {
            network.crash(victim);
        }
        network.run_until(windows(12));
        assert!(agree(&network.honest(0)), "seed {seed}: {:?} during the cut", network.honest(0));
        network.heal();
        if !network.nodes[victim].is_up {
            network.restart(victim);
        }
        network.run_until(windows(30));
        let decided = network.honest(0);
        assert!(agree(&decided), "seed {seed}: {decided:?} after it");
        let open = network.nodes.iter().filter(|node| node.decided.is_none()).count();
        assert_eq!(open, 0, "seed {seed}: {decided:?} after it");
    }
}

#[test]
fn all_of_them_restarted_in_the_middle_of_a_height_go_on() {
    for seed in 0..200 {
        let mut random = ChaCha20Rng::seed_from_u64(seed);
        let mut network = Network::new(seed, 4, 1, 0);
        network.pending();
        network.run_until(
            windows(0) + Duration::from_micros(u64::from(random.next_u32()) % (DELTA.as_micros() as u64 * 3)),
        );
        (0..4).for_each(|node| network.crash(node));
        let before = network.honest(0);
        (0..4).for_each(|node| network.restart(node));
        network.run_until(windows(20));
        let decided = network.honest(0);
        assert!(decided.iter().all(Option::is_some), "seed {seed}: {decided:?}");
        assert!(agree(&[before, decided].concat()), "seed {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut network = Network::new(seed, 4, 1, 1);
        network.pending();
        network.run_until(windows(8));
        (network.sequence, network.honest(1))
    };
    assert_eq!(run(7), run(7));
}
