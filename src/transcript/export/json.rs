//! JSON: the object that `skiplens generate --json` prints, the conversation, and what else makes up the session.

use crate::engine::decode::{Origin, Round, Stats};
use crate::engine::worker::Message;
use crate::transcript::{Run, Session, text};
use serde::{Deserialize, Serialize};

#[derive(Serialize)]
struct Document<'a> {
    /// Name of the last model.
    model: &'a str,
    /// What was said first.
    prompt: &'a str,
    /// All generated text.
    text: String,
    tokens: Vec<Token<'a>>,
    rounds: Vec<&'a Round>,
    stats: Stats,
    messages: Vec<Message>,
    session: Skeleton,
}

#[derive(Serialize)]
struct Token<'a> {
    id: u32,
    text: &'a str,
    origin: Origin,
    /// Index in `rounds`.
    round: usize,
    p_draft: Option<f32>,
    p_verify: Option<f32>,
}

/// A session without its rounds, and how many of them belong to each run.
#[derive(Serialize, Deserialize)]
pub struct Skeleton {
    #[serde(flatten)]
    pub session: Session,
    pub round_counts: Vec<usize>,
}

/// `session` as one JSON object. [`crate::transcript::import`] makes the same session of it.
pub fn json(session: &Session) -> String {
    let document = Document {
        model: session.model().map_or("", |model| &model.name),
        prompt: session.turns.first().map_or("", |turn| &turn.text),
        text: session.runs().map(Run::text).collect(),
        tokens: session.rounds().enumerate().flat_map(|(at, round)| tokens(at, round)).collect(),
        rounds: session.rounds().collect(),
        stats: session.stats(),
        messages: session.messages(),
        session: skeleton(session),
    };
    // Plain data with string keys always serialises.
    serde_json::to_string_pretty(&document).map_or_else(|_| String::new(), text::json) + "\n"
}

fn tokens(at: usize, round: &Round) -> impl Iterator<Item = Token<'_>> {
    round.kept().map(move |token| Token {
        id: token.id,
        text: token.text,
        origin: token.origin,
        round: at,
        p_draft: token.p_draft,
        p_verify: token.p_verify,
    })
}

fn skeleton(session: &Session) -> Skeleton {
    let round_counts = session.runs().map(|run| run.rounds.len()).collect();
    let turns = session.turns.iter().map(|turn| {
        let runs = turn.runs.iter().map(|run| Run {
            rounds: Vec::new(),
            prompt: run.prompt.clone(),
            end: run.end.clone(),
            ..*run
        });
        crate::transcript::Turn { text: turn.text.clone(), runs: runs.collect(), ..*turn }
    });
    let Session { header, title, settings, models, systems, turns: _ } = session;
    let session = Session {
        turns: turns.collect(),
        header: header.clone(),
        title: title.clone(),
        settings: settings.clone(),
        models: models.clone(),
        systems: systems.clone(),
    };
    Skeleton { session, round_counts }
}
