//! A verified archive into a fresh home, so that a node begins where the archive ends.
//!
//! The store is filled in a folder of its own within the home and moved into place when all of it is checked and on
//! disk, so a home never holds a part of an archive.

use super::verify::{Report, VerifyError, replay};
use crate::storage::{
    Batch, DatabaseError, DirectoryLock, LockError, Store, StoreError, TransactionLocation,
};
use conclave_ledger::{
    block::Decided, chain::Applied, codec, genesis::Genesis, proof::Proof, signed::Height,
};
use std::{
    fs, io,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Folder within the home in which the store is filled.
const PARTIAL: &str = "import.partial";

/// What a store consists of, in the order in which it is moved: the marker, which makes a home complete, last.
const PARTS: [&str; 3] = ["wal", "chain.redb", "store"];

/// Bytes of blocks and proofs that are committed at once, about.
const COMMIT_BYTES: usize = 4 << 20;

/// Why an archive is not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The home has a chain already.
    #[error("{} is there already: an archive is imported into a fresh home; name another with --home", .0.display())]
    NotFresh(PathBuf),
    /// The archive is not good.
    #[error(transparent)]
    Verify(#[from] VerifyError<DatabaseError>),
    /// The home is in use.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The store cannot be made.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state cannot be written.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The system refuses an operation.
    #[error("cannot use {}", .0.display())]
    Io(PathBuf, #[source] io::Error),
}

/// Checks an archive and makes it the chain of `home`, which exists and has none. `progress` is told each height and
/// the bytes read so far.
///
/// # Errors
/// When the home has a chain, the archive is not good, or the store cannot be written; the home is then as before.
pub fn import(
    home: &Path,
    genesis: Arc<Genesis>,
    reader: impl Read,
    progress: impl FnMut(Height, u64),
) -> Result<Report, ImportError> {
    let _lock = DirectoryLock::acquire(home)?;
    if let Some(part) = PARTS.iter().map(|part| home.join(part)).find(|part| part.exists()) {
        return Err(ImportError::NotFresh(part));
    }
    let partial = home.join(PARTIAL);
    let failed = |error| ImportError::Io(partial.clone(), error);
    if partial.exists() {
        // Of an import that was broken off: nothing in it was ever used.
        fs::remove_dir_all(&partial).map_err(failed)?;
    }
    fs::create_dir(&partial).map_err(failed)?;
    let filled = fill(&partial, genesis, reader, progress);
    let moved = filled.and_then(|report| {
        for part in PARTS {
            fs::rename(partial.join(part), home.join(part)).map_err(failed)?;
        }
        fs::File::open(home).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(report)
    });
    fs::remove_dir_all(&partial).map_err(failed)?;
    moved
}

fn fill(
    folder: &Path,
    genesis: Arc<Genesis>,
    reader: impl Read,
    progress: impl FnMut(Height, u64),
) -> Result<Report, ImportError> {
    let store = Store::open(folder, genesis.network_id().0)?;
    let (mut batch, mut bytes) = (Batch::default(), 0);
    let keep = |decided: &Decided, proof: Option<&Proof>, applied: &Applied| {
        bytes += add(&mut batch, decided, proof, applied);
        if bytes >= COMMIT_BYTES {
            store.database.commit(&std::mem::take(&mut batch))?;
            bytes = 0;
        }
        Ok(())
    };
    let (report, chain) = replay(genesis, reader, progress, keep)?;
    batch.last_height = report.heights;
    batch.state_changes = chain.entries().map(|(key, value)| (key.to_vec(), Some(value.to_vec()))).collect();
    store.database.commit(&batch)?;
    Ok(report)
}

/// Adds a height to what is committed next; about how many bytes that makes.
fn add(batch: &mut Batch, decided: &Decided, proof: Option<&Proof>, applied: &Applied) -> usize {
    let (height, record) = (applied.height, codec::encode(decided));
    let proof = proof.map(codec::encode);
    let undo = applied.undo.clone();
    let lengths = [&proof, &undo].into_iter().flatten().map(Vec::len);
    let bytes = record.len() + lengths.sum::<usize>();
    batch.blocks.push((height, record.into()));
    batch.proofs.extend(proof.map(|proof| (height, proof)));
    batch.undo.extend(undo.map(|undo| (height, undo)));
    batch.undo_from = applied.undo_from;
    for (position, id) in (0..).zip(&applied.transactions) {
        batch.transactions.push((id.0, TransactionLocation { height, position }));
    }
    batch.last_height = height;
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::archive::verify::tests::{genesis, network};

    #[test]
    fn a_good_archive_fills_a_fresh_home_once() {
        let home = tempfile::tempdir().unwrap();
        let archive = network().archive();
        let report = import(home.path(), genesis(), archive.as_slice(), |_, _| {}).unwrap();
        assert_eq!(report.heights, 6);
        assert!(!home.path().join(PARTIAL).exists());
        let again = import(home.path(), genesis(), archive.as_slice(), |_, _| {});
        assert!(matches!(again, Err(ImportError::NotFresh(_))));
        Store::open(home.path(), genesis().network_id().0).unwrap();
    }

    #[test]
    fn a_bad_archive_leaves_the_home_as_it_was() {
        let home = tempfile::tempdir().unwrap();
        let mut archive = network().archive();
        let last = archive.len() - 1;
        archive[last] ^= 1;
        assert!(matches!(
            import(home.path(), genesis(), archive.as_slice(), |_, _| {}),
            Err(ImportError::Verify(_))
        ));
        assert!(PARTS.iter().chain([&PARTIAL]).all(|part| !home.path().join(part).exists()));
    }
}
