//! Fused operations of the forward pass on the CPU.
//!
//! One design gives two promises at once. Weights are packed in *panels* of 16 rows, and one SIMD lane is one output
//! row, so that a lane accumulates its dot product over the columns in one fixed order. The result of a row of
//! activations therefore depends neither on the rows beside it nor on the number of threads, and since every level of
//! SIMD performs the same fused multiply-adds lane by lane, not on the machine either. And a panel that was read once
//! serves a whole tile of activation rows, so that verifying several tokens costs little more than decoding one.
//!
//! Where the time goes, on two virtual cores of a Zen 4 server with SmolLM2-135M's shape in Q8_0: decoding reads its
//! 143 MB at 26 GB/s of the 32 to 55 GB/s that a plain pass over memory reaches, because phases end and begin; for
//! eight rows, tiles take about two thirds of the time, attention and quantising a tenth each, and waiting for each other
//! about a twentieth. At times the two virtual cores share their arithmetic, as the halves of one core do: then eight
//! rows cost 1.6 to 2.3 decode steps instead of 1.2. What is left: scales of K-quants as f32 (6 bits a weight for Q4_K
//! instead of 4.5), five-bit weights as bytes, and attention shared out by key-value heads only, which for one row of a
//! model with three of them leaves one of two threads idle for a third of that phase.

#![allow(clippy::needless_range_loop, reason = "several arrays are walked side by side, lane by lane")]

mod acts;
mod arena;
mod attention;
mod bandwidth;
mod dense;
mod form;
mod level;
mod math;
mod matmul;
#[cfg(target_arch = "aarch64")]
mod neon;
mod norm;
mod pack;
mod quants;
mod rope;
mod scales;
mod simd;
mod team;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use acts::{Acts, ActsView};
pub use arena::Arena;
pub use attention::{Attention, PAGE, attend};
pub use bandwidth::read_bandwidth;
pub use level::Level;
pub use math::swiglu;
pub use matmul::{TILE, Tile, tile};
pub use norm::rms_norm;
pub use pack::Packed;
pub use rope::{rotate, to_f16};
pub use team::{Crew, Shared, Team, physical_cores};

/// Rows of a weight panel, and lanes of every vector.
pub const LANES: usize = 16;
/// Columns that share one scale of the activations.
pub const BLOCK: usize = 32;
