//! Fields about decoding, common to chats and completions.

use crate::engine::config::LlamaConfig;
use crate::engine::decode::{Controller, Proposers, Settings, Strategy};
use crate::engine::sampling::Coupling;
use crate::server::error::{ApiError, Result};
use serde::Deserialize;
use serde_json::{Map, Number, Value};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use utoipa::ToSchema;

/// Max bytes of all stop strings of a request together.
pub const MAX_STOP_BYTES: usize = 1 << 14;
/// Max choices of a request over all of its prompts.
pub const MAX_CHOICES: usize = 256;
/// Max alternatives listed at a position.
pub const MAX_TOP: usize = 20;

/// Sampling, limits and the fields of skiplens. Missing fields default to the server's options.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
pub struct Decoding {
    /// Max tokens to generate.
    max_tokens: Option<usize>,
    /// As `max_tokens`, which it replaces in OpenAI's chat API.
    max_completion_tokens: Option<usize>,
    /// 0 is greedy.
    temperature: Option<f32>,
    top_p: Option<f32>,
    /// Keep the k most likely tokens; 0 or -1 keeps all.
    top_k: Option<i64>,
    min_p: Option<f32>,
    #[serde(alias = "repeat_penalty")]
    repetition_penalty: Option<f32>,
    no_repeat_ngram_size: Option<usize>,
    /// Choice i of a request has seed + i. Without a seed every request has its own.
    #[schema(value_type = Option<i64>)]
    seed: Option<Number>,
    /// Generation stops before any of these.
    stop: Option<OneOrMany>,
    stop_token_ids: Option<Vec<u32>>,
    /// Number of choices for each prompt.
    n: Option<usize>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    /// Exit layer E: a draft runs the first E layers; -1 for the default.
    exit_layer: Option<i64>,
    /// Speculations K: max tokens that a round drafts; -1 for the default.
    num_speculations: Option<i64>,
    /// What drafts: `exit`, `lookup`, `exit+lookup` or `auto`.
    #[schema(value_type = Option<String>)]
    proposers: Option<Named<Proposers>>,
    /// Draft a tree of at most this many nodes; 0 drafts a chain.
    tree: Option<usize>,
    /// `fixed`, `confidence:P`, `adaptive` or `auto`. With `exit_layer`, `num_speculations` or `tree` it is `fixed`.
    controller: Option<String>,
    /// A draft ends at the first token less likely than this, 0 to 1. Selects the confidence controller, unless
    /// `controller` names another one.
    confidence: Option<f32>,
    /// `autoregressive`, `early-exit` or `self-speculative`.
    #[schema(value_type = Option<String>)]
    strategy: Option<Named<Strategy>>,
    /// Draft with a head over the N most frequent tokens and those of the text; 0 uses the whole vocabulary, as does
    /// more than it has.
    draft_vocab: Option<usize>,
    /// Use the adapters of exits that have one for drafting.
    adapter: Option<Switch>,
    /// Start the verify phase from the draft's hidden states at the exit.
    kvq_reuse: Option<Switch>,
    /// `shared-noise` or `rejection`.
    #[schema(value_type = Option<String>)]
    coupling: Option<Named<Coupling>>,
    /// Details to return beyond OpenAI's fields.
    skiplens: Option<Detail>,
    /// Refused unless 0.
    frequency_penalty: Option<f32>,
    /// Refused unless 0.
    presence_penalty: Option<f32>,
    /// Refused unless empty.
    #[schema(value_type = Option<Object>)]
    logit_bias: Option<Map<String, Value>>,
}

/// One text or several.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged, expecting = "it may be a string or a list of strings")]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
struct StreamOptions {
    /// Send one more chunk with usage at the end.
    include_usage: Option<bool>,
    /// Ignored: nothing is padded.
    #[expect(dead_code, reason = "only for the documentation")]
    include_obfuscation: Option<bool>,
}

#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Detail {
    /// List tokens with their origins and probabilities, and the rounds they come from.
    detail: Option<bool>,
}

