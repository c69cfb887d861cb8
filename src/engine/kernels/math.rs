//! Elementary functions with the same results on every machine.

use super::simd::{Isa, Kernel, Simd};
use super::{LANES, ROUND_TO_NEAREST, Shared};

/// e^x by range reduction and a polynomial of degree 6 (relative error below 3e-7), in operations that round the same
/// way everywhere; that of the C library differs between platforms. Below −87 the result is 0, above 88 it is e^88.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    /// ln 2 in two parts, so that the reduction is exact.
    const LN2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);
    let clamped = x.clamp(-87.0, 88.0);
    let shifted = clamped.mul_add(LOG2_E, ROUND_TO_NEAREST);
    let n = shifted - ROUND_TO_NEAREST;
    let r = n.mul_add(-LN2.1, n.mul_add(-LN2.0, clamped));
    let p = (1.0f32 / 720.0).mul_add(r, 1.0 / 120.0);
    let p = p
        .mul_add(r, 1.0 / 24.0)
        .mul_add(r, 1.0 / 6.0)
        .mul_add(r, 0.5);
    let p = p.mul_add(r, 1.0).mul_add(r, 1.0);
    // The shift moves n from the low bits into the exponent.
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    if x < -87.0 { 0.0 } else { p * power }
}

/// x · sigmoid(x), the activation of the gate.
#[inline(always)]
fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// Writes `silu(gate[i]) * up[i]`, the first `lanes` of each row, to rows of `out` that begin at `first` and every
/// `stride` elements after it.
///
/// # Safety
/// The storage of `out` still exists, and no other thread accesses those elements during the call.
pub unsafe fn swiglu(
    isa: Isa,
    gate: &[[f32; LANES]],
    up: &[[f32; LANES]],
    lanes: usize,
    out: Shared<f32>,
    (first, stride): (usize, usize),
) {
    // SAFETY: the caller guarantees exclusive access to the elements that the kernel writes.
    unsafe {
        isa.run(SwiGlu {
            gate,
            up,
            lanes,
            out,
            first,
            stride,
        })
    }
}

struct SwiGlu<'a> {
    gate: &'a [[f32; LANES]],
    up: &'a [[f32; LANES]],
    lanes: usize,
    out: Shared<f32>,
    first: usize,
    stride: usize,
}

impl Kernel for SwiGlu<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for (row, (gate, up)) in self.gate.iter().zip(self.up).enumerate() {
            let mut product = [0.0; LANES];
            for i in 0..LANES {
                product[i] = silu(gate[i]) * up[i];
            }
            // SAFETY: the caller of `swiglu` guarantees exclusive access to these elements.
            copy(&product[..self.lanes], unsafe {
                self.out.slice(self.first + row * self.stride, self.lanes)
            });
        }
    }
}

/// Copies up to 16 lanes; all 16 as one vector.
#[inline(always)]
pub fn copy(from: &[f32], to: &mut [f32]) {
    match (
        <&[f32; LANES]>::try_from(from),
        <&mut [f32; LANES]>::try_from(&mut *to),
    ) {
        (Ok(from), Ok(to)) => *to = *from,
        _ => to.copy_from_slice(from),
    }
}

/// Sum of 16 lanes in a fixed tree.
#[inline(always)]
pub fn tree_sum(mut x: [f32; LANES]) -> f32 {
    for width in [8, 4, 2, 1] {
        for i in 0..width {
            x[i] += x[i + width];
        }
    }
    x[0]
}

/// The max of the numbers, ignoring NaN; −∞ if there are none.
#[inline(always)]
pub fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] = if chunk[i] > lanes[i] {
                chunk[i]
            } else {
                lanes[i]
            };
        }
    }
    let all = lanes.iter().chain(rest);
    all.fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_accurate() {
        for i in -870_000..880_000 {
            let x = i as f32 / 10_000.0;
            let want = f64::from(x).exp();
            assert!((f64::from(exp(x)) - want).abs() <= 3e-7 * want, "{x}");
        }
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(f32::INFINITY), exp(88.0));
        assert!(exp(f32::NAN).is_nan());
    }
}
