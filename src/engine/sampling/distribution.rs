//! The distribution that remains after filtering logits.

use super::{Sampling, noise, softmax};
use crate::engine::{Error, Result};
use std::cmp::Ordering;
use std::sync::Arc;

/// A probability distribution over token ids. It owns its buffers, so reusing one allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct Distribution {
    /// `exp((logit - max) / temperature)` of every column.
    weights: Vec<f32>,
    /// Columns that survived filtering, likeliest first; unused if `filtered` is off.
    kept: Vec<u32>,
    filtered: bool,
    /// Sum of the surviving weights.
    total: f32,
    /// Column of the max logit; the lowest column on ties.
    best: usize,
    vocab: Option<Arc<VocabSubset>>,
}

/// The part of the vocabulary that drafts are sampled from.
#[derive(Debug, Clone)]
pub struct VocabSubset {
    /// Token id of each column.
    pub ids: Vec<u32>,
    /// Column of each token id; `u32::MAX` for tokens outside the subset.
    columns: Vec<u32>,
}

impl VocabSubset {
    /// Creates the subset `ids` of a vocabulary of `size` tokens.
    pub fn new(ids: Vec<u32>, size: usize) -> Self {
        let mut columns = vec![u32::MAX; size];
        for (column, &id) in ids.iter().enumerate() {
            if let Some(slot) = columns.get_mut(id as usize) {
                *slot = column as u32;
            }
        }
        Self { ids, columns }
    }

    /// Whether it has this token.
    pub fn contains(&self, id: u32) -> bool {
        let column = self.columns.get(id as usize);
        column.is_some_and(|&column| column != u32::MAX)
    }

    /// Adds a token of the vocabulary that it does not have.
    pub fn push(&mut self, id: u32) {
        if let Some(column) = self.columns.get_mut(id as usize) {
            *column = self.ids.len() as u32;
            self.ids.push(id);
        }
    }

    /// Removes all tokens but the first `len`.
    pub fn truncate(&mut self, len: usize) {
        for id in self.ids.drain(len.min(self.ids.len())..) {
            self.columns[id as usize] = u32::MAX;
        }
    }
}

impl Distribution {
    /// Gives up its part of the vocabulary; its weights have no meaning until it is filled again.
    pub fn release_vocab(&mut self) {
        self.vocab = None;
    }

    /// Computes the distribution of `logits`, one per token of `vocab`, or of the whole vocabulary if `None`. Greedy
    /// sampling uses the plain softmax, so that probabilities still express the model's confidence.
    ///
    /// # Errors
    ///
    /// If the max logit is not finite.
    pub fn fill(
        &mut self,
        logits: &[f32],
        vocab: Option<&Arc<VocabSubset>>,
        sampling: &Sampling,
    ) -> Result<()> {
        let max = softmax::maximum(logits);
        if !max.is_finite() {
            return Err(Error::Model(
                "the model returned no usable logit: its weights are damaged, or no-repeat-ngram forbids every token"
                    .into(),
            ));
        }
        self.vocab = vocab.cloned();
        self.best = logits.iter().position(|&x| x == max).unwrap_or(0);
        let scale = if sampling.greedy() {
            1.0
        } else {
            1.0 / sampling.temperature
        };
        self.total = softmax::exponentials(logits, max, scale, &mut self.weights);
        self.filtered = !sampling.greedy() && sampling.filters(logits.len());
        if self.filtered {
            self.filter(sampling);
        }
        Ok(())
    }

    /// Applies top-k, then top-p to the remaining tokens, then min-p, without sorting the whole vocabulary.
    fn filter(&mut self, sampling: &Sampling) {
        let columns = self.weights.len();
        // Tokens below this weight cannot be in the nucleus: even V of them do not add up to 1 - top_p.
        let floor = if sampling.top_k == 0 {
            self.total * (1.0 - sampling.top_p) / columns as f32 * 0.99
        } else {
            0.0
        };
        let weights = &self.weights;
        self.kept.clear();
        self.kept.reserve(columns);
        self.kept
            .extend((0..columns as u32).filter(|&c| weights[c as usize] >= floor));
        let likelier = |a: &u32, b: &u32| by_weight(weights, *a, *b);
        if (1..self.kept.len()).contains(&sampling.top_k) {
            self.kept.select_nth_unstable_by(sampling.top_k, likelier);
            self.kept.truncate(sampling.top_k);
            self.total = self.kept.iter().map(|&c| weights[c as usize]).sum();
        }
        let nucleus = self.sort_nucleus(sampling.top_p);
        self.kept.truncate(nucleus);
        let weights = &self.weights;
        let likely = self
            .kept
            .partition_point(|&c| weights[c as usize] >= sampling.min_p);
        self.kept.truncate(likely.max(1));
        self.total = self.kept.iter().map(|&c| weights[c as usize]).sum();
    }

