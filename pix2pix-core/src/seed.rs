//! Randomness as a pure function of (seed, what it is for, index).
//!
//! No generator lives longer than one draw: a resumed run gets the same numbers without storing generator state, and the
//! number of threads cannot change the order of draws.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Derives an independent 64-bit seed for the `index`-th draw of `what`.
///
/// Equal arguments give equal results on every platform and in every version of this crate.
pub fn mix(seed: u64, what: &str, index: u64) -> u64 {
    let named = what
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    finalize(finalize(finalize(seed) ^ named) ^ index)
}

/// A generator for the `index`-th draw of `what`.
pub fn rng(seed: u64, what: &str, index: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(mix(seed, what, index))
}

/// The output function of SplitMix64 (Steele, Lea and Flood 2014).
fn finalize(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_differ_by_each_argument() {
        let base = mix(1, "crop", 2);
        assert_ne!(base, mix(2, "crop", 2));
        assert_ne!(base, mix(1, "flip", 2));
        assert_ne!(base, mix(1, "crop", 3));
        assert_eq!(base, mix(1, "crop", 2));
    }
}
