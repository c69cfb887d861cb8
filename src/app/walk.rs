//! Moving about: scrolling, the token cursor, rounds, and how things are shown.

use super::action::{Action, Pane};
use super::config::ConfigChange;
use super::message::Effect;
use super::panel;
use super::regions::Target;
use super::state::State;
use super::turn::{TokenRef, Turn};
use ratatui::layout::Rect;

/// Lines by which a key scrolls what is told of a token.
const DETAILS: isize = 3;

pub(super) fn act(state: &mut State, action: Action) -> Vec<Effect> {
    let page = state.regions.transcript.height.saturating_sub(2).max(1) as isize;
    match action {
        Action::ScrollUp => scroll(state, -1),
        Action::ScrollDown => scroll(state, 1),
        Action::PageUp => scroll(state, -page),
        Action::PageDown => scroll(state, page),
        Action::Top => top(state),
        Action::Bottom => bottom(state),
        Action::TokenLeft => token(state, -1),
        Action::TokenRight => token(state, 1),
        Action::TokenUp => line(state, -1),
        Action::TokenDown => line(state, 1),
        Action::RoundLeft => round(state, -1),
        Action::RoundRight => round(state, 1),
        Action::DetailsUp => details(state, -DETAILS),
        Action::DetailsDown => details(state, DETAILS),
        Action::Copy => return copy(state),
        action => return show(state, action),
    }
    Vec::new()
}

/// How things are shown.
fn show(state: &mut State, action: Action) -> Vec<Effect> {
    match action {
        Action::ToggleRejected => {
            state.view.show_rejected = !state.view.show_rejected;
            if let Some(cursor) = state.view.cursor {
                state.view.cursor = is_shown(state, cursor).then_some(cursor);
            }
            state.say(if state.view.show_rejected {
                "rejected drafts are shown"
            } else {
                "rejected drafts are hidden"
            });
            panel::configure(state, ConfigChange::ShowRejected(state.view.show_rejected))
        }
        Action::ToggleMarkdown => {
            state.view.markdown = !state.view.markdown;
            state.view.cursor = state.view.cursor.filter(|cursor| is_shown(state, *cursor));
            state.view.reveal = state.view.cursor.is_some();
            state.say(match state.view.markdown {
                true => "finished answers are shown as Markdown",
                false => "answers are shown token by token",
            });
            Vec::new()
        }
        Action::ToggleMouse => {
            let mouse = !state.config.mouse;
            state.say(if mouse {
                "mouse captured"
            } else {
                "the mouse is the terminal's: select and copy"
            });
            let mut effects = vec![Effect::Mouse(mouse)];
            effects.extend(panel::configure(state, ConfigChange::Mouse(mouse)));
            effects
        }
        Action::NextTheme => theme(state, state.look.theme.next()),
        Action::Theme(name) => theme(state, name),
        _ => Vec::new(),
    }
}

fn theme(state: &mut State, name: super::ThemeName) -> Vec<Effect> {
    state.look.theme = name;
    state.say(format!("theme {}", name.label()));
    panel::configure(state, ConfigChange::Theme(name))
}

/// Scroll by wrapped lines. At the end, the end is followed again.
pub(super) fn scroll(state: &mut State, by: isize) {
    let shown = state.regions.transcript;
    let end = shown.total.saturating_sub(shown.height);
    let first = state.view.top.unwrap_or(end).min(end);
    let top = first.saturating_add_signed(by);
    state.view.top = (top < end).then_some(top);
}

/// Scroll what is told of a token.
pub(super) fn details(state: &mut State, by: isize) {
    state.view.details = state.regions.details.scrolled(by);
}

fn top(state: &mut State) {
    match state.focus {
        Pane::Rounds => select_round(state, first_round(state)),
        _ => scroll(state, isize::MIN / 2),
    }
}

fn bottom(state: &mut State) {
    match state.focus {
        Pane::Rounds => select_round(state, last_round(state)),
        _ => {
            state.view.cursor = None;
            state.view.top = None;
        }
    }
}

/// Going to the tokens or rounds puts a cursor on the last one.
pub(super) fn enter(state: &mut State, pane: Pane) {
    if matches!(pane, Pane::Rounds | Pane::Chat)
        && state.view.cursor.is_none()
        && state.run().is_none()
    {
        state.view.cursor = last_token(state);
    }
}

/// Whether a token is there and shown; a frame on screen may be older than the state.
pub(super) fn is_shown(state: &State, at: TokenRef) -> bool {
    let Some(turn) = state.turns.get(at.turn) else {
        return false;
    };
    // Markdown is of the text alone.
    let rejected = state.view.show_rejected && !state.shows_markdown(turn);
    turn.rounds
        .get(at.round)
        .is_some_and(|round| at.slot < round.slots() && (rejected || round.is_kept(at.slot)))
}

fn token(state: &mut State, by: isize) {
    let next = match state.view.cursor {
        None => last_token(state),
        Some(at) if by < 0 => before(state, at),
        Some(at) => after(state, at),
    };
    put_cursor(state, next);
}

fn put_cursor(state: &mut State, at: Option<TokenRef>) {
    if at.is_some_and(|at| is_shown(state, at)) {
        state.view.cursor = at;
        state.view.reveal = true;
    }
}

