//! A transaction that many hold: it changes no more, so what follows from its bytes is worked out once.

use super::Transaction;
use crate::{codec, hash::TransactionId, merkle};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{ops::Deref, sync::Arc};

/// A transaction with its id, its canonical size and its leaf in the Merkle tree of a block, each computed once, when
/// it is made. Clones share all of it: the pool, blocks, and what is sent hold one piece of memory.
#[derive(Clone)]
pub struct SharedTransaction(Arc<Known>);

struct Known {
    transaction: Transaction,
    id: TransactionId,
    size: usize,
    leaf: [u8; 32],
}

impl SharedTransaction {
    /// The id: that of the request.
    pub fn id(&self) -> TransactionId {
        self.0.id
    }

    /// Canonical size in bytes.
    pub fn size(&self) -> usize {
        self.0.size
    }

    /// Its leaf in the Merkle tree of a block.
    pub fn leaf(&self) -> [u8; 32] {
        self.0.leaf
    }

    /// Whether the signature is the sender's.
    pub fn verify_signature(&self) -> bool {
        self.0.transaction.verify_signature(&self.0.id)
    }
}

impl From<Transaction> for SharedTransaction {
    fn from(transaction: Transaction) -> Self {
        let id = transaction.id();
        let bytes = codec::encode(&transaction);
        let (size, leaf) = (bytes.len(), merkle::leaf_hash(&bytes));
        Self(Arc::new(Known { transaction, id, size, leaf }))
    }
}

impl Deref for SharedTransaction {
    type Target = Transaction;

    fn deref(&self) -> &Transaction {
        &self.0.transaction
    }
}

impl std::fmt::Debug for SharedTransaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.transaction.fmt(f)
    }
}

impl PartialEq for SharedTransaction {
    fn eq(&self, other: &Self) -> bool {
        // The leaf is a hash of everything.
        Arc::ptr_eq(&self.0, &other.0) || self.0.leaf == other.0.leaf
    }
}

impl Eq for SharedTransaction {}

impl Serialize for SharedTransaction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.transaction.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SharedTransaction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Transaction::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        applications::{Payload, records::Record},
        bytes::Bytes,
        hash::Hash,
        keys::SecretKey,
        transaction::Request,
    };

    fn transaction(text: &str) -> Transaction {
        let key = SecretKey::from_seed([7; 32]);
        let payload = Payload::Record(Record { kind: "note".into(), data: Bytes(text.into()) });
        Request { network: Hash([1; 32]), sender: key.public(), expires: 9, payload }.sign(&key)
    }

    #[test]
    fn what_is_kept_is_what_the_bytes_say() {
        let plain = transaction("one");
        let shared = SharedTransaction::from(plain.clone());
        let bytes = codec::encode(&plain);
        assert_eq!((shared.id(), shared.size()), (plain.id(), bytes.len()));
        assert_eq!(shared.leaf(), merkle::leaf_hash(&bytes));
        assert!(shared.verify_signature());
        assert_eq!(codec::encode(&shared), bytes);
        let read: SharedTransaction = codec::decode(&bytes, bytes.len()).unwrap();
        assert_eq!((read.id(), read.size(), read.leaf()), (shared.id(), shared.size(), shared.leaf()));
        assert_eq!(*read, plain);
    }

    #[test]
    fn two_are_equal_only_if_every_part_is() {
        let shared = SharedTransaction::from(transaction("one"));
        let mut other = transaction("one");
        assert_eq!(shared, other.clone().into());
        other.signature.0[5] ^= 1;
        assert_eq!(other.id(), shared.id(), "the id leaves the signature out");
        assert_ne!(shared, other.clone().into());
        assert!(!SharedTransaction::from(other).verify_signature());
        assert_ne!(shared, transaction("two").into());
    }
}
