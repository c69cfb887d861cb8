//! Everything that can be set: its name, meaning and range.

use super::range::{Kind, Range};
use crate::engine::loaded_model::ModelInfo;
use serde::{Deserialize, Serialize};

/// One adjustable setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    Strategy,
    ExitLayer,
    Speculations,
    Sampling,
    Temperature,
    TopP,
    TopK,
    MinP,
    RepetitionPenalty,
    NoRepeatNgram,
    MaxTokens,
    Seed,
    Coupling,
    DraftVocab,
    KvqReuse,
    Autopilot,
    Confidence,
    SystemPrompt,
}

/// A K beyond this never pays.
pub const MAX_SPECULATIONS: f64 = 16.0;

impl Control {
    pub const ALL: [Self; 18] = [
        Self::ExitLayer,
        Self::Speculations,
        Self::Temperature,
        Self::Strategy,
        Self::Sampling,
        Self::TopP,
        Self::TopK,
        Self::MinP,
        Self::RepetitionPenalty,
        Self::NoRepeatNgram,
        Self::MaxTokens,
        Self::Seed,
        Self::Coupling,
        Self::DraftVocab,
        Self::KvqReuse,
        Self::Autopilot,
        Self::Confidence,
        Self::SystemPrompt,
    ];

    /// Name on screen.
    pub fn label(self) -> &'static str {
        match self {
            Self::Strategy => "strategy",
            Self::ExitLayer => "exit layer",
            Self::Speculations => "speculations",
            Self::Sampling => "sampling",
            Self::Temperature => "temperature",
            Self::TopP => "top-p",
            Self::TopK => "top-k",
            Self::MinP => "min-p",
            Self::RepetitionPenalty => "penalty",
            Self::NoRepeatNgram => "no-repeat",
            Self::MaxTokens => "max tokens",
            Self::Seed => "seed",
            Self::Coupling => "coupling",
            Self::DraftVocab => "draft vocab",
            Self::KvqReuse => "KVQ reuse",
            Self::Autopilot => "autopilot",
            Self::Confidence => "confidence",
            Self::SystemPrompt => "system",
        }
    }

    /// Name in `/set` and in marks; the names of LayerSkip's command line where it has one.
    pub fn name(self) -> &'static str {
        match self {
            Self::Strategy => "strategy",
            Self::ExitLayer => "exit_layer",
            Self::Speculations => "num_speculations",
            Self::Sampling => "sample",
            Self::Temperature => "temperature",
            Self::TopP => "top_p",
            Self::TopK => "top_k",
            Self::MinP => "min_p",
            Self::RepetitionPenalty => "repetition_penalty",
            Self::NoRepeatNgram => "no_repeat_ngram",
            Self::MaxTokens => "max_steps",
            Self::Seed => "seed",
            Self::Coupling => "coupling",
            Self::DraftVocab => "draft_vocab",
            Self::KvqReuse => "kvq_reuse",
            Self::Autopilot => "controller",
            Self::Confidence => "confidence",
            Self::SystemPrompt => "system",
        }
    }

    /// Other names that `/set` knows: short ones, and those of other programs.
    fn also(self) -> &'static [&'static str] {
        match self {
            Self::ExitLayer => &["e"],
            Self::Speculations => &["k"],
            Self::Temperature => &["t"],
            Self::MaxTokens => &["num_predict"],
            Self::RepetitionPenalty => &["repeat_penalty"],
            Self::NoRepeatNgram => &["no_repeat_ngram_size"],
            _ => &[],
        }
    }

    /// The control of that name, or the only one with a word that begins so; `-`, `_` and capitals make no difference.
    /// Otherwise the controls that it might be.
    pub fn named(name: &str) -> Result<Self, Vec<Self>> {
        let plain = |name: &str| name.to_lowercase().replace(['-', ' '], "_");
        let wanted = plain(name);
        let any = |control: &Self, fits: &dyn Fn(&str) -> bool| {
            let names = [control.name(), control.label()];
            names
                .iter()
                .chain(control.also())
                .any(|name| fits(&plain(name)))
        };
        let exact = |control: &Self| any(control, &|name| name == wanted);
        if let Some(control) = Self::ALL.into_iter().find(exact) {
            return Ok(control);
        }
        let begins = |name: &str| {
            let words = name.match_indices('_').map(|(at, _)| at + 1);
            std::iter::once(0)
                .chain(words)
                .any(|at| name[at..].starts_with(&wanted))
        };
        let near: Vec<Self> = Self::ALL
            .into_iter()
            .filter(|control| !wanted.is_empty() && any(control, &begins))
            .collect();
        if let [control] = near[..] {
            Ok(control)
        } else {
            Err(near)
        }
    }

    /// What the control does, in one sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Strategy => "how tokens are decoded",
            Self::ExitLayer => {
                "layers the draft runs: fewer draft faster, more are accepted more often"
            }
            Self::Speculations => "tokens drafted before each verify",
            Self::Sampling => "off takes the most likely token every time",
            Self::Temperature => "higher is more varied; 0 is greedy",
            Self::TopP => "keep the likeliest tokens that together reach this probability",
            Self::TopK => "keep the k likeliest tokens; 0 keeps all",
            Self::MinP => "keep tokens at least this share as likely as the likeliest",
            Self::RepetitionPenalty => "makes tokens already seen less likely; 1 is off",
            Self::NoRepeatNgram => "never repeat a run of this many tokens; 0 is off",
            Self::MaxTokens => "tokens generated at most in one answer",
            Self::Seed => "same seed, same text",
            Self::Coupling => {
                "shared noise keeps the text of plain sampling; rejection keeps only its distribution"
            }
            Self::DraftVocab => {
                "draft with a head over the N most frequent tokens; 0 uses the whole head"
            }
            Self::KvqReuse => {
                "verify starts from the draft's exit states; off recomputes every layer"
            }
            Self::Autopilot => "who moves exit layer and speculations while it writes",
            Self::Confidence => {
                "a draft ends at the first token less likely than this; moving it puts the autopilot on confidence"
            }
            Self::SystemPrompt => "what the model is told before the conversation",
        }
    }

    /// Kind and range, which depend on the model.
    pub fn kind(self, model: Option<&ModelInfo>) -> Kind {
        let layers = model.map_or(33, |m| m.config.num_layers) as f64;
        let context = model.map_or(8192, |m| m.config.context_length).max(2) as f64;
        let vocab = model.map_or(0, |m| m.config.vocab_size) as f64;
        let slider = |min, max, step, coarse, decimals| {
            Kind::Slider(Range {
                min,
                max,
                step,
                coarse,
                decimals,
            })
        };
        match self {
            Self::Strategy => Kind::Choice(&["autoregressive", "early exit", "self-speculative"]),
            Self::ExitLayer => slider(1.0, (layers - 1.0).max(1.0), 1.0, 4.0, 0),
            Self::Speculations => slider(1.0, MAX_SPECULATIONS, 1.0, 4.0, 0),
            Self::Sampling | Self::KvqReuse => Kind::Toggle,
            Self::Autopilot => Kind::Choice(&["off", "confidence", "adaptive K", "E and K"]),
            Self::Confidence => slider(0.0, 1.0, 0.05, 0.2, 2),
            Self::Temperature => slider(0.0, 2.0, 0.05, 0.25, 2),
            Self::TopP => slider(0.05, 1.0, 0.01, 0.1, 2),
            Self::TopK => slider(0.0, 200.0, 1.0, 20.0, 0),
            Self::MinP => slider(0.0, 0.5, 0.01, 0.05, 2),
            Self::RepetitionPenalty => slider(1.0, 2.0, 0.01, 0.1, 2),
            Self::NoRepeatNgram => slider(0.0, 10.0, 1.0, 2.0, 0),
            Self::MaxTokens => slider(1.0, context, 16.0, 256.0, 0),
            Self::Seed => Kind::Number(Range {
                min: 0.0,
                max: MAX_SEED,
                step: 1.0,
                coarse: 100.0,
                decimals: 0,
            }),
            Self::Coupling => Kind::Choice(&["shared noise", "rejection"]),
            Self::DraftVocab => slider(0.0, vocab, 512.0, 4096.0, 0),
            Self::SystemPrompt => Kind::Text,
        }
    }
}

/// Larger seeds cannot be told apart as numbers of a slider.
const MAX_SEED: f64 = 9_007_199_254_740_991.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_control_goes_by_its_name_and_its_label() {
        for control in Control::ALL {
            assert_eq!(Control::named(control.name()), Ok(control));
            assert_eq!(Control::named(control.label()), Ok(control));
        }
    }

    #[test]
    fn short_names_that_fit_one_control_are_enough() {
        use Control::*;
        for (name, control) in [
            ("e", ExitLayer),
            ("K", Speculations),
            ("t", Temperature),
            ("temp", Temperature),
            ("max", MaxTokens),
            ("tokens", MaxTokens),
            ("penalty", RepetitionPenalty),
            ("vocab", DraftVocab),
            ("spec", Speculations),
            ("Top-P", TopP),
            ("auto", Autopilot),
            ("ngram", NoRepeatNgram),
        ] {
            assert_eq!(Control::named(name), Ok(control), "{name}");
        }
        assert_eq!(Control::named("top"), Err(vec![TopP, TopK]));
        assert_eq!(Control::named("colour"), Err(Vec::new()));
        assert_eq!(Control::named(""), Err(Vec::new()));
    }
}
