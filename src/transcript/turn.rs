//! Turns of a session: answers, their alternatives, and the runs that generated them.

use super::entry::{Lens, Outcome, PromptForm, RunEnd};
use super::validate;
use crate::engine::decode::{KeptToken, Round, Stats, StopReason};
use crate::engine::prompt::{Message, Role};
use crate::engine::worker::RunId;
use serde::{Deserialize, Serialize};

/// Max alternative answers to a prompt.
const MAX_OTHERS: usize = 200;

/// One turn of the conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// Unix milliseconds.
    pub at_ms: u64,
    /// `User` or `Assistant`.
    pub role: Role,
    /// The typed text; generated text follows it.
    pub text: String,
    /// The generations of this turn: usually one, more if an answer was continued.
    pub runs: Vec<Run>,
    /// Alternative answers to the same prompt, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Answer>,
    /// Index of this answer among all of them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub variant: usize,
}

/// An alternative answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The typed text; generated text follows it.
    pub text: String,
    pub runs: Vec<Run>,
}

/// One generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub run: RunId,
    /// Unix milliseconds.
    pub at_ms: u64,
    pub prompt: PromptForm,
    /// Index in [`Session::models`].
    pub model: Option<usize>,
    /// Index in [`Session::systems`].
    pub system: Option<usize>,
    /// Number of oldest messages after the system prompt that did not fit in the context.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: usize,
    pub rounds: Vec<Round>,
    /// `None` if the program ended before the run did.
    pub end: Option<RunEnd>,
    /// The predictions of every layer, if requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lens: Option<Box<Lens>>,
}

impl Run {
    /// A run without rounds.
    pub(super) fn new(run: RunId, at_ms: u64, prompt: PromptForm) -> Self {
        Self {
            run,
            at_ms,
            prompt,
            model: None,
            system: None,
            dropped: 0,
            rounds: Vec::new(),
            end: None,
            lens: None,
        }
    }

    /// The kept tokens in order, each with its round.
    pub fn kept(&self) -> impl Iterator<Item = (&Round, KeptToken<'_>)> {
        self.rounds
            .iter()
            .flat_map(|round| round.kept().map(move |token| (round, token)))
    }

    /// As [`Run::kept`], with the text of each token cut where a stop string starts.
    pub fn shown(&self) -> impl Iterator<Item = (&Round, KeptToken<'_>)> {
        let mut left = self.text().len();
        self.kept().map(move |(round, token)| {
            let text = token.text.get(..left).unwrap_or(token.text);
            left = left.saturating_sub(token.text.len());
            (round, KeptToken { text, ..token })
        })
    }

    /// The generated text up to the stop string.
    pub fn text(&self) -> String {
        let mut text: String = self.kept().map(|(_, token)| token.text).collect();
        if let Some(StopReason::StopString(stop)) = self.stop()
            && let Some(at) = text.find(stop.as_str())
        {
            text.truncate(at);
        }
        text
    }

    /// Why the run stopped, unless it failed. A run that never ended was cancelled by the end of the program.
    pub fn reason(&self) -> StopReason {
        self.stop().cloned().unwrap_or(StopReason::Cancelled)
    }

    /// Why the run ended; `None` if it failed or never ended.
    pub fn stop(&self) -> Option<&StopReason> {
        match &self.end {
            Some(RunEnd {
                outcome: Outcome::Stopped(reason),
                ..
            }) => Some(reason),
            Some(RunEnd {
                outcome: Outcome::Failed(_),
                ..
            }) => None,
            None => self.rounds.last().and_then(|round| round.stop.as_ref()),
        }
    }

    /// Statistics of the rounds and the prefill.
    pub fn stats(&self) -> Stats {
        with_prefill(Stats::of(&self.rounds), [self])
    }
}

impl Answer {
    /// Typed text and generations.
    fn parts(&self) -> (&str, &[Run]) {
        (&self.text, &self.runs)
    }
}

impl Turn {
    /// A turn with typed text.
    pub(super) fn typed(role: Role, at_ms: u64, text: String) -> Self {
        Self {
            at_ms,
            role,
            text,
            runs: Vec::new(),
            others: Vec::new(),
            variant: 0,
        }
    }

    /// The whole text of the turn, typed and generated.
    pub fn content(&self) -> String {
        content(&self.text, &self.runs)
    }

    /// Typed text and generations of every answer, oldest first.
    pub fn answers(&self) -> impl Iterator<Item = (&str, &[Run])> {
        let at = self.variant.min(self.others.len());
        let (before, after) = self.others.split_at(at);
        let shown = std::iter::once((self.text.as_str(), self.runs.as_slice()));
        before
            .iter()
            .map(Answer::parts)
            .chain(shown)
            .chain(after.iter().map(Answer::parts))
    }

    /// The index of the answer with this text, if another one is shown.
    pub fn answer_with(&self, text: &str) -> Option<usize> {
        self.answers()
            .position(|(typed, runs)| content(typed, runs) == text)
    }

    /// Moves the shown answer to the alternatives, unless it is blank.
    fn put_back(&mut self) {
        let answer = Answer {
            text: std::mem::take(&mut self.text),
            runs: std::mem::take(&mut self.runs),
        };
        let at = self.variant.min(self.others.len());
        if !is_blank(&answer.text, &answer.runs) {
            self.others.insert(at, answer);
        }
        self.variant = self.others.len();
    }

    /// Starts another answer; the shown one becomes an alternative. Drops the oldest beyond [`MAX_OTHERS`].
    pub(super) fn retry(&mut self) {
        self.put_back();
        if self.others.len() > MAX_OTHERS {
            self.others.remove(0);
            self.variant = self.others.len();
        }
    }

    /// Shows the answer at `index` of all.
    pub(super) fn show(&mut self, index: usize) -> Result<(), &'static str> {
        if index > self.others.len() {
            return Err("an answer that does not exist");
        }
        if index != self.variant {
            let empty = is_blank(&self.text, &self.runs) && index > self.variant;
            self.put_back();
            let index = index - usize::from(empty);
            let Answer { text, runs } = self.others.remove(index);
            (self.text, self.runs, self.variant) = (text, runs, index);
        }
        Ok(())
    }

    /// The turn as a message for the chat template.
    pub fn message(&self) -> Message {
        Message {
            role: self.role,
            content: self.content(),
        }
    }
}

/// Whether nothing was typed or generated. Looks only at the first runs, which bounds the cost.
fn is_blank(text: &str, runs: &[Run]) -> bool {
    const LOOKED_AT: usize = 64;
    text.is_empty() && runs.iter().take(LOOKED_AT).all(|run| run.rounds.is_empty())
}

fn content(text: &str, runs: &[Run]) -> String {
    runs.iter()
        .fold(text.to_owned(), |text, run| text + &run.text())
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// `stats` with the prefill of `runs`.
pub(super) fn with_prefill<'a>(mut stats: Stats, runs: impl IntoIterator<Item = &'a Run>) -> Stats {
    for end in runs.into_iter().filter_map(|run| run.end.as_ref()) {
        stats.prefill_tokens = stats.prefill_tokens.saturating_add(end.prefill.tokens);
        stats.prefill_seconds += validate::duration(end.prefill.seconds);
    }
    stats
}
