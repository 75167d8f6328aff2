//! Whether signatures hold, asked of the cryptography itself and not of the ledger.

use super::reading::{Hash, Shown};
use ed25519_zebra::{Signature, VerificationKey};
use std::collections::BTreeMap;

/// Verifies, and remembers what it has verified.
pub(super) struct Verifier {
    network: Hash,
    keys: Vec<VerificationKey>,
    known: BTreeMap<Shown, bool>,
}

impl Verifier {
    /// For the validators with these keys, in their order.
    pub(super) fn new(network: Hash, keys: &[[u8; 32]]) -> Self {
        let keys = keys.iter().filter_map(|key| VerificationKey::try_from(*key).ok()).collect();
        Self { network, keys, known: BTreeMap::new() }
    }

    /// Whether a validator really signed this.
    pub(super) fn holds(&mut self, shown: &Shown) -> bool {
        if let Some(known) = self.known.get(shown) {
            return *known;
        }
        let payload = payload(&self.network, shown);
        let signature = Signature::from(shown.signature);
        let holds = self.keys.get(shown.signer).is_some_and(|key| key.verify(&signature, &payload).is_ok());
        self.known.insert(*shown, holds);
        holds
    }
}

/// Whether the holder of a key signed a transaction with this id.
pub(super) fn signed_transaction(id: &Hash, sender: [u8; 32], signature: [u8; 64]) -> bool {
    let message = [b"conclave/transaction-signature/1".as_slice(), id].concat();
    let key = VerificationKey::try_from(sender);
    key.is_ok_and(|key| key.verify(&Signature::from(signature), &message).is_ok())
}

/// What validators sign: domain, network, height, kind, and the value as a tag and a hash.
fn payload(network: &Hash, shown: &Shown) -> Vec<u8> {
    let tag = u8::from(shown.value.is_some());
    [
        b"conclave/consensus/1".as_slice(),
        network,
        &shown.height.to_be_bytes(),
        &[shown.kind as u8, tag],
        &shown.value.unwrap_or_default(),
    ]
    .concat()
}
