//! Reading: one state of the database, unchanged by commits that happen meanwhile.

use super::{
    DatabaseError, TransactionId, TransactionLocation,
    tables::{
        BLOCKS, ByteTable, HeightTable, LAST_HEIGHT, META, PEERS, PROOFS, STATE, TRANSACTIONS, UNDO,
        WAL_SEQUENCE, unseal,
    },
};
use redb::{ReadTransaction, ReadableTableMetadata, TableHandle};
use std::{
    ops::{ControlFlow, RangeInclusive},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

/// One state of the database. Keeps the pages that it sees from being used again: let it go when done.
pub struct Snapshot {
    transaction: ReadTransaction,
    path: PathBuf,
}

/// What a whole reading of the database counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Blocks and skips.
    pub blocks: u64,
    /// Proofs.
    pub proofs: u64,
    /// Keys of the state.
    pub state_keys: u64,
    /// Transactions in the index.
    pub transactions: u64,
    /// Known peers.
    pub peers: u64,
}

impl Snapshot {
    pub(super) fn new(transaction: ReadTransaction, path: &Path) -> Self {
        Self { transaction, path: path.into() }
    }

    /// The chain's last height; none before the first commit.
    ///
    /// # Errors
    /// Damage, or what the system says; so with all reads.
    pub fn last_height(&self) -> Result<Option<u64>, DatabaseError> {
        let bytes = self.meta(LAST_HEIGHT)?;
        if bytes.is_empty() { Ok(None) } else { self.number(LAST_HEIGHT, bytes).map(Some) }
    }

    /// The write-ahead log is covered up to this sequence; 0 before the first commit.
    ///
    /// # Errors
    /// As all reads.
    pub fn wal_sequence(&self) -> Result<u64, DatabaseError> {
        self.number(WAL_SEQUENCE, self.meta(WAL_SEQUENCE)?)
    }

    /// The record of a height.
    ///
    /// # Errors
    /// As all reads.
    pub fn block(&self, height: u64) -> Result<Option<Vec<u8>>, DatabaseError> {
        self.get_height(BLOCKS, height)
    }

    /// The proof that a height was decided.
    ///
    /// # Errors
    /// As all reads.
    pub fn proof(&self, height: u64) -> Result<Option<Vec<u8>>, DatabaseError> {
        self.get_height(PROOFS, height)
    }

    /// What undoes the last heights, ascending; none where all of them are final.
    ///
    /// # Errors
    /// As all reads.
    pub fn undo(&self) -> Result<Vec<(u64, Vec<u8>)>, DatabaseError> {
        let mut undo = Vec::new();
        self.walk_heights(UNDO, 0..=u64::MAX, |height, undoing| {
            undo.push((height, undoing));
            ControlFlow::Continue(())
        })?;
        Ok(undo)
    }

