//! Opening a home: the lock, then the write-ahead log and the database, and that they belong together.
//!
//! A new home is complete when its marker file is written, after everything else is durable. So a marker without a log
//! or database means that one was lost, and is an error; and so is a log that does not reach as far as the database
//! says, or no longer holds what the database has not.

use super::{
    NetworkId,
    database::{Database, DatabaseError},
    disk::Disk,
    lock::{DirectoryLock, LockError},
    wal::{Replay, Wal, WalError},
};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Name of the marker file.
const MARKER: &str = "store";
/// Name of the log's directory.
const WAL: &str = "wal";
/// Name of the database.
const DATABASE: &str = "chain.redb";

/// Why a home cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is in use.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The log cannot be used, or does not fit the database.
    #[error(transparent)]
    Wal(#[from] WalError),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The home belongs to another network.
    #[error("{} says that this home belongs to another network ({found}): name the home directory of this network, or its genesis file", .path.display())]
    ForeignNetwork {
        /// The marker.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// The system refuses an operation.
    #[error("cannot use {}: {source}; check the disk and the directory's permissions", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// An open home.
pub struct Store {
    /// The write-ahead log.
    pub wal: Wal,
    /// What it held. Records up to the database's `wal_sequence` are in the database already.
    pub replay: Replay,
    /// The database.
    pub database: Database,
    /// The hold of the home: keep it as long as one of the others is in use.
    pub lock: DirectoryLock,
}

impl Store {
    /// Opens the store in the directory `home`, which exists, or makes it if there was never one.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed in a store that existed, but for what a crash left unfinished.
    pub fn open(home: &Path, network: NetworkId) -> Result<Self, StoreError> {
        let lock = DirectoryLock::acquire(home)?;
        let complete = read_marker(home, &network)?;
        let (wal_directory, path) = (home.join(WAL), home.join(DATABASE));
        if complete && !holds_segments(&wal_directory)? {
            let reason = "no segment is left, although the home was in use before".into();
            return Err(WalError::Missing { directory: wal_directory, reason }.into());
        }
        fs::create_dir_all(&wal_directory).map_err(|error| io_error(&wal_directory, error))?;
        let (wal, replay) = Wal::open(&wal_directory, network, Arc::new(Disk))?;
        let exists = fs::exists(&path).map_err(|error| io_error(&path, error))?;
        let database = match exists || complete || wal.last_sequence() > 0 {
            true => Database::open(&path, network)?,
            false => Database::create(&path, network)?,
        };
        wal.check_covers(database.wal_sequence()?)?;
        if !complete {
            write_marker(home, &network)?;
        }
        Ok(Self { wal, replay, database, lock })
    }
}

/// Whether the home is complete; an error if it is another network's.
fn read_marker(home: &Path, network: &NetworkId) -> Result<bool, StoreError> {
    let path = home.join(MARKER);
    match fs::read_to_string(&path) {
        Ok(text) if text == hexadecimal(network) => Ok(true),
        Ok(found) => {
            Err(StoreError::ForeignNetwork { path, found: found.chars().take(2 * network.len()).collect() })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_error(&path, error)),
    }
}

/// Writes the marker, whole or not at all.
fn write_marker(home: &Path, network: &NetworkId) -> Result<(), StoreError> {
    let path = home.join(MARKER);
    let unfinished = home.join("store.unfinished");
    let write = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(hexadecimal(network).as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(home)?.sync_all()
    };
    write().map_err(|error| io_error(&path, error))
}

/// Whether a directory is there and holds segments of a log.
fn holds_segments(directory: &Path) -> Result<bool, StoreError> {
    match fs::read_dir(directory) {
        Ok(entries) => {
            let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            Ok(names.into_iter().any(|name| super::wal::is_segment(&name)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_error(directory, error)),
    }
}

fn hexadecimal(network: &NetworkId) -> String {
    network.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn io_error(path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { path: path.into(), source }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::storage::Batch;

    const NETWORK: NetworkId = [0xab; 32];

    /// A home with three records, of which the database covers two.
    fn used_home() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let mut store = Store::open(home.path(), NETWORK).unwrap();
        assert_eq!(store.replay, Replay::default());
        for payload in [b"one", b"two", b"tre"] {
            store.wal.append(payload).unwrap();
        }
        store.wal.sync().unwrap();
        let batch =
            Batch { blocks: vec![(1, [1].into())], last_height: 1, wal_sequence: 2, ..Batch::default() };
        store.database.commit(&batch).unwrap();
        home
    }

    fn failure(home: &Path) -> String {
        match Store::open(home, NETWORK) {
            Ok(_) => panic!("it opened"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_home_opens_again_with_everything() {
        let home = used_home();
        let store = Store::open(home.path(), NETWORK).unwrap();
        assert_eq!(store.replay.records.len(), 3);
        assert_eq!(store.replay.cuts, []);
        let snapshot = store.database.snapshot().unwrap();
        assert_eq!((snapshot.last_height().unwrap(), snapshot.wal_sequence().unwrap()), (Some(1), 2));
        assert!(failure(home.path()).contains("in use"), "the lock is held");
    }

    #[test]
    fn what_is_missing_is_named_and_never_made_anew() {
        let home = used_home();
        fs::rename(home.path().join(DATABASE), home.path().join("away")).unwrap();
        assert!(failure(home.path()).contains("chain.redb does not exist"));
        fs::remove_file(home.path().join(MARKER)).unwrap();
        assert!(failure(home.path()).contains("chain.redb does not exist"), "the log alone says so too");

        let home = used_home();
        fs::remove_dir_all(home.path().join(WAL)).unwrap();
        let error = failure(home.path());
        assert!(error.contains("NEW validator key") && error.contains("wal"), "{error}");
        fs::remove_file(home.path().join(MARKER)).unwrap();
        let error = failure(home.path());
        assert!(error.contains("its last record is 0, but"), "the database says so too: {error}");
    }

    #[test]
    fn an_older_copy_of_the_log_is_refused() {
        let home = used_home();
        let segment = fs::read_dir(home.path().join(WAL)).unwrap().next().unwrap().unwrap().path();
        let old = fs::read(&segment).unwrap();
        let mut store = Store::open(home.path(), NETWORK).unwrap();
        let sequence = store.wal.append(b"four").unwrap();
        store.wal.sync().unwrap();
        let batch = Batch { last_height: 0, wal_sequence: sequence, ..Batch::default() };
        store.database.commit(&batch).unwrap();
        drop(store);
        fs::write(&segment, old).unwrap();
        let error = failure(home.path());
        assert!(error.contains("records up to 4"), "{error}");
    }

    #[test]
    fn another_networks_home_is_refused() {
        let home = used_home();
        let Err(error) = Store::open(home.path(), [1; 32]) else { panic!("it opened") };
        assert!(matches!(error, StoreError::ForeignNetwork { .. }), "{error}");
        fs::remove_file(home.path().join(MARKER)).unwrap();
        let Err(error) = Store::open(home.path(), [1; 32]) else { panic!("it opened") };
        assert!(matches!(error, StoreError::Wal(WalError::ForeignNetwork { .. })), "{error}");
    }

    #[test]
    fn an_interrupted_first_start_is_taken_up() {
        let home = tempfile::tempdir().unwrap();
        drop(Store::open(home.path(), NETWORK).unwrap());
        fs::remove_file(home.path().join(MARKER)).unwrap();
        fs::rename(home.path().join(DATABASE), home.path().join("chain.unfinished")).unwrap();
        drop(Store::open(home.path(), NETWORK).unwrap());
        assert!(home.path().join(MARKER).exists());
    }
}
