//! The tables, and the seal on every value.
//!
//! redb checks its own pages only when it repairs. So every value carries a CRC-32 of table, key and content, checked
//! at each read: a flipped byte in a value is an error and never a wrong answer. A flipped byte in a key may hide the
//! entry from a look-up; whoever walks a whole table finds it (the key is sealed, and entries are counted).

use redb::TableDefinition;

/// A table whose keys are bytes.
pub(super) type ByteTable = TableDefinition<'static, &'static [u8], &'static [u8]>;
/// A table whose keys are heights.
pub(super) type HeightTable = TableDefinition<'static, u64, &'static [u8]>;

/// Facts about the database: [`NETWORK`], [`FORMAT`], [`LAST_HEIGHT`], [`WAL_SEQUENCE`].
pub(super) const META: ByteTable = TableDefinition::new("meta");
/// Height to the record of the block or skip.
pub(super) const BLOCKS: HeightTable = TableDefinition::new("blocks");
/// Height to the proof that it was decided.
pub(super) const PROOFS: HeightTable = TableDefinition::new("proofs");
/// Height to what undoes it, for the last heights while they can be undone.
pub(super) const UNDO: HeightTable = TableDefinition::new("undo");
/// The ledger's state.
pub(super) const STATE: ByteTable = TableDefinition::new("state");
/// Transaction id (32 bytes) to height (u64) and position (u32), little-endian.
pub(super) const TRANSACTIONS: ByteTable = TableDefinition::new("transactions");
/// Known peers.
pub(super) const PEERS: ByteTable = TableDefinition::new("peers");

/// Network id, 32 bytes.
pub(super) const NETWORK: &str = "network id";
/// Format version, u32.
pub(super) const FORMAT: &str = "format version";
/// Last height, u64; empty before the first commit.
pub(super) const LAST_HEIGHT: &str = "last height";
/// The write-ahead log is covered up to this sequence, u64.
pub(super) const WAL_SEQUENCE: &str = "wal sequence";

/// Bytes that the seal adds to a value.
const SEAL_BYTES: usize = 4;

/// A value of a table with its seal behind it. A height counts as its eight bytes, little-endian.
pub(super) fn seal(table: &str, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(value.len() + SEAL_BYTES);
    sealed.extend_from_slice(value);
    sealed.extend_from_slice(&checksum(table, key, value).to_le_bytes());
    sealed
}

/// The value before a seal; none if it is broken.
pub(super) fn unseal<'a>(table: &str, key: &[u8], sealed: &'a [u8]) -> Option<&'a [u8]> {
    let (value, seal) = sealed.split_last_chunk::<SEAL_BYTES>()?;
    (u32::from_le_bytes(*seal) == checksum(table, key, value)).then_some(value)
}

fn checksum(table: &str, key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in [table.as_bytes(), key] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.update(value);
    hasher.finalize()
}
