//! Functions of one number, the same on every machine.

use super::{LANES, Level, Shared, level::Kernel, simd::Simd};

/// e^x by range reduction and a polynomial of degree 6 (relative error below 3e-7), in operations that round alike
/// everywhere; the C library's differs between platforms. Below −87 the result is 0, above 88 that of 88.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    /// ln 2 in two parts, so that the reduction is exact.
    const LN2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);
    /// Adding 1.5 × 2^23 rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.0, 88.0);
    let shifted = clamped.mul_add(LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2.1, n.mul_add(-LN2.0, clamped));
    let p = (1.0f32 / 720.0).mul_add(r, 1.0 / 120.0);
    let p = p
        .mul_add(r, 1.0 / 24.0)
        .mul_add(r, 1.0 / 6.0)
        .mul_add(r, 0.5);
    let p = p.mul_add(r, 1.0).mul_add(r, 1.0);
    // n lies in the low bits, from where the shift makes it an exponent.
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    if x < -87.0 { 0.0 } else { p * power }
}

/// x · sigmoid(x), the activation of the gate.
#[inline(always)]
fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// `silu(gate[i]) * up[i]`, the first `lanes` of each row, to rows of `out` that begin at `first` and every `stride`
/// elements further on.
///
/// # Safety
/// No one else uses those elements meanwhile.
pub unsafe fn swiglu(
    level: Level,
    gate: &[[f32; LANES]],
    up: &[[f32; LANES]],
    lanes: usize,
    out: Shared<f32>,
    (first, stride): (usize, usize),
) {
    // SAFETY: the caller's; levels exist only where the machine has them.
    unsafe {
        level.run(SwiGlu {
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
            // SAFETY: the caller's.
            copy(&product[..self.lanes], unsafe {
                self.out.slice(self.first + row * self.stride, self.lanes)
            });
        }
    }
}

/// Copies some of 16 lanes, all of them by vectors.
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
