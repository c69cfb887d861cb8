//! The record of decoding: one [`Round`] after the other, from which colours, rates, transcripts, server streams,
//! benchmarks and correctness are all derived.

use super::{Settings, Strategy};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

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
///
/// What was drafted is a tree of nodes, usually a chain. Nodes and the closing token are the round's *slots*: the nodes
/// in their order, then the closing token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Number of the round within its run, from 0.
    pub index: usize,
    /// Absolute position, in tokens, of the first token this round adds.
    pub position: usize,
    /// Settings in force, read at the start of the round.
    pub settings: Arc<Settings>,
    /// Why a controller chose these settings; none when the user did.
    #[serde(default, rename = "control", skip_serializing_if = "Option::is_none")]
    pub controller_note: Option<String>,
    #[serde(flatten)]
    tokens: RoundTokens,
    /// Seconds from the round's start to the last drafted token.
    pub draft_seconds: f64,
    /// Seconds from there to the verifier's decision; for a round with nothing drafted, the whole step.
    pub verify_seconds: f64,
    /// Why the run ended with this round, if it did.
    pub stop: Option<StopReason>,
}

/// The tokens of a round, as files hold them. A [`Round`] says what they mean.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RoundTokens {
    /// Every drafted node; a node comes after its parent.
    #[serde(default)]
    pub drafted: Vec<DraftToken>,
    /// How many of them were kept.
    #[serde(default)]
    pub accepted: usize,
    /// Indices of those kept, in the order of the text; empty where they are the first ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<usize>,
    /// The token that ends the round; none when the run ended with an accepted draft.
    #[serde(default, rename = "last")]
    pub closing: Option<ClosingToken>,
}

/// A drafted token, accepted or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DraftToken {
    pub id: u32,
    /// The text the token adds after the tokens before it; empty while it holds back an unfinished character.
    pub text: String,
    /// The node it follows; none for the node before it, or the text for the first one: a chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// What proposed it.
    #[serde(default, skip_serializing_if = "Proposer::is_early_exit")]
    pub proposer: Proposer,
    /// Its probability under the draft, after filtering; none where the proposer has no probabilities.
    pub p_draft: Option<f32>,
    /// Its probability under the verifier, after filtering; none where the verifier did not come to it.
    pub p_verify: Option<f32>,
    /// What the verifier gave it before temperature and filters, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Box<TokenLogprobs>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<TokenDetail>>,
}

impl DraftToken {
    /// A token that follows the one before it, drafted by the first layers with that probability and not yet verified.
    pub fn new(id: u32, text: impl Into<String>, p_draft: f32) -> Self {
        Self {
            id,
            text: text.into(),
            parent: None,
            proposer: Proposer::EarlyExit,
            p_draft: Some(p_draft),
            p_verify: None,
            logprobs: None,
            detail: None,
        }
    }

    /// The node after which it stands as number `node`; none where it follows the text.
    pub fn parent_of(&self, node: usize) -> Option<usize> {
        match self.parent {
            Some(Parent::Root) => None,
            Some(Parent::Node(parent)) => Some(parent),
            None => node.checked_sub(1),
        }
    }

    /// Whether it stands, as number `node`, after `parent`: a node, or the text.
    pub fn follows(&self, node: usize, parent: Option<usize>) -> bool {
        self.parent_of(node) == parent
    }
}

/// Where a drafted node hangs that does not follow the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parent {
    /// The text itself.
    Root,
    /// The node of that index.
    Node(usize),
}

/// What proposes tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proposer {
    /// The first E layers.
    #[default]
    EarlyExit,
}

impl Proposer {
    fn is_early_exit(&self) -> bool {
        *self == Self::EarlyExit
    }
}

/// The token that ends a round, chosen by the verifier (or, in early-exit decoding, by the exit).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClosingToken {
    pub id: u32,
    /// The text the token adds after the tokens before it; empty while it holds back an unfinished character.
    pub text: String,
    /// `Corrected`, `Bonus` or `Plain`.
    pub origin: Origin,
    /// Its probability under the draft, where a draft was made at its position.
    pub p_draft: Option<f32>,
    /// Its probability under the distribution that chose it.
    pub p_verify: f32,
    /// As [`DraftToken::logprobs`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Box<TokenLogprobs>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<TokenDetail>>,
}

impl ClosingToken {
    /// A token chosen with that probability, where nothing was drafted.
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

/// Log-probabilities at one position by the raw logits, whatever temperature, penalties and filters are; natural logarithms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprobs {
    /// Of the token itself.
    pub logprob: f32,
    /// The likeliest tokens, the likeliest first, as many as the settings ask for.
    pub top: Vec<TopLogprob>,
}

/// A likely token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopLogprob {
    pub id: u32,
    pub text: String,
    pub logprob: f32,
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

