//! Randomness as a pure function of (seed, absolute position, token id). Draft and verify therefore see the same noise
//! at the same position, and so do two runs with different settings.

use crate::engine::splitmix::mix;

/// The purpose of a uniform number. Streams at the same position are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Stream {
    /// Gumbel noise of one token (shared-noise coupling).
    Gumbel = 0x9e6c_63d0_876a_46ad,
    /// The draft's own sample (rejection coupling).
    Draft = 0xc2b2_ae3d_27d4_eb4f,
    /// Accept or reject (rejection coupling).
    Accept = 0x1656_67b1_9e37_79f9,
    /// The verifier's own sample: residual, bonus or plain (rejection coupling).
    Verify = 0x27d4_eb2f_1656_67c5,
}

/// Noise at one position, with everything but the token id already mixed in.
#[derive(Debug, Clone, Copy)]
pub struct PositionNoise(u64);

impl PositionNoise {
    /// Noise of `stream` at the absolute `position` of the token to be chosen.
    pub fn new(seed: u64, position: usize, stream: Stream) -> Self {
        Self(mix(mix(seed ^ stream as u64).wrapping_add(position as u64)))
    }

    /// The state into which token ids are mixed.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// 64 random bits for token `id`.
    #[inline]
    pub fn token_bits(self, id: u32) -> u64 {
        mix(self.0.wrapping_add(u64::from(id) << 1 | 1))
    }

    /// Uniform in (0, 1) for token `id`; never 0 or 1.
    #[inline]
    pub fn uniform(self, id: u32) -> f64 {
        ((self.token_bits(id) >> 12) as f64 + 0.5) * (1.0 / (1u64 << 52) as f64)
    }
}

/// Gumbel(0, 1) noise from a uniform number.
#[inline]
pub fn gumbel(uniform: f64) -> f64 {
    -(-uniform.ln()).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_numbers_are_even_and_streams_differ() {
        let noise = PositionNoise::new(1, 2, Stream::Gumbel);
        let other = PositionNoise::new(1, 2, Stream::Accept);
        let mut tenths = [0usize; 10];
        for id in 0..100_000 {
            let u = noise.uniform(id);
            assert!(u > 0.0 && u < 1.0);
            assert_ne!(u, other.uniform(id));
            tenths[(u * 10.0) as usize] += 1;
        }
        let chi: f64 = tenths
            .iter()
            .map(|&n| (n as f64 - 10_000.0).powi(2) / 10_000.0)
            .sum();
        assert!(chi < 35.0, "chi-square of 9 degrees of freedom: {chi}");
    }

    #[test]
    fn gumbel_noise_has_the_expected_mean() {
        let mean = (0..200_000)
            .map(|p| gumbel(PositionNoise::new(7, p, Stream::Gumbel).uniform(3)))
            .sum::<f64>()
            / 200_000.0;
        assert!((mean - 0.577_215).abs() < 0.02, "{mean}");
    }
}
