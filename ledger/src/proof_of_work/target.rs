//! Targets, and the work that meeting them takes.

use super::uint::U256;
use crate::{bytes::to_hex, hash::Hash};
use serde::{Deserialize, Serialize};

/// A block's hash, as a big-endian number, has to be no larger than this.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target(pub(super) U256);

/// A target in the form of a header: a floating-point number of one byte of exponent and three of mantissa, as Bitcoin
/// writes it (`nBits`).
///
/// Canonical is the one form that [`Target::compact`] gives: a positive mantissa without a sign bit and without a zero
/// byte in front that another exponent could take. Anything else is no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CompactTarget(pub u32);

crate::bytes::byte_string!(
    /// Expected number of hashes, as a big-endian number of 256 bits: of a block, or summed up over a branch. The order
    /// is that of the numbers.
    Work, 32
);

impl Target {
    /// The target of hashes that begin with at least `bits` zero bits, at most 255, to the precision of the compact form.
    pub fn of_leading_zero_bits(bits: u8) -> Self {
        Self(U256::MAX.shr(u32::from(bits))).compact().target().expect("what is compact is a target")
    }

    /// Whether `hash` meets it.
    pub fn is_met_by(&self, hash: &Hash) -> bool {
        U256::from_be_bytes(&hash.0) <= self.0
    }

    /// The compact form; digits beyond its precision are cut off, which makes the target harder to meet.
    pub fn compact(&self) -> CompactTarget {
        let mut size = self.0.bits().div_ceil(8);
        let mut mantissa = match size {
            0..=3 => (self.0.0[3] as u32) << (8 * (3 - size)),
            _ => self.0.shr(8 * (size - 3)).0[3] as u32,
        };
        if mantissa & 0x0080_0000 != 0 {
            mantissa >>= 8;
            size += 1;
        }
        CompactTarget(size << 24 | mantissa)
    }

    /// Expected number of hashes until one meets it: `2^256 / (target + 1)`.
    pub fn work(&self) -> Work {
        // As 2^256 does not fit: 2^256 / (t+1) = (2^256 − t − 1) / (t+1) + 1, and 2^256 − t − 1 is `not t`.
        let (divisor, overflows) = self.0.overflowing_add(&U256::from_u64(1));
        let quotient = if overflows { U256::ZERO } else { self.0.not().div(&divisor) };
        Work(quotient.overflowing_add(&U256::from_u64(1)).0.to_be_bytes())
    }

    /// The target as eight words, the most significant first, in the order of the digest of SHA-256.
    pub fn words(&self) -> [u32; 8] {
        std::array::from_fn(|index| (self.0.0[index / 2] >> (32 * (1 - index % 2))) as u32)
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Target({})", to_hex(&self.0.to_be_bytes()))
    }
}

impl CompactTarget {
    /// The target that it stands for; `None` if it is not canonical, or zero.
    pub fn target(self) -> Option<Target> {
        let (size, mantissa) = (self.0 >> 24, u64::from(self.0 & 0x007f_ffff));
        let value = match size {
            0..=3 => U256::from_u64(mantissa >> (8 * (3 - size))),
            4..=33 => U256::from_u64(mantissa).widen::<5>().shl(8 * (size - 3)).narrow()?,
            _ => return None,
        };
        let target = Target(value);
        (value != U256::ZERO && target.compact() == self).then_some(target)
    }
}

impl Work {
    /// No work.
    pub const NONE: Self = Self([0; 32]);

    /// The sum; the largest number if it does not fit, which nobody's hashes ever reach.
    pub fn plus(&self, other: &Self) -> Self {
        let (sum, overflows) = U256::from_be_bytes(&self.0).overflowing_add(&U256::from_be_bytes(&other.0));
        Self(if overflows { U256::MAX } else { sum }.to_be_bytes())
    }

    /// The number, rounded, for people.
    pub fn as_f64(&self) -> f64 {
        U256::from_be_bytes(&self.0).0.iter().fold(0.0, |sum, part| sum * 2f64.powi(64) + *part as f64)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn compact_forms_are_bitcoins() {
        for (compact, hex) in [
            (0x1d00_ffff, "00000000ffff0000000000000000000000000000000000000000000000000000"),
            (0x1b04_04cb, "00000000000404cb000000000000000000000000000000000000000000000000"),
            (0x0101_0000, "0000000000000000000000000000000000000000000000000000000000000001"),
            (0x0200_8000, "0000000000000000000000000000000000000000000000000000000000000080"),
            (0x207f_ffff, "7fffff0000000000000000000000000000000000000000000000000000000000"),
            (0x2100_ffff, "ffff000000000000000000000000000000000000000000000000000000000000"),
        ] {
            let target = CompactTarget(compact).target().unwrap();
            assert_eq!(to_hex(&target.0.to_be_bytes()), hex, "{compact:08x}");
            assert_eq!(target.compact(), CompactTarget(compact));
        }
    }

    #[test]
    fn everything_else_is_no_target() {
        for (what, compact) in [
            ("zero", 0x1d00_0000),
            ("nothing", 0),
            ("a sign", 0x1d80_ffff),
            ("a sign on a small one", 0x0181_0000),
            ("a zero byte in front", 0x1e00_00ff),
            ("digits that are cut off", 0x0101_0001),
            ("too large by a byte", 0x2200_ffff),
            ("too large by a bit", 0x2101_0000),
            ("far too large", 0xff01_0000),
        ] {
            assert_eq!(CompactTarget(compact).target(), None, "{what}: {compact:08x}");
        }
    }

    #[test]
    fn zero_bits_are_what_a_hash_begins_with() {
        let hash = |first: u8| Hash(std::array::from_fn(|index| if index == 0 { first } else { 0x55 }));
        assert!(Target::of_leading_zero_bits(3).is_met_by(&hash(0x1f)));
        assert!(!Target::of_leading_zero_bits(3).is_met_by(&hash(0x20)));
        assert!(Target::of_leading_zero_bits(0).is_met_by(&hash(0xfe)));
        assert_eq!(Target::of_leading_zero_bits(255).0, U256::from_u64(1));
    }

    #[test]
    fn work_is_the_expected_number_of_hashes() {
        // Bitcoin's first block: 2^32 + 2^16 + 1 by its own arithmetic.
        let work = CompactTarget(0x1d00_ffff).target().unwrap().work();
        assert_eq!(U256::from_be_bytes(&work.0), U256::from_u64(0x1_0001_0001));
        assert_eq!(Target(U256::MAX).work().as_f64(), 1.0);
        assert_eq!(Target(U256::from_u64(1)).work().as_f64(), 2f64.powi(255));
        assert_eq!(Work([0xff; 32]).plus(&work), Work([0xff; 32]));
        assert!(Work::NONE < work && work < work.plus(&work));
    }

    proptest! {
        #[test]
        fn compact_forms_read_back_and_never_grow(parts in any::<[u64; 4]>(), shift in 0u32..256) {
            let target = Target(crate::proof_of_work::uint::Uint(parts).shr(shift));
            let compact = target.compact();
            match compact.target() {
                Some(read) => {
                    prop_assert!(read <= target);
                    prop_assert_eq!(read.compact(), compact);
                    prop_assert!(read.work() >= target.work());
                }
                None => prop_assert_eq!(target.0, U256::ZERO),
            }
            let bytes = target.0.to_be_bytes();
            let words: Vec<u8> = target.words().iter().flat_map(|word| word.to_be_bytes()).collect();
            prop_assert_eq!(words, bytes.to_vec());
        }
    }
}
