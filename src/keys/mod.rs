//! Key files: the secret keys of nodes, validators and voters, each in a file of its own.
//!
//! A key file is TOML, plain or locked with a passphrase:
//!
//! ```text
//! version = 1                              version = 1
//! kind = "plain"                           kind = "encrypted"
//! public = "<64 hexadecimal digits>"       public = "<64 hexadecimal digits>"
//! seed = "<64 hexadecimal digits>"         memory_kib = 65536, iterations = 3, parallelism = 1     (Argon2id, RFC 9106)
//!                                          salt = "<32 digits>", nonce = "<24 digits>"
//!                                          ciphertext = "<96 digits>"           (ChaCha20-Poly1305, RFC 8439)
//! ```
//! The seed is that of an Ed25519 key (RFC 8032); the public key is authenticated with the ciphertext. Files are
//! made with mode 0600 in folders of mode 0700, are never overwritten, and are refused when others may read them.
//!
//! - [`mod@file`]: reading, making and locking one file.
//! - [`cipher`]: from a passphrase to a locked seed and back.
//! - [`passphrase`]: where a passphrase comes from.
//! - [`voters`]: a folder with the keys of a poll's voters.

pub mod cipher;
pub mod file;
pub mod passphrase;
pub mod voters;

pub use file::{KeyError, KeyFile, create, load, lock};
pub use passphrase::{Passphrase, PassphraseSource};

use conclave_ledger::keys::SecretKey;
use libp2p::identity::Keypair;

/// A fresh key from the operating system's randomness.
///
/// # Errors
/// When the system has none to give.
pub fn generate() -> Result<SecretKey, KeyError> {
    Ok(SecretKey::from_seed(*random::<32>()?))
}

/// The libp2p identity of a node key.
pub fn node_identity(key: &SecretKey) -> Keypair {
    Keypair::ed25519_from_bytes(key.seed()).expect("32 bytes are always the seed of an Ed25519 key")
}

/// `N` bytes from the operating system's randomness, erased when dropped.
pub(crate) fn random<const N: usize>() -> Result<zeroize::Zeroizing<[u8; N]>, KeyError> {
    let mut bytes = zeroize::Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|error| KeyError::Randomness(error.to_string()))?;
    Ok(bytes)
}
