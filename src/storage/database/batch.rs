//! What is committed at once, and how it is written.

use super::tables::{
    BLOCKS, ByteTable, LAST_HEIGHT, META, PROOFS, STATE, TRANSACTIONS, UNDO, WAL_SEQUENCE, seal, unseal,
};
use redb::{ReadableTable, TableHandle, WriteTransaction};
use std::sync::Arc;

/// Identity of a transaction: its hash.
pub type TransactionId = [u8; 32];

/// Where a transaction stands in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionLocation {
    /// Height of the block.
    pub height: u64,
    /// Place in the block, from 0.
    pub position: u32,
}

/// Changes that take effect together or not at all. Removals come before insertions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Heights whose block, proof and undoing are taken back (the abandoned branch of a reorganisation, or pruning).
    pub removed_heights: Vec<u64>,
    /// Heights and their records, which others may hold, too.
    pub blocks: Vec<(u64, Arc<[u8]>)>,
    /// Heights and the proofs of their decisions.
    pub proofs: Vec<(u64, Vec<u8>)>,
    /// Heights and what undoes them.
    pub undo: Vec<(u64, Vec<u8>)>,
    /// What undoes heights before this one is dropped; 0 drops nothing.
    pub undo_from: u64,
    /// Keys of the state and their new values, in order; `None` removes the key.
    pub state_changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Transactions that are in the chain no more.
    pub removed_transactions: Vec<TransactionId>,
    /// Transactions and where they are.
    pub transactions: Vec<(TransactionId, TransactionLocation)>,
    /// The chain's last height after this batch.
    pub last_height: u64,
    /// The database makes records of the write-ahead log up to this sequence superfluous. Never goes back: the largest
    /// that was committed counts. Commit a batch only after these records are durable.
    pub wal_sequence: u64,
}

impl Batch {
    /// About how many bytes it writes.
    pub fn size(&self) -> usize {
        let state =
            |(key, value): &(Vec<u8>, Option<Vec<u8>>)| key.len() + value.as_ref().map_or(0, Vec::len);
        self.blocks.iter().map(|(_, record)| record.len()).sum::<usize>()
            + self.proofs.iter().map(|(_, proof)| proof.len()).sum::<usize>()
            + self.undo.iter().map(|(_, undoing)| undoing.len()).sum::<usize>()
            + self.state_changes.iter().map(state).sum::<usize>()
            + (self.transactions.len() + self.removed_transactions.len()) * size_of::<TransactionId>()
    }

    pub(super) fn write(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let mut blocks = transaction.open_table(BLOCKS)?;
        let mut proofs = transaction.open_table(PROOFS)?;
        let mut undo = transaction.open_table(UNDO)?;
        for height in &self.removed_heights {
            blocks.remove(height)?;
            proofs.remove(height)?;
            undo.remove(height)?;
        }
        for (height, record) in &self.blocks {
            blocks.insert(height, seal(BLOCKS.name(), &height.to_le_bytes(), record).as_slice())?;
        }
        for (height, proof) in &self.proofs {
            proofs.insert(height, seal(PROOFS.name(), &height.to_le_bytes(), proof).as_slice())?;
        }
        for (height, undoing) in &self.undo {
            undo.insert(height, seal(UNDO.name(), &height.to_le_bytes(), undoing).as_slice())?;
        }
        // Almost always it is empty: every height has its certificate.
        while undo.first()?.is_some_and(|(height, _)| height.value() < self.undo_from) {
            undo.pop_first()?;
        }
        let mut index = transaction.open_table(TRANSACTIONS)?;
        for id in &self.removed_transactions {
            index.remove(id.as_slice())?;
        }
        for (id, location) in &self.transactions {
            let mut value = [0; 12];
            value[..8].copy_from_slice(&location.height.to_le_bytes());
            value[8..].copy_from_slice(&location.position.to_le_bytes());
            index.insert(id.as_slice(), seal(TRANSACTIONS.name(), id, &value).as_slice())?;
        }
        change(transaction, STATE, &self.state_changes)?;
        put_meta(transaction, LAST_HEIGHT, &self.last_height.to_le_bytes())?;
        if self.wal_sequence > stored_wal_sequence(transaction)? {
            put_meta(transaction, WAL_SEQUENCE, &self.wal_sequence.to_le_bytes())?;
        }
        Ok(())
    }
}

/// Sets a fact about the database.
pub(super) fn put_meta(transaction: &WriteTransaction, name: &str, value: &[u8]) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(META)?;
    table.insert(name.as_bytes(), seal(META.name(), name.as_bytes(), value).as_slice())?;
    Ok(())
}

/// Removes and inserts entries of a table, in order.
pub(super) fn change(
    transaction: &WriteTransaction,
    definition: ByteTable,
    changes: &[(Vec<u8>, Option<Vec<u8>>)],
) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(definition)?;
    for (key, value) in changes {
        let key = key.as_slice();
        match value {
            Some(value) => drop(table.insert(key, seal(definition.name(), key, value).as_slice())?),
            None => drop(table.remove(key)?),
        }
    }
    Ok(())
}

/// The covered sequence that is stored.
fn stored_wal_sequence(transaction: &WriteTransaction) -> Result<u64, redb::Error> {
    let meta = transaction.open_table(META)?;
    let stored = meta.get(WAL_SEQUENCE.as_bytes())?;
    let bytes =
        stored.as_ref().and_then(|stored| unseal(META.name(), WAL_SEQUENCE.as_bytes(), stored.value()));
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        redb::Error::Corrupted(format!("the fact `{WAL_SEQUENCE}` is missing or does not match its checksum"))
    })?;
    Ok(u64::from_le_bytes(bytes))
}
