//! A power cut, a torn write, an error or a full disk at every single operation of a run, on log and database alike.
//!
//! One script of a node's life is played on a disk in memory: the first start of a home, votes, blocks of one part and
//! of many, decisions with and without a certificate, a proof that comes later, heights undone by a certificate (R1) and
//! decided anew, segments of the log that follow one another and are removed. Its effects go through the barrier and
//! the persistence of the real node. Once for each operation that changes the disk, that operation goes wrong; then
//! the home is opened again and the real logic started on it. What was acknowledged must be there, no signature that
//! was let out may be forgotten, and the node must go on.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::storage::{
    WalWork, WriterWork,
    faulty::{self, Fault, FaultyDisk},
};
use conclave_ledger::{
    applications::{Payload, records::Record as Note},
    bytes::Bytes,
    chain::NothingKnown,
    genesis::{Engine, FORMAT, Limits},
    hash::Hash,
    keys::SecretKey,
    signed::{Kind, SignatureSet, Slot, Value},
    transaction::{Request, SharedTransaction},
    validators::{FaultBound, Validator},
};
use conclave_protocol::{
    consensus::SignedRecord,
    node::{Barrier, Channel, Clock, Config, Effect, Input, Node},
    peer::Peer,
    rules::Rules,
    time::Time,
};
use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

const NOW: u64 = 1_700_000_000_000;

fn key() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

fn genesis() -> Arc<Genesis> {
    Arc::new(Genesis {
        format: FORMAT,
        name: "test".into(),
        engine: Engine::DolevStrong,
        fast: true,
        faulty: FaultBound::Third,
        delta_ms: 500,
        created_ms: NOW,
        stamp_bits: 8,
        proof_of_work: None,
        limits: Limits::default(),
        validators: vec![Validator { name: "one".into(), key: key().public() }],
        senders: vec![key().public()],
        records: Vec::new(),
    })
}

fn record(number: u64, bytes: usize) -> SharedTransaction {
    let data = Bytes([&number.to_be_bytes()[..], &vec![7; bytes]].concat());
    let payload = Payload::Record(Note { kind: "note".into(), data });
    let (network, sender) = (genesis().network_id(), key().public());
    Request { network, sender, expires: 60, payload }.sign(&key()).into()
}

// --- The script ----------------------------------------------------------------------------------------------------

/// What the logic gives, in order.
#[derive(Clone)]
enum Step {
    Append(LogRecord),
    /// The frame with this signature leaves.
    Send(SignedRecord),
    Decided(Arc<Decided>, Arc<Applied>, Option<Proof>),
    Proved(Height, Proof),
    RolledBack(Height, Changes),
}

/// Where the chain stands after a step, and the signatures that have left by then.
#[derive(Clone)]
struct Script {
    steps: Vec<Step>,
    /// Number of steps, and the hash of the tip and of the state after them.
    states: Vec<(usize, Height, Hash, Hash)>,
}

struct Author {
    chain: Chain,
    script: Script,
    transactions: u64,
}

impl Author {
    fn signed(&mut self, kind: Kind, value: Value) -> SignedRecord {
        let height = self.chain.next_height();
        let signature = Slot { network: self.chain.network(), height }.sign(&key(), kind, &value);
        let record = SignedRecord { height, kind, value, signature };
        self.script.steps.push(Step::Append(LogRecord::Signed(record.clone())));
        self.script.steps.push(Step::Send(record.clone()));
        record
    }

    fn proof(&self, height: Height, value: Value) -> Proof {
        let signature = Slot { network: self.chain.network(), height }.sign(&key(), Kind::Vote, &value);
        Proof::Certificate(SignatureSet::from_iter([(0, signature)]))
    }

    /// A height: block, vote, decision. Without `vote` it comes from others, by a certificate.
    fn block(&mut self, bytes: usize, count: u64, vote: bool, certified: bool) {
        let transactions: Vec<SharedTransaction> = (0..count)
            .map(|_| {
                self.transactions += 1;
                record(self.transactions, bytes)
            })
            .collect();
        let proofs = self.chain.unproven().map(|(height, value)| self.proof(height, value)).collect();
        let (block, _) = self.chain.propose(key().public(), NOW, proofs, &transactions).unwrap();
        let block = Arc::new(block);
        let value = Value::Block(block.hash());
        self.script.steps.push(Step::Append(LogRecord::Block(block.clone())));
        if vote {
            self.signed(Kind::Vote, value);
        }
        self.decide(Decided::Block(block), value, certified);
    }