    /// Sorts the nucleus of `top_p` to the front of `kept`, likeliest first, and returns its size.
    fn sort_nucleus(&mut self, top_p: f32) -> usize {
        let weights = &self.weights;
        let goal = if top_p < 1.0 {
            self.total * top_p
        } else {
            f32::INFINITY
        };
        let (mut sorted, mut chunk, mut sum) = (0, 64, 0.0);
        while sorted < self.kept.len() {
            let rest = &mut self.kept[sorted..];
            let size = chunk.min(rest.len());
            if size < rest.len() {
                rest.select_nth_unstable_by(size, |a, b| by_weight(weights, *a, *b));
            }
            rest[..size].sort_unstable_by(|a, b| by_weight(weights, *a, *b));
            for (i, &column) in rest[..size].iter().enumerate() {
                sum += weights[column as usize];
                if sum >= goal {
                    return sorted + i + 1;
                }
            }
            sorted += size;
            chunk *= 4;
        }
        sorted
    }

    /// The token with the largest logit.
    pub fn argmax(&self) -> u32 {
        self.id(self.best)
    }

    /// Probability of a token; 0 if it was filtered out.
    pub fn probability(&self, id: u32) -> f32 {
        let Some(column) = self.column(id) else {
            return 0.0;
        };
        if self.filtered && !self.kept.contains(&(column as u32)) {
            return 0.0;
        }
        self.weights[column] / self.total
    }

    /// The argmax of log-probability plus Gumbel noise over the surviving tokens. This is the Gumbel-max trick: a
    /// sample from the distribution, determined by the noise.
    pub fn gumbel_argmax(&self, noise: noise::PositionNoise) -> u32 {
        let (mut best, mut best_score) = (self.best, f64::NEG_INFINITY);
        // A token of weight w can only win if 1 - u ≤ w · e^-score, since gumbel(u) ≥ x implies 1 - u ≤ e^-x. This
        // skips the logarithms of most tokens.
        let mut reach = f64::INFINITY;
        self.each(|column, weight| {
            let id = self.id(column);
            let uniform = noise.uniform(id);
            if weight > 0.0 && 1.0 - uniform <= f64::from(weight) * reach * 1.000_001 {
                let score = f64::from(weight).ln() + noise::gumbel(uniform);
                if score > best_score || (score == best_score && id < self.id(best)) {
                    (best, best_score, reach) = (column, score, (-score).exp());
                }
            }
        });
        self.id(best)
    }

    /// Overwrites `out` with up to `n` tokens with the largest log-probability plus Gumbel noise, best first: a sample
    /// without replacement (Gumbel-top-k; Kool et al., arXiv 1903.06059) that starts with [`Self::gumbel_argmax`].
    /// Without noise, the likeliest tokens, starting with [`Self::argmax`].
    pub fn best(&self, n: usize, noise: Option<noise::PositionNoise>, out: &mut Vec<u32>) {
        out.clear();
        if n == 0 {
            return;
        }
        // Without an allocation for the few siblings of most drafts.
        let (mut few, mut many) = ([(0f64, 0usize); 8], Vec::new());
        let best = match few.get_mut(..n) {
            Some(few) => few,
            None => {
                many.resize(n, (0.0, 0));
                &mut many[..]
            }
        };
        let mut len = 0;
        let mut reach = f64::INFINITY;
        self.each(|column, weight| {
            let score = match noise {
                _ if weight <= 0.0 => return,
                // After rounding, the max may share its weight with a smaller logit.
                None if column == self.best => f64::INFINITY,
                None => f64::from(weight),
                Some(noise) => {
                    let uniform = noise.uniform(self.id(column));
                    // As in `gumbel_argmax`, for the worst token kept so far.
                    if 1.0 - uniform > f64::from(weight) * reach * 1.000_001 {
                        return;
                    }
                    f64::from(weight).ln() + noise::gumbel(uniform)
                }
            };
            let at = best[..len].partition_point(|&(other, kept)| {
                other > score || (other == score && self.id(kept) < self.id(column))
            });
            if at < n {
                best.copy_within(at..len.min(n - 1), at + 1);
                best[at] = (score, column);
                len = (len + 1).min(n);
                if len == n {
                    reach = (-best[n - 1].0).exp();
                }
            }
        });
        out.extend(best[..len].iter().map(|&(_, column)| self.id(column)));
    }

