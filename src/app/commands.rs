//! Slash commands, named as ollama names them.

use super::action::{Action, Pane};
use super::control::Control;
use super::message::Effect;
use super::range::Kind;
use super::state::{Overlay, State};
use super::{ThemeName, update};
use crate::engine::decode::Stats;

/// Each command, its arguments and what it does: the help reads this.
pub const COMMANDS: [(&str, &str); 20] = [
    (
        "/set NAME VALUE",
        "change a setting: /set exit 8, /set temp 0.7, /set max 300, /set seed 1",
    ),
    (
        "/set system TEXT",
        "tell the model something before the conversation",
    ),
    ("/set theme NAME", "default, color-blind, monochrome, light"),
    ("/show", "model, settings and statistics"),
    ("/save NAME", "save this session"),
    (
        "/load [NAME]",
        "take up a saved session; without a name, choose one",
    ),
    (
        "/sessions",
        "list the kept sessions: open, rename, delete, replay",
    ),
    (
        "/replay [NAME]",
        "play a kept session on this screen; without a name, choose one",
    ),
    ("/picture [NAME]", "save the screen as a picture, NAME.svg"),
    (
        "/model [NAME]",
        "load a model by path or Hugging Face id; without a name, choose one",
    ),
    ("/preset [NAME]", "use a preset; without a name, choose one"),
    ("/keep NAME", "save the present settings as a preset"),
    ("/retry", "answer the last prompt again"),
    ("/continue", "go on where the last answer stopped"),
    (
        "/whatif",
        "what other exit layers and speculations would have made of the last answer",
    ),
    (
        "/race [PROMPT]",
        "autoregressive beside self-speculative; without a prompt, on the last one",
    ),
    ("/copy", "copy the last answer"),
    (
        "/clear",
        "begin a new chat; the one before stays among the sessions",
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

/// The commands that what is written so far may become, with what each does; none where it is no command.
pub fn fitting(text: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let (word, rest) = text
        .split_once(char::is_whitespace)
        .map_or((text, None), |(word, rest)| (word, Some(rest)));
    let begun = word.starts_with('/') && !text.contains('\n');
    let fits = move |usage: &str| {
        let (name, what) = usage.split_once(' ').unwrap_or((usage, ""));
        // What stands for something else is in capitals.
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

/// Complete the name of a command that is being written, as far as that is clear; whether there was anything to add.
pub(super) fn complete(state: &mut State) -> bool {
    if state.focus != Pane::Prompt || state.overlay.is_some() || state.replay.is_some() {
        return false;
    }
    let text = state.prompt.text();
    let names: Vec<&str> = fitting(text)
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
pub(super) fn run(state: &mut State, text: &str) -> Vec<Effect> {
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    let argument = (!rest.is_empty()).then(|| rest.to_string());
    match (name, argument) {
        ("/set", Some(argument)) => set(state, &argument),
        ("/show", _) => show(state),
        ("/save", Some(name)) => update::act(state, Action::SaveSession(name)),
        ("/load", Some(name)) => update::act(state, Action::LoadSession(name)),
        ("/sessions", _) | ("/replay" | "/load", None) => update::act(state, Action::Sessions),
        ("/replay", Some(name)) => update::act(state, Action::ReplaySession(name)),
        ("/picture", name) => update::act(state, Action::Picture(name)),
        ("/model", Some(name)) => update::act(state, Action::LoadModel(Some(name))),
        ("/model", None) => update::act(state, Action::Models),
        ("/preset", Some(name)) => update::act(state, Action::LoadPreset(name)),
        ("/preset", None) => update::act(state, Action::Presets),
        ("/keep", Some(name)) => update::act(state, Action::SavePreset(name)),
        ("/retry", _) => update::act(state, Action::Regenerate),
        ("/continue", _) => update::act(state, Action::Continue),
        ("/whatif", _) => update::act(state, Action::WhatIf),
        ("/race", Some(prompt)) => {
            state.prompt.set(prompt);
            update::act(state, Action::Race)
        }
        ("/race", None) => update::act(state, Action::Race),
        ("/copy", _) => update::act(state, Action::Copy),
        ("/clear", _) => update::act(state, Action::Clear),
        ("/bye" | "/exit" | "/quit", _) => update::act(state, Action::Quit),
        ("/?" | "/help", _) => update::act(state, Action::Help),
        ("/set" | "/save" | "/keep", None) => wrong(
            state,
            format!("{name} needs more words; /? lists the commands"),
        ),
        _ => wrong(state, format!("there is no command {name}; /? lists them")),
    }
}

fn wrong(state: &mut State, text: String) -> Vec<Effect> {
    state.say_wrong(text);
    Vec::new()
}

/// `/set NAME VALUE`.
fn set(state: &mut State, argument: &str) -> Vec<Effect> {
    let (name, value) = argument
        .split_once(char::is_whitespace)
        .unwrap_or((argument, ""));
    let value = value.trim().trim_matches('"');
    if name == "theme" {
        return match ThemeName::named(value) {
            Some(theme) => update::act(state, Action::Theme(theme)),
            None => wrong(
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
        Err(near) => return wrong(state, unclear(name, &near)),
    };
    if control == Control::SystemPrompt {
        return update::act(state, Action::SystemPrompt(value.to_string()));
    }
    match number(state, control, value) {
        Ok(number) => {
            let effects = update::act(state, Action::Set(control, number));
            state.say(format!(
                "{} {}",
                control.label(),
                control.show(&state.settings, state.model.as_ref())
            ));
            effects
        }
        Err(text) => wrong(state, text),
    }
}

/// What a name that fits no control, or several, might have been.
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
            let at = names.iter().position(|name| plain(name) == plain(&text));
            at.map(|at| at as f64)
                .ok_or_else(|| format!("{} is one of {}", control.name(), names.join(", ")))
        }
        Kind::Text => Ok(0.0),
    }
}

/// `/show`: what is known of model, settings and statistics.
fn show(state: &mut State) -> Vec<Effect> {
    let mut lines = Vec::new();
    if let Some(model) = &state.model {
        let c = &model.config;
        lines.push(format!("model        {}", model.name));
        lines.push(format!("from         {}", model.path.display()));
        lines.push(format!(
            "layers       {}, hidden size {}, vocabulary {}",
            c.num_layers, c.hidden_size, c.vocab_size
        ));
        lines.push(format!("context      {} tokens", c.context_length));
        lines.push(format!(
            "weights      {}, {:.0} MB, {}",
            model.dtype,
            model.weight_bytes as f64 / 1e6,
            model.device
        ));
        lines.push(String::new());
    }
    for control in Control::ALL
        .into_iter()
        .filter(|control| *control != Control::SystemPrompt)
    {
        lines.push(format!(
            "{:<18} {}",
            control.name(),
            control.show(&state.settings, state.model.as_ref())
        ));
    }
    if !state.system.is_empty() {
        lines.push(format!("{:<18} {}", "system", state.system));
    }
    lines.push(String::new());
    lines.extend(statistics(&Stats::of(
        state.turns.iter().flat_map(|turn| &turn.rounds),
    )));
    state.overlay = Some(Overlay::Text {
        title: "show".into(),
        lines,
        scroll: 0,
    });
    Vec::new()
}

fn statistics(stats: &Stats) -> Vec<String> {
    let mut lines = vec![format!(
        "tokens             {} in {} rounds",
        stats.tokens, stats.rounds
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
        lines.push(format!("tokens a second    {speed:.1}"));
    }
    lines
}
