//! Panels over the chat, on a real model: what if, race, single steps.

use super::session::Session;
use crate::support;

const F4: &str = "\x1bOS";
const F5: &str = "\x1b[15~";
const F6: &str = "\x1b[17~";
const F7: &str = "\x1b[18~";
const ESC: &str = "\x1b";

/// Part of the line under a finished answer.
fn ended(screen: &str) -> bool {
    screen.contains("max tokens reached")
}

#[test]
fn what_if_and_a_race_with_a_real_model() {
    let Some(model) = support::smollm2() else {
        return;
    };
    let mut session = Session::start_with(&model, 120, 40, &["--max-steps", "24"], &[]);
    session.wait("the model", |screen| screen.contains(" layers · "));
    session.type_("Write a long story about a fox.\r");
    session.wait("the answer", ended);
    session.type_(F4);
    session.wait("the map", |screen| {
        screen.contains("best: E") && screen.contains("over 24 tokens")
    });
    session.type_("b\r");
    session.wait("the choice", |screen| {
        screen.contains("alt-u undoes that") && !screen.contains("what if ─")
    });
    session.type_(F7);
    session.wait("the verdict", |screen| screen.contains("exact: 24 tokens"));
    session.type_(ESC);
    // Measured or estimated: the race corrects the estimate unless the machine was busy meanwhile.
    session.wait("the speed-up", |screen| {
        screen.contains("× plain") && !screen.contains("╭ race ")
    });
    session.type_("\x04");
    assert_eq!(session.assert_restored(), 0);
}

/// Steps phase by phase until the panel of the step shows a text.
fn step_until(session: &mut Session, wanted: &str) {
    for _ in 0..40 {
        let before = session.contents();
        if before.contains(wanted) {
            return;
        }
        session.type_(F6);
        session.wait("a step", |screen| screen != before);
    }
    panic!("{wanted:?} never came:\n{}", session.contents());
}

#[test]
fn a_real_model_is_stepped_through_a_round() {
    let Some(model) = support::smollm2() else {
        return;
    };
    let mut session = Session::start_with(
        &model,
        120,
        40,
        &["--max-steps", "400", "-K", "3", "-E", "6"],
        &[],
    );
    session.wait("the model", |screen| screen.contains(" layers · "));
    session.type_("Write a long story about a fox.\r");
    session.wait("tokens", |screen| screen.contains("tok/s"));
    session.type_(F5);
    session.wait("a pause", |screen| {
        screen.contains("paused") && screen.contains("one more phase")
    });
    step_until(&mut session, "layers 1 to 6 draft: ");
    step_until(&mut session, " of 3 accepted");
    step_until(&mut session, "layers 1 to 6 draft: 1 of 3");
    session.type_(F5);
    session.wait("it goes on", |screen| !screen.contains("paused"));
    session.type_(ESC);
    session.wait("the end", |screen| screen.contains("cancelled"));
    session.type_("\x04");
    assert_eq!(session.assert_restored(), 0);
}
