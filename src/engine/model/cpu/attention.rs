//! Divides the attention of a pass among the workers.

use super::layout::Block;
use super::pass::{ForwardPass, quantise_for};
use crate::engine::kernels::{
    Attention, BLOCK, Combine, PAGE, Packed, Queries, SCORES, Tail, Worker, attend_page, combine,
};

impl ForwardPass<'_> {
    /// Attention of every row, quantised if `weights` require that.
    ///
    /// # Safety
    /// As [`ForwardPass::layer`], and an earlier phase has written queries, keys and values.
    pub(super) unsafe fn attention(&self, worker: &Worker, layer: usize, weights: &Packed) {
        let (kv_heads, pages) = (self.config.num_kv_heads, self.pages());
        let blocks = self.layout.blocks.len();
        let items = kv_heads * blocks;
        // Items of one key-value head are adjacent, so that a thread reads the head once.
        let queries = |item: usize| self.queries(item / blocks, self.layout.blocks[item % blocks]);
        // SAFETY: each item, or page of an item, is processed by one worker; an earlier phase wrote the cache.
        unsafe {
            if pages > 1 && items < self.partial_slots {
                worker.parallel_for(pages * items, 1, |units| {
                    units.for_each(|unit| {
                        self.attend_one(
                            worker,
                            layer,
                            queries(unit % items),
                            unit / items,
                            unit % items,
                        )
                    });
                });
                worker.parallel_for(items, 1, |items| {
                    items.for_each(|item| self.combine_pages(weights, queries(item), item))
                });
            } else {
                worker.parallel_for(items, 1, |items| {
                    for (head, queries) in items.map(queries) {
                        for page in 0..pages {
                            self.attend_one(worker, layer, (head, queries), page, worker.index());
                        }
                        self.combine_pages(weights, (head, queries), worker.index());
                    }
                });
            }
            if !weights.is_dense() && !(self.heads() * self.config.head_dim).is_multiple_of(BLOCK) {
                worker.parallel_for(self.n(), 1, |rows| {
                    rows.for_each(|row| quantise_for(&[weights], self.isa, &self.attended, row));
                });
            }
        }
    }

    /// Query heads per key-value head.
    fn heads(&self) -> usize {
        self.config.num_heads / self.config.num_kv_heads
    }

    /// Pages that the rows reach.
    fn pages(&self) -> usize {
        let last = self.layout.rows.iter().map(|row| row.position).max();
        (last.unwrap_or(0) + 1).div_ceil(PAGE)
    }

    /// A key-value head with its queries in the rows of a block.
    fn queries(&self, head: usize, block: Block) -> (usize, Queries) {
        let (heads, head_dim, stride) = (self.heads(), self.config.head_dim, self.attended.cols);
        let queries = Queries {
            first: block.row * stride + head * heads * head_dim,
            stride,
            rows: block.rows,
            heads,
            head_dim,
            positions: self.layout.rows[block.row].position + 1,
        };
        (head, queries)
    }

    /// The branch that leads to the first row of these queries.
    fn tail(&self, queries: &Queries) -> Tail<'_> {
        let row = &self.layout.rows[queries.first / queries.stride];
        match row.tail.is_empty() {
            true => Tail::NONE,
            false => Tail {
                from: self.layout.kept,
                slots: &self.layout.tails[row.tail.clone()],
            },
        }
    }

    /// Attention over one page, if the queries reach it, into a slot of the partial results.
    ///
    /// # Safety
    /// As [`Self::attention`], and no other worker uses that page of the slot in this phase.
    unsafe fn attend_one(
        &self,
        worker: &Worker,
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
        let size = queries.partials();
        // SAFETY: the scores belong to this worker, the caller guarantees the same for the partial results, and no
        // worker writes queries or cache in this phase.
        unsafe {
            let scores = self.scores.slice(worker.index() * SCORES, SCORES);
            let partials = self
                .partials
                .slice(slot * self.partial_slot_len + page * size, size);
            attend_page(
                self.isa,
                Attention {
                    queries,
                    q: self.q,
                    pages: self.cache.pages(),
                    start,
                    tail: self.tail(&queries),
                    keys,
                    values,
                    scores,
                    partials,
                },
            );
        }
    }

    /// Results of queries from a slot of the partial results.
    ///
    /// # Safety
    /// As [`Self::attention`]; the slot was filled by this worker or in an earlier phase, and no other worker combines the
    /// same queries.
    unsafe fn combine_pages(
        &self,
        weights: &Packed,
        (head, queries): (usize, Queries),
        slot: usize,
    ) {
        let width = queries.heads * queries.head_dim;
        // SAFETY: the caller guarantees the partial results and exclusive use of these rows' part for the head.
        unsafe {
            let partials = self
                .partials
                .slice(slot * self.partial_slot_len, self.partial_slot_len);
            combine(
                self.isa,
                Combine {
                    queries,
                    partials,
                    out: self.attended.dense,
                },
            );
            if !weights.is_dense() && width.is_multiple_of(BLOCK) {
                let row = queries.first / queries.stride;
                for row in row..row + queries.rows {
                    self.attended
                        .quantise(self.isa, row, head * width, (head + 1) * width);
                }
            }
        }
    }
}
