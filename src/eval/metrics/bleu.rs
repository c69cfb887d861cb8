//! BLEU-4 (Papineni et al. 2002) of a corpus, without smoothing.

use super::rouge::{ngrams, shared};
use super::words;

const MAX_N: usize = 4;

/// Counts for BLEU; the counts of several texts are added.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BleuCounts {
    /// For each n, the number of predicted n-grams that are in the reference.
    matches: [usize; MAX_N],
    /// For each n, the number of predicted n-grams.
    total: [usize; MAX_N],
    predicted: usize,
    wanted: usize,
}

impl BleuCounts {
    /// Adds a text. Case matters.
    pub fn add(&mut self, prediction: &str, reference: &str) {
        let (prediction, reference) = (words(prediction), words(reference));
        self.predicted += prediction.len();
        self.wanted += reference.len();
        for n in 1..=MAX_N {
            let (predicted, wanted) = (ngrams(&prediction, n), ngrams(&reference, n));
            self.matches[n - 1] += shared(&predicted, &wanted);
            self.total[n - 1] += predicted.values().sum::<usize>();
        }
    }

    /// Adds the counts of other texts.
    pub fn merge(&mut self, other: &Self) {
        for n in 0..MAX_N {
            self.matches[n] += other.matches[n];
            self.total[n] += other.total[n];
        }
        self.predicted += other.predicted;
        self.wanted += other.wanted;
    }

    /// The score, 0 to 1; 0 if no n-gram of some length matches.
    pub fn score(&self) -> f64 {
        if self.matches.contains(&0) {
            return 0.0;
        }
        let ratios = self.matches.iter().zip(&self.total);
        let mean_log = ratios
            .map(|(&matches, &total)| (matches as f64 / total as f64).ln())
            .sum::<f64>()
            / MAX_N as f64;
        let penalty = match self.predicted > self.wanted {
            true => 1.0,
            false => (1.0 - self.wanted as f64 / self.predicted as f64).exp(),
        };
        penalty * mean_log.exp()
    }
}
