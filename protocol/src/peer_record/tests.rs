//! Records of the right key, and every way of being none.

use super::*;
use proptest::prelude::*;

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

fn tcp(port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    vec![4, 127, 0, 0, 1, 6, high, low]
}

/// An envelope around any payload, signed as it should be.
fn envelope(key: &SecretKey, payload_type: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_bytes(&mut bytes, 1, &[KEY_PREFIX.as_slice(), &key.public().0].concat());
    put_bytes(&mut bytes, 2, payload_type);
    put_bytes(&mut bytes, 3, payload);
    put_bytes(&mut bytes, 5, &key.sign(&signed_bytes(payload)).0);
    bytes
}

fn payload(peer: Peer, addresses: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_bytes(&mut bytes, 1, peer.as_bytes());
    put_number(&mut bytes, 2, 5);
    for address in addresses {
        let mut info = Vec::new();
        put_bytes(&mut info, 1, address);
        put_bytes(&mut bytes, 3, &info);
    }
    bytes
}

#[test]
fn a_record_reads_back() {
    let record = PeerRecord::sign(&key(1), 5, &[tcp(7700), vec![0xff, 0x7f]]);
    let read = PeerRecord::decode(record.envelope()).unwrap();
    assert_eq!(read, record);
    assert_eq!(read.addresses(), ["/ip4/127.0.0.1/tcp/7700"]);
    assert_eq!((read.peer(), read.sequence()), (peer_of_key(&key(1).public()), 5));
}

#[test]
fn every_rule_refuses_what_breaks_it() {
    let (own, other) = (key(1), key(2));
    let peer = peer_of_key(&own.public());
    let good = payload(peer, &[tcp(1)]);
    let long = vec![4; MAX_ADDRESS_BYTES + 1];
    let twice = [good.as_slice(), &payload(peer, &[])].concat();
    let mut forged = envelope(&own, PAYLOAD_TYPE, &good);
    *forged.last_mut().unwrap() ^= 1;
    let mut rsa = envelope(&own, PAYLOAD_TYPE, &good);
    rsa[3] = 0;
    let legacy = b"/libp2p/routing-state-record";
    for (bytes, error) in [
        (vec![0; MAX_RECORD_BYTES + 1], RecordError::TooLong(MAX_RECORD_BYTES + 1)),
        (Vec::new(), RecordError::Malformed),
        (b"nonsense".to_vec(), RecordError::Malformed),
        (envelope(&own, PAYLOAD_TYPE, b"nonsense"), RecordError::Malformed),
        (envelope(&own, PAYLOAD_TYPE, &twice), RecordError::Malformed),
        (rsa, RecordError::ForeignKeyType),
        (envelope(&own, legacy, &good), RecordError::ForeignPayload),
        (forged, RecordError::BadSignature),
        (envelope(&other, PAYLOAD_TYPE, &good), RecordError::SignedByAnother),
        (envelope(&own, PAYLOAD_TYPE, &payload(peer, &vec![tcp(1); 17])), RecordError::TooManyAddresses),
        (envelope(&own, PAYLOAD_TYPE, &payload(peer, &[long])), RecordError::TooManyAddresses),
    ] {
        assert_eq!(PeerRecord::decode(&bytes), Err(error));
    }
    assert!(PeerRecord::decode(&envelope(&own, PAYLOAD_TYPE, &good)).is_ok());
}

proptest! {
    /// Whatever the bytes: a record or an error, and never another record by a changed byte.
    #[test]
    fn changed_and_any_bytes_are_refused(place in any::<prop::sample::Index>(), flip in 1u8.., any in any::<Vec<u8>>()) {
        let record = PeerRecord::sign(&key(1), 5, &[tcp(7700)]);
        let mut bytes = record.envelope().to_vec();
        bytes[place.index(record.envelope().len())] ^= flip;
        prop_assert!(PeerRecord::decode(&bytes).is_err());
        prop_assert!(PeerRecord::decode(&any).is_err());
    }
}
