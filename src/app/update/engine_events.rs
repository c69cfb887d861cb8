//! Events of the engine.

use super::reply::Reply;
use super::{model, race, run, sweep, what_if};
use crate::app::available::can_ask_what_if;
use crate::app::controls::{Control, Kind};
use crate::app::input::Action;
use crate::app::input::action::ChatAction;
use crate::app::message::Effect;
use crate::app::state::picker::{Entry, Picker};
use crate::app::state::turn::{Outcome, Pending, mark_unseen};
use crate::app::state::{Mode, Overlay, Phase, State, Turn};
use crate::engine::ErrorKind;
use crate::engine::decode::{Controller, Stats, StopReason};
use crate::engine::loaded_model::ModelInfo;
use crate::engine::worker::{Event, Failure, ModelEvent, RunEvent, RunId, Task};
use crate::transcript::ModelRecord;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Handles an event. Events of runs other than the current one are late and dropped.
pub(super) fn on_event(state: &mut State, event: Event) -> Reply {
    match event {
        Event::Model(event) => on_model_event(state, event),
        Event::Run(run, event) => {
            let before = state.run();
            let effect = on_run_event(state, run, event);
            Reply::from(effect).and(next_question(state, before.is_some()))
        }
    }
}

fn on_model_event(state: &mut State, event: ModelEvent) -> Reply {
    match event {
        ModelEvent::Loading { stage, fraction } => model::on_progress(state, stage, fraction),
        ModelEvent::Loaded { info, fingerprint } => {
            on_loaded(state, *info, fingerprint);
            if std::mem::take(&mut state.send_when_loaded) {
                return Reply::then(ChatAction::Send);
            }
        }
        ModelEvent::Failed(failure) => return model::on_failed(state, failure.message).into(),
        ModelEvent::Cancelled => return model::on_cancelled(state).into(),
    }
    Reply::none()
}

/// After an answer that ended by itself, the next question of the queue.
fn next_question(state: &State, ran: bool) -> Reply {
    let outcome = state.turns.last().and_then(|turn| turn.outcome.as_ref());
    let stopped =
        matches!(outcome, Some(Outcome::Stopped(reason)) if *reason != StopReason::Cancelled);
    match ran && state.phase == Phase::Idle && stopped && !state.queued.is_empty() {
        true => Reply::then(ChatAction::SendQueued),
        false => Reply::none(),
    }
}

fn on_run_event(state: &mut State, run: RunId, event: RunEvent) -> Option<Effect> {
    let event = match route_side_run(state, run, event) {
        ControlFlow::Continue(event) => event,
        ControlFlow::Break(effect) => return effect,
    };
    let present = state.run().filter(|present| present.id == run)?;
    match event {
        RunEvent::Dropped { messages } => mark_unseen(&mut state.turns, messages),
        RunEvent::Prefill {
            done,
            total,
            cached,
        } => {
            state.phase = Phase::Prefill {
                run: present,
                done,
                total,
                cached,
            }
        }
        RunEvent::Drafted { id, text, p_draft } => {
            generating(state);
            if let Some(turn) = state.turns.last_mut() {
                turn.pending.push(Pending { id, text, p_draft });
            }
        }
        RunEvent::Round(round) => {
            generating(state);
            if let Some(turn) = state.turns.last_mut() {
                turn.push(*round);
            }
        }
        // A pause reported after the user resumed is late as well.
        RunEvent::Paused if present.pausing => state.phase = Phase::Paused { run: present },
        RunEvent::Paused => {}
        RunEvent::Finished { reason, stats } => {
            on_finished(state, reason, &stats);
            return record_layers(state, present.id);
        }
        RunEvent::Failed(Failure { kind, message }) => {
            run::end(state, Outcome::Failed(message.clone()));
            if kind == ErrorKind::ContextExceeded && can_drop(state) {
                state.phase = Phase::Idle;
                state.overlay = Some(Overlay::Picker(overflow()));
                return None;
            }
            state.phase = Phase::Failed {
                message,
                engine_lives: true,
            };
        }
        // Events of races and lenses are not the conversation's, and the playground requests no scores.
        RunEvent::Race { .. }
        | RunEvent::Sweep(_)
        | RunEvent::Lens { .. }
        | RunEvent::Scores(_) => {}
    }
    None
}

/// While layers are recorded, requests every layer's predictions as soon as an answer ends.
fn record_layers(state: &mut State, run: RunId) -> Option<Effect> {
    let wanted = state.settings.detail && state.live && can_ask_what_if(state);
    wanted
        .then(|| what_if::request(state, run, Task::Lens))
        .flatten()
}

