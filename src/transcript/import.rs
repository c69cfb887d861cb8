//! Imports the output of `skiplens generate --json` and sessions exported as JSON.

use super::export::Skeleton;
use super::line::{Header, RoundLine};
use super::{
    Detail, Error, ModelRecord, PromptForm, Result, Run, RunEnd, Session, Turn, clock, read,
    validate,
};
use crate::engine::decode::{Round, Settings, Stats, StopReason};
use crate::engine::prompt::{Message, Prompt, Role};
use crate::engine::worker::RunId;
use crate::error_text;
use serde::Deserialize;
use serde_json::Value;
use std::io::Read;
use std::path::Path;

/// Max size of a file in bytes. It is read into memory as a whole.
const MAX_BYTES: u64 = 1 << 30;

#[derive(Deserialize)]
struct Document {
    /// A name, or a `ModelInfo` or [`ModelRecord`].
    #[serde(default)]
    model: Value,
    /// A text, or a [`Prompt`].
    #[serde(default)]
    prompt: Value,
    rounds: Vec<Round>,
    #[serde(default)]
    text: Option<String>,
    /// The file's own statistics. Only compared: they are recomputed from the rounds.
    #[serde(default)]
    stats: Value,
    #[serde(default)]
    stop: Option<StopReason>,
    #[serde(default)]
    session: Option<Skeleton>,
}

/// Imports the session in the JSON file at `path`. Also returns notes on contradictions in the file. Rounds are validated
/// as in a journal; text and statistics are recomputed from them.
///
/// # Errors
/// If the file cannot be read, is not JSON of this form, or has an invalid round.
pub fn import(path: &Path) -> Result<(Session, Vec<String>)> {
    let fail = |fault: String| Error::Import {
        path: path.to_owned(),
        fault,
    };
    let mut text = String::new();
    let mut file = read::open(path)?.take(MAX_BYTES);
    file.read_to_string(&mut text)
        .map_err(|error| Error::io(path, error))?;
    let document: Document =
        serde_json::from_str(&text).map_err(|error| fail(error_text::json(&error)))?;
    document
        .rounds
        .iter()
        .enumerate()
        .try_for_each(|(at, round)| checked(at, round))
        .map_err(fail)?;
    build(document).map_err(fail)
}

fn checked(at: usize, round: &Round) -> Result<(), String> {
    let line = RoundLine::new(RunId(0), &round.settings, round.clone(), Detail::Layers);
    validate::round(&line)
        .and_then(|()| validate::settings(&round.settings))
        .map_err(|fault| format!("round {at}: {fault}"))
}

fn build(document: Document) -> Result<(Session, Vec<String>), String> {
    let (text, stats) = (document.text.clone(), document.stats.clone());
    let session = match document.session {
        Some(skeleton) => with_rounds(skeleton, document.rounds)?,
        None => from_generate(document),
    };
    let mut notes = Vec::new();
    if text.is_some_and(|text| text != session.runs().map(Run::text).collect::<String>()) {
        notes.push(
            "the text of the file differs from that of its rounds; the rounds are used".into(),
        );
    }
    let counted = Stats::of(session.rounds());
    let recounted = [
        ("tokens", counted.tokens),
        ("drafted", counted.drafted),
        ("accepted", counted.accepted),
    ];
    if recounted.iter().any(|(name, count)| {
        stats
            .get(name)
            .and_then(Value::as_u64)
            .is_some_and(|said| said != *count as u64)
    }) {
        notes.push(
            "the statistics of the file differ from those of its rounds; they are recomputed"
                .into(),
        );
    }
    Ok((session, notes))
}

/// Distributes the rounds over the runs of the skeleton.
fn with_rounds(skeleton: Skeleton, rounds: Vec<Round>) -> Result<Session, String> {
    let Skeleton {
        mut session,
        round_counts,
    } = skeleton;
    let total = round_counts
        .iter()
        .try_fold(0usize, |sum, count| sum.checked_add(*count));
    if total != Some(rounds.len()) || round_counts.len() != session.runs().count() {
        return Err("the number of rounds does not match the runs".into());
    }
    let mut rounds = rounds.into_iter();
    let runs = session.turns.iter_mut().flat_map(|turn| &mut turn.runs);
    for (run, count) in runs.zip(round_counts) {
        run.rounds = rounds.by_ref().take(count).collect();
    }
    session.sanitise();
    Ok(session)
}

/// A session with one prompt and its answer.
fn from_generate(document: Document) -> Session {
    let now = clock::now_ms();
    let mut session = Session::new(Header::new(String::new(), now));
    session.models.extend(model(document.model));
    let prompt = add_prompt(&mut session, document.prompt, now);
    let stop = document
        .stop
        .or_else(|| document.rounds.last()?.stop.clone());
    let prefill = Stats {
        prefill_tokens: document.stats["prefill_tokens"]
            .as_u64()
            .and_then(|count| count.try_into().ok())
            .unwrap_or(0),
        prefill_seconds: document.stats["prefill_seconds"].as_f64().unwrap_or(0.0),
        ..Stats::default()
    };
    if let Some(last) = document.rounds.last() {
        session.settings = Settings::clone(&last.settings);
    }
    let run = Run {
        run: RunId(0),
        at_ms: now,
        prompt,
        model: session.models.len().checked_sub(1),
        system: session.systems.len().checked_sub(1),
        dropped: 0,
        end: stop.map(|stop| RunEnd::finished(stop, &prefill, 0)),
        rounds: document.rounds,
        lens: None,
    };
    match session
        .turns
        .last_mut()
        .filter(|turn| turn.role == Role::Assistant)
    {
        Some(turn) => turn.runs.push(run),
        None => session.turns.push(Turn {
            runs: vec![run],
            ..Turn::typed(Role::Assistant, now, String::new())
        }),
    }
    session.sanitise();
    session
}

/// The model, if its description can be parsed.
fn model(description: Value) -> Option<ModelRecord> {
    if let Value::String(name) = description {
        return Some(ModelRecord {
            name,
            ..ModelRecord::default()
        });
    }
    let layers = description["config"]["num_layers"]
        .as_u64()
        .and_then(|count| count.try_into().ok());
    let record: ModelRecord = serde_json::from_value(description).ok()?;
    Some(ModelRecord {
        num_layers: layers.unwrap_or(record.num_layers),
        ..record
    })
}

/// Adds the prompt as turns, and returns the form in which the answer refers to them.
fn add_prompt(session: &mut Session, prompt: Value, at_ms: u64) -> PromptForm {
    let turn = |role, text| Turn::typed(role, at_ms, text);
    let text = match prompt {
        Value::String(text) => Some(text),
        other => match serde_json::from_value::<Prompt>(other) {
            Ok(Prompt::Text(text)) => Some(text),
            Ok(Prompt::Chat(messages)) => {
                for Message { role, content } in messages {
                    match role {
                        Role::System => session.systems.push(content),
                        role => session.turns.push(turn(role, content)),
                    }
                }
                return PromptForm::Conversation;
            }
            Ok(Prompt::Tokens(_)) | Err(_) => None,
        },
    };
    session
        .turns
        .extend(text.map(|text| turn(Role::User, text)));
    PromptForm::Completion
}
