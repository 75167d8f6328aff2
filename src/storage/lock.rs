//! The lock of a home directory: two processes that share one could sign twice with one key.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

/// Name of the lock file in the home directory.
const FILE: &str = "lock";

/// Longest process id that is read from a lock file, in bytes.
const MAX_PROCESS_ID_BYTES: u64 = 20;

/// Why a home directory cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error(
        "{} is in use by the process {holder}: stop it first, or name another home directory",
        .home.display()
    )]
    Held {
        /// The home directory.
        home: PathBuf,
        /// The other process's id, or a word saying that it is not known.
        holder: String,
    },
    /// The lock file cannot be used.
    #[error("cannot use the lock file {}: {source}; check that the directory exists and is yours to write", .path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// An exclusive hold of a home directory; let go when dropped, and by the system when the process ends in any way.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the lock of `home`, without waiting.
    ///
    /// # Errors
    /// [`LockError::Held`] if another process (or this one) has it.
    pub fn acquire(home: &Path) -> Result<Self, LockError> {
        let path = home.join(FILE);
        let failed = |source| LockError::Io { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held { home: home.into(), holder: holder(&file) });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // The id is for people only; the lock itself is what excludes.
        file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
        write!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// The process id in a lock file.
fn holder(file: &File) -> String {
    let mut text = String::new();
    let read = file.take(MAX_PROCESS_ID_BYTES).read_to_string(&mut text);
    match read {
        Ok(_) if !text.trim().is_empty() => text.trim().into(),
        _ => "(id unknown)".into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_held_once_and_the_error_names_the_holder() {
        let home = tempfile::tempdir().unwrap();
        let lock = DirectoryLock::acquire(home.path()).unwrap();
        let error = DirectoryLock::acquire(home.path()).unwrap_err();
        assert!(
            matches!(&error, LockError::Held { holder, .. } if *holder == std::process::id().to_string())
        );
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        drop(lock);
        DirectoryLock::acquire(home.path()).unwrap();
    }

    #[test]
    fn a_missing_home_is_an_error_that_names_the_file() {
        let home = tempfile::tempdir().unwrap();
        let error = DirectoryLock::acquire(&home.path().join("absent")).unwrap_err();
        assert!(error.to_string().contains("absent/lock"), "{error}");
    }
}
