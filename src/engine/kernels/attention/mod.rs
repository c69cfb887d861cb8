//! Attention over the cache.
//!
//! Keys are stored in panels of 16 positions, one lane per position, so that scores come out of the same loop as a
//! matrix product; values are stored in chunks of 16 dimensions, one lane per dimension. One pass over a key-value head
//! serves all its queries, of several heads and positions.
//!
//! As in flash-decoding, softmax and the weighted sums of values are computed page by page, each with its own max
//! score, and these partial results are then combined in the order of the pages. So pages can be divided among threads,
//! which matters for one or two rows in a long context, and the result is bit-identical to that of one thread.

mod combine;
mod page;

use super::LANES;
use crate::engine::{Result, memory};
pub use combine::{Combine, combine};
pub use page::{Attention, Tail, attend_page};
use std::cell::UnsafeCell;

/// Positions of a page of the cache.
pub const PAGE: usize = 256;

/// Keys and values of [`PAGE`] positions, f16, which the workers of a pool write in one phase and read in later ones.
pub struct Page(Box<[UnsafeCell<u16>]>);

// SAFETY: elements are accessed only through the pointers of `at`, and its callers guarantee that no thread writes
// elements that another one accesses.
unsafe impl Sync for Page {}

impl Page {
    /// A page of `len` zeros.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::engine::Error::OutOfMemory) if the memory cannot be allocated.
    pub fn zeros(len: usize) -> Result<Self> {
        let zeros: Vec<u16> = memory::zeros(len, "a page of the KV cache")?;
        let zeros = Box::into_raw(zeros.into_boxed_slice());
        // SAFETY: `UnsafeCell<u16>` has the layout of `u16`, and the pointer comes from `into_raw` and is used once.
        Ok(Self(unsafe {
            Box::from_raw(zeros as *mut [UnsafeCell<u16>])
        }))
    }

    /// A pointer to the elements from `offset`. Panics if that is beyond the end.
    pub fn at(&self, offset: usize) -> *mut u16 {
        self.0[offset..].as_ptr().cast_mut().cast()
    }
}

/// Max number of queries per pass over keys and values.
const MAX_QUERIES: usize = 6;

/// Elements of the buffer for the scores of one such pass.
pub const SCORES: usize = MAX_QUERIES * PAGE;

/// Queries at consecutive positions, of all heads that share one key-value head.
#[derive(Clone, Copy)]
pub struct Queries {
    /// Offset of the first row, `[heads, head_dim]`.
    pub first: usize,
    /// Stride between rows, in elements.
    pub stride: usize,
    /// Number of rows.
    pub rows: usize,
    /// Query heads that share the key-value head.
    pub heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
    /// How many positions the first row attends to: all up to its own.
    pub positions: usize,
}

impl Queries {
    /// The best number of rows to process together, given `n` rows for each of `parts` parts of the work: enough to make
    /// good use of every read, few enough to leave every thread something to do.
    pub fn best_rows(n: usize, heads: usize, parts: usize, threads: usize) -> usize {
        let enough = |rows: &usize| n.div_ceil(*rows) * parts >= 2 * threads;
        (1..=MAX_QUERIES.div_ceil(heads))
            .rev()
            .find(enough)
            .unwrap_or(1)
    }

    /// Max number of elements of the partial results of all pages, for any number of rows that [`Queries::best_rows`]
    /// returns.
    pub fn max_partials(heads: usize, head_dim: usize, positions: usize) -> usize {
        let rows = MAX_QUERIES.div_ceil(heads);
        let queries = Self {
            first: 0,
            stride: 0,
            rows,
            heads,
            head_dim,
            positions,
        };
        positions.div_ceil(PAGE) * queries.partials()
    }

    /// Elements of the partial results of one page.
    pub fn partials(&self) -> usize {
        self.rows * self.heads * self.partial_len()
    }

    /// Elements of the partial result of one query: its max score and the sum of its weights, padded to [`LANES`] elements,
    /// then the weighted sum of values in whole chunks.
    fn partial_len(&self) -> usize {
        LANES + self.head_dim.next_multiple_of(LANES)
    }

    /// Offset of query `i`, counting the heads of each row in turn, and how many positions it attends to.
    #[inline(always)]
    fn get(&self, i: usize) -> (usize, usize) {
        let (row, head) = (i / self.heads, i % self.heads);
        (
            self.first + row * self.stride + head * self.head_dim,
            self.positions + row,
        )
    }
}
