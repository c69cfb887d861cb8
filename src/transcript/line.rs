//! The lines of a journal file: JSON objects, one a line. The first is a [`Header`], all others are [`Line`]s.

use super::entry::{Detail, Lens, Mode, ModelRecord, PromptForm, RunEnd};
use crate::engine::decode::{
    ClosingToken, Controller, DraftToken, Round, RoundTokens, Settings, StopReason, TokenDetail,
};
use crate::engine::worker::RunId;
use serde::{Deserialize, Serialize};

/// The schema that this program writes, and the newest that it reads.
pub const SCHEMA: u64 = 1;
/// What tells a journal from other JSON.
pub const MAGIC: &str = "skiplens-session";

/// First line of a journal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`MAGIC`].
    pub format: String,
    pub schema: u64,
    /// Name and version of the program that began the file.
    pub program: String,
    /// Id of the session; ids sort by time.
    pub id: String,
    /// Unix milliseconds, UTC.
    pub created_ms: u64,
    /// The same in RFC 3339, for people.
    pub created: String,
    pub title: String,
}

impl Header {
    /// Header of a session that begins at `created_ms`.
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

/// Every line but the first. `at` is in Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Line {
    Title {
        title: String,
    },
    Model(ModelRecord),
    System {
        text: String,
    },
    /// In force for all rounds from here to the next such line.
    Settings(Settings),
    /// How prompts reach the model, where that is not as in the last run.
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
        /// Id of the turn that begins, or of the last turn if that goes on.
        turn: u64,
        #[serde(default)]
        at: u64,
        run: RunId,
        #[serde(default)]
        prompt: PromptForm,
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
    /// Only the first so many turns stay.
    Keep {
        turns: usize,
    },
    /// What the session amounts to so far; the last line of a file that was closed in peace.
    Summary(Totals),
}

impl Line {
    /// The kinds of this schema: a line of any other is skipped with a note.
    pub const KINDS: [&str; 13] = [
        "title",
        "model",
        "system",
        "settings",
        "mode",
        "user",
        "assistant",
        "run",
        "round",
        "end",
        "lens",
        "keep",
        "summary",
    ];
}

/// A round without its settings: those of the last settings line are its own, but for what a controller moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundLine {
    pub run: RunId,
    pub index: usize,
    pub position: usize,
    /// Exit layer and speculations, where they are not those of the settings line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Moved>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drafted: Vec<DraftToken>,
    #[serde(default)]
    pub accepted: usize,
    /// As [`RoundTokens::path`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<ClosingToken>,
    #[serde(default)]
    pub draft_seconds: f64,
    #[serde(default)]
    pub verify_seconds: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopReason>,
}

/// What a controller moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    pub exit_layer: usize,
    pub num_speculations: usize,
}

impl Moved {
    /// What makes `settings` of `base`: none if they are the same, or if they differ in more than a controller moves;
    /// then `settings` need a line of their own.
    pub fn between(base: &Settings, settings: &Settings) -> Option<Self> {
        let Settings {
            exit_layer,
            num_speculations,
            ..
        } = *settings;
        let same_but_for_it = Settings {
            exit_layer,
            num_speculations,
            ..base.clone()
        } == *settings;
        (same_but_for_it && base != settings && base.controller != Controller::Fixed).then_some(
            Self {
                exit_layer,
                num_speculations,
            },
        )
    }
}

impl RoundLine {
    /// `round` as a line of `run`, with as much detail as is wanted. Its settings are `base`, or what [`Moved`] makes of
    /// them.
    pub fn new(run: RunId, base: &Settings, round: Round, detail: Detail) -> Self {
        let moved = Moved::between(base, &round.settings);
        let RoundTokens {
            mut drafted,
            accepted,
            path,
            closing: mut last,
        } = round.tokens().clone();
        drafted
            .iter_mut()
            .for_each(|token| reduce(&mut token.detail, detail));
        last.iter_mut()
            .for_each(|token| reduce(&mut token.detail, detail));
        Self {
            run,
            index: round.index,
            position: round.position,
            moved,
            control: round.controller_note,
            drafted,
            accepted,
            path,
            last,
            draft_seconds: round.draft_seconds,
            verify_seconds: round.verify_seconds,
            stop: round.stop,
        }
    }

    /// The round again; `settings` are those of the last settings line.
    pub fn into_round(self, mut settings: Settings) -> Round {
        if let Some(moved) = self.moved {
            settings.exit_layer = moved.exit_layer;
            settings.num_speculations = moved.num_speculations;
        }
        let tokens = RoundTokens {
            drafted: self.drafted,
            accepted: self.accepted,
            path: self.path,
            closing: self.last,
        };
        let mut round = Round::new(self.index, self.position, settings, tokens);
        round.controller_note = self.control;
        round.draft_seconds = self.draft_seconds;
        round.verify_seconds = self.verify_seconds;
        round.stop = self.stop;
        round
    }

    /// The fault of tokens that no round can have, in words.
    ///
    /// # Errors
    /// As [`RoundTokens::check`].
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

/// What a list shows of a session without reading all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    pub title: String,
    /// Name of the last model.
    pub model: String,
    pub turns: usize,
    /// Generated tokens.
    pub tokens: usize,
    pub drafted: usize,
    pub accepted: usize,
}
