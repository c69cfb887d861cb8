//! The conversation: sending to the engine; ending, repeating and continuing a run.

use super::reply::Reply;
use super::{controls, lens, model, queue, race, retract, run, slash, sweep, what_if};
use crate::app::commands::is_command;
use crate::app::config::Overflow;
use crate::app::controls::Control;
use crate::app::input::action::{AppAction, ChatAction, Opponent, Pane};
use crate::app::message::Effect;
use crate::app::state::turn::{Outcome, begin_run, mark_unseen};
use crate::app::state::{CONVERSATION, Mode, Overlay, Phase, Run, Shared, State, Subject, Turn};
use crate::engine::decode::StopReason;
use crate::engine::prompt::{Message, Prompt, Role};
use crate::engine::worker::{Command, Task};
use crate::transcript::Entry;
use std::sync::Arc;

pub(super) fn act(state: &mut State, shared: &mut Shared, action: ChatAction) -> Reply {
    match action {
        ChatAction::Send => send(state, shared),
        ChatAction::SendQueued => queue::send(state, shared).into(),
        ChatAction::EditQueued => queue::edit(state).into(),
        ChatAction::RemoveQueued => queue::remove(state).into(),
        ChatAction::Cancel => run::cancel(state).into(),
        ChatAction::Regenerate => regenerate(state, shared).into(),
        ChatAction::Reroll => reroll(state, shared).into(),
        ChatAction::EditLast => {
            edit_last(state, shared);
            Reply::none()
        }
        ChatAction::PreviousAnswer => step_answer(state, -1).into(),
        ChatAction::NextAnswer => step_answer(state, 1).into(),
        ChatAction::Continue => resume_answer(state, shared).into(),
        ChatAction::DropOldest => {
            state.drop_oldest = true;
            resume_answer(state, shared).into()
        }
        ChatAction::AskAnew => Reply {
            effects: Vec::new(),
            then: [ChatAction::EditLast, ChatAction::Clear, ChatAction::Send]
                .map(Into::into)
                .into(),
        },
        ChatAction::Clear => retract::clear(state, shared).into(),
        ChatAction::Pause => pause(state).into(),
        ChatAction::Step => step(state).into(),
        ChatAction::ToggleMode => toggle_mode(state).into(),
        ChatAction::WhatIf => what_if::open(state, shared).into(),
        ChatAction::Lens => lens::open(state, shared).into(),
        ChatAction::Race => {
            let opponent = match &state.overlay {
                Some(Overlay::Race(race)) => race.opponent.clone(),
                _ => Opponent::Plain,
            };
            race::start(state, shared, opponent).into()
        }
        ChatAction::RaceAgainst(opponent) => race::start(state, shared, opponent).into(),
        ChatAction::Sweep => sweep::start(state, shared).into(),
        ChatAction::OpenSweep(path) => Effect::OpenSweep(path.into()).into(),
        ChatAction::LoadModel(name) => model::load(state, name).into(),
        ChatAction::SaveSession(name) => Effect::SaveSession(name).into(),
        ChatAction::LoadSession(name) => run::load_session(state, name).into(),
        ChatAction::ReplaySession(name) if run::is_quiet(state) => {
            Effect::ReplaySession(name).into()
        }
        ChatAction::ReplaySession(_) => Reply::none(),
    }
}

/// Sends the prompt, or carries out the slash command in it.
fn send(state: &mut State, shared: &mut Shared) -> Reply {
    let text = state.prompt.text();
    if text.trim().is_empty() {
        return match state.offer() {
            Some(offer) => model::load(state, offer.model).into(),
            None if state.run().is_none() => queue::send(state, shared).into(),
            None => Reply::none(),
        };
    }
    if is_command(text) {
        return slash::send(state);
    }
    if matches!(state.phase, Phase::Loading { .. }) {
        state.send_when_loaded = true;
        let back = shared.key_name(Pane::Prompt, AppAction::Back);
        let when = match &state.remote {
            Some(remote) if remote.is_lost => "the engine is connected",
            _ => "the model is loaded",
        };
        state.notify(format!("this is sent once {when}; {back} undoes that"));
        state.notice_is_about(Subject::WaitingPrompt);
        return Reply::none();
    }
    if state.run().is_some() {
        return queue::add(state).into();
    }
    if !run::ready(state, shared) {
        return Reply::none();
    }
    let text = state.prompt.take();
    ask(state, shared, text).into()
}

/// A new turn with this prompt.
pub(super) fn ask(state: &mut State, shared: &mut Shared, text: String) -> Vec<Effect> {
    state
        .turns
        .push(Turn::new(shared.new_turn(), state.mode, text));
    begin(state, shared)
}

/// Answers the last turn, which has no answer yet.
fn begin(state: &mut State, shared: &mut Shared) -> Vec<Effect> {
    state.view.top = None;
    state.view.cursor = None;
    generate(state, shared)
}

