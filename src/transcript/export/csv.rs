//! CSV tables for spreadsheets and data frames, as RFC 4180 defines them: commas, CRLF, quotes where needed.
//!
//! Text is written as a JSON string, including its quotation marks: it keeps every character, stays on one line, and
//! never starts with a character that a spreadsheet takes for a formula.

use super::describe::{self, serde_name};
use crate::engine::decode::{KeptToken, Round};
use crate::safe_text;
use crate::transcript::origin_style::{REJECTED, style};
use crate::transcript::{Run, Session};

/// A column: its name, and its value in a row.
type Column<Row> = (&'static str, fn(&Row) -> String);

/// A row of the table of tokens.
struct TokenRow<'a> {
    turn: usize,
    run: &'a Run,
    round: &'a Round,
    /// Index of the token in the round.
    at: usize,
    token: KeptToken<'a>,
    origin: &'static str,
}

/// A row of the table of rounds.
struct RoundRow<'a> {
    turn: usize,
    run: &'a Run,
    round: &'a Round,
}

/// The columns of the table of tokens: names, and the value in a row.
fn token_columns<'a>() -> [Column<TokenRow<'a>>; 11] {
    [
        ("turn", |row| row.turn.to_string()),
        ("run", |row| row.run.run.0.to_string()),
        ("round", |row| row.round.index.to_string()),
        ("position", |row| {
            row.round.position.saturating_add(row.at).to_string()
        }),
        ("origin", |row| row.origin.into()),
        ("draft_position", |row| optional(row.token.draft_position)),
        ("id", |row| row.token.id.to_string()),
        ("text", |row| quoted(row.token.text)),
        ("p_draft", |row| optional(row.token.p_draft)),
        ("p_verify", |row| optional(row.token.p_verify)),
        ("proposed_by", |row| {
            optional(row.token.proposer.map(|proposer| serde_name(&proposer)))
        }),
    ]
}

/// The columns of the table of rounds. Settings are named like the fields of [`crate::engine::decode::Settings`].
fn round_columns<'a>() -> [Column<RoundRow<'a>>; 26] {
    [
        ("turn", |row| row.turn.to_string()),
        ("run", |row| row.run.run.0.to_string()),
        ("round", |row| row.round.index.to_string()),
        ("position", |row| row.round.position.to_string()),
        ("strategy", |row| serde_name(&row.round.settings.strategy)),
        ("exit_layer", |row| {
            row.round.settings.exit_layer.to_string()
        }),
        ("num_speculations", |row| {
            row.round.settings.num_speculations.to_string()
        }),
        ("draft_vocab", |row| {
            row.round.settings.draft_vocab.to_string()
        }),
        ("sample", |row| {
            row.round.settings.sampling.sample.to_string()
        }),
        ("temperature", |row| {
            row.round.settings.sampling.temperature.to_string()
        }),
        ("top_k", |row| row.round.settings.sampling.top_k.to_string()),
        ("top_p", |row| row.round.settings.sampling.top_p.to_string()),
        ("min_p", |row| row.round.settings.sampling.min_p.to_string()),
        ("seed", |row| row.round.settings.sampling.seed.to_string()),
        ("coupling", |row| {
            serde_name(&row.round.settings.sampling.coupling)
        }),
        ("drafted", |row| row.round.drafted().len().to_string()),
        ("accepted", |row| row.round.accepted().to_string()),
        ("rejected", |row| row.round.rejected().to_string()),
        ("tokens", |row| row.round.len().to_string()),
        ("last_origin", |row| {
            optional(row.round.closing().map(|token| serde_name(&token.origin)))
        }),
        ("draft_seconds", |row| row.round.draft_seconds.to_string()),
        ("verify_seconds", |row| row.round.verify_seconds.to_string()),
        ("stop", |row| {
            optional(
                row.round
                    .stop
                    .as_ref()
                    .map(|stop| safe_text::json(serde_name(stop))),
            )
        }),
        ("proposers", |row| {
            row.round.settings.proposers.name().into()
        }),
        ("tree", |row| row.round.settings.tree.to_string()),
        ("proposed_by", |row| {
            let first = row.round.drafted().first();
            optional(first.map(|token| serde_name(&token.proposer)))
        }),
    ]
}

/// One row per token, kept or rejected, in order: `origin` is `rejected` for the latter. `position` is absolute,
/// `draft_position` counts from 0 in the round.
pub fn tokens_csv(session: &Session) -> String {
    let rows = runs(session).flat_map(|(turn, run)| {
        run.rounds.iter().flat_map(move |round| {
            let row = move |at, token, origin| TokenRow {
                turn,
                run,
                round,
                at,
                token,
                origin,
            };
            let kept = round.kept().enumerate();
            let kept = kept.map(move |(at, token)| row(at, token, style(token.origin).name));
            let rejected = describe::rejected(round).enumerate();
            let rejected =
                rejected.map(move |(at, token)| row(round.accepted() + at, token, REJECTED.name));
            kept.chain(rejected)
        })
    });
    table(&token_columns(), rows)
}

/// One row per round.
pub fn rounds_csv(session: &Session) -> String {
    let rows = runs(session).flat_map(|(turn, run)| {
        run.rounds
            .iter()
            .map(move |round| RoundRow { turn, run, round })
    });
    table(&round_columns(), rows)
}

fn runs(session: &Session) -> impl Iterator<Item = (usize, &Run)> {
    session
        .turns
        .iter()
        .enumerate()
        .flat_map(|(turn, of)| of.runs.iter().map(move |run| (turn, run)))
}

fn optional(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn quoted(words: &str) -> String {
    serde_json::to_string(words).map_or_else(|_| String::new(), safe_text::json)
}

fn table<Row>(columns: &[Column<Row>], rows: impl Iterator<Item = Row>) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let mut out = names.join(",") + "\r\n";
    for row in rows {
        let cells: Vec<String> = columns
            .iter()
            .map(|(_, value)| cell_of(&value(&row)))
            .collect();
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
