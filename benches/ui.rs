//! Frame time by length of the transcript. It must not grow with the length.

#![allow(
    clippy::disallowed_types,
    reason = "the fixtures read the colours of cells"
)]

#[path = "../tests/it/playground/support/mod.rs"]
mod support;

use divan::{Bencher, black_box};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use skiplens::app::{App, Msg, Options, Turn, update};
use skiplens::engine::decode::{Settings, Stats, StopReason};
use skiplens::engine::worker::{Event, Lane, RunEvent, RunId};
use skiplens::ui::Renderer;
use support::{answer, key, loaded, round};

fn main() {
    divan::main();
}

/// An app with a running answer of `tokens` tokens.
fn app(tokens: usize) -> App {
    let mut app = App::new(Options::default()).expect("options");
    update(&mut app, Msg::Engine(loaded()));
    app.state_mut().prompt.set("Why is the sky blue?");
    update(&mut app, Msg::Key(key("enter")));
    let words = answer();
    while app.state().turns.last().map_or(0, Turn::len) < tokens {
        grow(&mut app, &words);
    }
    app
}

/// Adds a round to the answer.
fn grow(app: &mut App, words: &[String]) {
    let index = app.state().turns.last().map_or(0, |turn| turn.rounds.len());
    let round = round(
        index,
        index * 3 % (words.len() - 9),
        &Settings::default(),
        words,
    );
    update(
        app,
        Msg::Engine(Event::Run(RunId(0), RunEvent::Round(Box::new(round)))),
    );
}

const TOKENS: [usize; 4] = [100, 1_000, 10_000, 100_000];

/// A frame after each round of a running answer.
#[divan::bench(args = TOKENS)]
fn frame_while_writing(bencher: Bencher, tokens: usize) {
    let (mut app, words) = (app(tokens), answer());
    let mut renderer = Renderer::default();
    let mut terminal = Terminal::new(TestBackend::new(160, 50)).expect("a terminal");
    terminal
        .draw(|frame| drop(renderer.draw(&app, frame)))
        .expect("a frame");
    bencher.bench_local(|| {
        grow(&mut app, &words);
        terminal
            .draw(|frame| drop(black_box(renderer.draw(&app, frame))))
            .expect("a frame");
    });
}

/// A frame after each round of a race.
#[divan::bench(args = [100, 1_000, 10_000])]
fn frame_of_a_race(bencher: Bencher, tokens: usize) {
    let (mut app, words) = (app(1), answer());
    update(
        &mut app,
        Msg::Engine(Event::Run(
            RunId(0),
            RunEvent::Finished {
                reason: StopReason::Eos,
                stats: Stats::default(),
            },
        )),
    );
    update(&mut app, Msg::Key(key("f7")));
    let grow = move |app: &mut App, index: usize| {
        let round = round(
            index,
            index * 3 % (words.len() - 9),
            &Settings::default(),
            &words,
        );
        for lane in [Lane::Reference, Lane::Challenger] {
            update(
                app,
                Msg::Engine(Event::Run(
                    RunId(1),
                    RunEvent::Race {
                        lane,
                        round: Box::new(round.clone()),
                    },
                )),
            );
        }
    };
    (0..tokens / 3).for_each(|index| grow(&mut app, index));
    let mut renderer = Renderer::default();
    let mut terminal = Terminal::new(TestBackend::new(160, 50)).expect("a terminal");
    let mut index = tokens / 3;
    bencher.bench_local(|| {
        grow(&mut app, index);
        index += 1;
        terminal
            .draw(|frame| drop(black_box(renderer.draw(&app, frame))))
            .expect("a frame");
    });
}

/// A frame while scrolling through the middle.
#[divan::bench(args = TOKENS)]
fn frame_while_scrolling(bencher: Bencher, tokens: usize) {
    let mut app = app(tokens);
    let mut renderer = Renderer::default();
    let mut terminal = Terminal::new(TestBackend::new(160, 50)).expect("a terminal");
    let mut top = 0;
    bencher.bench_local(|| {
        top = (top + 1) % (tokens / 20).max(1);
        app.state_mut().view.top = Some(top);
        terminal
            .draw(|frame| drop(black_box(renderer.draw(&app, frame))))
            .expect("a frame");
    });
}
