//! How the weights of a panel are stored.

use super::simd::{BITS, OFFSET};
use super::{BLOCK, LANES};
use candle_core::quantized::GgmlDType;

/// How the numbers of a packed matrix are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `[panel][column][lane]` numbers.
    F32,
    F16,
    Bf16,
    /// Bytes −128..=127, in memory plus [`OFFSET`], a scale each 32 columns.
    Signed,
    /// Five bits less 16, a scale each 32 columns.
    Fives16,
    /// Five bits, a scale and a minimum each 32 columns.
    FivesMin,
    /// The same in super-blocks.
    FivesMinSuper,
    /// Six bits less 32, a scale each 16 columns, in super-blocks.
    SixesHalves,
    /// Nibbles less 8, a scale each 32 columns.
    Nibbles8,
    /// Nibbles, a scale and a minimum each 32 columns.
    NibblesMin,
    /// The same in super-blocks.
    NibblesMinSuper,
}

impl Form {
    /// Bytes of a block of 16 rows and 32 columns, or of a column of 16 rows of dense weights.
    pub fn unit(self) -> usize {
        match self {
            Self::F32 => 4 * LANES,
            Self::F16 | Self::Bf16 => 2 * LANES,
            Self::Signed => LANES * BLOCK,
            Self::Fives16 | Self::FivesMin | Self::FivesMinSuper => LANES * BLOCK / 8 * 5,
            Self::SixesHalves => LANES * BLOCK / 8 * 6,
            Self::Nibbles8 | Self::NibblesMin | Self::NibblesMinSuper => LANES * BLOCK / 2,
        }
    }

    pub fn is_dense(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::Bf16)
    }

    pub fn is_nibbles(self) -> bool {
        matches!(
            self,
            Self::Nibbles8 | Self::NibblesMin | Self::NibblesMinSuper
        )
    }

    pub fn has_mins(self) -> bool {
        matches!(
            self,
            Self::FivesMin | Self::FivesMinSuper | Self::NibblesMin | Self::NibblesMinSuper
        )
    }

    /// Scales of a block of a super-block; 0 for forms without super-blocks.
    pub fn parts(self) -> usize {
        match self {
            Self::SixesHalves => 2,
            Self::FivesMinSuper | Self::NibblesMinSuper => 1,
            _ => 0,
        }
    }

    /// Byte and shift of the bits beyond a nibble of column `i` of a lane.
    fn beyond(self, lane: usize, i: usize) -> (usize, usize) {
        let (group, at) = (i / 4, BITS + lane * 4 + i % 4);
        if self == Self::SixesHalves {
            (at + group / 4 * 64, group % 4 * 2)
        } else {
            (at, group)
        }
    }

    /// Puts the weight `q` of column `i` of a lane into a block that was zero there.
    pub fn put(self, block: &mut [u8], lane: usize, i: usize, q: i8) {
        let place = |i: usize| i / 4 * 64 + lane * 4 + i % 4;
        if self == Self::Signed {
            block[place(i)] = (q as u8).wrapping_add(OFFSET);
            return;
        }
        block[place(i % 16)] |= (q as u8 & 15) << (i / 16 * 4);
        if !self.is_nibbles() {
            let (at, shift) = self.beyond(lane, i);
            block[at] |= (q as u8 >> 4) << shift;
        }
    }

    /// The weight of column `i` of a lane.
    pub fn get(self, block: &[u8], lane: usize, i: usize) -> i8 {
        let place = |i: usize| i / 4 * 64 + lane * 4 + i % 4;
        if self == Self::Signed {
            return block[place(i)].wrapping_sub(OFFSET) as i8;
        }
        let nibble = block[place(i % 16)] >> (i / 16 * 4) & 15;
        if self.is_nibbles() {
            return nibble as i8;
        }
        let (at, shift) = self.beyond(lane, i);
        let mask = if self == Self::SixesHalves { 3 } else { 1 };
        (nibble | (block[at] >> shift & mask) << 4) as i8
    }

    pub fn of(dtype: GgmlDType) -> Option<Self> {
        Some(match dtype {
            GgmlDType::F32 => Self::F32,
            GgmlDType::F16 => Self::F16,
            GgmlDType::BF16 => Self::Bf16,
            GgmlDType::Q8_0 => Self::Signed,
            GgmlDType::Q5_0 => Self::Fives16,
            GgmlDType::Q5_1 => Self::FivesMin,
            GgmlDType::Q5K => Self::FivesMinSuper,
            GgmlDType::Q6K => Self::SixesHalves,
            GgmlDType::Q4_0 => Self::Nibbles8,
            GgmlDType::Q4_1 => Self::NibblesMin,
            GgmlDType::Q4K => Self::NibblesMinSuper,
            _ => return None,
        })
    }
}
