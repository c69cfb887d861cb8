//! Labels of actions: two or three words for footer, help and palette.

use super::{
    AppAction, ChatAction, ControlsAction, EditAction, LensAction, ListAction, Pane, ReplayAction,
    SessionsAction, Step, ViewAction, WhatIfAction,
};
use crate::plural::counted;

impl AppAction {
    pub(super) fn label(&self) -> String {
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
    pub(super) fn label(&self) -> String {
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
    pub(super) fn label(self) -> &'static str {
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
    pub(super) fn label(&self) -> String {
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
            Self::ModelDefault(control) => {
                return format!("{}: the model's default", control.label());
            }
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
    pub(super) fn label(self) -> &'static str {
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
    pub(super) fn label(self) -> &'static str {
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
    pub(super) fn label(self) -> &'static str {
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
    pub(super) fn label(self) -> &'static str {
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
    pub(super) fn label(self) -> &'static str {
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
    pub(super) fn label(self) -> String {
        let label = match self {
            Self::Slower => "slower",
            Self::Faster => "faster",
            Self::OwnPace => "original speed",
            Self::AtOnce => "no waiting",
            Self::By(-1) => "previous round",
            Self::By(1) => "next round",
            Self::By(rounds @ ..=0) => {
                return format!("{} back", counted(rounds.unsigned_abs() as usize, "round"));
            }
            Self::By(rounds) => {
                return format!(
                    "{} forward",
                    counted(rounds.unsigned_abs() as usize, "round")
                );
            }
            Self::Start => "start",
            Self::End => "end",
        };
        label.into()
    }
}

impl Step {
    pub(super) fn label(self) -> &'static str {
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
