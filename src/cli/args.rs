//! Options that several commands share.

use super::values::{self, Given};
use crate::app::Control;
use crate::engine::decode::{Controller, Proposers, Settings, Strategy};
use crate::engine::loaded_model::ModelRequest;
use crate::engine::model::random;
use crate::engine::sampling::Coupling;
use crate::engine::weights::{Dtype, ModelDefaults};
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::path::PathBuf;

/// The model, and how it runs.
#[derive(Debug, Clone, Default, Args)]
pub struct ModelArgs {
    /// A GGUF file, a Hugging Face folder or a Hugging Face id; without it, the bundled model.
    #[arg(short, long, value_parser = values::filled, value_name = "PATH|ID")]
    pub model: Option<String>,
    #[arg(long, value_name = "TYPE", help = dtype_help())]
    pub dtype: Option<String>,
    /// auto, cpu, gpu, gpu:N, cuda or metal; `skiplens devices` lists them. gpu:0,gpu:1 divides the layers.
    #[arg(long, value_name = "DEVICE", value_parser = values::device)]
    pub device: Option<String>,
    /// Threads of the CPU kernels, 1 to 256; by default, one per physical core.
    #[arg(long, value_parser = values::threads, value_name = "N")]
    pub threads: Option<usize>,
    /// Instead of a model, random weights in the shape of one, to measure its speed.
    #[arg(long, value_name = "SHAPE", value_parser = PossibleValuesParser::new(random::NAMES), conflicts_with = "model")]
    random_weights: Option<String>,
    /// Scale the layers above a quarter of the random weights' layers until that exit agrees with about this share.
    #[arg(long, value_name = "P", value_parser = values::share, requires = "random_weights")]
    agree: Option<f32>,
    /// Also write the random model to this folder in Hugging Face's format, which --model and other programs load.
    #[arg(long, value_name = "FOLDER", requires = "random_weights")]
    save: Option<PathBuf>,
}

fn dtype_help() -> String {
    format!("Convert safetensors when loading: {}", Dtype::names())
}

impl ModelArgs {
    pub fn request(&self) -> ModelRequest {
        let ModelArgs {
            model,
            dtype,
            device,
            threads,
            random_weights,
            agree,
            save,
        } = self.clone();
        let random = random_weights.map(|name| {
            let agree = agree.map(|share| format!(":{share}"));
            format!("{}{name}{}", random::PREFIX, agree.unwrap_or_default())
        });
        ModelRequest {
            model: model.or(random),
            dtype,
            device,
            threads,
            save,
        }
    }
}

