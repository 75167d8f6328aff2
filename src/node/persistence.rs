//! The node's two disks: the log that everything waits for, and the database that follows.

use super::{NodeError, handle::RecentHeight};
use crate::storage::{
    Batch, Database, DirectoryLock, MAX_GROUP_BYTES, MAX_MERGED_BYTES, MAX_RECORD_BYTES, Record, Snapshot,
    Store, TransactionLocation, WAL_QUEUE, Wal, WalEvent, WalThread, Writer, WriterEvent,
};
use conclave_ledger::{
    block::Decided,
    chain::{Applied, Chain, Undo},
    codec,
    genesis::Genesis,
    hash::BlockHash,
    proof::Proof,
    signed::Height,
    state::Changes,
};
use conclave_protocol::node::{LogRecord, Milestone, Restored};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    ops::Range,
    path::Path,
    sync::Arc,
};
use tokio::sync::mpsc::UnboundedSender;

/// Batches that wait for the database before the node waits too.
const MAX_BACKLOG: usize = 4096;

/// Bytes of them, those under way counted: two commits' worth.
const MAX_BACKLOG_BYTES: usize = 2 * MAX_MERGED_BYTES;

/// Bytes of a record of the logic that go into one record of the log; a longer one takes several.
const PART_BYTES: usize = MAX_RECORD_BYTES / 2;

/// In the first byte of a part: whether parts of the same record follow it.
const MORE_FOLLOW: u8 = 1;
/// In the first byte of a part: whether it continues the part before. One that does not begins a record anew, also
/// where a crash has cut off the last parts of the record before.
const CONTINUES: u8 = 2;

/// Parts that are handed to the log before it has reported them as durable: its queue has room for more.
const PARTS_IN_FLIGHT: u64 = (WAL_QUEUE as u64) * 3 / 4;

/// Bytes of them: what the log gathers for the next sync while it makes the last one. The parts of one record are
/// pieces of one memory until then.
const BYTES_IN_FLIGHT: usize = 2 * MAX_GROUP_BYTES;

/// What the disks report. Bounded by what was appended and submitted.
#[derive(Debug)]
pub(super) enum DiskEvent {
    /// The log.
    Wal(WalEvent),
    /// The database.
    Writer(WriterEvent),
}

/// A home as it was found.
pub(super) struct OpenedHome {
    pub(super) database: Arc<Database>,
    pub(super) restored: Restored,
    /// What the log holds beyond the database.
    milestones: VecDeque<(Milestone, u64)>,
    /// First record of each height that this validator has signed in.
    signed: BTreeMap<Height, u64>,
    wal: Wal,
    lock: DirectoryLock,
}

/// Opens a home and reads back what it holds.
pub(super) fn open(home: &Path, genesis: Arc<Genesis>) -> Result<OpenedHome, NodeError> {
    read(home, Store::open(home, genesis.network_id().0)?, genesis)
}

/// Reads what an opened store holds.
fn read(home: &Path, store: Store, genesis: Arc<Genesis>) -> Result<OpenedHome, NodeError> {
    let Store { wal, replay, database, lock } = store;
    for cut in &replay.cuts {
        tracing::warn!(
            ?cut,
            "the log ended in a write that a crash interrupted; nothing that was acknowledged is lost"
        );
    }
    let snapshot = database.snapshot()?;
    let (chain, proofs) = restore_chain(&database, &snapshot, genesis)?;
    let covered = snapshot.wal_sequence()?;
    let (mut log, mut milestones, mut signed) = (Vec::new(), VecDeque::new(), BTreeMap::new());
    for (sequence, record) in decode_log(home, covered, replay.records)? {
        // What the database covers is done; what this validator signed is never forgotten.
        match &record {
            LogRecord::Signed(record) => {
                signed.entry(record.height).or_insert(sequence);
            }
            _ if sequence <= covered => continue,
            record => milestones.extend(Milestone::of(record).map(|milestone| (milestone, sequence))),
        }
        log.push(record);
    }
    let restored = Restored { chain, proofs, log, known_peers: Default::default() };
    Ok(OpenedHome { database: Arc::new(database), restored, milestones, signed, wal, lock })
}

