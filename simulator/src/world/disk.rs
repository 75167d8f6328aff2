//! The disk of a simulated host: a log that has to be synced, and a database that follows it.
//!
//! It holds bytes, as a real one does. What a process has written and not synced is there for the process that follows
//! it, unless the machine went down too; what waits for the database is lost with its process.

use conclave_ledger::{
    block::{Block, Decided},
    chain::{Applied, Chain, Undo},
    codec::{self, DecodeError},
    genesis::Genesis,
    proof::Proof,
    signed::Height,
    state::Changes,
};
use conclave_protocol::{
    mining,
    node::{LogRecord, MAX_RECORD_BYTES, Milestone, Restored},
    sync::{self, ProvedHeight},
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

struct Record {
    sequence: u64,
    bytes: Vec<u8>,
}

/// Changes that wait for the database.
#[derive(Default)]
struct Batch {
    state: Changes,
    decided: Option<(Height, Vec<u8>)>,
    proof: Option<(Height, Vec<u8>)>,
    undo: Option<(Height, Vec<u8>)>,
    /// What undoes heights before this one is needed no more.
    undo_from: Height,
    removed_from: Option<Height>,
    sequence: u64,
}

/// The disk.
pub(super) struct Disk {
    log: Vec<Record>,
    appended: u64,
    synced: u64,
    /// Sequences of the records of decided and undone heights whose effect has not taken place yet.
    milestones: VecDeque<(Milestone, u64)>,
    waiting: Vec<Batch>,
    state: BTreeMap<Vec<u8>, Vec<u8>>,
    heights: BTreeMap<Height, Vec<u8>>,
    proofs: BTreeMap<Height, Vec<u8>>,
    /// What undoes the last heights.
    undo: BTreeMap<Height, Vec<u8>>,
    /// Records up to this one are covered by the database.
    covered: u64,
    /// Heights that are decided and not in the database yet, for peers that ask.
    recent: BTreeMap<Height, (Arc<Decided>, Option<Proof>)>,
}

impl Disk {
    /// The disk of a fresh host.
    pub(super) fn new(genesis: &Arc<Genesis>) -> Self {
        let chain = Chain::new(genesis.clone());
        Self {
            log: Vec::new(),
            appended: 0,
            synced: 0,
            milestones: VecDeque::new(),
            waiting: Vec::new(),
            state: chain.entries().map(|(key, value)| (key.to_vec(), value.to_vec())).collect(),
            heights: BTreeMap::new(),
            proofs: BTreeMap::new(),
            undo: BTreeMap::new(),
            covered: 0,
            recent: BTreeMap::new(),
        }
    }

    /// Writes a record; it is durable once it is synced.
    pub(super) fn append(&mut self, record: &LogRecord) {
        self.appended += 1;
        self.log.push(Record { sequence: self.appended, bytes: record.encode() });
        self.milestones.extend(Milestone::of(record).map(|milestone| (milestone, self.appended)));
    }

    /// The sequence of the record of what has just taken effect.
    fn reach(&mut self, milestone: Milestone) -> u64 {
        let Some(place) = self.milestones.iter().position(|(known, _)| *known == milestone) else { return 0 };
        self.milestones.drain(..=place).next_back().map_or(0, |(_, sequence)| sequence)
    }

    /// Number of the last record.
    pub(super) fn appended(&self) -> u64 {
        self.appended
    }

    /// Number of the last record that is durable.
    pub(super) fn synced(&self) -> u64 {
        self.synced
    }

    /// A sync has ended; the records that it made durable, for those who watch.
    pub(super) fn sync(&mut self, sequence: u64) -> Vec<&[u8]> {
        let before = self.synced;
        self.synced = sequence.max(before);
        let new = self.log.iter().filter(|record| (before + 1..=sequence).contains(&record.sequence));
        new.map(|record| record.bytes.as_slice()).collect()
    }

    /// A decided height, whose record is durable.
    pub(super) fn decided(&mut self, decided: &Arc<Decided>, applied: &Applied, proof: &Option<Proof>) {
        let sequence = self.reach(Milestone::Decided(applied.height));
        self.recent.insert(applied.height, (decided.clone(), proof.clone()));
        self.waiting.push(Batch {
            state: applied.changes.clone(),
            decided: Some((applied.height, codec::encode(decided.as_ref()))),
            proof: proof.as_ref().map(|proof| (applied.height, codec::encode(proof))),
            undo: applied.undo.clone().map(|undo| (applied.height, undo)),
            undo_from: applied.undo_from,
            sequence,
            ..Batch::default()
        });
    }

    /// A proof that became known later.
    pub(super) fn proved(&mut self, height: Height, proof: &Proof) {
        if let Some((_, known)) = self.recent.get_mut(&height) {
            *known = Some(proof.clone());
        }
        self.waiting.push(Batch { proof: Some((height, codec::encode(proof))), ..Batch::default() });
    }

    /// Heights from this one on are undone.
    pub(super) fn rolled_back(&mut self, height: Height, changes: Changes) {
        let sequence = self.reach(Milestone::RolledBack(height));
        self.recent.split_off(&height);
        self.waiting.push(Batch { state: changes, removed_from: Some(height), sequence, ..Batch::default() });
    }

    /// Whether anything waits for the database.
    pub(super) fn is_behind(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The database takes what waits, all or nothing, and the log lets go of what it covers.
    pub(super) fn commit(&mut self) {
        for batch in std::mem::take(&mut self.waiting) {
            for (key, value) in batch.state {
                match value {
                    Some(value) => self.state.insert(key, value),
                    None => self.state.remove(&key),
                };
            }
            if let Some(height) = batch.removed_from {
                self.heights.split_off(&height);
                self.proofs.split_off(&height);
                self.undo.split_off(&height);
            }
            self.heights.extend(batch.decided);
            self.proofs.extend(batch.proof);
            self.undo.extend(batch.undo);
            self.undo = self.undo.split_off(&batch.undo_from);
            self.covered = self.covered.max(batch.sequence);
        }
        let last = self.last_height();
        self.recent = self.recent.split_off(&(last + 1));
        let covered = self.covered;
        // What was signed is kept, as in the real log, whose segments outlast it by far.
        self.log.retain(|record| {
            record.sequence > covered
                || matches!(LogRecord::decode(&record.bytes), Ok(LogRecord::Signed(signed)) if signed.height + 64 > last)
        });
    }

    fn last_height(&self) -> Height {
        self.heights.last_key_value().map_or(0, |(height, _)| *height)
    }

    /// Records that are written and not synced, whose process is gone: its successor finds them.
    pub(super) fn outlasting(&self) -> Vec<&[u8]> {
        let unsynced = self.log.iter().filter(|record| record.sequence > self.synced);
        unsynced.map(|record| record.bytes.as_slice()).collect()
    }

    /// The process is gone, and with `loses_unsynced` the machine.
    pub(super) fn crash(&mut self, loses_unsynced: bool) {
        self.waiting.clear();
        self.recent.clear();
        self.milestones.clear();
        if loses_unsynced {
            let synced = self.synced;
            self.log.retain(|record| record.sequence <= synced);
            self.appended = synced;
        }
        self.synced = self.appended;
        // What the next process replays takes effect once more.
        for record in self.log.iter().filter(|record| record.sequence > self.covered) {
            let milestone = LogRecord::decode(&record.bytes).ok().and_then(|record| Milestone::of(&record));
            self.milestones.extend(milestone.map(|milestone| (milestone, record.sequence)));
        }
    }

    /// What a process that starts finds here.
    pub(super) fn restore(&self, genesis: &Arc<Genesis>) -> Result<Restored, DecodeError> {
        let mut chain = match self.last_height() {
            0 => Chain::new(genesis.clone()),
            _ => Chain::restore(genesis.clone(), self.state.clone())?,
        };
        let (mut proofs, mut undo) = (BTreeMap::new(), Vec::new());
        for (height, bytes) in &self.undo {
            let Some(record) = self.heights.get(height) else { continue };
            let mut undoing = Undo::decode(bytes, codec::decode(record, MAX_RECORD_BYTES)?)?;
            if let Some(bytes) = self.proofs.get(height) {
                let proof: Proof = codec::decode(bytes, MAX_RECORD_BYTES)?;
                undoing.certified |= proof.is_certificate();
                proofs.insert(*height, proof);
            }
            undo.push((*height, undoing));
        }
        chain.restore_undo(undo).expect("the disk keeps what undoes the last heights, without gaps");
        for (height, _) in chain.unproven() {
            if let Some(bytes) = self.proofs.get(&height) {
                proofs.insert(height, codec::decode(bytes, MAX_RECORD_BYTES)?);
            }
        }
        let mut log = Vec::new();
        for record in &self.log {
            let decoded = LogRecord::decode(&record.bytes)?;
            if record.sequence > self.covered || matches!(decoded, LogRecord::Signed(_)) {
                log.push(decoded);
            }
        }
        Ok(Restored { chain, proofs, log, known_peers: Default::default() })
    }

    /// What a peer asks for, among miners.
    pub(super) fn find_blocks(&self, request: &mining::Request) -> mining::Response {
        mining::respond(request, |height| self.block(height))
    }

    fn block(&self, height: Height) -> Option<Arc<Block>> {
        let decided = match self.recent.get(&height) {
            Some((decided, _)) => decided.as_ref().clone(),
            None => codec::decode(self.heights.get(&height)?, MAX_RECORD_BYTES).ok()?,
        };
        decided.block().cloned()
    }

    /// What a peer asks for.
    pub(super) fn look_up(&self, request: sync::Request) -> sync::Response {
        sync::respond(request, |height| {
            if let Some((decided, proof)) = self.recent.get(&height) {
                return Some(ProvedHeight { decided: decided.as_ref().clone(), proof: proof.clone()? });
            }
            let decided = codec::decode(self.heights.get(&height)?, MAX_RECORD_BYTES).ok()?;
            let proof = codec::decode(self.proofs.get(&height)?, MAX_RECORD_BYTES).ok()?;
            Some(ProvedHeight { decided, proof })
        })
    }
}