    fn decide(&mut self, decided: Decided, value: Value, certified: bool) {
        let height = self.chain.next_height();
        let proof = certified.then(|| self.proof(height, value));
        let applied = self.chain.apply(&decided, None, &NothingKnown, certified).unwrap();
        self.script.steps.push(Step::Append(LogRecord::Decided { height, value, proof: proof.clone() }));
        self.script.steps.push(Step::Decided(Arc::new(decided), Arc::new(applied), proof));
        self.mark();
    }

    fn proved(&mut self, height: Height, value: Value) {
        let proof = self.proof(height, value);
        self.chain.certified(height);
        self.script.steps.push(Step::Append(LogRecord::Proved { height, proof: proof.clone() }));
        self.script.steps.push(Step::Proved(height, proof));
    }

    fn roll_back(&mut self, height: Height) {
        let changes = self.chain.rollback(height).unwrap();
        self.script.steps.push(Step::Append(LogRecord::RolledBack { height }));
        self.script.steps.push(Step::RolledBack(height, changes));
        self.mark();
    }

    fn mark(&mut self) {
        let tip = self.chain.tip();
        let (height, hash) = (tip.height, tip.hash);
        self.script.states.push((self.script.steps.len(), height, hash, self.chain.state_hash()));
    }
}

fn script() -> Script {
    let chain = Chain::new(genesis());
    let script = Script { steps: Vec::new(), states: Vec::new() };
    let mut author = Author { chain, script, transactions: 0 };
    author.mark();
    author.block(10, 1, true, true);
    author.block(30_000, 4, true, true);
    // Without a certificate, and one more on top of it; the first gets its certificate later.
    author.block(10, 2, true, false);
    let third = Value::Block(author.chain.tip().hash);
    author.block(30_000, 5, true, true);
    author.block(30_000, 4, true, true);
    author.proved(3, third);
    // Two heights by sync that a certificate undoes, and what it says instead.
    author.block(10, 1, false, false);
    author.block(10, 1, false, true);
    author.roll_back(6);
    let skip = Decided::Skip(author.chain.skip());
    author.decide(skip, Value::Skip, true);
    author.block(30_000, 4, false, true);
    author.block(10, 1, true, true);
    author.script
}

// --- The machine ---------------------------------------------------------------------------------------------------

/// A home on a disk in memory; the lock alone lies on the real one.
struct Home {
    disk: FaultyDisk,
    lock: tempfile::TempDir,
}

/// What was acknowledged: the steps up to here have taken place, and what was signed has left.
#[derive(Default)]
struct Acknowledged {
    steps: usize,
    sent: Vec<SignedRecord>,
}

fn network() -> crate::storage::NetworkId {
    genesis().network_id().0
}

impl Home {
    fn open(&self) -> Result<OpenedHome, NodeError> {
        let lock = DirectoryLock::acquire(self.lock.path()).unwrap();
        let (wal, replay) = Wal::open(Path::new("wal"), network(), Arc::new(self.disk.clone()))
            .map_err(crate::storage::StoreError::from)?;
        // As in a real home, whose marker is written last.
        let may_make = wal.last_sequence() == 0;
        let database = faulty::database(&self.disk, Path::new("chain.redb"), network(), may_make)?;
        wal.check_covers(database.wal_sequence()?).map_err(crate::storage::StoreError::from)?;
        read(self.lock.path(), Store { wal, replay, database, lock }, genesis())
    }
}

type Reports = Rc<RefCell<VecDeque<DiskEvent>>>;

/// The driver's part of a node, turned by hand.
struct Machine<W: FnMut(WalEvent), D: FnMut(WriterEvent)> {
    database: Arc<Database>,
    persistence: Persistence,
    log: WalWork<W>,
    writer: WriterWork<D>,
    barrier: Barrier,
    reports: Reports,
}

fn machine(opened: OpenedHome) -> Result<Machine<impl FnMut(WalEvent), impl FnMut(WriterEvent)>, NodeError> {
    let reports = Reports::default();
    let (of_log, of_writer) = (reports.clone(), reports.clone());
    let (mut log, mut writer) = (None, None);
    let database = opened.database.clone();
    let persistence = Persistence::with_threads(
        opened,
        |wal| {
            let report = move |event| of_log.borrow_mut().push_back(DiskEvent::Wal(event));
            let (thread, work) = WalThread::by_hand(wal, report);
            log = Some(work);
            Ok(thread)
        },
        |database| {
            let report = move |event| of_writer.borrow_mut().push_back(DiskEvent::Writer(event));
            let (thread, work) = Writer::by_hand(database, report);
            writer = Some(work);
            Ok(thread)
        },
    )?;
    let (log, writer) = (log.unwrap(), writer.unwrap());
    Ok(Machine { database, persistence, log, writer, barrier: Barrier::default(), reports })
}