/// The chain as the database has it, with what undoes its last heights, and the proofs of those that are of use.
fn restore_chain(
    database: &Database,
    snapshot: &Snapshot,
    genesis: Arc<Genesis>,
) -> Result<(Chain, BTreeMap<Height, Proof>), NodeError> {
    let damaged = |reason: String| NodeError::Damaged { path: database.path().to_owned(), reason };
    let height = snapshot.last_height()?.unwrap_or(0);
    let mut chain = if height == 0 {
        let chain = Chain::new(genesis);
        if snapshot.last_height()?.is_none() {
            let state = chain.entries().map(|(key, value)| (key.to_vec(), Some(value.to_vec())));
            database.commit(&Batch { state_changes: state.collect(), ..Batch::default() })?;
        }
        chain
    } else {
        let mut entries = Vec::new();
        snapshot.for_each_state(|key, value| entries.push((key.to_vec(), value.to_vec())))?;
        Chain::restore(genesis, entries).map_err(|error| damaged(error.to_string()))?
    };
    if chain.tip().height != height {
        let reason = format!("its state is that of height {}, its blocks go to {height}", chain.tip().height);
        return Err(damaged(reason));
    }
    let proof = |height| -> Result<Option<Proof>, NodeError> {
        let bytes = snapshot.proof(height)?;
        let proof = bytes.map(|bytes| codec::decode(&bytes, usize::MAX)).transpose();
        proof.map_err(|error| damaged(format!("the proof of height {height}: {error}")))
    };
    let (mut proofs, mut undo) = (BTreeMap::new(), Vec::new());
    for (height, bytes) in snapshot.undo()? {
        let broken = |reason: String| damaged(format!("what undoes height {height}: {reason}"));
        let record = snapshot.block(height)?.ok_or_else(|| broken("its record is missing".into()))?;
        let decided = codec::decode(&record, usize::MAX).map_err(|error| broken(error.to_string()))?;
        let mut undoing = Undo::decode(&bytes, decided).map_err(|error| broken(error.to_string()))?;
        if let Some(proof) = proof(height)? {
            undoing.certified |= proof.is_certificate();
            proofs.insert(height, proof);
        }
        undo.push((height, undoing));
    }
    chain.restore_undo(undo).map_err(|error| damaged(error.to_string()))?;
    for (height, _) in chain.unproven() {
        proofs.extend(proof(height)?.map(|proof| (height, proof)));
    }
    Ok((chain, proofs))
}

/// The log's records, put together from their parts, each with the sequence of its last one. The oldest segments are
/// removed when the database covers them, and with them perhaps the first parts of a record that it covers too.
fn decode_log(home: &Path, covered: u64, records: Vec<Record>) -> Result<Vec<(u64, LogRecord)>, NodeError> {
    let mut decoded = Vec::new();
    let mut begun: Option<Vec<u8>> = None;
    for Record { sequence, payload } in records {
        let damaged = |reason| NodeError::Damaged { path: home.join("wal"), reason };
        let part = payload.split_first();
        let (&flag, part) = part.ok_or_else(|| damaged(format!("record {sequence} is empty")))?;
        let bytes = match &mut begun {
            Some(bytes) if flag & CONTINUES != 0 => bytes,
            None if flag & CONTINUES != 0 && sequence <= covered => continue,
            None if flag & CONTINUES != 0 => {
                return Err(damaged(format!("the first parts of record {sequence} are missing")));
            }
            begun => begun.insert(Vec::new()),
        };
        bytes.extend_from_slice(part);
        if flag & MORE_FOLLOW == 0 {
            let record = LogRecord::decode(&begun.take().unwrap_or_default());
            let record = record.map_err(|error| damaged(format!("record {sequence}: {error}")))?;
            decoded.push((sequence, record));
        }
    }
    Ok(decoded)
}

/// A piece of a record of the logic that becomes a record of the log.
struct Part {
    sequence: u64,
    flag: u8,
    record: Arc<[u8]>,
    range: Range<usize>,
}

/// The two threads, and what is on its way to them.
pub(super) struct Persistence {
    wal: Option<WalThread>,
    writer: Option<Writer>,
    /// Sequence of the last record handed to the log.
    appended: u64,
    /// Sequence of the last record that is durable.
    synced: u64,
    /// Records for which the log's queue has no room.
    unlogged: VecDeque<Part>,
    /// Sequences and lengths of the parts that the log has not reported as durable.
    logging: VecDeque<(u64, usize)>,
    logging_bytes: usize,
    backlog: VecDeque<Batch>,
    /// Sizes of the batches that the database has not reported as committed.
    committing: VecDeque<usize>,
    committing_bytes: usize,
    /// Canonical bytes of the block that was appended last: its record in the log is its record in the database.
    block: Option<(BlockHash, Arc<[u8]>)>,
    /// Batches handed to the database so far, and how many of them it has.
    submitted: u64,
    committed: u64,
    /// Sequences of the records of decided and undone heights whose effect has not taken place yet.
    milestones: VecDeque<(Milestone, u64)>,
    /// First record of each height that this validator has signed in, from the oldest that can be undone on: should
    /// it be decided anew (rule R1), nothing there is signed twice, after a restart neither.
    signed: BTreeMap<Height, u64>,
    /// Last height handed to the database.
    tip: Height,
    /// Heights that are in the log but not in the database yet, or not with their latest proof.
    pub(super) recent: BTreeMap<Height, RecentHeight>,
    /// The batches after which the database has them.
    recent_batches: BTreeMap<Height, u64>,
    _lock: DirectoryLock,
}

