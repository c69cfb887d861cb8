//! Overlays: help, lists, texts.

use super::reply::Reply;
use super::{controls, menu, sessions};
use crate::app::available::is_available;
use crate::app::controls::Control;
use crate::app::input::action::{
    AppAction, ChatAction, ControlsAction, EditAction, ListAction, Pane, ViewAction,
};
use crate::app::input::{Action, Context};
use crate::app::message::Effect;
use crate::app::state::picker::{Entry, Picker};
use crate::app::state::{
    App, Folder, FolderEntry, ModelChoice, Offer, Overlay, Regions, Shared, State, Topic, Viewport,
};
use crate::app::{Preset, ThemeName};
use crate::engine::decode::Stats;
use crate::plural::counted;

/// Title of the list of models.
const MODELS: &str = "models";
/// Lines per page.
const PAGE: isize = 10;

pub(super) fn help(state: &mut State, topic: Topic) -> Reply {
    state.overlay = Some(Overlay::Help { topic, scroll: 0 });
    Reply::none()
}

pub(super) fn palette(app: &mut App) -> Reply {
    let picker = Picker::new("commands", commands(app));
    app.state_mut().overlay = Some(Overlay::Picker(picker));
    Reply::none()
}

/// Opens the list of models. If none is loaded, the offered one is selected.
pub(super) fn models(state: &mut State, shared: &Shared) -> Reply {
    let mut picker = Picker::new(MODELS, model_entries(shared));
    picker.selected = offered(state, shared);
    state.overlay = Some(Overlay::Picker(picker));
    let in_use = state.model.as_ref().map_or(0, |model| model.weight_bytes);
    Effect::FindModels { in_use }.into()
}

fn model_entries(shared: &Shared) -> Vec<Entry> {
    let entry = |choice: &ModelChoice| Entry {
        help: choice.help.clone(),
        ..Entry::new(
            &choice.label,
            &choice.note,
            ChatAction::LoadModel(choice.model.clone()),
        )
    };
    shared.models.iter().map(entry).collect()
}

/// Takes the models that were found.
pub(super) fn on_models(state: &mut State, shared: &mut Shared, models: Vec<ModelChoice>) {
    shared.models = models;
    let offered = offered(state, shared);
    if let Some(picker) = model_picker(state) {
        let fresh = picker.selected_entry().is_none();
        picker.renew(model_entries(shared));
        if fresh && picker.filter.is_empty() {
            picker.selected = offered;
        }
    }
}

/// The index of the model offered while none is loaded.
fn offered(state: &State, shared: &Shared) -> usize {
    let at = |offer: Offer| {
        let mut models = shared.models.iter();
        models.position(|choice| choice.model == offer.model)
    };
    state.offer().and_then(at).unwrap_or(0)
}

fn model_picker(state: &mut State) -> Option<&mut Picker> {
    match &mut state.overlay {
        Some(Overlay::Picker(picker)) if picker.title == MODELS => Some(picker),
        _ => None,
    }
}

/// While a path is typed for a model, lists its folder.
pub(super) fn complete_path(state: &mut State) -> Option<Effect> {
    let (folder, local) = (state.folder.take(), state.remote.is_none());
    let picker = model_picker(state)?;
    // The files of a server are not known here.
    let wanted = picker.path().filter(|_| local);
    let Some(wanted) = wanted.map(|(folder, _)| folder.to_owned()) else {
        picker.show_paths(None);
        return None;
    };
    match folder.filter(|folder| folder.path == wanted) {
        Some(folder) => {
            on_folder(state, &folder);
            state.folder = Some(folder);
            None
        }
        None => {
            picker.show_paths(Some(Vec::new()));
            Some(Effect::ListFolder(wanted))
        }
    }
}

/// Takes the files of a folder; false if the picker does not need them.
pub(super) fn on_folder(state: &mut State, folder: &Folder) -> bool {
    let Some(picker) = model_picker(state) else {
        return false;
    };
    if let Some((_, name)) = picker.path().filter(|(path, _)| *path == folder.path) {
        let fits = |file: &&FolderEntry| {
            let hidden = file.name.starts_with('.') && !name.starts_with('.');
            let is_model = file.is_folder || file.name.to_lowercase().ends_with(".gguf");
            is_model
                && !hidden
                && file.name.starts_with(name)
                && !file.name.contains(char::is_control)
        };
        let entry = |file: &FolderEntry| {
            let path = format!("{}{}", folder.path, file.name);
            let inside = file.is_folder.then(|| format!("{path}/"));
            Entry {
                folder: inside.clone(),
                ..Entry::new(
                    inside.as_ref().unwrap_or(&path),
                    if file.is_folder { "folder" } else { "" },
                    ChatAction::LoadModel(Some(path.clone())),
                )
            }
        };
        let paths = folder.entries.iter().filter(fits).map(entry).collect();
        picker.show_paths(Some(paths));
        picker.selected = 0;
    }
    true
}

