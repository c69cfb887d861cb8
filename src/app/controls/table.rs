//! The table of controls: to add a setting, add a field to [`Settings`] and a row here.

use super::control::Control;
use super::range::{Kind, Range, Scale};
use crate::engine::decode::{Controller, Proposers, Settings, Strategy};
use crate::engine::loaded_model::ModelInfo;
use crate::engine::sampling::Coupling;

/// The description of a control.
pub(super) struct Spec {
    pub control: Control,
    /// Name on screen.
    pub label: &'static str,
    /// Name in `/set`: LayerSkip's command-line name where there is one.
    pub name: &'static str,
    /// Other names that `/set` accepts: short ones, and those of other programs.
    pub aliases: &'static [&'static str],
    /// Option of the command line.
    pub flag: Option<&'static str>,
    /// What it does, in one sentence.
    pub meaning: &'static str,
    pub kind: fn(Option<&ModelInfo>) -> Kind,
    pub get: fn(&Settings) -> f64,
    pub set: fn(&mut Settings, f64),
    pub has_effect: fn(&Settings) -> bool,
}

/// The largest seed up to which an `f64` holds every integer.
const MAX_SEED: f64 = 9_007_199_254_740_991.0;

/// One row for each control, in the order of [`Control`].
pub(super) const TABLE: [Spec; 21] = [
    Spec {
        control: Control::ExitLayer,
        label: "exit layer",
        name: "exit_layer",
        aliases: &["e"],
        flag: Some("--exit-layer"),
        meaning: "layers the draft runs: fewer draft faster, more are accepted more often",
        kind: |model| slider(1.0, (layers(model) - 1.0).max(1.0), 1.0, 4.0, 0),
        get: |s| s.exit_layer as f64,
        set: |s, value| s.exit_layer = value as usize,
        has_effect: |s| match s.strategy {
            Strategy::Autoregressive => false,
            Strategy::EarlyExit => true,
            Strategy::SelfSpeculative => s.proposers.exits() && s.controller != Controller::Auto,
        },
    },
    Spec {
        control: Control::Speculations,
        label: "speculations",
        name: "num_speculations",
        aliases: &["k"],
        flag: Some("--num-speculations"),
        meaning: "tokens drafted before each verify",
        kind: |_| {
            Kind::Slider(Range {
                scale: Scale::Logarithmic,
                ..whole(1.0, Settings::MAX_SPECULATIONS as f64, 4.0)
            })
        },
        get: |s| s.num_speculations as f64,
        set: |s, value| s.num_speculations = value as usize,
        has_effect: drafts_as_set,
    },
    Spec {
        control: Control::Temperature,
        label: "temperature",
        name: "temperature",
        aliases: &["t"],
        flag: Some("--temperature"),
        meaning: "higher is more varied; 0 is greedy",
        kind: |_| slider(0.0, 2.0, 0.05, 0.25, 2),
        get: |s| decimal(s.sampling.temperature),
        set: |s, value| s.sampling.temperature = value as f32,
        has_effect: |s| s.sampling.sample,
    },
    Spec {
        control: Control::Strategy,
        label: "strategy",
        name: "strategy",
        aliases: &[],
        flag: Some("--strategy"),
        meaning: "how tokens are decoded",
        kind: |_| Kind::Choice(&["autoregressive", "early exit", "self-speculative"]),
        get: |s| s.strategy as usize as f64,
        set: |s, value| s.strategy = STRATEGIES[(value as usize).min(2)],
        has_effect: |_| true,
    },
    Spec {
        control: Control::Sampling,
        label: "sampling",
        name: "sample",
        aliases: &[],
        flag: Some("--sample"),
        meaning: "off always takes the most likely token",
        kind: |_| Kind::Toggle,
        get: |s| number(s.sampling.sample),
        set: |s, value| s.sampling.sample = value != 0.0,
        has_effect: |_| true,
    },
    Spec {
        control: Control::TopP,
        label: "top-p",
        name: "top_p",
        aliases: &[],
        flag: Some("--top-p"),
        meaning: "keep the most likely tokens that together reach this probability",
        kind: |_| slider(0.05, 1.0, 0.01, 0.1, 2),
        get: |s| decimal(s.sampling.top_p),
        set: |s, value| s.sampling.top_p = value as f32,
        has_effect: samples,
    },
    Spec {
        control: Control::TopK,
        label: "top-k",
        name: "top_k",
        aliases: &[],
        flag: Some("--top-k"),
        meaning: "keep the k most likely tokens; 0 keeps all",
        kind: |_| slider(0.0, 200.0, 1.0, 20.0, 0),
        get: |s| s.sampling.top_k as f64,
        set: |s, value| s.sampling.top_k = value as usize,
        has_effect: samples,
    },
    Spec {
        control: Control::MinP,
        label: "min-p",
        name: "min_p",
        aliases: &[],
        flag: Some("--min-p"),
        meaning: "keep tokens with at least this share of the top token's probability",
        kind: |_| slider(0.0, 0.5, 0.01, 0.05, 2),
        get: |s| decimal(s.sampling.min_p),
        set: |s, value| s.sampling.min_p = value as f32,
        has_effect: samples,
    },
    Spec {
        control: Control::RepetitionPenalty,
        label: "penalty",
        name: "repetition_penalty",
        aliases: &["repeat_penalty"],
        flag: Some("--repetition-penalty"),
        meaning: "makes tokens already seen less likely; 1 is off",
        kind: |_| slider(1.0, 2.0, 0.01, 0.1, 2),
        get: |s| decimal(s.sampling.repetition_penalty),
        set: |s, value| s.sampling.repetition_penalty = value as f32,
        has_effect: |_| true,
    },
    Spec {
        control: Control::NoRepeatNgram,
        label: "no-repeat",
        name: "no_repeat_ngram",
        aliases: &["no_repeat_ngram_size"],
        flag: Some("--no-repeat-ngram-size"),
        meaning: "never repeat an n-gram of this many tokens; 0 is off",
        kind: |_| slider(0.0, 10.0, 1.0, 2.0, 0),
        get: |s| s.sampling.no_repeat_ngram as f64,
        set: |s, value| s.sampling.no_repeat_ngram = value as usize,
        has_effect: |_| true,
    },
    Spec {
        control: Control::MaxTokens,
        label: "max tokens",
        name: "max_steps",
        aliases: &["num_predict"],
        flag: Some("--max-steps"),
        meaning: "max tokens generated in one answer",
        kind: |model| slider(1.0, context(model), 16.0, 256.0, 0),
        get: |s| s.max_steps as f64,
        set: |s, value| s.max_steps = value as usize,
        has_effect: |_| true,
    },
    Spec {
        control: Control::Seed,
        label: "seed",
        name: "seed",
        aliases: &[],
        flag: Some("--seed"),
        meaning: "same seed, same text",
        kind: |_| Kind::Number(whole(0.0, MAX_SEED, 100.0)),
        get: |s| s.sampling.seed as f64,
        set: |s, value| s.sampling.seed = value as u64,
        has_effect: samples,
    },
    Spec {
        control: Control::Coupling,
        label: "coupling",
        name: "coupling",
        aliases: &[],
        flag: Some("--coupling"),
        meaning: "shared noise keeps the text of plain sampling; rejection keeps only its distribution",
        kind: |_| Kind::Choice(&["shared noise", "rejection"]),
        get: |s| s.sampling.coupling as usize as f64,
        set: |s, value| s.sampling.coupling = COUPLINGS[(value as usize).min(1)],
        has_effect: |s| drafts(s) && samples(s),
    },
    Spec {
        control: Control::Proposers,
        label: "proposers",
        name: "proposers",
        aliases: &[],
        flag: Some("--proposers"),
        meaning: "what drafts: the first layers (exit), repeated text (lookup), or lookup first and exit where it finds nothing",
        kind: |_| Kind::Choice(&PROPOSERS),
        get: |s| s.proposers as usize as f64,
        set: |s, value| s.proposers = Proposers::ALL[(value as usize).min(PROPOSERS.len() - 1)],
        has_effect: drafts,
    },
    Spec {
        control: Control::Tree,
        label: "tree",
        name: "tree",
        aliases: &[],
        flag: Some("--tree"),
        meaning: "nodes of a draft tree, whose paths have at most K tokens; 0 drafts a chain",
        kind: |_| slider(0.0, Settings::MAX_TREE as f64, 1.0, 8.0, 0),
        get: |s| s.tree as f64,
        set: |s, value| s.tree = value as usize,
        has_effect: drafts_as_set,
    },
    Spec {
        control: Control::DraftVocab,
        label: "draft vocab",
        name: "draft_vocab",
        aliases: &[],
        flag: Some("--draft-vocab"),
        meaning: "draft with a head over the N most frequent tokens and those of the text; 0 is the whole head",
        kind: |model| slider(0.0, vocabulary(model), 512.0, 4096.0, 0),
        get: |s| s.draft_vocab as f64,
        set: |s, value| s.draft_vocab = value as usize,
        has_effect: drafts_early,
    },
    Spec {
        control: Control::Adapter,
        label: "adapter",
        name: "adapter",
        aliases: &["adapters"],
        flag: Some("--adapter"),
        meaning: "exits that have an adapter draft through it; the others, and all when off, draft through the model's own head",
        kind: |_| Kind::Toggle,
        get: |s| number(s.adapter),
        set: |s, value| s.adapter = value != 0.0,
        has_effect: drafts_early,
    },
    Spec {
        control: Control::KvqReuse,
        label: "KVQ reuse",
        name: "kvq_reuse",
        aliases: &[],
        flag: Some("--kvq-reuse"),
        meaning: "verify starts from the draft's exit states; off recomputes every layer",
        kind: |_| Kind::Toggle,
        get: |s| number(s.kvq_reuse),
        set: |s, value| s.kvq_reuse = value != 0.0,
        has_effect: drafts_early,
    },
    Spec {
        control: Control::Controller,
        label: "controller",
        name: "controller",
        aliases: &["autopilot"],
        flag: Some("--controller"),
        meaning: "what adjusts drafts; auto chooses proposer and E by speed, or plain decoding, and grows drafts that pay",
        kind: |_| Kind::Choice(&["fixed", "confidence", "adaptive K", "auto"]),
        get: |s| controller_index(s.controller) as f64,
        set: |s, value| s.controller = controller(value as usize, threshold(s.controller)),
        has_effect: drafts,
    },
    Spec {
        control: Control::Confidence,
        label: "confidence",
        name: "confidence",
        aliases: &[],
        flag: Some("--confidence"),
        meaning: "a draft ends at the first token less likely than this; moving it selects the confidence controller",
        kind: |_| slider(0.0, 1.0, 0.05, 0.2, 2),
        get: |s| threshold(s.controller),
        set: |s, value| {
            if let Controller::Confidence { threshold } = &mut s.controller {
                *threshold = value as f32;
            }
        },
        has_effect: |s| drafts(s) && matches!(s.controller, Controller::Confidence { .. }),
    },
    Spec {
        control: Control::SystemPrompt,
        label: "system",
        name: "system",
        aliases: &[],
        flag: None,
        meaning: "instructions for the model, before the conversation",
        kind: |_| Kind::Text,
        get: |_| 0.0,
        set: |_, _| {},
        has_effect: |_| true,
    },
];

