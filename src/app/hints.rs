//! The keys worth showing now, derived from the key map and the state: a key that is shown always works.

use super::available::is_available;
use super::controls::{Control, Kind};
use super::input::Action;
use super::input::action::{
    AppAction, ChatAction, ControlsAction, EditAction, LensAction, ListAction, Pane, ReplayAction,
    SessionsAction, Step, ViewAction, WhatIfAction,
};
use super::state::player::Course;
use super::state::{App, Menu, Overlay, Phase, Picker, Player, State, Topic};

/// A key or a pair of keys like `←→`, and what they do.
#[derive(Debug, Clone, PartialEq)]
pub struct Hint {
    /// Each key as shown, with the action of a click on it, which is that of the key.
    pub keys: Vec<(String, Action)>,
    pub label: String,
}

/// An action, optionally paired with a second one, and a label for both; without one, the action's label.
struct Wanted {
    action: Action,
    other: Option<Action>,
    label: &'static str,
}

fn one(action: impl Into<Action>) -> Wanted {
    labelled(action, "")
}

fn labelled(action: impl Into<Action>, label: &'static str) -> Wanted {
    Wanted {
        action: action.into(),
        other: None,
        label,
    }
}

fn pair(action: impl Into<Action>, other: impl Into<Action>, label: &'static str) -> Wanted {
    Wanted {
        other: Some(other.into()),
        ..labelled(action, label)
    }
}

/// The keys of the footer, the most useful first.
pub fn hints(app: &App) -> Vec<Hint> {
    let state = app.state();
    if let Some(overlay) = &state.overlay {
        return resolve(app, overlay_keys(app, overlay));
    }
    if state.find.is_some() {
        return resolve(app, find_keys());
    }
    if let Some(menu) = state.menu().filter(|menu| !menu.entries.is_empty()) {
        return resolve(app, menu_keys(menu));
    }
    if let Some(player) = app.player().filter(|_| state.focus == Pane::Prompt) {
        return resolve(app, replay_keys(player));
    }
    let mut wanted =
        Vec::from_iter(back_label(state).map(|label| labelled(AppAction::Back, label)));
    if state.focus == Pane::Controls && state.controls.typing.is_some() {
        wanted.insert(0, labelled(ControlsAction::Activate, "apply"));
        return resolve(app, wanted);
    }
    wanted.extend(stepping_keys(app));
    wanted.extend(pane_keys(app));
    wanted.extend(general_keys(app));
    resolve(app, wanted)
}

/// Pausing, and while paused stepping.
fn stepping_keys(app: &App) -> Vec<Wanted> {
    let paused = app
        .player()
        .map_or(matches!(app.chat.phase, Phase::Paused { .. }), |player| {
            player.course() != Course::Playing
        });
    match paused {
        true => vec![one(ChatAction::Step), labelled(ChatAction::Pause, "resume")],
        false => vec![one(ChatAction::Pause)],
    }
}

/// The keys of the panel with the focus.
fn pane_keys(app: &App) -> Vec<Wanted> {
    let state = app.state();
    let token_details = || {
        pair(
            ViewAction::DetailsUp,
            ViewAction::DetailsDown,
            "token details",
        )
    };
    match state.focus {
        Pane::Prompt => {
            let send = match state.offer().filter(|_| state.prompt.is_empty()) {
                Some(offer) => offer.label,
                None if state.prompt.is_empty() => "send queued question",
                None if state.run().is_some() => "queue",
                None => "",
            };
            vec![
                labelled(ChatAction::Send, send),
                labelled(ChatAction::EditQueued, "edit queued"),
                labelled(ChatAction::RemoveQueued, "remove queued"),
                pair(
                    ControlsAction::Nudge(Control::ExitLayer, Step::Down),
                    ControlsAction::Nudge(Control::ExitLayer, Step::Up),
                    "exit layer",
                ),
            ]
        }
        Pane::Controls => control_keys(state),
        Pane::Chat => vec![
            pair(ViewAction::TokenLeft, ViewAction::TokenRight, "token"),
            token_details(),
            pair(
                ViewAction::NextRejection,
                ViewAction::PreviousRejection,
                "rejection",
            ),
            one(ViewAction::Copy),
            labelled(
                ViewAction::ToggleMarkdown,
                if app.shared.display.markdown {
                    "plain text"
                } else {
                    ""
                },
            ),
            labelled(ControlsAction::ToggleDetail, "layers"),
            one(ViewAction::ToggleRejected),
            pair(
                ChatAction::PreviousAnswer,
                ChatAction::NextAnswer,
                "answers",
            ),
            one(ChatAction::Regenerate),
            one(ChatAction::Reroll),
            one(ChatAction::Continue),
        ],
        Pane::Rounds => vec![
            pair(ViewAction::RoundLeft, ViewAction::RoundRight, "round"),
            pair(
                ViewAction::NextRejection,
                ViewAction::PreviousRejection,
                "rejection",
            ),
            token_details(),
            one(AppAction::Focus(Pane::Chat)),
        ],
    }
}

