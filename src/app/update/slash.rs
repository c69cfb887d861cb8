//! Carries out slash commands. One that is refused goes back into the prompt, so that it can be corrected.

use super::controls::exceeds_vocabulary;
use super::overlay;
use super::reply::Reply;
use crate::app::ThemeName;
use crate::app::commands::{COMMANDS, canonical, choose};
use crate::app::controls::{Control, Kind};
use crate::app::input::action::{AppAction, ChatAction, ControlsAction, Opponent, ViewAction};
use crate::app::message::{Effect, Msg};
use crate::app::state::{Command, Find, State, Topic};
use crate::names::nearest;
use crossterm::event::KeyEventKind;

/// Carries out the command in the prompt.
pub(super) fn send(state: &mut State) -> Reply {
    let text = state.prompt.take();
    // An error after this is about the command.
    state.notice = None;
    state.command = Some(Command {
        text: text.clone(),
        is_pending: false,
    });
    run(state, text.trim())
}

/// Whether a message ends what is known of a pending command: it succeeded, or the user has gone on.
pub(super) fn is_over(msg: &Msg) -> bool {
    match msg {
        Msg::Key(key) => key.kind != KeyEventKind::Release,
        Msg::Paste(_) | Msg::Action(_) => true,
        Msg::EffectDone(_) | Msg::SweepLoaded { .. } => true,
        Msg::SessionLoaded(_) | Msg::ReplayLoaded(_) => true,
        _ => false,
    }
}

/// After a message: puts a refused command back into the prompt. A command with effects that can fail is pending until
/// their outcome is known; text that has entered the prompt meanwhile is kept.
pub(super) fn settle(state: &mut State, effects: &[Effect], failed: bool) {
    let Some(command) = state.command.take() else {
        return;
    };
    let is_error = state.notice.as_ref().is_some_and(|notice| notice.is_error);
    if is_error && (failed || !command.is_pending) {
        if !command.is_pending || state.prompt.is_empty() {
            state.prompt.set(command.text);
            state.menu = None;
        }
    } else if command.is_pending || effects.iter().any(can_fail) {
        state.command = Some(Command {
            is_pending: true,
            ..command
        });
    }
}

fn can_fail(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::SaveSession(_)
            | Effect::LoadSession(_)
            | Effect::ReplaySession(_)
            | Effect::OpenSweep(_)
            | Effect::Picture(_)
    )
}

fn run(state: &mut State, text: &str) -> Reply {
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let name = canonical(name);
    let rest = rest.trim();
    let argument = (!rest.is_empty()).then(|| rest.to_string());
    let mut forms = COMMANDS.iter().filter(|command| command.name() == name);
    if argument.is_some() && forms.clone().next().is_some() && !forms.any(|c| c.takes_argument()) {
        return error(state, format!("{name} takes no argument"));
    }
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
        ("/bye", _) => Reply::then(AppAction::Quit),
        ("/?", word) => overlay::help(state, word.map_or(Topic::Commands, Topic::Word)),
        ("/set" | "/save" | "/keep" | "/versus", None) => error(
            state,
            format!("{name} needs an argument; /? lists the commands"),
        ),
        _ => {
            let near = nearest(name, COMMANDS.iter().map(|c| (c.name(), c.name())));
            let hint = match near[..] {
                [] => "/? lists them".to_owned(),
                _ => format!("did you mean {}?", near.join(" or ")),
            };
            error(state, format!("there is no command {name}; {hint}"))
        }
    }
}

