//! Drafted and closing tokens, and what is recorded of each.

use serde::{Deserialize, Serialize};

/// Where a token of the text comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Typed by the user or added by the chat template.
    Prompt,
    /// Drafted and accepted.
    Accepted,
    /// The verifier's token in place of the first rejected draft.
    Corrected,
    /// The verifier's extra token after a fully accepted draft.
    Bonus,
    /// Autoregressive or early-exit decoding: nothing was drafted.
    Plain,
}

/// A drafted token, accepted or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DraftToken {
    /// Token id.
    pub id: u32,
    /// The text that the token appends; empty while a character is incomplete.
    pub text: String,
    /// The node it follows; `None` for the previous node, or for the text if it is the first one, as in a chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// What proposed it. Readers that do not know the field take every token as drafted by early exit.
    #[serde(
        default,
        rename = "proposed_by",
        skip_serializing_if = "Proposer::is_early_exit"
    )]
    pub proposer: Proposer,
    /// Its rank among the proposer's candidates after its parent, from 0; always 0 in a chain.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rank: usize,
    /// Its probability under the draft, after filtering; `None` if the proposer assigns no probabilities.
    pub p_draft: Option<f32>,
    /// Its probability under the verifier, after filtering; `None` if the verifier did not reach it.
    pub p_verify: Option<f32>,
    /// The verifier's log-probabilities before temperature and filters, if [`Settings::logprobs`](super::Settings::logprobs) requests them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Box<TokenLogprobs>>,
    /// What the inspector shows, if recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<TokenDetail>>,
}

impl DraftToken {
    /// A token drafted by early exit with probability `p_draft`, following the previous node and not yet verified.
    pub fn new(id: u32, text: impl Into<String>, p_draft: f32) -> Self {
        Self {
            id,
            text: text.into(),
            parent: None,
            proposer: Proposer::EarlyExit,
            rank: 0,
            p_draft: Some(p_draft),
            p_verify: None,
            logprobs: None,
            detail: None,
        }
    }

    /// The parent of this token at index `node`; `None` if it follows the text.
    pub fn parent_of(&self, node: usize) -> Option<usize> {
        match self.parent {
            Some(Parent::Root) => None,
            Some(Parent::Node(parent)) => Some(parent),
            None => node.checked_sub(1),
        }
    }

    /// Whether this token at index `node` follows `parent`: a node, or `None` for the text.
    pub fn follows(&self, node: usize, parent: Option<usize>) -> bool {
        self.parent_of(node) == parent
    }
}

/// The parent of a drafted node that does not follow the previous one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parent {
    /// The text itself.
    Root,
    /// The node with this index.
    Node(usize),
}

impl Parent {
    /// The field [`DraftToken::parent`] of the node at index `node` that follows `parent`: a node, or `None` for the
    /// text.
    pub fn of(node: usize, parent: Option<usize>) -> Option<Self> {
        match parent {
            _ if parent == node.checked_sub(1) => None,
            Some(parent) => Some(Self::Node(parent)),
            None => Some(Self::Root),
        }
    }
}

/// A source of draft tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proposer {
    /// The first E layers.
    #[default]
    EarlyExit,
    /// A continuation of an earlier occurrence of the text's last tokens.
    Lookup,
    /// The first E layers and the exit's adapter.
    Adapter,
}

impl Proposer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::EarlyExit, Self::Lookup, Self::Adapter];

    /// The name on screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::EarlyExit => "early exit",
            Self::Lookup => "lookup",
            Self::Adapter => "adapter",
        }
    }

    /// Whether its drafts come from a distribution: those of an exit, with or without an adapter.
    pub fn exits(self) -> bool {
        self != Self::Lookup
    }

    fn is_early_exit(&self) -> bool {
        *self == Self::EarlyExit
    }
}

/// The token that ends a round, chosen by the verifier (or, in early-exit decoding, by the exit).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClosingToken {
    /// Token id.
    pub id: u32,
    /// The text that the token appends; empty while a character is incomplete.
    pub text: String,
    /// `Corrected`, `Bonus` or `Plain`.
    pub origin: Origin,
    /// Its probability under the draft, if a token was drafted at its position.
    pub p_draft: Option<f32>,
    /// Its probability under the distribution that chose it.
    pub p_verify: f32,
    /// As [`DraftToken::logprobs`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Box<TokenLogprobs>>,
    /// What the inspector shows, if recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<TokenDetail>>,
}

impl ClosingToken {
    /// A token chosen with probability `p_verify` at a position without a draft.
    pub fn new(id: u32, text: impl Into<String>, origin: Origin, p_verify: f32) -> Self {
        Self {
            id,
            text: text.into(),
            origin,
            p_draft: None,
            p_verify,
            logprobs: None,
            detail: None,
        }
    }
}

/// Natural log-probabilities at one position from the raw logits, before temperature, penalties and filters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprobs {
    /// Log-probability of the token itself.
    pub logprob: f32,
    /// The likeliest tokens in descending order, as many as the settings ask for.
    pub top: Vec<TopLogprob>,
}

/// A likely token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopLogprob {
    /// Token id.
    pub id: u32,
    /// The token as readable text.
    pub text: String,
    /// Its log-probability.
    pub logprob: f32,
}

/// Details of one token's position for the inspector, recorded when [`Settings::detail`](super::Settings::detail) is on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenDetail {
    /// The draft's five likeliest tokens in descending order; empty if nothing was drafted.
    pub draft_top: Vec<Candidate>,
    /// The verifier's five likeliest tokens in descending order; empty if the verifier did not reach the position.
    pub verify_top: Vec<Candidate>,
    /// Entropy of the draft's distribution in nats.
    pub draft_entropy: Option<f32>,
    /// Entropy of the verifier's distribution in nats.
    pub verify_entropy: Option<f32>,
    /// What each layer 1..=L would have predicted through the final norm and head; empty for nodes that are not on the
    /// path of the text.
    pub layers: Vec<LayerChoice>,
}

/// A token that could have been chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Token id.
    pub id: u32,
    /// The token as readable text.
    pub text: String,
    /// Its probability.
    pub p: f32,
}

/// What one layer would have predicted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerChoice {
    /// Exit layer, 1..=L.
    pub layer: usize,
    /// Token id.
    pub id: u32,
    /// The token as readable text.
    pub text: String,
    /// Its probability.
    pub p: f32,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}
