//! What was said: turns, each a prompt and the rounds that answer it.

use super::Lens;
use crate::engine::decode::{
    DraftToken, FinalToken, Origin, Round, Stats, StopReason, TokenDetail,
};
use crate::engine::worker::RunId;
use serde::{Deserialize, Serialize};

/// How a prompt reaches the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A conversation, through the model's chat template.
    #[default]
    Chat,
    /// The prompt as it stands; the model continues it.
    Completion,
}

/// A prompt and its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Unique within a session; what was wrapped once is found again by it.
    pub id: u64,
    pub mode: Mode,
    pub prompt: String,
    /// Every round of the answer, in order. All that is shown of the answer derives from them.
    pub rounds: Vec<Round>,
    /// Tokens drafted in the round at hand, not yet verified.
    pub pending: Vec<Pending>,
    /// Statistics of the rounds, prefill included once the run has ended.
    pub stats: Stats,
    /// The generation that wrote its end; none for one that came from a file.
    pub run: Option<RunId>,
    /// What every layer would have said along what that generation wrote, once asked for.
    pub lens: Option<Box<Lens>>,
    /// None while the run goes on.
    pub outcome: Option<Outcome>,
}

/// A drafted token before it is verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    pub id: u32,
    pub text: String,
    pub p_draft: f32,
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Stopped(StopReason),
    Failed(String),
}

/// Names one token of the session, kept or rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TokenRef {
    /// Index of the turn.
    pub turn: usize,
    /// Index of the round within the turn.
    pub round: usize,
    /// Index of the token within the round: drafted tokens first, then the one that ends the round.
    pub slot: usize,
}

/// One token of a round as the inspector shows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenView<'a> {
    pub id: u32,
    pub text: &'a str,
    /// None for a rejected draft.
    pub origin: Option<Origin>,
    pub p_draft: Option<f32>,
    pub p_verify: Option<f32>,
    pub draft_position: Option<usize>,
    pub detail: Option<&'a TokenDetail>,
}

impl Turn {
    pub fn new(id: u64, mode: Mode, prompt: String) -> Self {
        let (rounds, pending, stats) = (Vec::new(), Vec::new(), Stats::default());
        Self {
            id,
            mode,
            prompt,
            rounds,
            pending,
            stats,
            run: None,
            lens: None,
            outcome: None,
        }
    }

    /// Settle the drafted tokens: the round says what became of them.
    pub fn push(&mut self, round: Round) {
        self.pending.clear();
        self.stats.add(&round);
        self.rounds.push(round);
    }

    /// The text of the answer, raw.
    pub fn answer(&self) -> String {
        self.rounds
            .iter()
            .flat_map(Round::kept)
            .map(|token| token.text)
            .collect()
    }

    /// Number of tokens in the answer.
    pub fn len(&self) -> usize {
        self.stats.tokens
    }

    pub fn is_empty(&self) -> bool {
        self.rounds.iter().all(Round::is_empty)
    }
}

/// How many tokens a round shows, rejected ones included.
pub fn slots(round: &Round) -> usize {
    round.drafted.len() + usize::from(round.last.is_some())
}

/// Whether the token at `slot` is part of the text.
pub fn is_kept(round: &Round, slot: usize) -> bool {
    slot < round.accepted || slot >= round.drafted.len()
}

/// The token at `slot` of `round`; none past the end.
pub fn token(round: &Round, slot: usize) -> Option<TokenView<'_>> {
    match round.drafted.get(slot) {
        Some(drafted) => Some(drafted_view(drafted, slot, slot < round.accepted)),
        None if slot == round.drafted.len() => round.last.as_ref().map(final_view),
        None => None,
    }
}

fn drafted_view(token: &DraftToken, slot: usize, accepted: bool) -> TokenView<'_> {
    TokenView {
        id: token.id,
        text: &token.text,
        origin: accepted.then_some(Origin::Accepted),
        p_draft: Some(token.p_draft),
        p_verify: token.p_verify,
        draft_position: Some(slot),
        detail: token.detail.as_deref(),
    }
}

fn final_view(token: &FinalToken) -> TokenView<'_> {
    TokenView {
        id: token.id,
        text: &token.text,
        origin: Some(token.origin),
        p_draft: token.p_draft,
        p_verify: Some(token.p_verify),
        draft_position: None,
        detail: token.detail.as_deref(),
    }
}
