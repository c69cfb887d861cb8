//! Carries out slash commands.

use super::reply::Reply;
use crate::app::ThemeName;
use crate::app::commands::choose;
use crate::app::controls::{Control, Kind};
use crate::app::input::action::{AppAction, ChatAction, ControlsAction, Opponent, ViewAction};
use crate::app::state::{Find, State};

/// Carries out a command.
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
        ("/find", text) => {
            state.find = Some(Find::of(&text.unwrap_or_default()));
            Reply::none()
        }
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

/// Parses `plain`, an exit layer and a number of speculations, or a preset.
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
        let names = ThemeName::ALL.map(ThemeName::label);
        return match choose(&names, value) {
            Ok(theme) => Reply::then(AppAction::Theme(ThemeName::ALL[theme])),
            Err(_) => error(
                state,
                format!(
                    "there is no theme `{value}`; there are {}",
                    names.join(", ")
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

/// Parses the value of a control as a number. The error lists the valid values.
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
        Kind::Toggle => match choose(
            &["off", "false", "0", "no", "on", "true", "1", "yes"],
            &text,
        ) {
            Ok(at) => Ok(f64::from(u8::from(at >= 4))),
            Err(_) => Err(format!("{} is on or off", control.name())),
        },
        Kind::Choice(names) => {
            let fault = |_| format!("{} is one of {}", control.name(), names.join(", "));
            let text = match (
                control,
                text.to_lowercase().replace(['-', '_', ' '], "").as_str(),
            ) {
                // Names in version 0.1.
                (Control::Controller, "off") => "fixed".into(),
                (Control::Controller, "eandk") => "auto".into(),
                _ => text,
            };
            let at = choose(names, &text).map_err(fault)?;
            Ok(at as f64)
        }
        Kind::Text => Ok(0.0),
    }
}
