//! A grid of settings measured on the prompts of a data set, on one machine or on many.
//!
//! A [`Manifest`] fixes model, prompts, settings and grid; its hash names the run and the folder. Every cell and every
//! baseline is a separate file, written to a temporary file and renamed: no file has two writers, and an existing file
//! is complete.
//!
//! ```text
//! sweep-<hash>/manifest.json   what to measure, with the prompts
//!              baselines/*.json  autoregressive runs of one machine and shard, and predictions
//!              cells/*.json      one cell of the grid
//!              sweep.csv, sweep.json, sweep*.svg   the result
//! ```

mod baseline;
mod cell;
mod grid;
mod heat_map;
mod manifest;
mod merge;
mod read;
mod shard;
mod work;

pub use baseline::{Baseline, Prediction};
pub use cell::CellFile;
pub use grid::{Axes, Cell};
pub use heat_map::{HeatMap, Tile};
pub use manifest::{Manifest, RunFolder};
pub use merge::{CSV_COLUMNS, Merged, ResultRow, csv, merge};
pub use read::{Row, read_rows};
pub use shard::Shard;
pub use work::{Estimate, Sweep, Update};

#[cfg(test)]
mod tests;
