//! The record of decoding: one [`Round`] after the other, from which colours, rates, transcripts, server streams,
//! benchmarks and correctness are all derived.

use super::{Settings, Strategy};
use serde::{Deserialize, Serialize};

/// Where a token of the text comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Typed by the user or put there by the chat template.
    Prompt,
    /// Drafted and kept.
    Accepted,
    /// The verifier's token in place of the first rejected draft.
    Corrected,
    /// The verifier's extra token after a fully accepted draft.
    Bonus,
    /// Autoregressive or early-exit decoding: nothing was drafted.
    Plain,
}

/// One draft phase and one verify phase. An autoregressive or early-exit step is a round with nothing drafted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Number of the round within its run, from 0.
    pub index: usize,
    /// Absolute position, in tokens, of the first token this round adds.
    pub position: usize,
    /// Settings in force, read at the start of the round.
    pub settings: Settings,
    /// Why a controller chose these settings; none when the user did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<String>,
    /// Every drafted token in order; those from `accepted` on were rejected.
    pub drafted: Vec<DraftToken>,
    /// How many of the drafted tokens were kept, from the front.
    pub accepted: usize,
    /// The token that ends the round; none when the run ended before or within the accepted drafts.
    pub last: Option<FinalToken>,
    /// Seconds from the round's start to the last drafted token.
    pub draft_seconds: f64,
    /// Seconds from there to the verifier's decision; for a round with nothing drafted, the whole step.
    pub verify_seconds: f64,
    /// Why the run ended with this round, if it did.
    pub stop: Option<StopReason>,
}

/// A drafted token, accepted or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DraftToken {
    pub id: u32,
    /// The text the token adds after the tokens before it; empty while it holds back an unfinished character.
    pub text: String,
    /// Its probability under the draft, after filtering.
    pub p_draft: f32,
    /// Its probability under the verifier, after filtering; none where the verifier did not come to it.
    pub p_verify: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<TokenDetail>>,
}

/// The token that ends a round, chosen by the verifier (or, in early-exit decoding, by the exit).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinalToken {
    pub id: u32,
    /// The text the token adds after the tokens before it; empty while it holds back an unfinished character.
    pub text: String,
    /// `Corrected`, `Bonus` or `Plain`.
    pub origin: Origin,
    /// Its probability under the draft, where a draft was made at its position.
    pub p_draft: Option<f32>,
    /// Its probability under the distribution that chose it.
    pub p_verify: f32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<TokenDetail>>,
}

/// What the inspector shows of one token's position, recorded when [`Settings::detail`] is on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenDetail {
    /// The draft's five most likely tokens, the likeliest first; empty where nothing was drafted.
    pub draft_top: Vec<Candidate>,
    /// The verifier's five most likely tokens, the likeliest first; empty where the verifier did not come.
    pub verify_top: Vec<Candidate>,
    /// Entropy of the draft's distribution in nats.
    pub draft_entropy: Option<f32>,
    /// Entropy of the verifier's distribution in nats.
    pub verify_entropy: Option<f32>,
    /// What each layer 1..=L would have said through the final norm and head; empty where the text went another way.
    pub layers: Vec<LayerChoice>,
}

/// A token that could have been chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    pub id: u32,
    pub text: String,
    pub p: f32,
}

/// What one layer would have said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerChoice {
    /// Exit layer, 1..=L.
    pub layer: usize,
    pub id: u32,
    pub text: String,
    pub p: f32,
}

/// Why a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// The model's own end token.
    Eos,
    /// A stop token id of the settings.
    StopToken(u32),
    /// A stop string of the settings; the text is cut before it.
    StopString(String),
    /// `max_steps` tokens were generated.
    MaxSteps,
    /// The context holds no further token.
    ContextFull,
    /// The caller cancelled.
    Cancelled,
}

/// One kept token as the text shows it: a view into a [`Round`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeptToken<'a> {
    pub id: u32,
    pub text: &'a str,
    pub origin: Origin,
    pub p_draft: Option<f32>,
    pub p_verify: Option<f32>,
    /// Position in the draft, from 0; none for the token that ends the round.
    pub draft_position: Option<usize>,
    pub detail: Option<&'a TokenDetail>,
}

impl Round {
    /// How many drafted tokens were not kept: `drafted = accepted + rejected`.
    pub fn rejected(&self) -> usize {
        self.drafted.len() - self.accepted
    }

    /// Whether anything was drafted.
    pub fn speculated(&self) -> bool {
        !self.drafted.is_empty()
    }

    /// How many tokens this round adds to the text.
    pub fn len(&self) -> usize {
        self.accepted + usize::from(self.last.is_some())
    }

    /// Whether this round adds nothing to the text.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Strategy in force.
    pub fn strategy(&self) -> Strategy {
        self.settings.strategy
    }

    /// The tokens this round adds to the text, in order.
    pub fn kept(&self) -> impl Iterator<Item = KeptToken<'_>> {
        let accepted = self.drafted[..self.accepted]
            .iter()
            .enumerate()
            .map(|(position, token)| KeptToken {
                id: token.id,
                text: &token.text,
                origin: Origin::Accepted,
                p_draft: Some(token.p_draft),
                p_verify: token.p_verify,
                draft_position: Some(position),
                detail: token.detail.as_deref(),
            });
        let last = self.last.iter().map(|token| KeptToken {
            id: token.id,
            text: &token.text,
            origin: token.origin,
            p_draft: token.p_draft,
            p_verify: Some(token.p_verify),
            draft_position: None,
            detail: token.detail.as_deref(),
        });
        accepted.chain(last)
    }
}
