//! The key bindings: one table for input, help and footer.

use super::action::{
    Action, AppAction, ChatAction, ControlsAction, EditAction, LensAction, ListAction, Pane,
    ReplayAction, SessionsAction, Step, ViewAction, WhatIfAction,
};
use super::key::Key;
use crate::app::controls::Control;
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
        let bindings = tables().into_iter().filter_map(|(context, key, action)| {
            // A test parses all built-in names.
            Some((context, key.parse().ok()?, action))
        });
        Self {
            bindings: bindings.collect(),
        }
    }
}

type Row = (Context, &'static str, Action);

fn tables() -> Vec<Row> {
    [
        global(),
        prompt(),
        menu(),
        controls(),
        chat(),
        rounds(),
        text(),
        find(),
        picker(),
        pager(),
        what_if(),
        lens(),
        race(),
        sessions(),
        title(),
        system(),
        replay(),
    ]
    .concat()
}

/// Rows of one context.
fn rows<A: Into<Action>, const N: usize>(
    context: Context,
    bindings: [(&'static str, A); N],
) -> Vec<Row> {
    bindings
        .into_iter()
        .map(|(key, action)| (context, key, action.into()))
        .collect()
}

fn global() -> Vec<Row> {
    let nudge = |control, step| Action::from(ControlsAction::Nudge(control, step));
    rows(
        Context::Global,
        [
            ("ctrl-c", AppAction::Interrupt.into()),
            ("esc", AppAction::Back.into()),
            ("tab", AppAction::FocusNext.into()),
            ("backtab", AppAction::FocusPrevious.into()),
            ("f1", AppAction::Help.into()),
            ("ctrl-p", AppAction::Palette.into()),
            ("f2", AppAction::Models.into()),
            ("f3", AppAction::Presets.into()),
            ("ctrl-s", AppAction::Sessions.into()),
            ("alt-left", nudge(Control::ExitLayer, Step::Down)),
            ("alt-right", nudge(Control::ExitLayer, Step::Up)),
            ("alt-down", nudge(Control::Speculations, Step::Down)),
            ("alt-up", nudge(Control::Speculations, Step::Up)),
            ("alt-,", nudge(Control::Temperature, Step::Down)),
            ("alt-.", nudge(Control::Temperature, Step::Up)),
            ("alt-a", ControlsAction::TogglePlain.into()),
            ("alt-u", ControlsAction::Undo.into()),
            ("f4", ChatAction::WhatIf.into()),
            ("f10", ChatAction::Lens.into()),
            ("f7", ChatAction::Race.into()),
            ("alt-s", ChatAction::Sweep.into()),
            ("f5", ChatAction::Pause.into()),
            ("f6", ChatAction::Step.into()),
            ("ctrl-r", ChatAction::Regenerate.into()),
            ("alt-p", ChatAction::PreviousAnswer.into()),
            ("alt-n", ChatAction::NextAnswer.into()),
            ("ctrl-o", ChatAction::EditLast.into()),
            ("ctrl-t", AppAction::NextTheme.into()),
            ("ctrl-y", ViewAction::Copy.into()),
            ("ctrl-x", ViewAction::ToggleRejected.into()),
            ("ctrl-f", ViewAction::Find.into()),
            ("ctrl-l", ChatAction::Clear.into()),
            ("f8", ChatAction::ToggleMode.into()),
            ("f9", AppAction::ToggleMouse.into()),
            ("f12", AppAction::Picture(None).into()),
            ("pageup", ViewAction::PageUp.into()),
            ("pagedown", ViewAction::PageDown.into()),
            ("ctrl-z", AppAction::Suspend.into()),
            ("ctrl-q", AppAction::Quit.into()),
        ],
    )
}

fn prompt() -> Vec<Row> {
    rows(
        Context::Prompt,
        [
            ("enter", Action::from(ChatAction::Send)),
            ("alt-enter", EditAction::NewLine.into()),
            ("shift-enter", EditAction::NewLine.into()),
            ("ctrl-j", EditAction::NewLine.into()),
            ("up", EditAction::LineUp.into()),
            ("down", EditAction::LineDown.into()),
            ("alt-e", ChatAction::EditQueued.into()),
            ("alt-d", ChatAction::RemoveQueued.into()),
            ("ctrl-g", EditAction::ExternalEditor.into()),
            ("ctrl-d", AppAction::Quit.into()),
        ],
    )
}

fn menu() -> Vec<Row> {
    rows(
        Context::Menu,
        [
            ("enter", ListAction::Choose),
            ("tab", ListAction::Complete),
            ("up", ListAction::EntryUp),
            ("down", ListAction::EntryDown),
            ("pageup", ListAction::EntryPageUp),
            ("pagedown", ListAction::EntryPageDown),
        ],
    )
}

fn controls() -> Vec<Row> {
    let adjust = |step| Action::from(ControlsAction::Adjust(step));
    rows(
        Context::Controls,
        [
            ("up", ControlsAction::ControlUp.into()),
            ("down", ControlsAction::ControlDown.into()),
            ("k", ControlsAction::ControlUp.into()),
            ("j", ControlsAction::ControlDown.into()),
            ("left", adjust(Step::Down)),
            ("right", adjust(Step::Up)),
            ("h", adjust(Step::Down)),
            ("l", adjust(Step::Up)),
            ("shift-left", adjust(Step::DownCoarse)),
            ("shift-right", adjust(Step::UpCoarse)),
            ("H", adjust(Step::DownCoarse)),
            ("L", adjust(Step::UpCoarse)),
            ("home", adjust(Step::Min)),
            ("end", adjust(Step::Max)),
            ("enter", ControlsAction::Activate.into()),
            ("space", ControlsAction::Activate.into()),
            ("g", ControlsAction::ControlTop.into()),
            ("G", ControlsAction::ControlBottom.into()),
            ("u", ControlsAction::Undo.into()),
            ("p", AppAction::Presets.into()),
            ("?", AppAction::Help.into()),
            ("q", AppAction::Quit.into()),
        ],
    )
}

fn chat() -> Vec<Row> {
    rows(
        Context::Chat,
        [
            ("left", Action::from(ViewAction::TokenLeft)),
            ("right", ViewAction::TokenRight.into()),
            ("up", ViewAction::TokenUp.into()),
            ("down", ViewAction::TokenDown.into()),
            ("shift-up", ViewAction::DetailsUp.into()),
            ("shift-down", ViewAction::DetailsDown.into()),
            ("h", ViewAction::TokenLeft.into()),
            ("l", ViewAction::TokenRight.into()),
            ("k", ViewAction::TokenUp.into()),
            ("j", ViewAction::TokenDown.into()),
            ("home", ViewAction::Top.into()),
            ("end", ViewAction::Bottom.into()),
            ("g", ViewAction::Top.into()),
            ("G", ViewAction::Bottom.into()),
            ("space", ViewAction::PageDown.into()),
            ("b", ViewAction::PageUp.into()),
            ("n", ViewAction::NextRejection.into()),
            ("N", ViewAction::PreviousRejection.into()),
            ("w", ViewAction::NextWorst.into()),
            ("W", ViewAction::PreviousWorst.into()),
            ("y", ViewAction::Copy.into()),
            ("[", ChatAction::PreviousAnswer.into()),
            ("]", ChatAction::NextAnswer.into()),
            ("r", ChatAction::Regenerate.into()),
            ("R", ChatAction::Reroll.into()),
            ("e", ChatAction::EditLast.into()),
            ("c", ChatAction::Continue.into()),
            ("x", ViewAction::ToggleRejected.into()),
            ("m", ViewAction::ToggleMarkdown.into()),
            ("d", ControlsAction::ToggleDetail.into()),
            ("p", ChatAction::Pause.into()),
            ("s", ChatAction::Step.into()),
            ("enter", AppAction::Focus(Pane::Prompt).into()),
            ("?", AppAction::Help.into()),
            ("q", AppAction::Quit.into()),
        ],
    )
}

fn rounds() -> Vec<Row> {
    rows(
        Context::Rounds,
        [
            ("left", Action::from(ViewAction::RoundLeft)),
            ("right", ViewAction::RoundRight.into()),
            ("shift-up", ViewAction::DetailsUp.into()),
            ("shift-down", ViewAction::DetailsDown.into()),
            ("h", ViewAction::RoundLeft.into()),
            ("l", ViewAction::RoundRight.into()),
            ("n", ViewAction::NextRejection.into()),
            ("N", ViewAction::PreviousRejection.into()),
            ("w", ViewAction::NextWorst.into()),
            ("W", ViewAction::PreviousWorst.into()),
            ("home", ViewAction::Top.into()),
            ("end", ViewAction::Bottom.into()),
            ("p", ChatAction::Pause.into()),
            ("s", ChatAction::Step.into()),
            ("enter", AppAction::Focus(Pane::Chat).into()),
            ("?", AppAction::Help.into()),
            ("q", AppAction::Quit.into()),
        ],
    )
}

fn text() -> Vec<Row> {
    rows(
        Context::Text,
        [
            ("left", EditAction::CharLeft),
            ("right", EditAction::CharRight),
            ("ctrl-left", EditAction::WordLeft),
            ("ctrl-right", EditAction::WordRight),
            ("alt-b", EditAction::WordLeft),
            ("alt-f", EditAction::WordRight),
            ("home", EditAction::LineStart),
            ("end", EditAction::LineEnd),
            ("ctrl-a", EditAction::LineStart),
            ("ctrl-e", EditAction::LineEnd),
            ("ctrl-home", EditAction::TextStart),
            ("ctrl-end", EditAction::TextEnd),
            ("backspace", EditAction::DeleteBack),
            ("ctrl-h", EditAction::DeleteBack),
            ("delete", EditAction::DeleteForward),
            ("ctrl-w", EditAction::DeleteWord),
            ("ctrl-backspace", EditAction::DeleteWord),
            ("alt-backspace", EditAction::DeleteWord),
            ("ctrl-u", EditAction::DeleteToLineStart),
            ("ctrl-k", EditAction::DeleteToLineEnd),
        ],
    )
}

fn find() -> Vec<Row> {
    rows(
        Context::Find,
        [
            ("down", ViewAction::FindNext),
            ("enter", ViewAction::FindNext),
            ("ctrl-n", ViewAction::FindNext),
            ("ctrl-f", ViewAction::FindNext),
            ("up", ViewAction::FindPrevious),
            ("shift-enter", ViewAction::FindPrevious),
            ("ctrl-p", ViewAction::FindPrevious),
        ],
    )
}

fn picker() -> Vec<Row> {
    rows(
        Context::Picker,
        [
            ("enter", ListAction::Choose),
            ("up", ListAction::EntryUp),
            ("down", ListAction::EntryDown),
            ("ctrl-p", ListAction::EntryUp),
            ("ctrl-n", ListAction::EntryDown),
            ("tab", ListAction::Complete),
            ("backtab", ListAction::EntryUp),
            ("pageup", ListAction::EntryPageUp),
            ("pagedown", ListAction::EntryPageDown),
            ("delete", ListAction::DeleteEntry),
        ],
    )
}

fn pager() -> Vec<Row> {
    rows(
        Context::Pager,
        [
            ("up", ViewAction::ScrollUp),
            ("down", ViewAction::ScrollDown),
            ("k", ViewAction::ScrollUp),
            ("j", ViewAction::ScrollDown),
            ("pageup", ViewAction::PageUp),
            ("pagedown", ViewAction::PageDown),
            ("b", ViewAction::PageUp),
            ("space", ViewAction::PageDown),
            ("home", ViewAction::Top),
            ("end", ViewAction::Bottom),
            ("g", ViewAction::Top),
            ("G", ViewAction::Bottom),
        ],
    )
}

fn lens() -> Vec<Row> {
    rows(
        Context::Lens,
        [
            ("up", LensAction::LayerUp),
            ("down", LensAction::LayerDown),
            ("left", LensAction::LensLeft),
            ("right", LensAction::LensRight),
            ("k", LensAction::LayerUp),
            ("j", LensAction::LayerDown),
            ("h", LensAction::LensLeft),
            ("l", LensAction::LensRight),
            ("pageup", LensAction::LensPageLeft),
            ("pagedown", LensAction::LensPageRight),
            ("home", LensAction::LensStart),
            ("end", LensAction::LensEnd),
            ("b", LensAction::EarliestLayer),
            ("m", LensAction::ToggleMeasure),
            ("i", LensAction::InspectToken),
            ("enter", LensAction::ApplyLayer),
        ],
    )
}

fn what_if() -> Vec<Row> {
    rows(
        Context::WhatIf,
        [
            ("up", WhatIfAction::CellUp),
            ("down", WhatIfAction::CellDown),
            ("k", WhatIfAction::CellUp),
            ("j", WhatIfAction::CellDown),
            ("left", WhatIfAction::CellLeft),
            ("right", WhatIfAction::CellRight),
            ("h", WhatIfAction::CellLeft),
            ("l", WhatIfAction::CellRight),
            ("pageup", WhatIfAction::CellPageUp),
            ("pagedown", WhatIfAction::CellPageDown),
            ("b", WhatIfAction::BestCell),
            ("home", WhatIfAction::BestCell),
            ("enter", WhatIfAction::ApplyCell),
            ("r", WhatIfAction::RaceCell),
        ],
    )
}

fn race() -> Vec<Row> {
    rows(Context::Race, [("enter", ChatAction::Race)])
}

fn sessions() -> Vec<Row> {
    rows(
        Context::Sessions,
        [
            ("enter", Action::from(SessionsAction::Open)),
            ("f2", SessionsAction::Rename.into()),
            ("delete", SessionsAction::Delete.into()),
            ("ctrl-u", SessionsAction::Restore.into()),
            ("ctrl-r", SessionsAction::Replay.into()),
            ("up", ListAction::EntryUp.into()),
            ("down", ListAction::EntryDown.into()),
            ("tab", ListAction::EntryDown.into()),
            ("backtab", ListAction::EntryUp.into()),
            ("pageup", ListAction::EntryPageUp.into()),
            ("pagedown", ListAction::EntryPageDown.into()),
            ("home", ListAction::FirstEntry.into()),
            ("end", ListAction::LastEntry.into()),
        ],
    )
}

fn title() -> Vec<Row> {
    rows(Context::Title, [("enter", EditAction::Accept)])
}

fn system() -> Vec<Row> {
    rows(Context::System, [("enter", EditAction::Accept)])
}

fn replay() -> Vec<Row> {
    let play = Action::Replay;
    rows(
        Context::Replay,
        [
            ("space", ChatAction::Pause.into()),
            ("p", ChatAction::Pause.into()),
            ("s", ChatAction::Step.into()),
            ("enter", ChatAction::Step.into()),
            ("left", play(ReplayAction::By(-1))),
            ("right", play(ReplayAction::By(1))),
            ("h", play(ReplayAction::By(-1))),
            ("l", play(ReplayAction::By(1))),
            ("shift-left", play(ReplayAction::By(-10))),
            ("shift-right", play(ReplayAction::By(10))),
            ("H", play(ReplayAction::By(-10))),
            ("L", play(ReplayAction::By(10))),
            ("home", play(ReplayAction::Start)),
            ("end", play(ReplayAction::End)),
            ("down", play(ReplayAction::Slower)),
            ("up", play(ReplayAction::Faster)),
            ("-", play(ReplayAction::Slower)),
            ("+", play(ReplayAction::Faster)),
            ("1", play(ReplayAction::OwnPace)),
            ("0", play(ReplayAction::AtOnce)),
            ("?", AppAction::Help.into()),
            ("q", AppAction::Back.into()),
        ],
    )
}

#[cfg(test)]
mod tests;
