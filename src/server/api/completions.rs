//! Requests for `/v1/completions`.

use super::decoding::{Decoding, MAX_TOP};
use super::fields::Supported;
use crate::engine::Error;
use crate::engine::loaded_model::PromptEncoder;
use crate::server::error::{ApiError, Result};
use crate::server::watch::cut;
use serde::Deserialize;
use std::sync::LazyLock;
use utoipa::{PartialSchema, ToSchema};

/// Texts to continue.
#[derive(Debug, Clone, ToSchema)]
pub struct CompletionRequest {
    #[schema(inline)]
    #[serde(flatten)]
    pub completion: Completion,
    #[serde(flatten)]
    pub decoding: Decoding,
}

/// Fields specific to completions.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct Completion {
    prompt: Prompts,
    /// Ignored: there is one model.
    #[expect(dead_code, reason = "only for the documentation")]
    model: Option<String>,
    /// Whether the text of a choice starts with the prompt.
    echo: Option<bool>,
    /// Lists log-probabilities, with this many alternatives at each token.
    logprobs: Option<usize>,
    /// Whether to prepend the model's beginning-of-sequence token to a text prompt.
    add_special_tokens: Option<bool>,
    /// Refused.
    suffix: Option<String>,
    /// Refused if greater than `n`.
    best_of: Option<usize>,
}

/// A text, texts, token ids or lists of token ids. Names of special tokens in a text are parsed as those tokens.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "it may be a string, a list of strings, a list of token ids or a list of such lists"
)]
enum Prompts {
    Text(String),
    Texts(Vec<String>),
    Ids(Vec<u32>),
    Rows(Vec<Vec<u32>>),
}

/// A prompt as tokens.
pub struct EncodedPrompt {
    pub ids: Vec<u32>,
    /// The prompt as echoed.
    pub text: String,
    /// The prompt as shown to watchers.
    pub shown: String,
    /// Number of leading tokens that are not part of the text.
    pub hidden: usize,
}

impl Completion {
    /// The fields of a request.
    pub fn supported() -> &'static Supported {
        static SUPPORTED: LazyLock<Supported> =
            LazyLock::new(|| Supported::of(&[Completion::schema(), Decoding::schema()]));
        &SUPPORTED
    }

    pub fn echoes(&self) -> bool {
        self.echo == Some(true)
    }

    /// Number of alternatives for each token; `None` if log-probabilities were not requested.
    ///
    /// # Errors
    /// If there are too many.
    pub fn logprobs(&self) -> Result<Option<usize>> {
        match self.logprobs {
            Some(top) if top > MAX_TOP => {
                Err(ApiError::invalid(format!("logprobs may be 0 to {MAX_TOP}")).of("logprobs"))
            }
            top => Ok(top),
        }
    }

    /// The prompts in their order, for `n` choices each.
    ///
    /// # Errors
    /// If there is no prompt, one cannot be tokenized, or a field is not supported.
    pub fn prompts(&self, n: usize, encoder: &PromptEncoder) -> Result<Vec<EncodedPrompt>> {
        if self
            .suffix
            .as_ref()
            .is_some_and(|suffix| !suffix.is_empty())
        {
            let message =
                "suffix is not supported: the model continues texts, it does not fill gaps";
            return Err(ApiError::unsupported("suffix", message));
        }
        if self.best_of.is_some_and(|best| best > n) {
            let message = "best_of is not supported; use n instead";
            return Err(ApiError::unsupported("best_of", message));
        }
        let prompts = match &self.prompt {
            Prompts::Text(text) => vec![self.text(text, encoder)?],
            Prompts::Texts(texts) => {
                let texts = texts.iter().map(|text| self.text(text, encoder));
                texts.collect::<Result<_>>()?
            }
            Prompts::Ids(ids) => vec![from_ids(ids, encoder)?],
            Prompts::Rows(rows) => {
                let rows = rows.iter().map(|ids| from_ids(ids, encoder));
                rows.collect::<Result<_>>()?
            }
        };
        match prompts.is_empty() {
            true => Err(ApiError::invalid("there is no prompt").of("prompt")),
            false => Ok(prompts),
        }
    }

    /// Number of prompts.
    pub fn len(&self) -> usize {
        match &self.prompt {
            Prompts::Text(_) | Prompts::Ids(_) => 1,
            Prompts::Texts(texts) => texts.len(),
            Prompts::Rows(rows) => rows.len(),
        }
    }

    fn text(&self, text: &str, encoder: &PromptEncoder) -> Result<EncodedPrompt> {
        let tokenizer = encoder.tokenizer()?;
        let bos = self.add_special_tokens != Some(false);
        let ids = tokenizer.encode_written(text, bos);
        let ids = ids.map_err(|error| ApiError::from(error).of("prompt"))?;
        let is_bos = |id: &u32| Some(*id) == tokenizer.bos();
        let Some(first) = ids.first() else {
            return Err(ApiError::from(Error::EmptyPrompt).of("prompt"));
        };
        // A BOS token written in the text is part of it.
        let written = is_bos(first) && text.starts_with(&tokenizer.piece(*first));
        Ok(EncodedPrompt {
            hidden: usize::from(bos && is_bos(first) && !written),
            text: text.to_owned(),
            shown: cut(text.to_owned()),
            ids,
        })
    }
}

/// Token ids are used unchanged: nothing is prepended.
fn from_ids(ids: &[u32], encoder: &PromptEncoder) -> Result<EncodedPrompt> {
    if ids.is_empty() {
        return Err(ApiError::from(Error::EmptyPrompt).of("prompt"));
    }
    let text = encoder.tokenizer()?.decode_whole(ids);
    Ok(EncodedPrompt {
        ids: ids.to_vec(),
        shown: cut(text.clone()),
        text,
        hidden: 0,
    })
}
