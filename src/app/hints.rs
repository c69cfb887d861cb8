//! Which keys are worth naming now: derived from the key map and the state, so that a key shown always works.

use super::action::{Action, Pane, Step};
use super::picker::Picker;
use super::range::Kind;
use super::state::{Overlay, Phase, State};
use super::{Browse, Play, Player, browser, player, race, what_if};
use crossterm::event::{KeyCode, KeyEvent};

/// A key or a pair of keys like `←→`, and what they do.
#[derive(Debug, Clone, PartialEq)]
pub struct Hint {
    /// Each as shown, with what a click on it does.
    pub keys: Vec<(String, Click)>,
    pub label: String,
}

/// What a click on a key of the footer does: the same as the key.
#[derive(Debug, Clone, PartialEq)]
pub enum Click {
    Do(Action),
    /// What lies over the screen has keys of its own.
    Press(KeyCode),
    /// Likewise, with modifiers.
    Key(KeyEvent),
}

/// Whether an action would do something now.
pub fn can(state: &State, action: &Action) -> bool {
    let running = state.run().is_some();
    let ready = state.model.is_some() && !running && !matches!(state.phase, Phase::Loading { .. });
    let answered = state.turns.iter().any(|turn| !turn.is_empty());
    if state.replay.is_some() && !player::allows(action) {
        return false;
    }
    match action {
        Action::Send if state.prompt.is_empty() => state.offer().is_some(),
        Action::Send => ready,
        Action::Cancel => running,
        Action::Regenerate | Action::Reroll | Action::Continue => ready && !state.turns.is_empty(),
        Action::EditLast => !running && !state.turns.is_empty(),
        Action::Clear => !state.turns.is_empty(),
        Action::Pause => running || state.replay.is_some(),
        Action::Step => running || state.replay.is_some(),
        Action::Play(_) => state.replay.is_some(),
        Action::Browse(step) => browser::can(state, *step),
        Action::LoadSession(_) | Action::ReplaySession(_) => !running,
        Action::Copy
        | Action::TokenLeft
        | Action::TokenRight
        | Action::RoundLeft
        | Action::RoundRight => answered,
        Action::DetailsUp | Action::DetailsDown => {
            let shown = state.regions.details;
            shown.total > shown.height
        }
        Action::WhatIf => what_if::can(state),
        Action::Race => race::can(state),
        Action::Undo => state.controls.can_undo(),
        _ => true,
    }
}

/// The keys of the footer, the most useful first.
pub fn hints(state: &State) -> Vec<Hint> {
    if let Some(overlay) = &state.overlay {
        return overlay_hints(state, overlay);
    }
    if let Some(player) = state
        .replay
        .as_deref()
        .filter(|_| state.focus == Pane::Prompt)
    {
        return replay_hints(state, player);
    }
    let mut hints = Vec::new();
    add_back(state, &mut hints);
    let offer = state.offer().filter(|_| state.prompt.is_empty());
    let pairs = |a: Action, b: Action, label: &'static str| (a, Some(b), label);
    let one = |action: Action| (action, None, "");
    let wanted = match state.focus {
        Pane::Controls if state.controls.typing.is_some() => {
            hints.insert(0, pressed(&ENTER, "take it"));
            return hints;
        }
        Pane::Prompt => vec![
            (
                Action::Send,
                None,
                offer.as_ref().map_or("", |offer| offer.label.as_str()),
            ),
            pairs(
                Action::Nudge(super::Control::ExitLayer, Step::Down),
                Action::Nudge(super::Control::ExitLayer, Step::Up),
                "exit layer",
            ),
        ],
        Pane::Controls => controls(state),
        Pane::Chat => vec![
            pairs(Action::TokenLeft, Action::TokenRight, "token"),
            pairs(Action::DetailsUp, Action::DetailsDown, "token details"),
            one(Action::Copy),
            (
                Action::ToggleMarkdown,
                None,
                if state.view.markdown {
                    "show origins"
                } else {
                    ""
                },
            ),
            (Action::ToggleDetail, None, "layers"),
            one(Action::ToggleRejected),
            one(Action::Regenerate),
            one(Action::Reroll),
            one(Action::Continue),
        ],
        Pane::Rounds => {
            vec![
                pairs(Action::RoundLeft, Action::RoundRight, "round"),
                pairs(Action::DetailsUp, Action::DetailsDown, "token details"),
                one(Action::Focus(Pane::Chat)),
            ]
        }
    };
    let playing = |player: &Player| player.course() != player::Course::Playing;
    let paused = state
        .replay
        .as_deref()
        .map_or(matches!(state.phase, Phase::Paused { .. }), playing);
    let stepping = [
        (Action::Step, "step"),
        (Action::Pause, if paused { "go on" } else { "pause" }),
    ];
    let stepping = stepping
        .into_iter()
        .filter(|(action, _)| paused || *action == Action::Pause);
    let nudge = |control, step| Action::Nudge(control, step);
    let speculations = super::Control::Speculations;
    let always = [
        (Action::FocusNext, None, ""),
        (Action::WhatIf, None, ""),
        (Action::Race, None, ""),
        (Action::Help, None, ""),
        (Action::Palette, None, ""),
        (Action::NewLine, None, ""),
        (Action::Interrupt, None, interrupt_label(state)),
        pairs(
            nudge(speculations, Step::Down),
            nudge(speculations, Step::Up),
            "speculations",
        ),
        one(Action::Sessions),
        one(Action::Models),
    ];
    let all = stepping
        .map(|(action, label)| (action, None, label))
        .chain(wanted)
        .chain(always);
    hints.extend(all.filter_map(|(action, other, label)| hint(state, action, other, label)));
    hints
}

