//! A sweep: the measured speed of pairs of exit layer and speculations on one prompt.

use super::turn::Outcome;
use crate::engine::worker::{RunId, SweepCell};
use std::collections::BTreeMap;

/// Max exit layers of a sweep in the playground.
const MAX_EXITS: usize = 12;
/// Max speculations of a sweep in the playground.
const MAX_SPECULATIONS: usize = 6;

/// The sweep on screen.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// The run that measures it; `None` if it was read from a file.
    pub run: Option<RunId>,
    /// The prompt or the file, for the title.
    pub title: String,
    /// Exit layers and speculations of the grid, ascending.
    pub exit_layers: Vec<usize>,
    pub speculations: Vec<usize>,
    /// Tokens per second of plain decoding, once measured.
    pub plain: Option<f64>,
    /// Measurements by exit layer and speculations.
    pub cells: BTreeMap<(usize, usize), Cell>,
    /// Exit layer and speculations under the cursor.
    pub cursor: (usize, usize),
    /// How it ended; `None` while it runs.
    pub outcome: Option<Outcome>,
}

/// The figures of a pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    pub tokens_per_second: f64,
    pub acceptance_rate: Option<f64>,
}

/// A row of a sweep measured earlier.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SweepRow {
    pub exit_layer: usize,
    pub num_speculations: usize,
    pub cell: Cell,
}

impl Sweep {
    /// A sweep over a grid for a model of `layers` layers.
    pub(in crate::app) fn new(
        run: RunId,
        title: String,
        layers: usize,
        cursor: (usize, usize),
    ) -> Self {
        let last = layers.saturating_sub(1).max(1);
        let count = last.min(MAX_EXITS);
        let mut exit_layers: Vec<usize> =
            (1..=count).map(|at| (at * last).div_ceil(count)).collect();
        exit_layers.dedup();
        // The current exit layer in place of its neighbour, but for the last one.
        if (1..last).contains(&cursor.0)
            && let Err(at) = exit_layers.binary_search(&cursor.0)
        {
            let neighbour = at.min(exit_layers.len().saturating_sub(2));
            exit_layers[neighbour] = cursor.0;
            exit_layers.sort_unstable();
        }
        let speculations: Vec<usize> = (1..=MAX_SPECULATIONS).collect();
        let mut sweep = Self {
            run: Some(run),
            title,
            exit_layers,
            speculations,
            plain: None,
            cells: BTreeMap::new(),
            cursor,
            outcome: None,
        };
        sweep.move_by(0, 0);
        sweep
    }

    /// A sweep measured earlier.
    pub(in crate::app) fn of_rows(title: String, rows: &[SweepRow], plain: Option<f64>) -> Self {
        let mut exit_layers: Vec<usize> = rows.iter().map(|row| row.exit_layer).collect();
        let mut speculations: Vec<usize> = rows.iter().map(|row| row.num_speculations).collect();
        for values in [&mut exit_layers, &mut speculations] {
            values.sort_unstable();
            values.dedup();
        }
        let cells = rows
            .iter()
            .map(|row| ((row.exit_layer, row.num_speculations), row.cell))
            .collect();
        let mut sweep = Self {
            run: None,
            title,
            exit_layers,
            speculations,
            plain,
            cells,
            cursor: (0, 0),
            outcome: Some(Outcome::Stopped(crate::engine::decode::StopReason::Eos)),
        };
        sweep.cursor = sweep.best().unwrap_or_default();
        sweep
    }

    /// The pairs in the order in which they are measured: coarse first, so that the map fills evenly.
    pub(in crate::app) fn pairs(&self) -> Vec<(usize, usize)> {
        let mut pairs: Vec<(u32, usize, usize)> = Vec::new();
        for (row, exit_layer) in self.exit_layers.iter().enumerate() {
            for (column, speculations) in self.speculations.iter().enumerate() {
                let level = fineness(row).max(fineness(column));
                pairs.push((level, *exit_layer, *speculations));
            }
        }
        pairs.sort_unstable();
        pairs
            .into_iter()
            .map(|(_, exit_layer, speculations)| (exit_layer, speculations))
            .collect()
    }

    pub(in crate::app) fn add(&mut self, cell: &SweepCell) {
        let speed = cell.stats.tokens_per_second();
        match (cell.pair, speed) {
            (None, speed) => self.plain = speed,
            (Some(pair), Some(tokens_per_second)) => {
                let acceptance_rate = cell.stats.acceptance_rate();
                self.cells.insert(
                    pair,
                    Cell {
                        tokens_per_second,
                        acceptance_rate,
                    },
                );
            }
            (Some(_), None) => {}
        }
    }

    /// The fastest pair so far.
    pub fn best(&self) -> Option<(usize, usize)> {
        self.cells
            .iter()
            .max_by(|(_, a), (_, b)| a.tokens_per_second.total_cmp(&b.tokens_per_second))
            .map(|(pair, _)| *pair)
    }

    /// Speed of a cell ÷ that of plain decoding.
    pub fn speed_up(&self, cell: &Cell) -> Option<f64> {
        Some(cell.tokens_per_second / self.plain.filter(|plain| *plain > 0.0)?)
    }

    /// Moves the cursor along the grid.
    pub(in crate::app) fn move_by(&mut self, rows: isize, columns: isize) {
        let step = |values: &[usize], from: usize, by: isize| {
            let at = values
                .iter()
                .enumerate()
                .min_by_key(|(_, value)| value.abs_diff(from))
                .map_or(0, |(at, _)| at);
            let at = at
                .saturating_add_signed(by)
                .min(values.len().saturating_sub(1));
            values.get(at).copied().unwrap_or(from)
        };
        self.cursor = (
            step(&self.exit_layers, self.cursor.0, rows),
            step(&self.speculations, self.cursor.1, columns),
        );
    }
}

/// The level of the coarsest grid that contains an index: 0 for every fourth, 1 for every second, 2 for all.
fn fineness(index: usize) -> u32 {
    2 - index.trailing_zeros().min(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_exit_layer_is_in_the_grid() {
        for layers in [2, 3, 13, 30, 80] {
            for exit in 1..layers {
                let sweep = Sweep::new(RunId(0), String::new(), layers, (exit, 4));
                assert_eq!(sweep.cursor, (exit, 4));
                assert!(sweep.exit_layers.is_sorted_by(|a, b| a < b));
                assert_eq!(sweep.exit_layers.last(), Some(&(layers - 1)));
            }
        }
    }

    #[test]
    fn the_grid_covers_the_layers_and_each_pair_is_measured_once() {
        for layers in [2, 3, 13, 30, 80] {
            let sweep = Sweep::new(RunId(0), String::new(), layers, (999, 999));
            assert_eq!(sweep.exit_layers.last(), Some(&(layers - 1)));
            assert!(
                sweep
                    .exit_layers
                    .iter()
                    .all(|exit| (1..layers).contains(exit))
            );
            let mut pairs = sweep.pairs();
            pairs.sort_unstable();
            pairs.dedup();
            assert_eq!(
                pairs.len(),
                sweep.exit_layers.len() * sweep.speculations.len()
            );
            assert_eq!(sweep.cursor, (layers - 1, MAX_SPECULATIONS));
        }
    }
}
