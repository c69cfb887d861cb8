//! The controls panel: moving, typing, undoing.

use super::action::{Action, Pane, Step};
use super::config::{ConfigChange, Preset};
use super::control::Control;
use super::editor::Editor;
use super::message::Effect;
use super::range::Kind;
use super::state::{Overlay, State};
use super::{overlay, player};
use crate::engine::decode::{Controller, Settings};
use crate::engine::worker::Command;
use crate::transcript::Entry;
use crossterm::event::{KeyCode, KeyEvent};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Changes remembered.
const UNDO: usize = 200;

pub(super) fn act(state: &mut State, action: Action) -> Vec<Effect> {
    let typed = state.controls.typing.is_some();
    let mut effects = finish_typing(state);
    if !(typed && action == Action::Activate) {
        effects.extend(act_on(state, action));
    }
    effects
}

fn act_on(state: &mut State, action: Action) -> Vec<Effect> {
    match action {
        Action::ControlUp => select(state, -1),
        Action::ControlDown => select(state, 1),
        Action::ControlTop => focus(state, Control::ALL[0]),
        Action::ControlBottom => focus(state, Control::ALL[Control::ALL.len() - 1]),
        Action::FocusControl(control) => {
            state.focus = Pane::Controls;
            focus(state, control);
        }
        Action::Adjust(step) => return adjust(state, state.controls.focused, step),
        Action::Nudge(control, step) => return nudge(state, control, step),
        Action::Activate => return activate(state),
        Action::Set(control, value) => return set(state, control, value),
        Action::SystemPrompt(text) => return set_system(state, text),
        Action::Undo => return undo(state),
        Action::SavePreset(name) => return save_preset(state, name),
        Action::LoadPreset(name) => return load_preset(state, &name),
        Action::ToggleDetail => return toggle_detail(state),
        _ => {}
    }
    Vec::new()
}

fn focus(state: &mut State, control: Control) {
    state.controls.focused = control;
    state.controls.typing = None;
}

fn select(state: &mut State, by: isize) {
    let at = Control::ALL
        .iter()
        .position(|c| *c == state.controls.focused)
        .unwrap_or(0);
    let next = at.saturating_add_signed(by).min(Control::ALL.len() - 1);
    focus(state, Control::ALL[next]);
}

/// A nudge says what it did, since the panel may be out of sight.
fn nudge(state: &mut State, control: Control, step: Step) -> Vec<Effect> {
    state.controls.focused = control;
    let effects = adjust(state, control, step);
    if state.replay.is_none() {
        state.say(format!(
            "{} {}",
            control.label(),
            control.show(&state.settings, state.model.as_ref())
        ));
    }
    effects
}

/// Move a control by one step.
pub(super) fn adjust(state: &mut State, control: Control, step: Step) -> Vec<Effect> {
    let value = control.get(&state.settings);
    let target = match control.kind(state.model.as_ref()) {
        Kind::Slider(range) | Kind::Number(range) => match step {
            Step::Down => value - range.step,
            Step::Up => value + range.step,
            Step::DownCoarse => value - range.coarse,
            Step::UpCoarse => value + range.coarse,
            Step::Least => range.min,
            Step::Greatest => range.max,
        },
        Kind::Toggle => f64::from(u8::from(matches!(
            step,
            Step::Up | Step::UpCoarse | Step::Greatest
        ))),
        Kind::Choice(names) => match step {
            Step::Down | Step::DownCoarse => value - 1.0,
            Step::Up | Step::UpCoarse => value + 1.0,
            Step::Least => 0.0,
            Step::Greatest => names.len() as f64,
        },
        Kind::Text => return Vec::new(),
    };
    set(state, control, target)
}

