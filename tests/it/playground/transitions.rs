//! Every key in every situation: none is dead without a word, and each one that is shown does something.

use super::support::{Harness, said};
use skiplens::app::hints::hints;
use skiplens::app::input::Context;
use skiplens::app::input::action::{AppAction, ChatAction, ControlsAction, ListAction, ViewAction};
use skiplens::app::{Action, App, Effect, Msg, Options, Pane, update};
use skiplens::engine::worker::{Event, Failure, ModelEvent};

/// An answered question, then these keys.
fn answered(keys: &str) -> App {
    let mut h = Harness::ready(100, 40);
    h.ask("hi");
    h.tick(60_000);
    h.press(keys);
    h.engine(usize::MAX);
    h.tick(120_000);
    h.app
}

/// A question of which the engine has reported so much, then these keys.
fn asked(events: usize, keys: &str) -> App {
    let mut h = Harness::ready(100, 40);
    h.ask("before");
    h.write("hi");
    h.press("enter");
    h.engine(events);
    h.press(keys);
    h.engine(2);
    h.tick(60_000);
    h.app
}

fn loading(event: Option<Event>) -> App {
    let mut h = Harness::starting(100, 40, Options::default());
    event
        .into_iter()
        .for_each(|event| h.send(Msg::Engine(event)));
    h.app
}

fn replayed(keys: &str) -> App {
    let mut h = Harness::ready(100, 40);
    h.send(Msg::ReplayLoaded(said("Why is the sky blue?", 1)));
    h.press("shift-right");
    h.press(keys);
    h.tick(60_000);
    h.app
}

/// What the screen can be, by name.
fn situations() -> Vec<(&'static str, App)> {
    let race = {
        let mut h = Harness::ready(100, 40);
        h.ask("hi");
        h.press("f7");
        h.engine(20);
        h.tick(60_000);
        h.app
    };
    vec![
        ("loading", loading(None)),
        (
            "load failed",
            loading(Some(Event::Model(ModelEvent::Failed(Failure::internal(
                "no such file",
            ))))),
        ),
        ("empty", loading(Some(super::support::loaded()))),
        ("empty, in the controls", {
            let mut app = loading(Some(super::support::loaded()));
            update(
                &mut app,
                Msg::Action(AppAction::Focus(Pane::Controls).into()),
            );
            app
        }),
        ("answered", answered("")),
        ("a prompt", answered("x y")),
        ("a command", answered("/ s h o w")),
        ("completion", answered("f8")),
        ("scrolled", answered("pageup")),
        ("controls", answered("tab right")),
        ("a toggle", answered("tab right down down down down")),
        ("the system prompt's control", answered("tab right G")),
        ("a number", answered("tab 1 2")),
        ("chat", answered("tab tab left left")),
        ("Markdown", answered("tab tab m left left")),
        ("rejected drafts", answered("ctrl-x tab tab left")),
        ("rounds", answered("backtab left")),
        ("taken back", answered("ctrl-o")),
        ("cleared", answered("ctrl-l")),
        ("prefill", asked(1, "")),
        ("writing", asked(30, "")),
        ("writing, in the chat", asked(30, "tab tab left")),
        ("paused", asked(30, "f5")),
        ("paused, in the rounds", asked(30, "f5 backtab")),
        ("cancelling", {
            let mut h = Harness::ready(100, 40);
            h.write("hi");
            h.press("enter");
            h.engine(30);
            h.press("esc");
            h.app
        }),
        ("help", answered("f1")),
        ("palette", answered("ctrl-p")),
        ("models", answered("f2")),
        ("presets", answered("f3")),
        ("system prompt", answered("tab G enter")),
        ("what if", answered("f4")),
        ("race", race),
        ("race over", answered("f7")),
        ("replay", replayed("")),
        ("replay, in the chat", replayed("tab tab left")),
    ]
}

/// What a message changed, and what is to be done for it.
fn after(app: &App, msg: Msg) -> (App, Vec<Effect>) {
    let mut after = app.clone();
    let effects = update(&mut after, msg);
    (after, effects)
}

/// Of a pair of keys one may stand at its end.
#[test]
fn every_key_shown_does_something() {
    let mut tried = 0;
    for (name, app) in situations() {
        let shown = hints(&app);
        assert!(!shown.is_empty(), "{name}: no key is shown");
        for hint in shown {
            let works = |action: &Action| {
                let (after, effects) = after(&app, Msg::Action(action.clone()));
                let refused = after
                    .state()
                    .notice
                    .as_ref()
                    .is_some_and(|notice| notice.is_error)
                    && after.state().notice != app.state().notice;
                !refused && (after != app || !effects.is_empty())
            };
            tried += hint.keys.len();
            assert!(
                hint.keys.iter().any(|(_, action)| works(action)),
                "{name}: {hint:?} does nothing"
            );
        }
    }
    assert!(tried > 200, "{tried}");
}

/// What is at its end, or has nowhere to go, needs no words.
fn may_rest(action: &Action) -> bool {
    match action {
        Action::View(
            ViewAction::Copy | ViewAction::ToggleRejected | ViewAction::ToggleMarkdown,
        ) => false,
        Action::View(_) | Action::Replay(_) | Action::Edit(_) => true,
        Action::Controls(
            ControlsAction::ControlUp
            | ControlsAction::ControlDown
            | ControlsAction::ControlTop
            | ControlsAction::ControlBottom
            | ControlsAction::Adjust(_)
            | ControlsAction::Activate,
        ) => true,
        Action::App(AppAction::Back | AppAction::Focus(_) | AppAction::Interrupt) => true,
        Action::Chat(ChatAction::Send) => true,
        Action::List(
            ListAction::EntryUp
            | ListAction::EntryDown
            | ListAction::EntryPageUp
            | ListAction::EntryPageDown
            | ListAction::FirstEntry
            | ListAction::LastEntry,
        ) => true,
        _ => false,
    }
}

/// A key that cannot do what it is for says why.
#[test]
fn no_key_is_dead_without_a_word() {
    let mut tried = 0;
    for (name, app) in situations()
        .into_iter()
        .filter(|(_, app)| app.state().overlay.is_none())
    {
        let context = app.context();
        let keys: Vec<_> = app
            .shared
            .keys
            .bindings()
            .map(|(within, key, action)| (within, key, action.clone()))
            .collect();
        for (_, key, action) in keys
            .into_iter()
            .filter(|(c, ..)| *c == context || *c == Context::Global)
        {
            let (after, effects) = after(&app, Msg::Key(key.event()));
            tried += 1;
            let rests = after == app && effects.is_empty();
            assert!(
                !rests || may_rest(&action),
                "{name}: {key} ({action:?}) does nothing and says nothing"
            );
        }
    }
    assert!(tried > 800, "{tried}");
}

/// Esc leads from everywhere to the prompt, and from there nowhere.
#[test]
fn esc_comes_to_rest() {
    for (name, mut app) in situations() {
        let mut steps = 0;
        loop {
            let before = app.clone();
            update(&mut app, Msg::Action(AppAction::Back.into()));
            // A replay that is left brings the chat beneath it back.
            steps += 1;
            assert!(steps < 8, "{name}: Esc never rests");
            if app == before {
                break;
            }
        }
        let state = app.state();
        let rests = state.overlay.is_none() && state.focus == Pane::Prompt && state.run().is_none();
        assert!(rests, "{name}: {:?} {:?}", state.overlay, state.focus);
    }
}
