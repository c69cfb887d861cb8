//! Turns the body of a request into a job.

use super::api::chat::{Chat, ChatRequest};
use super::api::completions::{Completion, CompletionRequest, EncodedPrompt};
use super::api::decoding::Decoding;
use super::api::parse;
use super::engine::{Item, Job, Scoring, Update};
use super::error::Result;
use super::{Shared, now};
use crate::engine::Error;
use crate::engine::decode::{Settings, Strategy};
use crate::engine::prompt::Prompt;
use serde_json::Value;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Default max tokens of a completion, as in OpenAI's API.
const COMPLETION_TOKENS: usize = 16;

/// A parsed and validated request.
pub struct Plan {
    pub shape: Shape,
    pub id: String,
    pub created: u64,
    pub prompts: Vec<EncodedPrompt>,
    /// Settings of each choice for a prompt.
    pub settings: Vec<Arc<Settings>>,
    pub echo: bool,
    pub logprobs: bool,
    pub streams: bool,
    pub includes_usage: bool,
    pub detail: bool,
    /// Fields of the request that have no effect: unknown ones, and those that its other fields or the model rule out.
    pub ignored: Vec<String>,
}

/// The format of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Completion,
    Chat,
}

impl Plan {
    /// Parses a body for `/v1/completions`.
    ///
    /// # Errors
    /// If the request is invalid; the error names the field.
    pub fn completion(body: &Value, id: &str, shared: &Shared) -> Result<Self> {
        let mut ignored = parse::unknown_fields(body, Completion::supported())?;
        let CompletionRequest {
            completion,
            decoding,
        } = CompletionRequest {
            completion: parse::fields::<Completion>(body)?,
            decoding: parse::fields(body)?,
        };
        let n = decoding.choices(completion.len())?;
        let logprobs = completion.logprobs()?;
        let settings = shared.settings(&decoding, n, COMPLETION_TOKENS, logprobs)?;
        ignored.extend(shared.without_effect(&decoding, &settings));
        let prompts = completion.prompts(n, &shared.encoder)?;
        let plan = Self {
            shape: Shape::Completion,
            id: format!("cmpl-{id}"),
            created: now(),
            prompts,
            settings,
            echo: completion.echoes(),
            logprobs: logprobs.is_some(),
            streams: decoding.streams(),
            includes_usage: decoding.includes_usage(),
            detail: decoding.wants_detail(),
            ignored,
        };
        plan.check(shared, "prompt")
    }

    /// Parses a body for `/v1/chat/completions`.
    ///
    /// # Errors
    /// If the request is invalid; the error names the field.
    pub fn chat(body: &Value, id: &str, shared: &Shared) -> Result<Self> {
        let mut ignored = parse::unknown_fields(body, Chat::supported())?;
        let ChatRequest { chat, decoding } = ChatRequest {
            chat: parse::fields::<Chat>(body)?,
            decoding: parse::fields(body)?,
        };
        let n = decoding.choices(1)?;
        let logprobs = chat.logprobs()?;
        let context = shared.info.config.context_length;
        let max_tokens = shared.options.max_tokens.unwrap_or(context);
        let settings = shared.settings(&decoding, n, max_tokens, logprobs)?;
        ignored.extend(shared.without_effect(&decoding, &settings));
        let prompt = Prompt::Chat(chat.messages()?);
        let (shown, _) = super::watch::shown(&prompt);
        let ids = shared.encoder.encode(&prompt);
        let ids = ids.map_err(|error| super::error::ApiError::from(error).of("messages"))?;
        let plan = Self {
            shape: Shape::Chat,
            id: format!("chatcmpl-{id}"),
            created: now(),
            prompts: vec![EncodedPrompt {
                ids,
                text: String::new(),
                shown,
                hidden: 0,
            }],
            settings,
            echo: false,
            logprobs: logprobs.is_some(),
            streams: decoding.streams(),
            includes_usage: decoding.includes_usage(),
            detail: decoding.wants_detail(),
            ignored,
        };
        plan.check(shared, "messages")
    }

    /// Fails early where the engine would fail: before the response starts, an error can have its own status.
    fn check(self, shared: &Shared, param: &str) -> Result<Self> {
        let config = &shared.info.config;
        let (context, size) = (config.context_length, config.vocab_size);
        for prompt in &self.prompts {
            let tokens = prompt.ids.len();
            let strange = prompt.ids.iter().find(|&&id| id as usize >= size);
            let fault = match strange {
                Some(id) => Error::Setting(format!(
                    "token {id} is not in this model's vocabulary of {size}"
                )),
                None if tokens >= context => Error::PromptTooLong { tokens, context },
                None => continue,
            };
            return Err(super::error::ApiError::from(fault).of(param));
        }
        Ok(self)
    }

    /// The job, and the receiver of its updates.
    pub fn job(&self) -> (Job, UnboundedReceiver<Update>) {
        let (updates, receiver) = unbounded_channel();
        let items = self.prompts.iter().map(|prompt| Item {
            prompt: prompt.ids.as_slice().into(),
            scoring: self.scoring(),
            shown: (prompt.shown.clone(), self.shape == Shape::Chat),
            choices: self.settings.clone(),
        });
        let job = Job {
            items: items.collect(),
            updates,
            asked_at: Instant::now(),
        };
        (job, receiver)
    }

    /// How to score the prompts, if they are echoed with log-probabilities.
    fn scoring(&self) -> Option<Scoring> {
        let settings = self.settings.first()?;
        let top = settings.logprobs.filter(|_| self.echo)?;
        Some(Scoring {
            exit_layer: (settings.strategy == Strategy::EarlyExit).then_some(settings.exit_layer),
            top,
        })
    }

    /// Number of choices for all prompts.
    pub fn choices(&self) -> usize {
        self.prompts.len() * self.settings.len()
    }
}

impl Shared {
    fn settings(
        &self,
        decoding: &Decoding,
        n: usize,
        max_tokens: usize,
        logprobs: Option<usize>,
    ) -> Result<Vec<Arc<Settings>>> {
        let options = &self.options;
        decoding.settings(
            n,
            &options.defaults,
            options.seeded,
            max_tokens,
            logprobs,
            &self.info.config,
        )
    }

    /// The fields of a request that have no effect on any of its choices, which differ in their seeds only.
    fn without_effect(&self, decoding: &Decoding, choices: &[Arc<Settings>]) -> Vec<String> {
        let first = choices.first();
        let names = first.map(|settings| decoding.without_effect(settings, &self.info.config));
        names.into_iter().flatten().map(str::to_owned).collect()
    }
}
