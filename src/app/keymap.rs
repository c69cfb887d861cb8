//! Which key does what where. One table: the driver's keys, the help and the footer all read it.

use super::action::{Action, Browse, Pane, Play, Step};
use super::control::Control;
use super::key::Key;
use crossterm::event::KeyEvent;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a binding holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Context {
    /// Everywhere, after the context of the focus.
    Global,
    Prompt,
    Controls,
    Chat,
    Rounds,
    /// The list of kept sessions.
    Sessions,
    /// A replay, with the focus on its bar.
    Replay,
}

/// Bindings of the settings file: context → key → action.
pub type Overrides = BTreeMap<Context, BTreeMap<String, Action>>;

/// The table of bindings.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyMap {
    bindings: Vec<(Context, Key, Action)>,
}

impl From<Pane> for Context {
    fn from(pane: Pane) -> Self {
        match pane {
            Pane::Prompt => Self::Prompt,
            Pane::Controls => Self::Controls,
            Pane::Chat => Self::Chat,
            Pane::Rounds => Self::Rounds,
        }
    }
}

impl KeyMap {
    /// The built-in table with the settings file's bindings in front. Fails on a key that cannot be read.
    pub fn with(overrides: &Overrides) -> Result<Self, String> {
        let mut map = Self::default();
        for (context, keys) in overrides {
            for (key, action) in keys {
                let key: Key = key.parse()?;
                map.bindings.retain(|(c, k, _)| (c, k) != (context, &key));
                map.bindings.insert(0, (*context, key, action.clone()));
            }
        }
        Ok(map)
    }

    /// What a key does in a context, such as that of a pane.
    pub fn action(&self, context: impl Into<Context>, key: KeyEvent) -> Option<&Action> {
        let key = Key::from(key);
        let within = |context| {
            self.bindings
                .iter()
                .find(|(c, k, _)| *c == context && *k == key)
        };
        within(context.into())
            .or_else(|| within(Context::Global))
            .map(|(_, _, action)| action)
    }

    /// The key to show for an action in a context; none where no key reaches it.
    pub fn key_of(&self, context: impl Into<Context>, action: &Action) -> Option<Key> {
        let context = context.into();
        let within = |context| {
            self.bindings
                .iter()
                .find(|(c, _, a)| *c == context && a == action)
        };
        let (_, key, _) = within(context).or_else(|| within(Context::Global))?;
        (self.action(context, key.event()) == Some(action)).then_some(*key)
    }

    /// All bindings, for the help.
    pub fn bindings(&self) -> impl Iterator<Item = (Context, Key, &Action)> {
        self.bindings
            .iter()
            .map(|(context, key, action)| (*context, *key, action))
    }
}

impl Default for KeyMap {
    fn default() -> Self {
        let tables = [
            global(),
            prompt(),
            controls(),
            chat(),
            rounds(),
            sessions(),
            replay(),
        ];
        let bindings = tables
            .into_iter()
            .flatten()
            .filter_map(|(context, key, action)| {
                // The built-in names are tested to parse.
                Some((context, key.parse().ok()?, action))
            });
        Self {
            bindings: bindings.collect(),
        }
    }
}

