//! The database: blocks, proofs, state, what undoes the last heights, transaction index and known peers in one redb
//! file.
//!
//! A [`Batch`] is committed whole and durably, or not at all. Reads see one state of the database ([`Snapshot`]) and
//! run beside commits. A database is made by [`Database::create`] and only there: a missing, foreign or damaged file is
//! an error that says what to do.
//!
//! Commits use redb's two-phase commit and save the allocator's state (`set_quick_repair`): two syncs instead of one,
//! off the path of consensus, and in return a node is back at once after a crash however long its chain is, and no
//! content that a peer chose can make a half-written commit look whole.

mod batch;
mod error;
mod snapshot;
mod tables;
#[cfg(test)]
mod tests;

pub use batch::{Batch, TransactionId, TransactionLocation};
pub use error::DatabaseError;
pub use snapshot::{Snapshot, Summary};

use super::NetworkId;
use batch::put_meta;
use redb::{Durability, ReadableDatabase, StorageBackend, WriteTransaction, backends::FileBackend};
use snapshot::guard;
use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};
use tables::{
    BLOCKS, FORMAT, LAST_HEIGHT, META, NETWORK, PEERS, PROOFS, STATE, TRANSACTIONS, UNDO, WAL_SEQUENCE,
};

/// Version of the tables and of what is in them. Version 1, which lacked the table of what undoes heights, is brought
/// to this one when it is opened.
pub const FORMAT_VERSION: u32 = 2;

/// The version that is brought to the present one.
const WITHOUT_UNDO: u32 = 1;

/// Memory for pages of the database, in bytes. Small: a whole node has 40 MB, and the system caches files anyway.
pub const READ_CACHE_BYTES: usize = 8 << 20;

/// An open database; clones share it.
#[derive(Clone, Debug)]
pub struct Database {
    redb: Arc<Closing>,
    path: PathBuf,
    /// The first failed commit, in words.
    poisoned: Arc<OnceLock<String>>,
}

/// redb's handle. redb writes once more when it closes, and may panic then over a damaged file.
#[derive(Debug)]
struct Closing {
    redb: Option<redb::Database>,
    path: PathBuf,
}

impl Closing {
    fn get(&self) -> Result<&redb::Database, redb::Error> {
        self.redb.as_ref().ok_or(redb::Error::DatabaseClosed)
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        let redb = self.redb.take();
        let closed = guard(&self.path, || {
            drop(redb);
            Ok(())
        });
        if let Err(error) = closed {
            tracing::error!(%error, "the database did not close properly");
        }
    }
}

