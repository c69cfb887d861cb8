//! The only place where the state changes. [`update`] routes a message to its handler, then carries out the actions
//! that handlers return, one after the other.

mod chat;
mod controls;
mod edit;
mod engine_events;
mod lens;
mod menu;
mod model;
mod mouse;
mod navigation;
mod overlay;
mod program;
mod queue;
mod race;
mod remote;
mod replay;
mod reply;
mod resume;
mod retract;
mod run;
mod sessions;
mod settings_file;
mod slash;
mod start;
mod sweep;
mod what_if;

use super::available::{allowed_in_replay, allowed_while_watching};
use super::input::action::{AppAction, ChatAction};
use super::input::{Action, Context, Key};
use super::message::{Effect, Msg};
use super::state::{App, Overlay, Regions, State};
use crossterm::event::{KeyEvent, KeyEventKind};
use reply::Reply;
use std::collections::VecDeque;
use std::time::Duration;

/// How long a notice stays, and the extra time per character beyond one line.
const NOTICE: Duration = Duration::from_secs(4);
const NOTICE_CHARACTER: Duration = Duration::from_millis(40);
const NOTICE_LINE: usize = 60;
/// Why nothing can be asked or changed while the requests of others are watched.
const READ_ONLY: &str = "watching is read-only; connect without --watch to ask something";

/// Handles a message and returns effects for the driver. Deterministic in state and message.
pub fn update(app: &mut App, msg: Msg) -> Vec<Effect> {
    let racing = app.chat.side_run();
    let waiting = app.chat.waiting_prompt().map(str::to_owned);
    let failed = matches!(msg, Msg::EffectFailed(_));
    if slash::is_over(&msg) {
        app.chat.command = None;
    }
    let mut effects = Vec::new();
    let mut queue = VecDeque::new();
    let mut reply = take(app, msg);
    loop {
        effects.append(&mut reply.effects);
        reply
            .then
            .into_iter()
            .rev()
            .for_each(|action| queue.push_front(action));
        let Some(action) = queue.pop_front() else {
            break;
        };
        reply = act(app, action);
    }
    slash::settle(&mut app.chat, &effects, failed);
    effects.extend(race::cancel_if_closed(&app.chat, racing));
    if app
        .chat
        .waiting_prompt()
        .is_some_and(|now| waiting.is_some_and(|before| before != now))
    {
        model::keep_back(&mut app.chat);
    }
    app.state_mut().drop_stale_notice();
    effects
}

fn take(app: &mut App, msg: Msg) -> Reply {
    let (state, shared) = app.parts();
    match msg {
        Msg::Key(key) if key.kind != KeyEventKind::Release => return on_key(app, key),
        Msg::Key(_) | Msg::Resize => {}
        Msg::Mouse(event) => return mouse::on_mouse(app, event),
        Msg::Paste(text) => return edit::paste(state, shared, &text),
        Msg::Edited(text) => edit::replace(state, &text),
        Msg::Tick(now) => on_tick(app, now),
        Msg::Drawn(regions) => on_drawn(app, regions),
        Msg::Action(action) => return Reply::then(action),
        Msg::Engine(event) => {
            return engine_events::on_event(&mut app.chat, event);
        }
        Msg::EngineGone => engine_events::on_gone(&mut app.chat),
        Msg::Link(link) => remote::on_link(&mut app.chat, link),
        Msg::Watched { request, said } => {
            remote::on_watched(&mut app.chat, &mut app.shared, request, said);
        }
        Msg::Missed { reports, open } => {
            remote::on_missed(&mut app.chat, &mut app.shared, reports, open);
        }
        Msg::SessionLoaded(session) => {
            return resume::load(&mut app.chat, &mut app.shared, &session).into();
        }
        Msg::ReplayLoaded(session) => replay::open(app, session),
        Msg::Folder(folder) if overlay::on_folder(state, &folder) => state.folder = Some(folder),
        Msg::Folder(folder) => menu::on_folder(state, shared, folder),
        Msg::Models(models) => overlay::on_models(state, shared, models),
        Msg::Sessions {
            search_id,
            listed,
            done,
        } => sessions::on_listed(state, shared, search_id, listed, done),
        Msg::SessionRenamed => return sessions::on_renamed(state, shared).into(),
        Msg::SessionDeleted { id, own } => {
            return sessions::on_deleted(state, shared, id, own).into();
        }
        Msg::SessionRestored(id) => return sessions::on_restored(state, shared, id).into(),
        Msg::SweepLoaded { title, rows, plain } => sweep::open(state, title, &rows, plain),
        Msg::Presets(presets) => shared.config.presets = presets,
        Msg::EffectDone(text) => state.notify(text),
        Msg::EffectFailed(text) => state.notify_error(text),
    }
    Reply::none()
}

