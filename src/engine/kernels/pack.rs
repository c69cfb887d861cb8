//! Weights in panels of 16 rows.

use super::arena::{Arena, Buffer};
use super::layout::Layout;
use super::scales::{Scale, Scales};
use super::{BLOCK, LANES, quants};
use crate::engine::{Error, Result};
use candle_core::quantized::GgmlDType;

/// A `[rows, cols]` matrix, packed for [`super::tile`]. The last panel is padded with zeros.
pub struct Packed {
    /// Rows of the matrix, which are the outputs of a product.
    pub rows: usize,
    /// Columns of the matrix, which are the inputs of a product.
    pub cols: usize,
    /// Type of the weights in the checkpoint.
    pub dtype: GgmlDType,
    pub(super) layout: Layout,
    data: Buffer,
    /// Empty for dense layouts.
    pub(super) scales: Scales,
    /// Empty for layouts without minima.
    pub(super) mins: Scales,
}

impl Packed {
    /// Packs rows in the format of a file; `name` is for error messages.
    ///
    /// # Errors
    /// [`Error::Model`] if the type is not supported or the size of `data` does not match;
    /// [`Error::OutOfMemory`] if the memory cannot be allocated.
    pub fn new(
        name: &str,
        dtype: GgmlDType,
        rows: usize,
        cols: usize,
        data: &[u8],
        arena: &mut Arena,
    ) -> Result<Self> {
        let Some(layout) = Layout::of(dtype) else {
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
        let mut packed = Self::empty(dtype, layout, rows, cols, arena)?;
        for (row, bytes) in data.chunks_exact(row_bytes).enumerate() {
            packed.set_row(row, bytes);
        }
        Ok(packed)
    }

    fn empty(
        dtype: GgmlDType,
        layout: Layout,
        rows: usize,
        cols: usize,
        arena: &mut Arena,
    ) -> Result<Self> {
        let panels = rows.div_ceil(LANES);
        let blocks = if layout.is_dense() {
            cols
        } else {
            cols / BLOCK
        };
        let bytes = panels * blocks * layout.block_bytes();
        let data = arena.zeros(bytes)?;
        let mut scales = |has: bool, sub_scales| {
            Scales::zeros(panels, if has { blocks } else { 0 }, sub_scales, arena)
        };
        Ok(Self {
            rows,
            cols,
            dtype,
            layout,
            data,
            scales: scales(!layout.is_dense(), layout.sub_scales())?,
            mins: scales(layout.has_mins(), layout.sub_scales())?,
        })
    }

    /// Panels of 16 rows.
    pub fn panels(&self) -> usize {
        self.rows.div_ceil(LANES)
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> u64 {
        (self.data.len() + self.scales.bytes() + self.mins.bytes()) as u64
    }

    /// Blocks of a row, or columns of dense weights.
    fn blocks(&self) -> usize {
        if self.layout.is_dense() {
            self.cols
        } else {
            self.cols / BLOCK
        }
    }

    /// First byte of a panel. Panics if there is no such panel.
    pub fn panel(&self, panel: usize) -> *const u8 {
        assert!(panel < self.panels());
        // SAFETY: the panel exists, as asserted, and `data` holds `panels` of this size.
        unsafe {
            self.data
                .as_ptr()
                .add(panel * self.blocks() * self.layout.block_bytes())
        }
    }

    fn set_row(&mut self, row: usize, bytes: &[u8]) {
        let (panel, lane) = (row / LANES, row % LANES);
        let (blocks, block_bytes) = (self.blocks(), self.layout.block_bytes());
        let first = panel * blocks * block_bytes;
        if self.layout.is_dense() {
            let size = block_bytes / LANES;
            for (col, number) in bytes.chunks_exact(size).enumerate() {
                let at = first + col * block_bytes + lane * size;
                self.data[at..at + size].copy_from_slice(number);
            }
            return;
        }
        let layout = self.layout;
        quants::unpack(self.dtype, bytes, |b, block| {
            for sub in 0..layout.sub_scales().max(1) {
                self.scales.set(
                    panel,
                    b,
                    sub,
                    lane,
                    Scale {
                        sub: block.sub_scales[sub],
                        ..block.scale
                    },
                );
            }
            if layout.has_mins() {
                self.mins.set(panel, b, 0, lane, block.min);
            }
            let to = &mut self.data[first + b * block_bytes..first + (b + 1) * block_bytes];
            block
                .q
                .iter()
                .enumerate()
                .for_each(|(i, &q)| layout.put(to, lane, i, q));
        });
    }

    /// Dequantises row `row`, exactly as its format defines it; `out` has `cols` elements.
    pub fn row(&self, row: usize, out: &mut [f32]) {
        assert!(row < self.rows && out.len() == self.cols);
        let (panel, lane) = (row / LANES, row % LANES);
        let (blocks, block_bytes) = (self.blocks(), self.layout.block_bytes());
        let panel_bytes =
            &self.data[panel * blocks * block_bytes..(panel + 1) * blocks * block_bytes];
        for (col, out) in out.iter_mut().enumerate() {
            *out = match self.layout {
                Layout::F32 => {
                    let at = col * block_bytes + lane * 4;
                    f32::from_le_bytes([0, 1, 2, 3].map(|i| panel_bytes[at + i]))
                }
                Layout::F16 | Layout::Bf16 => {
                    let at = col * block_bytes + lane * 2;
                    let bits = u16::from_le_bytes([panel_bytes[at], panel_bytes[at + 1]]);
                    if self.layout == Layout::F16 {
                        half::f16::from_bits(bits).to_f32()
                    } else {
                        half::bf16::from_bits(bits).to_f32()
                    }
                }
                _ => self.quantised(
                    (panel, col / BLOCK, lane),
                    col % BLOCK,
                    &panel_bytes[col / BLOCK * block_bytes..],
                ),
            };
        }
    }

    /// Element `i` of a lane of the block at the start of `bytes`.
    fn quantised(
        &self,
        (panel, block, lane): (usize, usize, usize),
        i: usize,
        bytes: &[u8],
    ) -> f32 {
        let q = f32::from(self.layout.get(bytes, lane, i));
        let sub = if self.layout.sub_scales() == 2 {
            i / 16
        } else {
            0
        };
        let scaled = q * self.scales.get(panel, block, sub, lane).value();
        if self.layout.has_mins() {
            scaled + self.mins.get(panel, block, 0, lane).value()
        } else {
            scaled
        }
    }

    /// Whether the weights are plain floating-point numbers.
    pub fn is_dense(&self) -> bool {
        self.layout.is_dense()
    }

    /// A matrix of the rows `ids`, in this order. Panics if an id is not below `rows`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if the memory cannot be allocated.
    pub fn gather(&self, ids: &[u32]) -> Result<Self> {
        let mut to = self.with_rows(ids.len())?;
        self.gather_into(ids, &mut to, 0);
        Ok(to)
    }

    /// A matrix of zeros with `rows` rows, otherwise like this one.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if the memory cannot be allocated.
    pub fn with_rows(&self, rows: usize) -> Result<Self> {
        let arena = &mut Arena::default();
        Self::empty(self.dtype, self.layout, rows, self.cols, arena)
    }

    /// Copies the rows `ids` to those from `at` of a matrix [like this one](Self::with_rows). Panics if one of them does
    /// not exist.
    pub fn gather_into(&self, ids: &[u32], to: &mut Self, at: usize) {
        let (blocks, block_bytes) = (self.blocks(), self.layout.block_bytes());
        let size = if matches!(self.layout, Layout::F16 | Layout::Bf16) {
            2
        } else {
            4
        };
        let (group, groups) = (size * LANES, block_bytes / (size * LANES));
        for (row, &id) in (at..).zip(ids) {
            let (from_panel, from_lane) = (id as usize / LANES, id as usize % LANES);
            let (to_panel, to_lane) = (row / LANES, row % LANES);
            for i in 0..blocks * groups {
                let from = from_panel * blocks * block_bytes + i * group + from_lane * size;
                let at = to_panel * blocks * block_bytes + i * group + to_lane * size;
                to.data[at..at + size].copy_from_slice(&self.data[from..from + size]);
            }
            let scaled = if self.is_dense() { 0 } else { blocks };
            for block in 0..scaled {
                for sub in 0..self.layout.sub_scales().max(1) {
                    to.scales.set(
                        to_panel,
                        block,
                        sub,
                        to_lane,
                        self.scales.get(from_panel, block, sub, from_lane),
                    );
                }
                if self.layout.has_mins() {
                    to.mins.set(
                        to_panel,
                        block,
                        0,
                        to_lane,
                        self.mins.get(from_panel, block, 0, from_lane),
                    );
                }
            }
        }
    }
}