/// `true` or `false`, or as on the command line `"on"` or `"off"`.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(untagged, expecting = "it may be true, false, \"on\" or \"off\"")]
enum Switch {
    Bool(bool),
    Word(SwitchWord),
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum SwitchWord {
    On,
    Off,
}

impl Switch {
    fn is_on(self) -> bool {
        match self {
            Self::Bool(on) => on,
            Self::Word(word) => word == SwitchWord::On,
        }
    }
}

/// A name with dashes or underscores.
#[derive(Debug, Clone, Copy)]
struct Named<T>(T);

impl<'de, T: serde::de::DeserializeOwned> Deserialize<'de> for Named<T> {
    fn deserialize<D: serde::Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let name = String::deserialize(source)?
            .to_lowercase()
            .replace('_', "-");
        let name = serde::de::value::StringDeserializer::<D::Error>::new(name);
        T::deserialize(name).map(Self)
    }
}

impl Decoding {
    pub fn streams(&self) -> bool {
        self.stream == Some(true)
    }

    /// Whether a stream ends with a chunk of usage.
    pub fn includes_usage(&self) -> bool {
        let options = self.stream_options.as_ref();
        options.is_some_and(|options| options.include_usage == Some(true))
    }

    pub fn wants_detail(&self) -> bool {
        let detail = self.skiplens.as_ref();
        detail.is_some_and(|skiplens| skiplens.detail == Some(true))
    }

    /// Number of choices for each of `prompts` prompts.
    ///
    /// # Errors
    /// If it is 0, or the total is too large.
    pub fn choices(&self, prompts: usize) -> Result<usize> {
        let n = self.n.unwrap_or(1);
        if n == 0 {
            return Err(ApiError::invalid("n is 0; it must be at least 1").of("n"));
        }
        if n.saturating_mul(prompts) > MAX_CHOICES {
            let message =
                format!("a request may have at most {MAX_CHOICES} choices over all prompts");
            return Err(ApiError::invalid(message).of("n"));
        }
        Ok(n)
    }

    /// The settings of each of `n` choices, on top of the server's `defaults`. `seed` is whether the default seed was
    /// set explicitly; `max_tokens` is the limit if the request has none.
    ///
    /// # Errors
    /// If a field is unsupported or invalid for this model.
    pub fn settings(
        &self,
        n: usize,
        defaults: &Settings,
        seed: bool,
        max_tokens: usize,
        logprobs: Option<usize>,
        config: &LlamaConfig,
    ) -> Result<Vec<Arc<Settings>>> {
        self.refuse_unsupported()?;
        let mut s = defaults.clone();
        s.detail = false;
        s.logprobs = logprobs;
        s.max_steps = self
            .max_completion_tokens
            .or(self.max_tokens)
            .unwrap_or(max_tokens);
        set(&mut s.exit_layer, positive(self.exit_layer, "exit_layer")?);
        let speculations = positive(self.num_speculations, "num_speculations")?;
        set(&mut s.num_speculations, speculations);
        set(&mut s.strategy, self.strategy.map(|named| named.0));
        if s.controller == Controller::Auto && self.names_a_draft() {
            s.controller = Controller::Fixed;
            if s.proposers == Proposers::Auto {
                s.proposers = Proposers::Exit;
            }
        }
        if let Some(name) = &self.controller {
            let controller = name.parse::<Controller>();
            s.controller =
                controller.map_err(|message| ApiError::invalid(message).of("controller"))?;
        }
        if let Some(threshold) = self.confidence {
            if !(0.0..=1.0).contains(&threshold) {
                let message = format!("confidence is {threshold}; it may be 0 to 1");
                return Err(ApiError::invalid(message).of("confidence"));
            }
            if self.controller.is_none() || matches!(s.controller, Controller::Confidence { .. }) {
                s.controller = Controller::Confidence { threshold };
            }
        }
        set(&mut s.proposers, self.proposers.map(|named| named.0));
        set(&mut s.tree, self.tree);
        set(&mut s.draft_vocab, self.draft_vocab);
        set(&mut s.adapter, self.adapter.map(Switch::is_on));
        set(&mut s.kvq_reuse, self.kvq_reuse.map(Switch::is_on));
        let sampling = &mut s.sampling;
        if let Some(temperature) = self.temperature {
            sampling.temperature = temperature;
            sampling.sample = temperature != 0.0;
        }
        let top_k = self.top_k.map(|k| usize::try_from(k).unwrap_or(0));
        set(&mut sampling.top_k, top_k);
        set(&mut sampling.top_p, self.top_p);
        set(&mut sampling.min_p, self.min_p);
        set(&mut sampling.repetition_penalty, self.repetition_penalty);
        set(&mut sampling.no_repeat_ngram, self.no_repeat_ngram_size);
        set(&mut sampling.coupling, self.coupling.map(|named| named.0));
        sampling.seed = match &self.seed {
            Some(number) => whole(number)?,
            None if seed => sampling.seed,
            None => random(),
        };
        self.set_stops(&mut s)?;
        s.validate(config)?;
        Ok((0..n as u64)
            .map(|i| {
                let mut choice = s.clone();
                choice.sampling.seed = s.sampling.seed.wrapping_add(i);
                Arc::new(choice)
            })
            .collect())
    }

