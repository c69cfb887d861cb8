//! The list of kept sessions over the screen: searching, opening, replaying, renaming, deleting and taking that back.

use super::action::{Action, Browse};
use super::editor::Editor;
use super::message::Effect;
use super::state::{Overlay, State};
use super::{keymap::Context, overlay, player, talk, update};
use crate::transcript::Summary;
use crossterm::event::{KeyCode, KeyEvent};

/// One session of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    pub summary: Summary,
    /// Where the search found its words; empty where a name fits, or nothing was searched.
    pub excerpt: String,
    /// When it began, on the user's clock.
    pub begun: String,
    /// Whether it is the one that is being kept now.
    pub own: bool,
}

/// The list that lies over the screen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Browser {
    pub search: String,
    /// The newest first.
    pub listed: Vec<Listed>,
    pub selected: usize,
    /// Whether more may be found.
    pub searching: bool,
    /// The title of the selected session while it is written anew.
    pub title: Option<Editor>,
    /// Id of the session that stays selected when the list changes.
    follow: Option<String>,
    /// Number of the search whose answers count.
    ask: u64,
}

impl Browser {
    /// The selected session.
    pub fn chosen(&self) -> Option<&Listed> {
        self.listed.get(self.selected)
    }

    /// Move the selection; it stops at the ends.
    pub(super) fn step(&mut self, by: isize) {
        let last = self.listed.len().saturating_sub(1);
        self.select(self.selected.saturating_add_signed(by).min(last));
    }

    fn select(&mut self, index: usize) {
        self.selected = index;
        self.follow = self.chosen().map(|listed| listed.summary.id.clone());
    }

    /// Another list: the session that was chosen stays so, or else the one in its place is.
    fn fill(&mut self, listed: Vec<Listed>) {
        self.listed = listed;
        let place = |id: &String| {
            self.listed
                .iter()
                .position(|listed| listed.summary.id == *id)
        };
        let last = self.listed.len().saturating_sub(1);
        self.selected = self
            .follow
            .as_ref()
            .and_then(place)
            .unwrap_or(self.selected)
            .min(last);
    }
}

/// Open the list and ask for what it shows.
pub(super) fn open(state: &mut State) -> Vec<Effect> {
    state.overlay = Some(Overlay::Sessions(Box::default()));
    ask(state)
}

/// The list on screen.
fn list(state: &mut State) -> Option<&mut Browser> {
    match &mut state.overlay {
        Some(Overlay::Sessions(list)) => Some(list),
        _ => None,
    }
}

/// Ask for the list anew. Answers to questions before this one no longer count.
fn ask(state: &mut State) -> Vec<Effect> {
    state.asked += 1;
    let ask = state.asked;
    let Some(list) = list(state) else {
        return Vec::new();
    };
    list.ask = ask;
    list.searching = true;
    vec![Effect::ListSessions {
        ask,
        search: list.search.clone(),
    }]
}

/// Sessions found so far.
pub(super) fn on_listed(
    state: &mut State,
    ask: u64,
    listed: Vec<Listed>,
    done: bool,
) -> Vec<Effect> {
    if let Some(list) = list(state).filter(|list| list.ask == ask) {
        list.fill(listed);
        list.searching = !done;
    }
    Vec::new()
}

pub(super) fn on_renamed(state: &mut State) -> Vec<Effect> {
    state.say("renamed");
    ask(state)
}

/// A session is in the trash. If it was the one on screen, the chat begins anew.
pub(super) fn on_deleted(state: &mut State, id: String, own: bool) -> Vec<Effect> {
    state.deleted.push(id);
    let mut effects = if own { talk::clear(state) } else { Vec::new() };
    let key = state
        .keys
        .key_of(Context::Sessions, &Action::Browse(Browse::Restore));
    let back = key
        .map(|key| format!("; {key} takes that back"))
        .unwrap_or_default();
    state.say(format!("deleted{back}"));
    effects.extend(ask(state));
    effects
}

pub(super) fn on_restored(state: &mut State, id: String) -> Vec<Effect> {
    state.say("the session is back");
    if let Some(list) = list(state) {
        list.follow = Some(id);
    }
    ask(state)
}

/// A key while the list is open. Letters search, or write the new title.
pub(super) fn on_key(state: &mut State, mut list: Box<Browser>, key: KeyEvent) -> Vec<Effect> {
    if let Some(title) = &mut list.title {
        if key.code == KeyCode::Enter {
            return rename(state, list);
        }
        title.key(key);
        state.overlay = Some(Overlay::Sessions(list));
        return Vec::new();
    }
    state.overlay = Some(Overlay::Sessions(list));
    match state.keys.action(Context::Sessions, key).cloned() {
        Some(action @ Action::Browse(_)) => update::act(state, action),
        _ => move_or_search(state, key),
    }
}

