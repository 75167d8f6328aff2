//! SHA-256 with domain separation: every hashed thing names what it is, so that no two kinds of thing collide.

use sha2::{Digest, Sha256};

crate::bytes::byte_string!(
    /// A SHA-256 digest; block hashes, transaction ids, poll ids and network ids are all of this type.
    Hash, 32
);

/// SHA-256 of the genesis file's canonical form.
pub type NetworkId = Hash;
/// Hash of a block's header.
pub type BlockHash = Hash;
/// Hash of a transaction without its signature and stamp.
pub type TransactionId = Hash;

impl Hash {
    /// The hash before the first: parent of height 1, and root of nothing.
    pub const ZERO: Self = Self([0; 32]);

    /// `SHA-256(domain ‖ 0x00 ‖ parts…)`. The domain is a constant of this crate without a zero byte.
    pub fn of(domain: &str, parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(domain.as_bytes());
        hasher.update([0]);
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// Number of zero bits that the hash begins with.
    pub fn leading_zero_bits(&self) -> u32 {
        let whole = self.0.iter().take_while(|byte| **byte == 0).count();
        self.0.get(whole).map_or(0, |byte| byte.leading_zeros()) + 8 * whole as u32
    }
}
