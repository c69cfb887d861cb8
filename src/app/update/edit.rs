//! Text under edit: the prompt, the system prompt, a title, a filter, a number.

use super::reply::Reply;
use super::{READ_ONLY, controls, menu, overlay, sessions};
use crate::app::input::action::{EditAction, Pane};
use crate::app::message::Effect;
use crate::app::state::{Editor, Overlay, Shared, State};

pub(super) fn act(state: &mut State, shared: &mut Shared, action: EditAction) -> Reply {
    let takes_text = takes_text(state);
    match (&mut state.overlay, action) {
        (Some(Overlay::System(editor)), EditAction::ExternalEditor) => {
            Effect::Edit(editor.text().to_owned()).into()
        }
        (Some(Overlay::System(editor)), EditAction::Accept) => {
            let text = editor.text().to_owned();
            state.overlay = None;
            controls::set_system(state, text).into()
        }
        (Some(Overlay::Sessions(list)), EditAction::Accept) => sessions::rename(list).into(),
        (Some(Overlay::System(editor)), action) => {
            editor.edit(action);
            Reply::none()
        }
        (Some(_), action) => change_field(state, shared, |editor| editor.edit(action)),
        (None, action) if state.find.is_some() => {
            change_found(state, |field| field.edit(action));
            Reply::none()
        }
        (None, EditAction::DeleteBack) if state.focus == Pane::Controls => {
            state.controls.typing.as_mut().and_then(String::pop);
            Reply::none()
        }
        (None, _) if state.focus == Pane::Controls || !takes_text => Reply::none(),
        (None, EditAction::ExternalEditor) => Effect::Edit(state.prompt.text().to_owned()).into(),
        // The menu does not open for texts recalled from the history.
        (None, EditAction::LineUp | EditAction::LineDown) => {
            state.prompt.edit(action);
            state.menu = None;
            Reply::none()
        }
        (None, action) => {
            state.prompt.edit(action);
            menu::refresh(state, shared).into()
        }
    }
}

/// Changes the one-line field of an overlay, if it has one.
fn change_field(state: &mut State, shared: &mut Shared, change: impl FnOnce(&mut Editor)) -> Reply {
    match &mut state.overlay {
        Some(Overlay::Picker(picker)) => {
            picker.refine(change);
            return overlay::complete_path(state).into();
        }
        Some(Overlay::Sessions(list)) => match &mut list.title {
            Some(title) => change(title),
            None => return sessions::refine(state, shared, change).into(),
        },
        _ => {}
    }
    Reply::none()
}

/// A character without a binding. It goes to the text being edited, else to the prompt.
pub(super) fn typed(state: &mut State, shared: &mut Shared, c: char) -> Reply {
    let text = c.encode_utf8(&mut [0; 4]).to_owned();
    let takes_text = takes_text(state);
    match &mut state.overlay {
        Some(Overlay::System(editor)) => editor.insert(&text),
        Some(_) => return change_field(state, shared, |editor| editor.insert(&text)),
        None if state.find.is_some() => change_found(state, |field| field.insert(&text)),
        None if !takes_text => refuse(state),
        None => {
            if state.focus != Pane::Controls || !controls::type_digit(state, c) {
                return insert_in_prompt(state, shared, &text);
            }
        }
    }
    Reply::none()
}

/// Pasted text. One-line fields drop control characters.
pub(super) fn paste(state: &mut State, shared: &mut Shared, text: &str) -> Reply {
    let takes_text = takes_text(state);
    match &mut state.overlay {
        Some(Overlay::System(editor)) => editor.insert(text),
        None if state.find.is_some() => {
            let line = one_line(text);
            change_found(state, |field| field.insert(&line));
        }
        Some(_) => {
            let line = one_line(text);
            return change_field(state, shared, |editor| editor.insert(&line));
        }
        None if !takes_text => refuse(state),
        None => return insert_in_prompt(state, shared, text),
    }
    Reply::none()
}

/// Whether the prompt takes text: not in a replay, and not while the requests of others are watched.
fn takes_text(state: &State) -> bool {
    state.live && !state.is_read_only()
}

/// Says why the prompt takes no text, where the screen does not make it plain.
fn refuse(state: &mut State) {
    if state.live {
        state.notify_error(READ_ONLY);
    }
}

/// A text without control characters.
fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// Changes the text of the search.
fn change_found(state: &mut State, change: impl FnOnce(&mut Editor)) {
    if let Some(find) = &mut state.find {
        find.refine(change);
    }
}

fn insert_in_prompt(state: &mut State, shared: &Shared, text: &str) -> Reply {
    let effects = controls::finish_typing(state);
    state.focus = Pane::Prompt;
    state.prompt.insert(text);
    Reply::from(effects).and(menu::refresh(state, shared))
}

/// Takes the text returned by `$EDITOR`.
pub(super) fn replace(state: &mut State, text: &str) {
    let text = text.trim_end_matches(['\n', '\r']);
    let takes_text = takes_text(state);
    match &mut state.overlay {
        Some(Overlay::System(editor)) => editor.set(text),
        _ if !takes_text => {}
        _ => state.prompt.set(text),
    }
}
