//! What validators sign, and sets of their signatures.
//!
//! Every payload is `"conclave/consensus/1" ‖ network id (32) ‖ height (u64, big-endian) ‖ kind (1) ‖ value (33)`,
//! where a value is `0 ‖ 0…0` for skip and `1 ‖ block hash` for a block. The page on consensus says who signs
//! which kind when; see `protocol`'s `consensus` module for the rules.

use crate::{
    bytes::Bytes,
    hash::{BlockHash, NetworkId},
    keys::{Batch, PublicKey, SecretKey, Signature},
    validators::{MAX_VALIDATORS, ValidatorIndex, ValidatorSet},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Number of a decision of the chain. Height 0 is the genesis file; heights count from 1.
pub type Height = u64;

/// What a height can decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// No block.
    Skip,
    /// The block with this hash.
    Block(BlockHash),
}

impl Value {
    /// The block's hash, if it is a block.
    pub fn block(&self) -> Option<BlockHash> {
        match self {
            Self::Skip => None,
            Self::Block(hash) => Some(*hash),
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Skip => f.write_str("skip"),
            Self::Block(hash) => write!(f, "block {hash}"),
        }
    }
}

/// The kinds of consensus signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `Vote(x)`: signed once in a height, for one value.
    Vote,
    /// `Endorse(b)`: for a block extracted after the vote was spent.
    Endorse,
    /// `Relay(x)` of a certificate.
    RelayCertificate,
    /// `Relay(x)` of a support.
    RelaySupport,
    /// `Commit(x)`: after a decision at the end of the last window.
    Commit,
    /// `Settle(x)`: how a height that could not close in time is closed later (rule P3).
    Settle,
}

/// The network and height that a signature belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Which network.
    pub network: NetworkId,
    /// Which height.
    pub height: Height,
}

impl Slot {
    /// The bytes that are signed for `kind` and `value` in this slot.
    pub fn payload(&self, kind: Kind, value: &Value) -> Vec<u8> {
        let kind = match kind {
            Kind::Vote => 1,
            Kind::Endorse => 2,
            Kind::RelayCertificate => 3,
            Kind::RelaySupport => 4,
            Kind::Commit => 5,
            Kind::Settle => 6,
        };
        let (tag, hash) = match value {
            Value::Skip => (0, [0; 32]),
            Value::Block(hash) => (1, hash.0),
        };
        let mut payload = Vec::with_capacity(94);
        payload.extend_from_slice(b"conclave/consensus/1");
        payload.extend_from_slice(&self.network.0);
        payload.extend_from_slice(&self.height.to_be_bytes());
        payload.push(kind);
        payload.push(tag);
        payload.extend_from_slice(&hash);
        payload
    }

    /// Signs `kind` and `value`.
    pub fn sign(&self, key: &SecretKey, kind: Kind, value: &Value) -> Signature {
        key.sign(&self.payload(kind, value))
    }

    /// Whether `signature` is `key`'s on `kind` and `value`.
    pub fn verify(&self, key: &PublicKey, kind: Kind, value: &Value, signature: &Signature) -> bool {
        key.verify(&self.payload(kind, value), signature)
    }
}

/// Signatures by distinct validators, in the order of their index.
///
/// On the wire a mask (bit `i mod 8` of byte `i/8` for validator `i`, no trailing zero byte) and the signatures one
/// after the other, so that a set can neither name a validator twice nor say less than it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SignatureSetWire", into = "SignatureSetWire")]
pub struct SignatureSet(BTreeMap<ValidatorIndex, Signature>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureSetWire {
    signers: Bytes,
    signatures: Bytes,
}

/// A mask and signatures that do not fit each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureSetError {
    /// The mask is longer than [`MAX_VALIDATORS`] bits or ends in a zero byte.
    #[error("the mask of signers is too long or padded")]
    Mask,
    /// There are not 64 bytes for each bit of the mask.
    #[error("the number of signatures is not that of the signers")]
    Count,
}

impl TryFrom<SignatureSetWire> for SignatureSet {
    type Error = SignatureSetError;

