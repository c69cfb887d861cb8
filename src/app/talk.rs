//! The conversation: what is sent to the engine and how a run is ended, repeated or continued.

use super::action::{Action, Pane};
use super::commands;
use super::control::Control;
use super::engine::end;
use super::loading;
use super::message::Effect;
use super::player;
use super::state::CONVERSATION;
use super::state::{Phase, Run, State};
use super::turn::{Mode, Outcome, Turn, begin_run};
use super::withdrawn;
use crate::engine::decode::StopReason;
use crate::engine::prompt::{Message, Prompt, Role};
use crate::engine::worker::{Command, RunId, Task};
use crate::transcript::{Entry, ModelRecord};
use std::sync::Arc;

pub(super) fn act(state: &mut State, action: Action) -> Vec<Effect> {
    match action {
        Action::Send => send(state),
        Action::Cancel => cancel(state),
        Action::Regenerate => regenerate(state),
        Action::Reroll => reroll(state),
        Action::EditLast => edit_last(state),
        Action::Continue => proceed(state),
        Action::Clear => withdrawn::forget(state),
        Action::Pause => pause(state),
        Action::Step => step(state),
        Action::ToggleMode => toggle_mode(state),
        Action::LoadModel(model) => loading::load(state, model),
        Action::SaveSession(name) => vec![Effect::SaveSession(name)],
        Action::LoadSession(name) => load_session(state, name),
        Action::ReplaySession(name) if player::free(state) => vec![Effect::ReplaySession(name)],
        _ => Vec::new(),
    }
}

/// Send the prompt, or carry out the slash command it holds.
pub(super) fn send(state: &mut State) -> Vec<Effect> {
    let text = state.prompt.text();
    if text.trim().is_empty() {
        return state
            .offer()
            .map(|offer| loading::load(state, offer.model))
            .unwrap_or_default();
    }
    if commands::is_command(text) {
        let text = state.prompt.take();
        return commands::run(state, text.trim());
    }
    if matches!(state.phase, Phase::Loading { .. }) {
        state.queued = true;
        let back = state.key_name(Pane::Prompt, &Action::Back);
        state.say(format!(
            "this is sent once the model is loaded; {back} takes it back"
        ));
        return Vec::new();
    }
    if !ready(state) {
        return Vec::new();
    }
    let text = state.prompt.take();
    ask(state, text)
}

/// Whether a run can start now; says why not.
pub(super) fn ready(state: &mut State) -> bool {
    let key = |action| state.key_name(state.context(), &action);
    let why = match &state.phase {
        Phase::Loading { .. } => "the model is still loading".to_string(),
        _ if state.run().is_some() => format!(
            "an answer is being written; {} cancels it",
            key(Action::Back)
        ),
        _ if state.model.is_none() => format!(
            "no model is loaded; {} or /model chooses one",
            key(Action::Models)
        ),
        _ => return true,
    };
    state.say_wrong(why);
    false
}

/// A new turn with this prompt.
fn ask(state: &mut State, text: String) -> Vec<Effect> {
    let id = state.next_turn;
    state.next_turn += 1;
    state.turns.push(Turn::new(id, state.mode, text));
    state.view.top = None;
    state.view.cursor = None;
    generate(state)
}

/// Start a run for the last turn.
fn generate(state: &mut State) -> Vec<Effect> {
    let id = RunId(state.next_run);
    state.next_run += 1;
    state.last_run = Some(id);
    // What is asked after a chat was cleared is another session.
    let anew = state
        .withdrawn
        .take()
        .is_some_and(|withdrawn| withdrawn.is_whole());
    state.phase = Phase::Prefill {
        run: Run {
            id,
            pausing: false,
            cancelling: false,
        },
        done: 0,
        total: 0,
        cached: 0,
    };
    if let Some(turn) = state.turns.last_mut() {
        turn.outcome = None;
        turn.run = Some(id);
        turn.lens = None;
    }
    let model = state.model.as_ref().map(ModelRecord::from).map(Arc::new);
    begin_run(&mut state.turns, model);
    let prompt = prompt(state);
    let generate = Effect::Send(Command::Start {
        run: id,
        conversation: CONVERSATION,
        task: Task::Generate(prompt),
        settings: Arc::new(state.settings.clone()),
    });
    anew.then_some(Effect::BeginSession)
        .into_iter()
        .chain([generate])
        .collect()
}

/// What the model is to continue: the text of the last turn, or the whole conversation.
fn prompt(state: &State) -> Prompt {
    match state.turns.last() {
        Some(turn) if turn.mode == Mode::Completion => {
            Prompt::Text(turn.prompt.clone() + &turn.answer())
        }
        _ => Prompt::Chat(messages(state)),
    }
}

/// The conversation so far, with what is there of the last answer.
fn messages(state: &State) -> Vec<Message> {
    let Some((last, before)) = state.turns.split_last() else {
        return Vec::new();
    };
    let mut messages = conversation(state, before, last.prompt.clone());
    if !last.is_empty() {
        messages.push(Message {
            role: Role::Assistant,
            content: last.answer(),
        });
    }
    messages
}

