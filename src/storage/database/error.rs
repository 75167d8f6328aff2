//! What can be wrong with the database, and what to do about it.

use crate::storage::disk::is_full;
use std::{
    io,
    path::{Path, PathBuf},
};

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// There is no such file.
    #[error(
        "{} does not exist, although the home was in use before: restore it from a copy made after the node last \
         stopped. Without one, remove the home directory and let the node catch up from \
         its peers; a validator needs a NEW key then, since what it signed is lost with the log, and it could sign a \
         second vote",
        .0.display()
    )]
    Absent(PathBuf),
    /// There is one already.
    #[error("{} exists already, and is never overwritten", .0.display())]
    Exists(PathBuf),
    /// Another process has it open.
    #[error("{} is in use by another process: stop that first", .0.display())]
    InUse(PathBuf),
    /// The system refuses an operation.
    #[error("cannot use {}: {source}; check the disk and the file's permissions, then start again", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The disk is full.
    #[error("no space is left on the disk for {}: free some, then start again; what was committed is safe", .0.display())]
    NoSpace(PathBuf),
    /// The content does not match its checksums, or is no database.
    #[error(
        "{} is damaged: {reason}. Restore it from a backup made after the node last stopped. Without one, remove the home directory and let the node catch up from \
         its peers; a validator needs a NEW key then, since what it signed is lost with the log, and it could sign a \
         second vote",
        .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The database was written by another version.
    #[error("{} has format version {found}, and this program reads {supported}: use the program that wrote it", .path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version that is read here.
        supported: u32,
    },
    /// The database belongs to another network.
    #[error("{} belongs to another network ({found}): name the home directory of this network, or its genesis file", .path.display())]
    ForeignNetwork {
        /// The file.
        path: PathBuf,
        /// The network id that it states, in hexadecimal.
        found: String,
    },
    /// An earlier commit failed; nothing is known about what is on disk.
    #[error("{} takes no more commits because an earlier one failed ({first}): solve that, then start the node again", .path.display())]
    Poisoned {
        /// The file.
        path: PathBuf,
        /// The first error.
        first: String,
    },
}

impl DatabaseError {
    pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.into(), reason: reason.into() }
    }

    pub(in crate::storage) fn io(path: &Path, source: io::Error) -> Self {
        if is_full(&source) {
            return Self::NoSpace(path.into());
        }
        Self::Io { path: path.into(), source }
    }

    /// What redb's error means for the file at `path`.
    pub(super) fn from_redb(path: &Path, error: impl Into<redb::Error>) -> Self {
        match error.into() {
            redb::Error::DatabaseAlreadyOpen => Self::InUse(path.into()),
            redb::Error::Io(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
                Self::damaged(path, "it ends too early")
            }
            redb::Error::Io(source) if source.kind() == io::ErrorKind::InvalidData => {
                Self::damaged(path, source.to_string())
            }
            redb::Error::Io(source) => Self::io(path, source),
            redb::Error::PreviousIo => Self::Io {
                path: path.into(),
                source: io::Error::other("an earlier operation on the file failed"),
            },
            error => Self::damaged(path, error.to_string()),
        }
    }
}
