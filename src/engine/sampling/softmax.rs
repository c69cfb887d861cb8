//! Softmax exponentials over a whole vocabulary, with the same order of operations on every machine.

use crate::engine::kernels::{Isa, Kernel, LANES, Simd, exp, max};

/// Max of `logits`, ignoring NaN; −∞ if there is none.
pub fn maximum(logits: &[f32]) -> f32 {
    // SAFETY: the kernel is safe code and has no preconditions.
    unsafe { Isa::detect().run(Maximum(logits)) }
}

/// Writes `exp((logit - max) * scale)` into `weights`, 0 for NaN, and returns the sum of what it wrote.
pub fn exponentials(logits: &[f32], max: f32, scale: f32, weights: &mut Vec<f32>) -> f32 {
    exponentials_with(Isa::detect(), logits, max, scale, weights)
}

fn exponentials_with(
    isa: Isa,
    logits: &[f32],
    max: f32,
    scale: f32,
    weights: &mut Vec<f32>,
) -> f32 {
    weights.resize(logits.len(), 0.0);
    // SAFETY: the kernel is safe code and has no preconditions.
    unsafe {
        isa.run(Exponentials {
            logits,
            max,
            scale,
            weights,
        })
    }
}

struct Maximum<'a>(&'a [f32]);

impl Kernel for Maximum<'_> {
    type Output = f32;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> f32 {
        max(self.0)
    }
}

struct Exponentials<'a> {
    logits: &'a [f32],
    max: f32,
    scale: f32,
    weights: &'a mut [f32],
}

impl Kernel for Exponentials<'_> {
    type Output = f32;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> f32 {
        let mut lanes = [0f32; LANES];
        let (chunks, rest) = self.logits.as_chunks::<LANES>();
        let (out, out_rest) = self.weights.as_chunks_mut::<LANES>();
        for (chunk, out) in chunks.iter().zip(out) {
            for lane in 0..LANES {
                out[lane] = weight((chunk[lane] - self.max) * self.scale);
                lanes[lane] += out[lane];
            }
        }
        let mut sum: f32 = lanes.iter().sum();
        for (&x, out) in rest.iter().zip(out_rest) {
            *out = weight((x - self.max) * self.scale);
            sum += *out;
        }
        sum
    }
}

/// e^x, or 0 for NaN: a NaN logit excludes its token and leaves the rest of the distribution usable.
#[inline(always)]
pub fn weight(x: f32) -> f32 {
    if x.is_nan() { 0.0 } else { exp(x) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_adds_in_the_same_order() {
        let mut logits: Vec<f32> = (0..1003u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 20) as f32 / 300.0)
            .collect();
        logits[5] = f32::NAN;
        logits[1001] = f32::NEG_INFINITY;
        let max = maximum(&logits);
        let (mut weights, mut portable) = (Vec::new(), Vec::new());
        let sum = exponentials_with(Isa::PORTABLE, &logits, max, 0.7, &mut portable);
        assert!(sum > 0.0 && portable[5] == 0.0 && portable[1001] == 0.0);
        for isa in Isa::available() {
            assert_eq!(
                exponentials_with(isa, &logits, max, 0.7, &mut weights).to_bits(),
                sum.to_bits(),
                "{}",
                isa.name()
            );
            assert_eq!(weights, portable, "{}", isa.name());
        }
    }
}