/// Starts a run for the last turn.
fn generate(state: &mut State, shared: &mut Shared) -> Vec<Effect> {
    let id = shared.new_run();
    state.last_run = Some(id);
    // After a chat was cleared, the next question starts a new session.
    let anew = state
        .retracted
        .take()
        .is_some_and(|retracted| retracted.whole);
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
    let model = state.model_record().map(Arc::new);
    begin_run(&mut state.turns, model);
    mark_unseen(&mut state.turns, 0);
    let prompt = prompt(state);
    let whole = shared.config.overflow == Overflow::Ask && !state.drop_oldest;
    let generate = Effect::Send(Command::Start {
        run: id,
        conversation: CONVERSATION,
        task: if whole {
            Task::GenerateWhole(prompt)
        } else {
            Task::Generate(prompt)
        },
        settings: Arc::new(state.settings.clone()),
    });
    // A new session starts with what is known of plain decoding.
    let race = (state.turns.len() == 1).then(|| race::record(state));
    anew.then_some(Effect::BeginSession)
        .into_iter()
        .chain([generate])
        .chain(race.flatten())
        .collect()
}

/// The prompt for the model: the text of the last turn, or the whole conversation.
fn prompt(state: &State) -> Prompt {
    match state.turns.last() {
        Some(turn) if turn.mode == Mode::Completion => {
            Prompt::Text(turn.prompt.clone() + &turn.answer())
        }
        _ => Prompt::Chat(messages(state)),
    }
}

/// The conversation so far, including an incomplete last answer.
fn messages(state: &State) -> Vec<Message> {
    let Some((last, before)) = state.turns.split_last() else {
        return Vec::new();
    };
    let mut messages = run::conversation(state, before, last.prompt.clone());
    if !last.is_empty() {
        messages.push(Message {
            role: Role::Assistant,
            content: last.answer(),
        });
    }
    messages
}

/// Answers the last prompt again.
fn regenerate(state: &mut State, shared: &mut Shared) -> Vec<Effect> {
    if !run::has_asked(state) || !run::ready(state, shared) {
        return Vec::new();
    }
    let Some(turn) = state.turns.pop() else {
        return Vec::new();
    };
    if turn.mode != state.mode {
        return ask(state, shared, turn.prompt);
    }
    let keeps = !turn.answer().is_empty();
    state.turns.push(turn.again(shared.new_turn()));
    let mut effects = Vec::from_iter(keeps.then_some(Effect::KeepAnswer));
    effects.extend(begin(state, shared));
    effects
}

/// Shows another answer to the same prompt; the chat continues with it.
fn step_answer(state: &mut State, by: isize) -> Option<Effect> {
    let at = state.turn_with_answers();
    if at.is_none() || state.run().is_some() {
        state.notify(match at {
            Some(_) => "another answer is shown once this one has ended",
            None => "there is no other answer",
        });
        if at.is_some() {
            state.notice_is_about(Subject::Answer);
        }
        return None;
    }
    show_answer(state, at?, by)
}

/// Shows the answer of a turn `by` positions further.
pub(super) fn show_answer(state: &mut State, turn: usize, by: isize) -> Option<Effect> {
    let of = state.turns.get_mut(turn)?;
    let count = of.answers() as isize;
    of.show((of.variant as isize + by).rem_euclid(count) as usize);
    let (shown, count) = (of.variant + 1, of.answers());
    state.view.cursor = None;
    state.notify(format!(
        "answer {shown} of {count}: the chat continues with it"
    ));
    Some(Effect::ShowAnswers(prompt(state)))
}

/// Answers the last prompt again with the next seed.
fn reroll(state: &mut State, shared: &mut Shared) -> Vec<Effect> {
    if !run::has_asked(state) || !run::ready(state, shared) {
        return Vec::new();
    }
    let seed = Control::Seed.get(&state.settings) + 1.0;
    let mut effects = controls::set(state, Control::Seed, seed);
    effects.extend(regenerate(state, shared));
    effects
}

/// Moves the last turn back into the prompt.
fn edit_last(state: &mut State, shared: &Shared) {
    if !run::has_asked(state) || (state.run().is_some() && !run::ready(state, shared)) {
        return;
    }
    if let Some(turn) = state.turns.pop() {
        state.mode = turn.mode;
        let text = turn.prompt.clone();
        let draft = state.prompt.text().to_string();
        retract::keep(state, vec![turn], Some(draft));
        state.prompt.set(text);
    }
    state.focus = Pane::Prompt;
    state.view.cursor = None;
    state.view.top = None;
}

/// Continues the last answer where it stopped.
fn resume_answer(state: &mut State, shared: &mut Shared) -> Vec<Effect> {
    if !run::has_asked(state) || !run::ready(state, shared) {
        return Vec::new();
    }
    // A conversation can drop its oldest turns; a plain text cannot.
    let full = state.turns.last().is_some_and(|turn| {
        let reason = Outcome::Stopped(StopReason::ContextFull);
        turn.mode == Mode::Completion && turn.outcome == Some(reason)
    });
    if full {
        state.notify_error("the context is full: this text cannot be continued");
        return Vec::new();
    }
    state.view.top = None;
    generate(state, shared)
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
            state.notify_error("nothing is being written");
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
        Mode::Chat if !template => state
            .notify_error("this model has no chat template that works; it can only complete text"),
        Mode::Chat => state.notify("chat: the conversation goes through the model's template"),
        Mode::Completion => state.notify("completion: the model continues the text as is"),
    }
    vec![Effect::Record(Entry::Mode(state.mode))]
}
