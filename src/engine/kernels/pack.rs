//! Weights in panels of 16 rows.

use super::arena::{Arena, Buffer};
use super::form::Form;
use super::scales::{Scale, Scales};
use super::{BLOCK, LANES, quants};
use crate::engine::{Error, Result};
use candle_core::quantized::GgmlDType;

/// A `[rows, cols]` matrix, packed for [`super::tile`]. The last panel is filled up with zeros.
pub struct Packed {
    pub rows: usize,
    pub cols: usize,
    pub dtype: GgmlDType,
    pub form: Form,
    data: Buffer,
    pub scales: Scales,
    /// Empty for forms without minima.
    pub mins: Scales,
}

impl Packed {
    /// Packs rows as a file holds them; `name` is for the error.
    pub fn new(
        name: &str,
        dtype: GgmlDType,
        rows: usize,
        cols: usize,
        data: &[u8],
        arena: &mut Arena,
    ) -> Result<Self> {
        let Some(form) = Form::of(dtype) else {
            return Err(Error::Model(format!(
                "{name}: weights of type {dtype:?} are not supported"
            )));
        };
        let block = dtype.block_size();
        if rows == 0 || cols == 0 || !cols.is_multiple_of(block) {
            return Err(Error::Model(format!(
                "{name}: [{rows}, {cols}] does not divide into {dtype:?} blocks of {block}"
            )));
        }
        let row_bytes = cols / block * dtype.type_size();
        if rows.checked_mul(row_bytes) != Some(data.len()) {
            let message = format!(
                "{name}: {} bytes where [{rows}, {cols}] of {dtype:?} takes {rows} × {row_bytes}",
                data.len()
            );
            return Err(Error::Model(message));
        }
        let mut packed = Self::empty(dtype, form, rows, cols, arena)?;
        for (row, bytes) in data.chunks_exact(row_bytes).enumerate() {
            packed.set_row(row, bytes);
        }
        Ok(packed)
    }

    fn empty(
        dtype: GgmlDType,
        form: Form,
        rows: usize,
        cols: usize,
        arena: &mut Arena,
    ) -> Result<Self> {
        let panels = rows.div_ceil(LANES);
        let units = if form.is_dense() { cols } else { cols / BLOCK };
        let bytes = panels * units * form.unit();
        let data = arena.zeros(bytes)?;
        let mut scales =
            |has: bool, parts| Scales::zeros(panels, if has { units } else { 0 }, parts, arena);
        Ok(Self {
            rows,
            cols,
            dtype,
            form,
            data,
            scales: scales(!form.is_dense(), form.parts())?,
            mins: scales(form.has_mins(), form.parts())?,
        })
    }

    /// 16-row panels.
    pub fn panels(&self) -> usize {
        self.rows.div_ceil(LANES)
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> u64 {
        (self.data.len() + self.scales.bytes() + self.mins.bytes()) as u64
    }

    /// Blocks of a row, or columns of dense weights.
    pub fn units(&self) -> usize {
        if self.form.is_dense() {
            self.cols
        } else {
            self.cols / BLOCK
        }
    }

    /// First byte of a panel.
    pub fn panel(&self, panel: usize) -> *const u8 {
        assert!(panel < self.panels());
        // SAFETY: inside of the data.
        unsafe {
            self.data
                .as_ptr()
                .add(panel * self.units() * self.form.unit())
        }
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
            for half in 0..form.parts().max(1) {
                self.scales.set(
                    panel,
                    b,
                    half,
                    lane,
                    Scale {
                        part: block.parts[half],
                        ..block.scale
                    },
                );
            }
            if form.has_mins() {
                self.mins.set(panel, b, 0, lane, block.min);
            }
            let to = &mut self.data[first + b * unit..first + (b + 1) * unit];
            block
                .q
                .iter()
                .enumerate()
                .for_each(|(i, &q)| form.put(to, lane, i, q));
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
                _ => self.quantised(
                    (panel, col / BLOCK, lane),
                    col % BLOCK,
                    &panel_bytes[col / BLOCK * unit..],
                ),
            };
        }
    }

    /// Element `i` of a lane of a block, whose bytes are at the front of `bytes`.
    fn quantised(&self, (panel, unit, lane): (usize, usize, usize), i: usize, bytes: &[u8]) -> f32 {
        let q = f32::from(self.form.get(bytes, lane, i));
        let half = if self.form.parts() == 2 { i / 16 } else { 0 };
        let scale = self.scales.get(panel, unit, half, lane).value();
        match self.form {
            Form::Signed => q * scale,
            Form::Fives16 => (q - 16.0) * scale,
            Form::SixesHalves => (q - 32.0) * scale,
            Form::Nibbles8 => (q - 8.0) * scale,
            _ => q * scale + self.mins.get(panel, unit, 0, lane).value(),
        }
    }
}

impl Packed {
    pub fn is_dense(&self) -> bool {
        self.form.is_dense()
    }

    /// A matrix of the rows `ids`, in that order; ids are below `rows`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] where the machine lacks the memory.
    pub fn gather(&self, ids: &[u32]) -> Result<Self> {
        let mut to = Self::empty(
            self.dtype,
            self.form,
            ids.len(),
            self.cols,
            &mut Arena::default(),
        )?;
        let (units, unit) = (self.units(), self.form.unit());
        let size = if matches!(self.form, Form::F16 | Form::Bf16) {
            2
        } else {
            4
        };
        let (group, groups) = (size * LANES, unit / (size * LANES));
        for (row, &id) in ids.iter().enumerate() {
            let (from_panel, from_lane) = (id as usize / LANES, id as usize % LANES);
            let (to_panel, to_lane) = (row / LANES, row % LANES);
            for i in 0..units * groups {
                let from = from_panel * units * unit + i * group + from_lane * size;
                let at = to_panel * units * unit + i * group + to_lane * size;
                to.data[at..at + size].copy_from_slice(&self.data[from..from + size]);
            }
            let blocks = if self.is_dense() { 0 } else { units };
            for unit in 0..blocks {
                for half in 0..self.form.parts().max(1) {
                    to.scales.set(
                        to_panel,
                        unit,
                        half,
                        to_lane,
                        self.scales.get(from_panel, unit, half, from_lane),
                    );
                }
                if self.form.has_mins() {
                    to.mins.set(
                        to_panel,
                        unit,
                        0,
                        to_lane,
                        self.mins.get(from_panel, unit, 0, from_lane),
                    );
                }
            }
        }
        Ok(to)
    }
}