/// Handles events of lenses and races, which run beside the conversation. Continues with all others.
fn route_side_run(
    state: &mut State,
    run: RunId,
    event: RunEvent,
) -> ControlFlow<Option<Effect>, RunEvent> {
    match event {
        RunEvent::Lens { rows, of, costs } => what_if::on_lens(state, run, rows, of, costs),
        event if state.is_side_run(run) => match &state.overlay {
            Some(Overlay::Sweep(_)) => sweep::on_event(state, event),
            _ => return ControlFlow::Break(race::on_event(state, run, event)),
        },
        RunEvent::Race { .. } | RunEvent::Sweep(_) => {}
        RunEvent::Failed(ref failure) if what_if::on_failed(state, run, &failure.message) => {}
        event => return ControlFlow::Continue(event),
    }
    ControlFlow::Break(None)
}

/// Prefill is over. A paused run stays paused: this is one of its steps.
fn generating(state: &mut State) {
    if let Phase::Prefill { run, .. } = state.phase {
        state.phase = Phase::Generating { run };
    }
}

/// Whether there are turns before the last one that can be dropped from the context.
fn can_drop(state: &State) -> bool {
    let earlier = state
        .turns
        .split_last()
        .map_or(&[][..], |(_, before)| before);
    state.live && !state.drop_oldest && earlier.iter().any(Turn::is_said)
}

/// The choices for a conversation that no longer fits in the context.
fn overflow() -> Picker {
    let choices = [
        (
            ChatAction::DropOldest,
            "they stay on screen, but the model no longer sees them",
        ),
        (
            ChatAction::AskAnew,
            "the model sees nothing of this chat, which stays among the sessions",
        ),
        (ChatAction::EditLast, "nothing is sent"),
    ];
    let entry = |(action, note): (ChatAction, &str)| {
        let action = Action::from(action);
        Entry::new(action.label(), note, action)
    };
    let entries = choices.into_iter().map(entry).collect();
    Picker::new("the conversation no longer fits in the context", entries)
}

fn on_finished(state: &mut State, reason: StopReason, stats: &Stats) {
    if let Some(turn) = state.turns.last_mut() {
        turn.stats.prefill_seconds += stats.prefill_seconds;
        turn.stats.prefill_tokens += stats.prefill_tokens;
    }
    if reason == StopReason::ContextFull && state.live {
        state.notify(match state.turns.last().map(|turn| turn.mode) {
            Some(Mode::Completion) => "the context is full",
            _ => "the context is full: /continue leaves out the oldest turns, /clear starts a new chat",
        });
    }
    run::end(state, Outcome::Stopped(reason));
    state.phase = Phase::Idle;
}

/// A model is loaded: apply its recommendations, and clamp every setting to its range.
fn on_loaded(state: &mut State, model: ModelInfo, fingerprint: Option<String>) {
    for control in Control::ALL {
        let advised = control.default_of(&model);
        if let Some(value) = advised.filter(|_| !state.user_set.contains(&control)) {
            control.set(&mut state.settings, value);
        }
        let kind = control.kind(Some(&model));
        if kind != Kind::Text {
            let value = kind.snap(control.get(&state.settings));
            control.set(&mut state.settings, value);
        }
    }
    if !model.has_chat_template && state.turns.is_empty() {
        state.mode = Mode::Completion;
    }
    if state.run().is_none() {
        state.phase = Phase::Idle;
    }
    let watches = state.is_read_only();
    let record = ModelRecord::new(&model, fingerprint.clone());
    let wrote = state.turns.iter().rev().find_map(|turn| turn.model.clone());
    let other = |wrote: &Arc<ModelRecord>| !watches && !wrote.has_weights_of(&record);
    if let Some(wrote) = wrote.filter(other) {
        let (before, now) = (wrote.name_beside(&record), record.name_beside(&wrote));
        state.notify(format!(
            "{now} answers from here; {before} wrote what is above"
        ));
    }
    if state.settings.controller == Controller::Auto && !model.has_trained_exits() && !watches {
        state.notify(
            "this model's exits are not trained, so it decodes plainly; set E or K to try drafts",
        );
    }
    if let Some(fault) = model
        .adapters_fault
        .as_ref()
        .filter(|_| state.settings.adapter)
    {
        state.notify(fault.clone());
    }
    if let Some(fault) = &model.chat_template_fault {
        state.notify_error(format!("no chat with this model, only completion: {fault}"));
    }
    state.shapes.add(record, &model.config);
    state.previous = None;
    (state.model, state.fingerprint) = (Some(model), fingerprint);
}

/// The engine's thread has ended; nothing more can be generated.
pub(super) fn on_gone(state: &mut State) {
    let message =
        "the engine has stopped; save what you need with /save and restart skiplens".to_string();
    if state.run().is_some() {
        run::end(state, Outcome::Failed(message.clone()));
    }
    race::on_gone(state, &message);
    sweep::on_gone(state, &message);
    state.model = None;
    state.phase = Phase::Failed {
        message,
        engine_lives: false,
    };
}
