//! The program as a whole: overlays, focus, appearance, quitting.

use super::reply::Reply;
use super::settings_file::configure;
use super::{
    controls, menu, model, navigation, overlay, race, replay, retract, run, sessions, sweep,
};
use crate::app::ThemeName;
use crate::app::config::ConfigChange;
use crate::app::input::action::{AppAction, Pane};
use crate::app::message::Effect;
use crate::app::state::{App, Overlay, Phase, Shared, State, Topic};

pub(super) fn act(app: &mut App, action: AppAction) -> Reply {
    let (state, shared) = app.parts();
    match action {
        AppAction::Interrupt => interrupt(app),
        AppAction::Back => back(app),
        AppAction::Quit => quit(app),
        AppAction::Suspend => Effect::Suspend.into(),
        AppAction::Help => overlay::help(state, Topic::Everything),
        AppAction::Palette => overlay::palette(app),
        AppAction::Models => overlay::models(state, shared),
        AppAction::Presets => overlay::presets(state, shared),
        AppAction::Sessions => sessions::open(state, shared).into(),
        AppAction::Show => overlay::show(state),
        AppAction::FocusNext => match menu::reopen(state, shared) {
            Some(reply) => reply,
            None => focus_next(state, shared, 1),
        },
        AppAction::FocusPrevious => focus_next(state, shared, -1),
        AppAction::Focus(pane) => focus(state, shared, pane),
        AppAction::ToggleMouse => toggle_mouse(state, shared),
        AppAction::NextTheme => theme(state, shared, shared.appearance.theme.next()),
        AppAction::Theme(name) => theme(state, shared, name),
        AppAction::Picture(name) => Effect::Picture(name).into(),
    }
}

fn focus(state: &mut State, shared: &Shared, pane: Pane) -> Reply {
    let effects = controls::finish_typing(state);
    state.focus = pane;
    navigation::enter(state, shared, pane);
    effects.into()
}

/// The next panel in a direction. Passes over a prompt that takes no text.
fn focus_next(state: &mut State, shared: &Shared, by: isize) -> Reply {
    let next = state.focus.cycle(by);
    let pane = match next == Pane::Prompt && state.home() != Pane::Prompt {
        true => next.cycle(by),
        false => next,
    };
    focus(state, shared, pane)
}

fn toggle_mouse(state: &mut State, shared: &mut Shared) -> Reply {
    let mouse = !shared.config.mouse;
    state.notify(if mouse {
        "mouse captured"
    } else {
        "mouse released: the terminal selects and copies"
    });
    Reply::from(Effect::Mouse(mouse)).and(configure(shared, ConfigChange::Mouse(mouse)))
}

fn theme(state: &mut State, shared: &mut Shared, name: ThemeName) -> Reply {
    shared.appearance.theme = name;
    state.notify(format!("theme {}", name.label()));
    configure(shared, ConfigChange::Theme(name)).into()
}

/// Ctrl-C: cancels what is running, else clears the prompt, else quits. Leaves a replay.
fn interrupt(app: &mut App) -> Reply {
    if app.replay.is_some() {
        return leave_replay(app);
    }
    let state = app.state_mut();
    let side = race::cancel(state).or_else(|| sweep::cancel(state));
    if let Some(effect) = side.or_else(|| model::cancel(state)) {
        return effect.into();
    }
    match state.run() {
        Some(run) if !run.cancelling => run::cancel(state).into(),
        None if state.can_clear_prompt() => {
            // Taking it puts it in the history.
            state.prompt.take();
            Reply::none()
        }
        _ => quit(app),
    }
}

fn quit(app: &mut App) -> Reply {
    app.shared.quit = true;
    Effect::Quit.into()
}

/// Esc: closes, cancels or goes back, whichever is nearest.
fn back(app: &mut App) -> Reply {
    let state = app.state_mut();
    if let Some(effect) = race::cancel(state).or_else(|| sweep::cancel(state)) {
        return effect.into();
    }
    if close(state) {
        return Reply::none();
    }
    if app.replay.is_some() {
        return back_in_replay(app);
    }
    let state = app.state_mut();
    if state.run().is_some() {
        return run::cancel(state).into();
    }
    if std::mem::take(&mut state.send_when_loaded) {
        return Reply::none();
    }
    if let Some(effect) = model::cancel(state) {
        return effect.into();
    }
    match &state.phase {
        Phase::Failed { .. } if state.model.is_some() => state.phase = Phase::Idle,
        _ if state.focus != state.home() => state.focus = state.home(),
        _ if state.retracted.is_some() => retract::restore(state),
        _ => state.view.top = None,
    }
    state.view.cursor = None;
    Reply::none()
}

/// Closes the innermost open element; false if there is none.
fn close(state: &mut State) -> bool {
    let title = match &mut state.overlay {
        Some(Overlay::Sessions(list)) => list.title.take().is_some(),
        _ => false,
    };
    title
        || state.overlay.take().is_some()
        || state.find.take().is_some()
        || menu::close(state)
        || state.controls.typing.take().is_some()
}

/// To the bar of the replay, then to the chat.
fn back_in_replay(app: &mut App) -> Reply {
    let state = app.state_mut();
    state.view.cursor = None;
    if state.focus == Pane::Prompt {
        return leave_replay(app);
    }
    state.focus = Pane::Prompt;
    Reply::none()
}

/// Back to the chat as it was; without one, quits.
fn leave_replay(app: &mut App) -> Reply {
    if replay::leave(app) {
        Reply::none()
    } else {
        quit(app)
    }
}
