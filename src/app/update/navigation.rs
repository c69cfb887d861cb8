//! Scrolling, the token cursor, rounds, and how answers are shown.

use super::reply::Reply;
use super::settings_file::configure;
use crate::app::config::ConfigChange;
use crate::app::input::action::{Pane, ViewAction};
use crate::app::message::Effect;
use crate::app::state::worst::worst_drafts;
use crate::app::state::{Display, Regions, Shared, State, Target, TokenRef, Turn};
use ratatui::layout::Rect;

/// Lines by which a key scrolls the token's details.
const DETAILS: isize = 3;

pub(super) fn act(state: &mut State, shared: &mut Shared, action: ViewAction) -> Reply {
    let (display, regions) = (shared.display, &shared.regions);
    let page = regions.transcript.height.saturating_sub(2).max(1) as isize;
    match action {
        ViewAction::ScrollUp => scroll(state, regions, -1),
        ViewAction::ScrollDown => scroll(state, regions, 1),
        ViewAction::PageUp => scroll(state, regions, -page),
        ViewAction::PageDown => scroll(state, regions, page),
        ViewAction::Top => top(state, shared),
        ViewAction::Bottom => bottom(state, display),
        ViewAction::TokenLeft => token(state, display, -1),
        ViewAction::TokenRight => token(state, display, 1),
        ViewAction::TokenUp => line(state, shared, -1),
        ViewAction::TokenDown => line(state, shared, 1),
        ViewAction::RoundLeft => round(state, display, -1),
        ViewAction::RoundRight => round(state, display, 1),
        ViewAction::NextRejection => rejection(state, display, 1),
        ViewAction::PreviousRejection => rejection(state, display, -1),
        ViewAction::NextWorst => worst(state, display, 1),
        ViewAction::PreviousWorst => worst(state, display, -1),
        ViewAction::DetailsUp => details(state, regions, -DETAILS),
        ViewAction::DetailsDown => details(state, regions, DETAILS),
        ViewAction::Copy => return copy(state).into(),
        ViewAction::ToggleRejected => return toggle_rejected(state, shared).into(),
        ViewAction::ToggleMarkdown => toggle_markdown(state, shared),
        ViewAction::Find => drop(state.find.get_or_insert_default()),
        ViewAction::FindNext => find(state, regions, 1),
        ViewAction::FindPrevious => find(state, regions, -1),
    }
    Reply::none()
}

/// Moves to another match.
fn find(state: &mut State, regions: &Regions, by: isize) {
    if let Some(find) = &mut state.find {
        find.step(regions.found, by);
    }
}

fn toggle_rejected(state: &mut State, shared: &mut Shared) -> Effect {
    let shown = !shared.display.show_rejected;
    shared.display.show_rejected = shown;
    state.view.cursor = state
        .view
        .cursor
        .filter(|cursor| is_shown(state, shared.display, *cursor));
    state.notify(if shown {
        "rejected drafts are shown, and will be next time"
    } else {
        "rejected drafts are hidden, and will be next time"
    });
    configure(shared, ConfigChange::ShowRejected(shown))
}

fn toggle_markdown(state: &mut State, shared: &mut Shared) {
    shared.display.markdown = !shared.display.markdown;
    state.view.cursor = state
        .view
        .cursor
        .filter(|cursor| is_shown(state, shared.display, *cursor));
    state.view.reveal = state.view.cursor.is_some();
    state.notify(match shared.display.markdown {
        true => "finished answers are shown as Markdown",
        false => "answers are shown token by token",
    });
}

/// Scrolls by wrapped lines. At the end, the view follows the end again.
pub(super) fn scroll(state: &mut State, regions: &Regions, by: isize) {
    let shown = regions.transcript;
    let end = shown.total.saturating_sub(shown.height);
    let first = state.view.top.unwrap_or(end).min(end);
    let top = first.saturating_add_signed(by);
    state.view.top = (top < end).then_some(top);
}

/// Scrolls the token's details.
pub(super) fn details(state: &mut State, regions: &Regions, by: isize) {
    state.view.details = regions.details.scrolled(by);
}

fn top(state: &mut State, shared: &Shared) {
    match state.focus {
        Pane::Rounds => select_round(state, shared.display, first_round(state)),
        _ => scroll(state, &shared.regions, isize::MIN / 2),
    }
}

fn bottom(state: &mut State, display: Display) {
    match state.focus {
        Pane::Rounds => select_round(state, display, last_round(state)),
        _ => {
            state.view.cursor = None;
            state.view.top = None;
        }
    }
}

/// Focuses a pane. Entering tokens or rounds puts the cursor on the last one.
pub(super) fn enter(state: &mut State, shared: &Shared, pane: Pane) {
    if matches!(pane, Pane::Rounds | Pane::Chat)
        && state.view.cursor.is_none()
        && state.run().is_none()
    {
        state.view.cursor = last_token(state, shared.display);
    }
}

/// Whether a token exists and is shown. The frame on screen may be older than the state.
pub(super) fn is_shown(state: &State, display: Display, at: TokenRef) -> bool {
    state.is_shown(display, at)
}