/// Keys that work with any focus.
fn general_keys(app: &App) -> Vec<Wanted> {
    vec![
        one(AppAction::FocusNext),
        one(ChatAction::WhatIf),
        one(ChatAction::Race),
        one(AppAction::Help),
        one(AppAction::Palette),
        one(EditAction::NewLine),
        labelled(AppAction::Interrupt, interrupt_label(app)),
        one(ChatAction::Lens),
        pair(
            ControlsAction::Nudge(Control::Speculations, Step::Down),
            ControlsAction::Nudge(Control::Speculations, Step::Up),
            "speculations",
        ),
        one(AppAction::Sessions),
        one(AppAction::Models),
    ]
}

/// The keys that change the focused control.
fn control_keys(state: &State) -> Vec<Wanted> {
    let adjust = ControlsAction::Adjust;
    let change = pair(adjust(Step::Down), adjust(Step::Up), "change");
    let coarse = pair(adjust(Step::DownCoarse), adjust(Step::UpCoarse), "coarse");
    let mut keys = match state.controls.focused.kind(state.model.as_ref()) {
        Kind::Slider(_) | Kind::Number(_) => {
            vec![
                change,
                coarse,
                labelled(ControlsAction::Activate, "type a number"),
            ]
        }
        Kind::Toggle | Kind::Choice(_) => vec![change],
        Kind::Text => vec![labelled(ControlsAction::Activate, "edit")],
    };
    keys.extend([
        one(ControlsAction::Undo),
        one(AppAction::Presets),
        pair(
            ControlsAction::ControlUp,
            ControlsAction::ControlDown,
            "control",
        ),
    ]);
    keys
}

/// Ctrl-C ends something before it ends the program.
fn interrupt_label(app: &App) -> &'static str {
    let loading = matches!(
        app.chat.phase,
        Phase::Loading {
            cancelling: false,
            ..
        }
    );
    match (app.player(), app.chat.run()) {
        (Some(player), _) if !player.is_alone() => "leave",
        (None, Some(run)) if !run.cancelling => "cancel",
        (None, None) if loading => "cancel",
        (None, None) if app.chat.can_clear_prompt() => "clear",
        _ => "quit",
    }
}

/// What Esc does; `None` if it is not worth showing.
fn back_label(state: &State) -> Option<&'static str> {
    Some(match &state.phase {
        _ if !state.live => "to the replay",
        _ if state.controls.typing.is_some() => "discard",
        _ if state.run().is_some_and(|run| run.cancelling) => "stop waiting",
        _ if state.run().is_some() => "cancel",
        _ if state.send_when_loaded => "do not send",
        Phase::Loading {
            cancelling: false, ..
        } => "cancel",
        Phase::Failed { .. } if state.model.is_some() => "dismiss",
        _ if state.focus != state.home() => state.home().label(),
        _ if state.retracted.is_some() => "restore chat",
        _ if state.view.top.is_some() => "to the end",
        _ => return None,
    })
}

/// The hints of actions that are available and have a key.
fn resolve(app: &App, wanted: Vec<Wanted>) -> Vec<Hint> {
    wanted
        .into_iter()
        .filter_map(|wanted| hint(app, wanted))
        .collect()
}

fn hint(app: &App, wanted: Wanted) -> Option<Hint> {
    if !is_available(app, &wanted.action) {
        return None;
    }
    let key = app.key_now(wanted.action.clone())?;
    let label = if wanted.label.is_empty() {
        wanted.action.label()
    } else {
        wanted.label.to_owned()
    };
    let other = wanted.other.and_then(|other| {
        let name = beside(&key, &app.key_now(other.clone())?);
        Some((name, other))
    });
    Some(Hint {
        keys: std::iter::once((key, wanted.action)).chain(other).collect(),
        label,
    })
}

/// Shortens `alt-→` to `→` beside `alt-←`.
fn beside(key: &str, other: &str) -> String {
    let prefix = key.rfind('-').map_or(0, |at| at + 1);
    match other.strip_prefix(&key[..prefix]) {
        Some(rest) if rest.chars().count() == 1 && key[prefix..].chars().count() == 1 => {
            rest.to_string()
        }
        _ => format!(" {other}"),
    }
}

/// The keys of a replay.
fn replay_keys(player: &Player) -> Vec<Wanted> {
    let by = |rounds: i32, label| pair(ReplayAction::By(-rounds), ReplayAction::By(rounds), label);
    let pause = match player.course() {
        Course::Playing => "pause",
        Course::Paused => "resume",
        Course::Over => "again",
    };
    vec![
        labelled(ChatAction::Pause, pause),
        one(ChatAction::Step),
        by(1, "round"),
        pair(ReplayAction::Slower, ReplayAction::Faster, "speed"),
        labelled(
            AppAction::Back,
            if player.is_alone() { "quit" } else { "leave" },
        ),
        by(10, "10 rounds"),
        pair(ReplayAction::Start, ReplayAction::End, "start, end"),
        one(ReplayAction::AtOnce),
        one(AppAction::FocusNext),
        one(AppAction::Help),
    ]
}

