//! A first chat, with keys pressed and the screen read.

use super::support::{Harness, answer};
use skiplens::app::{Control, Effect, Phase};
use skiplens::engine::decode::Stats;
use skiplens::engine::prompt::{Prompt, Role};
use skiplens::engine::worker::{Command, Event, Failure, RunEvent, RunId, Task};

#[test]
fn a_question_is_answered() {
    let mut h = Harness::ready(100, 30);
    h.ask("Why is the sky blue?");
    let turn = h.state().turns.last().expect("a turn");
    assert_eq!(turn.answer(), answer().concat());
    assert_eq!(h.state().phase, Phase::Idle);
    assert_eq!(
        turn.stats.acceptance_rate(),
        Stats::of(&turn.rounds).acceptance_rate()
    );
    assert!(
        h.screen().contains("what is left is red."),
        "{}",
        h.screen()
    );
    assert!(h.screen().contains("% accepted"));
}

#[test]
fn the_next_question_carries_the_conversation() {
    let mut h = Harness::ready(100, 30);
    h.ask("one");
    h.ask("two");
    let Some(Command::Start {
        run,
        task: Task::Generate(Prompt::Chat(messages)),
        ..
    }) = h.commands.last()
    else {
        panic!("{:?}", h.commands.last());
    };
    let roles: Vec<Role> = messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::User]);
    assert_eq!(messages[1].content, answer().concat());
    assert_eq!(*run, RunId(1));
}

#[test]
fn drafts_show_at_once_and_settle_with_their_round() {
    let mut h = Harness::ready(100, 30);
    h.write("hi");
    h.press("enter");
    h.engine(3);
    let pending = |h: &Harness| h.state().turns.last().map_or(0, |turn| turn.pending.len());
    assert_eq!(pending(&h), 1);
    assert!(h.screen().contains("ai   The"), "{}", h.screen());
    h.engine(4);
    assert_eq!(pending(&h), 0);
    assert_eq!(h.state().turns[0].rounds.len(), 1);
}

#[test]
fn a_slider_moves_a_running_generation_and_the_text_marks_where() {
    let mut h = Harness::ready(100, 30);
    h.write("hi");
    h.press("enter");
    h.engine(30);
    h.press("alt-right alt-up alt-.");
    let Some(Command::Settings { settings, .. }) = h.commands.last() else {
        panic!("{:?}", h.commands.last())
    };
    assert_eq!((settings.exit_layer, settings.num_speculations), (8, 5));
    assert_eq!(Control::Temperature.get(settings), 0.65);
    h.engine(usize::MAX);
    assert!(
        h.screen()
            .contains("‹E\u{a0}7→8,\u{a0}K\u{a0}4→5,\u{a0}T\u{a0}0.60→0.65›"),
        "{}",
        h.screen()
    );
    assert_eq!(h.state().turns[0].answer(), answer().concat());
}

#[test]
fn escape_cancels_and_what_was_written_stays() {
    let mut h = Harness::ready(100, 30);
    h.write("hi");
    h.press("enter");
    h.engine(30);
    h.press("esc");
    assert_eq!(h.commands.last(), Some(&Command::Cancel { run: RunId(0) }));
    assert!(h.state().run().is_some_and(|run| run.cancelling));
    h.engine(1);
    assert_eq!(h.state().phase, Phase::Idle);
    assert!(!h.state().turns[0].is_empty());
    assert!(h.screen().contains("cancelled"));
}

#[test]
fn a_second_escape_does_not_wait_for_the_engine() {
    let mut h = Harness::ready(100, 30);
    h.write("hi");
    h.press("enter");
    h.engine(30);
    let late = h.state().turns[0].rounds[0].clone();
    h.press("esc esc");
    assert_eq!(h.state().phase, Phase::Idle);
    let rounds = h.state().turns[0].rounds.len();
    h.send(skiplens::app::Msg::Engine(Event::Run(
        RunId(0),
        RunEvent::Round(Box::new(late)),
    )));
    assert_eq!(
        h.state().turns[0].rounds.len(),
        rounds,
        "late events are dropped"
    );
}

#[test]
fn control_c_cancels_then_quits() {
    let mut h = Harness::ready(100, 30);
    h.write("hi");
    h.press("enter");
    h.engine(10);
    h.press("ctrl-c");
    assert!(h.effects.is_empty() && !h.app.shared.quit);
    h.press("ctrl-c");
    assert_eq!(h.effects, [Effect::Quit]);
}

#[test]
fn a_failure_says_so_and_the_next_question_works() {
    let mut h = Harness::ready(100, 30);
    h.write("hi");
    h.press("enter");
    let message =
        "the prompt has 9000 tokens, but the context of this model holds 8192; shorten the prompt";
    h.send(skiplens::app::Msg::Engine(Event::Run(
        RunId(0),
        RunEvent::Failed(Failure::internal(message)),
    )));
    assert!(
        h.screen().contains("failed: the prompt has 9000"),
        "{}",
        h.screen()
    );
    h.ask("again");
    assert_eq!(h.state().turns[1].answer(), answer().concat());
}
