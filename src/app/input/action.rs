//! Everything a user can do, as one type for keys, mouse, slash commands, palette, settings file and tests.
//!
//! Actions are nested by the module of `update` that carries them out, so that each matches its own exhaustively.

mod labels;

use crate::app::ThemeName;
use crate::app::controls::Control;
use crate::error_text;
use crate::names::nearest;
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
    /// Set one control to the model's default.
    ModelDefault(Control),
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
                let mut refusals = Vec::new();
                $(match serde_json::from_value::<$inner>(value.clone()) {
                    Ok(action) => return Ok(Self::$variant(action)),
                    Err(error) => {
                        let error = error.to_string();
                        if !error.starts_with(&format!("unknown variant `{}`", name(value))) {
                            return Err(de::Error::custom(error_text::data(&error)));
                        }
                        refusals.push(error);
                    }
                })*
                Err(de::Error::custom(no_such(&name(value), &refusals)))
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

/// The error for an unknown action. `refusals` are serde's messages, which list all names.
fn no_such(name: &str, refusals: &[String]) -> String {
    // The first name in each is the unknown one.
    let names = refusals
        .iter()
        .flat_map(|refusal| refusal.split('`').skip(3).step_by(2));
    let near = nearest(name, names.map(|known| (known, known)));
    match near[..] {
        [] => format!("there is no action `{name}`"),
        _ => format!(
            "there is no action `{name}`; did you mean {}?",
            near.join(" or ")
        ),
    }
}

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

#[cfg(test)]
mod tests;