impl<W: FnMut(WalEvent), D: FnMut(WriterEvent)> Machine<W, D> {
    /// Takes an effect; returns what takes place by it.
    fn push(&mut self, effect: Effect) -> Result<Vec<Effect>, NodeError> {
        let due = match effect {
            Effect::Append(record) => {
                self.persistence.append(&record)?;
                None
            }
            effect => {
                let (appended, synced) = (self.persistence.appended(), self.persistence.synced_up_to());
                self.barrier.pass(effect, appended, synced)
            }
        };
        Ok(self.take_place(due.into_iter().collect()))
    }

    /// Lets the log work, and the database if it is its turn; returns what takes place by it.
    fn work(&mut self, with_database: bool) -> Result<Vec<Effect>, NodeError> {
        self.log.step().map_err(crate::storage::StoreError::from)?;
        if with_database {
            self.writer.step()?;
        }
        let mut placed = Vec::new();
        while let Some(report) = self.reports.borrow_mut().pop_front() {
            match report {
                DiskEvent::Wal(WalEvent::Synced { ticket, .. }) => self.persistence.synced(ticket)?,
                DiskEvent::Writer(WriterEvent::Committed { batches, wal_sequence, .. }) => {
                    self.persistence.committed(batches, wal_sequence);
                }
                other => panic!("{other:?}"),
            }
        }
        while let Some(effect) = self.barrier.release(self.persistence.synced_up_to()) {
            placed.push(effect);
        }
        Ok(self.take_place(placed))
    }

    fn take_place(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        for effect in &effects {
            match effect {
                Effect::Decided { decided, applied, proof, .. } => {
                    self.persistence.decided(decided, applied, proof)
                }
                Effect::Proved { height, proof } => self.persistence.proved(*height, proof),
                Effect::RolledBack { height, changes } => {
                    self.persistence.rolled_back(*height, changes.clone(), &self.database);
                }
                _ => {}
            }
        }
        effects
    }
}

/// Plays the script until the disk fails, or to its end.
fn play(home: &Home, script: &Script, acknowledged: &mut Acknowledged) -> Result<(), NodeError> {
    let mut machine = machine(home.open()?)?;
    let mut waiting: VecDeque<usize> = VecDeque::new();
    let mut take = |placed: Vec<Effect>, waiting: &mut VecDeque<usize>| {
        for effect in placed {
            acknowledged.steps = waiting.pop_front().unwrap() + 1;
            if let Effect::Send { .. } = effect
                && let Step::Send(record) = &script.steps[acknowledged.steps - 1]
            {
                acknowledged.sent.push(record.clone());
            }
        }
    };
    for (number, step) in script.steps.iter().cloned().enumerate() {
        let effect = match step {
            Step::Append(record) => Effect::Append(record),
            Step::Send(_) => Effect::Send {
                peer: Peer::from_bytes(&[1]).unwrap(),
                channel: Channel::Consensus,
                bulk: false,
                bytes: Arc::from([]),
            },
            Step::Decided(decided, applied, proof) => {
                Effect::Decided { decided, applied, proof, micros: None }
            }
            Step::Proved(height, proof) => Effect::Proved { height, proof },
            Step::RolledBack(height, changes) => Effect::RolledBack { height, changes },
        };
        if !matches!(effect, Effect::Append(_)) {
            waiting.push_back(number);
        }
        take(machine.push(effect)?, &mut waiting);
        if number % 2 == 1 {
            take(machine.work(number % 6 == 5)?, &mut waiting);
        }
    }
    for _ in 0..3 {
        take(machine.work(true)?, &mut waiting);
    }
    assert!(waiting.is_empty(), "all of it has taken place");
    Ok(())
}

