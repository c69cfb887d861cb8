//! What lies over the screen: help, lists, the system prompt.

use super::action::{Action, Pane};
use super::keymap::Context;
use super::message::Effect;
use super::picker::{Entry, Picker};
use super::regions::Viewport;
use super::state::{Overlay, State};
use super::{Control, ThemeName, browser, hints, panel, update, what_if};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Lines of a page.
const PAGE: isize = 10;

/// Open what the action names.
pub(super) fn open(state: &mut State, action: &Action) -> Vec<Effect> {
    state.overlay = Some(match action {
        Action::Palette => Overlay::Picker(Picker::new("commands", commands(state))),
        Action::Models => Overlay::Picker(models(state)),
        Action::Presets => Overlay::Picker(Picker::new("presets", presets(state))),
        _ => Overlay::Help { scroll: 0 },
    });
    Vec::new()
}

/// Every action that can be done now and needs nothing more.
fn commands(state: &State) -> Vec<Entry> {
    let general = [
        Action::Regenerate,
        Action::Reroll,
        Action::EditLast,
        Action::Continue,
        Action::Cancel,
        Action::Pause,
        Action::Step,
        Action::WhatIf,
        Action::Race,
        Action::Copy,
        Action::Clear,
        Action::Sessions,
        Action::Models,
        Action::Presets,
        Action::Undo,
        Action::ToggleMode,
        Action::ToggleRejected,
        Action::ToggleMarkdown,
        Action::ToggleDetail,
        Action::ToggleMouse,
        Action::ExternalEditor,
        Action::Picture(None),
        Action::Help,
        Action::Suspend,
        Action::Quit,
    ];
    let themes = ThemeName::ALL.map(Action::Theme);
    let panes = Pane::ALL.map(Action::Focus);
    let controls = Control::ALL.map(Action::FocusControl);
    let all = general
        .into_iter()
        .chain(panes)
        .chain(controls)
        .chain(themes);
    all.filter(|action| hints::can(state, action))
        .map(|action| entry(state, action))
        .collect()
}

fn entry(state: &State, action: Action) -> Entry {
    let label = match &action {
        Action::Focus(pane) => format!("go to the {}", pane.label()),
        action => action.label(),
    };
    Entry {
        label,
        note: note(state, &action),
        action,
    }
}

/// The key of an action, and where it holds if that is not everywhere; the value of a control.
fn note(state: &State, action: &Action) -> String {
    if let Action::FocusControl(control) = action {
        return control.show(&state.settings, state.model.as_ref());
    }
    if let Some(key) = state.keys.key_of(Context::Global, action) {
        return key.to_string();
    }
    let within = |pane: Pane| Some((state.keys.key_of(pane, action)?, pane));
    let found = Pane::ALL
        .into_iter()
        .filter(|_| !matches!(action, Action::Focus(_)))
        .find_map(within);
    found
        .map(|(key, pane)| format!("{key} in the {}", pane.label()))
        .unwrap_or_default()
}

/// Models to load; where there is none, the one that is offered is chosen already.
fn models(state: &State) -> Picker {
    let entry = |choice: &super::ModelChoice| Entry {
        label: choice.label.clone(),
        note: choice.note.clone(),
        action: Action::LoadModel(choice.model.clone()),
    };
    let mut picker = Picker::new("models", state.models.iter().map(entry).collect());
    let offered = state.offer().and_then(|offer| {
        state
            .models
            .iter()
            .position(|choice| choice.model == offer.model)
    });
    picker.selected = offered.unwrap_or(0);
    picker
}

fn presets(state: &State) -> Vec<Entry> {
    let entry = |(name, preset): (&String, &super::Preset)| Entry {
        label: name.clone(),
        note: format!(
            "E {}, K {}",
            preset.settings.exit_layer, preset.settings.num_speculations
        ),
        action: Action::LoadPreset(name.clone()),
    };
    state.config.presets.iter().map(entry).collect()
}

/// Whether a key is a character to write.
pub(super) fn is_text(key: KeyEvent) -> bool {
    matches!(key.code, KeyCode::Char(_))
        && !key
            .modifiers
            .intersects(KeyModifiers::CONTROL | KeyModifiers::ALT)
}

