//! Signed peer records: where a node can be reached, in words that only the node itself can say.
//!
//! The format is libp2p's, so that any libp2p node could read one: a signed envelope (RFC 0002 of the libp2p
//! specifications) around a routing record (RFC 0003), both protocol buffers, in the standard domain and payload type.
//!
//! ```text
//! Envelope { public_key = 1, payload_type = 2, payload = 3, signature = 5 }
//! PeerRecord { peer_id = 1, seq = 2, addresses = 3: { multiaddr = 1 } }
//! signature over: length ‖ "libp2p-peer-record" ‖ length ‖ 0x0301 ‖ length ‖ payload
//! ```
//! Only Ed25519 keys are known here, and their signatures are checked under the ledger's rules (ZIP-215). Everything
//! is bounded before it is read, and what is read twice must agree: the key of the envelope is the peer of the record.

pub mod multiaddr;
mod protobuf;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use crate::peer::Peer;
use conclave_ledger::keys::{PublicKey, SecretKey, Signature};
use protobuf::{Fields, Malformed, Value, put_bytes, put_number, put_varint};
use std::sync::Arc;

/// Most bytes of a record in its envelope.
pub const MAX_RECORD_BYTES: usize = 4 << 10;

/// Most addresses in a record.
pub const MAX_ADDRESSES: usize = 16;

/// Longest address in a record, in bytes of its binary form.
pub const MAX_ADDRESS_BYTES: usize = 192;

const DOMAIN: &[u8] = b"libp2p-peer-record";
const PAYLOAD_TYPE: &[u8] = &[0x03, 0x01];
/// An Ed25519 key as a protocol buffer, before its 32 bytes.
const KEY_PREFIX: [u8; 4] = [0x08, 0x01, 0x12, 0x20];
/// A peer id that holds such a key, before the key: the identity multihash of 36 bytes.
const IDENTITY_PREFIX: [u8; 2] = [0x00, 0x24];

/// A record whose signature holds.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerRecord {
    peer: Peer,
    sequence: u64,
    addresses: Vec<String>,
    envelope: Arc<[u8]>,
}

/// Why bytes are no signed record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Longer than allowed.
    #[error("it has {0} bytes, more than the {MAX_RECORD_BYTES} allowed")]
    TooLong(usize),
    /// No protocol buffer, or one with a field twice or missing.
    #[error("it is malformed")]
    Malformed,
    /// Another kind of key than Ed25519.
    #[error("its key is no Ed25519 key")]
    ForeignKeyType,
    /// Another kind of envelope.
    #[error("its envelope holds something else than a peer record")]
    ForeignPayload,
    /// The signature is not of the key over the payload.
    #[error("its signature does not hold")]
    BadSignature,
    /// The key that signed is not that of the peer.
    #[error("it is signed by another key than that of the peer it speaks of")]
    SignedByAnother,
    /// More or longer addresses than allowed.
    #[error("it has more than {MAX_ADDRESSES} addresses, or one of more than {MAX_ADDRESS_BYTES} bytes")]
    TooManyAddresses,
}

impl From<Malformed> for RecordError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// The peer id that holds an Ed25519 key.
pub fn peer_of_key(key: &PublicKey) -> Peer {
    let bytes = [IDENTITY_PREFIX.as_slice(), &KEY_PREFIX, &key.0].concat();
    Peer::from_bytes(&bytes).expect("38 bytes are a peer id")
}

impl PeerRecord {
    /// Whom it is about, and who signed it.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Grows with each record of a peer: the largest is the one that holds.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The addresses that this node could dial, as text.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// The record in its envelope, to be passed on.
    pub fn envelope(&self) -> &Arc<[u8]> {
        &self.envelope
    }

