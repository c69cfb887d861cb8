//! The tokens so far, and the penalties they impose on the next token.

use super::Sampling;

/// All tokens so far, including prompt and draft, with a count per token id, so that penalties need no search.
#[derive(Debug, Clone, Default)]
pub struct History {
    tokens: Vec<u32>,
    /// How often each token id occurs. Grows to the largest id seen.
    counts: Vec<u32>,
}

impl History {
    /// An empty history with counts for `vocab_size` ids. Larger ids are counted too.
    pub fn new(vocab_size: usize) -> Self {
        Self {
            tokens: Vec::new(),
            counts: vec![0; vocab_size],
        }
    }

    /// Reserves space for `more` tokens.
    pub fn reserve(&mut self, more: usize) {
        self.tokens.reserve(more);
    }

    /// All tokens.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether the history is empty.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Appends a token.
    pub fn push(&mut self, id: u32) {
        let slot = id as usize;
        if self.counts.len() <= slot {
            self.counts.resize(slot + 1, 0);
        }
        self.counts[slot] += 1;
        self.tokens.push(id);
    }

    /// Keeps the first `len` tokens.
    pub fn truncate(&mut self, len: usize) {
        while self.tokens.len() > len {
            if let Some(id) = self.tokens.pop() {
                self.counts[id as usize] -= 1;
            }
        }
    }

    /// Applies the penalties of `sampling` to `logits`. `ids` are the token ids of the logits; `None` if they are the
    /// indices.
    pub fn penalise(&self, logits: &mut [f32], ids: Option<&[u32]>, sampling: &Sampling) {
        self.penalise_at(self.tokens.len(), logits, ids, sampling);
    }

    /// Like [`Self::penalise`], but considers only the first `len` tokens.
    pub fn penalise_at(
        &self,
        len: usize,
        logits: &mut [f32],
        ids: Option<&[u32]>,
        sampling: &Sampling,
    ) {
        let (before, after) = self.tokens.split_at(len);
        if sampling.repetition_penalty != 1.0 {
            self.penalise_repetition(after, logits, ids, sampling.repetition_penalty);
        }
        if sampling.no_repeat_ngram > 0 {
            forbid_ngrams(before, logits, ids, sampling.no_repeat_ngram);
        }
    }

    /// Divides positive and multiplies negative logits of tokens in the history (Keskar et al., arXiv 1909.05858,
    /// section 4.1), ignoring the tokens in `after`. A finite logit stays finite.
    fn penalise_repetition(
        &self,
        after: &[u32],
        logits: &mut [f32],
        ids: Option<&[u32]>,
        penalty: f32,
    ) {
        let change = |logit: &mut f32| {
            if logit.is_finite() {
                let moved = if *logit > 0.0 {
                    *logit / penalty
                } else {
                    *logit * penalty
                };
                *logit = moved.clamp(f32::MIN, f32::MAX);
            }
        };
        let seen = |id: usize| {
            let count = self.counts.get(id).copied().unwrap_or(0) as usize;
            count > 0 && count > after.iter().filter(|&&later| later as usize == id).count()
        };
        match ids {
            None => logits
                .iter_mut()
                .enumerate()
                .filter(|(id, _)| seen(*id))
                .for_each(|(_, logit)| change(logit)),
            Some(ids) => ids
                .iter()
                .zip(logits)
                .filter(|(id, _)| seen(**id as usize))
                .for_each(|(_, l)| change(l)),
        }
    }
}

/// Sets the logit of every token that would repeat an n-gram of `tokens` to −∞.
fn forbid_ngrams(tokens: &[u32], logits: &mut [f32], ids: Option<&[u32]>, n: usize) {
    let Some(start) = (tokens.len() + 1).checked_sub(n) else {
        return;
    };
    let tail = &tokens[start..];
    for window in tokens.windows(n).filter(|window| window[..n - 1] == *tail) {
        let id = window[n - 1];
        let column = match ids {
            None => Some(id as usize),
            Some(ids) => ids.iter().position(|&other| other == id),
        };
        if let Some(logit) = column.and_then(|column| logits.get_mut(column)) {
            *logit = f32::NEG_INFINITY;
        }
    }
}

