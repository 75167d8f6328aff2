//! A validator among liars who hold all the other keys: any message, with signatures that hold more often than not.

use crate::{
    draw::{self, below, chance},
    laws::Subject,
    world,
};
use arbitrary::Unstructured;
use conclave_ledger::{
    block::Block,
    keys::Signature,
    signed::{Height, Kind, SignatureSet, Value},
};
use conclave_protocol::{
    consensus::{Command, Config, Consensus, Event, Message, SignedRecord, Verdict},
    machine::{Input, Machine, Output},
    peer::Peer,
    rules::Rules,
    time::Time,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

/// The validator under test. Its key is nobody else's.
const OWN: usize = 1;

pub(super) struct Deciding {
    machine: Consensus,
    faulty: u16,
    /// Answers to events, and what else the node owes the machine.
    waiting: VecDeque<Input<Consensus>>,
    /// Everything that was signed, as the log holds it.
    log: Vec<SignedRecord>,
    decided: BTreeMap<Height, Value>,
    height: Height,
}

fn leader(height: Height) -> usize {
    height.wrapping_sub(1) as usize % world::VALIDATORS
}

fn any_height(source: &mut Unstructured<'_>, near: Height) -> Height {
    match below(source, 8) {
        0 => draw::number(source, &world::KNOWN),
        1 => near + 1,
        2 => near.saturating_sub(1),
        _ => near,
    }
}

/// One of the few blocks of a height, the honest one or a rival; now and then of the wrong leader.
fn any_block(source: &mut Unstructured<'_>, height: Height) -> Arc<Block> {
    let by = if chance(source, 16) { below(source, world::VALIDATORS) } else { leader(height) };
    world::block(height, by, below(source, 3))
}

/// Signatures by any of the others, for this or, by a forger, for something else.
fn any_signatures(source: &mut Unstructured<'_>, height: Height, kind: Kind, value: Value) -> SignatureSet {
    let mask = below(source, 16);
    let signers: Vec<usize> =
        (0..world::VALIDATORS).filter(|signer| *signer != OWN && mask & (1 << signer) != 0).collect();
    match below(source, 24) {
        0 => world::signatures(height, Kind::Endorse, Value::Skip, &signers),
        1 => signers.iter().map(|signer| (*signer as u16 + 600, world::signature(1))).collect(),
        2 => [(OWN as u16, world::signature(1))].into_iter().collect(),
        _ => world::signatures(height, kind, value, &signers),
    }
}

fn any_message(source: &mut Unstructured<'_>, near: Height) -> Option<Message> {
    if chance(source, 24) {
        return draw::value(source, &world::KNOWN).ok();
    }
    let height = any_height(source, near);
    let block = any_block(source, height);
    let (hash, of_block) = (block.hash(), Value::Block(block.hash()));
    let value = if chance(source, 128) { Value::Skip } else { of_block };
    let what = below(source, 9);
    let mut set = |kind, value| any_signatures(source, height, kind, value);
    Some(match what {
        0 => Message::Block(block),
        1 => {
            let (votes, endorsements) = (set(Kind::Vote, of_block), set(Kind::Endorse, of_block));
            Message::Chain { height, block: hash, votes, endorsements }
        }
        2 => Message::Skip { height, votes: set(Kind::Vote, Value::Skip) },
        3 => {
            let (votes, relays) = (set(Kind::Vote, value), set(Kind::RelayCertificate, value));
            Message::Certificate { height, value, votes, relays }
        }
        4 => {
            let (votes, relays) = (set(Kind::Vote, of_block), set(Kind::RelaySupport, of_block));
            Message::Support { height, block: hash, votes, relays }
        }
        5 => Message::Closing { height },
        6 => Message::Settle { height, value, settles: set(Kind::Settle, value) },
        7 => Message::Commit { height, value, commits: set(Kind::Commit, value) },
        _ => Message::Decided { height, proofs: 0 },
    })
}

/// The signatures of the validator under test in a message.
fn own_signatures(message: &Message) -> Vec<Signature> {
    let sets: &[&SignatureSet] = match message {
        Message::Chain { votes, endorsements, .. } => &[votes, endorsements],
        Message::Certificate { votes, relays, .. } | Message::Support { votes, relays, .. } => {
            &[votes, relays]
        }
        Message::Skip { votes, .. } => &[votes],
        Message::Settle { settles, .. } => &[settles],
        Message::Commit { commits, .. } => &[commits],
        Message::Block(_) | Message::Closing { .. } | Message::Decided { .. } => &[],
    };
    sets.iter().filter_map(|set| set.get(OWN as u16)).copied().collect()
}

impl Deciding {
    fn begin(&mut self, height: Height) {
        self.height = height;
        let leader = world::validator_key(leader(height)).public();
        let command = Command::Begin { height, validators: world::validators(self.faulty), leader };
        self.waiting.push_back(Input::Command(command));
    }

    /// What the node does of its own accord, or when it is asked late.
    fn command(&mut self, source: &mut Unstructured<'_>) -> Input<Consensus> {
        if !chance(source, 64)
            && let Some(input) = self.waiting.pop_front()
        {
            return input;
        }
        Input::Command(match below(source, 8) {
            0 => Command::Block(any_block(source, self.height)),
            1 => Command::Certified(any_height(source, self.height).min(self.height)),
            2 => {
                let height = any_height(source, self.height);
                let value = match chance(source, 128) {
                    true => Value::Skip,
                    false => Value::Block(any_block(source, height).hash()),
                };
                Command::Certificate {
                    height,
                    value,
                    votes: any_signatures(source, height, Kind::Vote, value),
                }
            }
            3 => Command::Proofs(draw::number(source, &world::KNOWN)),
            4 => joined([0, 2, 3][below(source, 3)]),
            _ => Command::Pending(chance(source, 160)),
        })
    }

    fn answer(&mut self, event: Event, now: Time) {
        let answer = match event {
            Event::Append(record) => return self.note(record),
            Event::Build { height } => {
                let block = Some(world::block(height, OWN, 0)).filter(|_| !now.0.is_multiple_of(3));
                Command::Built { height, block }
            }
            Event::Check { block } => {
                // Of three blocks one is invalid, and one now and then too early.
                let timely = block.header.timestamp == 0 || now.0.is_multiple_of(2);
                let verdict = Verdict { valid: block.header.timestamp != 2, timely };
                Command::Checked { height: block.header.height, block: block.hash(), verdict }
            }
            Event::Fetch { height, block, .. } => {
                let mut blocks = (0..3).map(|number| world::block(height, leader(height), number));
                let Some(block) = blocks.find(|found| found.hash() == block) else { return };
                Command::Block(block)
            }
            Event::Decide { height, value, .. } => {
                assert_eq!(height, self.height, "decides another height than is open");
                assert_eq!(self.decided.insert(height, value), None, "decides height {height} twice");
                return self.begin(height + 1);
            }
            Event::Repair { height, value, proof } => {
                let before = self.decided.get(&height);
                assert!(
                    before.is_some_and(|before| *before != value),
                    "{before:?} needs no repair by {value:?}"
                );
                self.decided.retain(|decided, _| *decided < height);
                self.waiting.clear();
                self.begin(height);
                let (votes, relays) = (proof.signatures().clone(), SignatureSet::default());
                let message = Message::Certificate { height, value, votes, relays };
                return self.waiting.push_back(Input::Received(world::peer(2), message));
            }
            Event::Misbehaved { validator, .. } => {
                return assert_ne!(validator, world::validator_key(OWN).public(), "accuses itself");
            }
            Event::Proposed { .. }
            | Event::Opened { .. }
            | Event::Proved { .. }
            | Event::Halted { .. }
            | Event::Behind { .. } => return,
        };
        self.waiting.push_back(Input::Command(answer));
    }

    /// An honest validator votes once in a height, and endorses two blocks at most.
    fn note(&mut self, record: SignedRecord) {
        self.log.push(record.clone());
        let same = self.log.iter().filter(|other| (other.height, other.kind) == (record.height, record.kind));
        let values: BTreeSet<Value> = same.map(|record| record.value).collect();
        let most = match record.kind {
            Kind::Vote => 1,
            Kind::Endorse => 2,
            _ => usize::MAX,
        };
        assert!(values.len() <= most, "{:?} of {values:?} at height {}", record.kind, record.height);
    }
}

fn joined(number: usize) -> Command {
    Command::Joined { peer: world::peer(number), key: world::validator_key(number).public() }
}

impl Subject for Deciding {
    type Machine = Consensus;

    fn new(source: &mut Unstructured<'_>) -> Self {
        let choices = below(source, 256);
        let config = Config {
            network: world::network(),
            delta: Duration::from_millis(500),
            fast: choices & 1 == 0,
            key: Some(world::validator_key(OWN)).filter(|_| choices & 0x0e != 0),
            rules: Rules::default(),
        };
        let mut deciding = Self {
            machine: Consensus::new(config, Vec::new()),
            faulty: if choices & 0x80 == 0 { 1 } else { 1 + below(source, 3) as u16 },
            waiting: VecDeque::new(),
            log: Vec::new(),
            decided: BTreeMap::new(),
            height: 1,
        };
        deciding.begin(1);
        let others = (0..world::VALIDATORS).filter(|number| *number != OWN);
        deciding.waiting.extend(others.map(|number| Input::Command(joined(number))));
        while let Some(input) = deciding.waiting.pop_front() {
            deciding.machine.handle(input, Time(0));
        }
        deciding
    }

    fn machine(&mut self) -> &mut Consensus {
        &mut self.machine
    }

    fn own(&self) -> Peer {
        world::peer(OWN)
    }

    fn input(&mut self, source: &mut Unstructured<'_>, now: Time) {
        let input = match below(source, 16) {
            0 => Input::Disconnected(world::peer(2 + below(source, 4))),
            1..7 => self.command(source),
            _ => {
                let from = [0, 2, 3, 2, 3, 5][below(source, 6)];
                let Some(message) = any_message(source, self.height) else { return };
                Input::Received(world::peer(from), message)
            }
        };
        self.machine.handle(input, now);
    }

    fn heed(&mut self, output: Output<Consensus>, now: Time) {
        match output {
            Output::Emit(event) => self.answer(event, now),
            Output::Send(_, message) => {
                for signature in own_signatures(&message) {
                    // What the others know came back to us, or it is ours and was logged before.
                    let is_logged = self.log.iter().any(|record| record.signature == signature);
                    assert!(is_logged, "a signature leaves before it is logged: {message:?}");
                }
            }
            Output::Penalize(..) => {}
        }
    }
}
