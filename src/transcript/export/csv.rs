//! Tables for spreadsheets and data frames, as RFC 4180 has them: comma, CRLF, quotes where needed.
//!
//! Text stands in its cells as a JSON string, quotation marks and all: so it keeps every character, stays on one line,
//! and never begins with a sign that a spreadsheet takes for a formula.

use super::describe::{self, serde_name};
use crate::engine::decode::{KeptToken, Round};
use crate::safe_text;
use crate::transcript::origin_style::{REJECTED, style};
use crate::transcript::{Run, Session};

const TOKENS: &str = "turn,run,round,position,origin,draft_position,id,text,p_draft,p_verify";
const ROUNDS: &str = "turn,run,round,position,strategy,exit_layer,num_speculations,draft_vocab,sample,temperature,\
                      top_k,top_p,min_p,seed,coupling,drafted,accepted,rejected,tokens,last_origin,\
                      draft_seconds,verify_seconds,stop";

/// One row for every token, kept or rejected, in order: `origin` is `rejected` for the latter. `position` is absolute,
/// `draft_position` counts from 0.
pub fn tokens_csv(session: &Session) -> String {
    let rows = runs(session).flat_map(|(turn, run)| {
        run.rounds.iter().flat_map(move |round| {
            let kept = round.kept().enumerate();
            let kept = kept.map(move |(at, token)| {
                token_row(turn, run, round, at, &token, style(token.origin).name)
            });
            let rejected = describe::rejected(round).enumerate();
            let rejected = rejected.map(move |(at, token)| {
                token_row(
                    turn,
                    run,
                    round,
                    round.accepted() + at,
                    &token,
                    REJECTED.name,
                )
            });
            kept.chain(rejected)
        })
    });
    table(TOKENS, rows)
}

/// One row for every round.
pub fn rounds_csv(session: &Session) -> String {
    table(
        ROUNDS,
        runs(session).flat_map(|(turn, run)| {
            run.rounds
                .iter()
                .map(move |round| round_row(turn, run, round))
        }),
    )
}

fn runs(session: &Session) -> impl Iterator<Item = (usize, &Run)> {
    session
        .turns
        .iter()
        .enumerate()
        .flat_map(|(turn, of)| of.runs.iter().map(move |run| (turn, run)))
}

fn token_row(
    turn: usize,
    run: &Run,
    round: &Round,
    at: usize,
    token: &KeptToken<'_>,
    origin: &str,
) -> Vec<String> {
    vec![
        turn.to_string(),
        run.run.0.to_string(),
        round.index.to_string(),
        round.position.saturating_add(at).to_string(),
        origin.into(),
        optional(token.draft_position),
        token.id.to_string(),
        quoted(token.text),
        optional(token.p_draft),
        optional(token.p_verify),
    ]
}

fn round_row(turn: usize, run: &Run, round: &Round) -> Vec<String> {
    let (settings, sampling) = (&round.settings, &round.settings.sampling);
    vec![
        turn.to_string(),
        run.run.0.to_string(),
        round.index.to_string(),
        round.position.to_string(),
        serde_name(&settings.strategy),
        settings.exit_layer.to_string(),
        settings.num_speculations.to_string(),
        settings.draft_vocab.to_string(),
        sampling.sample.to_string(),
        sampling.temperature.to_string(),
        sampling.top_k.to_string(),
        sampling.top_p.to_string(),
        sampling.min_p.to_string(),
        sampling.seed.to_string(),
        serde_name(&sampling.coupling),
        round.drafted().len().to_string(),
        round.accepted().to_string(),
        round.rejected().to_string(),
        round.len().to_string(),
        optional(round.closing().map(|token| serde_name(&token.origin))),
        round.draft_seconds.to_string(),
        round.verify_seconds.to_string(),
        optional(
            round
                .stop
                .as_ref()
                .map(|stop| safe_text::json(serde_name(stop))),
        ),
    ]
}

fn optional(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn quoted(words: &str) -> String {
    serde_json::to_string(words).map_or_else(|_| String::new(), safe_text::json)
}

fn table(head: &str, rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut out = format!("{head}\r\n");
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| cell_of(cell)).collect();
        out += &cells.join(",");
        out += "\r\n";
    }
    out
}

fn cell_of(value: &str) -> String {
    match value.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", value.replace('"', "\"\"")),
        false => value.to_owned(),
    }
}