    /// The fields of the request that have no effect with these settings, which come from it.
    pub fn without_effect(&self, settings: &Settings, config: &LlamaConfig) -> Vec<&'static str> {
        let is_confident = matches!(settings.controller, Controller::Confidence { .. });
        let fields = [
            ("confidence", self.confidence.is_some() && !is_confident),
            (
                "draft_vocab",
                self.draft_vocab.is_some() && settings.exceeds_vocabulary(config).is_some(),
            ),
        ];
        fields
            .into_iter()
            .filter_map(|(name, has_none)| has_none.then_some(name))
            .collect()
    }

    /// Whether the request specifies how to draft.
    fn names_a_draft(&self) -> bool {
        self.exit_layer.is_some_and(|exit_layer| exit_layer != -1)
            || self.num_speculations.is_some_and(|k| k != -1)
            || self.tree.is_some()
            || self.coupling.is_some()
    }

    fn set_stops(&self, settings: &mut Settings) -> Result<()> {
        match &self.stop {
            Some(OneOrMany::One(stop)) => settings.stop_strings = vec![stop.clone()],
            Some(OneOrMany::Many(stops)) => settings.stop_strings.clone_from(stops),
            None => {}
        }
        settings.stop_strings.retain(|stop| !stop.is_empty());
        set(&mut settings.stop_token_ids, self.stop_token_ids.clone());
        if settings.stop_strings.iter().map(String::len).sum::<usize>() > MAX_STOP_BYTES {
            let message = format!("stop strings may have {MAX_STOP_BYTES} bytes together");
            return Err(ApiError::invalid(message).of("stop"));
        }
        Ok(())
    }

    fn refuse_unsupported(&self) -> Result<()> {
        for (name, value) in [
            ("frequency_penalty", self.frequency_penalty),
            ("presence_penalty", self.presence_penalty),
        ] {
            if value.is_some_and(|value| value != 0.0) {
                let message = format!("{name} is not supported; repetition_penalty is");
                return Err(ApiError::unsupported(name, message));
            }
        }
        if self
            .logit_bias
            .as_ref()
            .is_some_and(|bias| !bias.is_empty())
        {
            return Err(ApiError::unsupported(
                "logit_bias",
                "logit_bias is not supported",
            ));
        }
        Ok(())
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// A number; −1 means the default.
fn positive(value: Option<i64>, name: &str) -> Result<Option<usize>> {
    match value {
        None | Some(-1) => Ok(None),
        Some(value) => usize::try_from(value).map(Some).map_err(|_| {
            let message = format!("{name} is {value}; -1 stands for the default");
            ApiError::invalid(message).of(name)
        }),
    }
}

/// Any 64-bit integer as a seed.
fn whole(number: &Number) -> Result<u64> {
    let whole = number.as_u64().or(number.as_i64().map(i64::cast_unsigned));
    whole.ok_or_else(|| {
        let message = format!("seed is {number}; it must be a 64-bit integer");
        ApiError::invalid(message).of("seed")
    })
}

/// A random seed.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
