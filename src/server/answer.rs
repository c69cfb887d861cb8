//! Turns the updates of a job into a response, complete or in chunks.

use super::Shared;
use super::api::figures::{RequestMetrics, Steps, Timings, Usage, finish_reason, ratio};
use super::api::logprobs::{ChatLogprobs, CompletionLogprobs, TokenLog};
use super::api::response::{
    Answer, AnswerMessage, Choice, ChoiceContent, ChoiceDetail, Delta, StopCause,
};
use super::engine::{Ticket, Update};
use super::error::{ApiError, Result};
use super::plan::{Plan, Shape};
use crate::engine::decode::{Round, Stats, StopReason, Strategy, TokenScore};
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedReceiver;

/// An answer in progress.
pub struct Progress {
    pub plan: Plan,
    shared: Arc<Shared>,
    /// State of each choice.
    states: Vec<State>,
    /// Scores of the prompt, and the seconds spent on scoring.
    scores: Vec<TokenScore>,
    scoring_seconds: f64,
    waited: f64,
    usage: Usage,
    timings: Timings,
    metrics: Option<RequestMetrics>,
}

#[derive(Default)]
struct State {
    /// Whether its text has started.
    begun: bool,
    /// Characters of the text so far.
    offset: usize,
    /// Seconds until its first round.
    first: Option<f64>,
    steps: Steps,
}

/// The part that an update adds to a choice.
#[derive(Default)]
pub struct Piece {
    pub choice: usize,
    pub text: String,
    logs: Vec<TokenLog>,
    pub stop: Option<StopReason>,
    detail: Option<ChoiceDetail>,
}

/// What to do with an update.
pub enum Step {
    Nothing,
    Piece(Piece),
    Done,
}

impl Progress {
    pub fn new(plan: Plan, shared: Arc<Shared>) -> Self {
        Self {
            states: (0..plan.choices()).map(|_| State::default()).collect(),
            plan,
            shared,
            scores: Vec::new(),
            scoring_seconds: 0.0,
            waited: 0.0,
            usage: Usage::default(),
            timings: Timings::default(),
            metrics: None,
        }
    }

    /// Handles the next update; `None` if the worker has ended.
    ///
    /// # Errors
    /// If the job failed.
    pub fn take(&mut self, update: Option<Update>) -> Result<Step> {
        Ok(match update {
            None => return Err(ApiError::internal("the engine has ended")),
            Some(Update::Failed(error)) => return Err(error),
            Some(Update::Done) => Step::Done,
            Some(Update::Started { waited }) => {
                self.waited = waited;
                Step::Nothing
            }
            Some(Update::Scored {
                scores, seconds, ..
            }) => {
                (self.scores, self.scoring_seconds) = (scores, seconds);
                Step::Nothing
            }
            Some(Update::Round { choice, round }) => Step::Piece(self.round(choice, *round)),
            Some(Update::Ended {
                choice,
                stop,
                stats,
                cached,
            }) => Step::Piece(self.ended(choice, stop, &stats, cached)),
        })
    }

    /// The start of a choice: its prompt, if it is echoed.
    fn begin(&mut self, choice: usize) -> Piece {
        let mut piece = Piece {
            choice,
            detail: self.plan.detail.then(ChoiceDetail::default),
            ..Piece::default()
        };
        let state = &mut self.states[choice];
        if std::mem::replace(&mut state.begun, true) || !self.plan.echo {
            return piece;
        }
        let prompt = &self.plan.prompts[choice / self.plan.settings.len()];
        piece.text.clone_from(&prompt.text);
        if let (true, Some(tokenizer)) = (self.plan.logprobs, &self.shared.encoder.tokenizer) {
            piece.logs = TokenLog::prompt(&prompt.ids, prompt.hidden, &self.scores, tokenizer);
        }
        piece
    }

    fn round(&mut self, choice: usize, round: Round) -> Piece {
        let mut piece = self.begin(choice);
        let state = &mut self.states[choice];
        state.steps.add(&round);
        state
            .first
            .get_or_insert(round.draft_seconds + round.verify_seconds);
        piece.text.extend(round.kept().map(|token| token.text));
        if let Some(tokenizer) = &self.shared.encoder.tokenizer {
            let logs = round
                .kept()
                .filter_map(|t| TokenLog::generated(&t, tokenizer));
            piece.logs.extend(logs);
        }
        if let Some(detail) = &mut piece.detail {
            detail.add(round);
        }
        piece
    }

    fn ended(&mut self, choice: usize, stop: StopReason, stats: &Stats, cached: usize) -> Piece {
        let mut piece = self.begin(choice);
        piece.stop = Some(stop);
        let n = self.plan.settings.len();
        let prompt = self.plan.prompts[choice / n].ids.len();
        let is_first = choice.is_multiple_of(n);
        let usage = &mut self.usage;
        if is_first {
            usage.prompt_tokens += prompt;
            usage.prompt_tokens_details.cached_tokens += cached;
        }
        usage.completion_tokens += stats.tokens;
        usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
        let scoring = if is_first { self.scoring_seconds } else { 0.0 };
        self.timings.add(prompt, cached, scoring, stats);
        if self.plan.choices() == 1 {
            self.metrics = Some(self.request_metrics(scoring, stats));
        }
        piece
    }

