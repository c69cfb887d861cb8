//! Attention of one position over the cache.
//!
//! Keys lie in panels of 16 positions, one lane a position, so that scores come out of the same loop as a matrix
//! product; values lie in chunks of 16 dimensions, one lane a dimension. All query heads that share a key-value head
//! are served by one reading of it.

use super::math::{exp, tree_sum};
use super::{LANES, Level, level::Kernel, simd::Simd};
use std::cell::UnsafeCell;

/// Positions of a page of the cache.
pub const PAGE: usize = 256;

/// Keys and values of [`PAGE`] positions, f16, which a crew writes and reads in turns.
pub struct Page(Box<[UnsafeCell<u16>]>);

// SAFETY: access goes through pointers, whose users see to it that no one writes what others use.
unsafe impl Sync for Page {}

impl Page {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        let zeros = Box::into_raw(vec![0u16; len].into_boxed_slice());
        // SAFETY: a cell lies in memory as what it holds.
        Self(unsafe { Box::from_raw(zeros as *mut [UnsafeCell<u16>]) })
    }

    /// The elements from `offset` on.
    pub fn at(&self, offset: usize) -> *mut u16 {
        self.0[offset..].as_ptr().cast_mut().cast()
    }
}

/// The query heads that share one key-value head, at one position.
pub struct Attention<'a> {
    /// `[heads, head_dim]`, already rotated.
    pub q: &'a [f32],
    pub head_dim: usize,
    pub pages: &'a [Page],
    /// Where in a page the head's keys begin, `[panel][head_dim][16 positions]`.
    pub keys: usize,
    /// Where in a page its values begin, `[chunk of 16 dimensions][256 positions][16]`.
    pub values: usize,
    /// How many positions are attended to: all up to the query's own.
    pub positions: usize,
    /// Room for `heads` times the positions rounded up to 16.
    pub scores: &'a mut [f32],
    /// `[heads, head_dim]`
    pub out: &'a mut [f32],
}

/// Softmax-weighted sums of the values.
///
/// # Safety
/// The pages hold keys and values of `positions` positions there, and no one writes those meanwhile.
pub unsafe fn attend(level: Level, attention: Attention) {
    let heads = attention.q.len() / attention.head_dim;
    let stride = attention.positions.next_multiple_of(LANES);
    assert!(attention.positions > 0 && attention.positions <= attention.pages.len() * PAGE);
    assert!(attention.scores.len() >= heads * stride);
    assert!(attention.out.len() == attention.q.len() && attention.head_dim.is_multiple_of(2));
    // SAFETY: the caller's.
    unsafe { level.run(attention) }
}

impl Kernel for Attention<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        let (heads, stride) = (self.q.len() / self.head_dim, self.positions.next_multiple_of(LANES));
        let mut head = 0;
        while head < heads {
            // SAFETY: the caller's.
            head += unsafe {
                match heads - head {
                    4.. => self.group::<S, 4>(head, stride),
                    3 => self.group::<S, 3>(head, stride),
                    2 => self.group::<S, 2>(head, stride),
                    _ => self.group::<S, 1>(head, stride),
                }
            };
        }
    }
}

