//! Attention over the positions of one page.

use super::{MAX_QUERIES, PAGE, Page, Queries, SCORES};
use crate::engine::kernels::math::{self, exp, tree_sum};
use crate::engine::kernels::simd::{Isa, Kernel, Simd};
use crate::engine::kernels::{CACHE_LINE, LANES, Shared};
use half::f16;

/// Prefetch distance for keys, in panels.
const PREFETCH_PANELS: usize = 4;

/// Up to this many queries, two panels or chunks are processed at once: one alone has too few sums to hide the latency
/// of additions. With more queries that is slower, even with AVX-512, which has enough registers.
const FEW: usize = 2;

/// The branch of a token tree that leads to a query. The keys and values of its positions are not in the slots with the
/// same numbers. The last entry is the query's own slot.
#[derive(Clone, Copy)]
pub struct Tail<'a> {
    /// Positions before this one are in the slot with the same number.
    pub from: usize,
    /// Slots of the positions from `from`, ascending and never before their positions.
    pub slots: &'a [u32],
}

impl Tail<'_> {
    /// Every position is in the slot with the same number.
    pub const NONE: Self = Self {
        from: usize::MAX,
        slots: &[],
    };
}

/// Attention over the positions of one page.
pub struct Attention<'a> {
    /// The queries.
    pub queries: Queries,
    /// Elements of the queries, already rotated.
    pub q: Shared<f32>,
    /// All pages of the cache.
    pub pages: &'a [Page],
    /// First position of the page to attend to.
    pub start: usize,
    /// Positions in other slots.
    pub tail: Tail<'a>,
    /// Offset in the page of the key-value head's keys, `[panel][head_dim][16 positions]`.
    pub keys: usize,
    /// Offset of its values, `[chunk of 16 dimensions][256 positions][16]`.
    pub values: usize,
    /// At least [`SCORES`] elements.
    pub scores: &'a mut [f32],
    /// The partial results, [`Queries::partials`] elements. Those of queries that attend to no position of the page are
    /// unspecified.
    pub partials: &'a mut [f32],
}

/// Softmax over the page's positions, and the sums of values weighted by it.
///
/// # Safety
/// The storage of `q` still exists, the pages hold keys and values of all positions that the queries attend to, and no
/// thread writes any of them, or any key in a slot before the last one of the tail, during the call.
pub unsafe fn attend_page(isa: Isa, attention: Attention) {
    assert!(attention.tail.slots.is_empty() || attention.queries.rows == 1);
    assert!(attention.queries.positions + attention.queries.rows > attention.start + 1);
    assert!(
        attention.scores.len() >= SCORES
            && attention.partials.len() >= attention.queries.partials()
    );
    // SAFETY: the caller guarantees queries, keys and values; the buffers were just checked.
    unsafe { isa.run(attention) }
}

/// One query, and how many positions of the page it attends to.
#[derive(Clone, Copy)]
struct Query {
    q: *const f32,
    positions: usize,
    /// How many of them are in the slot with the same number.
    in_place: usize,
}

impl Kernel for Attention<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        let (mut done, count) = (0, self.queries.rows * self.queries.heads);
        while done < count {
            // As few groups as possible, of about equal size.
            let left = count - done;
            // SAFETY: the caller guarantees all queries; each arm takes no more than are left.
            done += unsafe {
                match left.div_ceil(left.div_ceil(MAX_QUERIES)) {
                    6.. => self.group::<S, 6>(done),
                    5 => self.group::<S, 5>(done),
                    4 => self.group::<S, 4>(done),
                    3 => self.group::<S, 3>(done),
                    2 => self.group::<S, 2>(done),
                    _ => self.group::<S, 1>(done),
                }
            };
        }
    }
}

