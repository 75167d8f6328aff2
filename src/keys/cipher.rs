//! From a passphrase to a locked seed and back: Argon2id (RFC 9106) gives the key for ChaCha20-Poly1305 (RFC 8439).

use super::{KeyError, Passphrase, random};
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::{
    ChaCha20Poly1305, Nonce,
    aead::{Aead, KeyInit, Payload},
};
use conclave_ledger::keys::PublicKey;
use zeroize::Zeroizing;

/// Memory that deriving a key takes, in KiB, for new files (64 MiB, the second choice of RFC 9106).
pub const MEMORY_KIB: u32 = 64 << 10;
/// Passes over that memory, for new files.
pub const ITERATIONS: u32 = 3;
/// Lanes, for new files.
pub const PARALLELISM: u32 = 1;

/// Most memory that a file may ask for, in KiB (1 GiB).
pub const MAX_MEMORY_KIB: u32 = 1 << 20;
/// Most passes that a file may ask for.
pub const MAX_ITERATIONS: u32 = 64;
/// Most lanes that a file may ask for.
pub const MAX_PARALLELISM: u32 = 16;

/// A locked seed, with all that unlocking it takes but the passphrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    /// Argon2id's memory, in KiB.
    pub memory_kib: u32,
    /// Argon2id's passes.
    pub iterations: u32,
    /// Argon2id's lanes.
    pub parallelism: u32,
    /// Argon2id's salt.
    pub salt: [u8; 16],
    /// The cipher's nonce.
    pub nonce: [u8; 12],
    /// The seed's ciphertext and tag.
    pub ciphertext: Vec<u8>,
}

/// Why a seed cannot be locked or unlocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CipherError {
    /// The file asks for more work than any that this program writes.
    #[error(
        "the parameters of the passphrase are out of bounds: at most {MAX_MEMORY_KIB} KiB, {MAX_ITERATIONS} \
         iterations and {MAX_PARALLELISM} lanes are computed"
    )]
    Parameters,
    /// The passphrase is another one, or the file was changed.
    #[error("the passphrase is not the one that locked this key, or the file was changed")]
    Passphrase,
}

/// Locks `seed`, binding it to its public key.
///
/// # Errors
/// When the system has no randomness to give.
pub fn lock(seed: &[u8; 32], public: &PublicKey, passphrase: &Passphrase) -> Result<Locked, KeyError> {
    let (salt, nonce) = (*random::<16>()?, *random::<12>()?);
    let mut locked = Locked {
        memory_kib: MEMORY_KIB,
        iterations: ITERATIONS,
        parallelism: PARALLELISM,
        salt,
        nonce,
        ciphertext: Vec::new(),
    };
    let payload = Payload { msg: seed, aad: &public.0 };
    locked.ciphertext = cipher(&locked, passphrase)
        .expect("the parameters of new files are within the bounds")
        .encrypt(&Nonce::from(nonce), payload)
        .expect("a message of 32 bytes is within the cipher's bound");
    Ok(locked)
}

/// Unlocks a seed.
///
/// # Errors
/// The rule that is broken.
pub fn unlock(
    locked: &Locked,
    public: &PublicKey,
    passphrase: &Passphrase,
) -> Result<Zeroizing<[u8; 32]>, CipherError> {
    let payload = Payload { msg: &locked.ciphertext, aad: &public.0 };
    let plain = cipher(locked, passphrase)?
        .decrypt(&Nonce::from(locked.nonce), payload)
        .map_err(|_| CipherError::Passphrase)?;
    let plain = Zeroizing::new(plain);
    plain.as_slice().try_into().map(Zeroizing::new).map_err(|_| CipherError::Passphrase)
}

fn cipher(locked: &Locked, passphrase: &Passphrase) -> Result<ChaCha20Poly1305, CipherError> {
    let Locked { memory_kib, iterations, parallelism, salt, .. } = locked;
    if *memory_kib > MAX_MEMORY_KIB || *iterations > MAX_ITERATIONS || *parallelism > MAX_PARALLELISM {
        return Err(CipherError::Parameters);
    }
    let parameters = Params::new(*memory_kib, *iterations, *parallelism, Some(32));
    let parameters = parameters.map_err(|_| CipherError::Parameters)?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
        .hash_password_into(passphrase.as_bytes(), salt, key.as_mut_slice())
        .map_err(|_| CipherError::Parameters)?;
    Ok(ChaCha20Poly1305::new(&(*key).into()))
}
