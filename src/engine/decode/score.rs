//! Log-probabilities of a given text.

use super::decoder::{Decoder, poll};
use super::{Observer, Phase, Session};
use crate::engine::model::{Readout, Row};
use crate::engine::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Max logits held at once: 64 MB.
const MAX_LOGITS: usize = 16 << 20;

/// The natural log-probability of one token of a text given the tokens before it, from the raw logits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenScore {
    /// Token id.
    pub id: u32,
    /// Its log-probability.
    pub logprob: f32,
    /// Whether greedy decoding would have chosen it.
    pub is_argmax: bool,
    /// The likeliest tokens in descending order, as many as requested.
    pub top: Vec<(u32, f32)>,
}

impl Decoder {
    /// Scores the tokens at `positions` of `tokens` after `exit_layer` layers (`None` for all), and lists `top`
    /// alternatives for each. `tokens` replace the session's tokens, and their cached prefix is reused. Holds at most
    /// 16 Mi logits at once.
    ///
    /// # Errors
    /// If there are no tokens, more than the context holds, or unknown ones; if `positions` start before 1 or end after
    /// the tokens; if the model has no such exit layer; or if the observer cancels.
    pub fn score(
        &mut self,
        session: &mut Session,
        tokens: &[u32],
        positions: Range<usize>,
        exit_layer: Option<usize>,
        top: usize,
        observer: &mut dyn Observer,
    ) -> Result<Vec<TokenScore>> {
        let config = self.model.config();
        let (layers, context, vocab) =
            (config.num_layers, config.context_length, config.vocab_size);
        let depth = exit_layer.unwrap_or(layers);
        self.check_prompt(tokens)?;
        if !(1..=layers).contains(&depth) {
            return Err(Error::Setting(format!(
                "exit layer is {depth}; this model has {layers} layers"
            )));
        }
        if tokens.len() > context {
            let tokens = tokens.len();
            return Err(Error::PromptTooLong { tokens, context });
        }
        if positions.start == 0 || positions.end > tokens.len() {
            return Err(Error::Setting(format!(
                "tokens {positions:?} of {} cannot be scored: the first token of a text has no context",
                tokens.len()
            )));
        }
        session.restart(tokens, depth);
        let mut scores = Vec::with_capacity(positions.len());
        if positions.is_empty() {
            return Ok(scores);
        }
        self.prefill_to(session, depth, positions.start - 1, observer)?;
        let chunk = (MAX_LOGITS / vocab).clamp(1, self.prefill_chunk);
        let mut start = positions.start - 1;
        while start + 1 < positions.end {
            poll(observer, Phase::Prefill)?;
            let end = (positions.end - 1).min(start + chunk);
            self.logits_of(session, start..end, depth)?;
            session.commit(depth, end);
            for (logits, &id) in self
                .scratch
                .logits
                .chunks_exact(vocab)
                .zip(&tokens[start + 1..])
            {
                let raw = RawLogits::new(logits);
                scores.push(TokenScore {
                    id,
                    logprob: raw.logprob(id),
                    is_argmax: raw.argmax() == id,
                    top: raw.top(top),
                });
            }
            start = end;
        }
        Ok(scores)
    }

    /// Runs the session's tokens at `positions`, which follow the cached ones, through the first `depth` layers and leaves
    /// their logits in the scratch. The rows stay in flight.
    fn logits_of(
        &mut self,
        session: &mut Session,
        positions: Range<usize>,
        depth: usize,
    ) -> Result<()> {
        let scratch = &mut self.scratch;
        let tokens = &session.history.tokens()[positions.clone()];
        scratch.rows.clear();
        scratch.rows.extend(Row::chain(tokens, positions.start));
        session.sequence.forward(&scratch.rows, depth)?;
        scratch.slots.clear();
        scratch.slots.extend(positions);
        let readout = Readout {
            slots: &scratch.slots,
            depth,
            vocab: 0,
            probed: false,
        };
        session.sequence.logits(&readout, &mut scratch.logits)
    }
}

/// One row of unmodified logits.
pub(super) struct RawLogits<'a> {
    logits: &'a [f32],
    /// log Σ exp(logit).
    normaliser: f64,
}

impl<'a> RawLogits<'a> {
    pub fn new(logits: &'a [f32]) -> Self {
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|&x| f64::from(x - max).exp()).sum();
        Self {
            logits,
            normaliser: f64::from(max) + sum.ln(),
        }
    }

    /// Log-probability of a token; −∞ for one that is not in the row.
    pub fn logprob(&self, id: u32) -> f32 {
        let logit = self.logits.get(id as usize);
        logit.map_or(f32::NEG_INFINITY, |&x| {
            (f64::from(x) - self.normaliser) as f32
        })
    }

    /// The token with the largest logit; ties go to the lowest id.
    pub fn argmax(&self) -> u32 {
        let mut best = 0;
        for (id, logit) in self.logits.iter().enumerate() {
            if *logit > self.logits[best] {
                best = id;
            }
        }
        best as u32
    }

    /// The `n` likeliest tokens with their log-probabilities; ties are in order of their ids.
    pub fn top(&self, n: usize) -> Vec<(u32, f32)> {
        let mut ids: Vec<u32> = (0..self.logits.len() as u32).collect();
        let likelier = |a: &u32, b: &u32| {
            let [x, y] = [*a, *b].map(|id| self.logits[id as usize]);
            y.total_cmp(&x).then(a.cmp(b))
        };
        let n = n.min(ids.len());
        if n == 0 {
            return Vec::new();
        }
        if n < ids.len() {
            ids.select_nth_unstable_by(n, likelier);
            ids.truncate(n);
        }
        ids.sort_unstable_by(likelier);
        ids.into_iter().map(|id| (id, self.logprob(id))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_probabilities_are_the_log_softmax() {
        let raw = RawLogits::new(&[1.0, 3.0, 3.0, -2.0]);
        let sum: f64 = [1.0f64, 3.0, 3.0, -2.0].iter().map(|x| x.exp()).sum();
        for (id, logit) in [1.0f64, 3.0, 3.0, -2.0].into_iter().enumerate() {
            assert!((f64::from(raw.logprob(id as u32)) - (logit - sum.ln())).abs() < 1e-6);
        }
        assert_eq!(raw.argmax(), 1);
        let top: Vec<u32> = raw.top(3).into_iter().map(|(id, _)| id).collect();
        assert_eq!(top, [1, 2, 0]);
        assert_eq!(raw.top(9).len(), 4);
        assert_eq!(raw.top(0), []);
    }
}
