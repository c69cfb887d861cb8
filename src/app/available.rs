//! Which actions have an effect now.

use super::input::Action;
use super::input::action::{
    AppAction, ChatAction, ControlsAction, EditAction, LensAction, Pane, SessionsAction,
    ViewAction, WhatIfAction,
};
use super::state::{App, Overlay, Phase, SessionList, State, Turn};

/// Whether an action would have an effect now.
pub fn is_available(app: &App, action: &Action) -> bool {
    if app.replay.is_some() && !allowed_in_replay(action)
        || !allowed_while_watching(&app.chat, action)
    {
        return false;
    }
    let state = app.state();
    match action {
        Action::Chat(action) => is_chat_available(state, action),
        Action::View(
            ViewAction::Copy
            | ViewAction::TokenLeft
            | ViewAction::TokenRight
            | ViewAction::RoundLeft
            | ViewAction::RoundRight,
        ) => state.turns.iter().any(|turn| !turn.is_empty()),
        Action::View(
            ViewAction::NextRejection
            | ViewAction::PreviousRejection
            | ViewAction::NextWorst
            | ViewAction::PreviousWorst,
        ) => {
            let rejects = |turn: &Turn| turn.stats.accepted < turn.stats.drafted;
            state.turns.iter().any(rejects)
        }
        Action::View(ViewAction::Find) => !state.turns.is_empty(),
        Action::View(ViewAction::FindNext | ViewAction::FindPrevious) => {
            app.shared.regions.found.total > 1
        }
        Action::View(ViewAction::DetailsUp | ViewAction::DetailsDown) => {
            let shown = app.shared.regions.details;
            shown.total > shown.height
        }
        Action::Controls(ControlsAction::Undo) => state.controls.can_undo(),
        Action::Lens(action) => is_lens_available(state, *action),
        Action::Replay(_) => app.replay.is_some(),
        Action::Sessions(action) => match &state.overlay {
            Some(Overlay::Sessions(list)) => is_session_available(app, list, *action),
            _ => false,
        },
        _ => true,
    }
}

fn is_chat_available(state: &State, action: &ChatAction) -> bool {
    let running = state.run().is_some();
    let ready = state.model.is_some() && !running && !matches!(state.phase, Phase::Loading { .. });
    let asked = !state.turns.is_empty();
    match action {
        ChatAction::Send if state.prompt.is_empty() => {
            state.offer().is_some() || (ready && !state.queued.is_empty())
        }
        ChatAction::Send => ready || running,
        ChatAction::SendQueued => ready && !state.queued.is_empty(),
        ChatAction::EditQueued | ChatAction::RemoveQueued => !state.queued.is_empty(),
        ChatAction::Cancel => running,
        ChatAction::Regenerate | ChatAction::Reroll | ChatAction::Continue => ready && asked,
        ChatAction::DropOldest => ready && asked,
        ChatAction::AskAnew | ChatAction::EditLast => !running && asked,
        ChatAction::PreviousAnswer | ChatAction::NextAnswer => {
            !running && state.turn_with_answers().is_some()
        }
        ChatAction::Clear => asked,
        ChatAction::Pause | ChatAction::Step => running || !state.live,
        ChatAction::LoadSession(_) | ChatAction::ReplaySession(_) => !running,
        ChatAction::WhatIf => can_ask_what_if(state),
        ChatAction::Lens => {
            let has_lens = |turn: &Turn| turn.lens.as_ref().is_some_and(|l| !l.rows.is_empty());
            can_ask_what_if(state) || state.turns.iter().any(has_lens)
        }
        ChatAction::Race | ChatAction::RaceAgainst(_) | ChatAction::Sweep => {
            let something = !state.prompt.is_empty() || asked;
            something && !running && state.layers().is_some_and(|layers| layers > 1)
        }
        ChatAction::ToggleMode | ChatAction::LoadModel(_) | ChatAction::SaveSession(_) => true,
        ChatAction::OpenSweep(_) => true,
    }
}

fn is_session_available(app: &App, list: &SessionList, action: SessionsAction) -> bool {
    match (action, list.chosen()) {
        (_, _) if list.title.is_some() => false,
        (SessionsAction::Restore, _) => !app.shared.deleted.is_empty(),
        (_, None) => false,
        (SessionsAction::Delete, Some(_)) => true,
        (_, Some(chosen)) => chosen.summary.fault.is_none(),
    }
}

/// Whether the lens on screen has predictions. The last layer verifies, so it is no exit layer.
fn is_lens_available(state: &State, action: LensAction) -> bool {
    let Some(Overlay::Lens(view)) = state.overlay else {
        return false;
    };
    let lens = state
        .turn_of(view.turn)
        .and_then(|(_, turn)| turn.lens.as_deref());
    let has_rows = lens.is_some_and(|lens| lens.failed.is_none() && !lens.rows.is_empty());
    let is_exit = state.layers().is_some_and(|layers| view.layer < layers);
    has_rows && (action != LensAction::ApplyLayer || is_exit)
}

/// Whether an action is allowed in a replay: viewing is, changing is not.
pub(super) fn allowed_in_replay(action: &Action) -> bool {
    match action {
        Action::App(AppAction::Models | AppAction::Presets | AppAction::Sessions) => false,
        Action::App(_) | Action::View(_) | Action::Replay(_) => true,
        Action::Edit(_) | Action::List(_) => true,
        Action::Chat(
            ChatAction::Pause | ChatAction::Step | ChatAction::WhatIf | ChatAction::Lens,
        ) => true,
        Action::Controls(
            ControlsAction::ControlUp
            | ControlsAction::ControlDown
            | ControlsAction::ControlTop
            | ControlsAction::ControlBottom
            | ControlsAction::FocusControl(_),
        ) => true,
        Action::WhatIf(action) => {
            !matches!(action, WhatIfAction::ApplyCell | WhatIfAction::RaceCell)
        }
        Action::Lens(action) => *action != LensAction::ApplyLayer,
        Action::Chat(_) | Action::Controls(_) | Action::Sessions(_) => false,
    }
}

/// Whether an action is allowed here. Watching is read-only.
pub(super) fn allowed_while_watching(state: &State, action: &Action) -> bool {
    let asks = match action {
        // Sending reconnects after the connection was given up.
        Action::Chat(ChatAction::Send | ChatAction::LoadModel(_)) => state.offer().is_none(),
        Action::Chat(
            ChatAction::Pause | ChatAction::Step | ChatAction::WhatIf | ChatAction::Lens,
        ) => true,
        Action::App(AppAction::Focus(Pane::Prompt)) => state.home() != Pane::Prompt,
        Action::Edit(EditAction::ExternalEditor) => true,
        action => !allowed_in_replay(action),
    };
    !(state.is_read_only() && asks)
}

/// Whether there is an answer for what-if to analyse.
pub(super) fn can_ask_what_if(state: &State) -> bool {
    let kept = state.live || state.lens_turn().is_some_and(|turn| turn.lens.is_some());
    kept && state.lens_turn().is_some_and(|turn| !turn.is_empty())
        && state.layers().is_some_and(|layers| layers > 1)
}