/// What was said `before`, and a question. Turns that were never answered are left out.
pub(super) fn conversation(state: &State, before: &[Turn], question: String) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut say = |role, content: String| messages.push(Message { role, content });
    if !state.system.trim().is_empty() {
        say(Role::System, state.system.clone());
    }
    for turn in before
        .iter()
        .filter(|turn| turn.mode == Mode::Chat && !turn.is_empty())
    {
        say(Role::User, turn.prompt.clone());
        say(Role::Assistant, turn.answer());
    }
    say(Role::User, question);
    messages
}

/// End the run. A second time, without waiting for the engine.
pub(super) fn cancel(state: &mut State) -> Vec<Effect> {
    let Some(run) = state.run() else {
        return Vec::new();
    };
    if run.cancelling {
        end(state, Outcome::Stopped(StopReason::Cancelled));
        state.phase = Phase::Idle;
        return Vec::new();
    }
    if let Phase::Prefill { run, .. } | Phase::Generating { run } | Phase::Paused { run } =
        &mut state.phase
    {
        run.cancelling = true;
    }
    vec![Effect::Send(Command::Cancel { run: run.id })]
}

/// The last prompt once more.
fn regenerate(state: &mut State) -> Vec<Effect> {
    if !asked(state) || !ready(state) {
        return Vec::new();
    }
    let text = state
        .turns
        .pop()
        .map(|turn| turn.prompt)
        .unwrap_or_default();
    ask(state, text)
}

/// The last prompt once more, with the next seed: another answer.
fn reroll(state: &mut State) -> Vec<Effect> {
    if !asked(state) || !ready(state) {
        return Vec::new();
    }
    let seed = Control::Seed.get(&state.settings) + 1.0;
    let mut effects = super::panel::set(state, Control::Seed, seed);
    effects.extend(regenerate(state));
    effects
}

/// Whether anything was asked yet; says so where nothing was.
pub(super) fn asked(state: &mut State) -> bool {
    if state.turns.is_empty() {
        state.say_wrong("nothing was asked yet");
    }
    !state.turns.is_empty()
}

/// Take the last turn back into the prompt.
fn edit_last(state: &mut State) -> Vec<Effect> {
    if !asked(state) {
        return Vec::new();
    }
    if state.run().is_some() {
        ready(state);
        return Vec::new();
    }
    if let Some(turn) = state.turns.pop() {
        state.mode = turn.mode;
        let text = turn.prompt.clone();
        let draft = state.prompt.text().to_string();
        withdrawn::keep(state, vec![turn], Some(draft));
        state.prompt.set(text);
    }
    state.focus = Pane::Prompt;
    state.view.cursor = None;
    state.view.top = None;
    Vec::new()
}

/// Go on where the last answer stopped.
fn proceed(state: &mut State) -> Vec<Effect> {
    if !asked(state) || !ready(state) {
        return Vec::new();
    }
    state.view.top = None;
    generate(state)
}

pub(super) fn clear(state: &mut State) -> Vec<Effect> {
    let effects = cancel(state);
    state.turns.clear();
    state.view.top = None;
    state.view.cursor = None;
    if state.run().is_some() {
        state.phase = Phase::Idle;
    }
    effects
}

fn pause(state: &mut State) -> Vec<Effect> {
    match &mut state.phase {
        &mut Phase::Paused { run } => {
            state.phase = Phase::Generating {
                run: Run {
                    pausing: false,
                    ..run
                },
            };
            vec![Effect::Send(Command::Resume { run: run.id })]
        }
        Phase::Generating { run } | Phase::Prefill { run, .. } => {
            run.pausing = true;
            vec![Effect::Send(Command::Pause { run: run.id })]
        }
        _ => {
            state.say_wrong("nothing is being written");
            Vec::new()
        }
    }
}

fn step(state: &mut State) -> Vec<Effect> {
    match state.phase {
        Phase::Paused { run } => vec![Effect::Send(Command::Step { run: run.id })],
        _ => pause(state),
    }
}

fn toggle_mode(state: &mut State) -> Vec<Effect> {
    state.mode = match state.mode {
        Mode::Chat => Mode::Completion,
        Mode::Completion => Mode::Chat,
    };
    let template = state
        .model
        .as_ref()
        .is_none_or(|model| model.has_chat_template);
    match state.mode {
        Mode::Chat if !template => {
            state.say_wrong("this model has no chat template that works; it can only complete text")
        }
        Mode::Chat => state.say("chat: the conversation goes through the model's template"),
        Mode::Completion => state.say("completion: the model continues the text as it stands"),
    }
    vec![Effect::Record(Entry::Mode(state.mode))]
}

/// Go on with a kept session. An answer under way is not thrown away for it.
pub(super) fn load_session(state: &mut State, name: String) -> Vec<Effect> {
    if state.run().is_some() {
        state.say_wrong("an answer is being written; cancel it before you open another session");
        return Vec::new();
    }
    vec![Effect::LoadSession(name)]
}

/// End the run without waiting for the engine.
pub(super) fn stop(state: &mut State) -> Vec<Effect> {
    let effects = cancel(state);
    if state.run().is_some() {
        end(state, Outcome::Stopped(StopReason::Cancelled));
    }
    effects
}
