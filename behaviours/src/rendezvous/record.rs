//! Signed peer records: who is where, said by the peer itself.
//!
//! A record is the protobuf message `PeerRecord { peer_id = 1, seq = 2, addresses = 3 { multiaddr = 1 } }` in a libp2p
//! signed envelope (RFC 0002, RFC 0003 of the libp2p specifications).

use libp2p::{
    Multiaddr, PeerId,
    core::{PeerRecord, SignedEnvelope},
    identity::{Keypair, SigningError},
    multiaddr::Protocol,
};
use prost::Message;

/// Longest record that is read, in bytes.
pub const MAX_RECORD_BYTES: usize = 4 << 10;

/// Most addresses of a record that are kept.
pub const MAX_ADDRESSES: usize = 16;

/// Longest address that is kept, in bytes of its binary form.
pub const MAX_ADDRESS_BYTES: usize = 256;

/// What ties the signature of an envelope to peer records.
const DOMAIN: &str = "libp2p-routing-state";
const PAYLOAD_TYPE: &[u8] = b"/libp2p/routing-state-record";

#[derive(Clone, PartialEq, prost::Message)]
struct Payload {
    #[prost(bytes = "vec", tag = "1")]
    peer: Vec<u8>,
    #[prost(uint64, tag = "2")]
    sequence: u64,
    #[prost(message, repeated, tag = "3")]
    addresses: Vec<Address>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Address {
    #[prost(bytes = "vec", tag = "1")]
    multiaddr: Vec<u8>,
}

/// A record of this node, in the encoding in which it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRecord(pub(super) Vec<u8>);

impl SignedRecord {
    /// Signs a record; of `addresses` the first [`MAX_ADDRESSES`] are said. `sequence` is larger in a newer record.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn new(key: &Keypair, addresses: &[Multiaddr], sequence: u64) -> Result<Self, SigningError> {
        let said = addresses.iter().take(MAX_ADDRESSES);
        let payload = Payload {
            peer: key.public().to_peer_id().to_bytes(),
            sequence,
            addresses: said.map(|address| Address { multiaddr: address.to_vec() }).collect(),
        };
        let envelope =
            SignedEnvelope::new(key, DOMAIN.into(), PAYLOAD_TYPE.to_vec(), payload.encode_to_vec())?;
        Ok(Self(envelope.into_protobuf_encoding()))
    }
}

/// What another peer has said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who.
    pub peer: PeerId,
    /// Where, without `/p2p`; at most [`MAX_ADDRESSES`].
    pub addresses: Vec<Multiaddr>,
    /// Larger in a newer record of the same peer.
    pub sequence: u64,
}

/// Why a record does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Longer than any honest one.
    #[error("{0} bytes, more than the {MAX_RECORD_BYTES} allowed")]
    TooLong(usize),
    /// No record in an envelope that its peer has signed.
    #[error("it is not a record signed by the peer that it names")]
    NotSigned,
}

impl Record {
    /// Reads a record and checks that the peer that it names has signed it.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn read(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(RecordError::TooLong(bytes.len()));
        }
        let envelope = SignedEnvelope::from_protobuf_encoding(bytes).map_err(|_| RecordError::NotSigned)?;
        // That of rust-libp2p's rendezvous, or else the specification's.
        let record = PeerRecord::from_signed_envelope(envelope.clone())
            .or_else(|_| PeerRecord::from_signed_envelope_interop(envelope))
            .map_err(|_| RecordError::NotSigned)?;
        let peer = record.peer_id();
        let addresses = record.addresses().iter().filter_map(|address| own_address(address, peer));
        Ok(Self { peer, addresses: addresses.take(MAX_ADDRESSES).collect(), sequence: record.seq() })
    }
}

