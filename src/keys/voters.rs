//! A folder with the keys of a poll's voters: `voter-001.key`, `voter-002.key`, …
//!
//! A folder is made once for an election and taken up again if the same election is imported once more, so that an
//! import that was broken off goes on with the same voters.

use super::{KeyError, Passphrase, PassphraseSource, create, file::create_folder, generate, load};
use conclave_ledger::keys::SecretKey;
use std::path::{Path, PathBuf};

/// The key file of voter number `number` (from 1).
pub fn path_of(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("voter-{number:03}.key"))
}

/// The keys of voters 1 to `count`, in order: those that the folder has are read, the others are made (locked if
/// there is a passphrase). `made_or_read` is called after each.
///
/// # Errors
/// When a key file cannot be read or made.
pub fn open_or_create(
    folder: &Path,
    count: usize,
    passphrase: Option<&Passphrase>,
    passphrases: &PassphraseSource,
    mut made_or_read: impl FnMut(),
) -> Result<Vec<SecretKey>, KeyError> {
    create_folder(folder).map_err(|error| KeyError::Write(folder.into(), error))?;
    let key_of = |number| {
        let path = path_of(folder, number);
        if path.exists() {
            return load(&path, passphrases);
        }
        let key = generate()?;
        create(&path, &key, passphrase)?;
        Ok(key)
    };
    (1..=count).map(|number| key_of(number).inspect(|_| made_or_read())).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_same_folder_gives_the_same_voters_again() {
        let folder = tempfile::tempdir().unwrap();
        let open = |count| {
            let keys =
                open_or_create(folder.path(), count, None, &PassphraseSource::default(), || {}).unwrap();
            keys.iter().map(SecretKey::public).collect::<Vec<_>>()
        };
        let three = open(3);
        assert_eq!(open(5)[..3], three);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 5);
        assert!(folder.path().join("voter-005.key").exists());
    }
}
