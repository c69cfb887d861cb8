//! Similarity of a generated text to its reference: ROUGE, BLEU, edit distance and exact match, equal to torchmetrics
//! with LayerSkip's normalisation.

mod bleu;
mod edit;
mod rouge;

pub use bleu::BleuCounts;
pub use edit::edit_distance;
pub use rouge::{Overlap, Rouge};

use serde::{Deserialize, Serialize};

/// Scores of one text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TextScores {
    /// F-measures of ROUGE, 0 to 1.
    pub rouge_1: f64,
    pub rouge_2: f64,
    pub rouge_3: f64,
    pub rouge_l: f64,
    /// Character edits between the two texts, as [`edit_distance`] counts them.
    pub edit_distance: f64,
    /// Whether they are equal, ignoring white space at their ends.
    pub exact_match: bool,
}

impl TextScores {
    pub fn of(prediction: &str, reference: &str) -> Self {
        let rouge = Rouge::of(prediction, reference);
        Self {
            rouge_1: rouge.n1.f_measure,
            rouge_2: rouge.n2.f_measure,
            rouge_3: rouge.n3.f_measure,
            rouge_l: rouge.l.f_measure,
            edit_distance: edit_distance(prediction, reference) as f64,
            exact_match: prediction.trim() == reference.trim(),
        }
    }
}

/// White space as in Python's `str.split` and regular expressions: Unicode's, and the four separators of ASCII.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// The words of a text.
fn words(text: &str) -> Vec<&str> {
    text.split(is_space)
        .filter(|word| !word.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn close(ours: f64, theirs: &Value, what: &str) {
        let theirs = theirs.as_f64().unwrap();
        // torchmetrics computes in single precision.
        assert!(
            (ours - theirs).abs() <= 1e-5 * theirs.abs().max(1.0),
            "{what}: {ours} is not {theirs}"
        );
    }

    fn overlap(ours: Overlap, theirs: &Value, key: &str, what: &str) {
        close(
            ours.precision,
            &theirs[format!("{key}_precision")],
            &format!("{what} {key} precision"),
        );
        close(
            ours.recall,
            &theirs[format!("{key}_recall")],
            &format!("{what} {key} recall"),
        );
        close(
            ours.f_measure,
            &theirs[format!("{key}_fmeasure")],
            &format!("{what} {key} F"),
        );
    }

    /// `tests/golden/text_metrics.py` generated the cases with torchmetrics.
    #[test]
    fn scores_are_those_of_torchmetrics() {
        let cases = include_str!("../../../tests/golden/text_metrics.jsonl");
        let mut corpora = 0;
        for line in cases.lines() {
            let case: Value = serde_json::from_str(line).unwrap();
            let pairs: Vec<[String; 2]> = serde_json::from_value(case["pairs"].clone()).unwrap();
            let mut counts = BleuCounts::default();
            for [prediction, reference] in &pairs {
                counts.add(prediction, reference);
            }
            close(counts.score(), &case["bleu"], &format!("BLEU of {pairs:?}"));
            if let [[prediction, reference]] = &pairs[..] {
                let what = format!("{prediction:?} for {reference:?}");
                let rouge = Rouge::of(prediction, reference);
                for (ours, key) in [
                    (rouge.n1, "rouge1"),
                    (rouge.n2, "rouge2"),
                    (rouge.n3, "rouge3"),
                    (rouge.l, "rougeL"),
                ] {
                    overlap(ours, &case["rouge"], key, &what);
                }
                close(
                    edit_distance(prediction, reference) as f64,
                    &case["edit_distance"],
                    &what,
                );
            } else {
                corpora += 1;
            }
        }
        assert!(corpora > 0 && cases.lines().count() > 40);
    }

    proptest! {
        #[test]
        fn a_text_matches_itself(text in "\\PC{0,60}") {
            let scores = TextScores::of(&text, &text);
            prop_assert!(scores.exact_match);
            prop_assert_eq!(scores.edit_distance, 0.0);
            let expected = f64::from(u8::from(!words(&text.to_lowercase()).is_empty()));
            prop_assert!((scores.rouge_1 - expected).abs() < 1e-12);
            prop_assert!((scores.rouge_l - expected).abs() < 1e-12);
        }

        /// Swapping the texts swaps precision and recall, and keeps F and, for short texts, the distance.
        #[test]
        fn scores_are_symmetric(a in "[ab \\u{e9}]{0,20}", b in "[ab \\u{e9}]{0,20}") {
            let (one, two) = (Rouge::of(&a, &b), Rouge::of(&b, &a));
            for (one, two) in [(one.n1, two.n1), (one.n2, two.n2), (one.n3, two.n3), (one.l, two.l)] {
                prop_assert_eq!(one.precision, two.recall);
                prop_assert_eq!(one.f_measure, two.f_measure);
                prop_assert!((0.0..=1.0).contains(&one.f_measure));
            }
            prop_assert_eq!(edit_distance(&a, &b), edit_distance(&b, &a));
        }
    }
}