/// Resolves a key to an action of the key map, else to text.
fn on_key(app: &mut App, key: KeyEvent) -> Reply {
    let bound = app.shared.keys.action(app.context(), key).cloned();
    let reading = app.context() == Context::Pager;
    let (state, shared) = app.parts();
    match (bound, Key::from(key).character()) {
        (Some(action), _) => Reply::then(action),
        (None, Some(c)) if opened_by_itself(state) => {
            state.overlay = None;
            edit::typed(state, shared, c)
        }
        // Any other key closes a text overlay.
        (None, _) if reading => Reply::then(AppAction::Back),
        (None, Some(c)) => edit::typed(state, shared, c),
        (None, None) => Reply::none(),
    }
}

fn opened_by_itself(state: &State) -> bool {
    matches!(&state.overlay, Some(Overlay::Text { by_itself, .. }) if *by_itself)
}

/// Carries out one action.
fn act(app: &mut App, action: Action) -> Reply {
    if app.replay.is_some() && !allowed_in_replay(&action) {
        replay::refuse(app.state_mut());
        return Reply::none();
    }
    if !allowed_while_watching(&app.chat, &action) {
        app.state_mut().notify_error(READ_ONLY);
        return Reply::none();
    }
    let (state, shared) = app.parts();
    match action {
        Action::App(action) => program::act(app, action),
        Action::Chat(ChatAction::Pause) if !state.live => replay::pause(app),
        Action::Chat(ChatAction::Step) if !state.live => replay::step(app),
        Action::Chat(action) => chat::act(state, shared, action),
        Action::Edit(action) => edit::act(state, shared, action),
        Action::Controls(action) => controls::act(state, shared, action),
        Action::View(action) if overlay::scroll(state, &shared.regions, action) => Reply::none(),
        Action::View(action) => navigation::act(state, shared, action),
        Action::List(action) => overlay::list(state, shared, action),
        Action::WhatIf(action) if matches!(state.overlay, Some(Overlay::Sweep(_))) => {
            sweep::act(state, shared, action)
        }
        Action::WhatIf(action) => what_if::act(state, shared, action),
        Action::Lens(action) => lens::act(state, shared, action),
        Action::Sessions(action) => sessions::act(state, shared, action),
        Action::Replay(action) => replay::act(app, action),
    }
}

fn on_tick(app: &mut App, now: Duration) {
    app.shared.now = now;
    let state = app.state_mut();
    if let Some(notice) = &mut state.notice {
        let more = notice.text.chars().count().saturating_sub(NOTICE_LINE);
        let stays = NOTICE + NOTICE_CHARACTER * u32::try_from(more).unwrap_or(0);
        let since = *notice.since.get_or_insert(now);
        if now.saturating_sub(since) > stays {
            state.notice = None;
        }
    }
    replay::on_tick(app);
}

/// Adopts the scroll position that the frame chose to show the cursor.
fn on_drawn(app: &mut App, regions: Regions) {
    let shown = regions.transcript;
    let state = app.state_mut();
    let found = state.find.as_mut().is_some_and(|find| {
        find.at = regions.found.current;
        std::mem::take(&mut find.reveal)
    });
    let view = &mut state.view;
    if std::mem::take(&mut view.reveal) || found {
        view.top = (shown.first + shown.height < shown.total).then_some(shown.first);
    }
    app.shared.regions = regions;
}
