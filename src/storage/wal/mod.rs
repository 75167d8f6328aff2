//! The write-ahead log: records with consecutive sequence numbers in segment files, durable when [`Wal::sync`] says so.
//!
//! **Segments.** `wal-<first sequence>.log` holds [`SEGMENT_BYTES`], zero-filled before its first use, so that a sync
//! moves data only and no metadata. A segment gets its name once it is whole and durable: its header is never torn.
//! A segment is followed by another only after all of it was synced. Old ones are removed whole, oldest first.
//!
//! **Group commit.** [`Wal::append`] puts a record into memory; [`Wal::sync`] writes all pending ones with one `pwrite`
//! and one `fdatasync`. A record is acknowledged when the sync after it has returned.
//!
//! **Torn or damaged?** A crash may leave any part of the last, never acknowledged group on disk. Every record states
//! the highest sequence known durable when it was written ([`record`]). So if record *n* cannot be read:
//! * something later in the log says that *n* was durable: that is **damage**, and an error ([`WalError::Damaged`]);
//! * nothing does: it is a **torn write**, cut off and reported ([`Cut`]).
//!
//! [`Wal::mark`] writes such a statement behind the last record when there is nothing better to do; it is overwritten
//! by the next record and costs no sync. *What remains*: damage to the very last group of a log whose mark is missing
//! too (power lost within the moment between the sync and the system's writing the mark) looks like a torn write. And
//! as in every log, disks are trusted not to change acknowledged bytes of a sector whose end is being overwritten.
//!
//! **A failed write or sync poisons the log**: the system may have dropped the pages and forgotten the error, so that
//! a second sync would succeed without the data. Only opening the log again, which reads the disk, tells what is there.

mod error;
mod record;
mod replay;
mod segment;
mod spare;
#[cfg(test)]
mod tests;

pub use error::WalError;

use super::{
    NetworkId,
    disk::{FileSystem, is_full},
};
use record::{RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES};
use segment::Segment;
use spare::Spare;
use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Size of a segment file in bytes: 4 MiB. Unit tests have small ones, so that every single operation of logs with many
/// segments can be made to fail.
pub const SEGMENT_BYTES: usize = if cfg!(test) { 256 << 10 } else { 4 << 20 };

/// Longest record in bytes: 1 MiB.
pub const MAX_RECORD_BYTES: usize = SEGMENT_BYTES / 4;

/// A segment this full (in bytes) is worth preparing the next one for.
const NEARLY_FULL_BYTES: usize = SEGMENT_BYTES / 2;

/// A record that was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number: the first of a log is 1, and each is one more than the one before.
    pub sequence: u64,
    /// What was appended.
    pub payload: Vec<u8>,
}

/// Bytes at the end of a segment that were not a record, and are zeros again: a write that a crash interrupted before
/// anybody was told that it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment.
    pub file: PathBuf,
    /// Where the bytes began.
    pub offset: u64,
    /// How many there were.
    pub length: u64,
}

/// What opening a log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// All records, in order.
    pub records: Vec<Record>,
    /// What was cut off, for the node's own log.
    pub cuts: Vec<Cut>,
}

/// A write-ahead log, open. The caller holds the [lock](super::DirectoryLock) of the home around it.
pub struct Wal {
    directory: PathBuf,
    network: NetworkId,
    files: Arc<dyn FileSystem>,
    /// First sequences of all segments, oldest first; the last is the active one.
    segments: VecDeque<u64>,
    active: Segment,
    /// End of what was written to the active segment.
    offset: usize,
    /// Encoded records that belong at `offset`; never longer than a segment.
    pending: Vec<u8>,
    /// Sequence of the next record.
    next: u64,
    /// All records up to here are durable.
    synced: u64,
    /// Whether a mark for `synced` stands at `offset`.
    marked: bool,
    /// A zero-filled file that waits to become the next segment.
    spare: Spare,
    poisoned: Option<String>,
}

impl Wal {
    /// Opens the log in `directory`, which exists, and reads all of it; begins one if there is no segment. Whether
    /// there *should* be one is for the caller to know ([`Store`](super::Store) does).
    ///
    /// # Errors
    /// [`WalError`]: foreign, of another version, damaged, incomplete, or not to be read.
    pub fn open(
        directory: &Path,
        network: NetworkId,
        files: Arc<dyn FileSystem>,
    ) -> Result<(Self, Replay), WalError> {
        let (segments, replay) = replay::replay(directory, &network, files.as_ref())?;
        // A spare of an earlier run may be half filled.
        segment::remove_spare(directory, files.as_ref())?;
        let last = match segments {
            Some(last) => last,
            None => {
                let spare = segment::make_spare(directory, files.as_ref())?;
                let active = segment::begin(directory, network, 1, spare, files.as_ref())?;
                replay::Last { firsts: VecDeque::from([1]), active, offset: SEGMENT_HEADER_BYTES, next: 1 }
            }
        };
        let wal = Self {
            directory: directory.into(),
            network,
            files,
            segments: last.firsts,
            active: last.active,
            offset: last.offset,
            pending: Vec::new(),
            next: last.next,
            synced: last.next - 1,
            marked: false,
            spare: Spare::default(),
            poisoned: None,
        };
        Ok((wal, replay))
    }