/// An action with a second one beside it, and what both do.
type Wanted = (Action, Option<Action>, &'static str);

/// The keys that change the focused control.
fn controls(state: &State) -> Vec<Wanted> {
    let change = (
        Action::Adjust(Step::Down),
        Some(Action::Adjust(Step::Up)),
        "change",
    );
    let coarse = (
        Action::Adjust(Step::DownCoarse),
        Some(Action::Adjust(Step::UpCoarse)),
        "coarse",
    );
    let mut keys = match state.controls.focused.kind(state.model.as_ref()) {
        Kind::Slider(_) | Kind::Number(_) => {
            vec![change, coarse, (Action::Activate, None, "type a number")]
        }
        Kind::Toggle | Kind::Choice(_) => vec![change],
        Kind::Text => vec![(Action::Activate, None, "edit")],
    };
    keys.extend([(Action::Undo, None, ""), (Action::Presets, None, "")]);
    keys.push((Action::ControlUp, Some(Action::ControlDown), "control"));
    keys
}

/// Ctrl-C ends something before it ends the program.
fn interrupt_label(state: &State) -> &'static str {
    match (&state.replay, state.run()) {
        (Some(player), _) if !player.alone() => "leave",
        (None, Some(run)) if !run.cancelling => "cancel",
        (None, None)
            if matches!(
                state.phase,
                Phase::Loading {
                    cancelling: false,
                    ..
                }
            ) =>
        {
            "cancel"
        }
        _ => "quit",
    }
}

/// Esc does different things; say which.
fn add_back(state: &State, hints: &mut Vec<Hint>) {
    let label = match &state.phase {
        _ if state.replay.is_some() => "to the replay",
        _ if state.controls.typing.is_some() => "drop",
        _ if state.run().is_some_and(|run| run.cancelling) => "stop waiting",
        _ if state.run().is_some() => "cancel",
        _ if state.queued => "take it back",
        Phase::Loading {
            cancelling: false, ..
        } => "cancel",
        Phase::Failed { .. } if state.model.is_some() => "dismiss",
        _ if state.focus != Pane::Prompt => "prompt",
        _ if state.withdrawn.is_some() => "the chat as it was",
        _ if state.view.top.is_some() => "to the end",
        _ => return,
    };
    hints.extend(hint(state, Action::Back, None, label));
}

/// A hint for an action that can be done and has a key, with a second one beside it.
fn hint(state: &State, action: Action, other: Option<Action>, label: &str) -> Option<Hint> {
    if !can(state, &action) {
        return None;
    }
    let key = state.keys.key_of(state.context(), &action)?.to_string();
    let label = if label.is_empty() {
        action.label()
    } else {
        label.to_string()
    };
    let other = other.and_then(|other| {
        Some((
            state.keys.key_of(state.context(), &other)?.to_string(),
            Click::Do(other),
        ))
    });
    let other = other.map(|(other, click)| (beside(&key, &other), click));
    Some(Hint {
        keys: std::iter::once((key, Click::Do(action)))
            .chain(other)
            .collect(),
        label,
    })
}

/// `alt-→` beside `alt-←` is shown as `→`.
fn beside(key: &str, other: &str) -> String {
    let prefix = key.rfind('-').map_or(0, |at| at + 1);
    match other.strip_prefix(&key[..prefix]) {
        Some(rest) if rest.chars().count() == 1 && key[prefix..].chars().count() == 1 => {
            rest.to_string()
        }
        _ => format!(" {other}"),
    }
}

const UP_DOWN: [(&str, KeyCode); 2] = [("↑", KeyCode::Up), ("↓", KeyCode::Down)];
const ENTER: [(&str, KeyCode); 1] = [("enter", KeyCode::Enter)];

/// Keys that what lies over the screen takes.
fn pressed(keys: &[(&str, KeyCode)], label: &str) -> Hint {
    let keys = keys
        .iter()
        .map(|(name, code)| (name.to_string(), Click::Press(*code)));
    Hint {
        keys: keys.collect(),
        label: label.into(),
    }
}

