//! The pages of a query, brought together.

use super::{PAGE, Queries};
use crate::engine::kernels::math::exp;
use crate::engine::kernels::{LANES, Level, Shared, level::Kernel, simd::Simd};

/// Brings together what the pages that queries attend to come to.
pub struct Merge<'a> {
    pub queries: Queries,
    /// Of each page, as [`Attention::sums`].
    pub sums: &'a [f32],
    /// Results, where the queries lie in `q`.
    pub out: Shared<f32>,
}

/// Softmax-weighted sums of the values of all pages, in the order of the pages.
///
/// # Safety
/// There is room for the results, and no one else uses it meanwhile.
pub unsafe fn merge(level: Level, merge: Merge) {
    let queries = &merge.queries;
    assert!(
        merge.sums.len() >= (queries.positions + queries.rows - 1).div_ceil(PAGE) * queries.sums()
    );
    // SAFETY: the caller's.
    unsafe { level.run(merge) }
}

impl Kernel for Merge<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (queries, size) = (&self.queries, self.queries.size());
        for i in 0..queries.rows * queries.heads {
            let (at, positions) = queries.get(i);
            // SAFETY: the caller's.
            let out = unsafe { self.out.slice(at, queries.head_dim) };
            let mut pages = self
                .sums
                .chunks_exact(queries.sums())
                .map(|page| &page[i * size..(i + 1) * size]);
            let Some(first) = pages.next() else { continue };
            let [mut most, mut total] = [first[0], first[1]];
            out.copy_from_slice(&first[LANES..LANES + queries.head_dim]);
            for page in pages.take(positions.div_ceil(PAGE) - 1) {
                let greatest = if page[0] > most { page[0] } else { most };
                let [old, new] = [exp(most - greatest), exp(page[0] - greatest)];
                (most, total) = (greatest, total.mul_add(old, page[1] * new));
                for (out, sum) in out.iter_mut().zip(&page[LANES..]) {
                    *out = out.mul_add(old, sum * new);
                }
            }
            for out in out {
                *out /= total;
            }
        }
    }
}
