//! Pausing, single steps, rounds, and the token's details.

use super::support::Harness;
use crossterm::event::MouseEventKind;
use skiplens::app::{Msg, Pane, Phase, Target, TokenRef};
use skiplens::engine::decode::StopReason;
use skiplens::engine::worker::{Command, Event, RunEvent, RunId};

#[test]
fn a_run_is_paused_stepped_and_goes_on() {
    let mut h = Harness::ready(100, 30);
    h.write("hi");
    h.press("enter");
    h.engine(20);
    h.press("f5");
    h.engine(9);
    assert!(
        matches!(h.state().phase, Phase::Paused { .. }),
        "{:?}",
        h.state().phase
    );
    assert!(h.screen().contains("paused"), "{}", h.screen());
    let rounds = h.state().turns[0].rounds.len();
    h.press("f6");
    assert_eq!(h.commands.last(), Some(&Command::Step { run: RunId(0) }));
    h.engine(9);
    assert!(matches!(h.state().phase, Phase::Paused { .. }));
    assert_eq!(h.state().turns[0].rounds.len(), rounds + 1);
    h.press("f5");
    assert_eq!(h.commands.last(), Some(&Command::Resume { run: RunId(0) }));
    h.send(Msg::Engine(Event::Run(RunId(0), RunEvent::Paused)));
    assert!(
        matches!(h.state().phase, Phase::Generating { .. }),
        "a late pause changes nothing"
    );
    h.engine(usize::MAX);
    assert_eq!(h.state().phase, Phase::Idle);
}

/// What every layer says appears while it is written, once that is asked for, and follows the newest token.
#[test]
fn layers_appear_while_it_writes() {
    let mut h = Harness::ready(80, 24);
    h.write("hi");
    h.press("enter");
    h.engine(20);
    h.press("tab tab");
    assert!(!h.screen().contains("newest token"), "{}", h.screen());
    h.press("d");
    assert!(
        matches!(h.commands.last(), Some(Command::Settings { settings, .. }) if settings.detail)
    );
    h.engine(12);
    assert!(
        h.screen().contains("newest token") && h.screen().contains("first agreed"),
        "{}",
        h.screen()
    );
    let before = h.state().inspected();
    h.engine(12);
    assert!(h.state().inspected() > before && h.state().view.cursor.is_none());
    h.press("left left");
    assert!(h.state().inspected() == h.state().view.cursor && !h.screen().contains("newest token"));
    h.press("d");
    assert!(
        matches!(h.commands.last(), Some(Command::Settings { settings, .. }) if !settings.detail)
    );
}

#[test]
fn a_paused_run_can_be_cancelled() {
    let mut h = Harness::ready(100, 30);
    h.write("hi");
    h.press("enter");
    h.engine(20);
    h.press("f5");
    h.engine(9);
    h.press("esc");
    assert_eq!(h.commands.last(), Some(&Command::Cancel { run: RunId(0) }));
    h.engine(9);
    assert_eq!(h.state().phase, Phase::Idle);
}

#[test]
fn a_step_shows_what_is_drafted_and_how_likely() {
    let mut h = Harness::ready(100, 30);
    h.write("hi");
    h.press("enter f5");
    h.engine(3);
    h.send(Msg::Engine(Event::Run(
        RunId(0),
        RunEvent::Drafted {
            id: 5,
            text: "The".into(),
            p_draft: Some(0.625),
        },
    )));
    h.send(Msg::Engine(Event::Run(RunId(0), RunEvent::Paused)));
    let screen = h.screen();
    assert!(
        screen.contains("“The”") && screen.contains("62.5 %"),
        "{screen}"
    );
}

#[test]
fn rounds_are_walked_and_clicked() {
    let mut h = Harness::ready(100, 40);
    h.ask("hi");
    let last = h.state().turns[0].rounds.len() - 1;
    h.press("backtab");
    assert_eq!(h.state().focus, Pane::Rounds);
    assert_eq!(h.state().view.cursor.map(|at| at.round), Some(last));
    h.press("left left");
    assert_eq!(h.state().view.cursor.map(|at| at.round), Some(last - 2));
    h.press("home");
    assert_eq!(h.state().view.cursor.map(|at| at.round), Some(0));
    h.press("end");
    let area = h.find(&Target::Round {
        turn: 0,
        round: last - 3,
    });
    h.click(area.x, area.y);
    assert_eq!(h.state().view.cursor.map(|at| at.round), Some(last - 3));
    assert!(h.screen().contains("ms"), "{}", h.screen());
}

#[test]
fn the_inspector_shows_layers_and_alternatives_where_they_were_recorded() {
    let mut h = Harness::ready(160, 50);
    h.ask("hi");
    h.press("tab tab");
    assert!(h.screen().contains("d records layers"), "{}", h.screen());
    h.press("d r");
    h.engine(usize::MAX);
    h.press("left");
    let screen = h.screen();
    for words in [
        "first agreed: layer 12",
        "entropy 0.70",
        "80.0 %",
        "p verify",
    ] {
        assert!(screen.contains(words), "{words}\n{screen}");
    }
}

