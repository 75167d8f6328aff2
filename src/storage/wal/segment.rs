//! Segment files: their names, and how one comes to be.

use super::{SEGMENT_BYTES, WalError, io_error, record::SegmentHeader};
use crate::storage::{
    NetworkId,
    disk::{FileSystem, LogFile},
};
use std::path::{Path, PathBuf};

/// Name of the file that becomes the next segment.
const SPARE: &str = "wal-next.spare";

/// Bytes that are zeroed with one write.
const ZERO_BYTES: usize = 256 << 10;

/// A segment that is being written.
pub(super) struct Segment {
    pub(super) file: Box<dyn LogFile>,
    pub(super) path: PathBuf,
    pub(super) salt: u64,
}

/// Path of the segment whose first record has this sequence.
pub(super) fn path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("wal-{first:020}.log"))
}

/// The first sequence that a segment's name states; none if the file is no segment.
pub(super) fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("wal-")?.strip_suffix(".log")?;
    digits.parse().ok().filter(|&first| path(Path::new(""), first) == Path::new(name))
}

/// Makes a zero-filled file, all of it durable, that becomes a segment with [`begin`].
pub(super) fn make_spare(directory: &Path, files: &dyn FileSystem) -> Result<Box<dyn LogFile>, WalError> {
    let path = directory.join(SPARE);
    let mut file = files.open(&path).map_err(|error| io_error("make", &path, error))?;
    zero(file.as_mut(), 0, SEGMENT_BYTES).map_err(|error| io_error("make", &path, error))?;
    Ok(file)
}

/// Writes zeros and makes them durable.
pub(super) fn zero(file: &mut dyn LogFile, from: usize, to: usize) -> std::io::Result<()> {
    let zeros = vec![0; ZERO_BYTES.min(to - from)];
    let mut offset = from;
    while offset < to {
        let length = zeros.len().min(to - offset);
        file.write_at(offset as u64, &zeros[..length])?;
        offset += length;
    }
    file.sync()
}

/// Turns the spare file into a segment. Its header is durable before it has its name, its name before this returns.
pub(super) fn begin(
    directory: &Path,
    network: NetworkId,
    first: u64,
    mut spare: Box<dyn LogFile>,
    files: &dyn FileSystem,
) -> Result<Segment, WalError> {
    let path = path(directory, first);
    let mut salt = [0; 8];
    getrandom::fill(&mut salt).map_err(|error| WalError::Randomness(error.to_string()))?;
    let salt = u64::from_le_bytes(salt);
    let header = SegmentHeader { network, first, salt }.encode();
    spare
        .write_at(0, &header)
        .and_then(|()| spare.sync())
        .and_then(|()| files.rename(&directory.join(SPARE), &path))
        .and_then(|()| files.sync_directory(directory))
        .map_err(|error| io_error("make", &path, error))?;
    Ok(Segment { file: spare, path, salt })
}

/// Removes what an earlier run left of a spare.
pub(super) fn remove_spare(directory: &Path, files: &dyn FileSystem) -> Result<(), WalError> {
    let path = directory.join(SPARE);
    match files.remove(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_error("remove", &path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_state_the_first_sequence() {
        assert_eq!(first_of("wal-00000000000000000042.log"), Some(42));
        assert_eq!(path(Path::new("d"), 42), Path::new("d/wal-00000000000000000042.log"));
        for other in ["wal-42.log", "wal-+0000000000000000042.log", "wal-next.spare", "lock", "wal-.log"] {
            assert_eq!(first_of(other), None, "{other}");
        }
    }
}
