//! Honest nodes: the machine of the program, and what an observer notes beside it.
//!
//! The same node in the same state gets the same input in very many states of the network. So states of nodes and
//! messages have numbers, and each step of a machine is taken once and remembered. A machine's signatures are
//! checked by the machine itself, in that one step.

use crate::game::{DELTA, Game, HEIGHT, LEADER, index, key, peer, time};
use conclave_ledger::{
    keys::Signature,
    proof::Proof,
    signed::{Kind, SignatureSet, Value},
};
use conclave_protocol::{
    consensus::{Command, Consensus, Event, Message, SignedRecord},
    machine::{Input, Machine, Output},
    time::Time,
};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

/// Number of a node's state.
pub(crate) type NodeId = u32;

/// Number of a message.
pub(crate) type MessageId = u32;

/// Something that no honest node may ever do, whatever the others do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    SentBeforeLogged,
    SignedTwice,
    BlamedAnHonestNode,
    AccusedAnHonestNode,
    DecidedTwice,
    DecidedAnInvalidBlock,
    IgnoredACertificate,
}

/// What a node has said and learnt, as an observer writes it down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// Everything that it signed, in order.
    pub(crate) log: Vec<SignedRecord>,
    /// Blocks that it was ever told of, and those whose body it got.
    pub(crate) heard: BTreeSet<usize>,
    pub(crate) bodies: BTreeSet<usize>,
    /// What it decided, and whether by certificate.
    pub(crate) decided: Option<(Value, bool)>,
    /// The value of a certificate that made it go back (R1).
    pub(crate) repaired: Option<Value>,
    pub(crate) faults: BTreeSet<Fault>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    me: u8,
    machine: Consensus,
    pub(crate) notes: Notes,
}

/// What a node can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Told {
    /// The height begins, and a transaction waits.
    Start,
    Timeout,
    Message(u8, MessageId),
    /// A block that it asked for.
    Body(usize),
    /// A link to this node is cut and there again.
    Reconnected(u8),
}

/// What follows.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) node: NodeId,
    pub(crate) sent: Vec<(u8, MessageId)>,
    /// Blocks that it wants to pull.
    pub(crate) wanted: Vec<usize>,
}

/// All states of nodes and all messages that were ever met.
pub(crate) struct Nodes {
    pub(crate) game: Game,
    nodes: Vec<Arc<Node>>,
    numbers: BTreeMap<[u8; 32], Vec<NodeId>>,
    messages: Vec<Message>,
    message_numbers: BTreeMap<Vec<u8>, MessageId>,
    steps: BTreeMap<(NodeId, Told, u64), Arc<Step>>,
}

impl Nodes {
    pub(crate) fn new(game: Game) -> Self {
        Self {
            game,
            nodes: Vec::new(),
            numbers: BTreeMap::new(),
            messages: Vec::new(),
            message_numbers: BTreeMap::new(),
            steps: BTreeMap::new(),
        }
    }

    /// A node that stands at the height before, connected to all others.
    pub(crate) fn fresh(&mut self, me: u8) -> NodeId {
        let mut machine = Consensus::new(self.game.config(me), Vec::new());
        let (validators, leader) = (self.game.set(), key(LEADER).public());
        let begin = Command::Begin { height: HEIGHT, validators, leader };
        machine.handle(Input::Command(begin), Time(0));
        for other in (0..self.game.validators).filter(|other| *other != me) {
            let joined = Command::Joined { peer: peer(other), key: key(other).public() };
            machine.handle(Input::Command(joined), Time(0));
        }
        while machine.poll_output().is_some() {}
        self.number(Node { me, machine, notes: Notes::default() })
    }

    pub(crate) fn get(&self, node: NodeId) -> &Node {
        &self.nodes[node as usize]
    }

    pub(crate) fn notes(&self, node: NodeId) -> &Notes {
        &self.get(node).notes
    }

    /// Whether the node has begun the height.
    pub(crate) fn has_begun(&self, node: NodeId) -> bool {
        self.get(node).machine.height() != Some(HEIGHT) || self.get(node).machine.is_open()
    }

    /// When the node wants to be called.
    pub(crate) fn due(&self, node: NodeId) -> Option<u64> {
        self.get(node).machine.poll_timeout().map(|due| due.0.saturating_sub(DELTA))
    }

    pub(crate) fn message(&self, message: MessageId) -> &Message {
        &self.messages[message as usize]
    }