type Row = (Context, &'static str, Action);

fn global() -> Vec<Row> {
    let row = |key, action| (Context::Global, key, action);
    vec![
        row("ctrl-c", Action::Interrupt),
        row("esc", Action::Back),
        row("tab", Action::FocusNext),
        row("backtab", Action::FocusPrevious),
        row("f1", Action::Help),
        row("ctrl-p", Action::Palette),
        row("f2", Action::Models),
        row("f3", Action::Presets),
        row("ctrl-s", Action::Sessions),
        row("alt-left", Action::Nudge(Control::ExitLayer, Step::Down)),
        row("alt-right", Action::Nudge(Control::ExitLayer, Step::Up)),
        row("alt-down", Action::Nudge(Control::Speculations, Step::Down)),
        row("alt-up", Action::Nudge(Control::Speculations, Step::Up)),
        row("alt-,", Action::Nudge(Control::Temperature, Step::Down)),
        row("alt-.", Action::Nudge(Control::Temperature, Step::Up)),
        row("alt-u", Action::Undo),
        row("f4", Action::WhatIf),
        row("f7", Action::Race),
        row("f5", Action::Pause),
        row("f6", Action::Step),
        row("ctrl-r", Action::Regenerate),
        row("ctrl-o", Action::EditLast),
        row("ctrl-t", Action::NextTheme),
        row("ctrl-y", Action::Copy),
        row("ctrl-x", Action::ToggleRejected),
        row("ctrl-l", Action::Clear),
        row("f8", Action::ToggleMode),
        row("f9", Action::ToggleMouse),
        row("f12", Action::Picture(None)),
        row("pageup", Action::PageUp),
        row("pagedown", Action::PageDown),
        row("ctrl-z", Action::Suspend),
        row("ctrl-q", Action::Quit),
    ]
}

fn prompt() -> Vec<Row> {
    let row = |key, action| (Context::Prompt, key, action);
    vec![
        row("enter", Action::Send),
        row("alt-enter", Action::NewLine),
        row("shift-enter", Action::NewLine),
        row("ctrl-j", Action::NewLine),
        row("up", Action::PromptUp),
        row("down", Action::PromptDown),
        row("ctrl-g", Action::ExternalEditor),
        row("ctrl-d", Action::Quit),
    ]
}

fn controls() -> Vec<Row> {
    let row = |key, action| (Context::Controls, key, action);
    vec![
        row("up", Action::ControlUp),
        row("down", Action::ControlDown),
        row("k", Action::ControlUp),
        row("j", Action::ControlDown),
        row("left", Action::Adjust(Step::Down)),
        row("right", Action::Adjust(Step::Up)),
        row("h", Action::Adjust(Step::Down)),
        row("l", Action::Adjust(Step::Up)),
        row("shift-left", Action::Adjust(Step::DownCoarse)),
        row("shift-right", Action::Adjust(Step::UpCoarse)),
        row("H", Action::Adjust(Step::DownCoarse)),
        row("L", Action::Adjust(Step::UpCoarse)),
        row("home", Action::Adjust(Step::Least)),
        row("end", Action::Adjust(Step::Greatest)),
        row("enter", Action::Activate),
        row("space", Action::Activate),
        row("g", Action::ControlTop),
        row("G", Action::ControlBottom),
        row("u", Action::Undo),
        row("p", Action::Presets),
        row("?", Action::Help),
        row("q", Action::Quit),
    ]
}

fn chat() -> Vec<Row> {
    let row = |key, action| (Context::Chat, key, action);
    vec![
        row("left", Action::TokenLeft),
        row("right", Action::TokenRight),
        row("up", Action::TokenUp),
        row("down", Action::TokenDown),
        row("shift-up", Action::DetailsUp),
        row("shift-down", Action::DetailsDown),
        row("h", Action::TokenLeft),
        row("l", Action::TokenRight),
        row("k", Action::TokenUp),
        row("j", Action::TokenDown),
        row("home", Action::Top),
        row("end", Action::Bottom),
        row("g", Action::Top),
        row("G", Action::Bottom),
        row("space", Action::PageDown),
        row("b", Action::PageUp),
        row("y", Action::Copy),
        row("r", Action::Regenerate),
        row("R", Action::Reroll),
        row("e", Action::EditLast),
        row("c", Action::Continue),
        row("x", Action::ToggleRejected),
        row("m", Action::ToggleMarkdown),
        row("d", Action::ToggleDetail),
        row("p", Action::Pause),
        row("s", Action::Step),
        row("enter", Action::Focus(Pane::Prompt)),
        row("?", Action::Help),
        row("q", Action::Quit),
    ]
}

fn rounds() -> Vec<Row> {
    let row = |key, action| (Context::Rounds, key, action);
    vec![
        row("left", Action::RoundLeft),
        row("right", Action::RoundRight),
        row("shift-up", Action::DetailsUp),
        row("shift-down", Action::DetailsDown),
        row("h", Action::RoundLeft),
        row("l", Action::RoundRight),
        row("home", Action::Top),
        row("end", Action::Bottom),
        row("p", Action::Pause),
        row("s", Action::Step),
        row("enter", Action::Focus(Pane::Chat)),
        row("?", Action::Help),
        row("q", Action::Quit),
    ]
}

fn sessions() -> Vec<Row> {
    let row = |key, step| (Context::Sessions, key, Action::Browse(step));
    vec![
        row("enter", Browse::Open),
        row("f2", Browse::Rename),
        row("delete", Browse::Delete),
        row("ctrl-u", Browse::Restore),
        row("ctrl-r", Browse::Replay),
    ]
}

fn replay() -> Vec<Row> {
    let row = |key, action| (Context::Replay, key, action);
    let play = |key, step| (Context::Replay, key, Action::Play(step));
    vec![
        row("space", Action::Pause),
        row("p", Action::Pause),
        row("s", Action::Step),
        row("enter", Action::Step),
        play("left", Play::By(-1)),
        play("right", Play::By(1)),
        play("h", Play::By(-1)),
        play("l", Play::By(1)),
        play("shift-left", Play::By(-10)),
        play("shift-right", Play::By(10)),
        play("H", Play::By(-10)),
        play("L", Play::By(10)),
        play("home", Play::Start),
        play("end", Play::End),
        play("down", Play::Slower),
        play("up", Play::Faster),
        play("-", Play::Slower),
        play("+", Play::Faster),
        play("1", Play::OwnPace),
        play("0", Play::AtOnce),
        row("?", Action::Help),
        row("q", Action::Back),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::{KeyCode, KeyModifiers};

    #[test]
    fn every_built_in_key_parses_and_is_unique() {
        let rows: Vec<Row> = [
            global(),
            prompt(),
            controls(),
            chat(),
            rounds(),
            sessions(),
            replay(),
        ]
        .into_iter()
        .flatten()
        .collect();
        let map = KeyMap::default();
        assert_eq!(map.bindings.len(), rows.len());
        for (at, (context, key, _)) in map.bindings.iter().enumerate() {
            assert!(
                !map.bindings[..at]
                    .iter()
                    .any(|(c, k, _)| (c, k) == (context, key)),
                "{context:?} {key} twice"
            );
        }
    }

    #[test]
    fn an_override_replaces_and_a_bad_key_is_named() {
        let overrides = |key: &str| {
            Overrides::from([(
                Context::Global,
                BTreeMap::from([(key.into(), Action::Help)]),
            )])
        };
        let map = KeyMap::with(&overrides("ctrl-p")).expect("a key");
        let event = KeyEvent::new(KeyCode::Char('p'), KeyModifiers::CONTROL);
        assert_eq!(map.action(Pane::Prompt, event), Some(&Action::Help));
        assert_eq!(map.key_of(Pane::Prompt, &Action::Palette), None);
        assert!(
            KeyMap::with(&overrides("hyper-p"))
                .unwrap_err()
                .contains("hyper-p")
        );
    }

    #[test]
    fn actions_have_readable_names_in_the_settings_file() {
        let overrides: Overrides = toml::from_str(
            "[global]\nctrl-e = { nudge = [\"exit-layer\", \"up\"] }\nf7 = \"clear\"\n",
        )
        .expect("overrides");
        assert_eq!(overrides[&Context::Global]["f7"], Action::Clear);
    }
}
