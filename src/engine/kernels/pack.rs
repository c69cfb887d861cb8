//! Weights in panels of 16 rows.

use super::arena::{Arena, Buffer};
use super::{BLOCK, LANES, quants};
use crate::engine::{Error, Result};
use candle_core::quantized::GgmlDType;
use half::f16;

/// How the numbers of a packed matrix are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `[panel][column][lane]` numbers.
    F32,
    F16,
    Bf16,
    /// Bytes −128..=127, a scale each 32 columns.
    Signed,
    /// Bytes 0..=31 less 16, a scale each 32 columns.
    Small16,
    /// Bytes 0..=31, a scale and a minimum each 32 columns, both f32.
    SmallMin,
    /// Bytes 0..=63 less 32, an f32 scale each 16 columns.
    SmallHalves,
    /// Nibbles less 8, a scale each 32 columns.
    Nibbles8,
    /// Nibbles, a scale and a minimum each 32 columns.
    NibblesMin,
    /// The same with f32 scales, for super-blocks whose products of scales no f16 holds.
    NibblesMinWide,
}

impl Form {
    /// Bytes of a block of 16 rows and 32 columns, or of a column of 16 rows of dense weights.
    pub fn unit(self) -> usize {
        match self {
            Self::F32 => 4 * LANES,
            Self::F16 | Self::Bf16 => 2 * LANES,
            Self::Signed | Self::Small16 | Self::SmallMin | Self::SmallHalves => LANES * BLOCK,
            Self::Nibbles8 | Self::NibblesMin | Self::NibblesMinWide => LANES * BLOCK / 2,
        }
    }

    pub fn is_dense(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::Bf16)
    }

    pub fn has_nibbles(self) -> bool {
        matches!(self, Self::Nibbles8 | Self::NibblesMin | Self::NibblesMinWide)
    }

    fn has_mins(self) -> bool {
        matches!(self, Self::SmallMin | Self::NibblesMin | Self::NibblesMinWide)
    }

    /// Whether scales are f32.
    fn is_wide(self) -> bool {
        matches!(self, Self::SmallMin | Self::SmallHalves | Self::NibblesMinWide)
    }

    fn of(dtype: GgmlDType) -> Option<Self> {
        Some(match dtype {
            GgmlDType::F32 => Self::F32,
            GgmlDType::F16 => Self::F16,
            GgmlDType::BF16 => Self::Bf16,
            GgmlDType::Q8_0 => Self::Signed,
            GgmlDType::Q5_0 => Self::Small16,
            GgmlDType::Q5_1 | GgmlDType::Q5K => Self::SmallMin,
            GgmlDType::Q6K => Self::SmallHalves,
            GgmlDType::Q4_0 => Self::Nibbles8,
            GgmlDType::Q4_1 => Self::NibblesMin,
            GgmlDType::Q4K => Self::NibblesMinWide,
            _ => return None,
        })
    }
}

/// Scales or minima, f16 or f32.
pub struct Scales {
    wide: bool,
    data: Buffer,
}

impl Scales {
    fn zeros(n: usize, wide: bool, arena: &mut Arena) -> Self {
        Self { wide, data: arena.zeros(n * if wide { 4 } else { 2 }) }
    }

    fn len(&self) -> usize {
        self.data.len() / self.size()
    }

    fn size(&self) -> usize {
        if self.wide { 4 } else { 2 }
    }

    fn get(&self, i: usize) -> f32 {
        if self.wide {
            f32::from_ne_bytes([0, 1, 2, 3].map(|byte| self.data[i * 4 + byte]))
        } else {
            f16::from_ne_bytes([self.data[i * 2], self.data[i * 2 + 1]]).to_f32()
        }
    }

    fn set(&mut self, i: usize, scale: f32) {
        if self.wide {
            self.data[i * 4..i * 4 + 4].copy_from_slice(&scale.to_ne_bytes());
        } else {
            self.data[i * 2..i * 2 + 2].copy_from_slice(&f16::from_f32(scale).to_ne_bytes());
        }
    }

    /// Where scale `i` lies; `i` may be their number.
    pub fn at(&self, i: usize) -> *const u8 {
        self.data[i * self.size()..].as_ptr()
    }
}

