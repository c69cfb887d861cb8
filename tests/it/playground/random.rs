//! Whatever comes in whatever order: no panic, no state that cannot be left, every key shown works.

use super::support::{Harness, key, loaded, round};
use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use skiplens::app::available::is_available;
use skiplens::app::hints::hints;
use skiplens::app::input::action::ChatAction;
use skiplens::app::{App, Msg, Phase, update};
use skiplens::engine::decode::{Settings, StopReason};
use skiplens::engine::worker::{Event, Failure, RunEvent, RunId};
use std::time::Duration;

const KEYS: [&str; 71] = [
    "ctrl-s",
    "delete",
    "f12",
    "0",
    "+",
    "f4",
    "f7",
    "enter",
    "esc",
    "tab",
    "backtab",
    "up",
    "down",
    "left",
    "right",
    "home",
    "end",
    "pageup",
    "pagedown",
    "space",
    "backspace",
    "shift-left",
    "shift-right",
    "alt-left",
    "alt-right",
    "alt-up",
    "alt-down",
    "alt-,",
    "alt-.",
    "alt-enter",
    "ctrl-c",
    "ctrl-p",
    "ctrl-r",
    "ctrl-o",
    "ctrl-t",
    "ctrl-y",
    "ctrl-x",
    "ctrl-l",
    "ctrl-q",
    "ctrl-w",
    "ctrl-u",
    "ctrl-j",
    "ctrl-g",
    "ctrl-d",
    "f1",
    "f2",
    "f3",
    "f5",
    "f6",
    "f8",
    "f9",
    "a",
    "b",
    "c",
    "d",
    "e",
    "g",
    "G",
    "h",
    "j",
    "k",
    "l",
    "m",
    "p",
    "q",
    "r",
    "s",
    "u",
    "x",
    "7",
    "R",
];

/// A stream of numbers that looks random and is always the same.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) % bound
    }
}

/// Something that could happen.
fn anything(numbers: &mut Numbers) -> Msg {
    match numbers.below(21) {
        0..=10 => Msg::Key(key(KEYS[numbers.below(KEYS.len() as u64) as usize])),
        11..=13 => mouse(numbers),
        14 => Msg::Paste(
            [
                "/set exit_layer 5",
                "漢字\u{1b}[2J",
                "a\nb",
                "/clear",
                "/model x",
            ][numbers.below(5) as usize]
                .into(),
        ),
        15 => Msg::Tick(Duration::from_millis(numbers.below(100_000))),
        16 => Msg::Edited("from the editor".into()),
        17 => Msg::Resize,
        18 => kept(numbers),
        _ => Msg::Engine(stray(numbers)),
    }
}

/// An answer about sessions, asked for or not.
fn kept(numbers: &mut Numbers) -> Msg {
    thread_local! {
        static SESSION: std::sync::Arc<skiplens::transcript::Session> = super::support::said("Why?", 1);
    }
    let session = SESSION.with(std::sync::Arc::clone);
    let id = session.header.id.clone();
    match numbers.below(7) {
        0 => Msg::SessionLoaded(session),
        1 | 2 => Msg::ReplayLoaded(session),
        3 => Msg::SessionDeleted {
            id,
            own: numbers.below(2) == 0,
        },
        4 => Msg::SessionRestored(id),
        5 => Msg::SessionRenamed,
        _ => {
            let mut shelf = super::support::Shelf {
                sessions: vec![session],
                own: id,
                ..Default::default()
            };
            if numbers.below(2) == 0 {
                shelf.own.clear();
            }
            Msg::Sessions {
                search_id: numbers.below(60),
                listed: shelf.find(""),
                done: numbers.below(2) == 0,
            }
        }
    }
}

fn mouse(numbers: &mut Numbers) -> Msg {
    let left = MouseButton::Left;
    let kinds = [
        MouseEventKind::Down(left),
        MouseEventKind::Drag(left),
        MouseEventKind::Up(left),
        MouseEventKind::ScrollUp,
        MouseEventKind::ScrollDown,
    ];
    let kind = kinds[numbers.below(5) as usize];
    let (column, row) = (numbers.below(170) as u16, numbers.below(60) as u16);
    Msg::Mouse(MouseEvent {
        kind,
        column,
        row,
        modifiers: crossterm::event::KeyModifiers::NONE,
    })
}

