//! Queries over the positions of one page.

use super::{PAGE, Page, QUERIES, Queries, SCORES};
use crate::engine::kernels::math::{exp, tree_sum};
use crate::engine::kernels::{LANES, LINE, Level, Shared, level::Kernel, simd::Simd};
use half::f16;

/// Panels of keys by which they are asked for before they are needed.
const AHEAD: usize = 4;

/// So few queries that their sums would wait for the additions before. More than these are slower with two panels or
/// chunks at once, on AVX-512, too, where registers suffice.
const FEW: usize = 2;

/// Positions of a query whose keys and values do not lie in the slot of their number: the branch of a token tree that
/// leads to it. Its last entry is the query's own slot.
#[derive(Clone, Copy)]
pub struct Tail<'a> {
    /// Positions before this one lie in the slot of their number.
    pub from: usize,
    /// Slots of the positions from there on.
    pub slots: &'a [u32],
}

impl Tail<'_> {
    /// Every position lies in the slot of its number.
    pub const NONE: Self = Self {
        from: usize::MAX,
        slots: &[],
    };
}

/// Attention over the positions of one page.
pub struct Attention<'a> {
    pub queries: Queries,
    /// The queries' elements, already rotated.
    pub q: Shared<f32>,
    /// All pages of the cache.
    pub pages: &'a [Page],
    /// Position where the page to attend over begins.
    pub start: usize,
    pub tail: Tail<'a>,
    /// Where in the page the key-value head's keys begin, `[panel][head_dim][16 positions]`.
    pub keys: usize,
    /// Where its values begin, `[chunk of 16 dimensions][256 positions][16]`.
    pub values: usize,
    /// At least [`SCORES`] elements.
    pub scores: &'a mut [f32],
    /// What the page's positions come to, [`Queries::sums`] elements. Those of queries that attend to none are of no
    /// meaning.
    pub sums: &'a mut [f32],
}

/// Softmax over the page's positions, and the sums of values with its weights.
///
/// # Safety
/// The caller guarantees that the queries are there, that the pages hold keys and values of all their positions, and
/// that nothing writes any of them meanwhile.
pub unsafe fn attend(level: Level, attention: Attention) {
    assert!(attention.tail.slots.is_empty() || attention.queries.rows == 1);
    assert!(attention.queries.positions + attention.queries.rows > attention.start + 1);
    assert!(attention.scores.len() >= SCORES && attention.sums.len() >= attention.queries.sums());
    // SAFETY: the caller's.
    unsafe { level.run(attention) }
}

/// Where one query lies, and how many positions of the page it attends to.
#[derive(Clone, Copy)]
struct Query {
    q: *const f32,
    positions: usize,
    /// How many of them lie in the slots of their number.
    in_place: usize,
}

