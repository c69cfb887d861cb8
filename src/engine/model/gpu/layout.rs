//! Memory layout of weights on the device.
//!
//! A row of a quantised matrix is divided into *units* of 32 columns, a row of a dense matrix into units of 8. The
//! threads of a team read consecutive units. So that their reads coalesce, a unit is stored as vectors of 16 bytes, and
//! the vectors with the same index are adjacent for all units of a row. Scales and bits beyond the nibbles are in a
//! second buffer, region by region.

use crate::engine::kernels::{BLOCK, Block, unpack};
use candle_core::quantized::GgmlDType;

/// Blocks of a super-block.
const SUPER: usize = 8;

/// Layout of a matrix on the device, named after the ggml type that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    F32,
    F16,
    Bf16,
    Q8_0,
    Q4_0,
    Q4_1,
    Q4K,
    Q5_0,
    Q5_1,
    Q5K,
    Q6K,
}

/// How the scales of a layout are stored, in words of 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scales {
    /// No scales: dense weights.
    None,
    /// An f16 scale for each unit, two to a word.
    Single,
    /// A word for each unit: an f16 scale and an f16 minimum.
    WithMin,
    /// A word for each super-block with the f16 bases of scales and minima, and for each two units a word of bytes: scale,
    /// minimum, scale, minimum.
    SuperWithMin,
    /// A word for each super-block with the f16 base of scales, and for each two units a word of signed bytes: the scales of
    /// the first and second half of either unit.
    SuperHalves,
}

/// Sizes of one row, in words of 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowWords {
    /// Bytes, nibbles or dense numbers.
    pub quants: usize,
    /// Bits beyond the nibbles.
    pub high: usize,
    /// Scales of units.
    pub scales: usize,
    /// Bases of super-blocks.
    pub bases: usize,
}

/// One row in words of 32 bits.
pub struct PackedRow<'a> {
    pub quants: &'a mut [u32],
    pub high: &'a mut [u32],
    pub scales: &'a mut [u32],
    pub bases: &'a mut [u32],
}

impl Layout {
    /// The layout for weights of this type; `None` if the kernels do not support it.
    pub fn of(dtype: GgmlDType) -> Option<Self> {
        Some(match dtype {
            GgmlDType::F32 => Self::F32,
            GgmlDType::F16 => Self::F16,
            GgmlDType::BF16 => Self::Bf16,
            GgmlDType::Q8_0 => Self::Q8_0,
            GgmlDType::Q4_0 => Self::Q4_0,
            GgmlDType::Q4_1 => Self::Q4_1,
            GgmlDType::Q4K => Self::Q4K,
            GgmlDType::Q5_0 => Self::Q5_0,
            GgmlDType::Q5_1 => Self::Q5_1,
            GgmlDType::Q5K => Self::Q5K,
            GgmlDType::Q6K => Self::Q6K,
            _ => return None,
        })
    }

