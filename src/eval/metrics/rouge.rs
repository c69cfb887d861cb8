//! ROUGE-N and ROUGE-L (Lin 2004) over lower-cased words, without stemming.

use super::words;
use std::collections::HashMap;

/// Max words of a text for ROUGE-L, whose time is proportional to the product of both lengths.
const MAX_WORDS: usize = 1 << 15;

/// The overlap of two texts.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Overlap {
    /// The fraction of the prediction that is in the reference.
    pub precision: f64,
    /// The fraction of the reference that is in the prediction.
    pub recall: f64,
    /// Their harmonic mean.
    pub f_measure: f64,
}

impl Overlap {
    fn of(shared: usize, predicted: usize, wanted: usize) -> Self {
        let (precision, recall) = (
            shared as f64 / predicted.max(1) as f64,
            shared as f64 / wanted.max(1) as f64,
        );
        let sum = precision + recall;
        Self {
            precision,
            recall,
            f_measure: if sum > 0.0 {
                2.0 * precision * recall / sum
            } else {
                0.0
            },
        }
    }
}

/// The overlap of n-grams and of the longest common subsequence.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rouge {
    pub n1: Overlap,
    pub n2: Overlap,
    pub n3: Overlap,
    pub l: Overlap,
}

impl Rouge {
    pub fn of(prediction: &str, reference: &str) -> Self {
        let (prediction, reference) = (prediction.to_lowercase(), reference.to_lowercase());
        let (prediction, reference) = (words(&prediction), words(&reference));
        // Without words on one side there is no overlap.
        if prediction.is_empty() || reference.is_empty() {
            return Self::default();
        }
        Self {
            n1: of_ngrams(&prediction, &reference, 1),
            n2: of_ngrams(&prediction, &reference, 2),
            n3: of_ngrams(&prediction, &reference, 3),
            l: of_subsequence(&prediction, &reference),
        }
    }
}

fn of_ngrams(prediction: &[&str], reference: &[&str], n: usize) -> Overlap {
    let (predicted, wanted) = (ngrams(prediction, n), ngrams(reference, n));
    Overlap::of(
        shared(&predicted, &wanted),
        predicted.values().sum(),
        wanted.values().sum(),
    )
}

/// The number of occurrences of each n-gram.
pub(super) fn ngrams<'a>(words: &'a [&'a str], n: usize) -> HashMap<&'a [&'a str], usize> {
    let mut counts = HashMap::new();
    for ngram in words.windows(n) {
        *counts.entry(ngram).or_default() += 1;
    }
    counts
}

/// The number of common n-grams, each counted as often as in the text that has it less often.
pub(super) fn shared(one: &HashMap<&[&str], usize>, other: &HashMap<&[&str], usize>) -> usize {
    one.iter()
        .map(|(ngram, &count)| count.min(other.get(ngram).copied().unwrap_or_default()))
        .sum()
}

fn of_subsequence(prediction: &[&str], reference: &[&str]) -> Overlap {
    let (prediction, reference) = (
        &prediction[..prediction.len().min(MAX_WORDS)],
        &reference[..reference.len().min(MAX_WORDS)],
    );
    let mut lengths = vec![0usize; reference.len() + 1];
    for word in prediction {
        let mut diagonal = 0;
        for (at, wanted) in reference.iter().enumerate() {
            let above = lengths[at + 1];
            lengths[at + 1] = match word == wanted {
                true => diagonal + 1,
                false => above.max(lengths[at]),
            };
            diagonal = above;
        }
    }
    Overlap::of(lengths[reference.len()], prediction.len(), reference.len())
}
