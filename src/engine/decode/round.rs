//! The record of decoding: a sequence of [`Round`]s, from which colours, rates, transcripts, server streams, benchmarks
//! and correctness checks are all derived.

use super::token::{ClosingToken, DraftToken, Origin, Proposer, TokenDetail, TokenLogprobs};
use super::{Settings, Strategy};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// One draft phase and one verify phase. An autoregressive or early-exit step is a round without a draft.
///
/// The draft is a tree of nodes, usually a chain. The nodes in order and then the closing token are the round's *slots*.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Number of the round within its run, from 0.
    pub index: usize,
    /// Absolute position, in tokens, of the first token this round adds.
    pub position: usize,
    /// The settings of the whole round.
    pub settings: Arc<Settings>,
    /// Why a controller chose these settings; `None` if the user did.
    #[serde(default, rename = "control", skip_serializing_if = "Option::is_none")]
    pub controller_note: Option<String>,
    #[serde(flatten)]
    tokens: RoundTokens,
    /// Seconds from the round's start to the last drafted token.
    pub draft_seconds: f64,
    /// Seconds from there to the verifier's decision; the whole step if nothing was drafted.
    pub verify_seconds: f64,
    /// Why the run ended with this round, if it did.
    pub stop: Option<StopReason>,
}

/// The tokens of a round as files store them; [`Round`] interprets them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RoundTokens {
    /// Every drafted node; a node comes after its parent.
    #[serde(default)]
    pub drafted: Vec<DraftToken>,
    /// How many nodes were accepted.
    #[serde(default)]
    pub accepted: usize,
    /// Indices of the accepted nodes, in the order of the text; empty if they are the first ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<usize>,
    /// The token that ends the round; `None` if the run ended with an accepted draft.
    #[serde(default, rename = "last")]
    pub closing: Option<ClosingToken>,
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
    /// The context is full.
    ContextFull,
    /// The caller cancelled.
    Cancelled,
}

impl fmt::Display for StopReason {
    /// The wording on the command line, on screen and in exports. A single line, whatever the stop string.
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

/// Whether a token of a round was kept, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Part of the text.
    Kept(Origin),
    /// Drafted and not accepted.
    Rejected,
}

impl Outcome {
    /// Where the token comes from; `None` if it was rejected.
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
    /// Token id.
    pub id: u32,
    /// The text that it adds.
    pub text: &'a str,
    /// Whether it was kept.
    pub outcome: Outcome,
    /// What proposed it; `None` for the closing token.
    pub proposer: Option<Proposer>,
    /// Its probability under the draft, if there was one.
    pub p_draft: Option<f32>,
    /// Its probability under the verifier; `None` if the verifier did not reach it.
    pub p_verify: Option<f32>,
    /// Depth in the draft, from 0; `None` for the closing token.
    pub draft_position: Option<usize>,
    /// As [`DraftToken::rank`].
    pub rank: usize,
    /// Log-probabilities, if recorded.
    pub logprobs: Option<&'a TokenLogprobs>,
    /// What the inspector shows, if recorded.
    pub detail: Option<&'a TokenDetail>,
}

/// One token that became part of the text: a view into a [`Round`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeptToken<'a> {
    /// Token id.
    pub id: u32,
    /// The text that it adds.
    pub text: &'a str,
    /// Where it comes from.
    pub origin: Origin,
    /// What proposed it; `None` for the closing token.
    pub proposer: Option<Proposer>,
    /// Its probability under the draft, if there was one.
    pub p_draft: Option<f32>,
    /// Its probability under the verifier; `None` if the verifier did not reach it.
    pub p_verify: Option<f32>,
    /// Depth in the draft, from 0; `None` for the closing token.
    pub draft_position: Option<usize>,
    /// Log-probabilities, if recorded.
    pub logprobs: Option<&'a TokenLogprobs>,
    /// What the inspector shows, if recorded.
    pub detail: Option<&'a TokenDetail>,
}

impl RoundTokens {
    /// A chain of drafts, the first `accepted` of them accepted, and the token that ends the round.
    pub fn chain(drafted: Vec<DraftToken>, accepted: usize, closing: Option<ClosingToken>) -> Self {
        Self {
            drafted,
            accepted,
            path: Vec::new(),
            closing,
        }
    }

    /// The parent of `node`; `None` if it follows the text.
    pub fn parent(&self, node: usize) -> Option<usize> {
        self.drafted.get(node)?.parent_of(node)
    }

    /// Checks that the tokens form a valid round.
    ///
    /// # Errors
    /// If a node precedes its parent, or the accepted nodes are not a path that starts at the text.
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
            return Err("the accepted tokens of a round differ from its path".into());
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
    /// Round `index` of a run, with its first token at `position`. The caller sets times, note and stop.
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

    /// The tokens as files store them.
    pub fn tokens(&self) -> &RoundTokens {
        &self.tokens
    }

    /// The tokens as files store them, mutable.
    pub fn tokens_mut(&mut self) -> &mut RoundTokens {
        &mut self.tokens
    }

