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
//! weights, a few hundredths more; what made that so was asking for weights before they are needed, which the machine's own
//! prefetching does too late. On Zen 4 5 KiB ahead was best for any number of rows and all formats; a panel ahead, as it
//! was before, costs a tenth for one row and a twentieth for eight, every other line only is as good for one row of Q8_0,
//! and 1.4 times slower with five bits or several rows. With AVX-512 VNNI eight rows hide behind the reading: the 0.8 ms
//! that they take more are attention (0.6 ms where one row takes 0.2), SwiGLU, norms and quantising.
//!
//! With AVX2 alone eight rows are bound by arithmetic. In cache the products of Q8_0 take 1.0 cycle for 32
//! (`avx2::bytes`; 1.25 when each two products were widened to 32 bits at once), 4.6 ms of all weights with eight rows
//! on Zen 4 at 3.66 GHz. A pass takes 7.0 ms: with weights that stay in cache 6.1 ms, of which 0.5 ms are attention and
//! 1 ms norms, SwiGLU, quantising, copying and waiting for each other; the rest is that weights come from memory at
//! nearly its full speed meanwhile. The ports would allow 0.73 cycles; the same instructions in an order that a list
//! scheduler found run 6 % faster, too little for a listing that no one can read. Tried without gain: `vpmaddwd` on
//! weights widened to 16 bits, signs moved to the activations (1.7 cycles both), Winograd's inner product (1.8),
//! activations interleaved by row, the correction for quads of products (0.87 without scaling, where octets take 0.75),
//! smaller records of activations, three or four rows at a time (1 %), and assembly for weights of four and five bits,
//! unpacked once for all rows: a sixth faster for eight rows of Q5_0, slower or no faster for fewer rows and other
//! formats. Their weights are unpacked for every tile.
//!
//! Attention is bound by its multiplications where six queries are served at once; two thirds of the peak remain after
//! exponentials and conversions. The keys and values of a short context are asked for meanwhile, which is a fifth of its
//! time. It is shared out by key-value heads, blocks of rows and, where those are few, pages of 256 positions; in a
//! context of one page one row of a model with three heads leaves one of two threads idle for a third of that phase.

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
pub use attention::{Attention, Merge, PAGE, Page, Queries, SCORES, attend, merge};
pub use bandwidth::read_bandwidth;
pub use level::Level;
pub use math::{copy, swiglu};
pub use matmul::{TILE, Tile, tile};
pub use norm::rms_norm;
pub use pack::Packed;
pub use rope::{rotate, to_f16};
pub use team::{Crew, Shared, Team, physical_cores};

/// Rows of a weight panel, and lanes of every vector.
pub const LANES: usize = 16;
/// Columns that share one scale of the activations.
pub const BLOCK: usize = 32;
/// Bytes of a cache line.
const LINE: usize = 64;