impl Kernel for Attention<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        let (mut done, count) = (0, self.queries.rows * self.queries.heads);
        while done < count {
            // As few groups as can be, and those of about one size.
            let left = count - done;
            // SAFETY: the caller's.
            done += unsafe {
                match left.div_ceil(left.div_ceil(QUERIES)) {
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
    #[inline(always)]
    unsafe fn group<S: Simd, const G: usize>(&mut self, first: usize) -> usize {
        // SAFETY: the caller's.
        unsafe {
            let mut group = [self.query(first); G];
            for g in 1..G {
                group[g] = self.query(first + g);
            }
            self.score::<S, G>(&group);
            let (panels, size) = (group[G - 1].positions.div_ceil(LANES), self.queries.size());
            // Not a closure: those do not get the level's instructions.
            for g in 0..G {
                let scores = &mut self.scores[g * PAGE..][..panels * LANES];
                let sums = &mut self.sums[(first + g) * size..][..2];
                [sums[0], sums[1]] = softmax(scores, group[g].positions);
            }
            self.gather::<S, G>(&group, first);
        }
        G
    }

    #[inline(always)]
    unsafe fn query(&self, i: usize) -> Query {
        let (at, positions) = self.queries.get(i);
        // SAFETY: the caller's.
        let q = unsafe { self.q.slice(at, self.queries.head_dim).as_ptr() };
        let positions = positions.saturating_sub(self.start).min(PAGE);
        Query {
            q,
            positions,
            in_place: positions.min(self.tail.from.saturating_sub(self.start)),
        }
    }

    /// The page itself.
    #[inline(always)]
    fn page(&self) -> &Page {
        &self.pages[self.start / PAGE]
    }

    /// Page and place within it of a position of the tail, given within the page that is attended over.
    #[inline(always)]
    fn tail_slot(&self, position: usize) -> (&Page, usize) {
        let slot = self.tail.slots[self.start + position - self.tail.from] as usize;
        (&self.pages[slot / PAGE], slot % PAGE)
    }

    /// Scaled products of the queries with all keys, two panels at once for few queries.
    #[inline(always)]
    unsafe fn score<S: Simd, const G: usize>(&mut self, group: &[Query; G]) {
        let (mut panel, panels) = (0, group[G - 1].in_place.div_ceil(LANES));
        // SAFETY: the caller's.
        unsafe {
            for panel in 0..panels.min(AHEAD) {
                self.ask_for_keys::<S>(panel);
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

    /// As [`Self::score_panels`] for the positions of the tail, one at a time: the same operations in the same order.
    #[inline(always)]
    unsafe fn score_tail<const G: usize>(&mut self, group: &[Query; G]) {
        let dim = self.queries.head_dim;
        let scale = 1.0 / (dim as f32).sqrt();
        for position in group[0].in_place..group[0].positions {
            let (page, at) = self.tail_slot(position);
            let key = page
                .at(self.keys + at / LANES * dim * LANES + at % LANES)
                .cast_const();
            for (g, query) in group.iter().enumerate() {
                let mut sum = 0.0f32;
                for d in 0..dim {
                    // SAFETY: the caller guarantees query and key, whose elements lie `LANES` apart.
                    let (key, q) = unsafe { (*key.add(d * LANES), *query.q.add(d)) };
                    sum = f16::from_bits(key).to_f32().mul_add(q, sum);
                }
                self.scores[g * PAGE + position] = sum * scale;
            }
        }
    }

    #[inline(always)]
    unsafe fn score_panels<S: Simd, const G: usize, const P: usize>(
        &mut self,
        group: &[Query; G],
        panel: usize,
        panels: usize,
    ) {
        let dim = self.queries.head_dim;
        // SAFETY: the page holds the positions, and `scores` has room for all of a page.
        unsafe {
            for p in panel..panel + P {
                self.ask_for_values::<S>(p);
                if p + AHEAD < panels {
                    self.ask_for_keys::<S>(p + AHEAD);
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

    #[inline(always)]
    unsafe fn ask_for_keys<S: Simd>(&self, panel: usize) {
        let size = self.queries.head_dim * LANES;
        // SAFETY: what is asked for need not be there.
        unsafe { ask::<S>(self.page().at(self.keys).wrapping_add(panel * size), size) };
    }

    /// Asks for the values of a panel's positions.
    #[inline(always)]
    unsafe fn ask_for_values<S: Simd>(&self, panel: usize) {
        for chunk in 0..self.queries.head_dim.div_ceil(LANES) {
            let at = (chunk * PAGE + panel * LANES) * LANES;
            // SAFETY: what is asked for need not be there.
            unsafe { ask::<S>(self.page().at(self.values).wrapping_add(at), LANES * LANES) };
        }
    }

    /// Sums of the values with the weights, two chunks of dimensions at once for few queries.
    #[inline(always)]
    unsafe fn gather<S: Simd, const G: usize>(&mut self, group: &[Query; G], first: usize) {
        let (mut chunk, chunks) = (0, self.queries.head_dim.div_ceil(LANES));
        // SAFETY: the caller's.
        unsafe {
            while G <= FEW && chunk + 2 <= chunks {
                self.gather_chunks::<S, G, 2>(group, first, chunk);
                chunk += 2;
            }
            while chunk < chunks {
                self.gather_chunks::<S, G, 1>(group, first, chunk);
                chunk += 1;
            }
        }
    }

    #[inline(always)]
    unsafe fn gather_chunks<S: Simd, const G: usize, const C: usize>(
        &mut self,
        group: &[Query; G],
        first: usize,
        chunk: usize,
    ) {
        let size = self.queries.size();
        let weights = self.scores[..G * PAGE].as_ptr();
        // What the first query attends to, all others do, too.
        let (common, most) = (group[0].in_place, group[G - 1].in_place);
        // SAFETY: the page holds the positions, and sums have room for whole chunks.
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
            for position in common..most {
                let value = load_value::<S, C>(values, position);
                for g in 0..G {
                    // A weight of 0 would not do: the value may be infinite.
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
                let to =
                    self.sums[(first + g) * size + (1 + chunk) * LANES..][..C * LANES].as_mut_ptr();
                for c in 0..C {
                    S::store(to.add(c * LANES), sums[g][c]);
                }
            }
        }
    }
}

/// Asks for `len` numbers from `start`.
#[inline(always)]
unsafe fn ask<S: Simd>(start: *const u16, len: usize) {
    for at in (0..len).step_by(LINE / size_of::<u16>()) {
        // SAFETY: what is asked for need not be there.
        unsafe { S::prefetch(start.wrapping_add(at).cast()) };
    }
}

/// `C` chunks of the value at a position of a page.
#[inline(always)]
unsafe fn load_value<S: Simd, const C: usize>(values: *const u16, at: usize) -> [S::F; C] {
    // SAFETY: the caller's.
    unsafe {
        let mut value = [S::splat(0.0); C];
        for c in 0..C {
            value[c] = S::load_f16(values.add((c * PAGE + at) * LANES));
        }
        value
    }
}

/// Scores become weights e^(score − greatest), those from `positions` on 0; returns the greatest and the weights' sum.
#[inline(always)]
fn softmax(scores: &mut [f32], positions: usize) -> [f32; 2] {
    scores[positions..].fill(f32::NEG_INFINITY);
    let mut most = [f32::NEG_INFINITY; LANES];
    for panel in scores.as_chunks::<LANES>().0 {
        for i in 0..LANES {
            most[i] = if panel[i] > most[i] {
                panel[i]
            } else {
                most[i]
            };
        }
    }
    let most = most
        .iter()
        .fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
    let mut sums = [0.0f32; LANES];
    for panel in scores.as_chunks_mut::<LANES>().0 {
        for i in 0..LANES {
            panel[i] = exp(panel[i] - most);
            sums[i] += panel[i];
        }
    }
    [most, tree_sum(sums)]
}