impl Attention<'_> {
    /// `G` query heads from `head`; returns `G`.
    #[inline(always)]
    unsafe fn group<S: Simd, const G: usize>(&mut self, head: usize, stride: usize) -> usize {
        // SAFETY: the caller's.
        unsafe {
            self.score::<S, G>(head, stride);
            let mut totals = [0.0; G];
            // Not a closure: those do not get the level's instructions.
            for (g, total) in totals.iter_mut().enumerate() {
                let scores = &mut self.scores[(head + g) * stride..(head + g + 1) * stride];
                *total = softmax(scores, self.positions);
            }
            self.gather::<S, G>(head, stride, totals);
        }
        G
    }

    /// Scaled products of the queries with all keys.
    #[inline(always)]
    unsafe fn score<S: Simd, const G: usize>(&mut self, head: usize, stride: usize) {
        let dim = self.head_dim;
        let q = self.q[head * dim..(head + G) * dim].as_ptr();
        // SAFETY: the caller's pages hold the positions, and `scores` has room for whole panels.
        unsafe {
            let scale = S::splat(1.0 / (dim as f32).sqrt());
            for panel in 0..stride / LANES {
                let page = self.pages[panel * LANES / PAGE].at(self.keys);
                let keys = page.add(panel % (PAGE / LANES) * dim * LANES);
                let mut sums = [[S::splat(0.0); 2]; G];
                for d in (0..dim).step_by(2) {
                    let pair = [S::load_f16(keys.add(d * LANES)), S::load_f16(keys.add((d + 1) * LANES))];
                    for (g, sum) in sums.iter_mut().enumerate() {
                        let q = q.add(g * dim + d);
                        sum[0] = S::fma(pair[0], S::splat(*q), sum[0]);
                        sum[1] = S::fma(pair[1], S::splat(*q.add(1)), sum[1]);
                    }
                }
                for (g, sum) in sums.into_iter().enumerate() {
                    let to = self.scores[(head + g) * stride + panel * LANES..][..LANES].as_mut_ptr();
                    S::store(to, S::mul(S::add(sum[0], sum[1]), scale));
                }
            }
        }
    }

    /// Sums of the values with the scores as weights, over `totals`; two chunks of dimensions at once where there are
    /// two, so that additions do not wait for each other.
    #[inline(always)]
    unsafe fn gather<S: Simd, const G: usize>(&mut self, head: usize, stride: usize, totals: [f32; G]) {
        let chunks = self.head_dim.div_ceil(LANES);
        let mut chunk = 0;
        while chunk < chunks {
            // SAFETY: the caller's.
            unsafe {
                if chunk + 2 <= chunks {
                    self.gather_chunks::<S, G, 2>(head, stride, chunk, totals);
                    chunk += 2;
                } else {
                    self.gather_chunks::<S, G, 1>(head, stride, chunk, totals);
                    chunk += 1;
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn gather_chunks<S: Simd, const G: usize, const C: usize>(
        &mut self,
        head: usize,
        stride: usize,
        chunk: usize,
        totals: [f32; G],
    ) {
        let scores = self.scores[head * stride..(head + G) * stride].as_ptr();
        // SAFETY: the caller's pages hold the positions.
        unsafe {
            let mut sums = [[S::splat(0.0); C]; G];
            for (page, values) in self.pages.iter().enumerate() {
                let first = page * PAGE;
                let values = values.at(self.values).add(chunk * PAGE * LANES);
                for position in first..self.positions.min(first + PAGE) {
                    let mut value = [S::splat(0.0); C];
                    for (c, value) in value.iter_mut().enumerate() {
                        *value = S::load_f16(values.add((c * PAGE + position - first) * LANES));
                    }
                    for (g, sum) in sums.iter_mut().enumerate() {
                        let score = S::splat(*scores.add(g * stride + position));
                        for c in 0..C {
                            sum[c] = S::fma(value[c], score, sum[c]);
                        }
                    }
                }
            }
            for (g, sum) in sums.into_iter().enumerate() {
                for (c, sum) in sum.into_iter().enumerate() {
                    self.put::<S>(head + g, chunk + c, sum, totals[g]);
                }
            }
        }
    }

    /// One chunk of a head's output.
    #[inline(always)]
    unsafe fn put<S: Simd>(&mut self, head: usize, chunk: usize, sum: S::F, total: f32) {
        let mut lanes = [0.0; LANES];
        // SAFETY: 16 lanes.
        unsafe { S::store(lanes.as_mut_ptr(), sum) };
        let width = LANES.min(self.head_dim - chunk * LANES);
        let to = &mut self.out[head * self.head_dim + chunk * LANES..][..width];
        for (to, lane) in to.iter_mut().zip(lanes) {
            *to = lane / total;
        }
    }
}

/// Scores become e^(score − greatest), those from `positions` on 0; returns their sum.
#[inline(always)]
fn softmax(scores: &mut [f32], positions: usize) -> f32 {
    scores[positions..].fill(f32::NEG_INFINITY);
    let mut most = [f32::NEG_INFINITY; LANES];
    for panel in scores.as_chunks::<LANES>().0 {
        for i in 0..LANES {
            most[i] = if panel[i] > most[i] { panel[i] } else { most[i] };
        }
    }
    let most = most.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
    let mut sums = [0.0f32; LANES];
    for panel in scores.as_chunks_mut::<LANES>().0 {
        for i in 0..LANES {
            panel[i] = exp(panel[i] - most);
            sums[i] += panel[i];
        }
    }
    tree_sum(sums)
}
