//! SplitMix64 (Steele, Lea and Flood 2014).

/// Increment of the state per number.
const INCREMENT: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output after `state`.
#[inline]
pub fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(INCREMENT);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A generator; its field is the seed.
pub struct SplitMix64(pub u64);

impl SplitMix64 {
    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        let number = mix(self.0);
        self.0 = self.0.wrapping_add(INCREMENT);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs for the seed 1234567, from the reference implementation.
    #[test]
    fn outputs_match_the_reference_implementation() {
        let mut random = SplitMix64(1_234_567);
        let numbers: [u64; 3] = std::array::from_fn(|_| random.next_u64());
        assert_eq!(
            numbers,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }
}
