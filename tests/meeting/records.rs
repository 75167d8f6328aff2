//! Peer records are those of libp2p: what this program signs libp2p reads, and the other way round.

use conclave::keys;
use conclave_ledger::keys::SecretKey;
use conclave_protocol::peer_record::{PeerRecord, RecordError, multiaddr};
use libp2p::{
    Multiaddr,
    core::{PeerRecord as Theirs, SignedEnvelope},
};

fn addresses() -> Vec<Multiaddr> {
    let relay = "/ip4/192.0.2.7/udp/7700/quic-v1/p2p/12D3KooWCN3Run24n8zBKTmrZz8uJZwnAjPCiAMLgjsjy5HAoahu";
    let addresses = [
        "/ip4/192.0.2.7/tcp/7700",
        "/ip6/2001:db8::1/udp/7700/quic-v1",
        "/dns4/example.org/tcp/443",
        "/dnsaddr/example.org",
        &format!("{relay}/p2p-circuit"),
    ];
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

#[test]
fn libp2p_reads_what_is_signed_here() {
    let key = SecretKey::from_seed([3; 32]);
    let binary: Vec<Vec<u8>> = addresses().iter().map(Multiaddr::to_vec).collect();
    let record = PeerRecord::sign(&key, 9, &binary);
    let envelope = SignedEnvelope::from_protobuf_encoding(record.envelope()).unwrap();
    let theirs = Theirs::from_signed_envelope_interop(envelope).unwrap();
    assert_eq!(theirs.peer_id(), keys::node_identity(&key).public().to_peer_id());
    assert_eq!((theirs.seq(), theirs.addresses()), (9, &addresses()[..]));
}

#[test]
fn what_libp2p_signs_is_read_here() {
    let key = SecretKey::from_seed([3; 32]);
    let theirs = Theirs::new_interop(&keys::node_identity(&key), addresses()).unwrap();
    let bytes = theirs.to_signed_envelope().into_protobuf_encoding();
    let record = PeerRecord::decode(&bytes).unwrap();
    assert_eq!(multiaddr::base58(record.peer().as_bytes()), theirs.peer_id().to_base58());
    let text: Vec<String> = addresses().iter().map(Multiaddr::to_string).collect();
    assert_eq!((record.addresses(), record.sequence()), (&text[..], theirs.seq()));

    // In the domain of old Rust nodes it is another thing.
    let legacy = Theirs::new(&keys::node_identity(&key), addresses()).unwrap();
    let bytes = legacy.to_signed_envelope().into_protobuf_encoding();
    assert_eq!(PeerRecord::decode(&bytes), Err(RecordError::ForeignPayload));
}
