//! Slash commands, named as ollama names them.

use super::reply::Reply;
use crate::app::ThemeName;
use crate::app::controls::{Control, Kind};
use crate::app::input::action::{
    AppAction, ChatAction, ControlsAction, Opponent, Pane, ViewAction,
};
use crate::app::state::State;

/// Each command, its arguments and what it does: the help reads this.
pub const COMMANDS: [(&str, &str); 23] = [
    (
        "/set NAME VALUE",
        "change a setting: /set exit 8, /set temp 0.7, /set max 300, /set seed 1",
    ),
    (
        "/set system TEXT",
        "instructions for the model, before the conversation",
    ),
    ("/set theme NAME", "default, color-blind, monochrome, light"),
    ("/show", "model, settings and statistics"),
    ("/save NAME", "save this session"),
    (
        "/load [NAME]",
        "resume a saved session; without a name, choose one",
    ),
    (
        "/sessions",
        "list the saved sessions: open, rename, delete, replay",
    ),
    (
        "/replay [NAME]",
        "replay a saved session on this screen; without a name, choose one",
    ),
    ("/picture [NAME]", "save a screenshot, NAME.svg"),
    (
        "/model [NAME]",
        "load a model by path or Hugging Face id; without a name, choose one",
    ),
    ("/preset [NAME]", "use a preset; without a name, choose one"),
    ("/keep NAME", "save the current settings as a preset"),
    ("/retry", "answer the last prompt again"),
    ("/continue", "continue the last answer where it stopped"),
    (
        "/whatif",
        "what other exit layers and speculations would have made of the last answer",
    ),
    (
        "/lens",
        "what every layer would have said along the last answer, as a heat map",
    ),
    (
        "/race [PROMPT]",
        "drafts beside plain decoding; without a prompt, on the last one",
    ),
    (
        "/versus OTHER",
        "race the present settings against others: E and K like `8 4`, a preset, or `plain`",
    ),
    (
        "/sweep [FILE]",
        "measure a grid of exit layers and speculations on the last prompt; with FILE, show a sweep's CSV or folder",
    ),
    ("/copy", "copy the last answer"),
    (
        "/clear",
        "start a new chat; the previous one stays among the sessions",
    ),
    ("/bye", "quit"),
    ("/?", "help"),
];

/// Whether a prompt is a command: `/word`, not a path like `/etc/hosts`.
pub(super) fn is_command(text: &str) -> bool {
    let word = text.split_whitespace().next().unwrap_or_default();
    word.strip_prefix('/')
        .is_some_and(|name| !name.is_empty() && !name.contains('/'))
        && !text.trim().contains('\n')
}

/// The commands that a text may be completed to, with what each does; none if it is no command.
pub fn matching(text: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let (word, rest) = text
        .split_once(char::is_whitespace)
        .map_or((text, None), |(word, rest)| (word, Some(rest)));
    let begun = word.starts_with('/') && !text.contains('\n');
    let fits = move |usage: &str| {
        let (name, what) = usage.split_once(' ').unwrap_or((usage, ""));
        // Placeholders are in capitals.
        let literal = what
            .split(' ')
            .next()
            .filter(|first| first.starts_with(|c: char| c.is_ascii_lowercase()));
        let second = rest
            .and_then(|rest| rest.split_whitespace().next())
            .unwrap_or_default();
        let whole = rest.is_none_or(|_| {
            name == word && literal.is_none_or(|literal| literal.starts_with(second))
        });
        name.starts_with(word) && whole
    };
    COMMANDS
        .into_iter()
        .filter(move |(usage, _)| begun && fits(usage))
}

/// Complete the name of the command being written, as far as it is unambiguous; whether anything was added.
pub(super) fn complete(state: &mut State) -> bool {
    if state.focus != Pane::Prompt || state.overlay.is_some() || !state.live {
        return false;
    }
    let text = state.prompt.text();
    let names: Vec<&str> = matching(text)
        .filter_map(|(usage, _)| usage.split(' ').next())
        .collect();
    let Some(first) = names.first().filter(|_| text.len() > 1) else {
        return false;
    };
    let same = |length: &usize| names.iter().all(|name| name.starts_with(&first[..*length]));
    let length = (text.len()..=first.len())
        .rev()
        .find(same)
        .unwrap_or(text.len());
    let longer = length > text.len();
    if longer {
        state.prompt.set(&first[..length]);
    }
    longer
}

