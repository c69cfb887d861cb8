//! The controls panel: moving, typing, undoing; settings and presets.

use super::reply::Reply;
use super::settings_file::configure;
use crate::app::commands::choose;
use crate::app::config::{ConfigChange, Preset};
use crate::app::controls::{Control, Kind};
use crate::app::input::action::{ControlsAction, Pane, Step};
use crate::app::message::Effect;
use crate::app::state::{Editor, Overlay, Shared, State};
use crate::engine::decode::{Controller, Proposers, Settings, Strategy};
use crate::engine::worker::Command;
use crate::transcript::Entry;
use std::sync::Arc;

/// Max number of changes to undo.
const UNDO: usize = 200;
/// Max characters of a number.
const MAX_TYPED: usize = 16;

pub(super) fn act(state: &mut State, shared: &mut Shared, action: ControlsAction) -> Reply {
    let typed = state.controls.typing.is_some();
    let mut effects = finish_typing(state);
    if !(typed && action == ControlsAction::Activate) {
        effects.extend(act_on(state, shared, action));
    }
    effects.into()
}

fn act_on(state: &mut State, shared: &mut Shared, action: ControlsAction) -> Vec<Effect> {
    match action {
        ControlsAction::ControlUp => select(state, -1),
        ControlsAction::ControlDown => select(state, 1),
        ControlsAction::ControlTop => select(state, isize::MIN),
        ControlsAction::ControlBottom => select(state, isize::MAX),
        ControlsAction::FocusControl(control) => {
            state.focus = Pane::Controls;
            focus(state, control);
        }
        ControlsAction::Adjust(step) => return adjust(state, state.controls.focused, step),
        ControlsAction::Nudge(control, step) => {
            state.controls.focused = control;
            return announced(state, control, |state| adjust(state, control, step));
        }
        ControlsAction::Activate => return activate(state),
        ControlsAction::Set(control, value) => {
            let excess = exceeds_vocabulary(state, control, value);
            let effects = announced(state, control, |state| set(state, control, value));
            if let Some(told) = excess {
                state.notify(told);
            }
            return effects;
        }
        ControlsAction::ModelDefault(control) => return to_model_default(state, control),
        ControlsAction::SystemPrompt(text) => return set_system(state, text),
        ControlsAction::Undo => return undo(state),
        ControlsAction::SavePreset(name) => return vec![save_preset(state, shared, name)],
        ControlsAction::LoadPreset(name) => return load_preset(state, shared, &name),
        ControlsAction::ToggleDetail => return vec![toggle_detail(state)],
        ControlsAction::TogglePlain => {
            let mut wanted = state.settings.clone();
            wanted.strategy = match wanted.strategy {
                Strategy::Autoregressive => Strategy::SelfSpeculative,
                _ => Strategy::Autoregressive,
            };
            let value = Control::Strategy.get(&wanted);
            return announced(state, Control::Strategy, |state| {
                set(state, Control::Strategy, value)
            });
        }
    }
    Vec::new()
}

fn focus(state: &mut State, control: Control) {
    state.controls.focused = control;
    state.controls.typing = None;
}

fn select(state: &mut State, by: isize) {
    let controls = Control::of_model(state.model.as_ref());
    let at = controls
        .iter()
        .position(|c| *c == state.controls.focused)
        .unwrap_or(0);
    let next = at.saturating_add_signed(by).min(controls.len() - 1);
    focus(state, controls[next]);
}

/// Changes a control and shows its value in a notice, since the panel may be hidden, with what else changes.
fn announced(
    state: &mut State,
    control: Control,
    change: impl FnOnce(&mut State) -> Vec<Effect>,
) -> Vec<Effect> {
    state.notice = None;
    let effects = change(state);
    let value = control.show(&state.settings, state.model.as_ref());
    let also = state.notice.take();
    let also = also.map_or_else(String::new, |notice| format!("; {}", notice.text));
    state.notify(format!("{} {value}{also}", control.label()));
    effects
}

/// Sets a control to the model's default, now and for the models loaded later. A controller stays in charge.
fn to_model_default(state: &mut State, control: Control) -> Vec<Effect> {
    state.user_set.remove(&control);
    let default = state.model.as_ref().and_then(|model| {
        let value = control.default_of(model)?;
        Some(control.kind(Some(model)).snap(value))
    });
    let Some(value) = default else {
        state.notify(format!("{}: the model's default", control.label()));
        return Vec::new();
    };
    let differs = control.get(&state.settings) != value;
    if differs {
        remember(state);
        control.set(&mut state.settings, value);
    }
    let shown = control.show(&state.settings, state.model.as_ref());
    state.notify(format!("{} {shown}, the model's default", control.label()));
    Vec::from_iter(differs.then(|| apply(state)))
}

