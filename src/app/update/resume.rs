//! Resuming a saved session.

use super::{controls, run};
use crate::app::input::action::{ChatAction, Pane};
use crate::app::message::Effect;
use crate::app::state::turn::{Outcome, begin_run, mark_unseen};
use crate::app::state::{Lens, Mode, Shared, State, Turn};
use crate::engine::decode::{Settings, StopReason};
use crate::engine::prompt::Role;
use crate::plural::counted;
use crate::safe_text::one_line;
use crate::transcript::{self, Session};
use std::sync::Arc;

/// Resumes a session in place of the chat, including its settings.
pub(super) fn load(state: &mut State, shared: &mut Shared, session: &Session) -> Vec<Effect> {
    take_over(state, shared, session, session.settings.clone())
}

/// Resumes a session at startup: the command line takes precedence over the session's settings.
pub(super) fn resume(state: &mut State, shared: &mut Shared, session: &Session) {
    let mut settings = session.settings.clone();
    for control in &state.user_set {
        control.set(&mut settings, control.get(&state.settings));
    }
    let given = &state.settings;
    if !given.stop_strings.is_empty() {
        settings.stop_strings = given.stop_strings.clone();
    }
    if !given.stop_token_ids.is_empty() {
        settings.stop_token_ids = given.stop_token_ids.clone();
    }
    take_over(state, shared, session, settings);
}

fn take_over(
    state: &mut State,
    shared: &mut Shared,
    session: &Session,
    settings: Settings,
) -> Vec<Effect> {
    let effects = run::clear(state);
    state.retracted = None;
    state.system = session.system().to_owned();
    state.mode = session.current_mode();
    controls::adopt(state, settings);
    for at in 0..session.turns.len() {
        open(state, shared, session, at);
        for run in &session.turns[at].runs {
            let model = session.model_of(run).cloned().map(Arc::new);
            begin_run(&mut state.turns, model);
            mark_unseen(&mut state.turns, run.dropped);
            if let Some(turn) = state.turns.last_mut() {
                add(turn, run);
            }
        }
        take_answers(state, shared, session, at);
    }
    state.queued = session.queued.clone();
    state.raced = session.race.as_deref().cloned();
    let turns = format!("{} restored", counted(state.turns.len(), "turn"));
    let queued = match state.queued.is_empty() {
        true => "",
        false => "; a question is still queued",
    };
    let other = other_model(state).map_or_else(String::new, |other| format!("; {other}"));
    let mute = state.model.as_ref().filter(|model| {
        let chats = state.mode == Mode::Chat && !state.is_read_only();
        chats && !model.has_chat_template
    });
    match mute {
        Some(model) => {
            let key = shared.key_name(Pane::Prompt, ChatAction::ToggleMode);
            state.notify_error(format!(
                "{turns}{other}. {} cannot continue this chat, since it has no chat template; {key} lets it complete text",
                model.name
            ));
        }
        None => state.notify(format!("{turns}{other}{queued}")),
    }
    effects
}

/// That another model than the loaded one wrote the chat, and how to load it.
fn other_model(state: &State) -> Option<String> {
    let loaded = state.model_record()?;
    let wrote = state.turns.iter().rev().find_map(|turn| turn.model.clone());
    let wrote = wrote.filter(|wrote| !wrote.has_weights_of(&loaded))?;
    let (before, now) = (wrote.name_beside(&loaded), loaded.name_beside(&wrote));
    let load = match wrote.path.as_str() {
        "" => "/model".to_owned(),
        path => format!("/model {}", one_line(path)),
    };
    Some(
        one_line(&format!(
            "{before} wrote it and {now} answers from here; {load} loads {before}"
        ))
        .into_owned(),
    )
}

/// Adds the other answers of a turn of the session to the last turn of the chat.
pub(super) fn take_answers(state: &mut State, shared: &mut Shared, session: &Session, at: usize) {
    let (Some(saved), Some(turn)) = (session.turns.get(at), state.turns.last_mut()) else {
        return;
    };
    for answer in &saved.others {
        let mut other = Turn::new(shared.new_turn(), turn.mode, turn.prompt.clone());
        for run in &answer.runs {
            add(&mut other, run);
            other.model = session.model_of(run).cloned().map(Arc::new);
        }
        turn.others.push(other);
    }
    if !saved.others.is_empty() {
        turn.variant = saved.variant.min(turn.others.len());
    }
}

/// Prepares for a turn of the session: a user's message starts a turn, an answer belongs to the last one.
pub(super) fn open(state: &mut State, shared: &mut Shared, session: &Session, at: usize) {
    let Some(saved) = session.turns.get(at) else {
        return;
    };
    if !session.starts_turn(at) && !state.turns.is_empty() {
        return;
    }
    let prompt = match saved.role {
        Role::Assistant => String::new(),
        _ => saved.text.clone(),
    };
    let mut turn = Turn::new(shared.new_turn(), session.mode_of(at), prompt);
    turn.outcome = Some(Outcome::Stopped(StopReason::Cancelled));
    state.turns.push(turn);
}

/// Adds a recorded run to a turn, as the engine's events would have.
fn add(turn: &mut Turn, run: &transcript::Run) {
    run.rounds.iter().for_each(|round| turn.push(round.clone()));
    // One that is incomplete is requested again.
    let end = run.rounds.last().map(|round| round.position + round.len());
    let lens = run.lens.as_deref().map(Lens::kept);
    turn.lens = lens
        .filter(|lens| lens.rows.last().map(|row| row.position + 1) == end)
        .map(Box::new);
    turn.outcome = Some(match run.end.as_ref().map(|end| &end.outcome) {
        Some(transcript::Outcome::Failed(message)) => Outcome::Failed(message.clone()),
        _ => {
            let stats = run.stats();
            turn.stats.prefill_seconds += stats.prefill_seconds;
            turn.stats.prefill_tokens += stats.prefill_tokens;
            Outcome::Stopped(run.reason())
        }
    });
}