impl Attention<'_> {
    /// `G` queries from `first`; returns `G`.
    ///
    /// # Safety
    /// As [`attend_page`], the queries exist, and the CPU supports `S`.
    #[inline(always)]
    unsafe fn group<S: Simd, const G: usize>(&mut self, first: usize) -> usize {
        // SAFETY: the conditions are the same.
        unsafe {
            let mut group = [self.query(first); G];
            for g in 1..G {
                group[g] = self.query(first + g);
            }
            self.score::<S, G>(&group);
            let (panels, size) = (
                group[G - 1].positions.div_ceil(LANES),
                self.queries.partial_len(),
            );
            // Not a closure, which would not inherit the target features.
            for g in 0..G {
                let scores = &mut self.scores[g * PAGE..][..panels * LANES];
                let partial = &mut self.partials[(first + g) * size..][..2];
                [partial[0], partial[1]] = softmax(scores, group[g].positions);
            }
            self.sum_values::<S, G>(&group, first);
        }
        G
    }

    /// # Safety
    /// The storage of `q` still exists, and no thread writes the query.
    #[inline(always)]
    unsafe fn query(&self, i: usize) -> Query {
        let (at, positions) = self.queries.get(i);
        // SAFETY: the caller guarantees the query.
        let q = unsafe { self.q.slice(at, self.queries.head_dim).as_ptr() };
        let positions = positions.saturating_sub(self.start).min(PAGE);
        Query {
            q,
            positions,
            in_place: positions.min(self.tail.from.saturating_sub(self.start)),
        }
    }

    /// The page to attend to.
    #[inline(always)]
    fn page(&self) -> &Page {
        &self.pages[self.start / PAGE]
    }

    /// Page, and offset within it, of a position of the tail. `position` is relative to the attended page.
    #[inline(always)]
    fn tail_slot(&self, position: usize) -> (&Page, usize) {
        let slot = self.tail.slots[self.start + position - self.tail.from] as usize;
        (&self.pages[slot / PAGE], slot % PAGE)
    }

    /// Scaled products of the queries with all keys, two panels at once for few queries.
    ///
    /// # Safety
    /// As [`Self::group`].
    #[inline(always)]
    unsafe fn score<S: Simd, const G: usize>(&mut self, group: &[Query; G]) {
        let (mut panel, panels) = (0, self.scored_slots(group).div_ceil(LANES));
        // SAFETY: the caller guarantees queries and keys; panels beyond the last one are not touched.
        unsafe {
            for panel in 0..panels.min(PREFETCH_PANELS) {
                self.prefetch_keys::<S>(panel);
            }
            while G <= FEW && panel + 2 <= panels {
                self.score_panels::<S, G, 2>(group, panel, panels);
                panel += 2;
            }
            while panel < panels {
                self.score_panels::<S, G, 1>(group, panel, panels);
                panel += 1;
            }
            if !self.tail.slots.is_empty() {
                self.score_tail::<G>(group);
            }
        }
    }

    /// Number of slots of the page to score: all in-place positions, and on to the last slot of the tail in this page.
    #[inline(always)]
    fn scored_slots<const G: usize>(&self, group: &[Query; G]) -> usize {
        let in_place = group[G - 1].in_place;
        let page = self.start..self.start + PAGE;
        let here = |&&slot: &&u32| page.contains(&(slot as usize));
        let last = self.tail.slots.iter().rev().find(here);
        in_place.max(last.map_or(0, |&slot| slot as usize + 1 - self.start))
    }

    /// Moves the scores of the tail from its slots to its positions; computes those of slots in another page.
    ///
    /// # Safety
    /// As [`Self::group`], and the slots of this page are scored.
    #[inline(always)]
    unsafe fn score_tail<const G: usize>(&mut self, group: &[Query; G]) {
        for position in group[0].in_place..group[0].positions {
            let slot = self.tail.slots[self.start + position - self.tail.from] as usize;
            if slot / PAGE == self.start / PAGE {
                // A slot is never before its position, and later positions are in later slots: no score is overwritten
                // before it is moved.
                for g in 0..G {
                    self.scores[g * PAGE + position] = self.scores[g * PAGE + slot % PAGE];
                }
            } else {
                // SAFETY: the caller guarantees queries and keys.
                unsafe { self.score_elsewhere::<G>(group, position) };
            }
        }
    }

    /// Scores of a position of the tail that is in a slot of another page: the same operations in the same order as
    /// [`Self::score_panels`].
    ///
    /// # Safety
    /// As [`Self::group`].
    #[inline(never)]
    unsafe fn score_elsewhere<const G: usize>(&mut self, group: &[Query; G], position: usize) {
        let dim = self.queries.head_dim;
        let scale = 1.0 / (dim as f32).sqrt();
        let (page, at) = self.tail_slot(position);
        let key = page
            .at(self.keys + at / LANES * dim * LANES + at % LANES)
            .cast_const();
        for (g, query) in group.iter().enumerate() {
            let mut sum = 0.0f32;
            for d in 0..dim {
                // SAFETY: the caller guarantees query and key; the elements of a key are `LANES` apart.
                let (key, q) = unsafe { (*key.add(d * LANES), *query.q.add(d)) };
                sum = f16::from_bits(key).to_f32().mul_add(q, sum);
            }
            self.scores[g * PAGE + position] = sum * scale;
        }
    }

    /// Scores of `P` panels from `panel`, of `panels` in all.
    ///
    /// # Safety
    /// As [`Self::group`], and the panels exist.
    #[inline(always)]
    unsafe fn score_panels<S: Simd, const G: usize, const P: usize>(
        &mut self,
        group: &[Query; G],
        panel: usize,
        panels: usize,
    ) {
        let dim = self.queries.head_dim;
        // SAFETY: the caller guarantees queries and keys of these panels; `scores` holds all positions of a page.
        unsafe {
            for p in panel..panel + P {
                self.prefetch_values::<S>(p);
                if p + PREFETCH_PANELS < panels {
                    self.prefetch_keys::<S>(p + PREFETCH_PANELS);
                }
            }
            let keys = self
                .page()
                .at(self.keys)
                .add(panel * dim * LANES)
                .cast_const();
            let mut sums = [[S::splat(0.0); P]; G];
            for d in 0..dim {
                let mut key = [S::splat(0.0); P];
                for p in 0..P {
                    key[p] = S::load_f16(keys.add((p * dim + d) * LANES));
                }
                for g in 0..G {
                    let q = S::splat(*group[g].q.add(d));
                    for p in 0..P {
                        sums[g][p] = S::fma(key[p], q, sums[g][p]);
                    }
                }
            }
            let scale = S::splat(1.0 / (dim as f32).sqrt());
            for g in 0..G {
                let to = self.scores[g * PAGE + panel * LANES..][..P * LANES].as_mut_ptr();
                for p in 0..P {
                    S::store(to.add(p * LANES), S::mul(sums[g][p], scale));
                }
            }
        }
    }

    /// Prefetches a panel of keys.
    ///
    /// # Safety
    /// The CPU supports `S`.
    #[inline(always)]
    unsafe fn prefetch_keys<S: Simd>(&self, panel: usize) {
        let size = self.queries.head_dim * LANES;
        // SAFETY: the caller guarantees the instruction set; a prefetch never faults.
        unsafe { prefetch::<S>(self.page().at(self.keys).wrapping_add(panel * size), size) };
    }

    /// Prefetches the values of a panel's positions.
    ///
    /// # Safety
    /// The CPU supports `S`.
    #[inline(always)]
    unsafe fn prefetch_values<S: Simd>(&self, panel: usize) {
        for chunk in 0..self.queries.head_dim.div_ceil(LANES) {
            let at = (chunk * PAGE + panel * LANES) * LANES;
            // SAFETY: the caller guarantees the instruction set; a prefetch never faults.
            unsafe { prefetch::<S>(self.page().at(self.values).wrapping_add(at), LANES * LANES) };
        }
    }

    /// Weighted sums of the values, two chunks of dimensions at once for few queries.
    ///
    /// # Safety
    /// As [`Self::group`].
    #[inline(always)]
    unsafe fn sum_values<S: Simd, const G: usize>(&mut self, group: &[Query; G], first: usize) {
        let (mut chunk, chunks) = (0, self.queries.head_dim.div_ceil(LANES));
        // SAFETY: the caller guarantees the values; chunks beyond the last one are not touched.
        unsafe {
            while G <= FEW && chunk + 2 <= chunks {
                self.sum_chunks::<S, G, 2>(group, first, chunk);
                chunk += 2;
            }
            while chunk < chunks {
                self.sum_chunks::<S, G, 1>(group, first, chunk);
                chunk += 1;
            }
        }
    }

    /// Sums of `C` chunks of dimensions from `chunk`.
    ///
    /// # Safety
    /// As [`Self::group`], and the chunks exist.
    #[inline(always)]
    unsafe fn sum_chunks<S: Simd, const G: usize, const C: usize>(
        &mut self,
        group: &[Query; G],
        first: usize,
        chunk: usize,
    ) {
        let size = self.queries.partial_len();
        let weights = self.scores[..G * PAGE].as_ptr();
        // The other queries attend to at least the positions of the first one.
        let (common, max) = (group[0].in_place, group[G - 1].in_place);
        // SAFETY: the caller guarantees the values of all positions; `scores` holds a page, and partial results whole chunks.
        unsafe {
            let values = self
                .page()
                .at(self.values)
                .add(chunk * PAGE * LANES)
                .cast_const();
            let mut sums = [[S::splat(0.0); C]; G];
            for position in 0..common {
                let value = load_value::<S, C>(values, position);
                for g in 0..G {
                    let weight = S::splat(*weights.add(g * PAGE + position));
                    for c in 0..C {
                        sums[g][c] = S::fma(value[c], weight, sums[g][c]);
                    }
                }
            }
            for position in common..max {
                let value = load_value::<S, C>(values, position);
                for g in 0..G {
                    // Not a weight of 0 instead: the value may be infinite.
                    if position < group[g].in_place {
                        let weight = S::splat(*weights.add(g * PAGE + position));
                        for c in 0..C {
                            sums[g][c] = S::fma(value[c], weight, sums[g][c]);
                        }
                    }
                }
            }
            if !self.tail.slots.is_empty() {
                for position in common..group[0].positions {
                    let (page, at) = self.tail_slot(position);
                    let values = page.at(self.values).add(chunk * PAGE * LANES).cast_const();
                    let value = load_value::<S, C>(values, at);
                    for g in 0..G {
                        let weight = S::splat(*weights.add(g * PAGE + position));
                        for c in 0..C {
                            sums[g][c] = S::fma(value[c], weight, sums[g][c]);
                        }
                    }
                }
            }
            for g in 0..G {
                let to = self.partials[(first + g) * size + (1 + chunk) * LANES..][..C * LANES]
                    .as_mut_ptr();
                for c in 0..C {
                    S::store(to.add(c * LANES), sums[g][c]);
                }
            }
        }
    }
}

