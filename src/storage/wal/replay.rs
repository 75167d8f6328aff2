//! Reading a log back: every record in order, torn ends cut off, damage reported.

use super::{
    Cut, Record, Replay, SEGMENT_BYTES, WalError, io_error,
    record::{self, Found, HeaderError, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader},
    segment::{self, Segment},
};
use crate::storage::{NetworkId, disk::FileSystem};
use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

/// Largest number that a segment may begin with. A log that takes a million records a second is there after 292,000
/// years; behind it, there is room for the numbers of a segment's records.
const MAX_FIRST: u64 = u64::MAX >> 1;

/// Where a log goes on.
pub(super) struct Last {
    pub(super) firsts: VecDeque<u64>,
    pub(super) active: Segment,
    pub(super) offset: usize,
    pub(super) next: u64,
}

/// One segment's content, its header checked.
struct Content {
    path: PathBuf,
    bytes: Vec<u8>,
    header: SegmentHeader,
}

/// Reads all segments. Whatever it returns is durable, names included: a process that died may have left it in the
/// system's memory only.
pub(super) fn replay(
    directory: &Path,
    network: &NetworkId,
    files: &dyn FileSystem,
) -> Result<(Option<Last>, Replay), WalError> {
    let names = files.list(directory).map_err(|error| io_error("list", directory, error))?;
    let mut firsts: Vec<u64> = names.iter().filter_map(|name| segment::first_of(name)).collect();
    firsts.sort_unstable();
    let mut replay = Replay::default();
    let Some(&oldest) = firsts.first() else { return Ok((None, replay)) };

    let mut next = oldest;
    let mut last = None;
    for (index, &first) in firsts.iter().enumerate() {
        let content = read(directory, first, network, files)?;
        if first != next {
            return Err(damaged(&content.path, 44, format!("it begins with record {first}, not {next}")));
        }
        let end = read_records(&content, &mut next, &mut replay.records);
        // All records before the next segment were durable before that one was begun.
        let following = firsts.get(index + 1).copied();
        let durable = following.map_or(0, |first| first - 1).max(highest_synced(&content, end));
        if durable >= next {
            return Err(lost(directory, &content, end, next, durable));
        }
        let mut file = files.open(&content.path).map_err(|error| io_error("open", &content.path, error))?;
        if let Some(length) = end.remains {
            let made = segment::zero(file.as_mut(), end.offset, end.offset + length);
            made.map_err(|error| io_error("write", &content.path, error))?;
            replay.cuts.push(Cut {
                file: content.path.clone(),
                offset: end.offset as u64,
                length: length as u64,
            });
        }
        file.sync().map_err(|error| io_error("sync", &content.path, error))?;
        last = Some((Segment { file, path: content.path, salt: content.header.salt }, end.offset));
    }
    files.sync_directory(directory).map_err(|error| io_error("sync", directory, error))?;
    let last = last.map(|(active, offset)| Last { firsts: firsts.into(), active, offset, next });
    Ok((last, replay))
}

/// Reads a segment and checks its header and length.
fn read(
    directory: &Path,
    first: u64,
    network: &NetworkId,
    files: &dyn FileSystem,
) -> Result<Content, WalError> {
    let path = segment::path(directory, first);
    let bytes = files.read(&path).map_err(|error| io_error("read", &path, error))?;
    let Some(header) = bytes.first_chunk::<SEGMENT_HEADER_BYTES>() else {
        return Err(damaged(&path, bytes.len(), "the file ends here, within its header".into()));
    };
    let header = match SegmentHeader::decode(header) {
        Ok(header) => header,
        Err(HeaderError::Magic) => return Err(WalError::NotALog { path }),
        Err(HeaderError::Version(found)) => {
            return Err(WalError::Version { path, found, supported: record::VERSION });
        }
        Err(HeaderError::Checksum) => {
            return Err(damaged(&path, 0, "the header does not match its checksum".into()));
        }
    };
    if header.network != *network {
        let found = header.network.iter().map(|byte| format!("{byte:02x}")).collect();
        return Err(WalError::ForeignNetwork { path, found });
    }
    if header.first != first {
        return Err(damaged(
            &path,
            44,
            format!("the header is that of the segment of record {}", header.first),
        ));
    }
    if !(1..=MAX_FIRST).contains(&first) {
        let reason = format!("it begins with record {first}, and records have numbers from 1 to {MAX_FIRST}");
        return Err(damaged(&path, 44, reason));
    }
    if bytes.len() != SEGMENT_BYTES {
        let reason = format!("the file has {} bytes instead of {SEGMENT_BYTES}", bytes.len());
        return Err(damaged(&path, bytes.len().min(SEGMENT_BYTES), reason));
    }
    Ok(Content { path, bytes, header })
}

/// Where the readable records of a segment end, and how many bytes after that are neither zero nor a mark's.
#[derive(Clone, Copy)]
struct End {
    offset: usize,
    remains: Option<usize>,
}

/// Reads records from the start of a segment as long as they are sound and in sequence.
fn read_records(content: &Content, next: &mut u64, records: &mut Vec<Record>) -> End {
    let mut offset = SEGMENT_HEADER_BYTES;
    let mut marked = false;
    while let Some(found) = record::decode(&content.bytes, content.header.salt, offset) {
        match found {
            Found::Record { sequence, payload, .. } if sequence == *next => {
                records.push(Record { sequence, payload: payload.to_vec() });
                offset += RECORD_HEADER_BYTES + payload.len();
                *next += 1;
            }
            found => {
                marked = matches!(found, Found::Mark { synced } if synced.checked_add(1) == Some(*next));
                break;
            }
        }
    }
    let end = end_of_content(&content.bytes);
    let expected_end = if marked { offset + RECORD_HEADER_BYTES } else { offset };
    End { offset, remains: (end > expected_end).then(|| end - offset) }
}

/// Where the zeros at the end begin.
fn end_of_content(bytes: &[u8]) -> usize {
    const CHUNK: usize = 4096;
    // Whole chunks are compared at once; only the last one that holds something is looked at byte by byte.
    let zeros = bytes.rchunks(CHUNK).take_while(|chunk| **chunk == [0; CHUNK][..chunk.len()]).count();
    let rest = &bytes[..bytes.len().saturating_sub(zeros * CHUNK)];
    rest.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

/// The highest sequence that anything readable behind the records says was durable; 0 if nothing does.
fn highest_synced(content: &Content, end: End) -> u64 {
    (end.offset..end.offset + end.remains.unwrap_or(0))
        .filter_map(|place| record::decode(&content.bytes, content.header.salt, place))
        .map(|found| found.synced())
        .max()
        .unwrap_or(0)
}

/// The error for records `next` to `durable`, which were acknowledged and cannot be read.
fn lost(directory: &Path, content: &Content, end: End, next: u64, durable: u64) -> WalError {
    if end.remains.is_none() {
        let reason = format!("records {next} to {durable} are in none of its files");
        return WalError::Missing { directory: directory.into(), reason };
    }
    let reason = format!(
        "record {next} was acknowledged and cannot be read (the log goes on, with records up to {durable})"
    );
    damaged(&content.path, end.offset, reason)
}

fn damaged(path: &Path, offset: usize, reason: String) -> WalError {
    WalError::Damaged { path: path.into(), offset: offset as u64, reason }
}