fn restart(opened: &mut OpenedHome) -> Node {
    let empty = Restored {
        chain: Chain::new(genesis()),
        proofs: BTreeMap::new(),
        log: Vec::new(),
        known_peers: Default::default(),
    };
    let restored = std::mem::replace(&mut opened.restored, empty);
    let config = Config {
        peer: Peer::from_bytes(&[1; 38]).unwrap(),
        node_key: SecretKey::from_seed([9; 32]),
        validator_key: Some(key()),
        mines: false,
        version: "test".into(),
        meeting: Default::default(),
        pool: Default::default(),
        announcements: Default::default(),
        seed: [3; 32],
        rules: Rules::default(),
    };
    Node::new(config, restored, clock(0)).unwrap()
}

fn clock(ms: u64) -> Clock {
    Clock { time: Time(ms * 1000), unix_ms: NOW + 1000 + ms }
}

/// What must hold of a home whatever went wrong; what the node decides next on it.
fn check(home: &Home, script: &Script, acknowledged: &Acknowledged, context: &str) -> (Height, Value) {
    let mut opened = home.open().unwrap_or_else(|error| panic!("{context}: {error}"));
    let signed: BTreeSet<Vec<u8>> = opened
        .restored
        .log
        .iter()
        .filter_map(|record| match record {
            LogRecord::Signed(signed) => Some(codec::encode(signed)),
            _ => None,
        })
        .collect();
    let mut node = restart(&mut opened);
    let effects: Vec<Effect> = std::iter::from_fn(|| node.poll_effect()).collect();
    // What it finds on its disks may be enough for it to decide the next height at once.
    let own = effects.iter().find_map(|effect| match effect {
        Effect::Decided { decided, micros: Some(_), .. } => Some((decided.height() - 1, decided.parent())),
        _ => None,
    });
    let tip = node.chain().tip();
    let (height, hash) = own.unwrap_or((tip.height, tip.hash));
    let state = own.is_none().then(|| node.chain().state_hash());
    // The chain is that of some moment at or after the last step that took place.
    let at = script.states.iter().rposition(|(steps, ..)| *steps <= acknowledged.steps).unwrap();
    let is_known = script.states[at..].iter().any(|(_, known, of, root)| {
        (*known, *of) == (height, hash) && state.is_none_or(|state| state == *root)
    });
    assert!(is_known, "{context}: height {height} after {} steps", acknowledged.steps);
    // What was signed in heights that are open, or may be again, is known.
    let open_from = node.chain().undoable().next().map_or(height + 1, |(height, _)| height);
    for sent in acknowledged.sent.iter().filter(|sent| sent.height >= open_from) {
        assert!(signed.contains(&codec::encode(sent)), "{context}: the {:?} of {}", sent.kind, sent.height);
    }
    // The node goes on, through the same disks.
    let mut machine = machine(opened).unwrap();
    let mut decided = None;
    for effect in effects {
        let placed = machine.push(effect).unwrap();
        decided = last_decided(&placed, height).or(decided);
    }
    let transactions = vec![record(9_000_000 + height, 5)];
    node.handle(Input::Submit { ticket: 1, transactions }, clock(1));
    for turn in 0..400 {
        while let Some(effect) = node.poll_effect() {
            let placed = machine.push(effect).unwrap();
            decided = last_decided(&placed, height).or(decided);
        }
        let placed = machine.work(true).unwrap();
        decided = last_decided(&placed, height).or(decided);
        if decided.is_some() {
            break;
        }
        node.handle_timeout(clock(turn * 250));
    }
    for _ in 0..2 {
        let placed = machine.work(true).unwrap();
        decided = last_decided(&placed, height).or(decided);
    }
    decided.unwrap_or_else(|| panic!("{context}: the node does not go on at {height}"))
}

/// The last height after `after` that the node itself has decided, if it is among these.
fn last_decided(placed: &[Effect], after: Height) -> Option<(Height, Value)> {
    placed.iter().rev().find_map(|effect| match effect {
        Effect::Decided { decided, applied, micros: Some(_), .. } if applied.height > after => {
            Some((applied.height, decided.value()))
        }
        _ => None,
    })
}

/// What a home says was decided at a height.
fn value_at(opened: &OpenedHome, height: Height) -> Option<Value> {
    let stored = opened.database.block(height).unwrap();
    let stored = stored.map(|bytes| codec::decode::<Decided>(&bytes, usize::MAX).unwrap().value());
    let logged = opened.restored.log.iter().rev().find_map(|record| match record {
        LogRecord::Decided { height: decided, value, .. } if *decided == height => Some(*value),
        _ => None,
    });
    logged.or(stored)
}

fn home(seed: u64) -> Home {
    Home { disk: FaultyDisk::new(seed), lock: tempfile::tempdir().unwrap() }
}