/// Prefetches `len` numbers from `start`, which need not exist.
///
/// # Safety
/// The CPU supports `S`.
#[inline(always)]
unsafe fn prefetch<S: Simd>(start: *const u16, len: usize) {
    for at in (0..len).step_by(CACHE_LINE / size_of::<u16>()) {
        // SAFETY: the caller guarantees the instruction set; a prefetch never faults.
        unsafe { S::prefetch(start.wrapping_add(at).cast()) };
    }
}

/// `C` chunks of the value at a position of a page.
///
/// # Safety
/// The CPU supports `S`, and the chunks and the position exist.
#[inline(always)]
unsafe fn load_value<S: Simd, const C: usize>(values: *const u16, at: usize) -> [S::F; C] {
    // SAFETY: the caller guarantees chunks and position.
    unsafe {
        let mut value = [S::splat(0.0); C];
        for c in 0..C {
            value[c] = S::load_f16(values.add((c * PAGE + at) * LANES));
        }
        value
    }
}

/// Turns scores into weights e^(score − max), and those from `positions` into 0; returns the max and the sum of the
/// weights.
#[inline(always)]
fn softmax(scores: &mut [f32], positions: usize) -> [f32; 2] {
    scores[positions..].fill(f32::NEG_INFINITY);
    let max = math::max(scores);
    let mut sums = [0.0f32; LANES];
    for panel in scores.as_chunks_mut::<LANES>().0 {
        for i in 0..LANES {
            panel[i] = exp(panel[i] - max);
            sums[i] += panel[i];
        }
    }
    [max, tree_sum(sums)]
}
