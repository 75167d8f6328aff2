//! The file of the next segment, made on a thread of its own: zeroing and syncing it takes the disk some
//! milliseconds, or a hundred when it is busy, and no append is to wait for that.

use super::{WalError, io_error, segment};
use crate::storage::disk::{FileSystem, LogFile};
use std::{
    path::Path,
    sync::Arc,
    thread::{Builder, JoinHandle},
};

type File = Box<dyn LogFile>;

/// The file of the next segment, as far as it is.
#[derive(Default)]
pub(super) struct Spare(State);

#[derive(Default)]
enum State {
    /// There is none.
    #[default]
    Absent,
    /// A thread makes it.
    InTheMaking(JoinHandle<Result<File, WalError>>),
    /// It is there.
    Made(File),
}

impl Spare {
    /// Begins to make the file, unless it is there or being made.
    ///
    /// # Errors
    /// That of the last try, after which the next call begins anew.
    pub(super) fn begin(&mut self, directory: &Path, files: &Arc<dyn FileSystem>) -> Result<(), WalError> {
        match &self.0 {
            State::Absent => {
                let (owned, files) = (directory.to_owned(), files.clone());
                let thread = Builder::new().name("wal-segment".into());
                let thread = thread.spawn(move || segment::make_spare(&owned, files.as_ref()));
                self.0 = State::InTheMaking(thread.map_err(|error| io_error("make", directory, error))?);
                Ok(())
            }
            State::InTheMaking(thread) if thread.is_finished() => self.finish(),
            State::InTheMaking(_) | State::Made(_) => Ok(()),
        }
    }

    /// Waits for a file that is being made.
    ///
    /// # Errors
    /// When it could not be made.
    pub(super) fn finish(&mut self) -> Result<(), WalError> {
        self.0 = match std::mem::take(&mut self.0) {
            State::InTheMaking(thread) => match thread.join() {
                Ok(made) => State::Made(made?),
                // The panic was printed; whoever needs the file makes it.
                Err(_) => State::Absent,
            },
            other => other,
        };
        Ok(())
    }

    /// The file, once it is whole and durable; none if it is not being made or could not be.
    pub(super) fn take(&mut self) -> Option<File> {
        // Whoever needs the file makes it, and then has the error.
        let _ = self.finish();
        match std::mem::take(&mut self.0) {
            State::Made(file) => Some(file),
            _ => None,
        }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        // What was made is removed when the log is opened again, and by then nobody may write to it.
        let _ = self.finish();
    }
}