impl Persistence {
    /// Starts the threads of an opened home.
    pub(super) fn start(opened: OpenedHome, events: &UnboundedSender<DiskEvent>) -> Result<Self, NodeError> {
        let (wal_events, writer_events) = (events.clone(), events.clone());
        Self::with_threads(
            opened,
            // A receiver that is gone means that the node is stopping.
            |wal| WalThread::spawn(wal, move |event| drop(wal_events.send(DiskEvent::Wal(event)))),
            |database| {
                Writer::spawn(database, move |event| drop(writer_events.send(DiskEvent::Writer(event))))
            },
        )
    }

    fn with_threads(
        opened: OpenedHome,
        log: impl FnOnce(Wal) -> io::Result<WalThread>,
        writer: impl FnOnce(Database) -> io::Result<Writer>,
    ) -> Result<Self, NodeError> {
        let OpenedHome { database, milestones, signed, wal, lock, .. } = opened;
        let tip = database.snapshot()?.last_height()?.unwrap_or(0);
        let appended = wal.last_sequence();
        Ok(Self {
            wal: Some(log(wal).map_err(NodeError::Thread)?),
            writer: Some(writer(database.as_ref().clone()).map_err(NodeError::Thread)?),
            appended,
            synced: appended,
            unlogged: VecDeque::new(),
            logging: VecDeque::new(),
            logging_bytes: 0,
            backlog: VecDeque::new(),
            committing: VecDeque::new(),
            committing_bytes: 0,
            block: None,
            submitted: 0,
            committed: 0,
            milestones,
            signed,
            tip,
            recent: BTreeMap::new(),
            recent_batches: BTreeMap::new(),
            _lock: lock,
        })
    }

    /// Hands a record to the log, in as many parts as it needs.
    pub(super) fn append(&mut self, record: &LogRecord) -> Result<(), NodeError> {
        let bytes: Arc<[u8]> = record.encode().into();
        for start in (0..bytes.len()).step_by(PART_BYTES) {
            let range = start..bytes.len().min(start + PART_BYTES);
            let flag =
                if range.end < bytes.len() { MORE_FOLLOW } else { 0 } | if start > 0 { CONTINUES } else { 0 };
            self.appended += 1;
            self.unlogged.push_back(Part { sequence: self.appended, flag, record: bytes.clone(), range });
        }
        match record {
            LogRecord::Signed(record) => {
                self.signed.entry(record.height).or_insert(self.appended);
            }
            LogRecord::Block(block) => self.block = Some((block.hash(), bytes)),
            _ => {}
        }
        self.milestones.extend(Milestone::of(record).map(|milestone| (milestone, self.appended)));
        self.flush_log()
    }

    /// Hands the log as much as it takes.
    fn flush_log(&mut self) -> Result<(), NodeError> {
        while let Some(wal) = &self.wal
            && self.logging_bytes < BYTES_IN_FLIGHT
            && let Some(part) =
                self.unlogged.pop_front_if(|part| part.sequence <= self.synced + PARTS_IN_FLIGHT)
        {
            let payload = [&[part.flag], &part.record[part.range]].concat();
            self.logging.push_back((part.sequence, payload.len()));
            self.logging_bytes += payload.len();
            wal.append(payload, part.sequence)?;
        }
        Ok(())
    }

    /// Sequence of the last record handed to the log.
    pub(super) fn appended(&self) -> u64 {
        self.appended
    }

    /// Sequence of the last record that is durable.
    pub(super) fn synced_up_to(&self) -> u64 {
        self.synced
    }

    /// The log's report that everything up to `sequence` is durable.
    pub(super) fn synced(&mut self, sequence: u64) -> Result<(), NodeError> {
        self.synced = sequence.max(self.synced);
        while let Some((_, bytes)) = self.logging.pop_front_if(|(logged, _)| *logged <= self.synced) {
            self.logging_bytes -= bytes;
        }
        self.flush_log()
    }

    /// A decided height whose record in the log is durable.
    pub(super) fn decided(&mut self, decided: &Arc<Decided>, applied: &Applied, proof: &Option<Proof>) {
        let height = applied.height;
        let sequence = self.reach(Milestone::Decided(height));
        self.signed = self.signed.split_off(&applied.undo_from);
        self.tip = height;
        self.recent.insert(
            height,
            RecentHeight {
                decided: decided.clone(),
                proof: proof.clone(),
                transactions: applied.transactions.as_slice().into(),
            },
        );
        let locations = applied.transactions.iter().zip(0..);
        let batch = Batch {
            blocks: vec![(height, self.bytes_of(decided))],
            proofs: proof.iter().map(|proof| (height, codec::encode(proof))).collect(),
            undo: applied.undo.iter().map(|undo| (height, undo.clone())).collect(),
            undo_from: applied.undo_from,
            state_changes: applied.changes.clone().into_iter().collect(),
            transactions: locations
                .map(|(id, position)| (id.0, TransactionLocation { height, position }))
                .collect(),
            last_height: height,
            wal_sequence: sequence,
            ..Batch::default()
        };
        self.submit(batch);
        self.recent_batches.insert(height, self.submitted);
    }

