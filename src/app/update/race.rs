//! A race: one prompt answered with two settings side by side. The conversation does not change.

use super::run;
use crate::app::commands::is_command;
use crate::app::input::action::Opponent;
use crate::app::message::Effect;
use crate::app::state::race::name_of;
use crate::app::state::turn::Outcome;
use crate::app::state::{CONVERSATION, Mode, Overlay, Race, Shared, State, Turn};
use crate::engine::decode::{Controller, Settings, StopReason, Strategy};
use crate::engine::prompt::Prompt;
use crate::engine::worker::{Command, RunEvent, RunId, Task};
use crate::transcript::Entry;
use std::sync::Arc;

/// Starts a race on the text of the prompt, else on the last question.
pub(super) fn start(state: &mut State, shared: &mut Shared, opponent: Opponent) -> Option<Effect> {
    if state.side_run().is_some() || !run::ready(state, shared) {
        return None;
    }
    let Some((text, prompt)) = prompt(state) else {
        state.notify_error("write a prompt to race on, or ask something first");
        return None;
    };
    let present = state.settings.clone();
    let (against, settings) = match &opponent {
        Opponent::Plain => (None, present),
        Opponent::Pair(exit_layer, num_speculations) => {
            let challenger = Settings {
                strategy: Strategy::SelfSpeculative,
                exit_layer: *exit_layer,
                num_speculations: *num_speculations,
                controller: Controller::Fixed,
                ..present.clone()
            };
            (Some(Arc::new(present)), challenger)
        }
        Opponent::Preset(name) => {
            let Some(preset) = shared.config.presets.get(name) else {
                state.notify_error(format!(
                    "there is no preset {name}; /versus takes E and K, as in /versus 8 4, `plain`, or a preset"
                ));
                return None;
            };
            (Some(Arc::new(present)), preset.settings.clone())
        }
    };
    let runs = [Some(&settings), against.as_deref()];
    if let Some(model) = &state.model
        && let Some(error) = runs
            .into_iter()
            .flatten()
            .find_map(|settings| settings.validate(&model.config).err())
    {
        state.notify_error(error.to_string());
        return None;
    }
    let names = match (&opponent, &against) {
        (Opponent::Preset(name), Some(against)) => [name_of(against), name.clone()],
        (_, Some(against)) => [name_of(against), name_of(&settings)],
        (_, None) => {
            let speculative = Settings {
                strategy: Strategy::SelfSpeculative,
                ..settings.clone()
            };
            ["plain".into(), name_of(&speculative)]
        }
    };
    let run = shared.new_run();
    let race = Race::new(run, text, opponent, names);
    state.overlay = Some(Overlay::Race(Box::new(race)));
    Some(Effect::Send(Command::Start {
        run,
        conversation: CONVERSATION,
        task: Task::Race { prompt, against },
        settings: Arc::new(settings),
    }))
}

/// The question, for the title, and the prompt for the model.
pub(super) fn prompt(state: &State) -> Option<(String, Prompt)> {
    let written =
        Some(state.prompt.text()).filter(|text| !text.trim().is_empty() && !is_command(text));
    match written {
        Some(text) => {
            let prompt = asked(state, &state.turns, text, state.mode);
            Some((text.to_string(), prompt))
        }
        None => {
            let last = state.turns.len().checked_sub(1)?;
            Some((state.turns[last].prompt.clone(), prompt_of(state, last)?))
        }
    }
}

/// The prompt of a turn, with the conversation before it.
pub(super) fn prompt_of(state: &State, turn: usize) -> Option<Prompt> {
    let (before, rest) = state.turns.split_at_checked(turn)?;
    let turn = rest.first()?;
    Some(asked(state, before, &turn.prompt, turn.mode))
}

fn asked(state: &State, before: &[Turn], text: &str, mode: Mode) -> Prompt {
    match mode {
        Mode::Completion => Prompt::Text(text.to_string()),
        Mode::Chat => {
            let seen = before.iter().filter(|turn| !turn.unseen);
            Prompt::Chat(run::conversation(state, seen, text.to_string()))
        }
    }
}

/// The race on screen, if it is this run's and still running.
fn running(state: &mut State, id: RunId) -> Option<&mut Race> {
    match &mut state.overlay {
        Some(Overlay::Race(race)) if race.run == id && race.outcome.is_none() => Some(race),
        _ => None,
    }
}

/// Handles events of a race. Late ones are dropped.
pub(super) fn on_event(state: &mut State, run: RunId, event: RunEvent) -> Option<Effect> {
    match event {
        RunEvent::Race { lane, round } => {
            if let Some(race) = running(state, run) {
                race.push(lane, *round);
            }
        }
        RunEvent::Prefill { done, total, .. } => {
            if let Some(race) = running(state, run) {
                race.prefill = Some((done, total));
            }
        }
        RunEvent::Finished { reason, .. } => return finish(state, run, Outcome::Stopped(reason)),
        RunEvent::Failed(failure) => return finish(state, run, Outcome::Failed(failure.message)),
        _ => {}
    }
    None
}

/// Ends the race. Its measurements go into the journal, so that the session gives the same speed-ups when it is resumed.
fn finish(state: &mut State, run: RunId, outcome: Outcome) -> Option<Effect> {
    let model = state.model_record();
    let race = running(state, run)?;
    race.end(outcome);
    state.raced = Some(race.measured(model)?);
    record(state)
}

/// Records the last race in the journal.
pub(super) fn record(state: &State) -> Option<Effect> {
    let race = Box::new(state.raced.clone()?);
    Some(Effect::Record(Entry::Race(race)))
}

/// Ends the race after the engine's thread has ended.
pub(super) fn on_gone(state: &mut State, message: &str) {
    if let Some(id) = state.side_run() {
        finish(state, id, Outcome::Failed(message.to_string()));
    }
}

/// Ends the race but leaves it on screen; `None` if none is running.
pub(super) fn cancel(state: &mut State) -> Option<Effect> {
    let id = state
        .side_run()
        .filter(|_| matches!(state.overlay, Some(Overlay::Race(_))))?;
    finish(state, id, Outcome::Stopped(StopReason::Cancelled));
    Some(Effect::Send(Command::Cancel { run: id }))
}

/// Cancels a race or sweep that was running before a message and is no longer on screen after it.
pub(super) fn cancel_if_closed(state: &State, before: Option<RunId>) -> Option<Effect> {
    let gone = before.filter(|id| !state.is_side_run(*id))?;
    Some(Effect::Send(Command::Cancel { run: gone }))
}