    /// Every drafted node, in order; a node comes after its parent.
    pub fn drafted(&self) -> &[DraftToken] {
        &self.tokens.drafted
    }

    /// The parent of `node`; `None` if it follows the text.
    pub fn parent(&self, node: usize) -> Option<usize> {
        self.tokens.parent(node)
    }

    /// How many nodes precede `node` on its branch.
    pub fn depth(&self, node: usize) -> usize {
        std::iter::successors(self.parent(node), |&node| self.parent(node)).count()
    }

    /// The accepted nodes, in the order of the text.
    pub fn path(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        let path = &self.tokens.path;
        (0..self.tokens.accepted).map(|step| path.get(step).copied().unwrap_or(step))
    }

    /// The token that ends the round; `None` if the run ended with an accepted draft.
    pub fn closing(&self) -> Option<&ClosingToken> {
        self.tokens.closing.as_ref()
    }

    /// How many drafted tokens were accepted.
    pub fn accepted(&self) -> usize {
        self.tokens.accepted
    }

    /// How many drafted tokens were rejected: `drafted = accepted + rejected`.
    pub fn rejected(&self) -> usize {
        self.tokens.drafted.len() - self.tokens.accepted
    }

    /// Whether the draft branches.
    pub fn branches(&self) -> bool {
        self.tokens
            .drafted
            .iter()
            .any(|token| token.parent.is_some())
    }

    /// Whether anything was drafted.
    pub fn speculated(&self) -> bool {
        !self.tokens.drafted.is_empty()
    }

    /// How many tokens the round adds to the text.
    pub fn len(&self) -> usize {
        self.tokens.accepted + usize::from(self.tokens.closing.is_some())
    }

    /// Whether the round adds nothing to the text.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The strategy of the round.
    pub fn strategy(&self) -> Strategy {
        self.settings.strategy
    }

    /// How many slots the round has, including those of rejected tokens.
    pub fn slots(&self) -> usize {
        self.tokens.drafted.len() + usize::from(self.tokens.closing.is_some())
    }

    /// The outcome of the token at `slot`; `None` past the end.
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

    /// The token at `slot`; `None` past the end.
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
                rank: token.rank,
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
                rank: 0,
                logprobs: token.logprobs.as_deref(),
                detail: token.detail.as_deref(),
            }),
        }
    }

    /// The rejected tokens, in order of their slots.
    pub fn rejects(&self) -> impl Iterator<Item = RoundToken<'_>> {
        (0..self.tokens.drafted.len())
            .filter(|&slot| !self.is_kept(slot))
            .filter_map(|slot| self.token(slot))
    }

    /// The draft in whose place the closing token stands: of the nodes that follow the accepted ones, that with the best
    /// rank. `None` if nothing was drafted there.
    pub fn first_rejected(&self) -> Option<RoundToken<'_>> {
        let last = self.path().last();
        let nodes = (0..self.tokens.drafted.len()).filter(|&node| self.parent(node) == last);
        let best = nodes.min_by_key(|&node| self.tokens.drafted[node].rank)?;
        self.token(best)
    }

    /// The token that the text has in the place of `node`: an accepted draft or the closing token. `None` if the node
    /// follows a rejected one, or the text ends before it.
    pub fn instead_of(&self, node: usize) -> Option<RoundToken<'_>> {
        let depth = self.depth(node);
        let before = depth.checked_sub(1);
        if self.parent(node) != before.and_then(|before| self.path().nth(before)) {
            return None;
        }
        let closing = (depth == self.accepted()).then_some(self.tokens.drafted.len());
        self.token(self.path().nth(depth).or(closing)?)
    }

    /// The tokens that the round adds to the text, in order.
    pub fn kept(&self) -> impl Iterator<Item = KeptToken<'_>> {
        let accepted = self.path().enumerate().filter_map(|(depth, node)| {
            let token = self.tokens.drafted.get(node)?;
            Some(KeptToken {
                id: token.id,
                text: &token.text,
                origin: Origin::Accepted,
                proposer: Some(token.proposer),
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
            proposer: None,
            p_draft: token.p_draft,
            p_verify: Some(token.p_verify),
            draft_position: None,
            logprobs: token.logprobs.as_deref(),
            detail: token.detail.as_deref(),
        });
        accepted.chain(closing)
    }

    /// For each depth that the verifier reached, whether a node was accepted there. In a chain those are the accepted drafts
    /// and the first rejected one.
    pub fn verified(&self) -> impl Iterator<Item = bool> + '_ {
        let accepted = self.tokens.accepted;
        let last = self.path().last();
        let closes = self.tokens.closing.is_some();
        let rejected =
            closes && (0..self.tokens.drafted.len()).any(|node| self.parent(node) == last);
        (0..accepted + usize::from(rejected)).map(move |depth| depth < accepted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_reason_is_one_line_without_control_characters() {
        let stop = StopReason::StopString("a\n\u{1b}[2J\u{202e}b".into());
        let text = stop.to_string();
        assert_eq!(text, "stopped at \"a\\n\\u{1b}[2J\\u{202e}b\"");
        assert!(!text.contains(char::is_control));
    }
}
