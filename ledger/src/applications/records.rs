//! Records: up to 32 KiB on the log, for hashes of documents, certificates and notes.
//!
//! The log itself is the store; the state keeps no copy of what a record says.

use super::{Application, Context};
use crate::{bytes::Bytes, state::View};
use serde::{Deserialize, Serialize};

/// Most bytes of data in a record.
pub const MAX_DATA_BYTES: usize = 32 << 10;

/// Most bytes in the kind of a record.
pub const MAX_KIND_BYTES: usize = 64;

/// A record on the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// What it is, for those who read it; the ledger does not interpret it.
    pub kind: String,
    /// What it says.
    pub data: Bytes,
}

/// The rules of records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The kind is empty or too long.
    #[error("a record's kind has 1 to {MAX_KIND_BYTES} bytes, found {0}")]
    Kind(usize),
    /// The data is too large.
    #[error("a record holds at most {MAX_DATA_BYTES} bytes, found {0}: put its hash on the log instead")]
    TooLarge(usize),
}

impl Record {
    /// Checks the rules, which need no state.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check(&self) -> Result<(), RecordError> {
        if !(1..=MAX_KIND_BYTES).contains(&self.kind.len()) {
            return Err(RecordError::Kind(self.kind.len()));
        }
        if self.data.0.len() > MAX_DATA_BYTES {
            return Err(RecordError::TooLarge(self.data.0.len()));
        }
        Ok(())
    }
}

/// The application.
pub struct Records;

impl Application for Records {
    type Payload = Record;
    type Refusal = RecordError;

    fn check(record: &Record, _: &Context<'_>, _: &View<'_>) -> Result<(), RecordError> {
        record.check()
    }

    fn is_final(_: &RecordError) -> bool {
        true
    }

    fn apply(_: &Record, _: &Context<'_>, _: &mut View<'_>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_bounded() {
        let record = |kind: usize, data: usize| Record { kind: "k".repeat(kind), data: Bytes(vec![0; data]) };
        assert_eq!(record(1, MAX_DATA_BYTES).check(), Ok(()));
        assert_eq!(record(1, MAX_DATA_BYTES + 1).check(), Err(RecordError::TooLarge(MAX_DATA_BYTES + 1)));
        assert_eq!(record(0, 0).check(), Err(RecordError::Kind(0)));
        assert_eq!(record(MAX_KIND_BYTES + 1, 0).check(), Err(RecordError::Kind(MAX_KIND_BYTES + 1)));
    }
}
