//! What the engine reports.

use super::control::Control;
use super::message::Effect;
use super::range::Kind;
use super::state::{Phase, State};
use super::talk;
use super::turn::{Outcome, Pending};
use super::{loading, race, what_if};
use crate::engine::decode::{Round, Stats, StopReason};
use crate::engine::loaded_model::ModelInfo;
use crate::engine::worker::{Event, Failure, ModelEvent, RunEvent, RunId};
use crate::transcript::ModelRecord;

/// Take in an event. Those of another run than the present one are late, and dropped.
pub(super) fn on_event(state: &mut State, event: Event) -> Vec<Effect> {
    match event {
        Event::Model(event) => on_model_event(state, event),
        Event::Run(run, event) => on_run_event(state, run, event),
    }
}

fn on_model_event(state: &mut State, event: ModelEvent) -> Vec<Effect> {
    match event {
        ModelEvent::Loading { stage, fraction } => {
            loading::on_progress(state, stage, fraction);
            Vec::new()
        }
        ModelEvent::Loaded(model) => {
            on_loaded(state, *model);
            match std::mem::take(&mut state.queued) {
                true => talk::send(state),
                false => Vec::new(),
            }
        }
        ModelEvent::Failed(failure) => loading::on_failed(state, failure.message),
        ModelEvent::Cancelled => loading::on_cancelled(state),
    }
}

fn on_run_event(state: &mut State, run: RunId, event: RunEvent) -> Vec<Effect> {
    let Some(event) = apart(state, run, event) else {
        return Vec::new();
    };
    let Some(present) = state.run().filter(|present| present.id == run) else {
        return Vec::new();
    };
    match event {
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
            on_round(state, *round);
        }
        // One that was sent before the user resumed is late, too.
        RunEvent::Paused if present.pausing => state.phase = Phase::Paused { run: present },
        RunEvent::Paused => {}
        RunEvent::Finished { reason, stats } => {
            on_finished(state, reason, &stats);
            return record_layers(state, present.id);
        }
        RunEvent::Failed(Failure { message, .. }) => {
            end(state, Outcome::Failed(message.clone()));
            state.phase = Phase::Failed {
                message,
                engine_lives: true,
            };
        }
        // Those of a race or a lens are none of the conversation's, and nothing here asks for scores.
        RunEvent::Race { .. } | RunEvent::Lens { .. } | RunEvent::Scores(_) => {}
    }
    Vec::new()
}

/// Where detail is recorded, what every layer would have said is asked for as soon as the answer is there.
fn record_layers(state: &mut State, run: RunId) -> Vec<Effect> {
    let wanted = state.settings.detail && state.replay.is_none() && what_if::can(state);
    if wanted {
        what_if::request(state, run)
    } else {
        Vec::new()
    }
}

/// Lenses and races run apart from the conversation; gives back the events that are not theirs.
fn apart(state: &mut State, run: RunId, event: RunEvent) -> Option<RunEvent> {
    match event {
        RunEvent::Lens { rows, of, costs } => what_if::on_lens(state, run, rows, of, costs),
        event if race::is_of(state, run) => race::on_event(state, run, event),
        RunEvent::Race { .. } => {}
        RunEvent::Failed(ref failure) if what_if::on_failed(state, run, &failure.message) => {}
        event => return Some(event),
    }
    None
}

/// Prefill is over. A paused run stays paused: this is one of its steps.
fn generating(state: &mut State) {
    if let Phase::Prefill { run, .. } = state.phase {
        state.phase = Phase::Generating { run };
    }
}

fn on_round(state: &mut State, round: Round) {
    if let Some(turn) = state.turns.last_mut() {
        turn.push(round);
    }
}

fn on_finished(state: &mut State, reason: StopReason, stats: &Stats) {
    if let Some(turn) = state.turns.last_mut() {
        turn.stats.prefill_seconds += stats.prefill_seconds;
        turn.stats.prefill_tokens += stats.prefill_tokens;
    }
    end(state, Outcome::Stopped(reason));
    state.phase = Phase::Idle;
}

/// The last turn has ended; what was drafted and never verified is gone.
pub(super) fn end(state: &mut State, outcome: Outcome) {
    if let Some(turn) = state.turns.last_mut() {
        turn.pending.clear();
        turn.outcome = Some(outcome);
    }
}

/// A model is there: take its recommendations, and bring every setting into its range.
fn on_loaded(state: &mut State, model: ModelInfo) {
    let defaults = model.defaults;
    let quarter = (model.config.num_layers / 4).max(1);
    let advised = [
        (Control::ExitLayer, defaults.exit_layer.or(Some(quarter))),
        (Control::Speculations, defaults.num_speculations),
        (Control::DraftVocab, defaults.draft_vocab),
    ];
    for (control, value) in advised {
        if let (Some(value), false) = (value, state.touched.contains(&control)) {
            control.set(&mut state.settings, value as f64);
        }
    }
    for control in Control::ALL {
        let kind = control.kind(Some(&model));
        if kind != Kind::Text {
            let value = kind.snap(control.get(&state.settings));
            control.set(&mut state.settings, value);
        }
    }
    if !model.has_chat_template && state.turns.is_empty() {
        state.mode = super::Mode::Completion;
    }
    if state.run().is_none() {
        state.phase = Phase::Idle;
    }
    let record = ModelRecord::from(&model);
    let wrote = state.turns.iter().rev().find_map(|turn| turn.model.clone());
    if let Some(wrote) = wrote.filter(|wrote| !wrote.has_weights_of(&record)) {
        state.say(format!(
            "{} answers from here on",
            record.name_beside(&wrote)
        ));
    }
    if let Some(fault) = &model.chat_template_fault {
        state.say_wrong(format!("no chat with this model, only completion: {fault}"));
    }
    state.previous = None;
    state.raced = None;
    state.model = Some(model);
}

/// The engine's thread ended by itself; nothing can be generated any more.
pub(super) fn on_gone(state: &mut State) -> Vec<Effect> {
    let message = "the engine has stopped; save what you need with /save and start skiplens again"
        .to_string();
    if state.run().is_some() {
        end(state, Outcome::Failed(message.clone()));
    }
    race::on_gone(state, &message);
    state.model = None;
    state.phase = Phase::Failed {
        message,
        engine_lives: false,
    };
    Vec::new()
}