    /// Signs a record of `addresses` (binary multiaddrs); those too many or too long are left out.
    pub fn sign(key: &SecretKey, sequence: u64, addresses: &[Vec<u8>]) -> Self {
        let public = key.public();
        let peer = peer_of_key(&public);
        let fitting = addresses.iter().filter(|address| address.len() <= MAX_ADDRESS_BYTES);
        let fitting: Vec<&Vec<u8>> = fitting.take(MAX_ADDRESSES).collect();
        let mut payload = Vec::new();
        put_bytes(&mut payload, 1, peer.as_bytes());
        put_number(&mut payload, 2, sequence);
        for address in &fitting {
            let mut info = Vec::new();
            put_bytes(&mut info, 1, address);
            put_bytes(&mut payload, 3, &info);
        }
        let signature = key.sign(&signed_bytes(&payload));
        let mut envelope = Vec::new();
        put_bytes(&mut envelope, 1, &[KEY_PREFIX.as_slice(), &public.0].concat());
        put_bytes(&mut envelope, 2, PAYLOAD_TYPE);
        put_bytes(&mut envelope, 3, &payload);
        put_bytes(&mut envelope, 5, &signature.0);
        let addresses = fitting.iter().filter_map(|address| multiaddr::text_of(address)).collect();
        Self { peer, sequence, addresses, envelope: envelope.into() }
    }

    /// Reads a record and checks its signature.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(RecordError::TooLong(bytes.len()));
        }
        let envelope = Envelope::read(bytes)?;
        let key = envelope.public_key.strip_prefix(&KEY_PREFIX).and_then(|key| key.try_into().ok());
        let key = PublicKey(key.ok_or(RecordError::ForeignKeyType)?);
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(RecordError::ForeignPayload);
        }
        let signature = envelope.signature.try_into().map_err(|_| RecordError::BadSignature)?;
        if !key.verify(&signed_bytes(envelope.payload), &Signature(signature)) {
            return Err(RecordError::BadSignature);
        }
        let (peer, sequence, addresses) = read_payload(envelope.payload)?;
        if peer != peer_of_key(&key).as_bytes() {
            return Err(RecordError::SignedByAnother);
        }
        Ok(Self { peer: peer_of_key(&key), sequence, addresses, envelope: bytes.into() })
    }
}

impl std::fmt::Debug for PeerRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PeerRecord({:?}, {}, {:?})", self.peer, self.sequence, self.addresses)
    }
}

fn signed_bytes(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 32);
    for part in [DOMAIN, PAYLOAD_TYPE, payload] {
        put_varint(&mut bytes, part.len() as u64);
        bytes.extend_from_slice(part);
    }
    bytes
}

struct Envelope<'a> {
    public_key: &'a [u8],
    payload_type: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Envelope<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let mut parts: [Option<&[u8]>; 4] = [None; 4];
        for field in Fields(bytes) {
            let slot = match field? {
                (number @ 1..=3, Value::Bytes(value)) => (number as usize - 1, value),
                (5, Value::Bytes(value)) => (3, value),
                _ => return Err(RecordError::Malformed),
            };
            if parts[slot.0].replace(slot.1).is_some() {
                return Err(RecordError::Malformed);
            }
        }
        match parts {
            [Some(public_key), Some(payload_type), Some(payload), Some(signature)] => {
                Ok(Self { public_key, payload_type, payload, signature })
            }
            _ => Err(RecordError::Malformed),
        }
    }
}

/// Peer id, sequence and the addresses that have a text.
fn read_payload(payload: &[u8]) -> Result<(&[u8], u64, Vec<String>), RecordError> {
    // Numbers that are 0 are not written.
    let (mut peer, mut sequence, mut addresses, mut count) = (None, 0, Vec::new(), 0);
    for field in Fields(payload) {
        match field? {
            (1, Value::Bytes(id)) if peer.is_none() => peer = Some(id),
            (2, Value::Number(number)) => sequence = number,
            (3, Value::Bytes(info)) => {
                count += 1;
                let address = match Fields(info).next().transpose()? {
                    Some((1, Value::Bytes(address))) => address,
                    _ => return Err(RecordError::Malformed),
                };
                if count > MAX_ADDRESSES || address.len() > MAX_ADDRESS_BYTES {
                    return Err(RecordError::TooManyAddresses);
                }
                addresses.extend(multiaddr::text_of(address));
            }
            _ => return Err(RecordError::Malformed),
        }
    }
    Ok((peer.ok_or(RecordError::Malformed)?, sequence, addresses))
}