#[test]
fn whatever_fails_at_whichever_operation_nothing_acknowledged_is_lost() {
    let script = script();
    let whole = home(0);
    let mut acknowledged = Acknowledged::default();
    play(&whole, &script, &mut acknowledged).unwrap();
    assert_eq!(acknowledged.steps, script.steps.len());
    let operations = whole.disk.operations();
    check(&whole, &script, &acknowledged, "nothing fails");
    let segments = whole.disk.paths().iter().filter(|path| path.starts_with("wal")).count();
    assert!(operations > 100, "the script does something: {operations}");
    let start = std::time::Instant::now();
    let (mut points, mut failed) = (0, 0);
    for operation in 0..operations {
        for (seed, fault) in (0..).zip([Fault::PowerLoss, Fault::Tear, Fault::Error, Fault::Full]) {
            let context = format!("{fault:?} at operation {operation} of {operations}, seed {seed}");
            let home = home(operation * 4 + seed);
            home.disk.fail_at(operation, fault);
            let mut acknowledged = Acknowledged::default();
            failed += usize::from(play(&home, &script, &mut acknowledged).is_err());
            home.disk.crash();
            let decided = check(&home, &script, &acknowledged, &context);
            home.disk.crash();
            let mut again = home.open().unwrap_or_else(|error| panic!("{context}, again: {error}"));
            assert_eq!(
                value_at(&again, decided.0),
                Some(decided.1),
                "{context}: decided after the first crash"
            );
            assert!(restart(&mut again).chain().tip().height >= decided.0, "{context}");
            points += 1;
        }
    }
    println!(
        "{points} crash points in {:?}, {failed} runs failed; {segments} files of the log",
        start.elapsed()
    );
    assert!(failed * 2 > points, "faults happened: {failed} of {points}");
}

/// The write-ahead rule where the node keeps it: nothing that follows a record takes place before it is durable, not
/// even when the log is slow, and nothing overtakes what went before.
#[test]
fn nothing_takes_place_before_the_record_that_it_follows_is_durable() {
    let home = home(0);
    let mut machine = machine(home.open().unwrap()).unwrap();
    let send = |bulk, mark: u8| Effect::Send {
        peer: Peer::from_bytes(&[1]).unwrap(),
        channel: Channel::Consensus,
        bulk,
        bytes: Arc::from([mark]),
    };
    let marks = |placed: Vec<Effect>| -> Vec<u8> {
        let mark = |effect: &Effect| match effect {
            Effect::Send { bytes, .. } => bytes[0],
            other => panic!("{other:?}"),
        };
        placed.iter().map(mark).collect()
    };
    let vote = |height| {
        let (kind, value) = (Kind::Vote, Value::Skip);
        let signature = Slot { network: genesis().network_id(), height }.sign(&key(), kind, &value);
        Effect::Append(LogRecord::Signed(SignedRecord { height, kind, value, signature }))
    };
    assert_eq!(marks(machine.push(send(false, 1)).unwrap()), [1], "nothing to wait for");
    assert_eq!(marks(machine.push(vote(1)).unwrap()), [0; 0]);
    assert_eq!(marks(machine.push(send(false, 2)).unwrap()), [0; 0], "the vote is not durable");
    assert_eq!(marks(machine.push(send(true, 3)).unwrap()), [3], "a body binds nobody");
    assert_eq!(marks(machine.push(vote(2)).unwrap()), [0; 0]);
    assert_eq!(marks(machine.push(send(false, 4)).unwrap()), [0; 0]);
    // The log has the first record only.
    let first = machine.persistence.appended() - 1;
    machine.persistence.synced(first).unwrap();
    let due: Vec<Effect> =
        std::iter::from_fn(|| machine.barrier.release(machine.persistence.synced_up_to())).collect();
    assert_eq!(marks(due), [2]);
    assert_eq!(marks(machine.push(send(false, 5)).unwrap()), [0; 0], "nor does anything overtake");
    assert_eq!(marks(machine.work(false).unwrap()), [4, 5]);
    // A log that fails lets nothing out any more.
    home.disk.fail_at(home.disk.operations(), Fault::Error);
    assert_eq!(marks(machine.push(vote(3)).unwrap()), [0; 0]);
    assert_eq!(marks(machine.push(send(false, 6)).unwrap()), [0; 0]);
    assert!(machine.work(false).is_err());
    assert!(machine.barrier.release(machine.persistence.synced_up_to()).is_none());
}
