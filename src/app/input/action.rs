//! Everything a user can do, as one type for keys, mouse, slash commands, palette, settings file and tests.
//!
//! Actions are nested by the module of `update` that carries them out, so that each matches its own exhaustively.

use crate::app::ThemeName;
use crate::app::controls::Control;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

/// One action. The settings file names only the innermost one: `clear`, `{ nudge = ["exit-layer", "up"] }`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Action {
    App(AppAction),
    Chat(ChatAction),
    Edit(EditAction),
    Controls(ControlsAction),
    View(ViewAction),
    List(ListAction),
    WhatIf(WhatIfAction),
    Lens(LensAction),
    #[serde(serialize_with = "browse")]
    Sessions(SessionsAction),
    #[serde(serialize_with = "play")]
    Replay(ReplayAction),
}

/// The program as a whole: what is open, what has the focus, how it looks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppAction {
    /// Ctrl-C: cancel what is running, else quit.
    Interrupt,
    /// Esc: close, cancel or go back, whichever is nearest.
    Back,
    Quit,
    Suspend,
    Help,
    Palette,
    Models,
    Presets,
    /// The list of saved sessions.
    Sessions,
    /// Model, settings and statistics.
    Show,
    FocusNext,
    FocusPrevious,
    Focus(Pane),
    ToggleMouse,
    NextTheme,
    Theme(ThemeName),
    /// Save a screenshot; `None` picks a name.
    Picture(Option<String>),
}

/// The conversation and the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChatAction {
    Send,
    /// Send the first queued question.
    SendQueued,
    /// Move the last queued question back into the prompt.
    EditQueued,
    /// Remove the last queued question.
    RemoveQueued,
    Cancel,
    Regenerate,
    /// Regenerate with the next seed.
    Reroll,
    EditLast,
    /// Show an earlier or later answer to the same prompt.
    PreviousAnswer,
    NextAnswer,
    Continue,
    /// Answer the last prompt although the model no longer sees the oldest turns.
    DropOldest,
    /// Start a new chat with the last prompt.
    AskAnew,
    Clear,
    /// Pause or resume.
    Pause,
    /// While paused: run one more phase.
    Step,
    ToggleMode,
    /// What other exit layers and speculations would have made of the last answer.
    WhatIf,
    /// What every layer would have predicted, as a heat map.
    Lens,
    /// Answer the prompt twice, with drafts and with plain decoding; in a race, repeat the race.
    Race,
    /// Answer the prompt twice, with the current settings and with others.
    RaceAgainst(Opponent),
    /// Measure a grid of exit layers and speculations on the prompt.
    Sweep,
    /// Show a sweep from a CSV file or a run folder.
    OpenSweep(String),
    /// Load a model by path or id; `None` is the bundled one.
    LoadModel(Option<String>),
    SaveSession(String),
    LoadSession(String),
    /// Replay a saved session on this screen.
    ReplaySession(String),
}

/// The opponent of the current settings in a race.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Opponent {
    /// Plain decoding, as the reference.
    Plain,
    /// The current settings with another exit layer and number of speculations, as the challenger.
    Pair(usize, usize),
    /// A preset, as the challenger.
    Preset(String),
}

/// A text under edit: the prompt, the system prompt, a title, a filter, a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EditAction {
    /// Accept the text of an overlay.
    Accept,
    NewLine,
    /// A line up; in the first line, the previous entry of the history.
    #[serde(alias = "prompt-up")]
    LineUp,
    /// A line down; in the last line, the next entry of the history.
    #[serde(alias = "prompt-down")]
    LineDown,
    /// Edit the text in `$EDITOR`.
    ExternalEditor,
    CharLeft,
    CharRight,
    WordLeft,
    WordRight,
    LineStart,
    LineEnd,
    TextStart,
    TextEnd,
    DeleteBack,
    DeleteForward,
    DeleteWord,
    DeleteToLineStart,
    DeleteToLineEnd,
}

/// The controls panel and the settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControlsAction {
    ControlUp,
    ControlDown,
    ControlTop,
    ControlBottom,
    /// Move the focused control by one step of the given size and direction.
    Adjust(Step),
    /// Toggle, next choice, or type a value.
    Activate,
    /// Focus one control.
    FocusControl(Control),
    /// Move one control, wherever the focus is.
    Nudge(Control, Step),
    /// Set one control to a number.
    Set(Control, f64),
    SystemPrompt(String),
    Undo,
    SavePreset(String),
    LoadPreset(String),
    /// Record what every layer would have predicted.
    ToggleDetail,
    /// Switch between plain decoding and drafts.
    TogglePlain,
}

