//! Options that several commands share.

use crate::engine::decode::{Settings, Strategy};
use crate::engine::loaded_model::ModelRequest;
use crate::engine::sampling::Coupling;
use crate::engine::weights::ModelDefaults;
use clap::Args;

/// Which model, and how it runs.
#[derive(Debug, Clone, Default, Args)]
pub struct ModelArgs {
    /// A GGUF file, a Hugging Face folder or a Hugging Face id; without it, the bundled model.
    #[arg(short, long, value_name = "PATH|ID")]
    pub model: Option<String>,
    /// What safetensors become at load: auto, f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k.
    #[arg(long, value_name = "TYPE")]
    pub dtype: Option<String>,
    /// auto, cpu, cuda or metal.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Threads of the CPU kernels; without it, one for each physical core.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
}

impl ModelArgs {
    pub fn request(&self) -> ModelRequest {
        let ModelArgs {
            model,
            dtype,
            device,
            threads,
        } = self.clone();
        ModelRequest {
            model,
            dtype,
            device,
            threads,
        }
    }
}

/// How tokens are decoded. What is left out comes from the model's own defaults, then from the program's.
#[derive(Debug, Clone, Default, Args)]
pub struct DecodingArgs {
    /// autoregressive, early-exit or self-speculative.
    #[arg(long, value_parser = strategy, value_name = "STRATEGY")]
    pub strategy: Option<Strategy>,
    /// Exit layer E: a draft runs the first E layers; 1 to one less than the layer count.
    #[arg(short = 'E', long, value_name = "E")]
    pub exit_layer: Option<usize>,
    /// Speculations K: how many tokens a round drafts at most.
    #[arg(short = 'K', long, value_name = "K")]
    pub num_speculations: Option<usize>,
    /// Draft over the N most frequent tokens of the vocabulary only; 0 drafts over all.
    #[arg(long, value_name = "N")]
    pub draft_vocab: Option<usize>,
    /// Let verify start from the exit hidden states that the draft left.
    #[arg(long, value_parser = boolean, value_name = "BOOL")]
    pub kvq_reuse: Option<bool>,
    /// How many tokens to generate at most.
    #[arg(short = 'n', long, alias = "max-new-tokens", value_name = "N")]
    pub max_steps: Option<usize>,
    /// Sample; false takes the most likely token each time.
    #[arg(long, value_parser = boolean, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub sample: Option<bool>,
    /// Divides the logits; 0 is greedy.
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    pub temperature: Option<f32>,
    /// Keep the K most likely tokens; 0 keeps all.
    #[arg(long, value_name = "K")]
    pub top_k: Option<usize>,
    /// Keep the most likely tokens that together reach this probability; 1 keeps all.
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub top_p: Option<f32>,
    /// Keep tokens at least this share as likely as the most likely; 0 keeps all.
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub min_p: Option<f32>,
    /// Makes tokens that came before less likely; 1 is off.
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub repetition_penalty: Option<f32>,
    /// Never write an n-gram of this size twice; 0 is off.
    #[arg(long, alias = "no-repeat-ngram", value_name = "N")]
    pub no_repeat_ngram_size: Option<usize>,
    /// End at any of these texts; they may span tokens.
    #[arg(long, value_name = "TEXT", num_args = 1..)]
    pub stop_words: Vec<String>,
    /// End at any of these token ids, besides the model's own end tokens.
    #[arg(long, value_name = "ID", num_args = 1.., value_delimiter = ',')]
    pub stop_token_ids: Vec<u32>,
    /// Seed of all randomness.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How draft and verify share randomness: shared-noise or rejection.
    #[arg(long, value_parser = coupling, value_name = "COUPLING")]
    pub coupling: Option<Coupling>,
}

impl DecodingArgs {
    /// Lays these options over the model's defaults and the program's. A default exit layer that this model is too
    /// shallow for becomes a quarter of its `layers`; an explicit one is left for validation to judge.
    pub fn settings(&self, defaults: ModelDefaults, layers: usize) -> Settings {
        let mut s = Settings {
            exit_layer: (layers / 4).max(1),
            ..Settings::default()
        };
        let own = self.clone();
        set(&mut s.exit_layer, own.exit_layer.or(defaults.exit_layer));
        set(
            &mut s.num_speculations,
            own.num_speculations.or(defaults.num_speculations),
        );
        set(&mut s.draft_vocab, own.draft_vocab.or(defaults.draft_vocab));
        set(&mut s.strategy, own.strategy);
        set(&mut s.kvq_reuse, own.kvq_reuse);
        set(&mut s.max_steps, own.max_steps);
        set(&mut s.sampling.sample, own.sample);
        set(&mut s.sampling.temperature, own.temperature);
        set(&mut s.sampling.top_k, own.top_k);
        set(&mut s.sampling.top_p, own.top_p);
        set(&mut s.sampling.min_p, own.min_p);
        set(&mut s.sampling.repetition_penalty, own.repetition_penalty);
        set(&mut s.sampling.no_repeat_ngram, own.no_repeat_ngram_size);
        set(&mut s.sampling.seed, own.seed);
        set(&mut s.sampling.coupling, own.coupling);
        s.stop_strings = own.stop_words;
        s.stop_token_ids = own.stop_token_ids;
        s
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn strategy(text: &str) -> Result<Strategy, String> {
    match text.replace('_', "-").to_lowercase().as_str() {
        "autoregressive" => Ok(Strategy::Autoregressive),
        "early-exit" => Ok(Strategy::EarlyExit),
        "self-speculative" => Ok(Strategy::SelfSpeculative),
        _ => Err("choose autoregressive, early-exit or self-speculative".into()),
    }
}

fn coupling(text: &str) -> Result<Coupling, String> {
    match text.replace('_', "-").to_lowercase().as_str() {
        "shared-noise" => Ok(Coupling::SharedNoise),
        "rejection" => Ok(Coupling::Rejection),
        _ => Err("choose shared-noise or rejection".into()),
    }
}

/// `true` and `false` in any case, as Python spells them too.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("choose true or false".into()),
    }
}
