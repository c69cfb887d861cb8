//! The lines of a journal file, one JSON object each: a [`Header`] followed by [`JournalLine`]s.

use super::entry::{Detail, Lens, Mode, ModelRecord, PromptForm, Race, RunEnd};
use crate::engine::decode::{
    ClosingToken, Controller, DraftToken, Proposers, Round, RoundTokens, Settings, StopReason,
    Strategy, TokenDetail,
};
use crate::engine::worker::RunId;
use serde::{Deserialize, Serialize};

/// The schema version that this program writes, and the newest that it reads.
pub const SCHEMA: u64 = 1;
/// Identifies a journal; the value of [`Header::format`].
pub const MAGIC: &str = "skiplens-session";

/// First line of a journal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`MAGIC`].
    pub format: String,
    pub schema: u64,
    /// Name and version of the program that created the file.
    pub program: String,
    /// Session id. Ids sort by creation time.
    pub id: String,
    /// Unix milliseconds, UTC.
    pub created_ms: u64,
    /// The same time in RFC 3339, for human readers.
    pub created: String,
    pub title: String,
}

impl Header {
    /// The header of a session created at `created_ms`.
    pub fn new(id: String, created_ms: u64) -> Self {
        Self {
            format: MAGIC.into(),
            schema: SCHEMA,
            program: concat!("skiplens ", env!("CARGO_PKG_VERSION")).into(),
            id,
            created_ms,
            created: super::clock::rfc3339(created_ms),
            title: String::new(),
        }
    }
}

/// A line after the header. `at` is in Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum JournalLine {
    Title {
        title: String,
    },
    Model(ModelRecord),
    System {
        text: String,
    },
    /// Applies to all rounds up to the next settings line.
    Settings(Settings),
    /// How prompts reach the model, if that differs from the last run.
    Mode {
        mode: Mode,
    },
    User {
        turn: u64,
        #[serde(default)]
        at: u64,
        text: String,
    },
    Assistant {
        turn: u64,
        #[serde(default)]
        at: u64,
        text: String,
    },
    Run {
        /// Index of the turn that the run starts, or of the last turn if the run continues it.
        turn: u64,
        #[serde(default)]
        at: u64,
        run: RunId,
        #[serde(default)]
        prompt: PromptForm,
        /// Indices of the model and the system prompt, if not the last ones.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<usize>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        system: Option<usize>,
    },
    /// The oldest `messages` after the system prompt do not fit in the context of the run.
    Dropped {
        run: RunId,
        messages: usize,
    },
    Round(Box<RoundLine>),
    End {
        run: RunId,
        #[serde(flatten)]
        end: RunEnd,
    },
    Lens {
        run: RunId,
        #[serde(flatten)]
        lens: Box<Lens>,
    },
    /// The last turn, the assistant's, is answered again. Its current answer is kept as an alternative, unless blank.
    Retry {},
    /// Selects the answer at index `answer` of turn `turn`.
    Show {
        turn: usize,
        answer: usize,
    },
    /// The queued questions, in order.
    Queued {
        texts: Vec<String>,
    },
    /// The last race against plain decoding.
    Race(Box<Race>),
    /// Drops all turns but the first `turns`.
    #[serde(rename = "keep")]
    Truncate {
        turns: usize,
    },
    /// Totals of the session so far; the last line of a file after a clean shutdown.
    Summary(Totals),
}

impl JournalLine {
    /// The kinds that this schema defines. Lines of any other kind are skipped with a note.
    pub const KINDS: [&str; 18] = [
        "title",
        "model",
        "system",
        "settings",
        "mode",
        "user",
        "assistant",
        "run",
        "dropped",
        "round",
        "end",
        "lens",
        "retry",
        "show",
        "queued",
        "race",
        "keep",
        "summary",
    ];
}

/// A round without its settings, which are those of the last settings line with [`Override`] applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundLine {
    pub run: RunId,
    pub index: usize,
    pub position: usize,
    /// The settings that a controller changed.
    #[serde(rename = "moved", default, skip_serializing_if = "Option::is_none")]
    pub overridden: Option<Override>,
    /// As [`Round::controller_note`].
    #[serde(rename = "control", default, skip_serializing_if = "Option::is_none")]
    pub controller_note: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drafted: Vec<DraftToken>,
    #[serde(default)]
    pub accepted: usize,
    /// As [`RoundTokens::path`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<usize>,
    #[serde(rename = "last", default, skip_serializing_if = "Option::is_none")]
    pub closing: Option<ClosingToken>,
    #[serde(default)]
    pub draft_seconds: f64,
    #[serde(default)]
    pub verify_seconds: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopReason>,
}

/// The settings that a controller changes from round to round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    pub exit_layer: usize,
    pub num_speculations: usize,
    /// If it differs. Readers that do not know the field ignore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// As [`Self::strategy`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposers: Option<Proposers>,
    /// As [`Self::strategy`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<usize>,
}