/// Set a control to the nearest value it can take.
pub(super) fn set(state: &mut State, control: Control, value: f64) -> Vec<Effect> {
    let value = control.kind(state.model.as_ref()).snap(value);
    if state.replay.is_some() {
        return player::refuse(state);
    }
    if control == Control::SystemPrompt || control.get(&state.settings) == value {
        return Vec::new();
    }
    remember(state);
    state.touched.insert(control);
    if control == Control::Confidence
        && !matches!(state.settings.controller, Controller::Confidence { .. })
    {
        state.settings.controller = Controller::Confidence {
            threshold: value as f32,
        };
        state.say("the autopilot ends drafts by confidence");
    }
    control.set(&mut state.settings, value);
    tell(state)
}

/// Set a control along a drag: the whole drag is one change to undo.
pub(super) fn drag(state: &mut State, control: Control, value: f64) -> Vec<Effect> {
    let depth = state.controls.undo.len();
    let mut effects = set(state, control, value);
    if state.drag == Some(control) && state.controls.undo.len() > depth {
        state.controls.undo.pop();
    }
    // Its end goes into the journal, not every step.
    effects.retain(|effect| !matches!(effect, Effect::Record(_)));
    effects
}

/// A running generation takes the settings up at its next round; else the journal does.
pub(super) fn tell(state: &State) -> Vec<Effect> {
    vec![match state.run() {
        Some(run) => Effect::Send(Command::Settings {
            run: run.id,
            settings: Arc::new(state.settings.clone()),
        }),
        None => Effect::Record(Entry::Settings(state.settings.clone())),
    }]
}

/// The journal takes up a system prompt that is another than `before`. A blank one is none.
fn tell_system(state: &State, before: &str) -> Option<Effect> {
    let system = if state.system.trim().is_empty() {
        ""
    } else {
        &state.system
    };
    (state.system != before).then(|| Effect::Record(Entry::System(system.into())))
}

pub(super) fn remember(state: &mut State) {
    let before = Preset {
        system: state.system.clone(),
        settings: state.settings.clone(),
    };
    let undo = &mut state.controls.undo;
    if undo.last() != Some(&before) {
        undo.push(before);
    }
    if undo.len() > UNDO {
        undo.remove(0);
    }
}

fn undo(state: &mut State) -> Vec<Effect> {
    match state.controls.undo.pop() {
        Some(before) => {
            let system = std::mem::replace(&mut state.system, before.system);
            state.settings = before.settings;
            state.say("the last change is undone");
            let mut effects = tell(state);
            effects.extend(tell_system(state, &system));
            effects
        }
        None => {
            state.say("nothing to undo");
            Vec::new()
        }
    }
}

/// Take up settings from elsewhere, within this model's ranges.
pub(super) fn adopt(state: &mut State, settings: Settings) -> Vec<Effect> {
    state.settings = settings;
    for control in Control::ALL
        .into_iter()
        .filter(|c| *c != Control::SystemPrompt)
    {
        // Without a model nobody knows the ranges; they are applied when it is there.
        if state.model.is_some() {
            let value = control
                .kind(state.model.as_ref())
                .snap(control.get(&state.settings));
            control.set(&mut state.settings, value);
        }
        state.touched.insert(control);
    }
    tell(state)
}

fn activate(state: &mut State) -> Vec<Effect> {
    let control = state.controls.focused;
    let value = control.get(&state.settings);
    match control.kind(state.model.as_ref()) {
        Kind::Toggle => set(state, control, 1.0 - value),
        Kind::Choice(names) => set(state, control, (value + 1.0) % names.len() as f64),
        Kind::Slider(_) | Kind::Number(_) => {
            state.controls.typing = Some(String::new());
            Vec::new()
        }
        Kind::Text => {
            let mut editor = Editor::default();
            editor.set(state.system.clone());
            state.overlay = Some(Overlay::System(editor));
            Vec::new()
        }
    }
}

/// Whether the key belongs to a number being typed, or begins one.
pub(super) fn on_typing(state: &State, key: KeyEvent) -> bool {
    let numeric = matches!(
        state.controls.focused.kind(state.model.as_ref()),
        Kind::Slider(_) | Kind::Number(_)
    );
    let begins = matches!(key.code, KeyCode::Char('0'..='9' | '.')) && key.modifiers.is_empty();
    numeric
        && state.replay.is_none()
        && (begins
            || (state.controls.typing.is_some()
                && matches!(key.code, KeyCode::Backspace | KeyCode::Enter)))
}