    /// How many tokens come before `id` in the order of [`Self::best`]; `None` if there are `max` or more, or if `id` was
    /// filtered out.
    pub fn rank(&self, id: u32, noise: Option<noise::PositionNoise>, max: usize) -> Option<usize> {
        let mut best = Vec::new();
        self.best(max, noise, &mut best);
        best.iter().position(|&other| other == id)
    }

    /// Calls `f` with the id and probability of every surviving token.
    pub(super) fn each_probability(&self, mut f: impl FnMut(u32, f64)) {
        let total = f64::from(self.total);
        self.each(|column, weight| f(self.id(column), f64::from(weight) / total));
    }

    /// The first token at which the cumulative probability exceeds `uniform`.
    pub fn inverse_cdf(&self, uniform: f64) -> u32 {
        self.walk(uniform, f64::from(self.total), |_, weight| {
            f64::from(weight)
        })
    }

    /// A sample from the normalised residual distribution `max(p - q, 0)` (Leviathan et al., section 2.3), with `self`
    /// as p and `draft` as q. If p exceeds q nowhere, a sample from p.
    pub fn residual(&self, draft: &Distribution, uniform: f64) -> u32 {
        let excess = |column: usize, weight: f32| {
            (f64::from(weight / self.total) - f64::from(draft.probability(self.id(column))))
                .max(0.0)
        };
        let mut sum = 0.0;
        self.each(|column, weight| sum += excess(column, weight));
        if sum > 0.0 {
            self.walk(uniform, sum, excess)
        } else {
            self.inverse_cdf(uniform)
        }
    }

    fn walk(&self, uniform: f64, total: f64, share: impl Fn(usize, f32) -> f64) -> u32 {
        let (mut sum, mut found, mut last) = (0.0, None, self.best);
        self.each(|column, weight| {
            let part = share(column, weight);
            if found.is_none() && part > 0.0 {
                sum += part;
                last = column;
                if sum > uniform * total {
                    found = Some(column);
                }
            }
        });
        self.id(found.unwrap_or(last))
    }

    /// The `n` likeliest tokens with their probabilities.
    pub fn top(&self, n: usize) -> Vec<(u32, f32)> {
        let mut top: Vec<(usize, f32)> = Vec::with_capacity(n + 1);
        self.each(|column, weight| {
            if weight > 0.0
                && (top.len() < n || top.last().is_some_and(|&(_, least)| weight > least))
            {
                let at = top.partition_point(|&(_, other)| other >= weight);
                top.insert(at, (column, weight));
                top.truncate(n);
            }
        });
        top.into_iter()
            .map(|(column, weight)| (self.id(column), weight / self.total))
            .collect()
    }

    /// Entropy in nats.
    pub fn entropy(&self) -> f32 {
        let mut entropy = 0.0;
        self.each(|_, weight| {
            let p = f64::from(weight / self.total);
            entropy -= if p > 0.0 { p * p.ln() } else { 0.0 };
        });
        entropy as f32
    }

    /// Calls `f` with the column and weight of every surviving token.
    fn each(&self, mut f: impl FnMut(usize, f32)) {
        if self.filtered {
            self.kept
                .iter()
                .for_each(|&column| f(column as usize, self.weights[column as usize]));
        } else {
            self.weights
                .iter()
                .enumerate()
                .for_each(|(column, &weight)| f(column, weight));
        }
    }

    fn id(&self, column: usize) -> u32 {
        self.vocab
            .as_ref()
            .map_or(column as u32, |vocab| vocab.ids[column])
    }

    fn column(&self, id: u32) -> Option<usize> {
        let column = match &self.vocab {
            None => id as usize,
            Some(vocab) => *vocab.columns.get(id as usize)? as usize,
        };
        (column < self.weights.len()).then_some(column)
    }
}

/// Orders likelier columns first, and lower columns first on ties.
fn by_weight(weights: &[f32], a: u32, b: u32) -> Ordering {
    weights[b as usize]
        .total_cmp(&weights[a as usize])
        .then(a.cmp(&b))
}

#[cfg(test)]
mod tests;