/// The keys of an overlay.
fn overlay_keys(app: &App, overlay: &Overlay) -> Vec<Wanted> {
    let regions = &app.shared.regions;
    let scroll = || pair(ViewAction::ScrollUp, ViewAction::ScrollDown, "scroll");
    let longer = regions.text.total > regions.text.height;
    let close = labelled(AppAction::Back, "close");
    let discard = || labelled(AppAction::Back, "discard");
    let mut keys = match overlay {
        // Only what is about a word may fit.
        Overlay::Help {
            topic: Topic::Word(_),
            ..
        } => Vec::from_iter(longer.then(scroll)),
        Overlay::Help { .. } => vec![scroll()],
        // The window takes the rows between header, footer and its own border.
        Overlay::Text { lines, .. } if lines.len() + 4 > regions.height() => vec![scroll()],
        Overlay::Text { .. } => Vec::new(),
        Overlay::Picker(picker) => picker_keys(picker),
        Overlay::System(_) => {
            return vec![
                labelled(EditAction::Accept, "apply"),
                one(EditAction::NewLine),
                one(EditAction::ExternalEditor),
                discard(),
            ];
        }
        Overlay::WhatIf(_) => map_keys(),
        Overlay::Lens(_) => vec![
            pair(LensAction::LensLeft, LensAction::LensRight, "token"),
            pair(LensAction::LayerUp, LensAction::LayerDown, "layer"),
            labelled(LensAction::ApplyLayer, "exit layer"),
            one(LensAction::InspectToken),
            labelled(LensAction::EarliestLayer, "first to agree"),
            one(LensAction::ToggleMeasure),
        ],
        Overlay::Sweep(sweep) => {
            let close = match sweep.outcome {
                None => labelled(AppAction::Back, "cancel"),
                Some(_) => close,
            };
            return map_keys().into_iter().chain([close]).collect();
        }
        Overlay::Race(race) if race.outcome.is_none() => {
            return vec![labelled(AppAction::Back, "cancel")];
        }
        Overlay::Race(_) => {
            let again = labelled(ChatAction::Race, "again");
            std::iter::once(again).chain(longer.then(scroll)).collect()
        }
        Overlay::Sessions(list) if list.title.is_some() => {
            return vec![labelled(EditAction::Accept, "rename"), discard()];
        }
        Overlay::Sessions(_) => vec![
            one(SessionsAction::Open),
            one(SessionsAction::Replay),
            one(SessionsAction::Rename),
            one(SessionsAction::Delete),
            one(SessionsAction::Restore),
        ],
    };
    keys.push(close);
    keys
}

/// The keys of a map of exit layers and speculations.
fn map_keys() -> Vec<Wanted> {
    vec![
        pair(WhatIfAction::CellUp, WhatIfAction::CellDown, "exit layer"),
        pair(
            WhatIfAction::CellLeft,
            WhatIfAction::CellRight,
            "speculations",
        ),
        one(WhatIfAction::BestCell),
        one(WhatIfAction::ApplyCell),
        labelled(WhatIfAction::RaceCell, "race"),
    ]
}

/// The keys while searching for a text.
fn find_keys() -> Vec<Wanted> {
    vec![
        pair(ViewAction::FindPrevious, ViewAction::FindNext, "match"),
        pair(ViewAction::PageUp, ViewAction::PageDown, "scroll"),
        labelled(AppAction::Back, "close"),
    ]
}

/// The keys of the menu above the prompt.
fn menu_keys(menu: &Menu) -> Vec<Wanted> {
    let choose = match menu.chosen() {
        Some(chosen) if !chosen.complete => "take",
        _ => "run",
    };
    let select = (menu.entries.len() > 1)
        .then(|| pair(ListAction::EntryUp, ListAction::EntryDown, "select"));
    [
        labelled(ListAction::Choose, choose),
        one(ListAction::Complete),
    ]
    .into_iter()
    .chain(select)
    .chain([labelled(AppAction::Back, "close")])
    .collect()
}

/// The keys of a list: what Enter does depends on whether anything matches what was typed.
fn picker_keys(picker: &Picker) -> Vec<Wanted> {
    let typed = !picker.filter.text().trim().is_empty();
    let found = picker.chosen().is_some();
    let folder = picker
        .selected_entry()
        .is_some_and(|entry| entry.folder.is_some());
    let label = match (picker.title, found) {
        _ if folder => "open",
        ("models", _) => "load",
        ("presets", true) => "apply",
        ("presets", false) => "save",
        _ => "run",
    };
    let choose = (found || typed).then(|| labelled(ListAction::Choose, label));
    let delete =
        (found && picker.title == "presets").then(|| labelled(ListAction::DeleteEntry, "delete"));
    let path = picker.path().is_some() && found;
    let complete = path.then(|| one(ListAction::Complete));
    let select = (picker.matches().len() > 1)
        .then(|| pair(ListAction::EntryUp, ListAction::EntryDown, "select"));
    let keys = choose.into_iter().chain(complete).chain(delete);
    keys.chain(select).collect()
}
