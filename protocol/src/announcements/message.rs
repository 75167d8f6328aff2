//! What an announcement is on its way between nodes.

use conclave_ledger::{
    bytes::Bytes,
    codec::{self, DecodeError},
    hash::Hash,
};
use serde::{Deserialize, Serialize};

/// Kind of the data, as modules number them.
pub type DataType = u16;

/// What gossipsub knows a message by: a hash of the envelope's bytes.
pub type MessageId = Hash;

/// What an announcement is known again by: a hash of data type and data, without the TTL.
pub type ContentId = Hash;

/// Most bytes of data: what fits into a message of the modules' protocol, whose header has 8 bytes.
pub const MAX_DATA_BYTES: usize = 65_535 - 8;

/// Most bytes of an envelope: the longest data, and room for the other fields and all names.
pub const MAX_ENVELOPE_BYTES: usize = MAX_DATA_BYTES + 64;

/// The envelope: what is published on the topic of its data type, as canonical CBOR. Who published it is not in it but
/// in gossipsub's own frame, signed; so the same data from two announcers is one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announcement {
    /// 0: no limit. Otherwise how many hops it may still go, that to the receiver counted.
    pub ttl: u8,
    /// Kind of the data; the same as in the topic.
    #[serde(rename = "type")]
    pub data_type: DataType,
    /// The data, at least one byte.
    pub data: Bytes,
}

impl Announcement {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads an envelope.
    ///
    /// # Errors
    /// When the bytes are not the canonical form of one, or too many.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode(bytes, MAX_ENVELOPE_BYTES)
    }

    /// What it is known again by.
    pub fn content_id(&self) -> ContentId {
        content_id(self.data_type, &self.data.0)
    }
}

/// What data of a type is known again by.
pub(super) fn content_id(data_type: DataType, data: &[u8]) -> ContentId {
    Hash::of("conclave announcement v1", &[&data_type.to_be_bytes(), data])
}

/// How far an announcement may go: more is greater, and without limit the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hops(u16);

impl Hops {
    const UNLIMITED: Self = Self(256);

    pub(super) fn of(ttl: u8) -> Self {
        if ttl == 0 { Self::UNLIMITED } else { Self(u16::from(ttl)) }
    }

    pub(super) fn is_limited(self) -> bool {
        self != Self::UNLIMITED
    }

    /// The TTL with which a receiver passes it on; `None` if it must not, or need not because it has no limit.
    pub(super) fn next(self) -> Option<u8> {
        let left = u8::try_from(self.0).ok()?;
        left.checked_sub(1).filter(|left| *left > 0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_envelope_is_in_its_bound_and_reads_back() {
        let longest = Announcement { ttl: 255, data_type: u16::MAX, data: Bytes(vec![7; MAX_DATA_BYTES]) };
        let bytes = longest.encode();
        assert!(bytes.len() <= MAX_ENVELOPE_BYTES, "{}", bytes.len());
        assert_eq!(Announcement::decode(&bytes).unwrap(), longest);
    }

    #[test]
    fn content_is_known_again_whatever_its_ttl_and_by_its_type() {
        let announcement =
            |ttl, data_type, data: &[u8]| Announcement { ttl, data_type, data: Bytes(data.into()) };
        let id = announcement(0, 1337, b"deadbeef").content_id();
        assert_eq!(id, announcement(9, 1337, b"deadbeef").content_id());
        assert_ne!(id, announcement(0, 1338, b"deadbeef").content_id());
        assert_ne!(id, announcement(0, 1337, b"deadbee").content_id());
    }

    #[test]
    fn hops_count_down_to_the_last() {
        let next: Vec<Option<u8>> = [0, 1, 2, 3, 255].map(|ttl| Hops::of(ttl).next()).into();
        assert_eq!(next, [None, None, Some(1), Some(2), Some(254)]);
        assert!(Hops::of(0) > Hops::of(255) && Hops::of(2) > Hops::of(1));
    }
}