/// The address without a last `/p2p` part; none if it is somebody else's, empty or too long.
fn own_address(address: &Multiaddr, peer: PeerId) -> Option<Multiaddr> {
    let mut address = address.clone();
    if let Some(Protocol::P2p(named)) = address.iter().last() {
        if named != peer {
            return None;
        }
        address.pop();
    }
    (!address.is_empty() && address.to_vec().len() <= MAX_ADDRESS_BYTES).then_some(address)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn addresses(number: usize) -> Vec<Multiaddr> {
        (1..=number).map(|port| format!("/ip4/192.0.2.7/tcp/{port}").parse().unwrap()).collect()
    }

    #[test]
    fn a_record_reads_back_and_libp2p_reads_it_too() {
        let key = Keypair::generate_ed25519();
        let signed = SignedRecord::new(&key, &addresses(2), 77).unwrap();
        let record = Record::read(&signed.0).unwrap();
        let peer = key.public().to_peer_id();
        assert_eq!(record, Record { peer, addresses: addresses(2), sequence: 77 });
        let envelope = SignedEnvelope::from_protobuf_encoding(&signed.0).unwrap();
        assert_eq!(PeerRecord::from_signed_envelope(envelope).unwrap().peer_id(), peer);
        let theirs = PeerRecord::new(&key, addresses(1)).unwrap().into_signed_envelope();
        assert_eq!(Record::read(&theirs.into_protobuf_encoding()).unwrap().addresses, addresses(1));
        let standard = PeerRecord::new_interop(&key, addresses(1)).unwrap().into_signed_envelope();
        assert_eq!(Record::read(&standard.into_protobuf_encoding()).unwrap().addresses, addresses(1));
    }

    #[test]
    fn every_changed_byte_is_seen() {
        let key = Keypair::generate_ed25519();
        let good = SignedRecord::new(&key, &addresses(1), 1).unwrap().0;
        let record = Record::read(&good).unwrap();
        for position in 0..good.len() {
            let mut bytes = good.clone();
            bytes[position] ^= 1;
            // A protobuf message may have unknown fields, so not every change must be refused; none may be believed.
            if let Ok(read) = Record::read(&bytes) {
                assert_eq!(read, record, "byte {position}");
            }
            assert!(Record::read(&good[..position]).is_err(), "cut at {position}");
        }
    }

    #[test]
    fn a_record_of_somebody_else_under_ones_own_key_is_refused() {
        let (mine, theirs) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let payload =
            Payload { peer: theirs.public().to_peer_id().to_bytes(), sequence: 1, addresses: Vec::new() };
        let envelope =
            SignedEnvelope::new(&mine, DOMAIN.into(), PAYLOAD_TYPE.to_vec(), payload.encode_to_vec())
                .unwrap();
        assert_eq!(Record::read(&envelope.into_protobuf_encoding()), Err(RecordError::NotSigned));
    }

    #[test]
    fn addresses_are_bounded_and_ones_own() {
        let key = Keypair::generate_ed25519();
        let (peer, other) = (key.public().to_peer_id(), PeerId::random());
        let mut said = vec![
            format!("/ip4/192.0.2.7/tcp/1/p2p/{other}").parse().unwrap(),
            format!("/ip4/192.0.2.7/tcp/2/p2p/{peer}").parse().unwrap(),
            format!("/dns/{}/tcp/3", "x".repeat(300)).parse().unwrap(),
        ];
        said.extend(addresses(10));
        let record = Record::read(&SignedRecord::new(&key, &said, 1).unwrap().0).unwrap();
        assert_eq!(record.addresses[0].to_string(), "/ip4/192.0.2.7/tcp/2");
        assert_eq!(record.addresses.len(), 11);
        let many = SignedRecord::new(&key, &addresses(500), 1).unwrap();
        assert_eq!(Record::read(&many.0).unwrap().addresses.len(), MAX_ADDRESSES);
        let long = vec![0; MAX_RECORD_BYTES + 1];
        assert_eq!(Record::read(&long), Err(RecordError::TooLong(long.len())));
    }
}
