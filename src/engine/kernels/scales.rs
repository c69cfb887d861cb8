//! Scales and minima of blocks of weights.

use super::arena::{Arena, Buffer};
use super::{LANES, layout::Quantised, simd::Simd};
use crate::engine::Result;
use half::f16;

/// Blocks of a super-block. Their scales are multiples of a common f16.
const SUPER: usize = 8;
/// Bytes of one f16 per lane.
const F16_LANES: usize = 2 * LANES;

/// `base * sub`; `sub` is 1 in layouts without super-blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Representable as an f16.
    pub base: f32,
    pub sub: i8,
}

impl Scale {
    /// A scale outside of super-blocks.
    pub fn whole(base: f32) -> Self {
        Self { base, sub: 1 }
    }

    pub fn value(self) -> f32 {
        self.base * f32::from(self.sub)
    }
}

/// Scales or minima of a packed matrix: `[panel][block][lane]` f16, or with super-blocks `[panel][super-block]` of
/// `[lane]` f16 followed by `[block][sub-block][lane]` bytes.
pub struct Scales {
    blocks: usize,
    /// Scales of a block; 0 without super-blocks.
    sub_scales: usize,
    data: Buffer,
}

/// Bytes of a super-block.
const fn super_bytes(sub_scales: usize) -> usize {
    F16_LANES + SUPER * sub_scales * LANES
}

impl Scales {
    /// Zeros for `panels` of `blocks` blocks, which are whole super-blocks unless `sub_scales` is 0.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::engine::Error::OutOfMemory) if the memory cannot be allocated.
    pub fn zeros(
        panels: usize,
        blocks: usize,
        sub_scales: usize,
        arena: &mut Arena,
    ) -> Result<Self> {
        let panel = if sub_scales == 0 {
            blocks * F16_LANES
        } else {
            blocks / SUPER * super_bytes(sub_scales)
        };
        Ok(Self {
            blocks,
            sub_scales,
            data: arena.zeros(panels * panel)?,
        })
    }

    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    fn panel_bytes(&self) -> usize {
        if self.sub_scales == 0 {
            self.blocks * F16_LANES
        } else {
            self.blocks / SUPER * super_bytes(self.sub_scales)
        }
    }

    /// Start of the scales of a panel.
    pub fn panel(&self, panel: usize) -> *const u8 {
        self.data[panel * self.panel_bytes()..].as_ptr()
    }

    /// Offsets of the f16 of a scale and, with super-blocks, of its byte.
    fn offsets(
        &self,
        panel: usize,
        block: usize,
        sub: usize,
        lane: usize,
    ) -> (usize, Option<usize>) {
        let start = panel * self.panel_bytes();
        if self.sub_scales == 0 {
            return (start + block * F16_LANES + lane * 2, None);
        }
        let first = start + block / SUPER * super_bytes(self.sub_scales);
        (
            first + lane * 2,
            Some(first + F16_LANES + (block % SUPER * self.sub_scales + sub) * LANES + lane),
        )
    }

    /// Sets the scale of part `sub` of a block in one lane.
    pub fn set(&mut self, panel: usize, block: usize, sub: usize, lane: usize, scale: Scale) {
        let (base, byte) = self.offsets(panel, block, sub, lane);
        self.data[base..base + 2].copy_from_slice(&f16::from_f32(scale.base).to_ne_bytes());
        if let Some(byte) = byte {
            self.data[byte] = scale.sub as u8;
        }
    }

    /// The scale of part `sub` of a block in one lane.
    pub fn get(&self, panel: usize, block: usize, sub: usize, lane: usize) -> Scale {
        let (base, byte) = self.offsets(panel, block, sub, lane);
        let value = f16::from_ne_bytes([self.data[base], self.data[base + 1]]).to_f32();
        Scale {
            base: value,
            sub: byte.map_or(1, |byte| self.data[byte] as i8),
        }
    }
}

/// 16 scales of part `sub` of a block, in the panel of scales that begins at `panel`.
///
/// # Safety
/// The CPU supports `S`, and the panel has that block and the layout `W`.
#[inline(always)]
pub unsafe fn load<S: Simd, W: Quantised>(panel: *const u8, block: usize, sub: usize) -> S::F {
    // SAFETY: the caller guarantees that the block exists; the offsets are those of `Scales::offsets`.
    unsafe {
        if W::SUB_SCALES == 0 {
            return S::load_f16(panel.add(block * F16_LANES).cast());
        }
        let base = panel.add(block / SUPER * super_bytes(W::SUB_SCALES));
        let subs = base.add(F16_LANES + (block % SUPER * W::SUB_SCALES + sub) * LANES);
        S::mul(S::load_f16(base.cast()), S::load_i8(subs.cast()))
    }
}

/// Prefetches the scales of a block, which need not exist.
///
/// # Safety
/// The CPU supports `S`.
#[inline(always)]
pub unsafe fn prefetch<S: Simd, W: Quantised>(panel: *const u8, block: usize) {
    let size = if W::SUB_SCALES == 0 {
        F16_LANES
    } else {
        super_bytes(W::SUB_SCALES) / SUPER
    };
    // SAFETY: the caller guarantees the instruction set, and a prefetch never faults.
    unsafe { S::prefetch(panel.wrapping_add(block * size)) }
}
