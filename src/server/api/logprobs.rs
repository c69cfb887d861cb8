//! Log-probabilities in OpenAI's two formats, from the raw logits at the requested depth. Numbers are printed so that
//! they parse to the same value.

use crate::engine::decode::{KeptToken, TokenScore};
use crate::engine::text::{TextStream, Tokenizer};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Stands in for −∞, which JSON lacks.
const LEAST: f32 = -9999.0;

/// One token with its log-probabilities.
#[derive(Debug, Clone)]
pub struct TokenLog {
    /// The token by itself.
    piece: String,
    bytes: Vec<u8>,
    /// The text that it adds.
    text: String,
    /// `None` for the first token of a text.
    logprob: Option<f32>,
    top: Vec<(String, Vec<u8>, f32)>,
}

/// The format of completions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct CompletionLogprobs {
    tokens: Vec<String>,
    token_logprobs: Vec<Option<f64>>,
    /// Keyed by the text of a token.
    #[schema(value_type = Vec<Option<Object>>)]
    top_logprobs: Vec<Option<Map<String, Value>>>,
    /// In characters, from the start of the choice's text.
    text_offset: Vec<usize>,
}

/// The format of chats.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct ChatLogprobs {
    content: Vec<ChatTokenLogprob>,
    refusal: Option<Vec<ChatTokenLogprob>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ChatTokenLogprob {
    #[serde(flatten)]
    token: ChatTopLogprob,
    top_logprobs: Vec<ChatTopLogprob>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ChatTopLogprob {
    token: String,
    logprob: f64,
    bytes: Vec<u8>,
}

/// A log-probability for JSON, with all its digits.
fn number(logprob: f32) -> f64 {
    f64::from(logprob.max(LEAST))
}

impl TokenLog {
    /// A generated token with recorded log-probabilities.
    pub fn generated(token: &KeptToken, tokenizer: &Tokenizer) -> Option<Self> {
        let logs = token.logprobs?;
        let top = logs.top.iter().map(|top| {
            let bytes = tokenizer.token_bytes(top.id);
            (top.text.clone(), bytes, top.logprob)
        });
        Some(Self {
            piece: tokenizer.piece(token.id),
            bytes: tokenizer.token_bytes(token.id),
            text: token.text.to_owned(),
            logprob: Some(logs.logprob),
            top: top.collect(),
        })
    }

    /// The tokens of a prompt with the `scores` of all but the first. The first `hidden` tokens are not part of its
    /// text.
    pub fn prompt(
        ids: &[u32],
        hidden: usize,
        scores: &[TokenScore],
        tokenizer: &Tokenizer,
    ) -> Vec<Self> {
        let mut stream = TextStream::new(tokenizer).keep_special(true);
        let of = |id: u32| (tokenizer.piece(id), tokenizer.token_bytes(id));
        let scores = std::iter::once(None).chain(scores.iter().map(Some));
        let tokens = ids.iter().zip(scores).enumerate();
        tokens
            .map(|(at, (&id, score))| {
                let (piece, bytes) = of(id);
                let text = match at < hidden {
                    true => String::new(),
                    false => stream.push(id),
                };
                let top = score.into_iter().flat_map(|score| &score.top);
                Self {
                    piece,
                    bytes,
                    text,
                    logprob: score.map(|score| score.logprob),
                    top: top
                        .map(|&(id, logprob)| {
                            let (piece, bytes) = of(id);
                            (piece, bytes, logprob)
                        })
                        .collect(),
                }
            })
            .collect()
    }

    fn for_chat(&self) -> ChatTokenLogprob {
        let one = |piece: &str, bytes: &[u8], logprob| ChatTopLogprob {
            token: piece.to_owned(),
            logprob: number(logprob),
            bytes: bytes.to_vec(),
        };
        ChatTokenLogprob {
            token: one(&self.piece, &self.bytes, self.logprob.unwrap_or_default()),
            top_logprobs: self
                .top
                .iter()
                .map(|(piece, bytes, logprob)| one(piece, bytes, *logprob))
                .collect(),
        }
    }
}

impl CompletionLogprobs {
    /// For tokens whose text starts at `offset`; returns the end of the last one.
    pub fn of(tokens: &[TokenLog], mut offset: usize) -> (Self, usize) {
        let mut out = Self::default();
        for token in tokens {
            out.tokens.push(token.piece.clone());
            out.token_logprobs.push(token.logprob.map(number));
            out.top_logprobs.push(token.logprob.map(|logprob| {
                // Tokens with the same text share a key. The more likely one comes first and keeps it.
                let mut top = Map::new();
                let chosen = (&token.piece, logprob);
                let listed = token
                    .top
                    .iter()
                    .map(|(piece, _, logprob)| (piece, *logprob));
                for (piece, logprob) in listed.chain([chosen]) {
                    top.entry(piece.clone())
                        .or_insert_with(|| number(logprob).into());
                }
                top
            }));
            out.text_offset.push(offset);
            offset += token.text.chars().count();
        }
        (out, offset)
    }
}

impl ChatLogprobs {
    pub fn of(tokens: &[TokenLog]) -> Self {
        Self {
            content: tokens.iter().map(TokenLog::for_chat).collect(),
            refusal: None,
        }
    }
}