/// Carry out a command.
pub(super) fn run(state: &mut State, text: &str) -> Reply {
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    let argument = (!rest.is_empty()).then(|| rest.to_string());
    match (name, argument) {
        ("/set", Some(argument)) => set(state, &argument),
        ("/show", _) => Reply::then(AppAction::Show),
        ("/save", Some(name)) => Reply::then(ChatAction::SaveSession(name)),
        ("/load", Some(name)) => Reply::then(ChatAction::LoadSession(name)),
        ("/sessions", _) | ("/replay" | "/load", None) => Reply::then(AppAction::Sessions),
        ("/replay", Some(name)) => Reply::then(ChatAction::ReplaySession(name)),
        ("/picture", name) => Reply::then(AppAction::Picture(name)),
        ("/model", Some(name)) => Reply::then(ChatAction::LoadModel(Some(name))),
        ("/model", None) => Reply::then(AppAction::Models),
        ("/preset", Some(name)) => Reply::then(ControlsAction::LoadPreset(name)),
        ("/preset", None) => Reply::then(AppAction::Presets),
        ("/keep", Some(name)) => Reply::then(ControlsAction::SavePreset(name)),
        ("/retry", _) => Reply::then(ChatAction::Regenerate),
        ("/continue", _) => Reply::then(ChatAction::Continue),
        ("/whatif", _) => Reply::then(ChatAction::WhatIf),
        ("/lens", _) => Reply::then(ChatAction::Lens),
        ("/race", prompt) => {
            if let Some(prompt) = prompt {
                state.prompt.set(prompt);
            }
            Reply::then(ChatAction::Race)
        }
        ("/versus", Some(opponent)) => Reply::then(ChatAction::RaceAgainst(versus(&opponent))),
        ("/sweep", Some(path)) => Reply::then(ChatAction::OpenSweep(path)),
        ("/sweep", None) => Reply::then(ChatAction::Sweep),
        ("/copy", _) => Reply::then(ViewAction::Copy),
        ("/clear", _) => Reply::then(ChatAction::Clear),
        ("/bye" | "/exit" | "/quit", _) => Reply::then(AppAction::Quit),
        ("/?" | "/help", _) => Reply::then(AppAction::Help),
        ("/set" | "/save" | "/keep" | "/versus", None) => error(
            state,
            format!("{name} needs an argument; /? lists the commands"),
        ),
        _ => error(state, format!("there is no command {name}; /? lists them")),
    }
}

/// `plain`, an exit layer and a number of speculations, or a preset.
fn versus(text: &str) -> Opponent {
    let numbers: Vec<usize> = text
        .split_whitespace()
        .map_while(|word| word.trim_start_matches(['E', 'K', 'e', 'k']).parse().ok())
        .collect();
    match (text, numbers.as_slice()) {
        ("plain", _) => Opponent::Plain,
        (_, [exit_layer, num_speculations]) => Opponent::Pair(*exit_layer, *num_speculations),
        _ => Opponent::Preset(text.to_owned()),
    }
}

fn error(state: &mut State, text: String) -> Reply {
    state.notify_error(text);
    Reply::none()
}

/// `/set NAME VALUE`.
fn set(state: &mut State, argument: &str) -> Reply {
    let (name, value) = argument
        .split_once(char::is_whitespace)
        .unwrap_or((argument, ""));
    let value = value.trim().trim_matches('"');
    if name == "theme" {
        return match ThemeName::named(value) {
            Some(theme) => Reply::then(AppAction::Theme(theme)),
            None => error(
                state,
                format!(
                    "there is no theme `{value}`; there are {}",
                    ThemeName::ALL.map(|t| t.label()).join(", ")
                ),
            ),
        };
    }
    let control = match Control::named(name) {
        Ok(control) => control,
        Err(near) => return error(state, unclear(name, &near)),
    };
    if control == Control::SystemPrompt {
        return Reply::then(ControlsAction::SystemPrompt(value.to_string()));
    }
    match number(state, control, value) {
        Ok(number) => Reply::then(ControlsAction::Set(control, number)),
        Err(text) => error(state, text),
    }
}

/// The error for a name that matches no control, or several.
fn unclear(name: &str, near: &[Control]) -> String {
    let names = |controls: &[Control]| {
        controls
            .iter()
            .map(|control| control.name())
            .collect::<Vec<_>>()
            .join(", ")
    };
    match near {
        [] => format!(
            "there is no setting `{name}`; there are {}, theme",
            names(&Control::ALL)
        ),
        near => format!("`{name}` may be {}", names(near)),
    }
}

/// The value of a control as a number, from words. Fails with what it may be.
fn number(state: &State, control: Control, text: &str) -> Result<f64, String> {
    let text = text.to_lowercase();
    match control.kind(state.model.as_ref()) {
        Kind::Slider(range) | Kind::Number(range) => {
            let fault = || {
                format!(
                    "{} is a number from {} to {}",
                    control.name(),
                    range.min,
                    range.max
                )
            };
            let value: f64 = text.parse().map_err(|_| fault())?;
            if (range.min..=range.max).contains(&value) {
                Ok(value)
            } else {
                Err(fault())
            }
        }
        Kind::Toggle => match text.as_str() {
            "on" | "true" | "1" | "yes" => Ok(1.0),
            "off" | "false" | "0" | "no" => Ok(0.0),
            _ => Err(format!("{} is on or off", control.name())),
        },
        Kind::Choice(names) => {
            let plain = |name: &str| name.to_lowercase().replace(['-', '_', ' '], "");
            let wanted = match (control, plain(&text).as_str()) {
                // Names of version 0.1.
                (Control::Controller, "off") => "fixed".into(),
                (Control::Controller, "eandk") => "auto".into(),
                (_, name) => name.to_owned(),
            };
            let at = names.iter().position(|name| plain(name) == wanted);
            at.map(|at| at as f64)
                .ok_or_else(|| format!("{} is one of {}", control.name(), names.join(", ")))
        }
        Kind::Text => Ok(0.0),
    }
}
