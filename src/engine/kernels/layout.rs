//! Memory layout of packed weights and quantised activations.

use super::{BLOCK, LANES};
use candle_core::quantized::GgmlDType;

/// Layout of a packed matrix, named after the ggml type that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Dense, `[panel][column][lane]`.
    F32,
    /// Dense, `[panel][column][lane]`.
    F16,
    /// Dense, `[panel][column][lane]`.
    Bf16,
    /// Signed bytes.
    Q8_0,
    /// Five bits with a zero point.
    Q5_0,
    /// Five bits with a minimum.
    Q5_1,
    /// Five bits with a minimum, in super-blocks.
    Q5K,
    /// Six bits with a zero point and a scale for every 16 columns, in super-blocks.
    Q6K,
    /// Four bits with a zero point.
    Q4_0,
    /// Four bits with a minimum.
    Q4_1,
    /// Four bits with a minimum, in super-blocks.
    Q4K,
}

/// A block-quantised layout as a type, so that kernels are compiled once for each.
///
/// A block holds 16 rows × 32 columns as 8 groups of 4 columns. A group takes 64 bytes: the four columns of row 0, then
/// those of row 1, and so on. Layouts of fewer than eight bits store the low nibbles of groups 0 to 3 and the high
/// nibbles of groups 4 to 7 in the same 4 × 64 bytes, and any further bits after them, at [`HIGH_BITS`]: the fifth bit
/// of group `g` as bit `g`, or the upper two of six bits, four groups to 64 bytes.
pub trait Quantised {
    /// Bits of a stored number.
    const BITS: usize;
    /// The zero point: a stored number minus this is the weight before scaling.
    const ZERO: i32;
    /// Scales of a block within its super-block; 0 for layouts without super-blocks.
    const SUB_SCALES: usize;
    /// Whether every block has a minimum, which is added to the scaled weights.
    const HAS_MINS: bool;
    /// Number of parts of a block with separate scales.
    const SUB_BLOCKS: usize = if Self::SUB_SCALES > 1 {
        Self::SUB_SCALES
    } else {
        1
    };
    /// Number of groups per part.
    const GROUPS: usize = 8 / Self::SUB_BLOCKS;
}

/// The constants of [`Quantised`] as values.
struct Spec {
    bits: usize,
    zero: i32,
    sub_scales: usize,
    has_mins: bool,
}

macro_rules! quantised {
    ($($name:ident: $bits:literal bits, zero $zero:expr, $scales:literal sub-scales, mins $mins:literal;)*) => {
        $(
            #[doc = concat!("[`Layout::", stringify!($name), "`] as a type.")]
            pub struct $name;

            impl Quantised for $name {
                const BITS: usize = $bits;
                const ZERO: i32 = $zero;
                const SUB_SCALES: usize = $scales;
                const HAS_MINS: bool = $mins;
            }
        )*

        impl Layout {
            /// `None` for dense layouts.
            const fn spec(self) -> Option<Spec> {
                match self {
                    $(Self::$name => Some(Spec {
                        bits: $name::BITS,
                        zero: $name::ZERO,
                        sub_scales: $name::SUB_SCALES,
                        has_mins: $name::HAS_MINS,
                    }),)*
                    Self::F32 | Self::F16 | Self::Bf16 => None,
                }
            }
        }
    };
}

quantised! {
    Q8_0: 8 bits, zero Q8_0_OFFSET as i32, 0 sub-scales, mins false;
    Q5_0: 5 bits, zero 16, 0 sub-scales, mins false;
    Q5_1: 5 bits, zero 0, 0 sub-scales, mins true;
    Q5K: 5 bits, zero 0, 1 sub-scales, mins true;
    Q6K: 6 bits, zero 32, 2 sub-scales, mins false;
    Q4_0: 4 bits, zero 8, 0 sub-scales, mins false;
    Q4_1: 4 bits, zero 0, 0 sub-scales, mins true;
    Q4K: 4 bits, zero 0, 1 sub-scales, mins true;
}

/// Added to the bytes of Q8_0 in memory, because x86 multiplies unsigned bytes by signed ones.
pub const Q8_0_OFFSET: u8 = if cfg!(target_arch = "x86_64") { 128 } else { 0 };

/// Offset in a block of the bits beyond the nibbles.
pub const HIGH_BITS: usize = 256;

/// Whether the kernels support weights of this type.
pub fn supports(dtype: GgmlDType) -> bool {
    Layout::of(dtype).is_some()
}

