//! Random quantised weights in file format, generated directly instead of by quantising floats.

use crate::engine::splitmix::SplitMix64;
use candle_core::quantized::GgmlDType;
use half::{bf16, f16};

/// Standard deviation of uniform integers of 4, 5, 6 and 8 bits.
const DEVIATIONS: [f32; 4] = [4.61, 9.23, 18.47, 73.9];

/// Fills whole blocks of `dtype` with weights of mean 0 and the given standard deviation.
pub fn fill(dtype: GgmlDType, random: &mut SplitMix64, deviation: f32, out: &mut [u8]) {
    for bytes in out.chunks_mut(8) {
        let noise = random.next_u64().to_le_bytes();
        bytes.copy_from_slice(&noise[..bytes.len()]);
    }
    let [bits4, bits5, bits6, bits8] = DEVIATIONS.map(|unit| deviation / unit);
    // Uniform numbers with this deviation lie within ±reach.
    let reach = deviation * 3f32.sqrt();
    for block in out.chunks_exact_mut(dtype.type_size()) {
        match dtype {
            GgmlDType::F32 => {
                let bits = u32::from_le_bytes([block[0], block[1], block[2], block[3]]);
                let number = (bits >> 8) as f32 / (1 << 23) as f32 - 1.0;
                block.copy_from_slice(&(number * reach).to_le_bytes());
            }
            GgmlDType::F16 => {
                let number = f16::from_f32(sixteen_bits(block) * reach);
                block.copy_from_slice(&number.to_le_bytes());
            }
            GgmlDType::BF16 => {
                let number = bf16::from_f32(sixteen_bits(block) * reach);
                block.copy_from_slice(&number.to_le_bytes());
            }
            GgmlDType::Q8_0 => set(block, 0, bits8),
            // Integers around a zero point have a mean of −1/2; random signs of the scales cancel it.
            GgmlDType::Q4_0 => set_signed(block, 0, bits4),
            GgmlDType::Q5_0 => set_signed(block, 0, bits5),
            GgmlDType::Q4_1 => {
                set(block, 0, bits4);
                set(block, 2, -7.5 * bits4);
            }
            GgmlDType::Q5_1 => {
                set(block, 0, bits5);
                set(block, 2, -15.5 * bits5);
            }
            GgmlDType::Q4K => super_block(block, bits4, 7.5),
            GgmlDType::Q5K => super_block(block, bits5, 15.5),
            _ => {
                // Q6_K: sixteen scales of ±(32..96).
                for scale in &mut block[192..208] {
                    let size = 32 + i16::from(*scale >> 1 & 63);
                    *scale = (if *scale & 1 == 1 { -size } else { size }) as i8 as u8;
                }
                set(block, 208, bits6 / 66.0);
            }
        }
    }
}

/// Uniform in −1..1.
fn sixteen_bits(block: &[u8]) -> f32 {
    f32::from(u16::from_le_bytes([block[0], block[1]])) / 32_768.0 - 1.0
}

fn set(block: &mut [u8], at: usize, scale: f32) {
    block[at..at + 2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
}

/// As [`set`], with the sign of the random bits already there.
fn set_signed(block: &mut [u8], at: usize, scale: f32) {
    let sign = if block[at] & 1 == 1 { -1.0 } else { 1.0 };
    set(block, at, sign * scale);
}

/// Q4_K or Q5_K: eight scales of 32..64, and minima that make the mean of `middle` zero.
fn super_block(block: &mut [u8], deviation: f32, middle: f32) {
    let base = deviation / 48.4;
    set(block, 0, base);
    set(block, 2, middle * base);
    let scales: [u8; 8] = std::array::from_fn(|i| 32 | block[4 + i] & 31);
    // Scales and minima are equal.
    for i in 0..4 {
        let high = scales[i + 4] >> 4 << 6;
        block[4 + i] = scales[i] | high;
        block[8 + i] = scales[i] | high;
        block[12 + i] = (scales[i + 4] & 15) * 0x11;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::kernels::{Arena, Packed};

    #[test]
    fn weights_of_every_type_have_the_deviation() {
        use GgmlDType::*;
        for dtype in [F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4K, Q5K, Q6K] {
            let (rows, cols) = (64, 1024);
            let mut bytes = vec![0; rows * cols / dtype.block_size() * dtype.type_size()];
            fill(dtype, &mut SplitMix64(3), 0.02, &mut bytes);
            let mut arena = Arena::default();
            let packed = Packed::new("", dtype, rows, cols, &bytes, &mut arena).unwrap();
            let mut row = vec![0.0; cols];
            let (mut sum, mut squares) = (0.0, 0.0);
            for i in 0..rows {
                packed.row(i, &mut row);
                sum += row.iter().map(|&x| f64::from(x)).sum::<f64>();
                squares += row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
            }
            let n = (rows * cols) as f64;
            let (mean, deviation) = (sum / n, (squares / n).sqrt());
            assert!(mean.abs() < 4e-4, "{dtype:?}: mean {mean}");
            assert!(
                (deviation / 0.02 - 1.0).abs() < 0.06,
                "{dtype:?}: deviation {deviation}"
            );
        }
    }
}