/// How tokens are decoded. Missing options come from the model's defaults, then from the program's.
#[derive(Debug, Clone, Default, Args)]
pub struct DecodingArgs {
    /// autoregressive, early-exit or self-speculative. Autoregressive with an exit layer is early exit.
    #[arg(long, alias = "generation-strategy", value_parser = values::strategy, value_name = "STRATEGY")]
    strategy: Option<Strategy>,
    /// Exit layer E: a draft runs the first E layers; 1 to one less than the layer count, or -1 for the model's default.
    #[arg(short = 'E', long, value_parser = values::exit_layer, value_name = "E")]
    exit_layer: Option<Given<usize>>,
    /// Speculations K: max tokens that a round drafts; -1 for the model's default.
    #[arg(short = 'K', long, value_parser = values::num_speculations, value_name = "K")]
    num_speculations: Option<Given<usize>>,
    /// What drafts: exit, lookup, exit+lookup or auto.
    #[arg(long, value_parser = values::proposers, value_name = "PROPOSERS")]
    proposers: Option<Proposers>,
    /// Draft a tree of at most N nodes and depth K; 0 drafts a chain.
    #[arg(long, value_parser = values::count, value_name = "N")]
    tree: Option<usize>,
    /// What adjusts the draft from round to round: fixed, confidence, adaptive or auto.
    #[arg(long, value_parser = values::controller, value_name = "CONTROLLER")]
    controller: Option<Controller>,
    /// End a draft at the first token less likely than this, 0 to 1; selects the confidence controller.
    #[arg(long, value_parser = values::real, value_name = "P")]
    confidence: Option<Given<f32>>,
    /// Draft with a head over the N most frequent tokens and those of the text; 0 uses the whole vocabulary.
    #[arg(long, value_parser = values::count, value_name = "N")]
    draft_vocab: Option<usize>,
    /// Use the adapters of exits that have one for drafting: on or off.
    #[arg(long, value_parser = values::switch, value_name = "on|off")]
    adapter: Option<bool>,
    /// Start the verify phase from the draft's hidden states at the exit.
    #[arg(long, value_parser = values::boolean, value_name = "BOOL")]
    kvq_reuse: Option<bool>,
    /// Max tokens to generate.
    #[arg(short = 'n', long, alias = "max-new-tokens", value_parser = values::given_count, value_name = "N")]
    max_steps: Option<Given<usize>>,
    /// Sample; false takes the most likely token each time.
    #[arg(
        long,
        value_parser = values::given_boolean,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true"
    )]
    sample: Option<Given<bool>>,
    /// As `--sample false`.
    #[arg(long, hide = true, overrides_with = "sample")]
    no_sample: bool,
    /// Sampling temperature, which divides the logits; 0 is greedy.
    #[arg(long, value_parser = values::real, value_name = "T")]
    temperature: Option<Given<f32>>,
    /// Keep the K most likely tokens; 0 keeps all.
    #[arg(long, value_parser = values::given_count, value_name = "K")]
    top_k: Option<Given<usize>>,
    /// Keep the fewest most likely tokens that together reach this probability; 1 keeps all.
    #[arg(long, value_parser = values::real, value_name = "P")]
    top_p: Option<Given<f32>>,
    /// Keep tokens with at least this fraction of the top token's probability; 0 keeps all.
    #[arg(long, value_parser = values::real, value_name = "P")]
    min_p: Option<Given<f32>>,
    /// Make tokens that occurred before less likely; 1 is off.
    #[arg(long, value_parser = values::real, value_name = "X")]
    repetition_penalty: Option<Given<f32>>,
    /// Never write an n-gram of this size twice; 0 is off.
    #[arg(long, alias = "no-repeat-ngram", value_parser = values::given_count, value_name = "N")]
    no_repeat_ngram_size: Option<Given<usize>>,
    /// End at any of these texts; they may span tokens.
    #[arg(long, value_parser = values::filled, value_name = "TEXT", num_args = 1..)]
    stop_words: Vec<String>,
    /// End at any of these token ids, besides the model's own end tokens.
    #[arg(long, value_parser = values::token_id, value_name = "ID", num_args = 1.., value_delimiter = ',')]
    stop_token_ids: Vec<Given<u32>>,
    /// Seed of all randomness.
    #[arg(long, value_parser = values::seed, value_name = "N")]
    seed: Option<Given<u64>>,
    /// How draft and verify share randomness: shared-noise or rejection.
    #[arg(long, value_parser = values::coupling, value_name = "COUPLING")]
    coupling: Option<Coupling>,
}

impl DecodingArgs {
    /// Applies these options on top of the defaults of the model and the program. A default exit layer that is too
    /// large for this model becomes a quarter of its `layers`; an explicit one is left to validation.
    pub fn settings(&self, defaults: ModelDefaults, layers: usize) -> Settings {
        let mut s = Settings {
            exit_layer: (layers / 4).max(1),
            ..Settings::default()
        };
        let (exit_layer, num_speculations) = (self.exit_layer(), self.num_speculations());
        set(&mut s.exit_layer, exit_layer.or(defaults.exit_layer));
        set(
            &mut s.num_speculations,
            num_speculations.or(defaults.num_speculations),
        );
        set(
            &mut s.draft_vocab,
            self.draft_vocab.or(defaults.draft_vocab),
        );
        set(&mut s.strategy, self.strategy());
        let automatic = self.controller() == Some(Controller::Auto);
        let all = automatic.then_some(Proposers::Auto);
        set(&mut s.proposers, self.proposers.or(all));
        set(&mut s.tree, self.tree);
        set(&mut s.controller, self.controller());
        set(&mut s.adapter, self.adapter);
        set(&mut s.kvq_reuse, self.kvq_reuse);
        set(&mut s.max_steps, self.max_steps());
        let sampling = &mut s.sampling;
        set(&mut sampling.sample, self.sample());
        set(&mut sampling.temperature, Given::value(self.temperature));
        set(&mut sampling.top_k, Given::value(self.top_k));
        set(&mut sampling.top_p, Given::value(self.top_p));
        set(&mut sampling.min_p, Given::value(self.min_p));
        set(
            &mut sampling.repetition_penalty,
            Given::value(self.repetition_penalty),
        );
        set(
            &mut sampling.no_repeat_ngram,
            Given::value(self.no_repeat_ngram_size),
        );
        set(&mut sampling.seed, Given::value(self.seed));
        set(&mut sampling.coupling, self.coupling);
        s.stop_strings.clone_from(&self.stop_words);
        s.stop_token_ids = Given::values(&self.stop_token_ids);
        s
    }