impl FromIterator<u32> for History {
    fn from_iter<I: IntoIterator<Item = u32>>(ids: I) -> Self {
        let mut history = Self::default();
        ids.into_iter().for_each(|id| history.push(id));
        history
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn repetition_penalty_only_lowers_seen_tokens() {
        let history: History = [1, 2, 2].into_iter().collect();
        let mut logits = [1.0, 1.0, -1.0, -1.0];
        history.penalise(
            &mut logits,
            None,
            &Sampling {
                repetition_penalty: 2.0,
                ..Sampling::default()
            },
        );
        assert_eq!(logits, [1.0, 0.5, -2.0, -1.0]);
    }

    #[test]
    fn extreme_penalties_are_rejected_by_name() {
        for penalty in [0.0, -1.0, 1e-38, 1e38, f32::NAN] {
            let sampling = Sampling {
                repetition_penalty: penalty,
                ..Sampling::default()
            };
            let error = sampling.validate().unwrap_err().to_string();
            assert!(
                error.contains("repetition penalty") && error.len() < 80,
                "{error}"
            );
        }
    }

    proptest! {
        /// A logit that overflows would be reported as damaged weights.
        #[test]
        fn penalties_keep_logits_finite(logit in any::<f32>(), penalty in 0.01f32..=100.0) {
            prop_assume!(logit.is_finite());
            let sampling = Sampling { repetition_penalty: penalty, ..Sampling::default() };
            prop_assert!(sampling.validate().is_ok());
            let history: History = [0].into_iter().collect();
            let mut logits = [logit];
            history.penalise(&mut logits, None, &sampling);
            prop_assert!(logits[0].is_finite() && logits[0].signum() == logit.signum());
        }

        #[test]
        fn exactly_the_repeated_ngrams_are_forbidden(ids in prop::collection::vec(0u32..4, 0..40), n in 1usize..4) {
            let mut history = History::default();
            let sampling = Sampling { no_repeat_ngram: n, ..Sampling::default() };
            for id in ids {
                let mut logits = [0.0f32; 4];
                history.penalise(&mut logits, None, &sampling);
                let mut next = history.tokens().to_vec();
                next.push(id);
                let repeats = next.len() >= n && next[..next.len() - 1].windows(n).any(|w| *w == next[next.len() - n..]);
                prop_assert_eq!(logits[id as usize] == f32::NEG_INFINITY, repeats);
                history.push(id);
            }
        }

        #[test]
        fn truncating_undoes_pushing(ids in prop::collection::vec(0u32..9, 0..30), keep in 0usize..30) {
            let mut history: History = ids.iter().copied().collect();
            history.truncate(keep);
            let short: History = ids.iter().copied().take(keep).collect();
            prop_assert_eq!(history.tokens(), short.tokens());
            let (mut a, mut b) = ([1.0f32; 9], [1.0f32; 9]);
            let sampling = Sampling { repetition_penalty: 1.5, ..Sampling::default() };
            history.penalise(&mut a, None, &sampling);
            short.penalise(&mut b, None, &sampling);
            prop_assert_eq!(a, b);
        }

        #[test]
        fn penalties_of_a_prefix_match_a_shorter_history(
            ids in prop::collection::vec(0u32..9, 0..30),
            len in 0usize..30,
            n in 0usize..4,
        ) {
            let history: History = ids.iter().copied().collect();
            let len = len.min(ids.len());
            let short: History = ids[..len].iter().copied().collect();
            let (mut a, mut b) = ([1.0f32; 9], [1.0f32; 9]);
            let sampling =
                Sampling { repetition_penalty: 1.5, no_repeat_ngram: n, ..Sampling::default() };
            history.penalise_at(len, &mut a, None, &sampling);
            short.penalise(&mut b, None, &sampling);
            prop_assert_eq!(a, b);
        }
    }
}