/// What is shown, and the token cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ViewAction {
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
    NextRejection,
    PreviousRejection,
    /// Step through rejected drafts in descending order of the draft's confidence.
    NextWorst,
    PreviousWorst,
    /// Scroll the token's details.
    DetailsUp,
    DetailsDown,
    /// Copy the answer under the cursor, or the last one.
    Copy,
    ToggleRejected,
    ToggleMarkdown,
    /// Find a text in the conversation.
    Find,
    FindNext,
    FindPrevious,
}

/// The selection of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListAction {
    EntryUp,
    EntryDown,
    EntryPageUp,
    EntryPageDown,
    FirstEntry,
    LastEntry,
    /// Carry out the selected entry.
    Choose,
    /// Write the selected entry out.
    Complete,
    /// Delete the selected preset.
    DeleteEntry,
}

/// The cursor of the what-if map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhatIfAction {
    CellUp,
    CellDown,
    CellPageUp,
    CellPageDown,
    CellLeft,
    CellRight,
    BestCell,
    ApplyCell,
    /// Race the current settings against the pair.
    RaceCell,
}

/// The cursor of the lens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LensAction {
    LayerUp,
    LayerDown,
    LensLeft,
    LensRight,
    LensPageLeft,
    LensPageRight,
    LensStart,
    LensEnd,
    /// To the first layer that agrees.
    EarliestLayer,
    /// Show agreement or probabilities.
    ToggleMeasure,
    /// Put the token cursor on the token.
    InspectToken,
    /// Make the layer the exit layer.
    ApplyLayer,
}

/// The selected session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionsAction {
    Open,
    /// Edit its title.
    Rename,
    Delete,
    /// Undo the last deletion.
    Restore,
    Replay,
}

/// The replay, besides pausing and stepping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayAction {
    Slower,
    Faster,
    /// At the speed of the session.
    OwnPace,
    /// Without waiting.
    AtOnce,
    /// This many rounds forward, or back if negative.
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
    #[serde(alias = "least")]
    Min,
    #[serde(alias = "greatest")]
    Max,
}

/// A panel that can have the focus.
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

    /// The pane `by` positions further, wrapping around.
    pub fn cycle(self, by: isize) -> Self {
        let count = Self::ALL.len() as isize;
        Self::ALL[(self as isize + by).rem_euclid(count) as usize]
    }
}

macro_rules! nested {
    ($($variant:ident($inner:ident)),*) => {
        $(impl From<$inner> for Action {
            fn from(action: $inner) -> Self {
                Self::$variant(action)
            }
        })*

        impl Action {
            /// Two or three words for footer, help and palette.
            pub fn label(&self) -> String {
                match self {
                    $(Self::$variant(action) => action.label().into(),)*
                }
            }
        }

        impl<'de> Deserialize<'de> for Action {
            /// Fails with the name of an unknown action, or with what is wrong with a known one.
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = Value::deserialize(deserializer)?;
                let value = value.get("browse").or_else(|| value.get("play")).unwrap_or(&value);
                $(match serde_json::from_value::<$inner>(value.clone()) {
                    Ok(action) => return Ok(Self::$variant(action)),
                    Err(error) if error.to_string().starts_with(&format!("unknown variant `{}`", name(value))) => {}
                    Err(error) => return Err(de::Error::custom(error)),
                })*
                Err(de::Error::custom(format!("there is no action `{}`", name(value))))
            }
        }
    };
}

nested!(
    App(AppAction),
    Chat(ChatAction),
    Edit(EditAction),
    Controls(ControlsAction),
    View(ViewAction),
    List(ListAction),
    WhatIf(WhatIfAction),
    Lens(LensAction),
    Sessions(SessionsAction),
    Replay(ReplayAction)
);

/// The name of an action as the settings file gives it.
fn name(action: &Value) -> String {
    match action {
        Value::String(name) => name.clone(),
        Value::Object(map) if map.len() == 1 => map.keys().cloned().collect(),
        other => other.to_string(),
    }
}

/// Actions of sessions and replays have common names, so they are nested under `browse` and `play`.
fn browse<S: Serializer>(action: &SessionsAction, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map([("browse", action)])
}

fn play<S: Serializer>(action: &ReplayAction, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map([("play", action)])
}

impl AppAction {
    fn label(&self) -> String {
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
            Self::Show => "settings and statistics",
            Self::FocusNext => "next panel",
            Self::FocusPrevious => "previous panel",
            Self::Focus(Pane::Chat) => "tokens",
            Self::Focus(pane) => pane.label(),
            Self::ToggleMouse => "mouse on, off",
            Self::NextTheme => "next theme",
            Self::Theme(name) => return format!("theme {}", name.label()),
            Self::Picture(None) => "screenshot",
            Self::Picture(Some(name)) => return format!("screenshot {name}"),
        };
        label.into()
    }
}

