//! The settings of decoding.

use super::Controller;
use crate::engine::config::LlamaConfig;
use crate::engine::model::Ancestors;
use crate::engine::sampling::Sampling;
use crate::engine::{Error, Result};
use crate::plural::counted;
use serde::{Deserialize, Serialize};

/// How tokens are decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// All layers, one token per step.
    Autoregressive,
    /// The first E layers, one token per step, unverified.
    EarlyExit,
    /// Draft with the first E layers, verify with the rest.
    #[default]
    SelfSpeculative,
}

/// What drafts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Proposers {
    /// The first E layers.
    #[default]
    #[serde(rename = "exit")]
    Exit,
    /// Continuations of earlier occurrences of the text's last tokens.
    #[serde(rename = "lookup")]
    Lookup,
    /// Lookup, and early exit where it finds nothing.
    #[serde(rename = "exit+lookup")]
    ExitAndLookup,
    /// Whatever [`Controller::Auto`] expects to be fastest; with other controllers, as [`Self::ExitAndLookup`].
    #[serde(rename = "auto")]
    Auto,
}

impl Proposers {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Exit, Self::Lookup, Self::ExitAndLookup, Self::Auto];

    /// The name in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Lookup => "lookup",
            Self::ExitAndLookup => "exit+lookup",
            Self::Auto => "auto",
        }
    }

    /// Whether early exit may draft.
    pub fn exits(self) -> bool {
        self != Self::Lookup
    }

    /// Whether lookup may draft.
    pub fn looks_up(self) -> bool {
        self != Self::Exit
    }
}

/// Everything that determines how a round is decoded. A round reads the newest settings at its start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// How tokens are decoded.
    pub strategy: Strategy,
    /// Exit layer E: a draft runs layers `0..E`; 1 ≤ E < L.
    pub exit_layer: usize,
    /// Speculations K: max number of tokens that a round drafts; at least 1.
    pub num_speculations: usize,
    /// What drafts.
    pub proposers: Proposers,
    /// Max number of nodes of a draft tree, of which a path has at most K; 0 drafts a chain.
    pub tree: usize,
    /// What adjusts the exit layer and the number of speculations during a run.
    pub controller: Controller,
    /// Size of the draft head: the N most frequent tokens and, on the CPU, those of the text; 0 uses the whole
    /// vocabulary, as does more than it has.
    pub draft_vocab: usize,
    /// Whether exits that have an adapter draft through it.
    pub adapter: bool,
    /// Whether the verify phase starts from the draft's hidden states at the exit (KVQ cache) instead of recomputing
    /// all layers.
    pub kvq_reuse: bool,
    /// Max number of tokens to generate.
    pub max_steps: usize,
    /// Whether to record alternatives and every layer's prediction, for the inspector.
    pub detail: bool,
    /// Record the log-probability of every generated token and of this many top tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<usize>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Generation ends when the text contains one of these; they may span tokens.
    pub stop_strings: Vec<String>,
    /// Generation ends at these tokens, in addition to the model's own end tokens.
    pub stop_token_ids: Vec<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            exit_layer: 8,
            num_speculations: 4,
            proposers: Proposers::default(),
            tree: 0,
            controller: Controller::default(),
            draft_vocab: 0,
            adapter: true,
            kvq_reuse: true,
            max_steps: 512,
            detail: false,
            logprobs: None,
            sampling: Sampling::default(),
            stop_strings: Vec::new(),
            stop_token_ids: Vec::new(),
        }
    }
}

impl Settings {
    /// Max value of [`Self::num_speculations`]. Each takes memory for a distribution over the vocabulary.
    pub const MAX_SPECULATIONS: usize = 64;
    /// Max value of [`Self::tree`].
    pub const MAX_TREE: usize = Ancestors::MAX_NODES - 1;

    /// Why the size of the draft head has no effect with a model: it exceeds the vocabulary. Such a size is accepted
    /// everywhere, because settings outlive models. The caller names the setting and its value as the user does.
    pub fn exceeds_vocabulary(&self, config: &LlamaConfig) -> Option<String> {
        let vocab = config.vocab_size;
        (self.draft_vocab > vocab).then(|| {
            format!(
                "has no effect: the vocabulary has {}",
                counted(vocab, "token")
            )
        })
    }

    /// Checks that a model with this config can run with these settings.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for the first one that is invalid.
    pub fn validate(&self, config: &LlamaConfig) -> Result<()> {
        let layers = config.num_layers;
        if self.strategy != Strategy::Autoregressive && layers < 2 {
            return Err(Error::out_of_range(
                "strategy",
                "this model has one layer and so no early exit; choose the autoregressive strategy",
            ));
        }
        if self.strategy != Strategy::Autoregressive && !(1..layers).contains(&self.exit_layer) {
            return Err(Error::out_of_range(
                "exit_layer",
                format!(
                    "exit layer is {}; this model has {layers} layers, so it may be 1 to {}",
                    self.exit_layer,
                    layers - 1
                ),
            ));
        }
        if self.strategy == Strategy::SelfSpeculative && self.num_speculations == 0 {
            let way_out = "it must be at least 1; to decode without drafts, choose the autoregressive strategy";
            return Err(Error::out_of_range(
                "num_speculations",
                format!("number of speculations is 0; {way_out}"),
            ));
        }
        if self.num_speculations > Self::MAX_SPECULATIONS {
            return Err(Error::out_of_range(
                "num_speculations",
                format!(
                    "number of speculations is {}; it may be 1 to {}",
                    self.num_speculations,
                    Self::MAX_SPECULATIONS
                ),
            ));
        }
        if self.tree > Self::MAX_TREE {
            return Err(Error::out_of_range(
                "tree",
                format!(
                    "tree has {}; it may be 0 (a chain) to {}",
                    counted(self.tree, "node"),
                    Self::MAX_TREE
                ),
            ));
        }
        if let Controller::Confidence { threshold } = self.controller
            && !(0.0..=1.0).contains(&threshold)
        {
            return Err(Error::out_of_range(
                "controller",
                format!("confidence threshold is {threshold}; it may be 0 to 1"),
            ));
        }
        self.sampling.validate()
    }
}