/// Moves a control by one step.
pub(super) fn adjust(state: &mut State, control: Control, step: Step) -> Vec<Effect> {
    let value = control.get(&state.settings);
    let target = match control.kind(state.model.as_ref()) {
        Kind::Slider(range) | Kind::Number(range) => match step {
            Step::Down => value - range.step,
            Step::Up => value + range.step,
            Step::DownCoarse => value - range.coarse,
            Step::UpCoarse => value + range.coarse,
            Step::Min => range.min,
            Step::Max => range.max,
        },
        Kind::Toggle => f64::from(u8::from(matches!(
            step,
            Step::Up | Step::UpCoarse | Step::Max
        ))),
        Kind::Choice(names) => match step {
            Step::Down | Step::DownCoarse => value - 1.0,
            Step::Up | Step::UpCoarse => value + 1.0,
            Step::Min => 0.0,
            Step::Max => names.len() as f64,
        },
        Kind::Text => return Vec::new(),
    };
    set(state, control, target)
}

/// Sets a control to the nearest value it can take.
pub(super) fn set(state: &mut State, control: Control, value: f64) -> Vec<Effect> {
    let value = control.kind(state.model.as_ref()).snap(value);
    if control == Control::SystemPrompt || control.get(&state.settings) == value {
        return Vec::new();
    }
    remember(state);
    state.user_set.insert(control);
    if control == Control::Confidence
        && !matches!(state.settings.controller, Controller::Confidence { .. })
    {
        state.settings.controller = Controller::Confidence {
            threshold: value as f32,
        };
        state.notify("the confidence controller ends drafts");
    }
    control.set(&mut state.settings, value);
    if matches!(
        control,
        Control::ExitLayer | Control::Speculations | Control::Tree
    ) {
        // An explicit value turns off the automatic choice.
        if state.settings.proposers == Proposers::Auto {
            state.settings.proposers = Proposers::Exit;
        }
        if state.settings.controller == Controller::Auto {
            state.settings.controller = Controller::Fixed;
            state.user_set.insert(Control::Controller);
            state.notify("controller off: E and K are fixed from here");
        }
    }
    vec![apply(state)]
}

/// Why a value that is above the range of a control is accepted and has no effect, if it is: a draft vocabulary may
/// exceed the model's.
pub(super) fn exceeds_vocabulary(state: &State, control: Control, value: f64) -> Option<String> {
    let model = state.model.as_ref()?;
    let mut wanted = state.settings.clone();
    control.set(&mut wanted, value);
    let reason = wanted.exceeds_vocabulary(&model.config)?;
    Some(format!("{} {value} {reason}", control.name()))
}

/// Sets a control during a drag. The whole drag is one change to undo.
pub(super) fn drag(state: &mut State, control: Control, value: f64) -> Vec<Effect> {
    let depth = state.controls.undo.len();
    let mut effects = set(state, control, value);
    if state.drag == Some(control) && state.controls.undo.len() > depth {
        state.controls.undo.pop();
    }
    // The journal records the end of a drag, not every step.
    effects.retain(|effect| !matches!(effect, Effect::Record(_)));
    effects
}

/// Applies the settings. A run uses them from its next round; between answers they go into the journal.
pub(super) fn apply(state: &State) -> Effect {
    match state.run() {
        Some(run) => Effect::Send(Command::Settings {
            run: run.id,
            settings: Arc::new(state.settings.clone()),
        }),
        None => Effect::Record(Entry::Settings(state.settings.clone())),
    }
}

/// Records the system prompt if it differs from `before`. A blank one counts as none.
fn record_system(state: &State, before: &str) -> Option<Effect> {
    let system = if state.system.trim().is_empty() {
        ""
    } else {
        &state.system
    };
    (state.system != before).then(|| Effect::Record(Entry::System(system.into())))
}

fn remember(state: &mut State) {
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
            state.notify("last change undone");
            let mut effects = vec![apply(state)];
            effects.extend(record_system(state, &system));
            effects
        }
        None => {
            state.notify("nothing to undo");
            Vec::new()
        }
    }
}

