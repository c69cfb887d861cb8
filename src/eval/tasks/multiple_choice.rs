//! The most likely continuation of a text.

use super::Scorer;
use super::rows::MultipleChoice;
use crate::engine::Result;

impl Scorer<'_> {
    /// Whether the right choice is the most likely one, in total and per character.
    pub(super) fn multiple_choice(&mut self, row: &MultipleChoice) -> Result<[bool; 2]> {
        let mut likelihoods = Vec::with_capacity(row.choices.len());
        for choice in &row.choices {
            let (context, continuation) = self.pair(&row.context, &format!(" {choice}"))?;
            likelihoods.push(self.loglikelihood(&context, &continuation)?);
        }
        let by_length = likelihoods.iter().zip(&row.choices);
        let by_length: Vec<f64> = by_length
            .map(|(likelihood, choice)| likelihood / choice.chars().count() as f64)
            .collect();
        Ok([likelihoods, by_length].map(|values| first_max(&values) == row.gold))
    }

    /// Tokens of a context and of its continuation. Trailing spaces of the context move to the continuation, since
    /// tokens start with spaces.
    fn pair(&self, context: &str, continuation: &str) -> Result<(Vec<u32>, Vec<u32>)> {
        if context.is_empty() {
            return Ok((
                vec![self.prefix_token()?],
                self.tokens(continuation, false)?,
            ));
        }
        let trimmed = context.trim_end();
        let whole = self.tokens(&format!("{context}{continuation}"), true)?;
        let before = self.tokens(trimmed, true)?;
        let continuation = whole[before.len().min(whole.len())..].to_vec();
        Ok((before, continuation))
    }
}

/// Index of the first maximum; no value may be NaN.
fn first_max(values: &[f64]) -> usize {
    let mut best = 0;
    for (at, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = at;
        }
    }
    best
}