    pub(crate) fn number_of(&mut self, message: Message) -> MessageId {
        let bytes = conclave_ledger::codec::encode(&message);
        let next = self.messages.len() as MessageId;
        let number = *self.message_numbers.entry(bytes).or_insert(next);
        if number == next {
            self.messages.push(message);
        }
        number
    }

    /// How many states of nodes, and how many of their steps, were computed.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.nodes.len(), self.steps.len())
    }

    fn number(&mut self, node: Node) -> NodeId {
        let digest: [u8; 32] = Sha256::digest(format!("{node:?}")).into();
        // The text shortens keys and signatures; what it does not tell apart is compared.
        let known = self.numbers.entry(digest).or_default();
        if let Some(number) = known.iter().find(|number| *self.nodes[**number as usize] == node) {
            return *number;
        }
        let number = self.nodes.len() as NodeId;
        known.push(number);
        // A clone, because it has no room to spare: what a machine has used in a step stays with the step.
        self.nodes.push(Arc::new(node.clone()));
        number
    }

    /// The step of the node that is told something.
    pub(crate) fn step(&mut self, node: NodeId, told: Told, now: u64) -> Arc<Step> {
        if let Some(known) = self.steps.get(&(node, told, now)) {
            return known.clone();
        }
        let mut turn = Turn {
            game: &self.game,
            node: self.get(node).clone(),
            now,
            sent: Vec::new(),
            wanted: Vec::new(),
        };
        match told {
            Told::Start => turn.start(),
            Told::Timeout => {
                turn.node.machine.handle_timeout(time(now));
                turn.drain();
            }
            Told::Message(from, message) => turn.receive(from, self.messages[message as usize].clone()),
            Told::Body(block) => turn.command(Command::Block(self.game.blocks[block].clone())),
            Told::Reconnected(other) => {
                turn.node.machine.handle(Input::Disconnected(peer(other)), time(now));
                turn.command(Command::Joined { peer: peer(other), key: key(other).public() });
            }
        }
        let Turn { node: next, sent, wanted, .. } = turn;
        let sent = sent.into_iter().map(|(to, message)| (to, self.number_of(message))).collect();
        let step = Arc::new(Step { node: self.number(next), sent, wanted });
        self.steps.insert((node, told, now), step.clone());
        step
    }
}

/// One input to one node, and everything that it leads to at once.
struct Turn<'a> {
    game: &'a Game,
    node: Node,
    now: u64,
    sent: Vec<(u8, Message)>,
    wanted: Vec<usize>,
}