/// Without drafts nothing is said of drafts.
#[test]
fn plain_decoding_is_told_as_such() {
    let mut h = Harness::ready(100, 40);
    h.ask_command("/set strategy autoregressive");
    h.ask("hi");
    let screen = h.screen();
    assert!(
        screen.contains("nothing drafted") && screen.contains("ms per token"),
        "{screen}"
    );
    assert!(
        !screen.contains("0/0") && !screen.contains("ms draft"),
        "{screen}"
    );
}

/// Everything that the inspector tells, scrolled through from its top.
fn told(h: &mut Harness) -> String {
    h.state_mut().view.details = 0;
    h.draw();
    let mut told = String::new();
    loop {
        told += &h.screen();
        let before = h.state().view.details;
        h.press("shift-down");
        if h.state().view.details == before {
            return told;
        }
    }
}

/// The exit layer's own choice is in sight without scrolling, and every layer's with it.
#[test]
fn no_layer_is_out_of_reach() {
    for (width, height) in [(80, 24), (100, 30), (160, 50)] {
        for exit in [1, 7, 29] {
            let mut h = Harness::ready(width, height);
            h.ask_command(&format!("/set exit_layer {exit}"));
            h.press("tab tab d esc");
            h.ask("hi");
            h.press("tab tab left left");
            let own = format!("▸{exit:>2} ");
            assert!(h.screen().contains(&own), "{own}\n{}", h.screen());
            let told = told(&mut h);
            for layer in 1..=30 {
                let rows = told.lines().filter(|line| {
                    let row = |mark| line.contains(&format!("{layer:>2} {mark} "));
                    row("○") || row("●")
                });
                assert!(rows.count() > 0, "layer {layer}\n{told}");
            }
        }
    }
}

/// A wheel over the inspector scrolls it, and the chat stays where it is.
#[test]
fn the_wheel_scrolls_what_is_told_of_a_token() {
    let mut h = Harness::ready(80, 24);
    h.press("tab tab d esc");
    h.ask("hi");
    h.press("tab tab left");
    let inspector = h.find(&Target::Inspector);
    let top = h.state().view.top;
    h.mouse(MouseEventKind::ScrollDown, inspector.x + 3, inspector.y + 3);
    assert!(h.state().view.details > 0 && h.state().view.top == top);
}

/// An end token is called so whether it was drafted or not; of other tokens without a text nothing is claimed.
#[test]
fn an_accepted_end_token_ends_the_answer() {
    let mut h = Harness::ready(100, 30);
    h.write("hi");
    h.press("enter");
    h.engine(3);
    let words: Vec<String> = ["a", "b", "c", "d", "e", "f"].map(str::to_owned).into();
    let mut round = super::support::round(0, 0, &h.state().settings, &words);
    let last = round.drafted().len() - 1;
    let tokens = round.tokens_mut();
    (tokens.accepted, tokens.closing) = (last + 1, None);
    for token in &mut tokens.drafted[last - 1..] {
        token.text.clear();
        token.p_verify = Some(0.5);
    }
    round.stop = Some(StopReason::Eos);
    h.send(Msg::Engine(Event::Run(
        RunId(0),
        RunEvent::Round(Box::new(round)),
    )));
    let at = |slot| TokenRef {
        turn: 0,
        round: h.state().turns[0].rounds.len() - 1,
        slot,
    };
    let (end, before) = (at(last), at(last - 1));
    h.state_mut().focus = Pane::Chat;
    for (token, words) in [(end, "end of the answer"), (before, "no text")] {
        h.state_mut().view.cursor = Some(token);
        h.draw();
        assert!(h.screen().contains(words), "{words}\n{}", h.screen());
    }
}

/// Where no layer will ever be asked, none is promised.
#[test]
fn nothing_is_promised_of_drafts_that_nobody_verified() {
    let mut h = Harness::ready(100, 30);
    h.press("ctrl-x");
    h.ask("hi");
    h.press("tab tab d");
    let unverified = |h: &Harness| {
        let rounds = h.state().turns[0].rounds.iter().enumerate();
        rounds
            .flat_map(|(round, r)| {
                r.drafted()
                    .iter()
                    .enumerate()
                    .map(move |(slot, token)| (round, slot, token))
            })
            .find(|(.., token)| token.p_verify.is_none())
            .map(|(round, slot, _)| TokenRef {
                turn: 0,
                round,
                slot,
            })
            .expect("a draft behind a rejected one")
    };
    h.state_mut().view.cursor = Some(unverified(&h));
    h.draw();
    assert!(h.screen().contains("so no layer is"), "{}", h.screen());
    h.state_mut().view.cursor = Some(TokenRef {
        turn: 0,
        round: 0,
        slot: 0,
    });
    h.draw();
    assert!(h.screen().contains("f4 runs the layers"), "{}", h.screen());
    h.press("f4");
    h.engine(usize::MAX);
    h.press("esc");
    assert!(h.screen().contains("first agreed"), "{}", h.screen());
}
