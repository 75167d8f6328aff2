//! What can be wrong with a write-ahead log, and what to do about it.

use std::{io, path::PathBuf};

/// Why the write-ahead log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WalError {
    /// The system refuses an operation.
    #[error("cannot {action} {}: {source}; check the disk and the directory's permissions, then start again", .path.display())]
    Io {
        /// What was being done: "read", "write", …
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The disk is full.
    #[error("no space is left on the disk for {}: free some, then start again; what was acknowledged is safe", .path.display())]
    NoSpace {
        /// The file that could not be written.
        path: PathBuf,
    },
    /// An acknowledged record cannot be read.
    #[error(
        "{} is damaged at byte {offset}: {reason}. Restore this file from a copy made after the node last stopped. \
         Without one, do not go on with this validator key: what it signed is lost with the log, so it could sign a \
         second vote. Remove the home directory and let the node catch up with a NEW validator key",
        .path.display()
    )]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// Part of the log is not there.
    #[error(
        "the write-ahead log in {} is incomplete: {reason}. Restore the directory from a copy made after the node last \
         stopped. Without one, do not go on with this validator key: what it signed is lost with the log, so it could \
         sign a second vote. Remove the home directory and let the node catch up with a NEW validator key",
        .directory.display()
    )]
    Missing {
        /// The log's directory.
        directory: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// The file is not a segment of a log.
    #[error("{} is not a segment of a write-ahead log, or its first bytes are damaged: move it away if it is not the node's, otherwise restore it from a copy made after the node last stopped", .path.display())]
    NotALog {
        /// The file.
        path: PathBuf,
    },
    /// The segment was written by another version.
    #[error("{} has format version {found}, and this program reads {supported}: use the program that wrote it", .path.display())]
    Version {
        /// The segment.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version that is read here.
        supported: u32,
    },
    /// The segment belongs to another network.
    #[error("{} belongs to another network ({found}): name the home directory of this network, or its genesis file", .path.display())]
    ForeignNetwork {
        /// The segment.
        path: PathBuf,
        /// The network id that it states, in hexadecimal.
        found: String,
    },
    /// The record is too long.
    #[error("a record of {length} bytes is too long for the write-ahead log: the bound is {bound}")]
    TooLong {
        /// The record's length in bytes.
        length: usize,
        /// The bound in bytes.
        bound: usize,
    },
    /// An earlier write failed; nothing is known about what is on disk.
    #[error(
        "the write-ahead log takes no more records because an earlier write failed ({first}): solve that, then start the node again"
    )]
    Poisoned {
        /// The first error.
        first: String,
    },
    /// The system has no randomness for a new segment.
    #[error("the system gives no random numbers: {0}")]
    Randomness(String),
}