    /// As in LayerSkip, autoregressive decoding with an exit layer is early exit.
    pub fn strategy(&self) -> Option<Strategy> {
        match self.strategy {
            Some(Strategy::Autoregressive) if self.exit_layer().is_some() => {
                Some(Strategy::EarlyExit)
            }
            strategy => strategy,
        }
    }

    /// A threshold alone selects the confidence controller. An explicit exit layer or number of speculations turns off
    /// the controller that would choose it.
    pub fn controller(&self) -> Option<Controller> {
        let threshold = Given::value(self.confidence);
        match (self.controller, threshold) {
            _ if self.overrides_auto() => Some(Controller::Fixed),
            (None | Some(Controller::Confidence { .. }), Some(threshold)) => {
                Some(Controller::Confidence { threshold })
            }
            (controller, _) => controller,
        }
    }

    /// Whether an explicit exit layer or number of speculations overrides the requested controller.
    pub fn overrides_auto(&self) -> bool {
        let pair = self.exit_layer().is_some() || self.num_speculations().is_some();
        self.controller == Some(Controller::Auto) && pair
    }

    /// As [`Self::settings`], for interactive use: unless the options name a way to draft, the controller chooses it.
    pub fn chosen_settings(&self, defaults: ModelDefaults, layers: usize) -> Settings {
        let mut settings = self.settings(defaults, layers);
        if self.leaves_choice(&settings) {
            settings.controller = Controller::Auto;
            set(
                &mut settings.proposers,
                Some(self.proposers.unwrap_or(Proposers::Auto)),
            );
        }
        settings
    }

    /// Whether the controller may choose how to draft. With rejection it may not: the text depends on the drafts, so
    /// a seed would not give the same text twice.
    fn leaves_choice(&self, settings: &Settings) -> bool {
        let named = self.controller().is_some()
            || self.exit_layer().is_some()
            || self.num_speculations().is_some()
            || self.tree.is_some()
            || self.strategy.is_some();
        !named && !settings.sampling.rejects()
    }

    pub fn exit_layer(&self) -> Option<usize> {
        Given::value(self.exit_layer)
    }

    pub fn num_speculations(&self) -> Option<usize> {
        Given::value(self.num_speculations)
    }

    pub fn max_steps(&self) -> Option<usize> {
        Given::value(self.max_steps)
    }

    pub fn seed(&self) -> Option<u64> {
        Given::value(self.seed)
    }

    pub fn sample(&self) -> Option<bool> {
        match self.no_sample {
            true => Some(false),
            false => Given::value(self.sample),
        }
    }

    /// The controls that the command line sets.
    pub fn given(&self) -> Vec<Control> {
        let table = [
            (Control::Strategy, self.strategy.is_some()),
            (Control::ExitLayer, self.exit_layer().is_some()),
            (Control::Speculations, self.num_speculations().is_some()),
            (Control::Proposers, self.proposers.is_some()),
            (Control::Tree, self.tree.is_some()),
            (Control::Controller, self.controller.is_some()),
            (Control::Confidence, Given::value(self.confidence).is_some()),
            (Control::DraftVocab, self.draft_vocab.is_some()),
            (Control::Adapter, self.adapter.is_some()),
            (Control::KvqReuse, self.kvq_reuse.is_some()),
            (Control::MaxTokens, self.max_steps().is_some()),
            (Control::Sampling, self.sample().is_some()),
            (
                Control::Temperature,
                Given::value(self.temperature).is_some(),
            ),
            (Control::TopK, Given::value(self.top_k).is_some()),
            (Control::TopP, Given::value(self.top_p).is_some()),
            (Control::MinP, Given::value(self.min_p).is_some()),
            (
                Control::RepetitionPenalty,
                Given::value(self.repetition_penalty).is_some(),
            ),
            (
                Control::NoRepeatNgram,
                Given::value(self.no_repeat_ngram_size).is_some(),
            ),
            (Control::Seed, Given::value(self.seed).is_some()),
            (Control::Coupling, self.coupling.is_some()),
        ];
        table
            .into_iter()
            .filter_map(|(control, given)| given.then_some(control))
            .collect()
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}