/// Parses `plain`, an exit layer and a number of speculations (`8 4`, `E 8 K 4`, `e8 k4`), or a preset.
fn versus(text: &str) -> Opponent {
    let is_pair = |c: char| c.is_ascii_digit() || " EeKk=,".contains(c);
    let parts = text.split(|c: char| !c.is_ascii_digit());
    let numbers: Option<Vec<usize>> = parts
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().ok())
        .collect();
    match numbers.as_deref() {
        _ if text.eq_ignore_ascii_case("plain") => Opponent::Plain,
        Some([exit_layer, num_speculations]) if text.chars().all(is_pair) => {
            Opponent::Pair(*exit_layer, *num_speculations)
        }
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
    if is_theme(name) {
        let value = value.trim().trim_matches('"');
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
    let (control, value) = match Control::split(argument) {
        Ok(split) => split,
        Err((name, near)) => return error(state, unclear(name, &near)),
    };
    let value = value.trim_matches('"');
    if control == Control::SystemPrompt {
        return Reply::then(ControlsAction::SystemPrompt(value.to_string()));
    }
    if control.takes_model_default() && value == "-1" {
        return Reply::then(ControlsAction::ModelDefault(control));
    }
    match number(state, control, value) {
        Ok(number) => Reply::then(ControlsAction::Set(control, number)),
        Err(text) => error(state, text),
    }
}

/// Whether a name stands for the theme, which is no setting of decoding.
fn is_theme(name: &str) -> bool {
    name.len() > 1 && "theme".starts_with(&name.to_lowercase()) && Control::named(name).is_err()
}

/// The error for a name that matches no control, or several.
fn unclear(name: &str, near: &[Control]) -> String {
    let names = |controls: &[Control], between: &str| {
        let names: Vec<_> = controls.iter().map(|control| control.name()).collect();
        names.join(between)
    };
    if !near.is_empty() {
        return format!("`{name}` may be {}", names(near, " or "));
    }
    let mut meant = Control::resembling(name);
    meant.extend(nearest(name, [("theme", "theme")]));
    match meant[..] {
        [] => format!(
            "there is no setting `{name}`; there are {}, theme",
            names(&Control::ALL, ", ")
        ),
        _ => format!(
            "there is no setting `{name}`; did you mean {}?",
            meant.join(" or ")
        ),
    }
}

/// Parses the value of a control as a number. The error lists the valid values.
fn number(state: &State, control: Control, text: &str) -> Result<f64, String> {
    let text = text.to_lowercase();
    match control.kind(state.model.as_ref()) {
        Kind::Slider(range) | Kind::Number(range) => {
            let is_whole = range.decimals == 0;
            let fault = || {
                format!(
                    "{} is a {} from {} to {}{}",
                    control.name(),
                    if is_whole { "whole number" } else { "number" },
                    range.min,
                    range.max,
                    match control.takes_model_default() {
                        true => ", or -1 for the model's default",
                        false => "",
                    }
                )
            };
            let value: f64 = text.parse().map_err(|_| fault())?;
            let is_allowed_fraction = !is_whole || value.fract() == 0.0;
            let is_accepted = (range.min..=range.max).contains(&value)
                || exceeds_vocabulary(state, control, value).is_some();
            (is_allowed_fraction && is_accepted)
                .then_some(value)
                .ok_or_else(fault)
        }
        Kind::Toggle => match choose(
            &["off", "false", "0", "no", "on", "true", "1", "yes"],
            &text,
        ) {
            Ok(at) => Ok(f64::from(u8::from(at >= 4))),
            Err(_) => Err(format!("{} is on or off", control.name())),
        },
        Kind::Choice(names) => {
            let choices = || format!("{} is one of {}", control.name(), names.join(", "));
            let fault = |_| choices();
            let text = match (
                control,
                text.to_lowercase().replace(['-', '_', ' '], "").as_str(),
            ) {
                // Names in version 0.1.
                (Control::Controller, "off") => "fixed".into(),
                (Control::Controller, "eandk" | "exitandspeculations") => "auto".into(),
                (Control::Controller, "adaptivespeculations") => "adaptive".into(),
                _ => text,
            };
            // `auto` begins `autoregressive`, but who writes it means the controller.
            let others = control.others_with_choice(&text);
            if let [first, ..] = others[..] {
                let meant: Vec<_> = others.iter().map(|other| other.name()).collect();
                let meant = meant.join(" and ");
                return Err(format!(
                    "{}; `{text}` is a value of {meant}: /set {} {text}",
                    choices(),
                    others.last().unwrap_or(&first).name()
                ));
            }
            let at = choose(names, &text).map_err(fault)?;
            Ok(at as f64)
        }
        Kind::Text => Ok(0.0),
    }
}
