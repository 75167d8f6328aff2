//! Who and what there is: the same few nodes, keys, transactions and blocks for every target.

use crate::draw::Known;
use conclave_ledger::{
    applications::{Payload, records::Record},
    block::{Block, Header},
    bytes::Bytes,
    genesis::{Engine, FORMAT, Genesis, Limits},
    hash::{BlockHash, Hash, NetworkId},
    keys::{SecretKey, Signature},
    proof::Proof,
    signed::{Height, Kind, SignatureSet, Slot, Value},
    transaction::{Request, SharedTransaction},
    validators::{FaultBound, Validator, ValidatorIndex, ValidatorSet},
};
use conclave_protocol::{
    peer::Peer,
    peer_record::{PeerRecord, peer_of_key},
};
use std::sync::{Arc, LazyLock};

/// Validators of the network.
pub const VALIDATORS: usize = 4;

/// Nodes that there are; the last ones are observers.
pub const NODES: usize = 7;

/// Zero bits of every work that is asked for, so that it costs nothing here.
pub const BITS: u8 = 2;

/// The genesis.
pub static GENESIS: LazyLock<Arc<Genesis>> = LazyLock::new(|| {
    Arc::new(Genesis {
        format: FORMAT,
        name: "fuzzed".into(),
        engine: Engine::DolevStrong,
        fast: true,
        faulty: FaultBound::Third,
        delta_ms: 500,
        created_ms: 1_000,
        stamp_bits: BITS,
        proof_of_work: None,
        limits: Limits::default(),
        validators: (0..VALIDATORS).map(validator).collect(),
        senders: vec![validator_key(VALIDATORS).public()],
        records: vec![record(0)],
    })
});

/// What values are drawn from.
pub static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let mut bytes = vec![Hash::ZERO.0.to_vec(), network().0.to_vec()];
    bytes.extend((0..NODES).map(|number| peer(number).as_bytes().to_vec()));
    bytes.extend((0..NODES).flat_map(|number| {
        [validator_key(number).public().0.to_vec(), node_key(number).public().0.to_vec()]
    }));
    bytes.extend((0..3).map(|number| block(1, 0, number).hash().0.to_vec()));
    bytes.extend((0..3).map(|number| transaction(number).id().0.to_vec()));
    bytes.extend((0..3).map(|number| signature(number).0.to_vec()));
    bytes.extend((0..3).map(|number| peer_record(number, 1).envelope().to_vec()));
    let texts =
        ["a", "b", "", "fuzzed", "/ip4/192.0.2.7/tcp/7700", "/dns/example.org/udp/1/quic-v1", "1/0", "\0"];
    Known { bytes, numbers: vec![1, 2, 3, 17, 500, 1_000, 65_535], texts: texts.map(Into::into).into() }
});

/// A validator's key.
pub fn validator_key(number: usize) -> SecretKey {
    SecretKey::from_seed([number as u8 + 1; 32])
}

/// A node's key.
pub fn node_key(number: usize) -> SecretKey {
    SecretKey::from_seed([number as u8 + 101; 32])
}

/// A node.
pub fn peer(number: usize) -> Peer {
    peer_of_key(&node_key(number).public())
}

/// A validator.
pub fn validator(number: usize) -> Validator {
    Validator { name: format!("v{number}"), key: validator_key(number).public() }
}

/// The validators, of whom so many may be faulty.
pub fn validators(faulty: u16) -> Arc<ValidatorSet> {
    Arc::new(ValidatorSet::new((0..VALIDATORS).map(validator), FaultBound::Exactly(faulty)))
}

/// The network.
pub fn network() -> NetworkId {
    static NETWORK: LazyLock<NetworkId> = LazyLock::new(|| GENESIS.network_id());
    *NETWORK
}

/// Where a node can be reached, as it says.
pub fn peer_record(number: usize, sequence: u64) -> PeerRecord {
    // The binary form of /ip4/192.0.….7/tcp/7700.
    let address = vec![4, 192, 0, number as u8, 7, 6, 0x1e, 0x14];
    PeerRecord::sign(&node_key(number), sequence, &[address])
}

/// A record of the log.
pub fn record(number: usize) -> Record {
    Record { kind: "note".into(), data: Bytes(vec![number as u8]) }
}

/// A request of the sender whom the ledger knows.
pub fn transaction(number: usize) -> SharedTransaction {
    let key = validator_key(VALIDATORS);
    let payload = Payload::Record(record(number));
    let request = Request { network: network(), sender: key.public(), expires: 500 + number as u64, payload };
    request.sign(&key).into()
}

/// A block by a validator; different numbers make different blocks. It fits no chain.
pub fn block(height: Height, leader: usize, number: usize) -> Arc<Block> {
    let transactions = vec![transaction(number)];
    let header = Header {
        network: network(),
        height,
        parent: Hash::ZERO,
        leader: validator_key(leader).public(),
        timestamp: number as u64,
        state: Hash::ZERO,
        proofs: Block::proofs_hash(&[]),
        transactions: Block::transactions_root(&transactions),
        work: None,
    };
    Arc::new(Block { header, proofs: Vec::new(), transactions })
}

/// A signature that is good for something else.
pub fn signature(number: usize) -> Signature {
    node_key(number).sign(b"something else")
}

/// What these validators sign.
pub fn signatures(height: Height, kind: Kind, value: Value, signers: &[usize]) -> SignatureSet {
    let slot = Slot { network: network(), height };
    let signed = signers
        .iter()
        .map(|signer| (*signer as ValidatorIndex, slot.sign(&validator_key(*signer), kind, &value)));
    signed.collect()
}

/// A certificate by the first three validators.
pub fn certificate(height: Height, block: BlockHash) -> Proof {
    Proof::Certificate(signatures(height, Kind::Vote, Value::Block(block), &[0, 1, 2]))
}