impl fmt::Display for StopReason {
    /// What the command line, the screen and exports say, on one line whatever the stop string holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eos => f.write_str("ended by the model"),
            Self::StopToken(id) => write!(f, "stopped at token {id}"),
            Self::StopString(text) => write!(f, "stopped at {text:?}"),
            Self::MaxSteps => f.write_str("max tokens reached"),
            Self::ContextFull => f.write_str("the context is full"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

/// What became of a token of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Part of the text.
    Kept(Origin),
    /// Drafted, and not kept.
    Rejected,
}

impl Outcome {
    /// Where the token comes from; none where it was rejected.
    pub fn origin(self) -> Option<Origin> {
        match self {
            Self::Kept(origin) => Some(origin),
            Self::Rejected => None,
        }
    }
}

/// One token of a round: a view into it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoundToken<'a> {
    /// Its slot: nodes in their order, then the closing token.
    pub slot: usize,
    pub id: u32,
    pub text: &'a str,
    pub outcome: Outcome,
    /// What proposed it; none for the closing token.
    pub proposer: Option<Proposer>,
    pub p_draft: Option<f32>,
    /// None where the verifier did not come to it.
    pub p_verify: Option<f32>,
    /// Depth in the draft, from 0: in a chain its position. None for the closing token.
    pub draft_position: Option<usize>,
    pub logprobs: Option<&'a TokenLogprobs>,
    pub detail: Option<&'a TokenDetail>,
}

/// One kept token as the text shows it: a view into a [`Round`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeptToken<'a> {
    pub id: u32,
    pub text: &'a str,
    pub origin: Origin,
    pub p_draft: Option<f32>,
    pub p_verify: Option<f32>,
    /// Depth in the draft, from 0; none for the token that ends the round.
    pub draft_position: Option<usize>,
    pub logprobs: Option<&'a TokenLogprobs>,
    pub detail: Option<&'a TokenDetail>,
}

impl RoundTokens {
    /// A chain of drafts of which the first were accepted, and the token that ends the round.
    pub fn chain(drafted: Vec<DraftToken>, accepted: usize, closing: Option<ClosingToken>) -> Self {
        Self {
            drafted,
            accepted,
            path: Vec::new(),
            closing,
        }
    }

    /// The node after which `node` stands; none where it follows the text.
    pub fn parent(&self, node: usize) -> Option<usize> {
        self.drafted.get(node)?.parent_of(node)
    }

    /// The fault of tokens that no round can have, in words.
    ///
    /// # Errors
    /// Where a node precedes its parent, or those kept are no path from the text on.
    pub fn check(&self) -> Result<(), String> {
        let (nodes, accepted) = (self.drafted.len(), self.accepted);
        if accepted > nodes {
            return Err(format!(
                "a round accepted {accepted} of {nodes} drafted tokens"
            ));
        }
        if (0..nodes).any(|node| self.parent(node).is_some_and(|parent| parent >= node)) {
            return Err("a drafted token comes before the one it follows".into());
        }
        if !self.path.is_empty() && self.path.len() != accepted {
            return Err("a round lists other tokens than it accepted".into());
        }
        let mut before = None;
        for step in 0..accepted {
            let node = self.path.get(step).copied().unwrap_or(step);
            if node >= nodes || self.parent(node) != before {
                return Err("the accepted tokens of a round do not follow each other".into());
            }
            before = Some(node);
        }
        Ok(())
    }
}

impl Round {
    /// A round of `run` number `index` whose first token stands at `position`; times, note and stop are to be set.
    pub fn new(
        index: usize,
        position: usize,
        settings: impl Into<Arc<Settings>>,
        tokens: RoundTokens,
    ) -> Self {
        Self {
            index,
            position,
            settings: settings.into(),
            controller_note: None,
            tokens,
            draft_seconds: 0.0,
            verify_seconds: 0.0,
            stop: None,
        }
    }

    /// The tokens as files hold them.
    pub fn tokens(&self) -> &RoundTokens {
        &self.tokens
    }

    /// As [`Self::tokens`], to change what a journal keeps of them.
    pub fn tokens_mut(&mut self) -> &mut RoundTokens {
        &mut self.tokens
    }

    /// Every drafted node, in order; a node comes after its parent.
    pub fn drafted(&self) -> &[DraftToken] {
        &self.tokens.drafted
    }

    /// The node after which `node` stands; none where it follows the text.
    pub fn parent(&self, node: usize) -> Option<usize> {
        self.tokens.parent(node)
    }

    /// How many nodes stand before `node` on its branch.
    pub fn depth(&self, node: usize) -> usize {
        std::iter::successors(self.parent(node), |&node| self.parent(node)).count()
    }

    /// The accepted nodes, in the order of the text.
    pub fn path(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        let path = &self.tokens.path;
        (0..self.tokens.accepted).map(|step| path.get(step).copied().unwrap_or(step))
    }