    /// The sequence of the record of what has just taken effect: the database covers the log up to it. What was
    /// replayed after a restart has one like everything else, so that the database holds exactly what the log says up
    /// to the sequence that it covers.
    fn reach(&mut self, milestone: Milestone) -> u64 {
        let Some(place) = self.milestones.iter().position(|(known, _)| *known == milestone) else { return 0 };
        self.milestones.drain(..=place).next_back().map_or(0, |(_, sequence)| sequence)
    }

    /// The canonical bytes of a decided height. Most often they were made for the log.
    fn bytes_of(&mut self, decided: &Decided) -> Arc<[u8]> {
        let hash = decided.hash();
        match self.block.take_if(|(known, _)| *known == hash) {
            Some((_, bytes)) => bytes,
            None => codec::encode(decided).into(),
        }
    }

    /// A proof that became known later.
    pub(super) fn proved(&mut self, height: Height, proof: &Proof) {
        let proofs = vec![(height, codec::encode(proof))];
        self.submit(Batch { proofs, last_height: self.tip, ..Batch::default() });
        if let Some(recent) = self.recent.get_mut(&height) {
            recent.proof = Some(proof.clone());
            self.recent_batches.insert(height, self.submitted);
        }
    }

    /// Heights from `height` on are undone.
    pub(super) fn rolled_back(&mut self, height: Height, changes: Changes, database: &Database) {
        let tip = self.tip;
        self.tip = height - 1;
        let sequence = self.reach(Milestone::RolledBack(height));
        let undone = self.recent.split_off(&height);
        self.recent_batches.split_off(&height);
        // What the database has of a height that is on its way to it is older: a block that was undone before, whose
        // transactions may be elsewhere by now.
        let stored = (height..=tip).filter(|height| !undone.contains_key(height)).filter_map(|height| {
            let bytes = database.snapshot().ok()?.block(height).ok()??;
            codec::decode::<Decided>(&bytes, usize::MAX).ok()
        });
        let on_their_way = undone.values().map(|recent| recent.decided.as_ref().clone());
        let blocks = on_their_way.chain(stored);
        let transactions =
            blocks.filter_map(|decided| decided.block().map(|block| block.transactions.clone()));
        let batch = Batch {
            removed_heights: (height..=tip).collect(),
            removed_transactions: transactions.flatten().map(|transaction| transaction.id().0).collect(),
            state_changes: changes.into_iter().collect(),
            last_height: height - 1,
            wal_sequence: sequence,
            ..Batch::default()
        };
        self.submit(batch);
    }

    fn submit(&mut self, batch: Batch) {
        self.submitted += 1;
        let bytes = batch.size();
        self.committing.push_back(bytes);
        self.committing_bytes += bytes;
        self.backlog.push_back(batch);
        self.flush();
    }

    /// Whether the database is so far behind that the node should wait for it.
    pub(super) fn is_congested(&self) -> bool {
        self.backlog.len() >= MAX_BACKLOG
            || self.committing_bytes >= MAX_BACKLOG_BYTES
            || self.unlogged.len() >= MAX_BACKLOG
    }

    fn flush(&mut self) {
        let Some(writer) = &self.writer else { return };
        while let Some(batch) = self.backlog.pop_front() {
            match writer.submit(batch) {
                Ok(()) => {}
                Err(crate::storage::WriterQueueError::Full(batch)) => return self.backlog.push_front(*batch),
                // The thread has reported why it stopped.
                Err(_) => return,
            }
        }
    }

    /// The database's report.
    pub(super) fn committed(&mut self, batches: usize, wal_sequence: u64) {
        let batches = batches.min(self.committing.len());
        self.committing_bytes -= self.committing.drain(..batches).sum::<usize>();
        self.committed += batches as u64;
        let committed = self.committed;
        for (height, _) in self.recent_batches.extract_if(.., |_, batch| *batch <= committed) {
            self.recent.remove(&height);
        }
        let needed = self.signed.values().next().map_or(wal_sequence, |first| wal_sequence.min(*first));
        if let Some(wal) = &self.wal {
            // What cannot be removed now is removed with the next report.
            let _ = wal.remove_before(needed);
        }
        self.flush();
    }

    /// Writes everything that waits and stops the threads.
    pub(super) fn close(&mut self) {
        self.flush();
        self.wal = None;
        self.writer = None;
    }
}

#[cfg(test)]
mod branches;
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod tests;
