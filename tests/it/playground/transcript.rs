//! The text: scrolling, tokens, rejected drafts, unsafe characters, turns taken back or continued.

use super::support::{Harness, answer};
use crossterm::event::MouseEventKind;
use ratatui::style::Modifier;
use skiplens::app::{Effect, Mode, Msg, Pane, Target, TokenRef};
use skiplens::engine::decode::Origin;
use skiplens::engine::prompt::Prompt;
use skiplens::engine::worker::{Command, Event, Failure, RunEvent, RunId, Task};

#[test]
fn the_end_is_followed_only_from_the_end() {
    let mut h = Harness::ready(80, 16);
    h.ask("one");
    h.write("two");
    h.press("enter");
    h.engine(60);
    let shown = h.app.shared.regions.transcript;
    assert_eq!(shown.first + shown.height, shown.total, "follows");
    h.press("pageup");
    let first = h.app.shared.regions.transcript.first;
    h.engine(60);
    assert_eq!(
        h.app.shared.regions.transcript.first, first,
        "stays where it was left"
    );
    h.press("pagedown pagedown pagedown pagedown pagedown");
    assert_eq!(h.state().view.top, None, "at the end it follows again");
    let chat = h.find(&Target::Chat);
    h.mouse(MouseEventKind::ScrollUp, chat.x + 9, chat.y + 2);
    assert!(h.state().view.top.is_some());
    h.press("esc esc esc");
    assert_eq!(h.state().view.top, None);
}

#[test]
fn tokens_are_walked_and_clicked() {
    let mut h = Harness::ready(100, 30);
    h.ask("hi");
    h.press("backtab backtab");
    assert_eq!(h.state().focus, Pane::Chat);
    let last = h.state().view.cursor.expect("a cursor");
    h.press("left left left right");
    let at = h.state().view.cursor.expect("a cursor");
    assert!(at < last);
    h.press("up");
    assert!(h.state().view.cursor.expect("a cursor") < at);
    let first = TokenRef {
        turn: 0,
        round: 0,
        slot: 0,
    };
    let area = h.find(&Target::Token(first));
    h.click(area.x, area.y);
    assert_eq!(h.state().view.cursor, Some(first));
    assert!(
        h.screen().contains("accepted") && h.screen().contains("“The”"),
        "{}",
        h.screen()
    );
    h.press("left left");
    assert_eq!(
        h.state().view.cursor,
        Some(first),
        "nothing before the first"
    );
}

#[test]
fn walking_visits_every_token_once_and_rejected_ones_only_when_shown() {
    let mut h = Harness::ready(80, 24);
    h.ask("hi");
    let rounds = h.state().turns[0].rounds.clone();
    let (kept, all) = rounds.iter().fold((0, 0), |(kept, all), r| {
        (kept + r.len(), all + r.len() + r.rejected())
    });
    for (keys, expected) in [("tab", kept), ("ctrl-x tab", all)] {
        h.press("esc");
        h.state_mut().focus = Pane::Controls;
        h.state_mut().view.cursor = None;
        h.press(keys);
        h.state_mut().focus = Pane::Chat;
        let mut visited = 1;
        loop {
            let before = h.state().view.cursor;
            h.press("left");
            if h.state().view.cursor == before {
                break;
            }
            visited += 1;
        }
        assert_eq!(visited, expected, "{keys}");
    }
}

#[test]
fn the_cursor_scrolls_into_sight() {
    let mut h = Harness::ready(80, 16);
    h.ask("one");
    h.press("tab tab");
    for _ in 0..200 {
        h.press("left");
        let cursor = h.state().view.cursor.expect("a cursor");
        let token = h.state().turns[0].rounds[cursor.round]
            .token(cursor.slot)
            .expect("a token");
        if !token.text.trim().is_empty() {
            h.find(&Target::Token(cursor));
        }
    }
}

#[test]
fn rejected_drafts_are_struck_through_in_place() {
    let mut h = Harness::ready(100, 30);
    h.ask("hi");
    let struck = |h: &Harness| {
        h.buffer()
            .content
            .iter()
            .any(|c| c.modifier.contains(Modifier::CROSSED_OUT))
    };
    assert!(!struck(&h));
    h.press("ctrl-x");
    assert!(struck(&h));
}