/// The shown token after `at`.
fn after(state: &State, at: TokenRef) -> Option<TokenRef> {
    let rest = state
        .turns
        .get(at.turn)?
        .rounds
        .iter()
        .enumerate()
        .skip(at.round);
    let here = rest.flat_map(|(round, r)| {
        (0..r.slots()).map(move |slot| TokenRef {
            turn: at.turn,
            round,
            slot,
        })
    });
    let later = (at.turn + 1..state.turns.len()).flat_map(|turn| tokens(state, turn));
    here.chain(later)
        .find(|next| *next > at && is_shown(state, *next))
}

/// The shown token before `at`.
fn before(state: &State, at: TokenRef) -> Option<TokenRef> {
    let rounds = state
        .turns
        .get(at.turn)?
        .rounds
        .iter()
        .enumerate()
        .take(at.round + 1)
        .rev();
    let here = rounds.flat_map(|(round, r)| {
        (0..r.slots()).rev().map(move |slot| TokenRef {
            turn: at.turn,
            round,
            slot,
        })
    });
    let earlier = (0..at.turn).rev().flat_map(|turn| tokens_back(state, turn));
    here.chain(earlier)
        .find(|next| *next < at && is_shown(state, *next))
}

fn tokens(state: &State, turn: usize) -> impl Iterator<Item = TokenRef> + '_ {
    let rounds = state.turns[turn].rounds.iter().enumerate();
    rounds
        .flat_map(move |(round, r)| (0..r.slots()).map(move |slot| TokenRef { turn, round, slot }))
}

fn tokens_back(state: &State, turn: usize) -> impl Iterator<Item = TokenRef> + '_ {
    let rounds = state.turns[turn].rounds.iter().enumerate().rev();
    rounds.flat_map(move |(round, r)| {
        (0..r.slots())
            .rev()
            .map(move |slot| TokenRef { turn, round, slot })
    })
}

fn last_token(state: &State) -> Option<TokenRef> {
    (0..state.turns.len())
        .rev()
        .flat_map(|turn| tokens_back(state, turn))
        .find(|at| is_shown(state, *at))
}

/// The token on the nearest row above or below, as the frame shows it; else scroll a line and go token-wise.
fn line(state: &mut State, by: i32) {
    let Some(at) = state.view.cursor else {
        return token(state, -1);
    };
    let boxes = || {
        let token = |(area, target): &(Rect, Target)| match target {
            Target::Token(token) => Some((*area, *token)),
            _ => None,
        };
        state.regions.areas().iter().filter_map(token)
    };
    let Some((from, _)) = boxes().find(|(_, token)| *token == at) else {
        return token(state, by as isize);
    };
    let away = |area: Rect| (i32::from(area.y) - i32::from(from.y)) * by;
    let nearest = boxes()
        .filter(|(area, _)| away(*area) > 0)
        .min_by_key(|(area, _)| (away(*area), (i32::from(area.x) - i32::from(from.x)).abs()));
    match nearest {
        Some((_, token)) => put_cursor(state, Some(token)),
        None => token(state, by as isize),
    }
}

fn last_round(state: &State) -> Option<(usize, usize)> {
    state
        .turns
        .iter()
        .enumerate()
        .rev()
        .find_map(|(at, turn)| Some((at, turn.rounds.len().checked_sub(1)?)))
}

fn first_round(state: &State) -> Option<(usize, usize)> {
    let (turn, _) = last_round(state)?;
    Some((turn, 0))
}

/// The next round of the session.
fn round(state: &mut State, by: isize) {
    let Some(at) = state.view.cursor else {
        return select_round(state, last_round(state));
    };
    let within = at
        .round
        .checked_add_signed(by)
        .filter(|round| *round < state.turns[at.turn].rounds.len());
    let has_rounds = |turn: &usize| !state.turns[*turn].rounds.is_empty();
    let next = match within {
        Some(round) => Some((at.turn, round)),
        None if by < 0 => (0..at.turn)
            .rev()
            .find(has_rounds)
            .map(|turn| (turn, state.turns[turn].rounds.len() - 1)),
        None => (at.turn + 1..state.turns.len())
            .find(has_rounds)
            .map(|turn| (turn, 0)),
    };
    select_round(state, next);
}

/// Put the cursor on the first token of a round.
pub(super) fn select_round(state: &mut State, at: Option<(usize, usize)>) {
    let Some((turn, round)) = at else { return };
    let Some(found) = state
        .turns
        .get(turn)
        .and_then(|turn| turn.rounds.get(round))
    else {
        return;
    };
    let mut slots = 0..found.slots();
    let first = slots.find(|slot| {
        is_shown(
            state,
            TokenRef {
                turn,
                round,
                slot: *slot,
            },
        )
    });
    put_cursor(
        state,
        Some(TokenRef {
            turn,
            round,
            slot: first.unwrap_or(0),
        }),
    );
}

/// Copy the answer under the cursor, or else the last one.
fn copy(state: &mut State) -> Vec<Effect> {
    let turn = match state.view.cursor {
        Some(at) => state.turns.get(at.turn),
        None => state.turns.iter().rev().find(|turn| !turn.is_empty()),
    };
    match turn.map(Turn::answer) {
        Some(text) if !text.is_empty() => {
            state.say("answer copied");
            vec![Effect::Copy(text)]
        }
        _ => {
            state.say("there is no answer to copy");
            Vec::new()
        }
    }
}
