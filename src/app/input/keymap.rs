//! The key bindings: one table for input, help and footer.

mod bindings;

use super::action::{Action, AppAction, Pane};
use super::key::Key;
use crossterm::event::KeyEvent;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a binding applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Context {
    /// Everywhere, after the bindings of the focus.
    Global,
    /// Wherever text is edited, after all other contexts.
    Text,
    Prompt,
    /// The prompt while it holds a command that can be completed.
    Menu,
    Controls,
    Chat,
    Rounds,
    /// The search field of the conversation.
    Find,
    /// A filtered list.
    Picker,
    /// Help and other texts.
    Pager,
    WhatIf,
    Lens,
    Race,
    /// The list of saved sessions.
    Sessions,
    /// The title of a session while it is edited.
    Title,
    /// The system prompt while it is edited.
    System,
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

impl Context {
    pub const ALL: [Self; 17] = [
        Self::Prompt,
        Self::Menu,
        Self::Controls,
        Self::Chat,
        Self::Rounds,
        Self::Text,
        Self::Find,
        Self::Picker,
        Self::Pager,
        Self::WhatIf,
        Self::Lens,
        Self::Race,
        Self::Sessions,
        Self::Title,
        Self::System,
        Self::Replay,
        Self::Global,
    ];

    /// The heading of its keys in the help.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Global => "Everywhere",
            Self::Text => "Wherever text is edited",
            Self::Prompt => "In the prompt",
            Self::Menu => "While a command is written",
            Self::Controls => "In the controls",
            Self::Chat => "In the chat",
            Self::Rounds => "In the rounds",
            Self::Find => "While finding a text",
            Self::Picker => "In lists to choose from",
            Self::Pager => "In help and other texts",
            Self::WhatIf => "In what if and the sweep",
            Self::Lens => "In the lens",
            Self::Race => "In the race",
            Self::Sessions => "In the list of sessions",
            Self::Title => "In the title of a session",
            Self::System => "In the system prompt",
            Self::Replay => "In a replay",
        }
    }

    /// The contexts in which a key is looked up; the first match wins.
    fn chain(self) -> &'static [Self] {
        match self {
            Self::Global => &[Self::Global],
            Self::Text => &[Self::Text],
            Self::Prompt => &[Self::Prompt, Self::Global, Self::Text],
            Self::Menu => &[Self::Menu, Self::Prompt, Self::Global, Self::Text],
            Self::Controls => &[Self::Controls, Self::Global, Self::Text],
            Self::Chat => &[Self::Chat, Self::Global],
            Self::Rounds => &[Self::Rounds, Self::Global],
            Self::Find => &[Self::Find, Self::Text, Self::Global],
            Self::Picker => &[Self::Picker, Self::Global, Self::Text],
            Self::Pager => &[Self::Pager, Self::Global],
            Self::WhatIf => &[Self::WhatIf, Self::Global],
            Self::Lens => &[Self::Lens, Self::Global],
            Self::Race => &[Self::Race, Self::Pager, Self::Global],
            Self::Sessions => &[Self::Sessions, Self::Global, Self::Text],
            Self::Title => &[Self::Title, Self::Global, Self::Text],
            Self::System => &[Self::System, Self::Prompt, Self::Global, Self::Text],
            Self::Replay => &[Self::Replay, Self::Global],
        }
    }

    /// Whether it is an overlay, which hides the bindings beneath it.
    fn is_overlay(self) -> bool {
        match self {
            Self::Picker | Self::Pager | Self::WhatIf | Self::Lens | Self::Race => true,
            Self::Sessions | Self::Title | Self::System => true,
            Self::Global | Self::Text | Self::Prompt | Self::Controls => false,
            Self::Chat | Self::Rounds | Self::Replay | Self::Menu | Self::Find => false,
        }
    }

    /// Whether an action bound in `within` can be reached from here.
    fn admits(self, within: Self, action: &Action) -> bool {
        match within {
            Self::Global if self.is_overlay() => action.works_everywhere(),
            Self::Prompt if self == Self::System => {
                matches!(action, Action::Edit(_))
            }
            _ => true,
        }
    }
}

impl Action {
    /// Whether it also works over an overlay.
    fn works_everywhere(&self) -> bool {
        matches!(
            self,
            Self::App(
                AppAction::Interrupt
                    | AppAction::Quit
                    | AppAction::Suspend
                    | AppAction::Back
                    | AppAction::Picture(None)
            )
        )
    }
}

impl KeyMap {
    /// The built-in table with the settings file's bindings in front.
    ///
    /// # Errors
    ///
    /// With the name of a key that cannot be parsed.
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
        self.first(context.into(), |bound, _| *bound == key)
            .map(|(_, action)| action)
    }

    /// The key to show for an action in a context; `None` if no key reaches it.
    pub fn key_of(&self, context: impl Into<Context>, action: &Action) -> Option<Key> {
        let context = context.into();
        let (key, _) = self.first(context, |_, bound| bound == action)?;
        (self.action(context, key.event()) == Some(action)).then_some(key)
    }

    /// The first binding along the chain of contexts that fits.
    fn first(
        &self,
        context: Context,
        fits: impl Fn(&Key, &Action) -> bool,
    ) -> Option<(Key, &Action)> {
        context.chain().iter().find_map(|within| {
            self.bindings
                .iter()
                .find(|(c, key, action)| {
                    c == within && fits(key, action) && context.admits(*within, action)
                })
                .map(|(_, key, action)| (*key, action))
        })
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
        let bindings = bindings::tables()
            .into_iter()
            .filter_map(|(context, key, action)| {
                // A test parses all built-in names.
                Some((context, key.parse().ok()?, action))
            });
        Self {
            bindings: bindings.collect(),
        }
    }
}

#[cfg(test)]
mod tests;