    fn request_metrics(&self, scoring: f64, stats: &Stats) -> RequestMetrics {
        let (state, settings) = (&self.states[0], &self.plan.settings[0]);
        let before = self.waited + scoring + stats.prefill_seconds;
        let generation_ms = (stats.decode_seconds() - state.first.unwrap_or(0.0)) * 1e3;
        let speculates = settings.strategy == Strategy::SelfSpeculative;
        let figures = || {
            state
                .steps
                .figures(settings.num_speculations, self.plan.detail)
        };
        RequestMetrics {
            queue_time_ms: self.waited * 1e3,
            time_to_first_token_ms: state.first.map(|first| (before + first) * 1e3),
            generation_time_ms: generation_ms,
            mean_itl_ms: ratio(generation_ms, stats.tokens.saturating_sub(1) as f64),
            tokens_per_second: stats.tokens_per_second(),
            speculative_decoding: speculates.then(figures),
        }
    }

    /// The choice of a piece, which is a complete choice or a chunk of one.
    pub fn choice(&mut self, piece: Piece, whole: bool) -> Choice {
        let logs = piece.logs;
        let listed = self.plan.logprobs && (whole || !logs.is_empty());
        let content = match self.plan.shape {
            Shape::Completion => {
                let offset = &mut self.states[piece.choice].offset;
                let logprobs = listed.then(|| {
                    let (logprobs, end) = CompletionLogprobs::of(&logs, *offset);
                    *offset = end;
                    logprobs
                });
                ChoiceContent::Completion {
                    text: piece.text,
                    logprobs,
                }
            }
            Shape::Chat => {
                let logprobs = listed.then(|| ChatLogprobs::of(&logs));
                match whole {
                    true => ChoiceContent::Chat {
                        message: AnswerMessage {
                            role: "assistant",
                            content: piece.text,
                            refusal: None,
                        },
                        logprobs,
                    },
                    false => ChoiceContent::ChatChunk {
                        delta: Delta {
                            role: None,
                            content: Some(piece.text).filter(|text| !text.is_empty()),
                        },
                        logprobs,
                    },
                }
            }
        };
        Choice {
            index: piece.choice,
            content,
            finish_reason: piece.stop.as_ref().map(finish_reason),
            stop_reason: piece.stop.as_ref().and_then(StopCause::of),
            skiplens: piece.detail,
        }
    }

    /// A response or chunk with only these choices.
    pub fn envelope(&self, choices: Vec<Choice>) -> Answer {
        let object = match (self.plan.shape, self.plan.streams) {
            (Shape::Completion, _) => "text_completion",
            (Shape::Chat, false) => "chat.completion",
            (Shape::Chat, true) => "chat.completion.chunk",
        };
        Answer {
            id: self.plan.id.clone(),
            object,
            created: self.plan.created,
            model: self.shared.entry.id.clone(),
            system_fingerprint: concat!("skiplens-", env!("CARGO_PKG_VERSION")).into(),
            choices,
            usage: None,
            timings: None,
            metrics: None,
        }
    }

    pub fn timings(&self) -> Timings {
        self.timings.clone()
    }

    /// As [`Self::envelope`], with usage and timings.
    pub fn closing(&self, choices: Vec<Choice>) -> Answer {
        Answer {
            usage: Some(Some(self.usage.clone())),
            timings: Some(self.timings.clone()),
            metrics: Some(self.metrics.clone()),
            ..self.envelope(choices)
        }
    }
}

/// Waits for the complete response, holding the place in the queue.
///
/// # Errors
/// If the job failed.
pub async fn whole(
    mut progress: Progress,
    mut updates: UnboundedReceiver<Update>,
    _ticket: Ticket,
) -> Result<Answer> {
    let mut pieces: Vec<Piece> = (0..progress.plan.choices())
        .map(|choice| Piece {
            choice,
            ..Piece::default()
        })
        .collect();
    loop {
        match progress.take(updates.recv().await)? {
            Step::Nothing => {}
            Step::Piece(piece) => pieces[piece.choice].extend(piece),
            Step::Done => break,
        }
    }
    let choices = pieces.into_iter();
    let choices = choices.map(|piece| progress.choice(piece, true)).collect();
    Ok(progress.closing(choices))
}

impl Piece {
    fn extend(&mut self, more: Self) {
        self.text.push_str(&more.text);
        self.logs.extend(more.logs);
        self.stop = self.stop.take().or(more.stop);
        match (&mut self.detail, more.detail) {
            (Some(detail), Some(more)) => {
                detail.tokens.extend(more.tokens);
                detail.rounds.extend(more.rounds);
            }
            (detail, more) => *detail = detail.take().or(more),
        }
    }

    /// Whether it has content for a chunk.
    pub fn says_something(&self) -> bool {
        !self.text.is_empty()
            || !self.logs.is_empty()
            || self.stop.is_some()
            || self.detail.is_some()
    }
}