/// A `[rows, cols]` matrix, packed for [`super::tile`]. The last panel is filled up with zeros.
pub struct Packed {
    pub rows: usize,
    pub cols: usize,
    pub dtype: GgmlDType,
    pub form: Form,
    data: Buffer,
    /// `[panel][block][lane]`; for [`Form::SmallHalves`] `[panel][block][half][lane]`.
    pub scales: Scales,
    /// As `scales`; empty for forms without minima.
    pub mins: Scales,
}

impl Packed {
    /// Packs rows as a file holds them; `name` is for the error.
    pub fn new(name: &str, dtype: GgmlDType, rows: usize, cols: usize, data: &[u8], arena: &mut Arena) -> Result<Self> {
        let Some(form) = Form::of(dtype) else {
            return Err(Error::Model(format!("{name}: weights of type {dtype:?} are not supported")));
        };
        let block = dtype.block_size();
        if rows == 0 || cols == 0 || !cols.is_multiple_of(block) {
            return Err(Error::Model(format!(
                "{name}: [{rows}, {cols}] does not divide into {dtype:?} blocks of {block}"
            )));
        }
        let row_bytes = cols / block * dtype.type_size();
        if rows.checked_mul(row_bytes) != Some(data.len()) {
            let message =
                format!("{name}: {} bytes where [{rows}, {cols}] of {dtype:?} takes {rows} × {row_bytes}", data.len());
            return Err(Error::Model(message));
        }
        let mut packed = Self::empty(dtype, form, rows, cols, arena);
        for (row, bytes) in data.chunks_exact(row_bytes).enumerate() {
            packed.set_row(row, bytes);
        }
        Ok(packed)
    }

    fn empty(dtype: GgmlDType, form: Form, rows: usize, cols: usize, arena: &mut Arena) -> Self {
        let panels = rows.div_ceil(LANES);
        let units = if form.is_dense() { cols } else { cols / BLOCK };
        let bytes = panels * units * form.unit();
        let scales = match form {
            _ if form.is_dense() => 0,
            Form::SmallHalves => panels * units * 2 * LANES,
            _ => panels * units * LANES,
        };
        let mins = if form.has_mins() { scales } else { 0 };
        let data = arena.zeros(bytes);
        Self {
            rows,
            cols,
            dtype,
            form,
            data,
            scales: Scales::zeros(scales, form.is_wide(), arena),
            mins: Scales::zeros(mins, form.is_wide(), arena),
        }
    }