const STRATEGIES: [Strategy; 3] = [
    Strategy::Autoregressive,
    Strategy::EarlyExit,
    Strategy::SelfSpeculative,
];
/// In the order of [`Proposers::ALL`].
const PROPOSERS: [&str; 4] = {
    let all = Proposers::ALL;
    [all[0].name(), all[1].name(), all[2].name(), all[3].name()]
};
const COUPLINGS: [Coupling; 2] = [Coupling::SharedNoise, Coupling::Rejection];

fn slider(min: f64, max: f64, step: f64, coarse: f64, decimals: usize) -> Kind {
    Kind::Slider(Range {
        min,
        max,
        step,
        coarse,
        decimals,
        scale: Scale::Linear,
    })
}

/// Whole numbers.
fn whole(min: f64, max: f64, coarse: f64) -> Range {
    Range {
        min,
        max,
        step: 1.0,
        coarse,
        decimals: 0,
        scale: Scale::Linear,
    }
}

/// Layer count; before a model is loaded, that of the largest common model.
fn layers(model: Option<&ModelInfo>) -> f64 {
    model.map_or(33, |m| m.config.num_layers) as f64
}

fn context(model: Option<&ModelInfo>) -> f64 {
    model.map_or(8192, |m| m.config.context_length).max(2) as f64
}