    /// The token that ends the round; none when the run ended with an accepted draft.
    pub fn closing(&self) -> Option<&ClosingToken> {
        self.tokens.closing.as_ref()
    }

    /// How many drafted tokens were kept.
    pub fn accepted(&self) -> usize {
        self.tokens.accepted
    }

    /// How many drafted tokens were not kept: `drafted = accepted + rejected`.
    pub fn rejected(&self) -> usize {
        self.tokens.drafted.len() - self.tokens.accepted
    }

    /// Whether anything was drafted.
    pub fn speculated(&self) -> bool {
        !self.tokens.drafted.is_empty()
    }

    /// How many tokens this round adds to the text.
    pub fn len(&self) -> usize {
        self.tokens.accepted + usize::from(self.tokens.closing.is_some())
    }

    /// Whether this round adds nothing to the text.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Strategy in force.
    pub fn strategy(&self) -> Strategy {
        self.settings.strategy
    }

    /// How many tokens this round holds, rejected ones included.
    pub fn slots(&self) -> usize {
        self.tokens.drafted.len() + usize::from(self.tokens.closing.is_some())
    }

    /// What became of the token at `slot`; none past the end.
    pub fn outcome(&self, slot: usize) -> Option<Outcome> {
        let drafted = self.tokens.drafted.len();
        if slot < drafted {
            let kept = match self.tokens.path.is_empty() {
                true => slot < self.tokens.accepted,
                false => self.tokens.path.contains(&slot),
            };
            return Some(if kept {
                Outcome::Kept(Origin::Accepted)
            } else {
                Outcome::Rejected
            });
        }
        let closing = self.tokens.closing.as_ref().filter(|_| slot == drafted);
        closing.map(|token| Outcome::Kept(token.origin))
    }

    /// Whether the token at `slot` is part of the text.
    pub fn is_kept(&self, slot: usize) -> bool {
        matches!(self.outcome(slot), Some(Outcome::Kept(_)))
    }

    /// The token at `slot`; none past the end.
    pub fn token(&self, slot: usize) -> Option<RoundToken<'_>> {
        let outcome = self.outcome(slot)?;
        match self.tokens.drafted.get(slot) {
            Some(token) => Some(RoundToken {
                slot,
                id: token.id,
                text: &token.text,
                outcome,
                proposer: Some(token.proposer),
                p_draft: token.p_draft,
                p_verify: token.p_verify,
                draft_position: Some(self.depth(slot)),
                logprobs: token.logprobs.as_deref(),
                detail: token.detail.as_deref(),
            }),
            None => self.tokens.closing.as_ref().map(|token| RoundToken {
                slot,
                id: token.id,
                text: &token.text,
                outcome,
                proposer: None,
                p_draft: token.p_draft,
                p_verify: Some(token.p_verify),
                draft_position: None,
                logprobs: token.logprobs.as_deref(),
                detail: token.detail.as_deref(),
            }),
        }
    }

    /// The tokens that were drafted and not kept, in order of their slots.
    pub fn rejects(&self) -> impl Iterator<Item = RoundToken<'_>> {
        (0..self.tokens.drafted.len())
            .filter(|&slot| !self.is_kept(slot))
            .filter_map(|slot| self.token(slot))
    }

    /// The tokens this round adds to the text, in order.
    pub fn kept(&self) -> impl Iterator<Item = KeptToken<'_>> {
        let accepted = self.path().enumerate().filter_map(|(depth, node)| {
            let token = self.tokens.drafted.get(node)?;
            Some(KeptToken {
                id: token.id,
                text: &token.text,
                origin: Origin::Accepted,
                p_draft: token.p_draft,
                p_verify: token.p_verify,
                draft_position: Some(depth),
                logprobs: token.logprobs.as_deref(),
                detail: token.detail.as_deref(),
            })
        });
        let closing = self.tokens.closing.iter().map(|token| KeptToken {
            id: token.id,
            text: &token.text,
            origin: token.origin,
            p_draft: token.p_draft,
            p_verify: Some(token.p_verify),
            draft_position: None,
            logprobs: token.logprobs.as_deref(),
            detail: token.detail.as_deref(),
        });
        accepted.chain(closing)
    }

    /// How far the verifier came: of the nodes at each depth that it looked at, whether one was kept. In a chain those are
    /// the accepted drafts and the first rejected one.
    pub fn verified(&self) -> impl Iterator<Item = bool> + '_ {
        let accepted = self.tokens.accepted;
        let last = self.path().last();
        let closes = self.tokens.closing.is_some();
        let rejected =
            closes && (0..self.tokens.drafted.len()).any(|node| self.parent(node) == last);
        (0..accepted + usize::from(rejected)).map(move |depth| depth < accepted)
    }
}
