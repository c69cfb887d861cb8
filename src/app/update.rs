//! The one way the state changes.

use super::action::Action;
use super::message::{Effect, Msg};
use super::state::{Overlay, Phase, State};
use super::{
    Pane, browser, commands, engine, loading, mouse, overlay, panel, player, race, recall, talk,
    walk, what_if, withdrawn,
};
use crossterm::event::{KeyEvent, KeyEventKind};
use std::time::Duration;

/// How long a notice stays, and what each character beyond a line's worth adds to that.
const NOTICE: Duration = Duration::from_secs(4);
const NOTICE_CHARACTER: Duration = Duration::from_millis(40);
const NOTICE_LINE: usize = 60;

/// Take in what happened; give back what is to be done. The same state and message always give the same result.
pub fn update(state: &mut State, msg: Msg) -> Vec<Effect> {
    let racing = race::under_way(state);
    let mut effects = take(state, msg);
    effects.extend(race::left(state, racing));
    effects
}

fn take(state: &mut State, msg: Msg) -> Vec<Effect> {
    if let Some(chat) = player::beneath(state, &msg) {
        return update(chat, msg);
    }
    match msg {
        Msg::Key(key) if key.kind != KeyEventKind::Release => on_key(state, key),
        Msg::Key(_) | Msg::Resize => Vec::new(),
        Msg::Mouse(event) => mouse::on_mouse(state, event),
        Msg::Paste(text) => on_paste(state, &text),
        Msg::Engine(event) => engine::on_event(state, event),
        Msg::EngineGone => engine::on_gone(state),
        Msg::Tick(now) => on_tick(state, now),
        Msg::Drawn(regions) => on_drawn(state, regions),
        Msg::Action(action) => act(state, action),
        Msg::Edited(text) => on_edited(state, &text),
        Msg::SessionLoaded(session) => recall::load(state, &session),
        Msg::ReplayLoaded(session) => player::open(state, session),
        Msg::Sessions { ask, listed, done } => browser::on_listed(state, ask, listed, done),
        Msg::SessionRenamed => browser::on_renamed(state),
        Msg::SessionDeleted { id, own } => browser::on_deleted(state, id, own),
        Msg::SessionRestored(id) => browser::on_restored(state, id),
        Msg::Presets(presets) => panel::on_presets(state, presets),
        Msg::Done(text) => {
            state.say(text);
            Vec::new()
        }
        Msg::Wrong(text) => {
            state.say_wrong(text);
            Vec::new()
        }
    }
}

/// A key goes to what lies over the screen, then to the table of bindings, then to the editor.
pub(super) fn on_key(state: &mut State, key: KeyEvent) -> Vec<Effect> {
    let action = state.keys.action(state.context(), key).cloned();
    let always = matches!(
        action,
        Some(
            Action::Interrupt
                | Action::Quit
                | Action::Suspend
                | Action::Back
                | Action::Picture(None)
        )
    );
    if state.overlay.is_some() && !always {
        return overlay::on_key(state, key);
    }
    if state.focus == Pane::Controls && !always && panel::on_typing(state, key) {
        return panel::typed(state, key);
    }
    match action {
        Some(action) => act(state, action),
        None if state.replay.is_some() => Vec::new(),
        None => {
            if state.focus != Pane::Prompt && overlay::is_text(key) {
                state.focus = Pane::Prompt;
            }
            state.prompt.key(key);
            Vec::new()
        }
    }
}

fn on_paste(state: &mut State, text: &str) -> Vec<Effect> {
    match &mut state.overlay {
        Some(Overlay::System(editor)) => editor.insert(text),
        Some(Overlay::Sessions(_)) => return browser::on_paste(state, text),
        Some(Overlay::Picker(picker)) => text
            .chars()
            .filter(|c| !c.is_control())
            .for_each(|c| picker.push(c)),
        Some(_) => {}
        None if state.replay.is_some() => {}
        None => {
            state.focus = Pane::Prompt;
            state.prompt.insert(text);
        }
    }
    Vec::new()
}

fn on_edited(state: &mut State, text: &str) -> Vec<Effect> {
    let text = text.trim_end_matches(['\n', '\r']);
    match &mut state.overlay {
        Some(Overlay::System(editor)) => editor.set(text),
        _ if state.replay.is_some() => {}
        _ => state.prompt.set(text),
    }
    Vec::new()
}

fn on_tick(state: &mut State, now: Duration) -> Vec<Effect> {
    state.now = now;
    state.notice.take_if(|notice| {
        let more = notice.text.chars().count().saturating_sub(NOTICE_LINE);
        let stays = NOTICE + NOTICE_CHARACTER * u32::try_from(more).unwrap_or(0);
        now.saturating_sub(notice.since) > stays
    });
    player::on_tick(state);
    Vec::new()
}