/// A key of a number being typed.
pub(super) fn typed(state: &mut State, key: KeyEvent) -> Vec<Effect> {
    match key.code {
        KeyCode::Char(c) => {
            let typing = state.controls.typing.get_or_insert_default();
            if typing.len() < 16 {
                typing.push(c);
            }
        }
        KeyCode::Backspace => drop(state.controls.typing.as_mut().and_then(String::pop)),
        _ => return finish_typing(state),
    }
    Vec::new()
}

/// Take the number that is being typed, if there is one: leaving its control does as much as Enter.
pub(super) fn finish_typing(state: &mut State) -> Vec<Effect> {
    let text = state.controls.typing.take().unwrap_or_default();
    let control = state.controls.focused;
    match text.parse() {
        Ok(value) => {
            if let Kind::Slider(range) | Kind::Number(range) = control.kind(state.model.as_ref())
                && !(range.min..=range.max).contains(&value)
            {
                state.say_wrong(format!(
                    "{} goes from {} to {}",
                    control.label(),
                    range.min,
                    range.max
                ));
            }
            set(state, control, value)
        }
        Err(_) if text.is_empty() => Vec::new(),
        Err(_) => {
            state.say_wrong(format!("`{text}` is not a number"));
            Vec::new()
        }
    }
}

pub(super) fn set_system(state: &mut State, text: String) -> Vec<Effect> {
    if text != state.system {
        remember(state);
        let before = std::mem::replace(&mut state.system, text);
        state.say("the system prompt holds from the next answer on");
        return tell_system(state, &before).into_iter().collect();
    }
    Vec::new()
}

fn toggle_detail(state: &mut State) -> Vec<Effect> {
    state.settings.detail = !state.settings.detail;
    state.say(match state.settings.detail {
        true => "recording what every layer would have said, from the next round on; this takes time, and room in the journal",
        false => "no longer recording the layers",
    });
    tell(state)
}

/// Change the settings file, and what is known of it here.
pub(super) fn configure(state: &mut State, change: ConfigChange) -> Vec<Effect> {
    state.config.apply(change.clone());
    vec![Effect::ChangeConfig(change)]
}

/// The settings file was read again: another instance may have kept presets.
pub(super) fn on_presets(state: &mut State, presets: BTreeMap<String, Preset>) -> Vec<Effect> {
    state.config.presets = presets;
    Vec::new()
}

/// Forget a preset; the list of the others stays open.
pub(super) fn drop_preset(state: &mut State, name: &str) -> Vec<Effect> {
    let effects = configure(state, ConfigChange::ForgetPreset(name.to_owned()));
    state.say(format!("preset {name} is forgotten"));
    overlay::open(state, &Action::Presets);
    effects
}

/// Which key takes a change back.
pub(super) fn way_back(state: &State) -> String {
    format!("{} goes back", state.key_name(Pane::Prompt, &Action::Undo))
}

fn save_preset(state: &mut State, name: String) -> Vec<Effect> {
    let preset = Preset {
        system: state.system.clone(),
        settings: state.settings.clone(),
    };
    state.say(format!("preset {name} saved"));
    configure(state, ConfigChange::KeepPreset(name, preset))
}

fn load_preset(state: &mut State, name: &str) -> Vec<Effect> {
    match state.config.presets.get(name).cloned() {
        Some(preset) => {
            remember(state);
            let before = std::mem::replace(&mut state.system, preset.system);
            state.say(format!("preset {name}; {}", way_back(state)));
            let mut effects = adopt(state, preset.settings);
            effects.extend(tell_system(state, &before));
            effects
        }
        None => {
            state.say_wrong(format!("there is no preset {name}"));
            Vec::new()
        }
    }
}