/// Completes the selected path; in other lists moves to the next entry.
fn complete(state: &mut State) -> Reply {
    let Some(Overlay::Picker(picker)) = &mut state.overlay else {
        return Reply::none();
    };
    let path = picker.path().and_then(|_| picker.selected_entry());
    let Some(path) = path.map(|entry| entry.label.clone()) else {
        picker.step(1);
        return Reply::none();
    };
    picker.filter.set(path);
    complete_path(state).into()
}

pub(super) fn presets(state: &mut State, shared: &Shared) -> Reply {
    let entry = |(name, preset): (&String, &Preset)| {
        Entry::new(
            name,
            format!(
                "E {}, K {}",
                preset.settings.exit_layer, preset.settings.num_speculations
            ),
            ControlsAction::LoadPreset(name.clone()),
        )
    };
    let entries = shared.config.presets.iter().map(entry).collect();
    state.overlay = Some(Overlay::Picker(Picker::new("presets", entries)));
    Reply::none()
}

/// Every available action that needs no argument.
fn commands(app: &App) -> Vec<Entry> {
    let general: [Action; 35] = [
        ChatAction::Regenerate.into(),
        ChatAction::Reroll.into(),
        ChatAction::EditLast.into(),
        ChatAction::SendQueued.into(),
        ChatAction::EditQueued.into(),
        ChatAction::RemoveQueued.into(),
        ChatAction::PreviousAnswer.into(),
        ChatAction::NextAnswer.into(),
        ChatAction::Continue.into(),
        ChatAction::Cancel.into(),
        ChatAction::Pause.into(),
        ChatAction::Step.into(),
        ChatAction::WhatIf.into(),
        ChatAction::Lens.into(),
        ControlsAction::TogglePlain.into(),
        ChatAction::Race.into(),
        ChatAction::Sweep.into(),
        ViewAction::Copy.into(),
        ViewAction::Find.into(),
        ChatAction::Clear.into(),
        AppAction::Sessions.into(),
        AppAction::Models.into(),
        AppAction::Presets.into(),
        ControlsAction::Undo.into(),
        ChatAction::ToggleMode.into(),
        ViewAction::ToggleRejected.into(),
        ViewAction::ToggleMarkdown.into(),
        ControlsAction::ToggleDetail.into(),
        AppAction::Show.into(),
        AppAction::ToggleMouse.into(),
        EditAction::ExternalEditor.into(),
        AppAction::Picture(None).into(),
        AppAction::Help.into(),
        AppAction::Suspend.into(),
        AppAction::Quit.into(),
    ];
    let panes = Pane::ALL.map(|pane| AppAction::Focus(pane).into());
    let controls = Control::ALL.map(|control| ControlsAction::FocusControl(control).into());
    let themes = ThemeName::ALL.map(|theme| AppAction::Theme(theme).into());
    let all = general
        .into_iter()
        .chain(panes)
        .chain(controls)
        .chain(themes);
    all.filter(|action| is_available(app, action))
        .map(|action| entry(app, action))
        .collect()
}

fn entry(app: &App, action: Action) -> Entry {
    let label = match &action {
        Action::App(AppAction::Focus(pane)) => format!("go to the {}", pane.label()),
        action => action.label(),
    };
    Entry::new(label, note(app, &action), action)
}

/// The note beside an action: its key, and where it applies if not everywhere; or a control's value.
fn note(app: &App, action: &Action) -> String {
    if let Action::Controls(ControlsAction::FocusControl(control)) = action {
        let state = app.state();
        return control.show(&state.settings, state.model.as_ref());
    }
    let keys = &app.shared.keys;
    if let Some(key) = keys.key_of(Context::Global, action) {
        return key.to_string();
    }
    let within = |pane: Pane| Some((keys.key_of(pane, action)?, pane));
    let found = Pane::ALL
        .into_iter()
        .filter(|_| !matches!(action, Action::App(AppAction::Focus(_))))
        .find_map(within);
    found
        .map(|(key, pane)| format!("{key} in the {}", pane.label()))
        .unwrap_or_default()
}

/// Scrolls the text overlay; false if there is none.
pub(super) fn scroll(state: &mut State, regions: &Regions, action: ViewAction) -> bool {
    let by = match action {
        ViewAction::ScrollUp => -1,
        ViewAction::ScrollDown => 1,
        ViewAction::PageUp => -PAGE,
        ViewAction::PageDown => PAGE,
        ViewAction::Top => isize::MIN / 2,
        ViewAction::Bottom => isize::MAX / 2,
        _ => return false,
    };
    scroll_by(state, regions, by)
}

/// Scrolls the text overlay by `by` lines; false if there is none.
pub(super) fn scroll_by(state: &mut State, regions: &Regions, by: isize) -> bool {
    let shown = regions.text;
    match &mut state.overlay {
        Some(Overlay::Help { scroll, .. } | Overlay::Text { scroll, .. }) => {
            let first = Viewport {
                first: *scroll,
                ..shown
            };
            *scroll = first.scrolled(by);
        }
        Some(Overlay::Race(race)) => race.scroll(shown, by),
        _ => return false,
    }
    true
}

