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
//! Where the time goes, with two threads of a Zen 4 and SmolLM2-135M's shape in Q8_0: one row takes 3.8 ms, in which
//! 143 MB of weights come at 38 GB/s. Memory could give up to 57, and does for the LM head; a layer's phases are so
//! short (20 to 50 µs) that starting anew counts in each. Members of the team therefore go through even parts of a
//! matrix from their starts: dealing out ever smaller pieces, as was done before, costs a sixth more for any number of
//! rows. Weights are asked for before they are needed: 5 KiB ahead, which for eight rows saves a tenth over a panel
//! ahead and a third over 2 KiB, but for one row of bytes only 1 KiB, since there the machine's own prefetching keeps
//! up and more disturbs it.
//!
//! With AVX-512 VNNI eight rows take 5.1 ms: what they take more is attention (0.6 ms where one row takes 0.2), SwiGLU,
//! norms, quantising, and products that do not hide behind the reading.
//!
//! With AVX2 alone eight rows are bound by arithmetic. In cache the products of Q8_0 take 1.0 cycle for 32
//! (`avx2::bytes`; 1.25 when each two products were widened to 32 bits at once), 4.6 ms of all weights with eight rows
//! on Zen 4 at 3.66 GHz. A pass takes 6.5 ms: 0.5 ms are attention and 1 ms norms, SwiGLU, quantising, copying and
//! waiting for each other; the rest is that weights come from memory meanwhile. The ports would allow 0.73 cycles; the
//! same instructions in an order that a list scheduler found run 6 % faster, too little for a listing that no one can
//! read. Tried without gain: `vpmaddwd` on weights widened to 16 bits, signs moved to the activations (1.7 cycles
//! both), Winograd's inner product (1.8), activations interleaved by row, the correction for quads of products (0.87
//! without scaling, where octets take 0.75), smaller records of activations, three or four rows at a time (1 %), and
//! assembly for weights of four and five bits, unpacked once for all rows: a sixth faster for eight rows of Q5_0,
//! slower or no faster for fewer rows and other formats. Their weights are unpacked for every tile.
//!
//! Attention is bound by its multiplications where six queries are served at once; two thirds of the peak remain after
//! exponentials and conversions. The keys and values of a short context are asked for meanwhile, which is a fifth of
//! its time. It is shared out by key-value heads, blocks of rows and, where those are few, pages of 256 positions; in a
//! context of one page one row of a model with three heads leaves one of two threads idle for a third of that phase.

#![allow(
    clippy::needless_range_loop,
    reason = "several arrays are walked side by side, lane by lane"
)]

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
pub use attention::{Attention, Merge, PAGE, Page, Queries, SCORES, Tail, attend, merge};
pub use bandwidth::read_bandwidth;
pub use level::Level;
pub use math::{copy, swiglu};
pub use matmul::{TILE, Tile, tile};
pub use norm::rms_norm;
pub use pack::Packed;
pub use rope::{rotate, to_f16};
pub use team::{Crew, MAX_THREADS, Shared, Team, physical_cores};

/// Rows of a weight panel, and lanes of every vector.
pub const LANES: usize = 16;
/// Columns that share one scale of the activations.
pub const BLOCK: usize = 32;
/// Bytes of a cache line.
const LINE: usize = 64;