    fn try_from(wire: SignatureSetWire) -> Result<Self, Self::Error> {
        let mask = wire.signers.0;
        if mask.len() > MAX_VALIDATORS / 8 || mask.last() == Some(&0) {
            return Err(SignatureSetError::Mask);
        }
        let signers: Vec<ValidatorIndex> = (0..mask.len() * 8)
            .filter(|bit| mask[bit / 8] & (1 << (bit % 8)) != 0)
            .map(|bit| bit as ValidatorIndex)
            .collect();
        let (signatures, rest) = wire.signatures.0.as_chunks::<64>();
        if signatures.len() != signers.len() || !rest.is_empty() {
            return Err(SignatureSetError::Count);
        }
        Ok(Self(signers.into_iter().zip(signatures.iter().map(|bytes| Signature(*bytes))).collect()))
    }
}

impl From<SignatureSet> for SignatureSetWire {
    fn from(set: SignatureSet) -> Self {
        let length = set.0.keys().next_back().map_or(0, |last| usize::from(*last) / 8 + 1);
        let mut signers = vec![0; length];
        for index in set.0.keys() {
            signers[usize::from(*index) / 8] |= 1 << (index % 8);
        }
        let signatures = set.0.values().flat_map(|signature| signature.0).collect();
        Self { signers: Bytes(signers), signatures: Bytes(signatures) }
    }
}

impl SignatureSet {
    /// Number of signatures.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a validator's signature, keeping the one that is there.
    pub fn insert(&mut self, validator: ValidatorIndex, signature: Signature) {
        self.0.entry(validator).or_insert(signature);
    }

    /// The signature of a validator.
    pub fn get(&self, validator: ValidatorIndex) -> Option<&Signature> {
        self.0.get(&validator)
    }

    /// Whether a validator has signed.
    pub fn contains(&self, validator: ValidatorIndex) -> bool {
        self.0.contains_key(&validator)
    }

    /// Validators and their signatures, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (ValidatorIndex, &Signature)> {
        self.0.iter().map(|(index, signature)| (*index, signature))
    }

    /// Validators that signed, ascending.
    pub fn signers(&self) -> impl Iterator<Item = ValidatorIndex> {
        self.0.keys().copied()
    }

    /// Whether every signature is, for `kind` and `value` in `slot`, that of a member of `set` whose word counts.
    pub fn verify(&self, slot: Slot, kind: Kind, value: &Value, set: &ValidatorSet) -> bool {
        let payload = slot.payload(kind, value);
        let mut batch = Batch::default();
        for (index, signature) in &self.0 {
            let Some(key) = set.signer(*index) else { return false };
            batch.add(*key, payload.clone(), *signature);
        }
        batch.verify()
    }
}

impl FromIterator<(ValidatorIndex, Signature)> for SignatureSet {
    fn from_iter<I: IntoIterator<Item = (ValidatorIndex, Signature)>>(signatures: I) -> Self {
        Self(signatures.into_iter().collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::codec::{decode, encode};

    #[test]
    fn a_signature_set_reads_back_and_its_mask_is_exact() {
        let set: SignatureSet = [(0, Signature([1; 64])), (9, Signature([2; 64]))].into_iter().collect();
        let bytes = encode(&set);
        assert_eq!(decode::<SignatureSet>(&bytes, 1 << 16).unwrap(), set);
        for (mask, signatures) in [
            (vec![1, 0], vec![0; 64]),
            (vec![1], vec![0; 128]),
            (vec![3], vec![0; 64]),
            (vec![1], vec![0; 65]),
            (vec![1; MAX_VALIDATORS / 8 + 1], vec![0; 64 * (MAX_VALIDATORS / 8 + 1)]),
        ] {
            let wire = SignatureSetWire { signers: Bytes(mask), signatures: Bytes(signatures) };
            assert!(decode::<SignatureSet>(&encode(&wire), 1 << 20).is_err());
        }
    }

    #[test]
    fn a_payload_names_network_height_kind_and_value() {
        let slot = |network, height| Slot { network: crate::hash::Hash([network; 32]), height };
        let block = Value::Block(crate::hash::Hash([0; 32]));
        let reference = slot(1, 1).payload(Kind::Vote, &Value::Skip);
        for other in [
            slot(2, 1).payload(Kind::Vote, &Value::Skip),
            slot(1, 2).payload(Kind::Vote, &Value::Skip),
            slot(1, 1).payload(Kind::Endorse, &Value::Skip),
            slot(1, 1).payload(Kind::Vote, &block),
        ] {
            assert_ne!(other, reference);
        }
    }
}
