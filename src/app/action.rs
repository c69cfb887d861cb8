//! Everything a person can do, as one type for keys, mouse, slash commands, palette, settings file and tests.

use super::Control;
use serde::{Deserialize, Serialize};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Ctrl-C: cancel what runs; else quit.
    Interrupt,
    /// Esc: close, cancel or go back, whatever is nearest.
    Back,
    Quit,
    Suspend,
    Help,
    Palette,
    Models,
    Presets,
    /// The list of kept sessions.
    Sessions,
    FocusNext,
    FocusPrevious,
    Focus(Pane),

    Send,
    NewLine,
    PromptUp,
    PromptDown,
    /// Write the prompt in `$EDITOR`.
    ExternalEditor,

    Cancel,
    Regenerate,
    /// Regenerate with the next seed.
    Reroll,
    EditLast,
    Continue,
    Clear,
    /// Pause, or go on.
    Pause,
    /// While paused: one phase further.
    Step,
    /// What other exit layers and speculations would have made of the last answer.
    WhatIf,
    /// The prompt answered twice, autoregressive beside self-speculative.
    Race,

    ControlUp,
    ControlDown,
    ControlTop,
    ControlBottom,
    /// Move the focused control by one step of the given size and direction.
    Adjust(Step),
    /// Toggle, next choice, or type a value.
    Activate,
    /// Go to one control.
    FocusControl(Control),
    /// Move one control, wherever the focus is.
    Nudge(Control, Step),
    /// Set one control to a number.
    Set(Control, f64),
    SystemPrompt(String),
    Undo,
    SavePreset(String),
    LoadPreset(String),

    ScrollUp,
    ScrollDown,
    PageUp,
    PageDown,
    Top,
    Bottom,
    TokenLeft,
    TokenRight,
    TokenUp,
    TokenDown,
    RoundLeft,
    RoundRight,
    /// Scroll what is told of a token.
    DetailsUp,
    DetailsDown,
    /// Copy the answer under the cursor, or the last one.
    Copy,
    ToggleRejected,
    ToggleMarkdown,
    ToggleDetail,
    ToggleMode,
    ToggleMouse,
    NextTheme,
    Theme(super::ThemeName),
    /// Load a model by path or id; none is the bundled one.
    LoadModel(Option<String>),
    SaveSession(String),
    LoadSession(String),
    /// Something to do with the session that is chosen in the list.
    Browse(Browse),
    /// Play a kept session on this screen.
    ReplaySession(String),
    /// Something to do with the replay.
    Play(Play),
    /// Save a picture of the screen, under a name of its own without one.
    Picture(Option<String>),
}

/// What can be done with a kept session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Browse {
    Open,
    Rename,
    Delete,
    /// Take the last deletion back.
    Restore,
    Replay,
}

/// What can be done with a replay, besides pausing and stepping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Play {
    Slower,
    Faster,
    /// At the pace of the session.
    OwnPace,
    /// Without any wait.
    AtOnce,
    /// So many rounds forth or back.
    By(i32),
    Start,
    End,
}

/// A direction and size on a slider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    Down,
    Up,
    DownCoarse,
    UpCoarse,
    Least,
    Greatest,
}

/// What the keys go to.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Pane {
    #[default]
    Prompt,
    Controls,
    Chat,
    Rounds,
}

impl Pane {
    pub const ALL: [Self; 4] = [Self::Prompt, Self::Controls, Self::Chat, Self::Rounds];

    pub fn label(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Controls => "controls",
            Self::Chat => "chat",
            Self::Rounds => "rounds",
        }
    }

    /// The pane `by` places further round.
    pub fn cycle(self, by: isize) -> Self {
        let count = Self::ALL.len() as isize;
        Self::ALL[(self as isize + by).rem_euclid(count) as usize]
    }
}