fn move_or_search(state: &mut State, key: KeyEvent) -> Vec<Effect> {
    let Some(list) = list(state) else {
        return Vec::new();
    };
    match key.code {
        KeyCode::Up => list.step(-1),
        KeyCode::Down | KeyCode::Tab => list.step(1),
        KeyCode::PageUp => list.step(-10),
        KeyCode::PageDown => list.step(10),
        KeyCode::Home => list.step(isize::MIN),
        KeyCode::End => list.step(isize::MAX),
        KeyCode::Backspace if list.search.pop().is_some() => return search(state),
        KeyCode::Char(c) if overlay::is_text(key) => {
            list.search.push(c);
            return search(state);
        }
        _ => {}
    }
    Vec::new()
}

/// What is searched has changed: the first that is found is selected.
fn search(state: &mut State) -> Vec<Effect> {
    if let Some(list) = list(state) {
        (list.selected, list.follow) = (0, None);
    }
    ask(state)
}

pub(super) fn on_paste(state: &mut State, text: &str) -> Vec<Effect> {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    let Some(list) = list(state) else {
        return Vec::new();
    };
    if let Some(title) = &mut list.title {
        title.insert(&text);
        return Vec::new();
    }
    list.search.push_str(&text);
    search(state)
}

/// A click chooses; on what is chosen, it opens.
pub(super) fn click(state: &mut State, index: usize) -> Vec<Effect> {
    let Some(list) = list(state).filter(|list| list.title.is_none() && index < list.listed.len())
    else {
        return Vec::new();
    };
    if list.selected == index && list.follow.is_some() {
        return update::act(state, Action::Browse(Browse::Open));
    }
    list.select(index);
    Vec::new()
}

/// Whether that can be done with what is chosen.
pub(super) fn can(state: &State, step: Browse) -> bool {
    let Some(Overlay::Sessions(list)) = &state.overlay else {
        return false;
    };
    match (step, list.chosen()) {
        (_, _) if list.title.is_some() => false,
        (Browse::Restore, _) => !state.deleted.is_empty(),
        (_, None) => false,
        (Browse::Delete, Some(_)) => true,
        (_, Some(chosen)) => chosen.summary.fault.is_none(),
    }
}

/// Do something with the chosen session.
pub(super) fn act(state: &mut State, step: Browse) -> Vec<Effect> {
    let Some(list) = list(state).filter(|list| list.title.is_none()) else {
        return Vec::new();
    };
    if step == Browse::Restore {
        return take_back(state);
    }
    let Some(chosen) = list.chosen().cloned() else {
        return Vec::new();
    };
    match (&chosen.summary.fault, step) {
        (_, Browse::Delete) => delete(state, &chosen),
        (Some(fault), _) => {
            let words = format!("this file cannot be read: {fault}");
            state.say_wrong(words);
            Vec::new()
        }
        (None, Browse::Rename) => {
            let mut title = Editor::default();
            title.set(chosen.summary.totals.title);
            list.title = Some(title);
            Vec::new()
        }
        (None, Browse::Replay) => replay(state, &chosen),
        (None, _) => go_on(state, &chosen),
    }
}

fn path_of(chosen: &Listed) -> String {
    chosen.summary.path.to_string_lossy().into_owned()
}

fn go_on(state: &mut State, chosen: &Listed) -> Vec<Effect> {
    if chosen.own {
        state.overlay = None;
        state.say("this session is on the screen already");
        return Vec::new();
    }
    let effects = talk::load_session(state, path_of(chosen));
    if !effects.is_empty() {
        state.overlay = None;
    }
    effects
}

fn replay(state: &mut State, chosen: &Listed) -> Vec<Effect> {
    if !player::free(state) {
        return Vec::new();
    }
    state.overlay = None;
    vec![Effect::ReplaySession(path_of(chosen))]
}

fn delete(state: &mut State, chosen: &Listed) -> Vec<Effect> {
    if chosen.own && state.run().is_some() {
        state.say_wrong("an answer of this session is being written; cancel it first");
        return Vec::new();
    }
    vec![Effect::DeleteSession(chosen.summary.id.clone())]
}

fn take_back(state: &mut State) -> Vec<Effect> {
    match state.deleted.pop() {
        Some(id) => vec![Effect::RestoreSession(id)],
        None => {
            state.say("nothing was deleted since the start; `skiplens transcript trash` lists what was before");
            Vec::new()
        }
    }
}

fn rename(state: &mut State, mut list: Box<Browser>) -> Vec<Effect> {
    let title = list
        .title
        .take()
        .map(|editor| editor.text().trim().to_owned())
        .unwrap_or_default();
    let path = list.chosen().map(|chosen| chosen.summary.path.clone());
    state.overlay = Some(Overlay::Sessions(list));
    path.map(|path| Effect::RenameSession { path, title })
        .into_iter()
        .collect()
}

/// Leave the title as it was; false where none was being written.
pub(super) fn drop_title(state: &mut State) -> bool {
    list(state).is_some_and(|list| list.title.take().is_some())
}
