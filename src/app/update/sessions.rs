//! The list of saved sessions: searching, opening, replaying, renaming, deleting and restoring.

use super::reply::Reply;
use super::{menu, run};
use crate::app::input::Context;
use crate::app::input::action::{ListAction, SessionsAction};
use crate::app::message::Effect;
use crate::app::state::{Editor, Listed, Overlay, SessionList, Shared, State, Subject};

/// Entries per page.
const PAGE: isize = 10;

pub(super) fn act(state: &mut State, shared: &mut Shared, action: SessionsAction) -> Reply {
    let Some(list) = list(state).filter(|list| list.title.is_none()) else {
        return Reply::none();
    };
    if action == SessionsAction::Restore {
        return restore(state, shared).into();
    }
    let Some(chosen) = list.chosen().cloned() else {
        return Reply::none();
    };
    match (&chosen.summary.fault, action) {
        (_, SessionsAction::Delete) => delete(state, &chosen).into(),
        (Some(fault), _) => {
            state.notify_error(format!("this file cannot be read: {fault}"));
            Reply::none()
        }
        (None, SessionsAction::Rename) => {
            let mut title = Editor::default();
            title.set(chosen.summary.totals.title);
            list.title = Some(title);
            Reply::none()
        }
        (None, SessionsAction::Replay) => replay(state, &chosen).into(),
        (None, _) => open_chosen(state, &chosen).into(),
    }
}

/// Moves the selection, or opens the selected session.
pub(super) fn act_on_list(list: &mut SessionList, action: ListAction) -> Reply {
    match action {
        ListAction::EntryUp => list.step(-1),
        ListAction::EntryDown => list.step(1),
        ListAction::EntryPageUp => list.step(-PAGE),
        ListAction::EntryPageDown => list.step(PAGE),
        ListAction::FirstEntry => list.step(isize::MIN),
        ListAction::LastEntry => list.step(isize::MAX),
        ListAction::Choose => return Reply::then(SessionsAction::Open),
        ListAction::DeleteEntry => return Reply::then(SessionsAction::Delete),
        ListAction::Complete => {}
    }
    Reply::none()
}

/// Opens the list and starts the search that fills it.
pub(super) fn open(state: &mut State, shared: &mut Shared) -> Option<Effect> {
    state.overlay = Some(Overlay::Sessions(Box::default()));
    search(state, shared)
}

/// The list on screen.
fn list(state: &mut State) -> Option<&mut SessionList> {
    match &mut state.overlay {
        Some(Overlay::Sessions(list)) => Some(list),
        _ => None,
    }
}

/// Starts a new search. Results of earlier ones are dropped.
fn search(state: &mut State, shared: &mut Shared) -> Option<Effect> {
    shared.search_id += 1;
    let search_id = shared.search_id;
    let list = list(state)?;
    list.search_id = search_id;
    list.searching = true;
    Some(Effect::ListSessions {
        search_id,
        search: list.search.text().to_owned(),
    })
}

/// Takes the sessions found so far.
pub(super) fn on_listed(
    state: &mut State,
    shared: &Shared,
    search_id: u64,
    listed: Vec<Listed>,
    done: bool,
) {
    if search_id == menu::SEARCH {
        return menu::on_sessions(state, shared, listed);
    }
    if let Some(list) = list(state).filter(|list| list.search_id == search_id) {
        list.fill(listed);
        list.searching = !done;
    }
}

pub(super) fn on_renamed(state: &mut State, shared: &mut Shared) -> Option<Effect> {
    state.notify("renamed");
    search(state, shared)
}

/// A session was moved to the trash. If it was the one on screen, starts a new chat.
pub(super) fn on_deleted(
    state: &mut State,
    shared: &mut Shared,
    id: String,
    own: bool,
) -> Vec<Effect> {
    shared.deleted.push(id);
    let mut effects = if own { run::clear(state) } else { Vec::new() };
    let key = shared
        .keys
        .key_of(Context::Sessions, &SessionsAction::Restore.into());
    let back = key.map_or_else(String::new, |key| format!("; {key} restores it"));
    state.notify(format!("moved to the trash{back}"));
    effects.extend(search(state, shared));
    effects
}

pub(super) fn on_restored(state: &mut State, shared: &mut Shared, id: String) -> Option<Effect> {
    state.notify("session restored");
    if let Some(list) = list(state) {
        list.follow = Some(id);
    }
    search(state, shared)
}

/// Changes the search; the first result is selected.
pub(super) fn refine(
    state: &mut State,
    shared: &mut Shared,
    change: impl FnOnce(&mut Editor),
) -> Option<Effect> {
    let list = list(state)?;
    let before = list.search.text().to_owned();
    change(&mut list.search);
    if list.search.text() == before {
        return None;
    }
    (list.selected, list.follow) = (0, None);
    search(state, shared)
}

/// A click selects; on the selected session, it opens.
pub(super) fn click(state: &mut State, index: usize) -> Reply {
    let Some(list) = list(state).filter(|list| list.title.is_none() && index < list.listed.len())
    else {
        return Reply::none();
    };
    if list.selected == index && list.follow.is_some() {
        return Reply::then(SessionsAction::Open);
    }
    list.select(index);
    Reply::none()
}

fn path_of(chosen: &Listed) -> String {
    chosen.summary.path.to_string_lossy().into_owned()
}

fn open_chosen(state: &mut State, chosen: &Listed) -> Option<Effect> {
    if chosen.own {
        state.overlay = None;
        state.notify("this session is on screen already");
        return None;
    }
    let effect = run::load_session(state, path_of(chosen));
    if effect.is_some() {
        state.overlay = None;
    }
    effect
}

fn replay(state: &mut State, chosen: &Listed) -> Option<Effect> {
    if !run::is_quiet(state) {
        return None;
    }
    state.overlay = None;
    Some(Effect::ReplaySession(path_of(chosen)))
}

fn delete(state: &mut State, chosen: &Listed) -> Option<Effect> {
    if chosen.own && state.run().is_some() {
        state.notify_error("an answer of this session is being written; cancel it first");
        state.notice_is_about(Subject::Answer);
        return None;
    }
    Some(Effect::DeleteSession(chosen.summary.id.clone()))
}

fn restore(state: &mut State, shared: &mut Shared) -> Option<Effect> {
    let id = shared.deleted.pop();
    if id.is_none() {
        state.notify("nothing was deleted since the start; `skiplens transcript trash` lists what was before");
    }
    id.map(Effect::RestoreSession)
}

/// Accepts the edited title.
pub(super) fn rename(list: &mut SessionList) -> Option<Effect> {
    let title = list.title.take()?.text().trim().to_owned();
    let path = list.chosen()?.summary.path.clone();
    Some(Effect::RenameSession { path, title })
}