    /// Records of consecutive heights as long as they stay within `max_bytes` together; at least the first, if it is
    /// there.
    ///
    /// # Errors
    /// As all reads.
    pub fn blocks(
        &self,
        heights: RangeInclusive<u64>,
        max_bytes: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, DatabaseError> {
        let first = *heights.start();
        let mut blocks: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut bytes = 0;
        self.walk_heights(BLOCKS, heights, |height, record| {
            bytes += record.len();
            let consecutive = height - first == blocks.len() as u64;
            if !consecutive || (bytes > max_bytes && !blocks.is_empty()) {
                return ControlFlow::Break(());
            }
            blocks.push((height, record));
            ControlFlow::Continue(())
        })?;
        Ok(blocks)
    }

    /// Where a transaction stands.
    ///
    /// # Errors
    /// As all reads.
    pub fn location(&self, id: &TransactionId) -> Result<Option<TransactionLocation>, DatabaseError> {
        let value = self.get_bytes(TRANSACTIONS, id)?;
        value.map(|value| self.decode_location(&value)).transpose()
    }

    /// The value of a key of the state.
    ///
    /// # Errors
    /// As all reads.
    pub fn state(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError> {
        self.get_bytes(STATE, key)
    }

    /// Shows every key and value of the state to `visit`, in the keys' order.
    ///
    /// # Errors
    /// As all reads.
    pub fn for_each_state(&self, visit: impl FnMut(&[u8], &[u8])) -> Result<(), DatabaseError> {
        self.walk_bytes(STATE, visit)
    }

    /// Shows every known peer to `visit`, in the keys' order.
    ///
    /// # Errors
    /// As all reads.
    pub fn for_each_peer(&self, visit: impl FnMut(&[u8], &[u8])) -> Result<(), DatabaseError> {
        self.walk_bytes(PEERS, visit)
    }

    /// Reads everything and checks every seal.
    ///
    /// # Errors
    /// As all reads.
    pub fn check(&self) -> Result<Summary, DatabaseError> {
        let (blocks, proofs) = (self.check_heights(BLOCKS)?, self.check_heights(PROOFS)?);
        self.check_heights(UNDO)?;
        let mut summary = Summary { blocks, proofs, ..Summary::default() };
        self.walk_bytes(META, |_, _| ())?;
        self.walk_bytes(STATE, |_, _| summary.state_keys += 1)?;
        self.walk_bytes(PEERS, |_, _| summary.peers += 1)?;
        let mut malformed = None;
        self.walk_bytes(TRANSACTIONS, |_, value| {
            summary.transactions += 1;
            malformed = malformed.take().or(self.decode_location(value).err());
        })?;
        malformed.map_or(Ok(summary), Err)
    }

    /// A fact about the database; all of them are written when it is made.
    pub(super) fn meta(&self, name: &str) -> Result<Vec<u8>, DatabaseError> {
        let value = self.get_bytes(META, name.as_bytes())?;
        value.ok_or_else(|| self.damaged(format!("its {name} is missing")))
    }

    fn number(&self, name: &str, bytes: Vec<u8>) -> Result<u64, DatabaseError> {
        let bytes = bytes.try_into().map_err(|_| self.damaged(format!("its {name} is not a number")))?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn decode_location(&self, value: &[u8]) -> Result<TransactionLocation, DatabaseError> {
        let malformed = || self.damaged("a transaction's place is malformed".into());
        let (height, position) = value.split_first_chunk::<8>().ok_or_else(malformed)?;
        let position = position.try_into().map_err(|_| malformed())?;
        Ok(TransactionLocation {
            height: u64::from_le_bytes(*height),
            position: u32::from_le_bytes(position),
        })
    }

    fn get_height(&self, table: HeightTable, height: u64) -> Result<Option<Vec<u8>>, DatabaseError> {
        let sealed = self.guard(|| {
            let value = self.transaction.open_table(table)?.get(height)?;
            Ok(value.map(|value| value.value().to_vec()))
        })?;
        sealed.map(|sealed| self.open(table.name(), &height.to_le_bytes(), sealed)).transpose()
    }

    fn get_bytes(&self, table: ByteTable, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError> {
        let sealed = self.guard(|| {
            let value = self.transaction.open_table(table)?.get(key)?;
            Ok(value.map(|value| value.value().to_vec()))
        })?;
        sealed.map(|sealed| self.open(table.name(), key, sealed)).transpose()
    }

    /// Shows entries of a table to `visit` until it breaks off.
    fn walk_heights(
        &self,
        table: HeightTable,
        heights: RangeInclusive<u64>,
        mut visit: impl FnMut(u64, Vec<u8>) -> ControlFlow<()>,
    ) -> Result<(), DatabaseError> {
        let mut entries = self.guard(|| Ok(self.transaction.open_table(table)?.range(heights)?))?;
        let mut next = || {
            self.guard(|| match entries.next().transpose()? {
                Some((height, value)) => Ok(Some((height.value(), value.value().to_vec()))),
                None => Ok(None),
            })
        };
        while let Some((height, sealed)) = next()? {
            let value = self.open(table.name(), &height.to_le_bytes(), sealed)?;
            if visit(height, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Shows all entries of a table to `visit`, and checks that none is missing.
    fn walk_bytes(&self, table: ByteTable, mut visit: impl FnMut(&[u8], &[u8])) -> Result<(), DatabaseError> {
        let (mut entries, mut remaining) = self.guard(|| {
            let table = self.transaction.open_table(table)?;
            Ok((table.range::<&[u8]>(..)?, table.len()?))
        })?;
        let mut next = || {
            self.guard(|| match entries.next().transpose()? {
                Some((key, value)) => Ok(Some((key.value().to_vec(), value.value().to_vec()))),
                None => Ok(None),
            })
        };
        while let Some((key, sealed)) = next()? {
            let value = self.open(table.name(), &key, sealed)?;
            remaining = remaining.wrapping_sub(1);
            visit(&key, &value);
        }
        self.complete(table.name(), remaining)
    }

    /// Reads all of a table and says how many entries it has.
    fn check_heights(&self, table: HeightTable) -> Result<u64, DatabaseError> {
        let expected = self.guard(|| Ok(self.transaction.open_table(table)?.len()?))?;
        let mut count = 0;
        self.walk_heights(table, 0..=u64::MAX, |_, _| {
            count += 1;
            ControlFlow::Continue(())
        })?;
        self.complete(table.name(), expected.wrapping_sub(count)).map(|()| count)
    }

    fn complete(&self, table: &str, remaining: u64) -> Result<(), DatabaseError> {
        match remaining {
            0 => Ok(()),
            _ => Err(self.damaged(format!("its table `{table}` does not hold as many entries as it says"))),
        }
    }

    /// Takes the seal off.
    fn open(&self, table: &str, key: &[u8], mut sealed: Vec<u8>) -> Result<Vec<u8>, DatabaseError> {
        let Some(length) = unseal(table, key, &sealed).map(<[u8]>::len) else {
            let reason = format!("an entry of its table `{table}` does not match its checksum");
            return Err(self.damaged(reason));
        };
        sealed.truncate(length);
        Ok(sealed)
    }

    fn damaged(&self, reason: String) -> DatabaseError {
        DatabaseError::damaged(&self.path, reason)
    }

    fn guard<T>(&self, read: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, DatabaseError> {
        guard(&self.path, read)
    }
}

/// Runs an operation of redb. A page damaged in its structure may make redb panic; that is damage of the file, not a
/// reason for the node to die without a word about the file.
pub(super) fn guard<T>(
    path: &Path,
    operation: impl FnOnce() -> Result<T, redb::Error>,
) -> Result<T, DatabaseError> {
    match catch_unwind(AssertUnwindSafe(operation)) {
        Ok(result) => result.map_err(|error| DatabaseError::from_redb(path, error)),
        Err(panic) => {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
            Err(DatabaseError::damaged(path, format!("its structure cannot be followed ({words})")))
        }
    }
}