/// A key goes to the overlay alone.
pub(super) fn on_key(state: &mut State, key: KeyEvent) -> Vec<Effect> {
    match state.overlay.take() {
        Some(Overlay::Picker(picker)) => picker_key(state, picker, key),
        Some(Overlay::System(editor)) => system_key(state, editor, key),
        Some(Overlay::WhatIf(map)) => what_if::on_key(state, map, key),
        Some(Overlay::Race(race)) => race_key(state, race, key),
        Some(Overlay::Sessions(list)) => browser::on_key(state, list, key),
        Some(Overlay::Help { scroll }) => {
            state.overlay = scrolled(state, scroll, key).map(|scroll| Overlay::Help { scroll });
            Vec::new()
        }
        Some(Overlay::Text {
            title,
            lines,
            scroll,
        }) => {
            state.overlay = scrolled(state, scroll, key).map(|scroll| Overlay::Text {
                title,
                lines,
                scroll,
            });
            Vec::new()
        }
        None => Vec::new(),
    }
}

/// Enter runs a race that has ended once more.
fn race_key(state: &mut State, mut race: Box<super::Race>, key: KeyEvent) -> Vec<Effect> {
    if let Some(by) = scrolling(key) {
        race.scroll(state.regions.text, by);
    }
    let again = race.outcome.is_some() && key.code == KeyCode::Enter;
    state.overlay = Some(Overlay::Race(race));
    if again {
        update::act(state, Action::Race)
    } else {
        Vec::new()
    }
}

/// Where a key scrolls to; none closes.
fn scrolled(state: &State, first: usize, key: KeyEvent) -> Option<usize> {
    let shown = Viewport {
        first,
        ..state.regions.text
    };
    scrolling(key).map(|by| shown.scrolled(by))
}

/// By how many lines a key scrolls.
fn scrolling(key: KeyEvent) -> Option<isize> {
    match key.code {
        KeyCode::Up | KeyCode::Char('k') => Some(-1),
        KeyCode::Down | KeyCode::Char('j') => Some(1),
        KeyCode::PageUp | KeyCode::Char('b') => Some(-PAGE),
        KeyCode::PageDown | KeyCode::Char(' ') => Some(PAGE),
        KeyCode::Home | KeyCode::Char('g') => Some(isize::MIN / 2),
        KeyCode::End | KeyCode::Char('G') => Some(isize::MAX / 2),
        _ => None,
    }
}

fn picker_key(state: &mut State, mut picker: Picker, key: KeyEvent) -> Vec<Effect> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Enter => match picker.chosen() {
            Some(action) => return update::act(state, action),
            None if !picker.filter.trim().is_empty() => return choose_typed(state, &picker),
            None => {}
        },
        KeyCode::Delete => {
            if let Some(Action::LoadPreset(name)) = picker.chosen() {
                return panel::drop_preset(state, &name);
            }
        }
        KeyCode::Up => picker.step(-1),
        KeyCode::Down | KeyCode::Tab => picker.step(1),
        KeyCode::Char('p') if control => picker.step(-1),
        KeyCode::Char('n') if control => picker.step(1),
        KeyCode::Backspace => picker.pop(),
        KeyCode::Char(c) if is_text(key) => picker.push(c),
        _ => {}
    }
    state.overlay = Some(Overlay::Picker(picker));
    Vec::new()
}

/// Text that no entry holds is a model to load, or a preset to save under that name.
fn choose_typed(state: &mut State, picker: &Picker) -> Vec<Effect> {
    let name = picker.filter.trim().to_string();
    match picker.title {
        "models" => update::act(state, Action::LoadModel(Some(name))),
        "presets" => update::act(state, Action::SavePreset(name)),
        _ => Vec::new(),
    }
}

/// A click on the entry at `index` of those that match.
pub(super) fn choose(state: &mut State, index: usize) -> Vec<Effect> {
    if let Some(Overlay::Sessions(_)) = state.overlay {
        return browser::click(state, index);
    }
    let Some(Overlay::Picker(mut picker)) = state.overlay.take() else {
        return Vec::new();
    };
    picker.selected = index;
    picker
        .chosen()
        .map(|action| update::act(state, action))
        .unwrap_or_default()
}

/// Enter takes the system prompt; the keys of the prompt edit it.
fn system_key(state: &mut State, mut editor: super::Editor, key: KeyEvent) -> Vec<Effect> {
    let action = state.keys.action(Pane::Prompt, key).cloned();
    match action {
        Some(Action::Send) => return panel::set_system(state, editor.text().to_string()),
        Some(Action::NewLine) => editor.insert("\n"),
        Some(Action::PromptUp) => editor.up(),
        Some(Action::PromptDown) => editor.down(),
        Some(Action::ExternalEditor) => {
            let text = editor.text().to_string();
            state.overlay = Some(Overlay::System(editor));
            return vec![Effect::Edit(text)];
        }
        _ => drop(editor.key(key)),
    }
    state.overlay = Some(Overlay::System(editor));
    Vec::new()
}
