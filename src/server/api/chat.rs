//! Requests for `/v1/chat/completions`.

use super::decoding::{Decoding, MAX_TOP};
use super::fields::Supported;
use crate::engine::prompt::{Message, Role};
use crate::server::error::{ApiError, Result};
use serde::Deserialize;
use serde_json::Value;
use std::sync::LazyLock;
use utoipa::{PartialSchema, ToSchema};

/// A conversation to answer.
#[derive(Debug, Clone, ToSchema)]
pub struct ChatRequest {
    #[schema(inline)]
    #[serde(flatten)]
    pub chat: Chat,
    #[serde(flatten)]
    pub decoding: Decoding,
}

/// Fields specific to chats.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct Chat {
    messages: Vec<ChatMessage>,
    /// Ignored: there is one model.
    #[expect(dead_code, reason = "only for the documentation")]
    model: Option<String>,
    /// Whether to list log-probabilities.
    logprobs: Option<bool>,
    /// Number of alternatives to list at each token.
    top_logprobs: Option<usize>,
    /// Refused unless empty.
    #[schema(value_type = Option<Vec<Object>>)]
    tools: Option<Vec<Value>>,
    /// As `tools`.
    #[schema(value_type = Option<Vec<Object>>)]
    functions: Option<Vec<Value>>,
    /// Refused unless its type is `text`.
    response_format: Option<ResponseFormat>,
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
struct ResponseFormat {
    #[serde(rename = "type")]
    kind: String,
}

/// A message of a conversation.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct ChatMessage {
    /// `system`, `developer` (which counts as system), `user` or `assistant`.
    role: String,
    content: Option<Content>,
    /// Refused unless empty.
    #[schema(value_type = Option<Vec<Object>>)]
    tool_calls: Option<Vec<Value>>,
    /// Refused.
    #[schema(value_type = Option<Object>)]
    function_call: Option<Value>,
}

/// A text, or a list of texts.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged, expecting = "it may be a string or a list of parts")]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
}

impl Chat {
    /// The fields of a request.
    pub fn supported() -> &'static Supported {
        static SUPPORTED: LazyLock<Supported> =
            LazyLock::new(|| Supported::of(&[Chat::schema(), Decoding::schema()]));
        &SUPPORTED
    }

    /// Number of alternatives for each token; `None` if log-probabilities were not requested.
    ///
    /// # Errors
    /// If there are too many, or they were requested without log-probabilities.
    pub fn logprobs(&self) -> Result<Option<usize>> {
        let top = self.top_logprobs.unwrap_or(0);
        if top > MAX_TOP {
            let message = format!("top_logprobs may be 0 to {MAX_TOP}");
            return Err(ApiError::invalid(message).of("top_logprobs"));
        }
        let lists = self.logprobs == Some(true);
        if top > 0 && !lists {
            let message = "top_logprobs needs logprobs: true";
            return Err(ApiError::invalid(message).of("top_logprobs"));
        }
        Ok(lists.then_some(top))
    }

    /// The conversation.
    ///
    /// # Errors
    /// If it is empty or has unsupported parts.
    pub fn messages(&self) -> Result<Vec<Message>> {
        let is_filled = |list: &Option<Vec<Value>>| list.as_ref().is_some_and(|l| !l.is_empty());
        for (name, list) in [("tools", &self.tools), ("functions", &self.functions)] {
            if is_filled(list) {
                let message = format!("{name} are not supported; omit them");
                return Err(ApiError::unsupported(name, message));
            }
        }
        let format = self.response_format.as_ref();
        if format.is_some_and(|format| format.kind != "text") {
            let message = "only plain text is supported; omit response_format";
            return Err(ApiError::unsupported("response_format", message));
        }
        if self.messages.is_empty() {
            return Err(ApiError::invalid("there are no messages").of("messages"));
        }
        let messages = self.messages.iter().enumerate();
        messages
            .map(|(at, message)| message.plain(&format!("messages[{at}]")))
            .collect()
    }
}

impl ChatMessage {
    fn plain(&self, at: &str) -> Result<Message> {
        let role = match self.role.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" | "function" => {
                let message = "tool results are not supported; omit them";
                return Err(ApiError::unsupported(&format!("{at}.role"), message));
            }
            other => {
                let message = format!(
                    "there is no role {other:?}; choose system, developer, user or assistant"
                );
                return Err(ApiError::invalid(message).of(&format!("{at}.role")));
            }
        };
        let calls = self.tool_calls.as_ref();
        for (name, is_set) in [
            ("tool_calls", calls.is_some_and(|calls| !calls.is_empty())),
            ("function_call", self.function_call.is_some()),
        ] {
            if is_set {
                let message = "tool calls are not supported; omit them";
                return Err(ApiError::unsupported(&format!("{at}.{name}"), message));
            }
        }
        let content = match &self.content {
            None if role == Role::Assistant => String::new(),
            None => {
                let message = format!("the field content of {at} is missing");
                return Err(ApiError::invalid(message).of(&format!("{at}.content")));
            }
            Some(Content::Text(text)) => text.clone(),
            Some(Content::Parts(parts)) => {
                let texts = parts.iter().map(|part| part.text(at));
                texts.collect::<Result<Vec<_>>>()?.join("\n")
            }
        };
        Ok(Message { role, content })
    }
}

impl Part {
    fn text(&self, at: &str) -> Result<&str> {
        match (self.kind.as_str(), &self.text) {
            ("text", Some(text)) => Ok(text),
            ("text", None) => {
                Err(ApiError::invalid("a part of a text has no text").of(&format!("{at}.content")))
            }
            (kind, _) => {
                let message = format!("parts of the type {kind:?} are not supported, only text is");
                Err(ApiError::unsupported(&format!("{at}.content"), message))
            }
        }
    }
}
