//! The final norm and the LM head, over the whole vocabulary or part of it.

use super::Weights;
use super::pass::{multiply, quantise_for};
use crate::engine::Result;
use crate::engine::kernels::{LANES, Packed, Shared, copy, rms_norm};

/// Rows of the head that a sequence appends to a reduced head.
#[derive(Default)]
pub struct AddedRows {
    ids: Vec<u32>,
    /// Their packed rows, with spare capacity.
    rows: Option<Packed>,
}

impl AddedRows {
    /// Sets the rows to those of `ids`. Usually all but the last are already there.
    ///
    /// # Errors
    /// If memory cannot be allocated.
    pub fn set(&mut self, ids: &[u32], head: &Packed) -> Result<()> {
        let same = self.ids.iter().zip(ids).take_while(|(a, b)| a == b).count();
        self.ids.truncate(same);
        // There is room before the first token is added, so that a round seldom allocates.
        let room = self.rows.as_ref().map_or(0, |rows| rows.rows);
        if room < ids.len().max(1) {
            self.ids.clear();
            self.rows = None;
            let room = ids.len().next_power_of_two().max(64);
            self.rows = Some(head.with_rows(room)?);
            self.ids.reserve(room);
        }
        if let Some(rows) = &mut self.rows {
            let from = self.ids.len();
            head.gather_into(&ids[from..], rows, from);
            self.ids.extend_from_slice(&ids[from..]);
        }
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn bytes(&self) -> u64 {
        self.rows.as_ref().map_or(0, Packed::bytes)
    }
}

/// Which columns of the head are computed.
#[derive(Clone, Copy)]
pub enum Columns<'a> {
    All,
    /// The first columns of the draft order, and those that the sequence adds.
    Draft(usize, &'a AddedRows),
}

impl Weights {
    /// Final norm and LM head over `rows` of `states`, `[_, hidden]`. Writes `out`, `[rows, columns]`, which is
    /// resized.
    pub fn head(&self, states: &[f32], rows: &[usize], columns: Columns, out: &mut Vec<f32>) {
        let (cols, n) = (self.config.hidden_size, rows.len());
        let (weights, base, added) = match columns {
            Columns::All => (self.head_weights(), self.config.vocab_size, None),
            Columns::Draft(base, added) => {
                let weights = self.draft.as_ref().unwrap_or_else(|| self.head_weights());
                (weights, base, Some(added))
            }
        };
        let width = base + added.map_or(0, AddedRows::len);
        out.resize(n * width, 0.0);
        let added = added.and_then(|added| Some((added.rows.as_ref()?, added.len())));
        let mut scratch = self.scratch();
        let (acts, out) = (scratch.input.view(n, cols), Shared::new(out));
        self.pool.run(&|worker| {
            // SAFETY: in the first phase one worker writes each row, in the others one worker writes the columns of
            // each panel. The buffers live until `run` returns.
            unsafe {
                worker.parallel_for(n, 1, |range| {
                    for row in range {
                        let x = &states[rows[row] * cols..][..cols];
                        let eps = self.config.rms_norm_eps as f32;
                        rms_norm(self.isa, x, &self.output_norm, eps, acts.row(row));
                        quantise_for(&[weights], self.isa, &acts, row);
                    }
                });
                let products = |weights: &Packed, from: usize, len: usize| {
                    let done = |_: usize, panel: usize, first: usize, tile: &mut [[f32; LANES]]| {
                        let lanes = LANES.min(len - panel * LANES);
                        for (i, values) in tile.iter().enumerate() {
                            let to = (first + i) * width + from + panel * LANES;
                            copy(&values[..lanes], out.slice(to, lanes));
                        }
                    };
                    let panels = len.div_ceil(LANES);
                    multiply(worker, self.isa, &[weights], panels, &acts, n, done);
                };
                products(weights, 0, base);
                if let Some((rows, len)) = added {
                    products(rows, base, len);
                }
            }
        });
    }
}
