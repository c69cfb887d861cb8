//! Attention over the cache.
//!
//! Keys lie in panels of 16 positions, one lane a position, so that scores come out of the same loop as a matrix
//! product; values lie in chunks of 16 dimensions, one lane a dimension. Queries of several heads and positions that
//! share a key-value head are served by one reading of it.
//!
//! Softmax and the sums of values are taken page by page, each with a greatest score of its own, and the pages then
//! brought together in their order. So pages can be shared out among threads, which a row or two in a long context need,
//! and the result is that of one thread to the last bit.

mod attend;
mod merge;

use super::LANES;
use crate::engine::{Result, memory};
pub use attend::{Attention, Tail, attend};
pub use merge::{Merge, merge};
use std::cell::UnsafeCell;

/// Positions of a page of the cache.
pub const PAGE: usize = 256;

/// Keys and values of [`PAGE`] positions, f16, which a crew writes and reads in turns.
pub struct Page(Box<[UnsafeCell<u16>]>);

// SAFETY: access goes through pointers, whose users see to it that no one writes what others use.
unsafe impl Sync for Page {}

impl Page {
    /// `len` zeros.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::engine::Error::OutOfMemory) where the machine lacks the memory.
    pub fn zeros(len: usize) -> Result<Self> {
        let zeros: Vec<u16> = memory::zeros(len, "a page of the KV cache")?;
        let zeros = Box::into_raw(zeros.into_boxed_slice());
        // SAFETY: `UnsafeCell<u16>` has the layout of `u16`, and the box is taken back once.
        Ok(Self(unsafe {
            Box::from_raw(zeros as *mut [UnsafeCell<u16>])
        }))
    }

    /// The elements from `offset` on.
    pub fn at(&self, offset: usize) -> *mut u16 {
        self.0[offset..].as_ptr().cast_mut().cast()
    }
}

/// Most queries that are served by one reading of keys and values.
const QUERIES: usize = 6;

/// Elements of the buffer for their scores.
pub const SCORES: usize = QUERIES * PAGE;

/// Queries of consecutive positions, of all the heads that share one key-value head.
#[derive(Clone, Copy)]
pub struct Queries {
    /// Where the first row begins, `[heads, head_dim]`; the next ones follow every `stride` elements.
    pub first: usize,
    pub stride: usize,
    pub rows: usize,
    pub heads: usize,
    pub head_dim: usize,
    /// How many positions the first row attends to: all up to its own.
    pub positions: usize,
}

impl Queries {
    /// Rows that are best taken together where there are `n` of them for each of `parts` parts of the work: enough to make
    /// good use of what is read, few enough to leave every thread something to do.
    pub fn rows(n: usize, heads: usize, parts: usize, threads: usize) -> usize {
        let enough = |rows: &usize| n.div_ceil(*rows) * parts >= 2 * threads;
        (1..=QUERIES.div_ceil(heads))
            .rev()
            .find(enough)
            .unwrap_or(1)
    }

    /// Elements that the sums over all pages take at most, with any number of rows that [`Queries::rows`] gives.
    pub fn room(heads: usize, head_dim: usize, positions: usize) -> usize {
        let rows = QUERIES.div_ceil(heads);
        let queries = Self {
            first: 0,
            stride: 0,
            rows,
            heads,
            head_dim,
            positions,
        };
        positions.div_ceil(PAGE) * queries.sums()
    }

    /// Elements that the sums over one page take.
    pub fn sums(&self) -> usize {
        self.rows * self.heads * self.size()
    }

    /// Elements that the sums of one query take: its greatest score, the sum of its weights, and behind [`LANES`] elements
    /// the weighted sum of values, in whole chunks.
    fn size(&self) -> usize {
        LANES + self.head_dim.next_multiple_of(LANES)
    }

    /// Where query `i`, counted through the heads of every row, begins, and how many positions it attends to.
    #[inline(always)]
    fn get(&self, i: usize) -> (usize, usize) {
        let (row, head) = (i / self.heads, i % self.heads);
        (
            self.first + row * self.stride + head * self.head_dim,
            self.positions + row,
        )
    }
}
