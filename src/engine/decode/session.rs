//! What lasts from round to round and from turn to turn.

use crate::engine::cache::KvCache;
use crate::engine::config::LlamaConfig;
use crate::engine::sampling::History;

/// The tokens so far and the cache that holds their keys and values.
///
/// Between rounds every position but the last token's may be computed already; the last token waits for the next
/// round. Layers can be computed to different positions: early-exit decoding leaves the upper ones behind, and a later
/// full-depth round catches up.
pub struct Session {
    pub(super) history: History,
    pub(super) cache: KvCache,
    /// For each layer, how many positions of the history its keys and values cover.
    filled: Vec<usize>,
}

impl Session {
    /// An empty session over `cache`, for a model of that shape.
    pub fn new(cache: KvCache, config: &LlamaConfig) -> Self {
        Self {
            history: History::new(config.vocab_size),
            cache,
            filled: vec![0; config.num_layers],
        }
    }

    /// All tokens: prompt and generated.
    pub fn tokens(&self) -> &[u32] {
        self.history.tokens()
    }

    /// Makes `ids` the tokens, keeping what the cache holds of their common prefix. Returns the length of that prefix as
    /// far as the first `depth` layers cover it.
    pub fn restart(&mut self, ids: &[u32], depth: usize) -> usize {
        let common = self
            .tokens()
            .iter()
            .zip(ids)
            .take_while(|(a, b)| a == b)
            .count();
        self.truncate(common);
        ids[common..].iter().for_each(|&id| self.history.push(id));
        self.filled_to(depth).min(ids.len().saturating_sub(1))
    }

    /// Forgets all tokens from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.history.truncate(len);
        self.filled
            .iter_mut()
            .for_each(|filled| *filled = (*filled).min(len));
        self.cache
            .truncate(self.filled.iter().copied().max().unwrap_or(0));
    }

    /// How many positions all of the first `depth` layers cover.
    pub(super) fn filled_to(&self, depth: usize) -> usize {
        self.filled[..depth].iter().copied().min().unwrap_or(0)
    }

    /// Notes that all layers cover the first `len` positions and nothing behind them is worth keeping.
    pub(super) fn keep_filled(&mut self, len: usize) {
        self.filled.fill(len);
        self.cache.truncate(len);
    }

    /// Notes that `layers` now cover the first `len` positions.
    pub(super) fn mark_filled(&mut self, layers: std::ops::Range<usize>, len: usize) {
        self.filled[layers].fill(len);
    }
}