fn vocabulary(model: Option<&ModelInfo>) -> f64 {
    model.map_or(0, |m| m.config.vocab_size) as f64
}

fn drafts(settings: &Settings) -> bool {
    settings.strategy == Strategy::SelfSpeculative
}

/// Whether drafts have the length in the settings.
fn drafts_as_set(settings: &Settings) -> bool {
    drafts(settings) && settings.controller != Controller::Auto
}

/// Whether early exit drafts.
fn drafts_early(settings: &Settings) -> bool {
    drafts(settings) && settings.proposers.exits()
}

fn samples(settings: &Settings) -> bool {
    settings.sampling.sample && settings.sampling.temperature > 0.0
}

fn number(toggle: bool) -> f64 {
    f64::from(u8::from(toggle))
}

/// An `f32` as its shortest decimal, not as the nearest `f64`.
fn decimal(value: f32) -> f64 {
    (f64::from(value) * 1e4).round() / 1e4
}

fn controller_index(controller: Controller) -> usize {
    match controller {
        Controller::Fixed => 0,
        Controller::Confidence { .. } => 1,
        Controller::AdaptiveSpeculations => 2,
        Controller::Auto => 3,
    }
}

fn controller(index: usize, threshold: f64) -> Controller {
    match index {
        1 => Controller::Confidence {
            threshold: threshold as f32,
        },
        2 => Controller::AdaptiveSpeculations,
        3 => Controller::Auto,
        _ => Controller::Fixed,
    }
}

fn threshold(controller: Controller) -> f64 {
    match controller {
        Controller::Confidence { threshold } => decimal(threshold),
        _ => decimal(Controller::THRESHOLD),
    }
}
