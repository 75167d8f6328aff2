//! How a record and a segment's header look in the file. All integers are little-endian.
//!
//! ```text
//! segment   header (64 bytes), records, zeros up to SEGMENT_BYTES
//! header    magic [8]  version u32  network id [32]  first sequence u64  salt u64  crc32 u32
//! record    length u32  crc32 u32  sequence u64  synced u64  payload [length]
//! mark      a record without payload whose length is MARK: everything up to `synced` was durable when it was written
//! ```
//!
//! `synced` is the highest sequence that was known durable when the record was encoded; replay uses it to tell a torn
//! write from damage. The checksum of a record covers all its other fields and the payload, and starts with the
//! segment's salt, which is random: a payload chosen by somebody else cannot pose as a record.

use super::{MAX_RECORD_BYTES, SEGMENT_BYTES};
use crate::storage::NetworkId;

/// First bytes of every segment.
pub(super) const MAGIC: [u8; 8] = *b"CONCLWAL";

/// Version of the format.
pub(super) const VERSION: u32 = 1;

/// Bytes of a segment's header.
pub(super) const SEGMENT_HEADER_BYTES: usize = 64;

/// Bytes of a record before its payload.
pub(super) const RECORD_HEADER_BYTES: usize = 24;

/// Length that says "a mark, not a record".
const MARK: u32 = u32::MAX;

/// What a segment's header states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) network: NetworkId,
    pub(super) first: u64,
    pub(super) salt: u64,
}

/// Why a segment's header cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    Magic,
    Version(u32),
    Checksum,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..44].copy_from_slice(&self.network);
        bytes[44..52].copy_from_slice(&self.first.to_le_bytes());
        bytes[52..60].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> Result<Self, HeaderError> {
        if bytes[0..8] != MAGIC {
            return Err(HeaderError::Magic);
        }
        if u32_at(bytes, 60) != crc32fast::hash(&bytes[..60]) {
            return Err(HeaderError::Checksum);
        }
        match u32_at(bytes, 8) {
            VERSION => {}
            version => return Err(HeaderError::Version(version)),
        }
        let mut network = [0; 32];
        network.copy_from_slice(&bytes[12..44]);
        Ok(Self { network, first: u64_at(bytes, 44), salt: u64_at(bytes, 52) })
    }
}

/// What stands at a place in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Record { sequence: u64, synced: u64, payload: &'a [u8] },
    Mark { synced: u64 },
}

impl Found<'_> {
    /// The highest sequence that it says was durable.
    pub(super) fn synced(&self) -> u64 {
        match self {
            Self::Record { synced, .. } | Self::Mark { synced } => *synced,
        }
    }
}

/// Appends a record to `buffer`. The caller has checked the payload's length.
pub(super) fn encode_record(buffer: &mut Vec<u8>, salt: u64, sequence: u64, synced: u64, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("the caller bounds a payload by MAX_RECORD_BYTES");
    encode(buffer, salt, length, sequence, synced, payload);
}

/// A mark: everything up to `synced` is durable.
pub(super) fn encode_mark(salt: u64, synced: u64) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(RECORD_HEADER_BYTES);
    encode(&mut buffer, salt, MARK, synced, synced, &[]);
    buffer
}

fn encode(buffer: &mut Vec<u8>, salt: u64, length: u32, sequence: u64, synced: u64, payload: &[u8]) {
    let length = length.to_le_bytes();
    let (sequence, synced) = (sequence.to_le_bytes(), synced.to_le_bytes());
    let crc = checksum(salt, [&length, &sequence, &synced, payload]);
    buffer.extend_from_slice(&length);
    buffer.extend_from_slice(&crc.to_le_bytes());
    buffer.extend_from_slice(&sequence);
    buffer.extend_from_slice(&synced);
    buffer.extend_from_slice(payload);
}

/// The record or mark at `offset` of a segment's bytes, if a whole and sound one is there.
pub(super) fn decode(segment: &[u8], salt: u64, offset: usize) -> Option<Found<'_>> {
    let header = segment.get(offset..offset.checked_add(RECORD_HEADER_BYTES)?)?;
    let (length, crc) = (u32_at(header, 0), u32_at(header, 4));
    let (sequence, synced) = (u64_at(header, 8), u64_at(header, 16));
    // Cheap checks first: damage makes replay look at every byte of a segment.
    let payload_length = match length {
        MARK if sequence == synced => 0,
        length if synced < sequence => usize::try_from(length).ok()?,
        _ => return None,
    };
    if payload_length > MAX_RECORD_BYTES {
        return None;
    }
    let start = offset + RECORD_HEADER_BYTES;
    let payload = segment.get(start..start + payload_length)?;
    if crc != checksum(salt, [&header[0..4], &header[8..16], &header[16..24], payload]) {
        return None;
    }
    Some(match length {
        MARK => Found::Mark { synced },
        _ => Found::Record { sequence, synced, payload },
    })
}

/// Whether a record with this payload fits a segment at `offset`.
pub(super) fn fits(offset: usize, payload: usize) -> bool {
    offset + RECORD_HEADER_BYTES + payload <= SEGMENT_BYTES
}

fn checksum(salt: u64, parts: [&[u8]; 4]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_le_bytes(number)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(number)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn records_and_marks_read_back() {
        let mut bytes = Vec::new();
        encode_record(&mut bytes, 7, 3, 2, b"abc");
        let next = bytes.len();
        bytes.extend(encode_mark(7, 3));
        assert_eq!(decode(&bytes, 7, 0), Some(Found::Record { sequence: 3, synced: 2, payload: b"abc" }));
        assert_eq!(decode(&bytes, 7, next), Some(Found::Mark { synced: 3 }));
        assert_eq!(decode(&bytes, 8, 0), None, "another salt");
        assert_eq!(decode(&bytes, 7, usize::MAX), None);
        assert_eq!(decode(&[0; 64], 7, 0), None, "zeros are no record");
    }

    #[test]
    fn every_flipped_byte_of_a_record_and_a_header_is_seen() {
        let mut record = Vec::new();
        encode_record(&mut record, 7, 3, 2, b"payload");
        for place in 0..record.len() {
            let mut changed = record.clone();
            changed[place] ^= 0x40;
            assert_eq!(decode(&changed, 7, 0), None, "byte {place}");
        }
        let header = SegmentHeader { network: [9; 32], first: 12, salt: 7 };
        assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
        for place in 0..SEGMENT_HEADER_BYTES {
            let mut changed = header.encode();
            changed[place] ^= 0x40;
            SegmentHeader::decode(&changed).unwrap_err();
        }
    }
}
