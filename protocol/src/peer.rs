//! Peers, as the machines name them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A node, by the bytes of its libp2p peer id. The machines compare these bytes and sign them, nothing more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    bytes: [u8; Self::MAX_BYTES],
    length: u8,
}

/// Bytes that are too long for a peer id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a peer id has at most {max} bytes, found {0}", max = Peer::MAX_BYTES)]
pub struct PeerTooLong(pub usize);

impl Peer {
    /// Longest peer id: an Ed25519 key as an identity multihash has 38 bytes, a SHA-256 multihash 34.
    pub const MAX_BYTES: usize = 42;

    /// No peer: its id has no bytes.
    pub(crate) const NOBODY: Self = Self { bytes: [0; Self::MAX_BYTES], length: 0 };

    /// The peer with these bytes.
    ///
    /// # Errors
    /// When there are too many.
    pub fn from_bytes(id: &[u8]) -> Result<Self, PeerTooLong> {
        let mut bytes = [0; Self::MAX_BYTES];
        bytes.get_mut(..id.len()).ok_or(PeerTooLong(id.len()))?.copy_from_slice(id);
        Ok(Self { bytes, length: id.len() as u8 })
    }

    /// The bytes of the peer id.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = self.as_bytes();
        write!(f, "Peer(…{})", conclave_ledger::bytes::to_hex(&id[id.len().saturating_sub(4)..]))
    }
}

impl Serialize for Peer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        conclave_ledger::bytes::Bytes(self.as_bytes().to_vec()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Peer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = conclave_ledger::bytes::Bytes::deserialize(deserializer)?;
        Self::from_bytes(&bytes.0).map_err(serde::de::Error::custom)
    }
}