impl Override {
    /// The override that turns `base` into `settings`. `None` if they are equal, or differ in more than a controller
    /// changes; then `settings` need their own line.
    pub fn between(base: &Settings, settings: &Settings) -> Option<Self> {
        let overridden = Self {
            exit_layer: settings.exit_layer,
            num_speculations: settings.num_speculations,
            strategy: Some(settings.strategy).filter(|strategy| *strategy != base.strategy),
            proposers: Some(settings.proposers).filter(|proposers| *proposers != base.proposers),
            tree: Some(settings.tree).filter(|tree| *tree != base.tree),
        };
        let moved = base != settings && base.controller != Controller::Fixed;
        (moved && overridden.applied_to(base.clone()) == *settings).then_some(overridden)
    }

    fn applied_to(self, mut settings: Settings) -> Settings {
        settings.exit_layer = self.exit_layer;
        settings.num_speculations = self.num_speculations;
        settings.strategy = self.strategy.unwrap_or(settings.strategy);
        settings.proposers = self.proposers.unwrap_or(settings.proposers);
        settings.tree = self.tree.unwrap_or(settings.tree);
        settings
    }
}

impl RoundLine {
    /// `round` as a line of `run`, with its detail reduced to `detail`. `base` are the settings of the last settings
    /// line; the round must be decoded with them, with or without an [`Override`].
    pub fn new(run: RunId, base: &Settings, round: Round, detail: Detail) -> Self {
        let overridden = Override::between(base, &round.settings);
        let RoundTokens {
            mut drafted,
            accepted,
            path,
            mut closing,
        } = round.tokens().clone();
        drafted
            .iter_mut()
            .for_each(|token| reduce(&mut token.detail, detail));
        closing
            .iter_mut()
            .for_each(|token| reduce(&mut token.detail, detail));
        Self {
            run,
            index: round.index,
            position: round.position,
            overridden,
            controller_note: round.controller_note,
            drafted,
            accepted,
            path,
            closing,
            draft_seconds: round.draft_seconds,
            verify_seconds: round.verify_seconds,
            stop: round.stop,
        }
    }

    /// The round that this line records; `settings` are those of the last settings line.
    pub fn into_round(self, base: Settings) -> Round {
        let settings = match self.overridden {
            Some(overridden) => overridden.applied_to(base),
            None => base,
        };
        let tokens = RoundTokens {
            drafted: self.drafted,
            accepted: self.accepted,
            path: self.path,
            closing: self.closing,
        };
        let mut round = Round::new(self.index, self.position, settings, tokens);
        round.controller_note = self.controller_note;
        round.draft_seconds = self.draft_seconds;
        round.verify_seconds = self.verify_seconds;
        round.stop = self.stop;
        round
    }

    /// Checks that drafted tokens, accepted count and path fit together.
    ///
    /// # Errors
    /// Describes the first contradiction, as [`RoundTokens::check`] does.
    pub fn check_tokens(&self) -> Result<(), String> {
        let tokens = RoundTokens {
            drafted: self.drafted.clone(),
            accepted: self.accepted,
            path: self.path.clone(),
            closing: None,
        };
        tokens.check()
    }
}

fn reduce(slot: &mut Option<Box<TokenDetail>>, detail: Detail) {
    match (detail, slot.as_mut()) {
        (Detail::Off, _) => *slot = None,
        (Detail::Candidates, Some(kept)) => kept.layers.clear(),
        (Detail::Candidates | Detail::Layers, _) => {}
    }
}

/// The figures of a session for lists, available without reading the whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "RecordedTotals")]
pub struct Totals {
    pub title: String,
    /// Name of the last model.
    pub model: String,
    /// As a user counts them: a question with its answer is one turn.
    pub turns: usize,
    /// Questions and answers.
    pub messages: usize,
    /// Generated tokens.
    pub tokens: usize,
    pub drafted: usize,
    pub accepted: usize,
}

/// Totals as a journal has them. Without `messages`, which version 0.1.0 did not write, `turns` is their number.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RecordedTotals {
    title: String,
    model: String,
    turns: usize,
    messages: Option<usize>,
    tokens: usize,
    drafted: usize,
    accepted: usize,
}

impl From<RecordedTotals> for Totals {
    fn from(recorded: RecordedTotals) -> Self {
        let turns = match recorded.messages {
            Some(_) => recorded.turns,
            None => recorded.turns.div_ceil(2),
        };
        Self {
            title: recorded.title,
            model: recorded.model,
            turns,
            messages: recorded.messages.unwrap_or(recorded.turns),
            tokens: recorded.tokens,
            drafted: recorded.drafted,
            accepted: recorded.accepted,
        }
    }
}