/// Scrolling that the frame did for the cursor's sake stays.
fn on_drawn(state: &mut State, regions: super::Regions) -> Vec<Effect> {
    let shown = regions.transcript;
    if std::mem::take(&mut state.view.reveal) {
        state.view.top = (shown.first + shown.height < shown.total).then_some(shown.first);
    }
    state.regions = regions;
    Vec::new()
}

/// Do one thing.
pub(super) fn act(state: &mut State, action: Action) -> Vec<Effect> {
    if state.replay.is_some() && !matches!(action, Action::Back) {
        return player::act(state, action);
    }
    apply(state, action)
}

/// Do what the replay, if there is one, has nothing against.
pub(super) fn apply(state: &mut State, action: Action) -> Vec<Effect> {
    match action {
        Action::Interrupt => interrupt(state),
        Action::Back => back(state),
        Action::Quit => quit(state),
        Action::Suspend => vec![Effect::Suspend],
        Action::FocusNext if commands::complete(state) => Vec::new(),
        Action::FocusNext => focus(state, state.focus.cycle(1)),
        Action::FocusPrevious => focus(state, state.focus.cycle(-1)),
        Action::Focus(pane) => focus(state, pane),
        Action::Help | Action::Palette | Action::Models | Action::Presets => {
            overlay::open(state, &action)
        }
        Action::Sessions => browser::open(state),
        Action::Browse(step) => browser::act(state, step),
        Action::Picture(name) => vec![Effect::Picture(name)],
        Action::WhatIf => what_if::open(state),
        Action::Race => race::start(state),
        Action::ExternalEditor => vec![Effect::Edit(state.prompt.text().to_string())],
        action => act_on_panels(state, action),
    }
}

/// Keys of the prompt that are not letters.
fn edit(state: &mut State, action: &Action) -> Vec<Effect> {
    match action {
        Action::PromptUp => state.prompt.up(),
        Action::PromptDown => state.prompt.down(),
        _ => state.prompt.insert("\n"),
    }
    Vec::new()
}

fn act_on_panels(state: &mut State, action: Action) -> Vec<Effect> {
    match &action {
        Action::PromptUp | Action::PromptDown | Action::NewLine => edit(state, &action),
        Action::Send
        | Action::Cancel
        | Action::Regenerate
        | Action::Reroll
        | Action::EditLast
        | Action::Continue
        | Action::Clear
        | Action::Pause
        | Action::Step
        | Action::ToggleMode
        | Action::LoadModel(_)
        | Action::SaveSession(_)
        | Action::LoadSession(_)
        | Action::ReplaySession(_) => talk::act(state, action),
        Action::ControlUp
        | Action::ControlDown
        | Action::ControlTop
        | Action::ControlBottom
        | Action::Adjust(_)
        | Action::Activate
        | Action::FocusControl(_)
        | Action::Nudge(..)
        | Action::Set(..)
        | Action::SystemPrompt(_)
        | Action::Undo
        | Action::SavePreset(_)
        | Action::LoadPreset(_)
        | Action::ToggleDetail => panel::act(state, action),
        _ => walk::act(state, action),
    }
}

fn focus(state: &mut State, pane: Pane) -> Vec<Effect> {
    let effects = panel::finish_typing(state);
    state.focus = pane;
    walk::enter(state, pane);
    effects
}

/// Ctrl-C: the first cancels, the next quits.
fn interrupt(state: &mut State) -> Vec<Effect> {
    if let Some(effects) = race::cancel(state).or_else(|| loading::cancel(state)) {
        return effects;
    }
    match state.run() {
        Some(run) if !run.cancelling => talk::cancel(state),
        _ => quit(state),
    }
}

fn quit(state: &mut State) -> Vec<Effect> {
    state.quit = true;
    vec![Effect::Quit]
}

/// Esc: whatever is nearest.
fn back(state: &mut State) -> Vec<Effect> {
    if let Some(effects) = race::cancel(state) {
        return effects;
    }
    if browser::drop_title(state)
        || state.overlay.take().is_some()
        || state.controls.typing.take().is_some()
    {
        return Vec::new();
    }
    if state.replay.is_some() {
        return player::back(state);
    }
    if state.run().is_some() {
        return talk::cancel(state);
    }
    if std::mem::take(&mut state.queued) {
        return Vec::new();
    }
    if let Some(effects) = loading::cancel(state) {
        return effects;
    }
    match &state.phase {
        Phase::Failed { .. } if state.model.is_some() => state.phase = Phase::Idle,
        _ if state.focus != Pane::Prompt => state.focus = Pane::Prompt,
        _ if state.withdrawn.is_some() => withdrawn::take_back(state),
        _ => state.view.top = None,
    }
    state.view.cursor = None;
    Vec::new()
}