    /// Adds a record to the pending group and says its sequence. Not durable before [`Self::sync`]. Normally touches
    /// memory only; when the segment is full, what is pending is synced and the next segment begun.
    ///
    /// # Errors
    /// [`WalError::TooLong`], which changes nothing; a failed write or sync, which poisons the log.
    pub fn append(&mut self, payload: &[u8]) -> Result<u64, WalError> {
        self.check()?;
        check_length(payload.len())?;
        if !record::fits(self.offset + self.pending.len(), payload.len()) {
            self.sync()?;
            self.begin_segment().or_else(|error| self.poison(error))?;
        }
        let sequence = self.next;
        record::encode_record(&mut self.pending, self.active.salt, sequence, self.synced, payload);
        self.next += 1;
        Ok(sequence)
    }

    /// Makes all appended records durable and says the sequence of the last.
    ///
    /// # Errors
    /// A failed write or sync, which poisons the log: none of the pending records counts as acknowledged.
    pub fn sync(&mut self) -> Result<u64, WalError> {
        self.check()?;
        if self.pending.is_empty() {
            return Ok(self.synced);
        }
        let written = self
            .active
            .file
            .write_at(self.offset as u64, &self.pending)
            .and_then(|()| self.active.file.sync())
            .map_err(|error| io_error("write", &self.active.path, error));
        written.or_else(|error| self.poison(error))?;
        self.offset += self.pending.len();
        self.pending.clear();
        self.synced = self.next - 1;
        self.marked = false;
        Ok(self.synced)
    }

    /// Writes behind the last record that it is durable, so that later damage to it is recognised as such. Costs one
    /// write and no sync; does nothing if it is there already. For idle moments and for the end.
    ///
    /// # Errors
    /// A failed write, which poisons the log.
    pub fn mark(&mut self) -> Result<(), WalError> {
        self.check()?;
        if self.marked || !self.pending.is_empty() || self.offset + RECORD_HEADER_BYTES > SEGMENT_BYTES {
            return Ok(());
        }
        let mark = record::encode_mark(self.active.salt, self.synced);
        let written = self
            .active
            .file
            .write_at(self.offset as u64, &mark)
            .map_err(|error| io_error("write", &self.active.path, error));
        written.or_else(|error| self.poison(error))?;
        self.marked = true;
        Ok(())
    }

    /// Has the file of the next segment made if the present one is nearly full, so that no append has to wait for it.
    /// A thread of its own makes it; this takes no time.
    ///
    /// # Errors
    /// What went wrong at the last try. It does not poison the log: the append that needs the segment tries again.
    pub fn prepare(&mut self) -> Result<(), WalError> {
        self.check()?;
        if self.offset + self.pending.len() > NEARLY_FULL_BYTES {
            self.spare.begin(&self.directory, &self.files)?;
        }
        Ok(())
    }

    /// Removes the segments that hold only records before `sequence`, which nobody will need again. The active one
    /// stays.
    ///
    /// # Errors
    /// A failed removal, which poisons the log.
    pub fn remove_before(&mut self, sequence: u64) -> Result<(), WalError> {
        self.check()?;
        while let Some(&following) = self.segments.get(1) {
            if following > sequence {
                break;
            }
            let path = segment::path(&self.directory, self.segments[0]);
            // One by one: a gap in the middle would look like loss.
            let removed = self
                .files
                .remove(&path)
                .and_then(|()| self.files.sync_directory(&self.directory))
                .map_err(|error| io_error("remove", &path, error));
            removed.or_else(|error| self.poison(error))?;
            self.segments.pop_front();
        }
        Ok(())
    }

    /// Sequence of the oldest record that is kept, or would be the first to be written.
    pub fn first_sequence(&self) -> u64 {
        self.segments[0]
    }

    /// Sequence of the last durable record; 0 if there was none yet.
    pub fn last_sequence(&self) -> u64 {
        self.synced
    }

    /// Checks that the log fits a database that covers records up to `covered`: none that the database relies on, or
    /// still needs, may be missing.
    ///
    /// # Errors
    /// [`WalError::Missing`].
    pub fn check_covers(&self, covered: u64) -> Result<(), WalError> {
        let (first, last) = (self.first_sequence(), self.last_sequence());
        let reason = if last < covered {
            format!("its last record is {last}, but the database was made with records up to {covered}")
        } else if first > covered.saturating_add(1) {
            format!("its first record is {first}, but the database has only those up to {covered}")
        } else {
            return Ok(());
        };
        Err(WalError::Missing { directory: self.directory.clone(), reason })
    }

    fn begin_segment(&mut self) -> Result<(), WalError> {
        let spare = match self.spare.take() {
            Some(spare) => spare,
            None => segment::make_spare(&self.directory, self.files.as_ref())?,
        };
        self.active = segment::begin(&self.directory, self.network, self.next, spare, self.files.as_ref())?;
        self.segments.push_back(self.next);
        self.offset = SEGMENT_HEADER_BYTES;
        self.marked = false;
        Ok(())
    }

    fn check(&self) -> Result<(), WalError> {
        match &self.poisoned {
            Some(first) => Err(WalError::Poisoned { first: first.clone() }),
            None => Ok(()),
        }
    }

    fn poison<T>(&mut self, error: WalError) -> Result<T, WalError> {
        self.poisoned = Some(error.to_string());
        Err(error)
    }
}

/// Whether a payload of this length may be appended.
pub(super) fn check_length(length: usize) -> Result<(), WalError> {
    if length > MAX_RECORD_BYTES {
        return Err(WalError::TooLong { length, bound: MAX_RECORD_BYTES });
    }
    Ok(())
}

/// Whether a file of this name is a segment.
pub(super) fn is_segment(name: &str) -> bool {
    segment::first_of(name).is_some()
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> WalError {
    if is_full(&source) {
        return WalError::NoSpace { path: path.into() };
    }
    WalError::Io { action, path: path.into(), source }
}
