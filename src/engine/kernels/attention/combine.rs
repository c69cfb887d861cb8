//! Combines the partial results of pages.

use super::{PAGE, Queries};
use crate::engine::kernels::math::exp;
use crate::engine::kernels::simd::{Isa, Kernel, Simd};
use crate::engine::kernels::{LANES, Shared};

/// Combines the partial results of all pages that queries attend to.
pub struct Combine<'a> {
    /// The queries.
    pub queries: Queries,
    /// Partial results of each page, as [`Attention::partials`](super::Attention::partials).
    pub partials: &'a [f32],
    /// Results, at the same offsets as the queries in `q`.
    pub out: Shared<f32>,
}

/// Softmax-weighted sums of the values of all pages, in the order of the pages.
///
/// # Safety
/// The storage of `out` still exists, and no other thread accesses the results during the call.
pub unsafe fn combine(isa: Isa, arguments: Combine) {
    let queries = &arguments.queries;
    assert!(
        arguments.partials.len()
            >= (queries.positions + queries.rows - 1).div_ceil(PAGE) * queries.partials()
    );
    // SAFETY: the caller guarantees exclusive access to the results; the length of `partials` was just checked.
    unsafe { isa.run(arguments) }
}

impl Kernel for Combine<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (queries, size) = (&self.queries, self.queries.partial_len());
        for i in 0..queries.rows * queries.heads {
            let (at, positions) = queries.get(i);
            // SAFETY: the caller of `combine` guarantees exclusive access to the results.
            let out = unsafe { self.out.slice(at, queries.head_dim) };
            let mut pages = self
                .partials
                .chunks_exact(queries.partials())
                .map(|page| &page[i * size..(i + 1) * size]);
            let Some(first) = pages.next() else { continue };
            let [mut max, mut total] = [first[0], first[1]];
            out.copy_from_slice(&first[LANES..LANES + queries.head_dim]);
            for page in pages.take(positions.div_ceil(PAGE) - 1) {
                let new_max = if page[0] > max { page[0] } else { max };
                let [old, new] = [exp(max - new_max), exp(page[0] - new_max)];
                (max, total) = (new_max, total.mul_add(old, page[1] * new));
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
