//! Every key in every situation: none is dead without a word, and each one that is shown does something.

use super::support::{Harness, said};
use crossterm::event::{KeyEvent, KeyModifiers};
use skiplens::app::hints::{Click, hints};
use skiplens::app::keymap::Context;
use skiplens::app::{Action, Effect, Msg, Options, Pane, State, update};
use skiplens::engine::worker::{Event, Failure, ModelEvent};

/// An answered question, then these keys.
fn answered(keys: &str) -> State {
    let mut h = Harness::ready(100, 40);
    h.ask("hi");
    h.tick(60_000);
    h.press(keys);
    h.engine(usize::MAX);
    h.tick(120_000);
    h.state
}

/// A question of which the engine has reported so much, then these keys.
fn asked(events: usize, keys: &str) -> State {
    let mut h = Harness::ready(100, 40);
    h.ask("before");
    h.write("hi");
    h.press("enter");
    h.engine(events);
    h.press(keys);
    h.engine(2);
    h.tick(60_000);
    h.state
}

fn loading(event: Option<Event>) -> State {
    let mut h = Harness::starting(100, 40, Options::default());
    event
        .into_iter()
        .for_each(|event| h.send(Msg::Engine(event)));
    h.state
}

fn replayed(keys: &str) -> State {
    let mut h = Harness::ready(100, 40);
    h.send(Msg::ReplayLoaded(said("Why is the sky blue?", 1)));
    h.press("shift-right");
    h.press(keys);
    h.tick(60_000);
    h.state
}

/// What the screen can be, by name.
fn situations() -> Vec<(&'static str, State)> {
    let race = {
        let mut h = Harness::ready(100, 40);
        h.ask("hi");
        h.press("f7");
        h.engine(20);
        h.tick(60_000);
        h.state
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
            let mut state = loading(Some(super::support::loaded()));
            update(&mut state, Msg::Action(Action::Focus(Pane::Controls)));
            state
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
            h.state
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
fn after(state: &State, msg: Msg) -> (State, Vec<Effect>) {
    let mut after = state.clone();
    let effects = update(&mut after, msg);
    (after, effects)
}

fn message(click: Click) -> Msg {
    match click {
        Click::Do(action) => Msg::Action(action),
        Click::Press(code) => Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)),
        Click::Key(key) => Msg::Key(key),
    }
}

/// Of a pair of keys one may stand at its end.
#[test]
fn every_key_shown_does_something() {
    let mut tried = 0;
    for (name, state) in situations() {
        let shown = hints(&state);
        assert!(!shown.is_empty(), "{name}: no key is shown");
        for hint in shown {
            let works = |click: &Click| {
                let (after, effects) = after(&state, message(click.clone()));
                let refused = after.notice.as_ref().is_some_and(|notice| notice.wrong)
                    && after.notice != state.notice;
                !refused && (after != state || !effects.is_empty())
            };
            tried += hint.keys.len();
            assert!(
                hint.keys.iter().any(|(_, click)| works(click)),
                "{name}: {hint:?} does nothing"
            );
        }
    }
    assert!(tried > 200, "{tried}");
}

/// What is at its end, or has nowhere to go, needs no words.
fn may_rest(action: &Action) -> bool {
    use Action::*;
    let moves = matches!(
        action,
        ControlUp | ControlDown | ControlTop | ControlBottom | Adjust(_) | Activate
    ) || matches!(
        action,
        ScrollUp | ScrollDown | PageUp | PageDown | Top | Bottom | PromptUp | PromptDown
    ) || matches!(
        action,
        TokenLeft
            | TokenRight
            | TokenUp
            | TokenDown
            | RoundLeft
            | RoundRight
            | Play(_)
            | DetailsUp
            | DetailsDown
    );
    moves || matches!(action, Back | Send | Focus(_) | Interrupt)
}

/// A key that cannot do what it is for says why.
#[test]
fn no_key_is_dead_without_a_word() {
    let mut tried = 0;
    for (name, state) in situations()
        .into_iter()
        .filter(|(_, state)| state.overlay.is_none())
    {
        let context = state.context();
        let keys: Vec<_> = state
            .keys
            .bindings()
            .map(|(within, key, action)| (within, key, action.clone()))
            .collect();
        for (_, key, action) in keys
            .into_iter()
            .filter(|(c, ..)| *c == context || *c == Context::Global)
        {
            let (after, effects) = after(&state, Msg::Key(key.event()));
            tried += 1;
            let rests = after == state && effects.is_empty();
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
    for (name, mut state) in situations() {
        let mut steps = 0;
        loop {
            let before = state.clone();
            update(&mut state, Msg::Action(Action::Back));
            // A replay that is left brings the chat beneath it back.
            steps += 1;
            assert!(steps < 8, "{name}: Esc never rests");
            if state == before {
                break;
            }
        }
        let rests = state.overlay.is_none() && state.focus == Pane::Prompt && state.run().is_none();
        assert!(rests, "{name}: {:?} {:?}", state.overlay, state.focus);
    }
}
