//! The retarget rule: ASERT in the integer form `aserti3-2d`.
//!
//! ```text
//! next target = anchor target · 2^((elapsed − interval · blocks) / half-life)
//! ```
//! The chain has a schedule: block `n` is due `n` intervals after the start. A chain that is one half-life ahead of it
//! has half the target, one that is behind has the double. Only where the chain stands matters, not how it got there, so
//! errors do not add up and nothing oscillates.
//!
//! Source: M. Lundeberg, *Static difficulty adjustments, with absolutely scheduled exponentially rising targets*, 2020;
//! *ASERT Difficulty Adjustment Algorithm (aserti3-2d)*, specification of Bitcoin Cash, 2020-11-15, with whose published
//! vectors this is tested. The power of two is a cubic approximation in fixed point of 16 bits, whose error is below
//! 0.013 %.

use super::{
    target::Target,
    uint::{U256, Uint},
};

/// The target of the block after one that stands `behind_ms` behind its schedule (ahead of it, if negative). Never
/// easier than `easiest`, and never harder than to hit one single value.
pub(super) fn next_target(anchor: Target, easiest: Target, behind_ms: i128, half_life_ms: u64) -> Target {
    let exponent = behind_ms.saturating_mul(1 << 16) / i128::from(half_life_ms.max(1));
    // No target of 256 bits survives more doublings or halvings than this.
    let exponent = exponent.clamp(-(512 << 16), 512 << 16) as i64;
    let (shifts, fraction) = (exponent >> 16, (exponent & 0xffff) as u64);
    let cubic = 195_766_423_245_049 * fraction
        + 971_821_376 * fraction * fraction
        + 5_127 * fraction * fraction * fraction
        + (1 << 47);
    let factor = (1 << 16) + (cubic >> 48);
    // 256 bits of target, 17 of factor, up to 512 of shift.
    let product: Uint<14> = anchor.0.widen().mul_u64(factor);
    let shift = shifts - 16;
    let shifted =
        if shift < 0 { product.shr(shift.unsigned_abs() as u32) } else { product.shl(shift as u32) };
    let target = shifted.narrow().unwrap_or(U256::MAX);
    Target(target.clamp(U256::from_u64(1), easiest.0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::proof_of_work::CompactTarget;
    use proptest::prelude::*;

    /// A published vector: anchor's height, time of the anchor's parent and bits, then height, time and the next target.
    type Vector = (u64, u64, u32, u64, u64, u32);

    fn of_bitcoin_cash((anchor_height, anchor_time, anchor, height, time, _): Vector) -> CompactTarget {
        let target = |compact| CompactTarget(compact).target().unwrap();
        let blocks = i128::from(height - anchor_height + 1);
        let behind = (i128::from(time) - i128::from(anchor_time) - 600 * blocks) * 1000;
        next_target(target(anchor), target(0x1d00_ffff), behind, 172_800_000).compact()
    }

    /// From the vectors that come with the specification: run 1 (on schedule), run 5 (one half-life ahead at each step, to the
    /// hardest target and on) and run 10 (heights beyond 63 bits).
    #[test]
    fn published_vectors_are_met() {
        for vector in [
            (1, 0, 0x1d00_ffff, 2, 1200, 0x1d00_ffff),
            (1, 0, 0x1d00_ffff, 11, 6600, 0x1d00_ffff),
            (1, 0, 0x1d00_ffff, 2, 0, 0x1d00_fec5),
            (1, 0, 0x1d00_ffff, 290, 0, 0x1c7f_62c0),
            (1, 0, 0x1d00_ffff, 578, 0, 0x1c3f_b160),
            (1, 0, 0x1d00_ffff, 866, 0, 0x1c1f_d8b0),
            (1, 0, 0x1d00_ffff, 30_530, 0, 0x0f3f_b160),
            (1, 0, 0x1d00_ffff, 60_194, 0, 0x027f_6200),
            (1, 0, 0x1d00_ffff, 62_210, 0, 0x0200_fe00),
            (1, 0, 0x1d00_ffff, 62_498, 0, 0x017f_0000),
            (1, 0, 0x1d00_ffff, 64_226, 0, 0x0101_0000),
            (1, 0, 0x1d00_ffff, 64_514, 0, 0x0101_0000),
            (
                9_223_372_036_854_775_802,
                2_147_483_047,
                0x1802_aee8,
                9_223_372_036_854_775_803,
                2_147_484_547,
                0x1802_afbb,
            ),
            (
                9_223_372_036_854_775_802,
                2_147_483_047,
                0x1802_aee8,
                9_223_372_036_854_775_806,
                2_147_487_247,
                0x1802_b23a,
            ),
            (
                9_223_372_036_854_775_802,
                2_147_483_047,
                0x1802_aee8,
                9_223_372_036_854_775_812,
                2_147_492_647,
                0x1802_b73d,
            ),
        ] {
            assert_eq!(of_bitcoin_cash(vector), CompactTarget(vector.5), "{vector:x?}");
        }
    }

    proptest! {
        /// Whoever is further behind has an easier target, within the bounds, up to the steps of the approximation.
        #[test]
        fn it_rises_with_the_time(behind in any::<i64>(), more in 0i64..1 << 40, bits in 0u8..=255, half_life in 1u64..1 << 40) {
            let easiest = Target::of_leading_zero_bits(bits);
            let at = |behind: i64, more: i64| {
                next_target(easiest, easiest, i128::from(behind) + i128::from(more), half_life)
            };
            prop_assert!(at(behind, 0) <= at(behind, more));
            prop_assert!(at(behind, 0) <= easiest && at(behind, 0) > Target(U256::ZERO));
            prop_assert_eq!(at(0, 0), easiest);
        }
    }
}