#[test]
fn every_origin_looks_different_without_colours() {
    let mut h = Harness::ready(100, 30);
    h.app.shared.appearance.depth = skiplens::app::ColorDepth::None;
    h.ask("hi");
    let mut looks = std::collections::BTreeMap::new();
    for (area, target) in h.app.shared.regions.areas() {
        let Target::Token(at) = target else { continue };
        let token = h.state().turns[0].rounds[at.round]
            .token(at.slot)
            .expect("a token");
        let cell = &h.buffer()[(area.x, area.y)];
        assert_eq!(cell.fg, ratatui::style::Color::Reset);
        looks
            .entry(format!("{:?}", token.outcome.origin()))
            .or_insert(cell.modifier);
    }
    let origins = [Origin::Accepted, Origin::Corrected, Origin::Bonus]
        .map(|o| looks[&format!("{:?}", Some(o))]);
    assert!(origins[0] != origins[1] && origins[1] != origins[2] && origins[0] != origins[2]);
}

#[test]
fn unsafe_characters_never_reach_the_terminal() {
    let evil = "\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}txt\u{200b}\r\u{0}";
    let mut h = Harness::ready(100, 30);
    h.send(Msg::Paste(evil.into()));
    h.press("enter");
    h.send(Msg::Engine(Event::Run(
        RunId(0),
        RunEvent::Drafted {
            id: 1,
            text: evil.into(),
            p_draft: Some(0.5),
        },
    )));
    let mut round = super::support::round(0, 0, &Default::default(), &vec![evil.to_string(); 9]);
    round
        .tokens_mut()
        .drafted
        .iter_mut()
        .for_each(|token| token.text = evil.into());
    h.send(Msg::Engine(Event::Run(
        RunId(0),
        RunEvent::Round(Box::new(round)),
    )));
    h.press("tab tab ctrl-x left");
    h.send(Msg::Engine(Event::Run(
        RunId(0),
        RunEvent::Failed(Failure::internal(evil)),
    )));
    h.send(Msg::EffectFailed(evil.into()));
    let symbols: String = h
        .buffer()
        .content
        .iter()
        .map(|cell| cell.symbol())
        .collect();
    assert!(
        symbols.chars().all(|c| !skiplens::safe_text::is_unsafe(c)),
        "{symbols:?}"
    );
    assert!(symbols.contains("␛]0;owned␇"), "{}", h.screen());
}

#[test]
fn copying_takes_the_raw_text_of_the_answer() {
    let mut h = Harness::ready(100, 30);
    h.ask("hi");
    h.press("ctrl-y");
    assert_eq!(h.effects.last(), Some(&Effect::Copy(answer().concat())));
}

#[test]
fn turns_are_regenerated_edited_continued_and_cleared() {
    let mut h = Harness::ready(100, 30);
    h.ask("first");
    h.press("ctrl-r");
    h.engine(usize::MAX);
    assert_eq!((h.state().turns.len(), h.commands.len()), (1, 2));
    h.press("esc tab tab R");
    h.engine(usize::MAX);
    assert_eq!(h.state().settings.sampling.seed, 43);
    h.press("e");
    assert_eq!(
        (h.state().prompt.text(), h.state().turns.len()),
        ("first", 0)
    );
    h.write(" again");
    h.press("enter");
    h.engine(30);
    h.press("esc");
    h.engine(1);
    let before = h.state().turns[0].answer();
    h.press("tab tab c");
    let Some(Command::Start {
        task: Task::Generate(Prompt::Chat(messages)),
        ..
    }) = h.commands.last()
    else {
        panic!()
    };
    assert_eq!(messages.last().expect("a message").content, before);
    h.engine(usize::MAX);
    assert!(h.state().turns[0].answer().starts_with(&before) && h.state().turns.len() == 1);
    h.press("ctrl-l");
    assert!(h.state().turns.is_empty());
    assert!(h.screen().contains("Ask something"));
}

#[test]
fn a_completion_goes_on_with_the_text_as_it_stands() {
    let mut h = Harness::ready(100, 30);
    h.press("f8");
    assert_eq!(h.state().mode, Mode::Completion);
    h.ask("Once upon a time");
    let sent = h.commands.last();
    assert!(
        matches!(sent, Some(Command::Start { task: Task::Generate(Prompt::Text(t)), .. }) if t == "Once upon a time")
    );
    assert!(
        h.screen().contains("text Once upon a timeThe sky looks"),
        "{}",
        h.screen()
    );
}

