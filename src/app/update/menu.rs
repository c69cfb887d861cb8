//! The menu above the prompt: opened by typing a slash command, closed by Esc.

use super::reply::Reply;
use crate::app::input::action::{AppAction, ChatAction, ListAction};
use crate::app::message::Effect;
use crate::app::state::menu::{Folder, Menu, Suggestion};
use crate::app::state::{Listed, Shared, State};

/// Entries per page.
const PAGE: isize = 8;

/// Id of the menu's search for sessions; those of the list begin with 1.
pub(super) const SEARCH: u64 = 0;

/// Opens the menu for the prompt's current text, or closes it.
pub(super) fn refresh(state: &mut State, shared: &Shared) -> Vec<Effect> {
    state.menu = Menu::of(state, shared, state.folder.as_ref());
    Vec::from_iter(list_folder(state).into_iter().chain(list_sessions(state)))
}

/// Lists the folder that the menu wants, unless that was done.
fn list_folder(state: &mut State) -> Option<Effect> {
    let Some(wanted) = state.menu.as_ref().and_then(|menu| menu.folder.clone()) else {
        state.folder = None;
        return None;
    };
    let known = state
        .folder
        .as_ref()
        .is_some_and(|folder| folder.path == wanted);
    (!known).then_some(Effect::ListFolder(wanted))
}

/// Lists the sessions if the menu wants them, unless that was done.
fn list_sessions(state: &mut State) -> Option<Effect> {
    if !state.menu.as_ref().is_some_and(|menu| menu.wants_sessions) {
        state.menu_sessions = None;
        return None;
    }
    if state.menu_sessions.is_some() {
        return None;
    }
    state.menu_sessions = Some(Vec::new());
    Some(Effect::ListSessions {
        search_id: SEARCH,
        search: String::new(),
    })
}

/// Takes the sessions found so far, if the menu still needs them.
pub(super) fn on_sessions(state: &mut State, shared: &Shared, listed: Vec<Listed>) {
    if state.menu_sessions.is_none() {
        return;
    }
    state.menu_sessions = Some(listed);
    rebuild(state, shared, state.folder.clone());
}

/// Fills the menu again, and keeps what is selected.
fn rebuild(state: &mut State, shared: &Shared, folder: Option<Folder>) {
    let selected = state.menu.as_ref().and_then(|menu| menu.selected);
    state.menu = Menu::of(state, shared, folder.as_ref());
    if let Some(menu) = &mut state.menu {
        menu.selected = menu.selected.or(selected);
    }
    state.folder = folder;
}

/// Takes the files of a folder, if the menu still needs them.
pub(super) fn on_folder(state: &mut State, shared: &Shared, folder: Folder) {
    let wanted = state.menu().and_then(|menu| menu.folder.as_ref());
    if wanted == Some(&folder.path) {
        rebuild(state, shared, Some(folder));
    }
}

/// Closes the menu; false if there is none.
pub(super) fn close(state: &mut State) -> bool {
    let open = state.menu().is_some();
    state.menu = None;
    open
}

/// Carries out a list action on the menu.
pub(super) fn list(state: &mut State, shared: &Shared, action: ListAction) -> Reply {
    let Some(menu) = &mut state.menu else {
        return Reply::none();
    };
    match action {
        ListAction::EntryUp => menu.step(-1),
        ListAction::EntryDown => menu.step(1),
        ListAction::EntryPageUp => menu.page(-PAGE),
        ListAction::EntryPageDown => menu.page(PAGE),
        ListAction::FirstEntry => menu.page(isize::MIN),
        ListAction::LastEntry => menu.page(isize::MAX),
        ListAction::Choose => return choose(state, shared),
        ListAction::Complete => return complete(state, shared),
        ListAction::DeleteEntry => {}
    }
    Reply::none()
}

/// Takes the selected suggestion, and runs the command if that completes it.
fn choose(state: &mut State, shared: &Shared) -> Reply {
    let Some(Suggestion { text, complete, .. }) = state.menu().and_then(Menu::chosen).cloned()
    else {
        return Reply::then(ChatAction::Send);
    };
    if complete {
        state.prompt.set(text.trim_end());
        return Reply::then(ChatAction::Send);
    }
    state.prompt.set(text);
    refresh(state, shared).into()
}

/// Completes the selected suggestion, else the common prefix of all. If that adds nothing, moves to the next panel.
fn complete(state: &mut State, shared: &Shared) -> Reply {
    let Some(menu) = state.menu() else {
        return Reply::none();
    };
    let text = match menu.chosen() {
        Some(chosen) => chosen.text.clone(),
        None => common(&menu.entries),
    };
    let before = menu.text.clone();
    if text == before || (menu.selected.is_none() && !text.starts_with(&before)) {
        return match menu.selected {
            None if menu.entries.len() > 1 => list(state, shared, ListAction::EntryDown),
            _ => Reply::then(AppAction::FocusNext),
        };
    }
    state.prompt.set(text);
    refresh(state, shared).into()
}

/// The common prefix of all suggestions.
fn common(entries: &[Suggestion]) -> String {
    let Some((first, others)) = entries.split_first() else {
        return String::new();
    };
    let shared = |at: &usize| {
        others
            .iter()
            .all(|other| other.text.starts_with(&first.text[..*at]))
    };
    let ends = first.text.char_indices().map(|(at, _)| at);
    let end = ends.chain([first.text.len()]).rev().find(shared);
    first.text[..end.unwrap_or(0)].to_owned()
}

/// Takes the clicked suggestion.
pub(super) fn click(state: &mut State, shared: &Shared, index: usize) -> Reply {
    match &mut state.menu {
        Some(menu) if index < menu.entries.len() => {
            menu.selected = Some(index);
            choose(state, shared)
        }
        _ => Reply::none(),
    }
}

/// Opens the menu for the command in the prompt; `None` if there is no command, or the menu is open.
pub(super) fn reopen(state: &mut State, shared: &Shared) -> Option<Reply> {
    let closed = state.menu().is_none() && state.prompt.text().len() > 1;
    let effect = closed.then(|| refresh(state, shared))?;
    state.menu().is_some().then(|| effect.into())
}
