//! Perplexity of texts.

use super::Scorer;
use super::statistic::{Metric, TaskResult};
use crate::engine::Result;

impl Scorer<'_> {
    /// Log-likelihood of a text, in windows that share one token of context. A short last window has as much context as
    /// fits.
    pub(super) fn rolling(&mut self, text: &str) -> Result<f64> {
        let tokens = self.tokens(text, false)?;
        let prefix = self.prefix_token()?;
        let window = self.decoder.model().config().context_length - 2;
        let (mut total, mut done) = (0.0, 0);
        while done < tokens.len() {
            let end = tokens.len().min(done + window);
            // The first window follows the prefix token; a short last window has more context.
            let context = match done {
                0 => vec![prefix],
                done => tokens[end.saturating_sub(window + 1)..done].to_vec(),
            };
            total += self.loglikelihood(&context, &tokens[done..end])?;
            done = end;
        }
        Ok(total)
    }
}

/// Perplexity over all texts.
#[derive(Debug, Default)]
pub struct Perplexity {
    texts: usize,
    loglikelihood: f64,
    words: usize,
    bytes: usize,
}

impl Perplexity {
    pub fn add(&mut self, text: &str, loglikelihood: f64) {
        self.texts += 1;
        self.loglikelihood += loglikelihood;
        self.words += words(text);
        self.bytes += text.len();
    }

    pub fn result(&self) -> TaskResult {
        let [by_word, by_byte] =
            [self.words, self.bytes].map(|units| self.loglikelihood / units as f64);
        let metric = |name, value| Metric {
            name,
            value,
            stderr: None,
            higher_is_better: false,
        };
        let metrics = vec![
            metric("word_perplexity", (-by_word).exp()),
            metric("byte_perplexity", (-by_byte).exp()),
            metric("bits_per_byte", -by_byte / std::f64::consts::LN_2),
        ];
        TaskResult::new("perplexity", self.texts, metrics)
    }
}

/// Number of parts between runs of white space, as Python's `re.split` counts: leading and trailing white space add an
/// empty one.
fn words(text: &str) -> usize {
    let is_space = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    let mut words = 1;
    let mut in_space = false;
    for c in text.chars() {
        words += usize::from(is_space(c) && !in_space);
        in_space = is_space(c);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_as_the_harness_counts_them() {
        for (text, count) in [
            ("a b", 2),
            (" a  b\n", 4),
            ("", 1),
            ("abc", 1),
            ("a\u{a0}b", 2),
        ] {
            assert_eq!(words(text), count, "{text:?}");
        }
    }
}