#[test]
fn finished_answers_can_be_shown_as_markdown() {
    let mut h = Harness::ready(100, 30);
    h.ask("hi");
    assert!(h.screen().contains("**Rayleigh"));
    h.press("tab tab m");
    let screen = h.screen();
    assert!(
        screen.contains("Rayleigh scattering") && !screen.contains("**"),
        "{screen}"
    );
    assert!(screen.contains("• violet"), "{screen}");
    h.press("m");
    assert!(h.screen().contains("**Rayleigh"));
}

/// Tables and links, and their tokens walked and clicked as in the plain text.
#[test]
fn tokens_stay_within_reach_in_markdown() {
    let mut h = Harness::ready(100, 30);
    let table = "| layer | share |\n|---|--:|\n| 4 | 9 % |\n| 12 | 31 % |\n\n";
    let link = "See [the paper](https://arxiv.org/abs/2404.16710), **section 4**.";
    h.fake.words = Some(super::support::words_of(&format!("{table}{link}")));
    h.ask("hi");
    h.press("ctrl-x tab tab m");
    let screen = h.screen();
    assert!(
        screen.contains("layer │ share") && screen.contains("12    │  31 %"),
        "{screen}"
    );
    assert!(
        screen.contains("See the paper (https://arxiv.org/abs/2404.16710), section"),
        "{screen}"
    );
    let reversed = |h: &Harness| {
        let cells = h
            .buffer()
            .content
            .iter()
            .filter(|cell| cell.modifier.contains(Modifier::REVERSED));
        cells.map(|cell| cell.symbol()).collect::<String>()
    };
    let word = |h: &Harness, text: &str| {
        let rows: Vec<String> = h.screen().lines().map(str::to_string).collect();
        let row = rows
            .iter()
            .position(|row| row.contains(text))
            .expect("a row");
        (
            rows[row][..rows[row].find(text).expect("a word")]
                .chars()
                .count() as u16,
            row as u16,
        )
    };
    let (column, row) = word(&h, "share");
    h.click(column, row);
    assert!(reversed(&h).starts_with("share"), "{}", reversed(&h));
    assert!(h.screen().contains("“ share”"), "{}", h.screen());
    let (column, row) = word(&h, "section");
    h.click(column + 1, row);
    assert!(reversed(&h).starts_with("sectio"), "{}", reversed(&h));
    let at = h.state().view.cursor.expect("a cursor");
    h.press("right right");
    assert!(h.state().view.cursor > Some(at));
    assert!(
        reversed(&h).trim_start().starts_with('4'),
        "{}",
        reversed(&h)
    );
    let mut visited = 0;
    while h.state().view.cursor
        > Some(TokenRef {
            turn: 0,
            round: 0,
            slot: 0,
        })
    {
        h.press("left");
        visited += 1;
    }
    assert!(
        visited > 20,
        "every kept token is walked, and no rejected one: {visited}"
    );
}

#[test]
fn what_is_typed_while_loading_or_writing_is_kept() {
    let mut h = Harness::starting(100, 30, Default::default());
    h.write("early");
    h.press("enter");
    assert_eq!(h.state().prompt.text(), "early");
    h.send(Msg::Engine(super::support::loaded()));
    assert!(
        matches!(
            h.commands.last(),
            Some(Command::Start {
                task: Task::Generate(_),
                ..
            })
        ),
        "sent as soon as the model is there"
    );
    h.engine(10);
    h.write("next");
    h.press("enter");
    assert_eq!((h.state().prompt.text(), h.state().turns.len()), ("", 1));
    assert_eq!(h.state().queued, ["next"]);
}

#[test]
fn the_prompt_grows_and_remembers() {
    let mut h = Harness::ready(100, 30);
    let low = h.find(&Target::Prompt).height;
    h.write("one");
    h.press("alt-enter");
    h.write("two");
    assert_eq!(h.find(&Target::Prompt).height, low + 1);
    h.press("enter");
    h.engine(usize::MAX);
    h.press("up");
    assert_eq!(h.state().prompt.text(), "one\ntwo");
    h.send(Msg::Paste("a\r\nb".into()));
    assert_eq!(h.state().prompt.text(), "one\ntwoa\nb");
    h.press("ctrl-g");
    assert_eq!(h.effects.last(), Some(&Effect::Edit("one\ntwoa\nb".into())));
    h.send(Msg::Edited("edited\n".into()));
    assert_eq!(h.state().prompt.text(), "edited");
}

