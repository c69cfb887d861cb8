//! The built-in bindings.

use super::Context;
use crate::app::controls::Control;
use crate::app::input::action::{
    Action, AppAction, ChatAction, ControlsAction, EditAction, LensAction, ListAction, Pane,
    ReplayAction, SessionsAction, Step, ViewAction, WhatIfAction,
};

type Row = (Context, &'static str, Action);

/// The bindings of all contexts.
pub(super) fn tables() -> Vec<Row> {
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
