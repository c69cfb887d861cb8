//! Unpacks the block formats of ggml.

use super::{BLOCK, scales::Scale};
use candle_core::quantized::GgmlDType;
use half::f16;

/// 32 weights of one row: `scale * (q − zero)`, or `scale * q + min` in layouts with minima.
pub struct Block {
    pub q: [i8; BLOCK],
    pub scale: Scale,
    /// Scale factors of columns 0..16 and 16..32; both equal the factor of `scale` except in Q6_K.
    pub sub_scales: [i8; 2],
    pub min: Scale,
}

impl Block {
    fn new(q: [i8; BLOCK], scale: f32, min: f32) -> Self {
        Self {
            q,
            scale: Scale::whole(scale),
            sub_scales: [1; 2],
            min: Scale::whole(min),
        }
    }
}

fn half_at(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// Calls `each` with the index and content of every 32 columns of a row; `bytes` are whole blocks of `dtype`, one of the
/// quantised types that [`Layout::of`](super::layout::Layout::of) supports.
pub fn unpack(dtype: GgmlDType, bytes: &[u8], mut each: impl FnMut(usize, Block)) {
    for (i, block) in bytes.chunks_exact(dtype.type_size()).enumerate() {
        match dtype {
            GgmlDType::Q8_0 => each(i, q8_0(block)),
            GgmlDType::Q4_0 => each(i, nibbles(&block[2..], half_at(block, 0), 0.0)),
            GgmlDType::Q4_1 => each(
                i,
                nibbles(&block[4..], half_at(block, 0), half_at(block, 2)),
            ),
            GgmlDType::Q5_0 => each(i, q5(&block[2..], half_at(block, 0), 0.0)),
            GgmlDType::Q5_1 => each(i, q5(&block[4..], half_at(block, 0), half_at(block, 2))),
            GgmlDType::Q4K => {
                (0..8).for_each(|sub| each(i * 8 + sub, q45k(block, sub, None, &block[16..])))
            }
            GgmlDType::Q5K => (0..8).for_each(|sub| {
                each(
                    i * 8 + sub,
                    q45k(block, sub, Some(&block[16..48]), &block[48..]),
                )
            }),
            _ => (0..8).for_each(|sub| each(i * 8 + sub, q6k(block, sub))),
        }
    }
}

fn q8_0(block: &[u8]) -> Block {
    Block::new(
        std::array::from_fn(|i| block[2 + i] as i8),
        half_at(block, 0),
        0.0,
    )
}

/// Low nibbles are columns 0..16, high nibbles are columns 16..32.
fn nibbles(qs: &[u8], scale: f32, min: f32) -> Block {
    let q = std::array::from_fn(|i| if i < 16 { qs[i] & 15 } else { qs[i - 16] >> 4 } as i8);
    Block::new(q, scale, min)
}

/// As [`nibbles`], preceded by 32 bits that hold the fifth bit of every column.
fn q5(bits: &[u8], scale: f32, min: f32) -> Block {
    let mut block = nibbles(&bits[4..], scale, min);
    for (i, q) in block.q.iter_mut().enumerate() {
        *q |= ((bits[i / 8] >> (i % 8) & 1) << 4) as i8;
    }
    block
}

/// Sub-block `sub` of Q4_K or Q5_K: 6-bit scales and minima in units of the two f16 at the front.
fn q45k(block: &[u8], sub: usize, fifth: Option<&[u8]>, qs: &[u8]) -> Block {
    let packed = &block[4..16];
    let (scale, min) = if sub < 4 {
        (packed[sub] & 63, packed[sub + 4] & 63)
    } else {
        let (low, high) = (packed[sub + 4], |i: usize| packed[i] >> 6 << 4);
        (low & 15 | high(sub - 4), low >> 4 | high(sub))
    };
    let qs = &qs[sub / 2 * 32..];
    let q = std::array::from_fn(|i| {
        let nibble = if sub.is_multiple_of(2) {
            qs[i] & 15
        } else {
            qs[i] >> 4
        };
        (nibble | fifth.map_or(0, |bits| (bits[i] >> sub & 1) << 4)) as i8
    });
    let scaled = |base, sub: u8| Scale {
        base,
        sub: sub as i8,
    };
    let scale = scaled(half_at(block, 0), scale);
    Block {
        q,
        scale,
        sub_scales: [scale.sub; 2],
        min: scaled(-half_at(block, 2), min),
    }
}

/// 32 columns of Q6_K: 4 low bits, 2 high bits, and a signed 8-bit scale for every 16 columns.
fn q6k(block: &[u8], sub: usize) -> Block {
    let (half, quarter) = (sub / 4, sub % 4);
    let (low, high) = (
        &block[half * 64 + quarter % 2 * 32..],
        &block[128 + half * 32..],
    );
    let q = std::array::from_fn(|i| {
        let nibble = if quarter < 2 {
            low[i] & 15
        } else {
            low[i] >> 4
        };
        (nibble | (high[i] >> (2 * quarter) & 3) << 4) as i8
    });
    let sub_scales = [0, 1].map(|i| block[192 + sub * 2 + i] as i8);
    Block {
        sub_scales,
        ..Block::new(q, half_at(block, 208), 0.0)
    }
}