/// Markdown keeps the colours of the origins and the legend; the next start shows plain text again.
#[test]
fn markdown_is_announced_and_not_remembered() {
    let mut h = Harness::ready(80, 24);
    h.ask("hi");
    assert!(h.screen().contains("accepted  corrected"), "{}", h.screen());
    h.press("tab tab m esc");
    h.tick(60_000);
    let screen = h.screen();
    assert!(
        screen.contains("chat as Markdown") && screen.contains("accepted  corrected  bonus"),
        "{screen}"
    );
    assert!(h.effects.is_empty(), "nothing is kept: {:?}", h.effects);
    let config = skiplens::app::Config {
        markdown: true,
        ..Default::default()
    };
    let options = skiplens::app::Options {
        config,
        ..Default::default()
    };
    assert!(
        !Harness::starting(80, 24, options)
            .app
            .shared
            .display
            .markdown
    );
}

fn load(h: &mut Harness, name: &str) {
    let mut model = super::support::model();
    model.name = name.into();
    h.send(Msg::Engine(super::support::loaded_as(model)));
}

/// Another model leaves a mark where it goes on, in the chat, in a session that is taken up again and in a replay.
#[test]
fn another_model_is_marked() {
    let mut h = Harness::ready(120, 30);
    let mark = "‹model\u{a0}SmolLM2-135M-LayerSkip→Other›";
    h.ask("one");
    load(&mut h, "Other");
    assert!(
        h.screen().contains("Other answers from here"),
        "{}",
        h.screen()
    );
    h.ask("two");
    assert!(
        h.screen().contains(&format!("ai   {mark}The sky")),
        "{}",
        h.screen()
    );
    h.ask("three");
    assert!(
        h.state().turns[2].switches.is_empty(),
        "it goes on as before"
    );
    load(&mut h, "SmolLM2-135M-LayerSkip");
    h.press("ctrl-r");
    h.engine(60);
    h.press("esc");
    h.engine(1);
    assert!(
        h.screen()
            .contains("‹model\u{a0}Other→SmolLM2-135M-LayerSkip›The"),
        "{}",
        h.screen()
    );
    let before = h.state().turns[2].rounds.len();
    load(&mut h, "Other");
    h.press("tab tab c");
    h.engine(usize::MAX);
    let rounds: Vec<usize> = h.state().turns[2]
        .switches
        .iter()
        .map(|switch| switch.round)
        .collect();
    assert_eq!(rounds, [0, before]);
    let marks: Vec<_> = h
        .state()
        .turns
        .iter()
        .map(|turn| turn.switches.clone())
        .collect();
    let session = super::support::session_of(h.state());
    let mut again = Harness::ready(120, 30);
    again.send(Msg::SessionLoaded(session.clone()));
    let first = |turns: &[skiplens::app::Turn]| turns[1].switches.clone();
    assert_eq!(first(&again.state().turns), marks[1]);
    again.send(Msg::ReplayLoaded(session));
    again.press("end");
    assert_eq!(first(&again.state().turns), marks[1]);
    again.press("home right");
    assert_eq!(
        again
            .state()
            .model
            .as_ref()
            .map(|model| model.name.as_str()),
        Some("SmolLM2-135M-LayerSkip"),
        "the header has the model of the answer that is played"
    );
}

/// What the user changes is marked; that a controller adapts K from round to round is not.
#[test]
fn the_adaptive_controller_leaves_no_marks() {
    let mut h = Harness::ready(120, 30);
    h.ask_command("/set autopilot adaptive-k");
    h.write("hi");
    h.press("enter");
    h.engine(30);
    h.press("alt-right");
    h.engine(20);
    let screen = h.screen();
    assert!(screen.contains("‹E\u{a0}7→8›"), "{screen}");
    assert_eq!(screen.matches('‹').count(), 1, "{screen}");
}