/// Carries out a list action on the list overlay.
pub(super) fn list(state: &mut State, shared: &mut Shared, action: ListAction) -> Reply {
    let picker = match &mut state.overlay {
        Some(Overlay::Sessions(list)) => return sessions::act_on_list(list, action),
        Some(Overlay::Picker(picker)) => picker,
        None => return menu::list(state, shared, action),
        _ => return Reply::none(),
    };
    match action {
        ListAction::EntryUp => picker.step(-1),
        ListAction::EntryDown => picker.step(1),
        ListAction::EntryPageUp => picker.page(-PAGE),
        ListAction::EntryPageDown => picker.page(PAGE),
        ListAction::FirstEntry => picker.page(isize::MIN),
        ListAction::LastEntry => picker.page(isize::MAX),
        ListAction::Choose => return choose(state),
        ListAction::Complete => return complete(state),
        ListAction::DeleteEntry => return delete(state, shared),
    }
    Reply::none()
}

/// Carries out the selected entry. A filter without a match is a model to load, or the name of a new preset.
fn choose(state: &mut State) -> Reply {
    let Some(Overlay::Picker(picker)) = &state.overlay else {
        return Reply::none();
    };
    if picker
        .selected_entry()
        .is_some_and(|entry| entry.folder.is_some())
    {
        return complete(state);
    }
    let typed = picker.filter.text().trim().to_owned();
    let action = match (picker.chosen(), picker.title) {
        (Some(action), _) => Some(action),
        (None, _) if typed.is_empty() => return Reply::none(),
        (None, MODELS) => Some(ChatAction::LoadModel(Some(typed)).into()),
        (None, "presets") => Some(ControlsAction::SavePreset(typed).into()),
        (None, _) => None,
    };
    state.overlay = None;
    action.map_or_else(Reply::none, Reply::then)
}

/// Deletes the selected preset. The list stays open.
fn delete(state: &mut State, shared: &mut Shared) -> Reply {
    let Some(Overlay::Picker(picker)) = &state.overlay else {
        return Reply::none();
    };
    match picker.chosen() {
        Some(Action::Controls(ControlsAction::LoadPreset(name))) => {
            let deleted = controls::delete_preset(state, shared, &name);
            presets(state, shared).and(deleted)
        }
        _ => Reply::none(),
    }
}

/// A click on the matching entry at `index`.
pub(super) fn click(state: &mut State, index: usize) -> Reply {
    match &mut state.overlay {
        Some(Overlay::Sessions(_)) => sessions::click(state, index),
        Some(Overlay::Picker(picker)) => {
            picker.selected = index;
            choose(state)
        }
        _ => Reply::none(),
    }
}

/// Shows model, settings and statistics as text.
pub(super) fn show(state: &mut State) -> Reply {
    let mut lines = model_lines(state);
    for control in Control::of_model(state.model.as_ref())
        .into_iter()
        .filter(|control| *control != Control::SystemPrompt)
    {
        let value = control.show(&state.settings, state.model.as_ref());
        lines.push(format!("{:<18} {value}", control.name()));
    }
    if !state.system.is_empty() {
        lines.push(format!("{:<18} {}", "system", state.system));
    }
    lines.push(String::new());
    lines.extend(statistics(&Stats::of(
        state.turns.iter().flat_map(|turn| &turn.rounds),
    )));
    state.overlay = Some(Overlay::Text {
        title: "settings and statistics".into(),
        lines,
        scroll: 0,
        by_itself: false,
    });
    Reply::none()
}

fn model_lines(state: &State) -> Vec<String> {
    let Some(model) = &state.model else {
        return Vec::new();
    };
    let c = &model.config;
    let mut lines = vec![
        format!("model        {}", model.name),
        format!("from         {}", model.path.display()),
        format!(
            "layers       {}, hidden size {}, vocabulary {}",
            c.num_layers, c.hidden_size, c.vocab_size
        ),
        format!("context      {}", counted(c.context_length, "token")),
        format!(
            "weights      {}, {:.0} MB, {}",
            model.dtype,
            model.weight_bytes as f64 / 1e6,
            model.device
        ),
    ];
    let reason = model.device_reason.iter();
    lines.extend(reason.map(|reason| format!("device       {reason}")));
    if !model.adapters.is_empty() {
        let exits: Vec<_> = model.adapters.iter().map(usize::to_string).collect();
        lines.push(format!("adapters     exits {}", exits.join(", ")));
    }
    lines.extend(
        model
            .adapters_fault
            .iter()
            .map(|fault| format!("adapters     {fault}")),
    );
    lines.push(String::new());
    lines
}

fn statistics(stats: &Stats) -> Vec<String> {
    let mut lines = vec![format!(
        "tokens             {} in {}",
        stats.tokens,
        counted(stats.rounds, "round")
    )];
    if let Some(rate) = stats.acceptance_rate() {
        lines.push(format!(
            "acceptance rate    {:.1} % ({} of {})",
            rate * 100.0,
            stats.accepted,
            stats.drafted
        ));
    }
    if let Some(length) = stats.mean_accepted_length() {
        lines.push(format!("accepted length    {length:.2} on average"));
    }
    if let Some(speed) = stats.tokens_per_second() {
        lines.push(format!("tokens per second  {speed:.1}"));
    }
    lines
}
