//! Scales and minima of blocks of weights.

use super::arena::{Arena, Buffer};
use super::{LANES, simd::Simd};
use crate::engine::Result;
use half::f16;

/// Blocks of a super-block, which share the f16 that their scales are multiples of.
const SUPER: usize = 8;
/// Bytes of an f16 for each lane.
const LINE: usize = 2 * LANES;

/// `base * part`; formats without super-blocks have parts of 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// As precise as an f16.
    pub base: f32,
    pub part: i8,
}

impl Scale {
    pub fn whole(base: f32) -> Self {
        Self { base, part: 1 }
    }

    pub fn value(self) -> f32 {
        self.base * f32::from(self.part)
    }
}

/// Scales or minima of a packed matrix, `[panel][block][lane]` f16; with super-blocks
/// `[panel][super-block]` of `[lane]` f16 and `[block][half][lane]` bytes, for as many halves as a block has parts.
pub struct Scales {
    units: usize,
    /// Scales of a block; 0 without super-blocks.
    parts: usize,
    data: Buffer,
}

/// Bytes of a super-block.
const fn super_bytes(parts: usize) -> usize {
    LINE + SUPER * parts * LANES
}

impl Scales {
    /// Zeros for `panels` of `units` blocks, which are whole super-blocks if `parts` is not 0.
    pub fn zeros(panels: usize, units: usize, parts: usize, arena: &mut Arena) -> Result<Self> {
        let panel = if parts == 0 {
            units * LINE
        } else {
            units / SUPER * super_bytes(parts)
        };
        Ok(Self {
            units,
            parts,
            data: arena.zeros(panels * panel)?,
        })
    }

    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    fn panel_bytes(&self) -> usize {
        if self.parts == 0 {
            self.units * LINE
        } else {
            self.units / SUPER * super_bytes(self.parts)
        }
    }

    /// Where the scales of a panel begin.
    pub fn panel(&self, panel: usize) -> *const u8 {
        self.data[panel * self.panel_bytes()..].as_ptr()
    }

    /// Where the f16 and the byte, if there is one, of a block's half are.
    fn places(
        &self,
        panel: usize,
        unit: usize,
        half: usize,
        lane: usize,
    ) -> (usize, Option<usize>) {
        let start = panel * self.panel_bytes();
        if self.parts == 0 {
            return (start + unit * LINE + lane * 2, None);
        }
        let block = start + unit / SUPER * super_bytes(self.parts);
        (
            block + lane * 2,
            Some(block + LINE + (unit % SUPER * self.parts + half) * LANES + lane),
        )
    }

    pub fn set(&mut self, panel: usize, unit: usize, half: usize, lane: usize, scale: Scale) {
        let (base, part) = self.places(panel, unit, half, lane);
        self.data[base..base + 2].copy_from_slice(&f16::from_f32(scale.base).to_ne_bytes());
        if let Some(part) = part {
            self.data[part] = scale.part as u8;
        }
    }

    pub fn get(&self, panel: usize, unit: usize, half: usize, lane: usize) -> Scale {
        let (base, part) = self.places(panel, unit, half, lane);
        let value = f16::from_ne_bytes([self.data[base], self.data[base + 1]]).to_f32();
        Scale {
            base: value,
            part: part.map_or(1, |part| self.data[part] as i8),
        }
    }
}

/// 16 scales of half `half` of block `unit` of the panel that begins at `panel`.
///
/// # Safety
/// The panel has that block, and `PARTS` are its parts.
#[inline(always)]
pub unsafe fn load<S: Simd, const PARTS: usize>(
    panel: *const u8,
    unit: usize,
    half: usize,
) -> S::F {
    // SAFETY: the caller's.
    unsafe {
        if PARTS == 0 {
            return S::load_f16(panel.add(unit * LINE).cast());
        }
        let block = panel.add(unit / SUPER * super_bytes(PARTS));
        let parts = block.add(LINE + (unit % SUPER * PARTS + half) * LANES);
        S::mul(S::load_f16(block.cast()), S::load_i8(parts.cast()))
    }
}

/// Asks for the scales of block `unit`, which need not be there.
///
/// # Safety
/// The machine has the level.
#[inline(always)]
pub unsafe fn prefetch<S: Simd, const PARTS: usize>(panel: *const u8, unit: usize) {
    let size = if PARTS == 0 {
        LINE
    } else {
        super_bytes(PARTS) / SUPER
    };
    // SAFETY: the caller's.
    unsafe { S::prefetch(panel.wrapping_add(unit * size)) }
}