    pub fn is_dense(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::Bf16)
    }

    /// The form of activations that products read, as a bit: 1 for f32, 2 for int8.
    pub fn form(self) -> u32 {
        if self.is_dense() { 1 } else { 2 }
    }

    /// Bits of a stored number.
    pub fn bits(self) -> usize {
        match self {
            Self::F32 => 32,
            Self::F16 | Self::Bf16 => 16,
            Self::Q8_0 => 8,
            Self::Q4_0 | Self::Q4_1 | Self::Q4K => 4,
            Self::Q5_0 | Self::Q5_1 | Self::Q5K => 5,
            Self::Q6K => 6,
        }
    }

    /// A stored number minus this is the weight before scaling.
    pub fn zero(self) -> u32 {
        match self {
            Self::Q4_0 => 8,
            Self::Q5_0 => 16,
            Self::Q6K => 32,
            _ => 0,
        }
    }

    pub fn scales(self) -> Scales {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => Scales::None,
            Self::Q8_0 | Self::Q4_0 | Self::Q5_0 => Scales::Single,
            Self::Q4_1 | Self::Q5_1 => Scales::WithMin,
            Self::Q4K | Self::Q5K => Scales::SuperWithMin,
            Self::Q6K => Scales::SuperHalves,
        }
    }

    /// Columns of a unit.
    pub fn unit(self) -> usize {
        if self.is_dense() { 8 } else { BLOCK }
    }

    /// Units of a row; the last one of a dense row is padded with zeros.
    pub fn units(self, cols: usize) -> usize {
        cols.div_ceil(self.unit())
    }

    /// Sizes of a row of `cols` columns.
    pub fn row_words(self, cols: usize) -> RowWords {
        let units = self.units(cols);
        let (scales, bases) = match self.scales() {
            Scales::None => (0, 0),
            Scales::Single => (units.div_ceil(2), 0),
            Scales::WithMin => (units, 0),
            Scales::SuperWithMin | Scales::SuperHalves => (units / 2, units / SUPER),
        };
        RowWords {
            quants: units
                * match self {
                    Self::F32 | Self::Q8_0 => 8,
                    _ => 4,
                },
            high: units * self.bits().saturating_sub(4) * usize::from(self.has_high_bits()),
            scales,
            bases,
        }
    }

    fn has_high_bits(self) -> bool {
        matches!(self.bits(), 5 | 6)
    }

    /// Packs a row given in the file's format. `row` must be zeroed and have the sizes of
    /// [`row_words`](Self::row_words).
    pub fn pack(self, dtype: GgmlDType, bytes: &[u8], row: PackedRow<'_>) {
        match self {
            Self::F32 => pack_f32(bytes, row.quants),
            Self::F16 | Self::Bf16 => {
                for (word, pair) in row.quants.iter_mut().zip(bytes.chunks(4)) {
                    let byte = |i: usize| u32::from(pair.get(i).copied().unwrap_or(0)) << (8 * i);
                    *word = byte(0) | byte(1) | byte(2) | byte(3);
                }
            }
            _ => {
                let units = bytes.len() / dtype.type_size() * dtype.block_size() / BLOCK;
                unpack(dtype, bytes, |unit, block| {
                    self.pack_numbers(unit, units, &block, row.quants, row.high);
                    self.pack_scales(unit, &block, row.scales, row.bases);
                });
            }
        }
    }

    fn pack_numbers(
        self,
        unit: usize,
        units: usize,
        block: &Block,
        quants: &mut [u32],
        high: &mut [u32],
    ) {
        for (i, &q) in block.q.iter().enumerate() {
            let (q, word, byte) = (u32::from(q as u8), i / 4, i % 4 * 8);
            if self.bits() == 8 {
                quants[(word / 4 * units + unit) * 4 + word % 4] |= q << byte;
                continue;
            }
            // The second half of the columns is in the high nibbles.
            quants[unit * 4 + word % 4] |= (q & 15) << (byte + word / 4 * 4);
            match self.bits() {
                5 => high[unit] |= (q >> 4) << (byte + word),
                6 => high[unit * 2 + word / 4] |= (q >> 4) << (byte + word % 4 * 2),
                _ => {}
            }
        }
    }

    fn pack_scales(self, unit: usize, block: &Block, scales: &mut [u32], bases: &mut [u32]) {
        let half = |x: f32| u32::from(half::f16::from_f32(x).to_bits());
        let (scale, min) = (block.scale, block.min);
        let pair = |low: i8, high: i8| {
            (u32::from(low as u8) | u32::from(high as u8) << 8) << (unit % 2 * 16)
        };
        match self.scales() {
            Scales::None => {}
            Scales::Single => scales[unit / 2] |= half(scale.base) << (unit % 2 * 16),
            Scales::WithMin => scales[unit] = half(scale.base) | half(min.base) << 16,
            Scales::SuperWithMin => {
                bases[unit / SUPER] = half(scale.base) | half(min.base) << 16;
                scales[unit / 2] |= pair(scale.sub, min.sub);
            }
            Scales::SuperHalves => {
                bases[unit / SUPER] = half(scale.base);
                scales[unit / 2] |= pair(block.sub_scales[0], block.sub_scales[1]);
            }
        }
    }
}

/// Packs f32, whose units take two vectors: the first vectors of all units, then the second ones.
fn pack_f32(bytes: &[u8], quants: &mut [u32]) {
    let units = quants.len() / 8;
    for (col, number) in bytes.as_chunks::<4>().0.iter().enumerate() {
        let (unit, vector) = (col / 8, col % 8 / 4);
        quants[(vector * units + unit) * 4 + col % 4] = u32::from_le_bytes(*number);
    }
}
