//! Ed25519 keys and signatures under the ZIP-215 rules.
//!
//! ZIP-215 (<https://zips.z.cash/zip-0215>) makes single and batch verification agree on every input, so two
//! nodes that check the same block in different ways never differ on whether it is valid.

use ed25519_zebra::{SigningKey, VerificationKey, batch};
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng};
use sha2::{Digest, Sha256};

crate::bytes::byte_string!(
    /// An Ed25519 verification key in its encoded form. It may be no point at all: then nothing verifies under it.
    PublicKey, 32
);
crate::bytes::byte_string!(
    /// An Ed25519 signature.
    Signature, 64
);

impl PublicKey {
    /// Whether the bytes decode to a key under which a signature can verify at all.
    pub fn is_usable(&self) -> bool {
        VerificationKey::try_from(self.0).is_ok()
    }

    /// Whether `signature` is this key's over `message`, by the ZIP-215 rules.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        VerificationKey::try_from(self.0)
            .is_ok_and(|key| key.verify(&ed25519_zebra::Signature::from(signature.0), message).is_ok())
    }
}

/// An Ed25519 signing key. It is erased when it is dropped, and `Debug` shows the public key only.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key of a 32-byte seed (RFC 8032, section 5.1.5).
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from(seed))
    }

    /// A fresh key.
    pub fn generate(randomness: &mut impl CryptoRng) -> Self {
        let mut seed = [0; 32];
        randomness.fill_bytes(&mut seed);
        Self::from_seed(seed)
    }

    /// The seed, for the key file.
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The key that verifies what this one signs.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verification_key().into())
    }

    /// Signs `message`; the same message always gets the same signature.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).into())
    }
}

/// Two keys are the same when their public keys are.
impl PartialEq for SecretKey {
    fn eq(&self, other: &Self) -> bool {
        self.public() == other.public()
    }
}

impl Eq for SecretKey {}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

/// Signatures that are verified together, about twice as fast as one by one.
#[derive(Default)]
pub struct Batch {
    items: Vec<(PublicKey, Signature, Vec<u8>)>,
}

impl Batch {
    /// Below this number a batch gains nothing over single verification.
    const WORTHWHILE: usize = 4;

    /// Adds one signature to what is verified.
    pub fn add(&mut self, key: PublicKey, message: Vec<u8>, signature: Signature) {
        self.items.push((key, signature, message));
    }

    /// Whether every signature verifies; the same answer as verifying each alone.
    ///
    /// The coefficients of the batch equation come from a hash over the whole batch, so that no randomness is
    /// needed and whoever made the signatures could not choose them.
    pub fn verify(self) -> bool {
        if self.items.len() < Self::WORTHWHILE {
            return self.items.iter().all(|(key, signature, message)| key.verify(message, signature));
        }
        let mut transcript = Sha256::new_with_prefix(b"conclave/batch/1");
        let mut verifier = batch::Verifier::new();
        for (key, signature, message) in &self.items {
            transcript.update(key.0);
            transcript.update(signature.0);
            transcript.update((message.len() as u64).to_be_bytes());
            transcript.update(message);
            verifier.queue((key.0.into(), signature.0.into(), message));
        }
        verifier.verify(ChaCha20Rng::from_seed(transcript.finalize().into())).is_ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key(number: u8) -> SecretKey {
        SecretKey::from_seed([number; 32])
    }

    #[test]
    fn a_signature_verifies_under_its_key_and_message_alone() {
        let signature = key(1).sign(b"message");
        assert!(key(1).public().verify(b"message", &signature));
        assert!(!key(1).public().verify(b"messagf", &signature));
        assert!(!key(2).public().verify(b"message", &signature));
    }

    #[test]
    fn one_bad_signature_spoils_a_batch_of_any_size() {
        for size in [1usize, 3, 4, 40] {
            for bad in 0..=size {
                let mut batch = Batch::default();
                for number in 0..size {
                    let mut signature = key(number as u8).sign(b"message");
                    if number == bad {
                        signature.0[3] ^= 1;
                    }
                    batch.add(key(number as u8).public(), b"message".to_vec(), signature);
                }
                assert_eq!(batch.verify(), bad == size, "size {size}, bad {bad}");
            }
        }
    }

    /// The eight points of small order as keys and as commitments, with a zero response: by ZIP-215 every one of
    /// these signatures is valid for every message, whichever way it is checked.
    #[test]
    fn single_and_batch_verification_agree_on_points_of_small_order() {
        let points = [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        ]
        .map(|text| text.parse::<PublicKey>().unwrap());
        let mut batch = Batch::default();
        for key in points {
            for commitment in points {
                let mut signature = Signature([0; 64]);
                signature.0[..32].copy_from_slice(&commitment.0);
                assert!(key.verify(b"anything", &signature), "{key} {commitment}");
                batch.add(key, b"anything".to_vec(), signature);
            }
        }
        assert!(batch.verify());
    }
}