impl Turn<'_> {
    fn command(&mut self, command: Command) {
        if let Command::Block(block) = &command {
            self.node.notes.bodies.extend(self.game.number(&block.hash()));
        }
        self.node.machine.handle(Input::Command(command), time(self.now));
        self.drain();
    }

    fn start(&mut self) {
        // What was kept for this height may have decided it at once.
        if self.node.notes.decided.is_none() {
            self.command(Command::Pending(true));
        }
    }

    fn begin(&mut self, height: u64) {
        let (validators, leader) = (self.game.set(), key(LEADER).public());
        self.command(Command::Begin { height, validators, leader });
    }

    fn receive(&mut self, from: u8, message: Message) {
        let notes = &mut self.node.notes;
        match &message {
            Message::Block(block) => {
                notes.heard.extend(self.game.number(&block.hash()));
                notes.bodies.extend(self.game.number(&block.hash()));
            }
            Message::Chain { block, .. } | Message::Support { block, .. } => {
                notes.heard.extend(self.game.number(block));
            }
            _ => {}
        }
        let contradicted = match (&message, notes.decided) {
            (Message::Certificate { value, .. }, Some((decided, false))) => *value != decided,
            _ => false,
        };
        self.node.machine.handle(Input::Received(peer(from), message.clone()), time(self.now));
        self.drain();
        if contradicted && self.node.notes.repaired.is_none() {
            self.fault(Fault::IgnoredACertificate);
        } else if contradicted {
            // The node begins the height anew and gives the certificate to the machine again.
            self.begin(HEIGHT);
            self.node.machine.handle(Input::Received(peer(from), message), time(self.now));
            self.drain();
        }
    }

    fn fault(&mut self, fault: Fault) {
        self.node.notes.faults.insert(fault);
    }

    /// Takes the outputs, and answers as the ledger and the log of a node do.
    fn drain(&mut self) {
        let mut answers = VecDeque::new();
        loop {
            while let Some(output) = self.node.machine.poll_output() {
                match output {
                    Output::Send(to, message) => self.send(index(&to), message),
                    Output::Penalize(by, _) => {
                        if Some(index(&by)) != self.game.liar {
                            self.fault(Fault::BlamedAnHonestNode);
                        }
                    }
                    Output::Emit(event) => self.event(event, &mut answers),
                }
            }
            let Some(answer) = answers.pop_front() else { break };
            self.node.machine.handle(Input::Command(answer), time(self.now));
        }
    }

    fn send(&mut self, to: u8, message: Message) {
        let me = u16::from(self.node.me);
        let is_logged =
            |signature: &Signature| self.node.notes.log.iter().any(|record| record.signature == *signature);
        let mine = sets(&message).into_iter().filter_map(|set| set.get(me));
        if mine.into_iter().any(|signature| !is_logged(signature)) {
            self.fault(Fault::SentBeforeLogged);
        }
        self.sent.push((to, message));
    }

    fn event(&mut self, event: Event, answers: &mut VecDeque<Command>) {
        match event {
            Event::Append(record) if record.height == HEIGHT => self.append(record),
            Event::Build { height: HEIGHT } => {
                self.node.notes.heard.insert(0);
                self.node.notes.bodies.insert(0);
                let block = Some(self.game.blocks[0].clone());
                answers.push_back(Command::Built { height: HEIGHT, block });
            }
            Event::Check { block } => {
                let (height, block) = (block.header.height, block.hash());
                let number = self.game.number(&block).unwrap();
                let verdict = self.game.verdicts[number];
                answers.push_back(Command::Checked { height, block, verdict });
            }
            Event::Fetch { block, .. } => self.wanted.extend(self.game.number(&block)),
            Event::Decide { height: HEIGHT, value, proof, .. } => {
                self.decide(value, proof.as_ref().is_some_and(Proof::is_certificate));
                answers.push_back(Command::Pending(false));
                let (validators, leader) = (self.game.set(), key(LEADER).public());
                answers.push_back(Command::Begin { height: HEIGHT + 1, validators, leader });
            }
            Event::Repair { height: HEIGHT, value, .. } => {
                self.node.notes.repaired = Some(value);
                self.node.notes.decided = None;
            }
            Event::Misbehaved { validator, .. } => {
                let accused = self.game.liar.map(|liar| key(liar).public());
                if accused != Some(validator) {
                    self.fault(Fault::AccusedAnHonestNode);
                }
            }
            _ => {}
        }
    }

    fn decide(&mut self, value: Value, by_certificate: bool) {
        if self.node.notes.decided.is_some() {
            self.fault(Fault::DecidedTwice);
        }
        let block = value.block().and_then(|hash| self.game.number(&hash));
        if block.is_some_and(|block| !self.game.verdicts[block].valid) {
            self.fault(Fault::DecidedAnInvalidBlock);
        }
        self.node.notes.decided = Some((value, by_certificate));
    }

    /// One vote in a height; one of each other kind for each value, and two endorsements at most.
    fn append(&mut self, record: SignedRecord) {
        let log = &mut self.node.notes.log;
        let of_kind = log.iter().filter(|known| known.kind == record.kind).count();
        let is_again = log.iter().any(|known| known.kind == record.kind && known.value == record.value);
        let most = match record.kind {
            Kind::Vote | Kind::Commit | Kind::Settle | Kind::RelayCertificate => 1,
            Kind::Endorse | Kind::RelaySupport => 2,
        };
        log.push(record);
        if is_again || of_kind >= most {
            self.fault(Fault::SignedTwice);
        }
    }
}

/// The sets of signatures in a message.
fn sets(message: &Message) -> Vec<&SignatureSet> {
    match message {
        Message::Chain { votes, endorsements, .. } => vec![votes, endorsements],
        Message::Certificate { votes, relays, .. } | Message::Support { votes, relays, .. } => {
            vec![votes, relays]
        }
        Message::Skip { votes, .. } => vec![votes],
        Message::Settle { settles, .. } => vec![settles],
        Message::Commit { commits, .. } => vec![commits],
        Message::Block(_) | Message::Closing { .. } | Message::Decided { .. } => Vec::new(),
    }
}

/// The block that a message is about and that its receiver may have to pull.
pub(crate) fn named(message: &Message) -> Option<conclave_ledger::hash::BlockHash> {
    match message {
        Message::Chain { block, .. } | Message::Support { block, .. } => Some(*block),
        _ => None,
    }
}
