//! Transactions: signed requests to the ledger.
//!
//! A transaction's id covers everything but its signature and stamp; the signature covers the id; the stamp, a
//! proof of work that senders unknown to the ledger add, is bound to the id too. Ids are remembered until the
//! transaction expires, so senders need no sequence numbers and do not wait for one another.

mod shared;

pub use shared::SharedTransaction;

use crate::{
    applications::Payload,
    codec,
    hash::{Hash, NetworkId, TransactionId},
    keys::{PublicKey, SecretKey, Signature},
    signed::Height,
};
use serde::{Deserialize, Serialize};

/// A signed request to the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    /// What is asked, by whom, where and until when.
    pub request: Request,
    /// The sender's signature over the id.
    pub signature: Signature,
    /// Proof of work over the id, where the sender is not known to the ledger.
    pub stamp: Option<u64>,
}

/// The part of a transaction that its id covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The network it is meant for.
    pub network: NetworkId,
    /// Who asks.
    pub sender: PublicKey,
    /// Last height at which it may be included.
    pub expires: Height,
    /// What is asked.
    pub payload: Payload,
}

impl Request {
    /// SHA-256 of the canonical bytes.
    pub fn id(&self) -> TransactionId {
        Hash::of("conclave/transaction/1", &[&codec::encode(self)])
    }

    /// Signs it, without a stamp.
    pub fn sign(self, key: &SecretKey) -> Transaction {
        let signature = key.sign(&signed_bytes(&self.id()));
        Transaction { request: self, signature, stamp: None }
    }
}

impl Transaction {
    /// The id: that of the request.
    pub fn id(&self) -> TransactionId {
        self.request.id()
    }

    /// Whether the signature is the sender's; `id` is [`Transaction::id`], which the caller has at hand.
    pub fn verify_signature(&self, id: &TransactionId) -> bool {
        self.request.sender.verify(&signed_bytes(id), &self.signature)
    }

    /// Whether there is a stamp of at least `bits` leading zero bits.
    pub fn has_stamp(&self, id: &TransactionId, bits: u8) -> bool {
        self.stamp.is_some_and(|nonce| stamp_hash(id, nonce).leading_zero_bits() >= u32::from(bits))
    }
}

/// The bytes that a sender signs.
pub fn signed_bytes(id: &TransactionId) -> Vec<u8> {
    [b"conclave/transaction-signature/1".as_slice(), &id.0].concat()
}

/// Searches for a stamp of `bits` leading zero bits among `attempts` nonces from `first` on; `None` if none fits.
pub fn find_stamp(id: &TransactionId, bits: u8, first: u64, attempts: u64) -> Option<u64> {
    (first..first.saturating_add(attempts))
        .find(|nonce| stamp_hash(id, *nonce).leading_zero_bits() >= u32::from(bits))
}

fn stamp_hash(id: &TransactionId, nonce: u64) -> Hash {
    Hash::of("conclave/stamp/1", &[&id.0, &nonce.to_be_bytes()])
}
