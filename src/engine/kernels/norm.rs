//! Root-mean-square norm.

use super::simd::{Isa, Kernel, Simd};
use super::{LANES, math::tree_sum};

/// `out = x / sqrt(mean(x²) + eps) * weight`; all three slices have the same length.
pub fn rms_norm(isa: Isa, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    assert!(x.len() == weight.len() && x.len() == out.len());
    // SAFETY: the kernel has no conditions: it is safe code.
    unsafe {
        isa.run(Norm {
            x,
            weight,
            eps,
            out,
        })
    }
}

struct Norm<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    eps: f32,
    out: &'a mut [f32],
}

impl Kernel for Norm<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let mut sums = [0.0f32; LANES];
        let (chunks, rest) = self.x.as_chunks::<LANES>();
        for chunk in chunks {
            for i in 0..LANES {
                sums[i] = chunk[i].mul_add(chunk[i], sums[i]);
            }
        }
        for (sum, x) in sums.iter_mut().zip(rest) {
            *sum = x.mul_add(*x, *sum);
        }
        let scale = 1.0 / (tree_sum(sums) / self.x.len() as f32 + self.eps).sqrt();
        for ((out, x), weight) in self.out.iter_mut().zip(self.x).zip(self.weight) {
            *out = x * scale * weight;
        }
    }
}
