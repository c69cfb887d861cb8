//! Responses, complete and in chunks.

use super::figures::{RequestMetrics, Timings, Usage};
use super::logprobs::{ChatLogprobs, CompletionLogprobs};
use crate::engine::decode::{Origin, Round, StopReason};
use serde::Serialize;
use utoipa::ToSchema;

/// A response or a chunk of one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Answer {
    pub id: String,
    pub object: &'static str,
    /// Seconds since 1970.
    pub created: u64,
    pub model: String,
    pub system_fingerprint: String,
    pub choices: Vec<Choice>,
    /// In a stream only if requested; then null in all chunks but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Usage>)]
    pub usage: Option<Option<Usage>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timings: Option<Timings>,
    /// Null if there are several choices; in a stream only in the chunk with usage.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<RequestMetrics>)]
    pub metrics: Option<Option<RequestMetrics>>,
}

/// One choice of a response.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Choice {
    pub index: usize,
    #[serde(flatten)]
    pub content: ChoiceContent,
    /// `stop` or `length`; null while the choice is not complete.
    pub finish_reason: Option<&'static str>,
    /// The stop string or stop token that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<StopCause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skiplens: Option<ChoiceDetail>,
}

/// The content of a choice.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ChoiceContent {
    Completion {
        text: String,
        logprobs: Option<CompletionLogprobs>,
    },
    Chat {
        message: AnswerMessage,
        logprobs: Option<ChatLogprobs>,
    },
    ChatChunk {
        delta: Delta,
        logprobs: Option<ChatLogprobs>,
    },
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AnswerMessage {
    pub role: &'static str,
    pub content: String,
    pub refusal: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// vLLM's `stop_reason`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum StopCause {
    String(String),
    Token(u32),
}

impl StopCause {
    /// `None` if neither a stop string nor a stop token of the request ended it.
    pub fn of(stop: &StopReason) -> Option<Self> {
        match stop {
            StopReason::StopString(text) => Some(Self::String(text.clone())),
            StopReason::StopToken(id) => Some(Self::Token(*id)),
            _ => None,
        }
    }
}

/// Where tokens come from. In a stream, those of the chunk.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct ChoiceDetail {
    pub tokens: Vec<TokenDetail>,
    /// The rounds as `skiplens generate --json` prints them.
    #[schema(value_type = Vec<Object>)]
    pub rounds: Vec<Round>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TokenDetail {
    pub id: u32,
    pub text: String,
    /// `accepted`, `corrected`, `bonus` or `plain`.
    #[schema(value_type = String)]
    pub origin: Origin,
    pub p_draft: Option<f32>,
    pub p_verify: Option<f32>,
}

impl ChoiceDetail {
    pub fn add(&mut self, round: Round) {
        self.tokens.extend(round.kept().map(|token| TokenDetail {
            id: token.id,
            text: token.text.to_owned(),
            origin: token.origin,
            p_draft: token.p_draft,
            p_verify: token.p_verify,
        }));
        self.rounds.push(round);
    }
}
