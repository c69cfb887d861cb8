//! JSON: the object that `skiplens generate --json` prints, with the conversation and the rest of the session.

use crate::engine::decode::{Origin, Proposer, Round, Stats, StopReason};
use crate::engine::prompt::{Message, Prompt};
use crate::safe_text;
use crate::transcript::{ModelRecord, Run, Session};
use serde::{Deserialize, Serialize};

#[derive(Serialize)]
struct Document<'a> {
    /// The last model.
    model: Option<&'a ModelRecord>,
    /// The prompt of the first run.
    prompt: Option<Prompt>,
    /// All generated text.
    text: String,
    tokens: Vec<Token<'a>>,
    rounds: Vec<&'a Round>,
    stats: Figures,
    /// Why the last run ended.
    stop: Option<&'a StopReason>,
    messages: Vec<Message>,
    session: Skeleton,
    /// Number of alternative answers, which are omitted here.
    #[serde(skip_serializing_if = "is_zero")]
    other_answers: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// [`Stats`] with derived figures.
#[derive(Serialize)]
pub struct Figures {
    #[serde(flatten)]
    stats: Stats,
    rejected: usize,
    acceptance_rate: Option<f64>,
    acceptance_by_position: Vec<f64>,
    mean_accepted_length: Option<f64>,
    decode_seconds: f64,
    tokens_per_second: Option<f64>,
}

impl From<Stats> for Figures {
    fn from(stats: Stats) -> Self {
        Self {
            rejected: stats.drafted - stats.accepted,
            acceptance_rate: stats.acceptance_rate(),
            acceptance_by_position: stats.acceptance_by_position(),
            mean_accepted_length: stats.mean_accepted_length(),
            decode_seconds: stats.decode_seconds(),
            tokens_per_second: stats.tokens_per_second(),
            stats,
        }
    }
}

/// A token of the text.
#[derive(Serialize)]
pub struct Token<'a> {
    id: u32,
    text: &'a str,
    origin: Origin,
    /// Index in `rounds`.
    round: usize,
    p_draft: Option<f32>,
    p_verify: Option<f32>,
    /// What drafted it, if it was drafted.
    #[serde(skip_serializing_if = "Option::is_none")]
    proposed_by: Option<Proposer>,
}

/// A session without its rounds, and the number of rounds of each run.
#[derive(Serialize, Deserialize)]
pub struct Skeleton {
    #[serde(flatten)]
    pub session: Session,
    pub round_counts: Vec<usize>,
}

/// `session` as one JSON object, which [`crate::transcript::import`] reads back.
pub fn json(session: &Session) -> String {
    let answer = session.turns.iter().position(|turn| !turn.runs.is_empty());
    let document = Document {
        model: session.model(),
        prompt: answer.and_then(|turn| session.prompt_of(turn, 0)),
        text: session.runs().map(Run::text).collect(),
        tokens: session
            .rounds()
            .enumerate()
            .flat_map(|(at, round)| tokens(at, round))
            .collect(),
        rounds: session.rounds().collect(),
        stats: session.stats().into(),
        stop: session.runs().last().and_then(Run::stop),
        messages: session.messages(),
        session: skeleton(session),
        other_answers: session.turns.iter().map(|turn| turn.others.len()).sum(),
    };
    // Plain data with string keys always serialises.
    serde_json::to_string_pretty(&document).map_or_else(|_| String::new(), safe_text::json) + "\n"
}

/// The tokens that `round` adds to the text; `at` is its index.
pub fn tokens(at: usize, round: &Round) -> impl Iterator<Item = Token<'_>> {
    round.kept().map(move |token| Token {
        id: token.id,
        text: token.text,
        origin: token.origin,
        round: at,
        p_draft: token.p_draft,
        p_verify: token.p_verify,
        proposed_by: token.proposer,
    })
}

fn skeleton(session: &Session) -> Skeleton {
    let round_counts = session.runs().map(|run| run.rounds.len()).collect();
    let turns = session.turns.iter().map(|turn| {
        let runs = turn.runs.iter().map(|run| Run {
            rounds: Vec::new(),
            prompt: run.prompt.clone(),
            end: run.end.clone(),
            lens: run.lens.clone(),
            ..*run
        });
        crate::transcript::Turn {
            text: turn.text.clone(),
            runs: runs.collect(),
            others: Vec::new(),
            variant: 0,
            ..*turn
        }
    });
    let Session {
        header,
        title,
        settings,
        mode,
        models,
        systems,
        turns: _,
        queued: _,
        race,
    } = session;
    let session = Session {
        turns: turns.collect(),
        header: header.clone(),
        title: title.clone(),
        settings: settings.clone(),
        mode: *mode,
        models: models.clone(),
        systems: systems.clone(),
        queued: Vec::new(),
        race: race.clone(),
    };
    Skeleton {
        session,
        round_counts,
    }
}
