//! One machine under test, and the keys of everybody else in the test's hands.

use crate::{
    consensus::{Command, Config, Consensus, Event, Message, SignedRecord, Verdict},
    machine::{Input, Machine, Output},
    peer::Peer,
    penalty::Penalty,
    rules::Rules,
    time::Time,
};
use conclave_ledger::{
    applications::{Payload, records::Record},
    block::{Block, Header},
    bytes::Bytes,
    hash::{BlockHash, Hash},
    keys::{SecretKey, Signature},
    signed::{Height, Kind, SignatureSet, Slot, Value},
    transaction::Request,
    validators::{FaultBound, Validator, ValidatorSet},
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

pub(super) const DELTA: Duration = Duration::from_millis(500);
pub(super) const NETWORK: Hash = Hash([9; 32]);

pub(super) fn key(index: usize) -> SecretKey {
    SecretKey::from_seed([index as u8 + 1; 32])
}

pub(super) fn peer(index: usize) -> Peer {
    Peer::from_bytes(&[index as u8]).unwrap()
}

pub(super) fn set(validators: usize, faulty: u16) -> Arc<ValidatorSet> {
    let validators = (0..validators).map(|n| Validator { name: format!("v{n}"), key: key(n).public() });
    Arc::new(ValidatorSet::new(validators, FaultBound::Exactly(faulty)))
}

/// A block by validator `leader`; different numbers make different blocks.
pub(super) fn block(height: Height, leader: usize, number: u64) -> Arc<Block> {
    let payload = Payload::Record(Record { kind: "note".into(), data: Bytes(vec![number as u8]) });
    let sender = key(leader);
    let request = Request { network: NETWORK, sender: sender.public(), expires: number, payload };
    let header = Header {
        network: NETWORK,
        height,
        parent: Hash::ZERO,
        leader: sender.public(),
        timestamp: number,
        state: Hash::ZERO,
        proofs: Hash::ZERO,
        transactions: Hash::ZERO,
        work: None,
    };
    Arc::new(Block { header, proofs: Vec::new(), transactions: vec![request.sign(&sender).into()] })
}

pub(super) fn signatures(height: Height, kind: Kind, value: Value, signers: &[usize]) -> SignatureSet {
    let slot = Slot { network: NETWORK, height };
    signers.iter().map(|index| (*index as u16, slot.sign(&key(*index), kind, &value))).collect()
}

pub(super) fn config(me: usize, fast: bool) -> Config {
    Config { network: NETWORK, delta: DELTA, fast, key: Some(key(me)), rules: Rules::default() }
}

/// The machine of validator `me`; validator 0 leads height 1, at which it stands.
pub(super) struct Lab {
    pub(super) machine: Consensus,
    pub(super) now: Time,
    /// When the test begins: windows count from then, if the height is opened at once.
    start: Time,
    pub(super) sent: Vec<(Peer, Message)>,
    pub(super) events: Vec<Event>,
    pub(super) penalties: Vec<(Peer, Penalty)>,
    me: usize,
    /// What the log holds.
    log: Vec<SignedRecord>,
    /// Blocks that the ledger finds invalid.
    pub(super) invalid: BTreeSet<BlockHash>,
    /// What the leader's ledger builds.
    pub(super) to_build: Option<Arc<Block>>,
}

impl Lab {
    pub(super) fn new(me: usize, validators: usize, faulty: u16) -> Self {
        Self::with(config(me, true), Vec::new(), validators, faulty)
    }

    /// A machine that has been connected to the others for long enough to know that it opens heights in time.
    pub(super) fn with(config: Config, signed: Vec<SignedRecord>, validators: usize, faulty: u16) -> Self {
        let mut lab = Self::just_joined(config, signed, validators, faulty);
        lab.start = Time::after_start(DELTA);
        lab.now = lab.start;
        lab
    }

    /// A machine that was connected to the others this very moment: the height that it opens is late.
    pub(super) fn just_joined(
        config: Config,
        signed: Vec<SignedRecord>,
        validators: usize,
        faulty: u16,
    ) -> Self {
        let me = config.key.as_ref().unwrap().public();
        let mut lab = Self {
            me: (0..validators).find(|index| key(*index).public() == me).unwrap(),
            log: signed.clone(),
            machine: Consensus::new(config, signed),
            now: Time(0),
            start: Time(0),
            sent: Vec::new(),
            events: Vec::new(),
            penalties: Vec::new(),
            invalid: BTreeSet::new(),
            to_build: Some(block(1, 0, 1)),
        };
        let validators_set = set(validators, faulty);
        lab.command(Command::Begin { height: 1, validators: validators_set, leader: key(0).public() });
        for other in (0..validators).filter(|other| key(*other).public() != me) {
            lab.command(Command::Joined { peer: peer(other), key: key(other).public() });
        }
        lab.forget();
        lab
    }

    pub(super) fn command(&mut self, command: Command) {
        self.machine.handle(Input::Command(command), self.now);
        self.drain();
    }

    /// A timeout, due or not.
    pub(super) fn timeout(&mut self) {
        self.machine.handle_timeout(self.now);
        self.drain();
    }

    pub(super) fn receive(&mut self, from: usize, message: Message) {
        self.machine.handle(Input::Received(peer(from), message), self.now);
        self.drain();
    }

    /// Lets time pass to `windows` windows after the start, with every deadline on the way.
    pub(super) fn advance_to(&mut self, windows: f64) {
        let target = self.start + (DELTA * 2).mul_f64(windows);
        while let Some(due) = self.machine.poll_timeout().filter(|due| *due <= target) {
            self.now = due.max(self.now);
            self.machine.handle_timeout(self.now);
            self.drain();
            assert!(self.machine.poll_timeout().is_none_or(|next| next > self.now), "deadlines move on");
        }
        self.now = target;
    }

    /// Takes the outputs; answers builds and checks like a ledger. Every signature that leaves was logged before.
    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Send(peer, message) => {
                    for signature in own_signatures(&message, self.me as u16) {
                        let is_logged = self.log.iter().any(|record| record.signature == signature);
                        assert!(is_logged, "a signature leaves before it is logged: {message:?}");
                    }
                    self.sent.push((peer, message));
                }
                Output::Penalize(peer, penalty) => self.penalties.push((peer, penalty)),
                Output::Emit(event) => {
                    if let Event::Append(record) = &event {
                        self.log.push(record.clone());
                    }
                    self.events.push(event.clone());
                    match event {
                        Event::Build { height } => {
                            let block = self.to_build.clone();
                            self.machine.handle(Input::Command(Command::Built { height, block }), self.now);
                        }
                        Event::Check { block } => {
                            let (height, block) = (block.header.height, block.hash());
                            let verdict = Verdict { valid: !self.invalid.contains(&block), timely: true };
                            let command = Command::Checked { height, block, verdict };
                            self.machine.handle(Input::Command(command), self.now);
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    pub(super) fn forget(&mut self) {
        self.sent.clear();
        self.events.clear();
    }

    /// What was signed, in order.
    pub(super) fn signed(&self) -> Vec<(Kind, Value)> {
        let records = self.events.iter().filter_map(|event| match event {
            Event::Append(record) => Some((record.kind, record.value)),
            _ => None,
        });
        records.collect()
    }

    /// What was decided, and whether by certificate.
    pub(super) fn decision(&self) -> Option<(Value, bool)> {
        self.events.iter().find_map(|event| match event {
            Event::Decide { value, proof, .. } => {
                Some((*value, proof.as_ref().is_some_and(conclave_ledger::proof::Proof::is_certificate)))
            }
            _ => None,
        })
    }

    pub(super) fn has(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(wanted)
    }

    /// Peers that were sent a message that fits.
    pub(super) fn told(&self, wanted: impl Fn(&Message) -> bool) -> Vec<Peer> {
        self.sent.iter().filter(|(_, message)| wanted(message)).map(|(peer, _)| *peer).collect()
    }

    /// The leader's block and its chain, as the leader sends them.
    pub(super) fn propose(&mut self, block: &Arc<Block>) {
        self.receive(0, body(block));
        self.receive(0, chain(block, &[0], &[]));
    }
}

/// The signatures of validator `me` in a message.
pub(super) fn own_signatures(message: &Message, me: u16) -> Vec<Signature> {
    let none = SignatureSet::default();
    let (first, second) = match message {
        Message::Chain { votes, endorsements, .. } => (votes, endorsements),
        Message::Certificate { votes, relays, .. } | Message::Support { votes, relays, .. } => {
            (votes, relays)
        }
        Message::Skip { votes, .. } => (votes, &none),
        Message::Settle { settles, .. } => (settles, &none),
        Message::Commit { commits, .. } => (commits, &none),
        Message::Block(_) | Message::Closing { .. } | Message::Decided { .. } => (&none, &none),
    };
    [first.get(me), second.get(me)].into_iter().flatten().copied().collect()
}

pub(super) fn body(block: &Arc<Block>) -> Message {
    Message::Block(block.clone())
}

pub(super) fn chain(block: &Arc<Block>, votes: &[usize], endorsements: &[usize]) -> Message {
    let (height, hash) = (block.header.height, block.hash());
    let value = Value::Block(hash);
    Message::Chain {
        height,
        block: hash,
        votes: signatures(height, Kind::Vote, value, votes),
        endorsements: signatures(height, Kind::Endorse, value, endorsements),
    }
}

pub(super) fn skip(voters: &[usize]) -> Message {
    Message::Skip { height: 1, votes: signatures(1, Kind::Vote, Value::Skip, voters) }
}

pub(super) fn certificate(value: Value, voters: &[usize], relays: &[usize]) -> Message {
    let votes = signatures(1, Kind::Vote, value, voters);
    Message::Certificate {
        height: 1,
        value,
        votes,
        relays: signatures(1, Kind::RelayCertificate, value, relays),
    }
}

pub(super) fn support(block: BlockHash, voters: &[usize], relays: &[usize]) -> Message {
    let value = Value::Block(block);
    let votes = signatures(1, Kind::Vote, value, voters);
    Message::Support { height: 1, block, votes, relays: signatures(1, Kind::RelaySupport, value, relays) }
}