/// An event of any run, at any time.
fn stray(numbers: &mut Numbers) -> Event {
    let run = RunId(numbers.below(40));
    match numbers.below(9) {
        0 => Event::Run(run, RunEvent::Paused),
        1 => Event::Run(
            run,
            RunEvent::Finished {
                reason: StopReason::Eos,
                stats: Default::default(),
            },
        ),
        2 => Event::Run(run, RunEvent::Failed(Failure::internal("failed\nbadly"))),
        3 => Event::Run(
            run,
            RunEvent::Drafted {
                id: 1,
                text: " x".into(),
                p_draft: Some(0.5),
            },
        ),
        4 => Event::Run(
            run,
            RunEvent::Prefill {
                done: 1,
                total: 2,
                cached: 0,
            },
        ),
        5 => loaded(),
        6 => super::support::lens(run).remove(numbers.below(3) as usize),
        7 => {
            let mut events = super::support::race(run, &Settings::default());
            events.swap_remove(numbers.below(9) as usize)
        }
        _ => {
            let words = super::support::answer();
            let at = numbers.below(words.len() as u64 - 1) as usize;
            Event::Run(
                run,
                RunEvent::Round(Box::new(round(0, at, &Settings::default(), &words))),
            )
        }
    }
}

/// Four times Esc leaves everything; then Ctrl-C clears what is written and quits.
fn can_be_left(h: &mut Harness) {
    h.app.shared.quit = false;
    h.press("esc esc esc esc");
    assert!(
        h.state().run().is_none() && h.state().overlay.is_none(),
        "{:?}",
        h.state().phase
    );
    h.engine(usize::MAX);
    assert!(
        !matches!(h.state().phase, Phase::Failed { .. }) || h.state().model.is_none(),
        "{:?}",
        h.state().phase
    );
    h.press("ctrl-c");
    if !h.app.shared.quit {
        assert!(h.state().prompt.is_empty(), "it cleared what was written");
        h.press("ctrl-c");
    }
    assert!(h.app.shared.quit);
}

/// Every key of the footer does what the footer says.
fn shown_keys_work(app: &App) {
    for (name, action) in hints(app).into_iter().flat_map(|hint| hint.keys) {
        assert!(is_available(app, &action), "{name} {action:?}");
        assert!(app.key_now(action.clone()).is_some(), "{name} {action:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn anything_in_any_order_leaves_a_sound_state(seed in any::<u64>(), width in 1u16..170, height in 1u16..55) {
        let mut numbers = Numbers(seed);
        let mut h = Harness::ready(width, height);
        for _ in 0..120 {
            h.send(anything(&mut numbers));
            h.engine(numbers.below(4) as usize);
            if numbers.below(10) == 0 {
                h.resize(1 + numbers.below(160) as u16, 1 + numbers.below(50) as u16);
            }
            shown_keys_work(&h.app);
        }
        can_be_left(&mut h);
    }
}

/// A million events; a frame now and then, so that the mouse hits something.
#[test]
fn a_million_events() {
    let mut numbers = Numbers(7);
    let mut h = Harness::ready(100, 30);
    for count in 0..1_000_000u32 {
        let msg = anything(&mut numbers);
        h.quiet(msg);
        if numbers.below(3) == 0 {
            h.quiet_engine();
        }
        if count % 2_000 == 0 {
            h.draw();
        }
        if h.state().turns.len() > 30 {
            h.quiet(Msg::Action(ChatAction::Clear.into()));
        }
        h.effects.clear();
        h.commands.clear();
    }
    can_be_left(&mut h);
}

/// From each phase, what Esc and Ctrl-C lead to.
#[test]
fn every_phase_can_be_left() {
    for events in 0..12 {
        for keys in ["", "f5", "tab 1 2", "f1", "ctrl-p", "tab tab", "f5 f6 f6"] {
            let mut h = Harness::ready(80, 24);
            h.write("hi");
            h.press("enter");
            h.engine(events);
            h.press(keys);
            h.engine(events);
            can_be_left(&mut h);
        }
    }
}

/// Drawing does not depend on what was drawn before: a screen that saw every frame and a new one agree.
#[test]
fn a_frame_depends_on_the_state_alone() {
    let mut h = Harness::ready(90, 28);
    h.write("hi");
    h.press("enter");
    for step in 0..200 {
        h.engine(1);
        match step {
            60 => h.press("ctrl-x"),
            90 => h.press("alt-right"),
            120 => h.press("pageup"),
            150 => h.resize(70, 20),
            _ => {}
        }
        let area = h.buffer().area;
        let mut terminal =
            Terminal::new(TestBackend::new(area.width, area.height)).expect("a terminal");
        let mut app = h.app.clone();
        let mut renderer = skiplens::ui::Renderer::default();
        let mut regions = None;
        terminal
            .draw(|frame| regions = Some(renderer.draw(&app, frame)))
            .expect("a frame");
        assert_eq!(terminal.backend().buffer(), h.buffer(), "step {step}");
        update(&mut app, Msg::Drawn(regions.expect("regions")));
        assert_eq!(app, h.app);
    }
}
