//! Exponentials over a whole vocabulary. One fixed order of operations on every machine, sixteen sums side by side, so
//! that wide registers change the speed and never the result.

const LANES: usize = 16;

/// Runs a body compiled for AVX2 where the machine has it.
macro_rules! dispatch {
    ($body:ident($($arg:ident),*)) => {{
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the feature was just detected.
            return unsafe { avx2::$body($($arg),*) };
        }
        $body($($arg),*)
    }};
}

/// Largest value of `logits`, `-inf` for none; NaN is passed over.
pub fn maximum(logits: &[f32]) -> f32 {
    dispatch!(maximum_body(logits))
}

/// Writes `exp((logit - max) * scale)` into `weights` and returns the sum of what it wrote.
pub fn exponentials(logits: &[f32], max: f32, scale: f32, weights: &mut Vec<f32>) -> f32 {
    weights.resize(logits.len(), 0.0);
    dispatch!(exponentials_body(logits, max, scale, weights))
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    #[target_feature(enable = "avx2")]
    pub fn maximum_body(logits: &[f32]) -> f32 {
        super::maximum_body(logits)
    }

    #[target_feature(enable = "avx2")]
    pub fn exponentials_body(logits: &[f32], max: f32, scale: f32, weights: &mut [f32]) -> f32 {
        super::exponentials_body(logits, max, scale, weights)
    }
}

#[inline(always)]
fn maximum_body(logits: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = logits.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = if x > *lane { x } else { *lane };
        }
    }
    lanes
        .iter()
        .chain(rest)
        .fold(f32::NEG_INFINITY, |a, &x| if x > a { x } else { a })
}

#[inline(always)]
fn exponentials_body(logits: &[f32], max: f32, scale: f32, weights: &mut [f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let (chunks, rest) = logits.as_chunks::<LANES>();
    let (out, out_rest) = weights.as_chunks_mut::<LANES>();
    for (chunk, out) in chunks.iter().zip(out) {
        for lane in 0..LANES {
            out[lane] = exp((chunk[lane] - max) * scale);
            lanes[lane] += out[lane];
        }
    }
    let mut sum: f32 = lanes.iter().sum();
    for (&x, out) in rest.iter().zip(out_rest) {
        *out = exp((x - max) * scale);
        sum += *out;
    }
    sum
}

/// e^x for x ≤ 0, 0 below -87; relative error under 3e-7. Plain multiplications and additions, never fused, so that
/// every machine agrees.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let clamped = if x > -87.0 { x } else { -87.0 };
    let n = (clamped * std::f32::consts::LOG2_E + 12_582_912.0) - 12_582_912.0;
    let r = (clamped - n * 0.693_359_4) + n * 2.121_944_4e-4;
    let p = 1.987_569_2e-4 * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let y = p * r * r + r + 1.0;
    let two_to_n = f32::from_bits(((n as i32 + 127) as u32) << 23);
    if x > -87.0 { y * two_to_n } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_to_the_real_one() {
        for i in 0..870_000 {
            let x = -(i as f32) / 10_000.0;
            let want = f64::from(x).exp();
            assert!((f64::from(exp(x)) - want).abs() <= 3e-7 * want, "{x}");
        }
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(f32::NAN), 0.0);
    }

    #[test]
    fn every_machine_adds_in_the_same_order() {
        let logits: Vec<f32> = (0..1003u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 20) as f32 / 300.0)
            .collect();
        let max = maximum(&logits);
        assert_eq!(max, maximum_body(&logits));
        let (mut fast, mut plain) = (Vec::new(), vec![0.0; logits.len()]);
        let sum = exponentials(&logits, max, 0.7, &mut fast);
        assert_eq!(
            sum.to_bits(),
            exponentials_body(&logits, max, 0.7, &mut plain).to_bits()
        );
        assert_eq!(fast, plain);
    }
}