impl ChatAction {
    fn label(&self) -> String {
        let label = match self {
            Self::Send => "send",
            Self::SendQueued => "send queued question",
            Self::EditQueued => "edit queued question",
            Self::RemoveQueued => "remove queued question",
            Self::Cancel => "cancel",
            Self::Regenerate => "regenerate",
            Self::Reroll => "next seed",
            Self::EditLast => "edit and resend",
            Self::PreviousAnswer => "previous answer",
            Self::NextAnswer => "next answer",
            Self::Continue => "continue",
            Self::DropOldest => "leave out the oldest turns",
            Self::AskAnew => "ask in a new chat",
            Self::Clear => "clear chat",
            Self::Pause => "pause",
            Self::Step => "step",
            Self::ToggleMode => "chat / completion",
            Self::WhatIf => "what if",
            Self::Lens => "lens",
            Self::Race => "race",
            Self::RaceAgainst(_) => "race against other settings",
            Self::Sweep => "sweep",
            Self::OpenSweep(path) => return format!("open sweep {path}"),
            Self::LoadModel(name) => {
                return format!("load {}", name.as_deref().unwrap_or("the bundled model"));
            }
            Self::SaveSession(name) => return format!("save session {name}"),
            Self::LoadSession(name) => return format!("load session {name}"),
            Self::ReplaySession(name) => return format!("replay session {name}"),
        };
        label.into()
    }
}

impl EditAction {
    fn label(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::NewLine => "new line",
            Self::LineUp => "line up, older",
            Self::LineDown => "line down, newer",
            Self::ExternalEditor => "open $EDITOR",
            Self::CharLeft => "character left",
            Self::CharRight => "character right",
            Self::WordLeft => "word left",
            Self::WordRight => "word right",
            Self::LineStart => "start of line",
            Self::LineEnd => "end of line",
            Self::TextStart => "start of text",
            Self::TextEnd => "end of text",
            Self::DeleteBack => "delete back",
            Self::DeleteForward => "delete forward",
            Self::DeleteWord => "delete word",
            Self::DeleteToLineStart => "delete to line start",
            Self::DeleteToLineEnd => "delete to line end",
        }
    }
}

impl ControlsAction {
    fn label(&self) -> String {
        let label = match self {
            Self::ControlUp => "control above",
            Self::ControlDown => "control below",
            Self::ControlTop => "first control",
            Self::ControlBottom => "last control",
            Self::Adjust(step) => step.label(),
            Self::Activate => "change",
            Self::FocusControl(control) => return format!("set {}", control.label()),
            Self::Nudge(control, step) => return format!("{} {}", control.label(), step.sign()),
            Self::Set(control, value) => return format!("{} = {value}", control.label()),
            Self::SystemPrompt(_) => "system prompt",
            Self::Undo => "undo",
            Self::SavePreset(name) => return format!("save preset {name}"),
            Self::LoadPreset(name) => return format!("preset {name}"),
            Self::TogglePlain => "plain decoding, or drafts again",
            Self::ToggleDetail => "record layers",
        };
        label.into()
    }
}

impl ViewAction {
    fn label(self) -> &'static str {
        match self {
            Self::ScrollUp => "scroll up",
            Self::ScrollDown => "scroll down",
            Self::PageUp => "page up",
            Self::PageDown => "page down",
            Self::Top => "top",
            Self::Bottom => "bottom",
            Self::NextRejection => "next rejection",
            Self::PreviousRejection => "previous rejection",
            Self::NextWorst => "next of the worst drafts",
            Self::PreviousWorst => "previous of the worst drafts",
            Self::TokenLeft => "token left",
            Self::TokenRight => "token right",
            Self::TokenUp => "line up",
            Self::TokenDown => "line down",
            Self::RoundLeft => "previous round",
            Self::RoundRight => "next round",
            Self::DetailsUp => "token details up",
            Self::DetailsDown => "token details down",
            Self::Copy => "copy answer",
            Self::ToggleRejected => "rejected drafts",
            Self::ToggleMarkdown => "Markdown",
            Self::Find => "find",
            Self::FindNext => "next match",
            Self::FindPrevious => "previous match",
        }
    }
}

