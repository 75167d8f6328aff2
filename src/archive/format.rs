//! The entries of an archive, written and read within bounds.

use conclave_ledger::{
    block::Decided,
    codec::{self, DecodeError},
    hash::{Hash, NetworkId},
    proof::Proof,
    signed::Height,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};

/// First bytes of every archive.
pub const MAGIC: &[u8] = b"conclave archive 1\n";

/// Version of the format.
pub const FORMAT: u32 = 1;

/// Longest entry, in bytes: a block with the largest body and proofs that any genesis file allows.
pub const MAX_ENTRY_BYTES: usize = 128 << 20;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Entry {
    /// What follows.
    Begin {
        /// [`FORMAT`].
        format: u32,
        /// The network.
        network: NetworkId,
        /// First height, always 1.
        from: Height,
        /// Last height; 0 if nothing is decided yet.
        to: Height,
    },
    /// A decided height.
    Height(Decided),
    /// Where the chain stands after the last height.
    Tip(Tip),
    /// Nothing follows.
    End {
        /// Number of heights.
        heights: u64,
        /// SHA-256 of every byte before this entry's length.
        digest: Hash,
    },
}

/// Where a chain stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tip {
    /// The last height.
    pub height: Height,
    /// Hash of its record.
    pub hash: Hash,
    /// Hash of the state after it.
    pub state: Hash,
    /// Proofs of the heights from the last block's on, ascending.
    pub proofs: Vec<Proof>,
}

/// Why bytes are no archive.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// It cannot be read.
    #[error("the archive cannot be read")]
    Read(#[source] io::Error),
    /// It begins otherwise.
    #[error("this is not an archive of this version: it does not begin with \"conclave archive 1\"")]
    Magic,
    /// It stops in the middle.
    #[error("the archive is cut short: it ends after {0} bytes, before its last entry")]
    CutShort(u64),
    /// An entry that is none.
    #[error("the entry at byte {offset} is {error}")]
    Entry {
        /// Where its length is.
        offset: u64,
        /// What is wrong.
        error: DecodeError,
    },
    /// Something follows the end.
    #[error("there are more bytes after the end of the archive, at byte {0}")]
    Trailing(u64),
    /// The bytes are not those that were written.
    #[error("the digest at the end is not that of the bytes before: the archive was changed or damaged")]
    Digest,
}

/// Writes the entries of an archive.
pub struct Writer<W> {
    inner: W,
    digest: Sha256,
}

impl<W: Write> Writer<W> {
    /// Begins an archive.
    ///
    /// # Errors
    /// As `inner`.
    pub fn new(inner: W) -> io::Result<Self> {
        let mut writer = Self { inner, digest: Sha256::new() };
        writer.put(MAGIC)?;
        Ok(writer)
    }

    /// Writes an entry.
    ///
    /// # Errors
    /// As the writer below.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let bytes = codec::encode(entry);
        self.put(&(bytes.len() as u32).to_be_bytes())?;
        self.put(&bytes)
    }

    /// Writes the end, and hands back what was written to.
    ///
    /// # Errors
    /// As the writer below.
    pub fn finish(mut self, heights: u64) -> io::Result<W> {
        let digest = Hash(self.digest.clone().finalize().into());
        self.write(&Entry::End { heights, digest })?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.inner.write_all(bytes)
    }
}

/// Reads the entries of an archive.
pub struct Reader<R> {
    inner: R,
    digest: Sha256,
    offset: u64,
}

impl<R: Read> Reader<R> {
    /// Begins to read.
    ///
    /// # Errors
    /// When it is no archive.
    pub fn new(inner: R) -> Result<Self, FormatError> {
        let mut reader = Self { inner, digest: Sha256::new(), offset: 0 };
        let magic = reader.take(MAGIC.len()).map_err(|error| match error {
            FormatError::CutShort(_) => FormatError::Magic,
            error => error,
        })?;
        if magic != MAGIC {
            return Err(FormatError::Magic);
        }
        Ok(reader)
    }

    /// The next entry. After the end, which is checked against the bytes before, nothing may follow.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn read(&mut self) -> Result<Entry, FormatError> {
        let offset = self.offset;
        let before = self.digest.clone();
        let length = self.take(4)?;
        let length = u32::from_be_bytes(length.try_into().expect("four bytes were read")) as usize;
        let fail = |error| FormatError::Entry { offset, error };
        if length > MAX_ENTRY_BYTES {
            return Err(fail(DecodeError::TooLong { length, limit: MAX_ENTRY_BYTES }));
        }
        let entry = codec::decode(&self.take(length)?, MAX_ENTRY_BYTES).map_err(fail)?;
        if let Entry::End { digest, .. } = &entry {
            if digest.0 != <[u8; 32]>::from(before.finalize()) {
                return Err(FormatError::Digest);
            }
            if self.inner.read(&mut [0]).map_err(FormatError::Read)? != 0 {
                return Err(FormatError::Trailing(self.offset));
            }
        }
        Ok(entry)
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Exactly `length` bytes; memory grows with what arrives, not with what is announced.
    fn take(&mut self, length: usize) -> Result<Vec<u8>, FormatError> {
        let mut bytes = Vec::new();
        self.inner.by_ref().take(length as u64).read_to_end(&mut bytes).map_err(FormatError::Read)?;
        self.offset += bytes.len() as u64;
        if bytes.len() < length {
            return Err(FormatError::CutShort(self.offset));
        }
        self.digest.update(&bytes);
        Ok(bytes)
    }
}
