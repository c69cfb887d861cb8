//! The rows of a pass, as attention processes them.

use crate::engine::config::LlamaConfig;
use crate::engine::kernels::{PAGE, Queries};
use crate::engine::model::Ancestors;
use std::ops::Range;

/// A row of a pass.
pub struct PassRow {
    /// Index of its state.
    pub state: usize,
    /// Where its keys and values are written.
    pub slot: usize,
    /// Its position in the text.
    pub position: usize,
    /// Range of [`Layout::tails`] with the branch of a tree that leads to this row, itself included; empty in a
    /// chain.
    pub tail: Range<usize>,
}

/// Rows that attention processes together: consecutive rows of a chain, or a single row of a tree.
#[derive(Clone, Copy)]
pub struct Block {
    pub row: usize,
    pub rows: usize,
}

/// The rows of a pass. Its buffers outlive the pass, so that a pass allocates nothing.
#[derive(Default)]
pub struct Layout {
    pub rows: Vec<PassRow>,
    /// cos and sin for each row, `[row][head_dim / 2][2]`.
    pub rotations: Vec<f32>,
    /// The rows, divided for attention.
    pub blocks: Vec<Block>,
    /// Slots of the branches that lead to the rows of a tree, concatenated.
    pub tails: Vec<u32>,
    /// Positions before this one are in the slot with the same number.
    pub kept: usize,
}

impl Layout {
    /// Starts a pass of a sequence that keeps `kept` positions.
    pub fn begin(&mut self, kept: usize) {
        self.rows.clear();
        self.rotations.clear();
        self.tails.clear();
        self.kept = kept;
    }

    /// Adds a row; `rotations` are those of all positions, `[position][head_dim / 2][2]`.
    pub fn push(
        &mut self,
        (state, slot, position): (usize, usize, usize),
        ancestors: Ancestors,
        rotations: &[f32],
        head_dim: usize,
    ) {
        let rotation = &rotations[position * head_dim..][..head_dim];
        self.rotations.extend_from_slice(rotation);
        let from = self.tails.len();
        if let Ancestors::Tree(mask) = ancestors {
            let bits = (0..Ancestors::MAX_NODES).filter(|bit| mask >> bit & 1 == 1);
            self.tails.extend(bits.map(|bit| (self.kept + bit) as u32));
            self.tails.push(slot as u32);
        }
        self.rows.push(PassRow {
            state,
            slot,
            position,
            tail: from..self.tails.len(),
        });
    }

    /// The number of positions that the rows attend to.
    pub fn positions(&self) -> usize {
        let last = self.rows.iter().map(|row| row.position).max();
        1 + last.unwrap_or(0)
    }

    /// Divides the rows into blocks. Called once all are added.
    pub fn divide(&mut self, config: &LlamaConfig, threads: usize) {
        let parts = config.num_kv_heads * self.positions().div_ceil(PAGE);
        let group = config.num_heads / config.num_kv_heads;
        let max = Queries::best_rows(self.rows.len(), group, parts, threads);
        self.blocks.clear();
        for (i, row) in self.rows.iter().enumerate() {
            let follows = |block: &Block| {
                let before = &self.rows[i - 1];
                block.rows < max
                    && before.slot + 1 == row.slot
                    && before.tail.is_empty()
                    && row.tail.is_empty()
            };
            match self.blocks.last_mut() {
                Some(block) if follows(block) => block.rows += 1,
                _ => self.blocks.push(Block { row: i, rows: 1 }),
            }
        }
    }
}