impl Action {
    /// Two or three words for footer, help and palette.
    pub fn label(&self) -> String {
        let label = match self {
            Self::Interrupt => "cancel, quit",
            Self::Back => "back",
            Self::Quit => "quit",
            Self::Suspend => "suspend",
            Self::Help => "help",
            Self::Palette => "commands",
            Self::Models => "models",
            Self::Presets => "presets",
            Self::Sessions => "sessions",
            Self::FocusNext => "next panel",
            Self::FocusPrevious => "previous panel",
            Self::Focus(Pane::Prompt) => "prompt",
            Self::Focus(Pane::Controls) => "controls",
            Self::Focus(Pane::Chat) => "tokens",
            Self::Focus(Pane::Rounds) => "rounds",
            Self::Send => "send",
            Self::NewLine => "new line",
            Self::PromptUp => "line up, older",
            Self::PromptDown => "line down, newer",
            Self::ExternalEditor => "open $EDITOR",
            Self::Cancel => "cancel",
            Self::Regenerate => "regenerate",
            Self::Reroll => "next seed",
            Self::EditLast => "edit and resend",
            Self::Continue => "continue",
            Self::Clear => "clear chat",
            Self::Pause => "pause",
            Self::Step => "step",
            Self::WhatIf => "what if",
            Self::Race => "race",
            Self::ControlUp => "control above",
            Self::ControlDown => "control below",
            Self::ControlTop => "first control",
            Self::ControlBottom => "last control",
            Self::Adjust(step) => return step.label().into(),
            Self::Activate => "change",
            Self::FocusControl(control) => return format!("set {}", control.label()),
            Self::Nudge(control, step) => return format!("{} {}", control.label(), step.sign()),
            Self::Set(control, value) => return format!("{} = {value}", control.label()),
            Self::SystemPrompt(_) => "system prompt",
            Self::Undo => "undo",
            Self::SavePreset(name) => return format!("save preset {name}"),
            Self::LoadPreset(name) => return format!("preset {name}"),
            Self::ScrollUp => "scroll up",
            Self::ScrollDown => "scroll down",
            Self::PageUp => "page up",
            Self::PageDown => "page down",
            Self::Top => "top",
            Self::Bottom => "bottom",
            Self::TokenLeft => "token left",
            Self::TokenRight => "token right",
            Self::TokenUp => "line up",
            Self::TokenDown => "line down",
            Self::RoundLeft => "round left",
            Self::RoundRight => "round right",
            Self::DetailsUp => "token details up",
            Self::DetailsDown => "token details down",
            Self::Copy => "copy answer",
            Self::ToggleRejected => "rejected drafts",
            Self::ToggleMarkdown => "Markdown",
            Self::ToggleDetail => "record detail",
            Self::ToggleMode => "chat / completion",
            Self::ToggleMouse => "mouse on, off",
            Self::NextTheme => "next theme",
            Self::Theme(name) => return format!("theme {}", name.label()),
            Self::LoadModel(name) => {
                return format!("load {}", name.as_deref().unwrap_or("the bundled model"));
            }
            Self::SaveSession(name) => return format!("save session {name}"),
            Self::LoadSession(name) => return format!("load session {name}"),
            Self::Browse(step) => step.label(),
            Self::ReplaySession(name) => return format!("replay session {name}"),
            Self::Play(step) => return step.label(),
            Self::Picture(None) => "picture of the screen",
            Self::Picture(Some(name)) => return format!("picture {name}"),
        };
        label.into()
    }
}

impl Browse {
    fn label(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Rename => "rename",
            Self::Delete => "to the trash",
            Self::Restore => "take back",
            Self::Replay => "replay",
        }
    }
}

impl Play {
    fn label(self) -> String {
        let label = match self {
            Self::Slower => "slower",
            Self::Faster => "faster",
            Self::OwnPace => "own pace",
            Self::AtOnce => "at once",
            Self::By(-1) => "round back",
            Self::By(1) => "round forth",
            Self::By(rounds @ ..=0) => return format!("{} rounds back", rounds.unsigned_abs()),
            Self::By(rounds) => return format!("{rounds} rounds forth"),
            Self::Start => "start",
            Self::End => "end",
        };
        label.into()
    }
}

impl Step {
    fn label(self) -> &'static str {
        match self {
            Self::Down => "less",
            Self::Up => "more",
            Self::DownCoarse => "much less",
            Self::UpCoarse => "much more",
            Self::Least => "least",
            Self::Greatest => "greatest",
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Down => "−",
            Self::Up => "+",
            Self::DownCoarse => "−−",
            Self::UpCoarse => "++",
            Self::Least => "least",
            Self::Greatest => "greatest",
        }
    }
}