/// Adopts settings from elsewhere, clamped to this model's ranges.
pub(super) fn adopt(state: &mut State, settings: Settings) -> Effect {
    state.settings = settings;
    for control in Control::ALL
        .into_iter()
        .filter(|c| *c != Control::SystemPrompt)
    {
        // The ranges are unknown without a model; they are applied once it is loaded.
        if state.model.is_some() {
            let value = control
                .kind(state.model.as_ref())
                .snap(control.get(&state.settings));
            control.set(&mut state.settings, value);
        }
        state.user_set.insert(control);
    }
    apply(state)
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

/// Types a digit or point of a number; false if the character or the focused control is not numeric.
pub(super) fn type_digit(state: &mut State, c: char) -> bool {
    let numeric = matches!(
        state.controls.focused.kind(state.model.as_ref()),
        Kind::Slider(_) | Kind::Number(_)
    );
    if !numeric || !(c.is_ascii_digit() || c == '.') {
        return false;
    }
    let typing = state.controls.typing.get_or_insert_default();
    if typing.len() < MAX_TYPED {
        typing.push(c);
    }
    true
}

/// Accepts the number being typed, if any. Leaving its control is equivalent to Enter.
pub(super) fn finish_typing(state: &mut State) -> Vec<Effect> {
    let text = state.controls.typing.take().unwrap_or_default();
    let control = state.controls.focused;
    match text.parse() {
        Ok(value) => {
            if let Kind::Slider(range) | Kind::Number(range) = control.kind(state.model.as_ref())
                && !(range.min..=range.max).contains(&value)
            {
                match exceeds_vocabulary(state, control, value) {
                    Some(told) => state.notify(told),
                    None => state.notify_error(format!(
                        "{} ranges from {} to {}",
                        control.label(),
                        range.min,
                        range.max
                    )),
                }
            }
            set(state, control, value)
        }
        Err(_) if text.is_empty() => Vec::new(),
        Err(_) => {
            state.notify_error(format!("`{text}` is not a number"));
            Vec::new()
        }
    }
}

pub(super) fn set_system(state: &mut State, text: String) -> Vec<Effect> {
    if text != state.system {
        remember(state);
        let before = std::mem::replace(&mut state.system, text);
        state.notify("the system prompt applies from the next answer");
        return record_system(state, &before).into_iter().collect();
    }
    Vec::new()
}

fn toggle_detail(state: &mut State) -> Effect {
    state.settings.detail = !state.settings.detail;
    state.notify(match state.settings.detail {
        true => "recording which token every layer predicts, from the next round; this takes time and journal space",
        false => "no longer recording the layers",
    });
    apply(state)
}

/// The key that undoes a change.
pub(super) fn way_back(shared: &Shared) -> String {
    format!(
        "{} undoes that",
        shared.key_name(Pane::Prompt, ControlsAction::Undo)
    )
}

/// Deletes a preset.
pub(super) fn delete_preset(state: &mut State, shared: &mut Shared, name: &str) -> Effect {
    state.notify(format!("preset {name} deleted"));
    configure(shared, ConfigChange::ForgetPreset(name.to_owned()))
}

fn save_preset(state: &mut State, shared: &mut Shared, name: String) -> Effect {
    let preset = Preset {
        system: state.system.clone(),
        settings: state.settings.clone(),
    };
    state.notify(format!("preset {name} saved"));
    configure(shared, ConfigChange::KeepPreset(name, preset))
}

fn load_preset(state: &mut State, shared: &Shared, name: &str) -> Vec<Effect> {
    let names: Vec<&str> = shared.config.presets.keys().map(String::as_str).collect();
    let chosen = match choose(&names, name) {
        Ok(at) => names[at],
        Err(near) if near.is_empty() => {
            state.notify_error(format!("there is no preset {name}"));
            return Vec::new();
        }
        Err(near) => {
            let near: Vec<&str> = near.into_iter().map(|at| names[at]).collect();
            state.notify_error(format!("`{name}` may be {}", near.join(", ")));
            return Vec::new();
        }
    };
    let (name, preset) = (chosen, shared.config.presets[chosen].clone());
    remember(state);
    let before = std::mem::replace(&mut state.system, preset.system);
    state.notify(format!("preset {name}; {}", way_back(shared)));
    let mut effects = vec![adopt(state, preset.settings)];
    effects.extend(record_system(state, &before));
    effects
}

/// Sets several controls as one change to undo.
pub(super) fn set_all(state: &mut State, values: &[(Control, f64)]) -> Effect {
    let depth = state.controls.undo.len();
    for (control, value) in values {
        set(state, *control, *value);
    }
    state.controls.undo.truncate(depth + 1);
    apply(state)
}