/// The keys of a list: what Enter does depends on whether anything fits what was typed.
fn picker_hints(picker: &Picker) -> Vec<Hint> {
    let (typed, found) = (!picker.filter.trim().is_empty(), picker.chosen().is_some());
    let label = match (picker.title, found) {
        ("models", _) => "load",
        ("presets", true) => "use",
        ("presets", false) => "save",
        _ => "do it",
    };
    let choose = (picker.matches().len() > 1).then(|| pressed(&UP_DOWN, "choose"));
    let enter = (found || typed).then(|| pressed(&ENTER, label));
    let drop = (found && picker.title == "presets")
        .then(|| pressed(&[("delete", KeyCode::Delete)], "forget"));
    enter.into_iter().chain(drop).chain(choose).collect()
}

/// A key of the prompt that what lies over the screen takes as the prompt does.
fn prompt_hint(state: &State, action: Action, label: &str) -> Option<Hint> {
    let key = state.keys.key_of(Pane::Prompt, &action)?;
    let label = if label.is_empty() {
        action.label()
    } else {
        label.into()
    };
    Some(Hint {
        keys: vec![(key.to_string(), Click::Key(key.event()))],
        label,
    })
}

/// The keys of a replay.
fn replay_hints(state: &State, player: &Player) -> Vec<Hint> {
    let by = |rounds: i32| {
        (
            Action::Play(Play::By(-rounds)),
            Some(Action::Play(Play::By(rounds))),
        )
    };
    let pause = match player.course() {
        player::Course::Playing => "pause",
        player::Course::Paused => "go on",
        player::Course::Over => "again",
    };
    let (one, ten) = (by(1), by(10));
    let wanted = [
        (Action::Pause, None, pause),
        (Action::Step, None, "step"),
        (one.0, one.1, "round"),
        (
            Action::Play(Play::Slower),
            Some(Action::Play(Play::Faster)),
            "speed",
        ),
        (
            Action::Back,
            None,
            if player.alone() { "quit" } else { "leave" },
        ),
        (ten.0, ten.1, "10 rounds"),
        (
            Action::Play(Play::Start),
            Some(Action::Play(Play::End)),
            "start, end",
        ),
        (Action::Play(Play::AtOnce), None, ""),
        (Action::FocusNext, None, ""),
        (Action::Help, None, ""),
    ];
    wanted
        .into_iter()
        .filter_map(|(action, other, label)| hint(state, action, other, label))
        .collect()
}

fn overlay_hints(state: &State, overlay: &Overlay) -> Vec<Hint> {
    let close = hint(state, Action::Back, None, "close");
    let longer = state.regions.text.total > state.regions.text.height;
    let scroll = longer.then(|| pressed(&UP_DOWN, "scroll"));
    let own = match overlay {
        Overlay::Help { .. } => vec![pressed(&UP_DOWN, "scroll")],
        // The window takes the rows between header, footer and its own border.
        Overlay::Text { lines, .. } if lines.len() + 4 > state.regions.height() => {
            vec![pressed(&UP_DOWN, "scroll")]
        }
        Overlay::Text { .. } => Vec::new(),
        Overlay::Picker(picker) => picker_hints(picker),
        Overlay::System(_) => {
            let keys = [
                (Action::Send, "take it"),
                (Action::NewLine, ""),
                (Action::ExternalEditor, ""),
            ];
            let own = keys
                .into_iter()
                .filter_map(|(action, label)| prompt_hint(state, action, label));
            return own.chain(hint(state, Action::Back, None, "drop")).collect();
        }
        Overlay::WhatIf(_) => {
            let moves = vec![
                pressed(&UP_DOWN, "exit layer"),
                pressed(
                    &[("←", KeyCode::Left), ("→", KeyCode::Right)],
                    "speculations",
                ),
                pressed(&[("b", KeyCode::Char('b'))], "best"),
            ];
            let take = state.replay.is_none().then(|| pressed(&ENTER, "take it"));
            moves.into_iter().chain(take).collect()
        }
        Overlay::Race(race) if race.outcome.is_none() => {
            return hint(state, Action::Back, None, "cancel")
                .into_iter()
                .collect();
        }
        Overlay::Race(_) => std::iter::once(pressed(&ENTER, "again"))
            .chain(scroll)
            .collect(),
        Overlay::Sessions(list) if list.title.is_some() => {
            return std::iter::once(pressed(&ENTER, "rename"))
                .chain(hint(state, Action::Back, None, "drop"))
                .collect();
        }
        Overlay::Sessions(_) => {
            let steps = [
                Browse::Open,
                Browse::Replay,
                Browse::Rename,
                Browse::Delete,
                Browse::Restore,
            ];
            steps
                .into_iter()
                .filter_map(|step| hint(state, Action::Browse(step), None, ""))
                .collect()
        }
    };
    own.into_iter().chain(close).collect()
}
