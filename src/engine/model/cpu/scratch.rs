//! Buffers of passes.

use super::Weights;
use super::cache::Pages;
use super::layout::Layout;
use super::pass::ForwardPass;
use crate::engine::kernels::{Activations, Queries, SCORES, Shared};

/// Buffers that outlive a pass, so that a pass allocates nothing.
#[derive(Default)]
pub struct Scratch {
    /// Normalised input of attention, of the feed-forward network, or of the head.
    pub input: Activations,
    /// Both normalised inputs of an exit adapter.
    pub joined: Activations,
    /// Output of attention.
    attended: Activations,
    /// Hidden state of the feed-forward network.
    inner: Activations,
    q: Vec<f32>,
    /// Scores of attention, for each worker.
    scores: Vec<f32>,
    /// Partial results of attention.
    partials: Vec<f32>,
}

impl Scratch {
    /// A pass of the rows of `layout` over the residual stream `hidden`, with keys and values in `cache`. The buffers
    /// must not be used for anything else until it ends.
    pub fn pass<'a>(
        &mut self,
        weights: &'a Weights,
        layout: &'a Layout,
        hidden: &mut [f32],
        cache: &'a Pages,
    ) -> ForwardPass<'a> {
        let (config, threads, n) = (&weights.config, weights.pool.threads(), layout.rows.len());
        let group = config.num_heads / config.num_kv_heads;
        let partial_slot_len = Queries::max_partials(group, config.head_dim, layout.positions());
        let partial_slots = 4 * threads;
        let queries = config.num_heads * config.head_dim;
        grow(&mut self.q, n * queries);
        grow(&mut self.scores, threads * SCORES);
        grow(&mut self.partials, partial_slots * partial_slot_len);
        ForwardPass {
            config,
            isa: weights.isa,
            layout,
            hidden: Shared::new(hidden),
            input: self.input.view(n, config.hidden_size),
            attended: self.attended.view(n, queries),
            inner: self.inner.view(n, config.intermediate_size),
            q: Shared::new(&mut self.q),
            scores: Shared::new(&mut self.scores),
            partials: Shared::new(&mut self.partials),
            partial_slots,
            partial_slot_len,
            cache,
        }
    }
}

pub fn grow(buffer: &mut Vec<f32>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
}