/// To the next round with a rejected draft.
fn rejection(state: &mut State, display: Display, by: isize) {
    let rejecting = |turn: usize| {
        let rounds = state.turns[turn].rounds.iter().enumerate();
        rounds.filter_map(move |(round, r)| {
            let slot = (0..r.slots()).find(|slot| !r.is_kept(*slot))?;
            Some(TokenRef { turn, round, slot })
        })
    };
    let mut all = (0..state.turns.len())
        .flat_map(rejecting)
        .filter_map(|at| state.reachable(display, at));
    let next = match (state.view.cursor, by < 0) {
        (Some(cursor), true) => all.take_while(|at| *at < cursor).last(),
        (Some(cursor), false) => all.find(|at| *at > cursor),
        (None, true) => all.next_back(),
        (None, false) => all.next(),
    };
    match next {
        Some(at) => put_cursor(state, display, Some(at)),
        None => state.notify("no further rejected draft"),
    }
}

/// To the next of the worst drafts of the inspected answer; from elsewhere, to the worst one.
fn worst(state: &mut State, display: Display, by: isize) {
    let turn = state.view.cursor.map(|at| at.turn).or_else(|| {
        let drafted = |turn: &Turn| turn.stats.drafted > turn.stats.accepted;
        state.turns.iter().rposition(drafted)
    });
    let Some((index, turn)) = turn.and_then(|at| Some((at, state.turns.get(at)?))) else {
        return;
    };
    let drafts = worst_drafts(index, turn, usize::MAX);
    let reachable: Vec<TokenRef> = drafts
        .iter()
        .filter_map(|draft| state.reachable(display, draft.at))
        .collect();
    let here = reachable
        .iter()
        .position(|at| Some(*at) == state.view.cursor);
    let next = here.map_or(Some(0), |here| here.checked_add_signed(by));
    match next.and_then(|at| reachable.get(at)) {
        Some(at) => put_cursor(state, display, Some(*at)),
        None => state.notify("no further rejected draft"),
    }
}

fn token(state: &mut State, display: Display, by: isize) {
    let next = match state.view.cursor {
        None => last_token(state, display),
        Some(at) if by < 0 => before(state, display, at),
        Some(at) => after(state, display, at),
    };
    put_cursor(state, display, next);
}

fn put_cursor(state: &mut State, display: Display, at: Option<TokenRef>) {
    if at.is_some_and(|at| is_shown(state, display, at)) {
        state.view.cursor = at;
        state.view.reveal = true;
    }
}

/// The shown token after `at`.
fn after(state: &State, display: Display, at: TokenRef) -> Option<TokenRef> {
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
        .find(|next| *next > at && is_shown(state, display, *next))
}

/// The shown token before `at`.
fn before(state: &State, display: Display, at: TokenRef) -> Option<TokenRef> {
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
        .find(|next| *next < at && is_shown(state, display, *next))
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

fn last_token(state: &State, display: Display) -> Option<TokenRef> {
    (0..state.turns.len())
        .rev()
        .flat_map(|turn| tokens_back(state, turn))
        .find(|at| is_shown(state, display, *at))
}

/// To the token on the nearest row above or below in the frame; without one, to the neighbouring token.
fn line(state: &mut State, shared: &Shared, by: i32) {
    let display = shared.display;
    let Some(at) = state.view.cursor else {
        return token(state, display, -1);
    };
    let boxes = || {
        let token = |(area, target): &(Rect, Target)| match target {
            Target::Token(token) => Some((*area, *token)),
            _ => None,
        };
        shared.regions.areas().iter().filter_map(token)
    };
    let Some((from, _)) = boxes().find(|(_, token)| *token == at) else {
        return token(state, display, by as isize);
    };
    let away = |area: Rect| (i32::from(area.y) - i32::from(from.y)) * by;
    let nearest = boxes()
        .filter(|(area, _)| away(*area) > 0)
        .min_by_key(|(area, _)| (away(*area), (i32::from(area.x) - i32::from(from.x)).abs()));
    match nearest {
        Some((_, token)) => put_cursor(state, display, Some(token)),
        None => token(state, display, by as isize),
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
fn round(state: &mut State, display: Display, by: isize) {
    let Some(at) = state.view.cursor else {
        return select_round(state, display, last_round(state));
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
    select_round(state, display, next);
}

/// Puts the cursor on the first token of a round.
pub(super) fn select_round(state: &mut State, display: Display, at: Option<(usize, usize)>) {
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
            display,
            TokenRef {
                turn,
                round,
                slot: *slot,
            },
        )
    });
    put_cursor(
        state,
        display,
        Some(TokenRef {
            turn,
            round,
            slot: first.unwrap_or(0),
        }),
    );
}

/// Copies the answer under the cursor, else the last one.
fn copy(state: &mut State) -> Option<Effect> {
    let turn = match state.view.cursor {
        Some(at) => state.turns.get(at.turn),
        None => state.turns.iter().rev().find(|turn| !turn.is_empty()),
    };
    match turn.map(Turn::answer) {
        Some(text) if !text.is_empty() => {
            state.notify("answer copied");
            Some(Effect::Copy(text))
        }
        _ => {
            state.notify("there is no answer to copy");
            None
        }
    }
}
