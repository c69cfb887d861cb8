//! Requests for the tokenizer, as in vLLM.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct TokenizeRequest {
    /// Ignored: there is one model.
    #[expect(dead_code, reason = "only for the documentation")]
    model: Option<String>,
    /// Names of special tokens in it are parsed as those tokens.
    pub prompt: String,
    /// Whether to prepend the model's beginning-of-sequence token.
    pub add_special_tokens: Option<bool>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TokenizeResponse {
    pub tokens: Vec<u32>,
    pub count: usize,
    pub max_model_len: usize,
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct DetokenizeRequest {
    /// Ignored: there is one model.
    #[expect(dead_code, reason = "only for the documentation")]
    model: Option<String>,
    pub tokens: Vec<u32>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DetokenizeResponse {
    /// Special tokens are written by their names.
    pub prompt: String,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TokenizerInfo {
    pub bos_token: Option<String>,
    pub eos_token: Option<String>,
    pub pad_token: Option<String>,
    pub chat_template: Option<String>,
}