impl Database {
    /// Makes an empty database. It gets its name when it is complete and durable.
    ///
    /// # Errors
    /// [`DatabaseError::Exists`], or what the system says.
    pub fn create(path: &Path, network: NetworkId) -> Result<Self, DatabaseError> {
        let io_error = |error| DatabaseError::io(path, error);
        if fs::exists(path).map_err(io_error)? {
            return Err(DatabaseError::Exists(path.into()));
        }
        let unfinished = path.with_extension("unfinished");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&unfinished);
        let file = file.map_err(io_error)?;
        let backend = FileBackend::new(file).map_err(|error| DatabaseError::from_redb(path, error))?;
        let database = Self::create_in(backend, path, network)?;
        fs::rename(&unfinished, path).map_err(io_error)?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = File::open(directory.unwrap_or(Path::new("."))).map_err(io_error)?;
        directory.sync_all().map_err(io_error)?;
        Ok(database)
    }

    /// Opens a database and checks that it is this network's and of this version.
    ///
    /// # Errors
    /// One [`DatabaseError`] per thing that can be wrong. Nothing is repaired that was acknowledged.
    pub fn open(path: &Path, network: NetworkId) -> Result<Self, DatabaseError> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(DatabaseError::Absent(path.into()));
            }
            file => file.map_err(|error| DatabaseError::io(path, error))?,
        };
        let backend = FileBackend::new(file).map_err(|error| DatabaseError::from_redb(path, error))?;
        Self::open_in(backend, path, network)
    }

    /// Commits a batch. When this returns, it is on disk.
    ///
    /// # Errors
    /// After any error the database takes no more commits. The failed one may be found or not when the database is
    /// opened again.
    pub fn commit(&self, batch: &Batch) -> Result<(), DatabaseError> {
        self.commit_all(std::slice::from_ref(batch))
    }

    /// Commits several batches at once, in order.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn commit_all(&self, batches: &[Batch]) -> Result<(), DatabaseError> {
        self.write(|transaction| batches.iter().try_for_each(|batch| batch.write(transaction)))
    }

    /// Changes known peers: keys and their new values, in order; `None` removes the key. Waits for a commit under way.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn change_peers(&self, changes: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), DatabaseError> {
        self.write(|transaction| batch::change(transaction, PEERS, changes))
    }

    /// The present state of the database.
    ///
    /// # Errors
    /// Damage, or what the system says.
    pub fn snapshot(&self) -> Result<Snapshot, DatabaseError> {
        let transaction = guard(&self.path, || Ok(self.redb.get()?.begin_read()?))?;
        Ok(Snapshot::new(transaction, &self.path))
    }

    /// The chain's last height; none before the first commit. So with all reads here: from a [`Snapshot`] of the moment.
    ///
    /// # Errors
    /// Damage, or what the system says; so with all reads.
    pub fn last_height(&self) -> Result<Option<u64>, DatabaseError> {
        self.snapshot()?.last_height()
    }

    /// The write-ahead log is covered up to this sequence; 0 before the first commit.
    ///
    /// # Errors
    /// As all reads.
    pub fn wal_sequence(&self) -> Result<u64, DatabaseError> {
        self.snapshot()?.wal_sequence()
    }

    /// The record of a height.
    ///
    /// # Errors
    /// As all reads.
    pub fn block(&self, height: u64) -> Result<Option<Vec<u8>>, DatabaseError> {
        self.snapshot()?.block(height)
    }

    /// The proof that a height was decided.
    ///
    /// # Errors
    /// As all reads.
    pub fn proof(&self, height: u64) -> Result<Option<Vec<u8>>, DatabaseError> {
        self.snapshot()?.proof(height)
    }

    /// Where a transaction stands.
    ///
    /// # Errors
    /// As all reads.
    pub fn location(&self, id: &TransactionId) -> Result<Option<TransactionLocation>, DatabaseError> {
        self.snapshot()?.location(id)
    }

    /// The file, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(in crate::storage) fn create_in(
        backend: impl StorageBackend,
        path: &Path,
        network: NetworkId,
    ) -> Result<Self, DatabaseError> {
        let database = Self::over(backend, path)?;
        database.write(|transaction| {
            for table in [META, STATE, TRANSACTIONS, PEERS] {
                transaction.open_table(table)?;
            }
            for table in [BLOCKS, PROOFS, UNDO] {
                transaction.open_table(table)?;
            }
            put_meta(transaction, NETWORK, &network)?;
            put_meta(transaction, FORMAT, &FORMAT_VERSION.to_le_bytes())?;
            put_meta(transaction, LAST_HEIGHT, &[])?;
            put_meta(transaction, WAL_SEQUENCE, &0_u64.to_le_bytes())
        })?;
        Ok(database)
    }

    pub(in crate::storage) fn open_in(
        backend: impl StorageBackend,
        path: &Path,
        network: NetworkId,
    ) -> Result<Self, DatabaseError> {
        // redb would begin anew in an empty file.
        if backend.len().map_err(|error| DatabaseError::io(path, error))? == 0 {
            return Err(DatabaseError::damaged(path, "it is empty"));
        }
        let database = Self::over(backend, path)?;
        let snapshot = database.snapshot()?;
        let version = snapshot.meta(FORMAT)?.try_into().map(u32::from_le_bytes);
        match version {
            Ok(FORMAT_VERSION | WITHOUT_UNDO) => {}
            Ok(found) => {
                return Err(DatabaseError::Version { path: path.into(), found, supported: FORMAT_VERSION });
            }
            Err(_) => return Err(DatabaseError::damaged(path, "its format version is malformed")),
        }
        let stored = snapshot.meta(NETWORK)?;
        if stored != network {
            let found = stored.iter().map(|byte| format!("{byte:02x}")).collect();
            return Err(DatabaseError::ForeignNetwork { path: path.into(), found });
        }
        snapshot.last_height()?;
        snapshot.wal_sequence()?;
        if version == Ok(WITHOUT_UNDO) {
            database.write(|transaction| {
                transaction.open_table(UNDO)?;
                put_meta(transaction, FORMAT, &FORMAT_VERSION.to_le_bytes())
            })?;
        }
        Ok(database)
    }

    fn over(backend: impl StorageBackend, path: &Path) -> Result<Self, DatabaseError> {
        let redb = guard(path, || {
            let mut builder = redb::Builder::new();
            builder.set_cache_size(READ_CACHE_BYTES);
            Ok(builder.create_with_backend(backend)?)
        })?;
        Ok(Self {
            redb: Arc::new(Closing { redb: Some(redb), path: path.into() }),
            path: path.into(),
            poisoned: Arc::default(),
        })
    }

    fn write(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), DatabaseError> {
        if let Some(first) = self.poisoned.get() {
            return Err(DatabaseError::Poisoned { path: self.path.clone(), first: first.clone() });
        }
        let written = guard(&self.path, || {
            let mut transaction = self.redb.get()?.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            transaction.set_quick_repair(true);
            change(&transaction)?;
            Ok(transaction.commit()?)
        });
        // Whoever is first; all of them failed.
        written.inspect_err(|error| drop(self.poisoned.set(error.to_string())))
    }
}