    /// 16-row panels.
    pub fn panels(&self) -> usize {
        self.rows.div_ceil(LANES)
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> u64 {
        (self.data.len() + self.scales.data.len() + self.mins.data.len()) as u64
    }

    /// Blocks of a row, or columns of dense weights.
    pub fn units(&self) -> usize {
        if self.form.is_dense() { self.cols } else { self.cols / BLOCK }
    }

    /// First byte of a panel.
    pub fn panel(&self, panel: usize) -> *const u8 {
        assert!(panel < self.panels());
        // SAFETY: inside of the data.
        unsafe { self.data.as_ptr().add(panel * self.units() * self.form.unit()) }
    }

    fn set_row(&mut self, row: usize, bytes: &[u8]) {
        let (panel, lane) = (row / LANES, row % LANES);
        let (units, unit) = (self.units(), self.form.unit());
        let first = panel * units * unit;
        if self.form.is_dense() {
            let size = unit / LANES;
            for (col, number) in bytes.chunks_exact(size).enumerate() {
                let at = first + col * unit + lane * size;
                self.data[at..at + size].copy_from_slice(number);
            }
            return;
        }
        let form = self.form;
        quants::unpack(self.dtype, bytes, |b, block| {
            let at = panel * units + b;
            if form == Form::SmallHalves {
                self.scales.set(at * 2 * LANES + lane, block.scales[0]);
                self.scales.set((at * 2 + 1) * LANES + lane, block.scales[1]);
            } else {
                self.scales.set(at * LANES + lane, block.scales[0]);
            }
            if form.has_mins() {
                self.mins.set(at * LANES + lane, block.min);
            }
            let to = &mut self.data[first + b * unit..first + (b + 1) * unit];
            let nibbles = form.has_nibbles();
            for (i, &q) in block.q.iter().enumerate() {
                let place = |i: usize| i / 4 * 64 + lane * 4 + i % 4;
                if nibbles && i >= 16 {
                    to[place(i - 16)] |= (q as u8) << 4;
                } else {
                    to[place(i)] = q as u8;
                }
            }
        });
    }

    /// Row `row` as numbers, exactly as its format defines them; `out` has `cols` elements.
    pub fn row(&self, row: usize, out: &mut [f32]) {
        assert!(row < self.rows && out.len() == self.cols);
        let (panel, lane) = (row / LANES, row % LANES);
        let (units, unit) = (self.units(), self.form.unit());
        let panel_bytes = &self.data[panel * units * unit..(panel + 1) * units * unit];
        for (col, out) in out.iter_mut().enumerate() {
            *out = match self.form {
                Form::F32 => {
                    let at = col * unit + lane * 4;
                    f32::from_le_bytes([0, 1, 2, 3].map(|i| panel_bytes[at + i]))
                }
                Form::F16 | Form::Bf16 => {
                    let at = col * unit + lane * 2;
                    let bits = u16::from_le_bytes([panel_bytes[at], panel_bytes[at + 1]]);
                    if self.form == Form::F16 {
                        half::f16::from_bits(bits).to_f32()
                    } else {
                        half::bf16::from_bits(bits).to_f32()
                    }
                }
                _ => self.quantised(panel * units + col / BLOCK, lane, col % BLOCK, &panel_bytes[col / BLOCK * unit..]),
            };
        }
    }

    /// Element `i` of a lane of the block of index `at`, whose bytes are at the front of `block`.
    fn quantised(&self, at: usize, lane: usize, i: usize, block: &[u8]) -> f32 {
        let place = |i: usize| i / 4 * 64 + lane * 4 + i % 4;
        let nibble = |i: usize| if i < 16 { block[place(i)] & 15 } else { block[place(i - 16)] >> 4 };
        let scale = |at: usize| self.scales.get(at * LANES + lane);
        match self.form {
            Form::Signed => f32::from(block[place(i)] as i8) * scale(at),
            Form::Small16 => (f32::from(block[place(i)]) - 16.0) * scale(at),
            Form::SmallMin => f32::from(block[place(i)]) * scale(at) + self.mins.get(at * LANES + lane),
            Form::SmallHalves => (f32::from(block[place(i)]) - 32.0) * scale(at * 2 + i / 16),
            Form::Nibbles8 => (f32::from(nibble(i)) - 8.0) * scale(at),
            _ => f32::from(nibble(i)) * scale(at) + self.mins.get(at * LANES + lane),
        }
    }
}

impl Packed {
    pub fn is_dense(&self) -> bool {
        self.form.is_dense()
    }

    /// A matrix of the rows `ids`, in that order; ids are below `rows`.
    pub fn gather(&self, ids: &[u32]) -> Self {
        let mut to = Self::empty(self.dtype, self.form, ids.len(), self.cols, &mut Arena::default());
        let (units, unit) = (self.units(), self.form.unit());
        let size = if matches!(self.form, Form::F16 | Form::Bf16) { 2 } else { 4 };
        let (group, groups) = (size * LANES, unit / (size * LANES));
        for (row, &id) in ids.iter().enumerate() {
            let (from_panel, from_lane) = (id as usize / LANES, id as usize % LANES);
            let (to_panel, to_lane) = (row / LANES, row % LANES);
            for i in 0..units * groups {
                let from = from_panel * units * unit + i * group + from_lane * size;
                let at = to_panel * units * unit + i * group + to_lane * size;
                to.data[at..at + size].copy_from_slice(&self.data[from..from + size]);
            }
            for (from, to) in [(&self.scales, &mut to.scales), (&self.mins, &mut to.mins)] {
                let n = from.len() / self.panels() / LANES;
                for i in 0..n {
                    to.set((to_panel * n + i) * LANES + to_lane, from.get((from_panel * n + i) * LANES + from_lane));
                }
            }
        }
        to
    }
}