impl ListAction {
    fn label(self) -> &'static str {
        match self {
            Self::EntryUp => "previous entry",
            Self::EntryDown => "next entry",
            Self::EntryPageUp => "page up",
            Self::EntryPageDown => "page down",
            Self::FirstEntry => "first entry",
            Self::LastEntry => "last entry",
            Self::Choose => "choose",
            Self::Complete => "complete",
            Self::DeleteEntry => "delete preset",
        }
    }
}

impl WhatIfAction {
    fn label(self) -> &'static str {
        match self {
            Self::CellUp => "exit layer −",
            Self::CellDown => "exit layer +",
            Self::CellPageUp => "exit layer −−",
            Self::CellPageDown => "exit layer ++",
            Self::CellLeft => "speculations −",
            Self::CellRight => "speculations +",
            Self::BestCell => "fastest pair",
            Self::ApplyCell => "apply",
            Self::RaceCell => "race against the current pair",
        }
    }
}

impl LensAction {
    fn label(self) -> &'static str {
        match self {
            Self::LayerUp => "layer above",
            Self::LayerDown => "layer below",
            Self::LensLeft => "token left",
            Self::LensRight => "token right",
            Self::LensPageLeft => "10 tokens left",
            Self::LensPageRight => "10 tokens right",
            Self::LensStart => "first token",
            Self::LensEnd => "last token",
            Self::EarliestLayer => "first layer to agree",
            Self::ToggleMeasure => "agreement or probability",
            Self::InspectToken => "inspect",
            Self::ApplyLayer => "use as exit layer",
        }
    }
}

impl SessionsAction {
    fn label(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Rename => "rename",
            Self::Delete => "move to trash",
            Self::Restore => "restore",
            Self::Replay => "replay",
        }
    }
}

impl ReplayAction {
    fn label(self) -> String {
        let label = match self {
            Self::Slower => "slower",
            Self::Faster => "faster",
            Self::OwnPace => "original speed",
            Self::AtOnce => "no waiting",
            Self::By(-1) => "previous round",
            Self::By(1) => "next round",
            Self::By(rounds @ ..=0) => return format!("{} rounds back", rounds.unsigned_abs()),
            Self::By(rounds) => return format!("{rounds} rounds forward"),
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
            Self::Min => "min",
            Self::Max => "max",
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Down => "−",
            Self::Up => "+",
            Self::DownCoarse => "−−",
            Self::UpCoarse => "++",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn read(text: &str) -> Result<Action, String> {
        let table: Result<BTreeMap<String, Action>, _> = toml::from_str(&format!("key = {text}"));
        table
            .map(|mut table| table.remove("key").unwrap())
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn an_action_reads_back_as_it_is_written() {
        let actions: [Action; 10] = [
            AppAction::Focus(Pane::Chat).into(),
            ChatAction::Clear.into(),
            EditAction::DeleteWord.into(),
            ControlsAction::Nudge(Control::ExitLayer, Step::Max).into(),
            ControlsAction::Set(Control::Temperature, 0.5).into(),
            ViewAction::Top.into(),
            ListAction::Choose.into(),
            WhatIfAction::BestCell.into(),
            SessionsAction::Open.into(),
            ReplayAction::By(-10).into(),
        ];
        for action in actions {
            let written = toml::Value::try_from(&action).unwrap().to_string();
            assert_eq!(read(&written), Ok(action), "{written}");
        }
    }

    #[test]
    fn names_of_older_settings_files_are_read() {
        for (written, action) in [
            ("\"prompt-up\"", EditAction::LineUp.into()),
            ("{ browse = \"open\" }", SessionsAction::Open.into()),
            ("{ play = { by = 3 } }", ReplayAction::By(3).into()),
            (
                "{ adjust = \"greatest\" }",
                ControlsAction::Adjust(Step::Max).into(),
            ),
            (
                "{ focus-control = \"autopilot\" }",
                ControlsAction::FocusControl(Control::Controller).into(),
            ),
            ("{ set = [\"seed\", 3] }", {
                ControlsAction::Set(Control::Seed, 3.0).into()
            }),
            ("{ load-model = \"x\" }", {
                ChatAction::LoadModel(Some("x".into())).into()
            }),
        ] as [(&str, Action); 7]
        {
            assert_eq!(read(written), Ok(action), "{written}");
        }
    }

    #[test]
    fn what_is_no_action_is_named() {
        for (written, words) in [
            ("\"explode\"", "there is no action `explode`"),
            ("{ explode = 1 }", "there is no action `explode`"),
            ("{ nudge = [\"exit-layer\", \"sideways\"] }", "`sideways`"),
            ("{ focus = \"moon\" }", "`moon`"),
            ("7", "`7`"),
        ] {
            let error = read(written).unwrap_err();
            assert!(error.contains(words), "{written}: {error}");
        }
    }
}
