//! Attention in a pass of rows: what it is shared out by.

use super::pass::{Block, Pass, quantise_for};
use crate::engine::kernels::{
    Attention, BLOCK, Crew, Merge, PAGE, Packed, Queries, SCORES, Tail, attend, merge,
};

impl Pass<'_> {
    /// Attention of every row, in the form that `weights` want.
    pub(super) unsafe fn attention(&self, crew: &Crew, layer: usize, weights: &Packed) {
        let (kv_heads, pages) = (self.config.num_kv_heads, self.pages());
        let blocks = self.blocks.len();
        let items = kv_heads * blocks;
        // Items of one key-value head follow each other, so that a thread reads it once.
        let queries = |item: usize| self.queries(item / blocks, self.blocks[item % blocks]);
        // SAFETY: items, or pages of items, are shared out, and the cache was written in the phase before.
        unsafe {
            if pages > 1 && items < self.slots {
                crew.share(pages * items, 1, |units| {
                    units.for_each(|unit| {
                        self.attend(
                            crew,
                            layer,
                            queries(unit % items),
                            unit / items,
                            unit % items,
                        )
                    });
                });
                crew.share(items, 1, |items| {
                    items.for_each(|item| self.merge(weights, queries(item), item))
                });
            } else {
                crew.share(items, 1, |items| {
                    for (head, queries) in items.map(queries) {
                        for page in 0..pages {
                            self.attend(crew, layer, (head, queries), page, crew.member());
                        }
                        self.merge(weights, (head, queries), crew.member());
                    }
                });
            }
            if !weights.is_dense() && !(self.heads() * self.config.head_dim).is_multiple_of(BLOCK) {
                crew.share(self.n(), 1, |rows| {
                    rows.for_each(|row| quantise_for(&[weights], self.level, &self.attended, row));
                });
            }
        }
    }

    /// Query heads for each key-value head.
    fn heads(&self) -> usize {
        self.config.num_heads / self.config.num_kv_heads
    }

    /// Pages that the rows reach.
    fn pages(&self) -> usize {
        let last = self.rows.iter().map(|row| row.position).max();
        (last.unwrap_or(0) + 1).div_ceil(PAGE)
    }

    /// Those of a key-value head, of the rows of a block.
    fn queries(&self, head: usize, block: Block) -> (usize, Queries) {
        let (heads, head_dim, stride) = (self.heads(), self.config.head_dim, self.attended.cols);
        let queries = Queries {
            first: block.row * stride + head * heads * head_dim,
            stride,
            rows: block.rows,
            heads,
            head_dim,
            positions: self.rows[block.row].position + 1,
        };
        (head, queries)
    }

    /// The branch that leads to the first row of some queries.
    fn tail(&self, queries: &Queries) -> Tail<'_> {
        let row = &self.rows[queries.first / queries.stride];
        match row.tail.is_empty() {
            true => Tail::NONE,
            false => Tail {
                from: self.kept,
                slots: &self.tails[row.tail.clone()],
            },
        }
    }

    /// Attention over one page, if the queries reach it, to a slot of the sums.
    unsafe fn attend(
        &self,
        crew: &Crew,
        layer: usize,
        (head, queries): (usize, Queries),
        page: usize,
        slot: usize,
    ) {
        let start = page * PAGE;
        if queries.positions + queries.rows <= start + 1 {
            return;
        }
        let [keys, values] = self.cache.head(layer, head);
        let size = queries.sums();
        // SAFETY: the caller's.
        unsafe {
            let scores = self.scores.slice(crew.member() * SCORES, SCORES);
            let sums = self.sums.slice(slot * self.slot_size + page * size, size);
            attend(
                self.level,
                Attention {
                    queries,
                    q: self.q,
                    pages: self.cache.pages(),
                    start,
                    tail: self.tail(&queries),
                    keys,
                    values,
                    scores,
                    sums,
                },
            );
        }
    }

    /// Results of queries from a slot of the sums.
    unsafe fn merge(&self, weights: &Packed, (head, queries): (usize, Queries), slot: usize) {
        let width = queries.heads * queries.head_dim;
        // SAFETY: the caller's.
        unsafe {
            let sums = self.sums.slice(slot * self.slot_size, self.slot_size);
            merge(
                self.level,
                Merge {
                    queries,
                    sums,
                    out: self.attended.dense,
                },
            );
            if !weights.is_dense() && width.is_multiple_of(BLOCK) {
                let row = queries.first / queries.stride;
                for row in row..row + queries.rows {
                    self.attended
                        .quantise(self.level, row, head * width, (head + 1) * width);
                }
            }
        }
    }
}
