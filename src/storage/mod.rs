//! What survives a crash: the write-ahead log and the database of one home directory.
//!
//! Bytes only: this module knows heights and byte strings; what they mean is the ledger's matter.
//!
//! ```text
//! home/
//!   lock          held (flock) while a process uses the home; holds its process id
//!   store         marker: the home is complete, and for which network
//!   wal/          wal-<first sequence>.log, segments of the write-ahead log
//!   chain.redb    blocks, proofs, state, transaction index, known peers
//! ```
//!
//! The rule of the two: **log, then act; commit when there is time.** What must not be forgotten (a signature before
//! it is sent, a decided height) is appended to the log and acted upon once [`WalEvent::Synced`] says that it is on
//! disk, a fraction of a millisecond later. The database follows in batches and records up to which sequence it
//! [covers](Batch::wal_sequence) the log; a restart replays the rest.
//!
//! | file | holds |
//! |---|---|
//! | `store.rs` | opening a home: lock, marker, log and database, and that they fit together |
//! | `wal/` | the log: records, segments, replay |
//! | `wal_thread.rs` | the thread that owns the log and syncs whatever is queued at once |
//! | `database/` | the database: tables, batches, reads |
//! | `writer.rs` | the thread that commits batches |
//! | `disk.rs` | the few file operations that the log needs, so that a test can fail each of them |
//! | `faulty.rs` | a disk that fails, tears and forgets (tests) |
//!
//! Absent on purpose: any repair that drops what was acknowledged. Damage is an error that names the file and what
//! to do; a file that should be there and is not is an error too, never a fresh start.

mod database;
mod disk;
#[cfg(test)]
pub(crate) mod faulty;
mod lock;
mod store;
mod wal;
mod wal_thread;
mod writer;

pub use database::{
    Batch, Database, DatabaseError, FORMAT_VERSION, READ_CACHE_BYTES, Snapshot, Summary, TransactionId,
    TransactionLocation,
};
pub use disk::{Disk, FileSystem, LogFile};
pub use lock::{DirectoryLock, LockError};
pub use store::{Store, StoreError};
pub use wal::{Cut, MAX_RECORD_BYTES, Record, Replay, SEGMENT_BYTES, Wal, WalError};
#[cfg(test)]
pub(crate) use wal_thread::WalWork;
pub use wal_thread::{MAX_GROUP_BYTES, WAL_QUEUE, WalEvent, WalQueueError, WalThread};
#[cfg(test)]
pub(crate) use writer::WriterWork;
pub use writer::{MAX_MERGED_BYTES, WRITER_QUEUE, Writer, WriterEvent, WriterQueueError};

/// Identity of a network: the hash of its genesis file. Every file states it, so that a home is never used for another.
pub type NetworkId = [u8; 32];
