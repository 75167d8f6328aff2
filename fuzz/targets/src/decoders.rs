//! Every decoder of the two pure crates: the first byte says which, the rest is its input.
//!
//! Two laws each. What decodes encodes to the same bytes again. And from the other side: any value that the type can
//! have encodes to bytes that decode to an equal one. The second is not implied by the first: a type of two values with
//! one encoding would break it.

use crate::{draw, world};
use arbitrary::Unstructured;
use conclave_ledger::{
    applications::{Payload, evidence::Evidence, governance::Proposal},
    block::{Block, Decided, Header, Skip},
    codec,
    genesis::Genesis,
    proof::Proof,
    signed::{Kind, SignatureSet, Slot, Value},
    tally::Choice,
    transaction::{Request, Transaction},
    validators::ValidatorSet,
};
use conclave_protocol::{
    admission, announcements::Announcement, consensus, dissemination, gather, handshake,
    known_peers::SavedPeers, mining, node::LogRecord, peer_exchange, peer_record::PeerRecord, sync,
};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

type Decoder = fn(&[u8]);

/// What is decided, and what proves it.
const LEDGER: &[Decoder] = &[
    transaction,
    proof,
    genesis,
    laws::<Request>,
    laws::<Payload>,
    laws::<Header>,
    laws::<Block>,
    laws::<Skip>,
    laws::<Decided>,
    laws::<SignatureSet>,
    laws::<Evidence>,
    laws::<Proposal>,
    laws::<Choice>,
    laws::<ValidatorSet>,
];

/// What nodes say to each other, and what they write down.
const MESSAGES: &[Decoder] = &[
    laws::<consensus::Message>,
    laws::<consensus::SignedRecord>,
    laws::<dissemination::Message>,
    laws::<handshake::Request>,
    laws::<handshake::Response>,
    laws::<admission::Request>,
    laws::<admission::Response>,
    laws::<peer_exchange::Request>,
    laws::<peer_exchange::Response>,
    laws::<sync::Request>,
    laws::<sync::Response>,
    laws::<mining::CompactBlock>,
    laws::<mining::Request>,
    laws::<mining::Response>,
    laws::<SavedPeers>,
    log_record,
    gathering,
    announcement,
];

/// Transactions, blocks, proofs, signature sets, the genesis in its canonical form.
pub fn ledger(bytes: &[u8]) {
    select(LEDGER, bytes);
}

/// The messages of all protocols, and the records of the log.
pub fn messages(bytes: &[u8]) {
    select(MESSAGES, bytes);
}

/// Signed peer records in their envelopes.
pub fn peer_records(bytes: &[u8]) {
    if let Ok(record) = PeerRecord::decode(bytes) {
        assert_eq!(&record.envelope()[..], bytes);
        assert_eq!(PeerRecord::decode(record.envelope()), Ok(record.clone()));
        assert!(record.addresses().iter().all(|address| address.starts_with('/')), "{record:?}");
    }
}

/// Lets the first byte choose.
pub fn select(decoders: &[Decoder], bytes: &[u8]) {
    if let Some((first, rest)) = bytes.split_first() {
        decoders[usize::from(*first) % decoders.len()](rest);
    }
}

fn laws<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(value) = codec::decode::<T>(bytes, bytes.len()) {
        assert_eq!(codec::encode(&value), bytes, "{value:?} has another encoding");
    }
    if let Ok(value) = draw::value::<T>(&mut Unstructured::new(bytes), &world::KNOWN) {
        let encoded = codec::encode(&value);
        assert_eq!(codec::decode::<T>(&encoded, encoded.len()), Ok(value), "it does not read back");
    }
}

fn transaction(bytes: &[u8]) {
    laws::<Transaction>(bytes);
    if let Ok(transaction) = codec::decode::<Transaction>(bytes, bytes.len()) {
        let id = transaction.id();
        let is_signed = transaction.verify_signature(&id);
        assert!(!transaction.has_stamp(&id, 255), "nobody has done that work: {is_signed}");
        assert_eq!(codec::decode(&codec::encode(&transaction.request), bytes.len()), Ok(transaction.request));
    }
}

fn proof(bytes: &[u8]) {
    laws::<Proof>(bytes);
    if let Ok(proof) = codec::decode::<Proof>(bytes, bytes.len()) {
        let set = world::validators(1);
        let _ = proof.verify(world::network(), 1, &Value::Skip, &set);
        let slot = Slot { network: world::network(), height: 1 };
        let _ = proof.signatures().verify(slot, Kind::Vote, &Value::Skip, &set);
    }
}

fn genesis(bytes: &[u8]) {
    laws::<Genesis>(bytes);
    if let Ok(genesis) = codec::decode::<Genesis>(bytes, bytes.len())
        && genesis.check().is_ok()
    {
        let chain = conclave_ledger::chain::Chain::new(genesis.into());
        assert_eq!(chain.tip().height, 0);
    }
}

fn log_record(bytes: &[u8]) {
    laws::<LogRecord>(bytes);
    if let Ok(record) = LogRecord::decode(bytes) {
        assert_eq!(record.encode(), bytes);
    }
}

fn gathering(bytes: &[u8]) {
    laws::<gather::Message>(bytes);
    if let Some(message) = gather::Message::decode(bytes) {
        assert_eq!(message.encode(), bytes);
    }
}

fn announcement(bytes: &[u8]) {
    laws::<Announcement>(bytes);
    if let Ok(announcement) = Announcement::decode(bytes) {
        assert_eq!(announcement.encode(), bytes);
        let _ = announcement.content_id();
    }
}