impl Layout {
    /// The layout for weights of this type; `None` if the kernels do not support it.
    pub const fn of(dtype: GgmlDType) -> Option<Self> {
        Some(match dtype {
            GgmlDType::F32 => Self::F32,
            GgmlDType::F16 => Self::F16,
            GgmlDType::BF16 => Self::Bf16,
            GgmlDType::Q8_0 => Self::Q8_0,
            GgmlDType::Q5_0 => Self::Q5_0,
            GgmlDType::Q5_1 => Self::Q5_1,
            GgmlDType::Q5K => Self::Q5K,
            GgmlDType::Q6K => Self::Q6K,
            GgmlDType::Q4_0 => Self::Q4_0,
            GgmlDType::Q4_1 => Self::Q4_1,
            GgmlDType::Q4K => Self::Q4K,
            _ => return None,
        })
    }

    /// Bytes of a block of 16 rows × 32 columns, or of one column of 16 rows in a dense layout.
    pub fn block_bytes(self) -> usize {
        match self.spec() {
            Some(spec) => LANES * BLOCK / 8 * spec.bits,
            None if self == Self::F32 => 4 * LANES,
            None => 2 * LANES,
        }
    }

    /// Whether weights are plain floating-point numbers.
    pub fn is_dense(self) -> bool {
        self.spec().is_none()
    }

    /// Whether every block has a minimum.
    pub fn has_mins(self) -> bool {
        self.spec().is_some_and(|spec| spec.has_mins)
    }

    /// Scales of a block within its super-block; 0 for layouts without super-blocks.
    pub fn sub_scales(self) -> usize {
        self.spec().map_or(0, |spec| spec.sub_scales)
    }

    fn bits(self) -> usize {
        self.spec().map_or(0, |spec| spec.bits)
    }

    /// Byte and shift of the bits beyond the nibble of column `i` of a lane.
    fn high_bits(self, lane: usize, i: usize) -> (usize, usize) {
        let (group, at) = (i / 4, HIGH_BITS + lane * 4 + i % 4);
        if self.bits() == 6 {
            (at + group / 4 * 64, group % 4 * 2)
        } else {
            (at, group)
        }
    }

    /// Stores the number `q` of column `i` of a lane. Its bits in `block` must still be zero. `q` is what ggml stores:
    /// a signed byte for Q8_0, otherwise the number before its zero point is subtracted.
    pub fn put(self, block: &mut [u8], lane: usize, i: usize, q: i8) {
        let place = |i: usize| i / 4 * 64 + lane * 4 + i % 4;
        if self.bits() == 8 {
            block[place(i)] = (q as u8).wrapping_add(Q8_0_OFFSET);
            return;
        }
        block[place(i % 16)] |= (q as u8 & 15) << (i / 16 * 4);
        if self.bits() > 4 {
            let (at, shift) = self.high_bits(lane, i);
            block[at] |= (q as u8 >> 4) << shift;
        }
    }

    /// The weight of column `i` of a lane before scaling.
    pub fn get(self, block: &[u8], lane: usize, i: usize) -> i8 {
        let place = |i: usize| i / 4 * 64 + lane * 4 + i % 4;
        let Some(Spec { bits, zero, .. }) = self.spec() else {
            return 0;
        };
        if bits == 8 {
            return block[place(i)].wrapping_sub(Q8_0_OFFSET) as i8;
        }
        let mut q = block[place(i % 16)] >> (i / 16 * 4) & 15;
        if bits > 4 {
            let (at, shift) = self.high_bits(lane, i);
            q |= (block[at] >> shift & ((1 << (bits - 4)) - 1)) << 4;
        }
        q as i8 - zero as i8
    }
}

/// Scale and sums of 32 quantised activations.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Q8Block {
    /// Value of one quantisation step.
    pub scale: f32,
    /// Sum of the 32 values, for layouts with minima.
    pub sum: f32,
    /// −8 times the sum of the 32 bytes; like those below, the initial value of dot products with weights that have a
    /// zero point.
    pub neg8: i32,
    /// −16 times that sum.
    pub neg16: i32,
    /// −128 times that sum.
    pub neg128: i32,
    /// −32 times the sums of bytes 0..16 and 16..32.
    pub neg32: [i32; 2],
    /// −128 times the sums of the octets of bytes 0..16 and 16..32, as two i16 each.
    pub neg128_octets: [u32; 2],
}

/// Max sum of the magnitudes of two neighbouring bytes, minus the max rounding error.
pub const MAX_PAIR: f32 = 127.0;

/// The same for an octet: the first two, or the last two, of every four columns within 16 columns.
pub const MAX_OCTET: f32 = 251.0;
