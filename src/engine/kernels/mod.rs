//! Fused operations of the forward pass on the CPU.
//!
//! Weights are packed in *panels* of 16 rows, and one SIMD lane is one output row, so a lane accumulates its dot
//! product over the columns in one fixed order. The result for a row of activations therefore depends neither on the
//! other rows nor on the number of threads. It does not depend on the machine either, because every instruction set
//! performs the same fused multiply-adds lane by lane. One read of a panel serves a whole tile of activation rows, so
//! verifying several tokens costs little more than decoding one.
//!
//! The operations work on slices that their callers own, so a forward pass allocates nothing; custom operations on
//! candle tensors would allocate every result. `docs/kernels.md` has the measurements behind the constants, and the
//! attempts that brought no gain.

#![allow(
    clippy::needless_range_loop,
    reason = "several arrays are indexed in step, lane by lane"
)]

mod activations;
mod arena;
mod attention;
mod bandwidth;
mod dense;
mod layout;
mod math;
mod matmul;
mod norm;
mod pack;
mod quants;
mod rope;
mod scales;
mod shared;
mod simd;
#[cfg(test)]
mod tests;
mod thread_pool;

pub use activations::{Activations, ActivationsView};
pub use arena::{Arena, Buffer};
pub use attention::{Attention, Combine, PAGE, Page, Queries, SCORES, Tail, attend_page, combine};
pub use bandwidth::read_bandwidth;
pub use layout::{Q8Block, supports};
pub use math::{copy, swiglu};
pub(super) use math::{exp, max};
pub use matmul::{TILE, Tile, tile};
pub use norm::rms_norm;
pub use pack::Packed;
#[cfg(feature = "gpu")]
pub(super) use quants::{Block, unpack};
pub use rope::{rotate, to_f16};
pub use shared::Shared;
pub use simd::Isa;
pub(super) use simd::{Kernel, Simd};
pub use thread_pool::{MAX_THREADS, ThreadPool, Worker, physical_cores};

/// Rows of a weight panel, and lanes of every vector.
pub const LANES: usize = 16;
/// Columns that share one scale of the activations.
pub const BLOCK: usize = 32;
/// 1.5 × 2^23. Adding it to an f32 below 2^22 in magnitude rounds it to the nearest integer, ties to even, and leaves
/// the integer in the low bits.
const ROUND_TO_NEAREST: f32 = 12_582_912.0;
/// Bytes of a cache line.
const CACHE_LINE: usize = 64;
