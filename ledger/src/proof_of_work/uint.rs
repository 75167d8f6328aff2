//! Unsigned integers of `64·N` bits, as many operations as proofs of work need. No dependency is worth it.

/// An integer as its 64-bit parts, the most significant first, so that the derived order is that of the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Uint<const N: usize>(pub(super) [u64; N]);

/// What targets, hashes and sums of work are.
pub(super) type U256 = Uint<4>;

impl<const N: usize> Uint<N> {
    pub(super) const ZERO: Self = Self([0; N]);
    pub(super) const MAX: Self = Self([u64::MAX; N]);
    pub(super) const BITS: u32 = 64 * N as u32;

    pub(super) fn from_u64(number: u64) -> Self {
        let mut parts = [0; N];
        parts[N - 1] = number;
        Self(parts)
    }

    /// The same number with `M` parts, at least as many as it has.
    pub(super) fn widen<const M: usize>(&self) -> Uint<M> {
        let mut parts = [0; M];
        parts[M - N..].copy_from_slice(&self.0);
        Uint(parts)
    }

    /// The same number with `M` parts, if it fits.
    pub(super) fn narrow<const M: usize>(&self) -> Option<Uint<M>> {
        let (high, low) = self.0.split_at(N - M);
        let parts = low.try_into().expect("M parts are left of N");
        high.iter().all(|part| *part == 0).then_some(Uint(parts))
    }

    /// Number of bits up to the highest that is set.
    pub(super) fn bits(&self) -> u32 {
        let zeros = self.0.iter().take_while(|part| **part == 0).count();
        self.0.get(zeros).map_or(0, |part| Self::BITS - 64 * zeros as u32 - part.leading_zeros())
    }

    pub(super) fn bit(&self, number: u32) -> bool {
        self.0[N - 1 - (number / 64) as usize] >> (number % 64) & 1 == 1
    }

    /// Shifted to the left; bits that leave it are lost.
    pub(super) fn shl(&self, by: u32) -> Self {
        let (parts, bits) = ((by / 64) as usize, by % 64);
        let at = |index: usize| self.0.get(index).copied().unwrap_or(0);
        Self(std::array::from_fn(|index| {
            let low = if bits == 0 { 0 } else { at(index + parts + 1) >> (64 - bits) };
            at(index + parts) << bits | low
        }))
    }

    /// Shifted to the right.
    pub(super) fn shr(&self, by: u32) -> Self {
        let (parts, bits) = ((by / 64) as usize, by % 64);
        let at = |index: Option<usize>| index.map_or(0, |index| self.0[index]);
        Self(std::array::from_fn(|index| {
            let from = index.checked_sub(parts);
            let high =
                if bits == 0 { 0 } else { at(from.and_then(|from| from.checked_sub(1))) << (64 - bits) };
            at(from) >> bits | high
        }))
    }

    /// The sum, and whether it did not fit.
    pub(super) fn overflowing_add(&self, other: &Self) -> (Self, bool) {
        let (mut parts, mut carry) = ([0; N], false);
        for index in (0..N).rev() {
            let (sum, first) = self.0[index].overflowing_add(other.0[index]);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            (parts[index], carry) = (sum, first || second);
        }
        (Self(parts), carry)
    }

    pub(super) fn not(&self) -> Self {
        Self(self.0.map(|part| !part))
    }

    /// The difference, of a number that is no larger.
    pub(super) fn sub(&self, smaller: &Self) -> Self {
        self.overflowing_add(&smaller.not()).0.overflowing_add(&Self::from_u64(1)).0
    }

    /// The product; bits that do not fit are lost.
    pub(super) fn mul_u64(&self, factor: u64) -> Self {
        let (mut parts, mut carry) = ([0; N], 0);
        for index in (0..N).rev() {
            let product = u128::from(self.0[index]) * u128::from(factor) + carry;
            (parts[index], carry) = (product as u64, product >> 64);
        }
        Self(parts)
    }

    /// The quotient, bit by bit, by a divisor that is not zero.
    pub(super) fn div(&self, divisor: &Self) -> Self {
        let (mut quotient, mut rest) = (Self::ZERO, Self::ZERO);
        for number in (0..self.bits()).rev() {
            let overflows = rest.bit(Self::BITS - 1);
            rest = rest.shl(1);
            rest.0[N - 1] |= u64::from(self.bit(number));
            if overflows || rest >= *divisor {
                rest = rest.sub(divisor);
                quotient.0[N - 1 - (number / 64) as usize] |= 1 << (number % 64);
            }
        }
        quotient
    }
}

impl U256 {
    pub(super) fn from_be_bytes(bytes: &[u8; 32]) -> Self {
        let (parts, _) = bytes.as_chunks::<8>();
        Self(std::array::from_fn(|index| u64::from_be_bytes(parts[index])))
    }

    pub(super) fn to_be_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, part) in bytes.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&part.to_be_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn u256(number: u128) -> U256 {
        Uint([0, 0, (number >> 64) as u64, number as u64])
    }

    fn any_u256() -> impl Strategy<Value = U256> {
        (any::<[u64; 4]>(), 0u32..256).prop_map(|(parts, shift)| Uint(parts).shr(shift))
    }

    proptest! {
        #[test]
        fn it_computes_as_the_machine_does(one in any::<u128>(), other in any::<u128>(), by in 0u32..128, factor in any::<u32>()) {
            prop_assert_eq!(u256(one).cmp(&u256(other)), one.cmp(&other));
            prop_assert_eq!(u256(one).bits(), 128 - one.leading_zeros());
            prop_assert_eq!(u256(one).shr(by), u256(one >> by));
            prop_assert_eq!(u256(one >> by).shl(by), u256(one >> by << by));
            prop_assert_eq!(u256(one).div(&u256(other.max(1))), u256(one / other.max(1)));
            prop_assert_eq!(u256(one >> 32).mul_u64(u64::from(factor)), u256((one >> 32) * u128::from(factor)));
            prop_assert_eq!(u256(one.max(other)).sub(&u256(one.min(other))), u256(one.max(other) - one.min(other)));
        }

        #[test]
        fn the_laws_hold_at_full_width(one in any_u256(), other in any_u256(), by in 0u32..256) {
            let (sum, overflows) = one.overflowing_add(&other);
            prop_assert_eq!(sum.sub(&other), one);
            prop_assert_eq!(overflows, sum < one);
            prop_assert_eq!(one.widen::<8>().shl(by).shr(by).narrow::<4>(), Some(one));
            prop_assert_eq!(U256::from_be_bytes(&one.to_be_bytes()), one);
            // n = q·d + r with r < d, for a divisor of one part.
            let divisor = other.0[3].max(1);
            let quotient = one.div(&U256::from_u64(divisor));
            let rest = one.sub(&quotient.mul_u64(divisor));
            prop_assert!(rest < U256::from_u64(divisor));
        }
    }

    #[test]
    fn the_ends_of_the_range() {
        assert_eq!(U256::MAX.overflowing_add(&U256::from_u64(1)), (U256::ZERO, true));
        assert_eq!(U256::MAX.div(&U256::MAX), U256::from_u64(1));
        assert_eq!(U256::MAX.shr(256), U256::ZERO);
        assert_eq!(U256::MAX.shl(300), U256::ZERO);
        assert_eq!((U256::ZERO.bits(), U256::MAX.bits()), (0, 256));
        assert_eq!(Uint::<6>::MAX.narrow::<4>(), None);
    }
}
