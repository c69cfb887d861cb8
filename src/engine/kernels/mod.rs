//! Fused operations of the forward pass on the CPU.
//!
//! One design gives two promises at once. Weights are packed in *panels* of 16 rows, and one SIMD lane is one output
//! row, so that a lane accumulates its dot product over the columns in one fixed order. The result of a row of
//! activations therefore depends neither on the rows beside it nor on the number of threads, and since every level of
//! SIMD performs the same fused multiply-adds lane by lane, not on the machine either. And a panel that was read once
//! serves a whole tile of activation rows, so that verifying several tokens costs little more than decoding one.
//!
//! The operations work on slices that their callers own, not on candle's tensors as custom operations: those make the
//! tensor they return, each call a new one, and a forward pass here asks for no memory at all.
//!
//! Where the time goes, with two threads and SmolLM2-135M's shape in Q8_0: one row takes as long as reading the 143 MB of
//! weights, a few hundredths more; what made that so was asking for the next panel while one is multiplied, which the
//! machine's own prefetching does not. With AVX-512 VNNI the products of eight rows take about two thirds of the time,
//! attention, quantising and copying a fifth, and waiting for each other the rest.
//!
//! With AVX2 alone eight rows are bound by arithmetic. On Zen 3 (3.24 GHz) 32 products take a `vpmaddubsw`, a `vpmaddwd` and
//! a `vpaddd`, and the two multiplications have two ports: 1.0 cycle at best, 5.2 ms for all weights and eight rows. Alone
//! the loop takes 1.13 cycles, scaling each block to f32 brings it to 1.3, prefetching and calling to 1.35; the rest of a
//! pass of 9.4 ms is attention (5 %), quantising (3 %), SwiGLU, norms, copying, waiting and misses. Tried without gain:
//! `vpmaddwd` on weights widened to 16 bits, signs moved to the activations (1.7 cycles both), Winograd's inner product
//! (1.8), activations interleaved by row, loops written out (registers run short). Five-bit weights are unpacked for every
//! tile. Attention is shared out by key-value heads, which for one row of a model with three of them leaves one of two
//! threads idle for a third of that phase.

#![allow(clippy::needless_range_loop, reason = "several arrays are walked side by side, lane by lane")]

mod acts;
mod arena;
mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
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

pub use acts::{Acts, ActsView};
pub use arena::Arena;
pub use attention::{Attention, PAGE, Page, attend};
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
