//! The list of kept sessions: found, opened, renamed, deleted, taken back.

use super::support::{Harness, Shelf, said, session_of};
use skiplens::app::{Effect, Msg, Overlay, Phase, Target};
use skiplens::transcript::Entry;
use skiplens::transcript::export::Format;

/// A chat with three kept sessions, the list open. The newest is the one on the screen, the oldest cannot be read.
fn browsing() -> (Harness, Shelf) {
    let mut h = Harness::ready(100, 30);
    h.ask("What is the tide?");
    let sessions = vec![
        said("Broken", 0),
        said("Why is the sky blue?", 1),
        said("What is the tide?", 2),
    ];
    let (own, broken) = (
        sessions[2].header.id.clone(),
        vec![sessions[0].header.id.clone()],
    );
    let mut shelf = Shelf {
        sessions,
        own,
        broken,
        ..Shelf::default()
    };
    h.press("ctrl-s");
    shelf.serve(&mut h);
    (h, shelf)
}

fn titles(h: &Harness) -> Vec<String> {
    let Some(Overlay::Sessions(list)) = &h.state().overlay else {
        panic!("no list:\n{}", h.screen())
    };
    list.listed
        .iter()
        .map(|listed| listed.summary.totals.title.clone())
        .collect()
}

#[test]
fn the_list_shows_the_newest_first_and_marks_its_own() {
    let (h, _) = browsing();
    assert_eq!(
        titles(&h),
        ["What is the tide?", "Why is the sky blue?", "Broken"]
    );
    let screen = h.screen();
    assert!(
        screen.contains("2026-11-23 16:22") && screen.contains("this is the session on the screen"),
        "{screen}"
    );
    assert!(
        screen.contains("cannot be read") && screen.contains("enter open"),
        "{screen}"
    );
}

/// A question with its answer is one turn, in the list as on the screen.
#[test]
fn turns_are_counted_alike_everywhere() {
    for questions in 1..4 {
        let mut h = Harness::ready(100, 30);
        for _ in 0..questions {
            h.ask("Why?");
        }
        let session = session_of(h.state());
        let totals = session.totals();
        assert_eq!((totals.turns, totals.messages), (questions, 2 * questions));
        let words = match questions {
            1 => "1 turn".to_owned(),
            _ => format!("{questions} turns"),
        };
        h.send(Msg::SessionLoaded(session.clone()));
        let notice = h.state().notice.as_ref().expect("a notice");
        assert_eq!(notice.text, format!("{words} restored"));
        let mut shelf = Shelf {
            sessions: vec![session],
            ..Shelf::default()
        };
        h.press("ctrl-s");
        shelf.serve(&mut h);
        assert!(h.screen().contains(&format!("{words}, ")), "{}", h.screen());
    }
}

/// A plain answer is as fast as plain decoding, also when it is read from a session.
#[test]
fn a_plain_answer_has_a_speed_up() {
    let mut h = Harness::ready(100, 30);
    h.ask_command("/set strategy autoregressive");
    h.ask("Why is the sky blue?");
    assert_eq!(
        h.screen().matches("1.00× plain").count(),
        2,
        "{}",
        h.screen()
    );
    let session = session_of(h.state());
    let mut other = Harness::ready(100, 30);
    other.send(Msg::SessionLoaded(session));
    let screen = other.screen();
    assert_eq!(screen.matches("1.00× plain").count(), 2, "{screen}");
    assert!(screen.contains("plain decoding, no drafts"), "{screen}");
}

#[test]
fn letters_search_titles_and_text() {
    let (mut h, mut shelf) = browsing();
    h.write("SKY");
    shelf.serve(&mut h);
    assert!(h.state().overlay.is_some());
    assert!(titles(&h).contains(&"Why is the sky blue?".to_owned()));
    h.press("backspace backspace backspace");
    h.write("nowhere to be found");
    shelf.serve(&mut h);
    assert!(h.screen().contains("nothing matches"), "{}", h.screen());
    h.send(Msg::Sessions {
        search_id: 1,
        listed: Vec::new(),
        done: false,
    });
    assert!(
        !h.screen().contains("searching"),
        "late answers do not count"
    );
}

#[test]
fn enter_goes_on_with_a_session() {
    let (mut h, mut shelf) = browsing();
    h.press("down enter");
    shelf.serve(&mut h);
    assert!(h.state().overlay.is_none());
    assert_eq!(h.state().turns[0].prompt, "Why is the sky blue?");
    h.ask("And at night?");
    assert_eq!(h.state().turns.len(), 2);
}

#[test]
fn a_broken_file_is_explained_and_not_opened() {
    let (mut h, mut shelf) = browsing();
    h.press("end");
    assert!(h.screen().contains("it is empty␛[2J"), "{}", h.screen());
    for key in ["enter", "f2", "ctrl-r"] {
        h.press(key);
        assert!(h.effects.is_empty() && h.state().overlay.is_some(), "{key}");
        assert!(
            h.state()
                .notice
                .as_ref()
                .is_some_and(|notice| notice.is_error),
            "{key}"
        );
    }
    h.press("delete");
    h.state().overlay.as_ref().expect("the list stays");
    assert!(
        matches!(h.effects[..], [Effect::DeleteSession(_)]),
        "even that can be deleted"
    );
    shelf.serve(&mut h);
    assert_eq!(titles(&h).len(), 2);
}

#[test]
fn a_title_is_written_in_place() {
    let (mut h, mut shelf) = browsing();
    h.press("down f2");
    assert!(
        h.screen().contains("title Why is the sky blue?"),
        "{}",
        h.screen()
    );
    h.press("ctrl-u");
    h.write("Blue");
    h.press("esc");
    assert!(h.effects.is_empty(), "esc leaves the title as it was");
    h.press("f2 ctrl-u");
    h.write(" Blue q ");
    h.press("enter");
    shelf.serve(&mut h);
    assert_eq!(titles(&h)[1], "Blue q");
    h.press("enter");
    assert!(
        h.state().overlay.is_none(),
        "the renamed one is still chosen"
    );
}

#[test]
fn deleting_is_taken_back_key_by_key() {
    let (mut h, mut shelf) = browsing();
    h.press("down delete");
    shelf.serve(&mut h);
    assert_eq!(titles(&h), ["What is the tide?", "Broken"]);
    assert!(h.screen().contains("ctrl-u restores it"), "{}", h.screen());
    h.press("delete");
    shelf.serve(&mut h);
    h.press("esc ctrl-s");
    shelf.serve(&mut h);
    assert_eq!(titles(&h), ["What is the tide?"]);
    h.press("ctrl-u");
    shelf.serve(&mut h);
    h.press("ctrl-u");
    shelf.serve(&mut h);
    assert_eq!(titles(&h).len(), 3);
    let Some(Overlay::Sessions(list)) = &h.state().overlay else {
        panic!()
    };
    assert_eq!(list.selected, 1, "what came back is chosen");
    h.press("ctrl-u");
    assert!(h.effects.is_empty(), "nothing more to take back");
}

#[test]
fn deleting_the_own_session_begins_a_new_chat_but_not_under_an_answer() {
    let (mut h, mut shelf) = browsing();
    h.press("delete");
    shelf.serve(&mut h);
    assert!(h.state().turns.is_empty());
    let (mut h, _) = browsing();
    h.press("esc");
    h.write("more");
    h.press("enter ctrl-s");
    let search_id = match h.effects.pop() {
        Some(Effect::ListSessions { search_id, .. }) => search_id,
        other => panic!("{other:?}"),
    };
    let listed = browsing().0;
    let Some(Overlay::Sessions(list)) = &listed.state().overlay else {
        panic!()
    };
    h.send(Msg::Sessions {
        search_id,
        listed: list.listed.clone(),
        done: true,
    });
    for keys in ["delete", "down enter", "ctrl-r"] {
        h.press(keys);
        assert!(h.effects.is_empty() && h.state().run().is_some(), "{keys}");
        assert!(
            h.state()
                .notice
                .as_ref()
                .is_some_and(|notice| notice.is_error),
            "{keys}"
        );
    }
    h.press("esc");
    h.ask_command("/load last");
    let loads = |effect: &Effect| matches!(effect, Effect::LoadSession(_));
    assert!(
        !h.effects.iter().any(loads) && !matches!(h.state().phase, Phase::Idle),
        "an answer is not thrown away"
    );
}

#[test]
fn the_mouse_chooses_then_opens() {
    let (mut h, mut shelf) = browsing();
    let row = h.find(&Target::Entry(1));
    h.click(row.x + 5, row.y);
    assert!(h.state().overlay.is_some());
    h.click(row.x + 5, row.y);
    shelf.serve(&mut h);
    assert_eq!(h.state().turns[0].prompt, "Why is the sky blue?");
}

#[test]
fn a_letter_searches_wherever_the_list_was_opened_from() {
    let (mut h, mut shelf) = browsing();
    h.press("esc tab ctrl-s");
    shelf.serve(&mut h);
    h.press("q");
    assert!(!h.app.shared.quit, "q is a letter here");
    h.press("esc ctrl-p q");
    assert!(!h.app.shared.quit);
}

/// What was said before stays in the list: the driver is told that another session begins, once something is asked in
/// place of what was cleared. A session that is taken up is no new one.
#[test]
fn a_cleared_chat_is_followed_by_a_session_of_its_own() {
    let begins = |h: &Harness| h.effects.contains(&Effect::BeginSession);
    for clear in ["ctrl-l", "/clear"] {
        for back in [false, true] {
            let mut h = Harness::ready(100, 30);
            h.ask("What is the tide?");
            if clear.starts_with('/') {
                h.ask_command(clear)
            } else {
                h.press(clear)
            }
            assert!(h.state().turns.is_empty() && !begins(&h), "{clear}");
            if back {
                h.press("esc");
            }
            h.ask("And the moon?");
            assert_eq!(
                (h.state().turns.len(), begins(&h)),
                if back { (2, false) } else { (1, true) },
                "{clear}"
            );
        }
    }
    let mut h = Harness::ready(100, 30);
    h.ask("What is the tide?");
    h.send(Msg::SessionLoaded(said("Old", 1)));
    assert!(!h.state().turns.is_empty() && !begins(&h));
}

/// The list starts on a session that can be opened, however new an unreadable one is.
#[test]
fn the_first_session_that_can_be_read_is_selected() {
    let (mut h, mut shelf) = browsing();
    h.press("esc");
    shelf.broken = vec![shelf.sessions[2].header.id.clone()];
    h.press("ctrl-s");
    shelf.serve(&mut h);
    assert_eq!(titles(&h)[1], "Why is the sky blue?");
    h.press("enter");
    shelf.serve(&mut h);
    assert_eq!(h.state().turns[0].prompt, "Why is the sky blue?");
    // What the user selects stays selected, whether it can be read or not.
    h.press("ctrl-s");
    shelf.serve(&mut h);
    h.press("up");
    shelf.serve(&mut h);
    assert!(h.screen().contains("cannot be read"), "{}", h.screen());
}

/// Who loads a session of another model is told at once, and how to load that model.
#[test]
fn a_session_of_another_model_says_so() {
    let session = said("What is the tide?", 1);
    let mut same = Harness::ready(160, 30);
    same.send(Msg::SessionLoaded(session.clone()));
    let text = |h: &Harness| h.state().notice.as_ref().expect("a notice").text.clone();
    assert_eq!(text(&same), "1 turn restored");
    let mut other = super::support::model();
    (other.name, other.path) = ("Other".into(), "other.gguf".into());
    let mut h = Harness::starting(160, 30, skiplens::app::Options::default());
    h.send(Msg::Engine(super::support::loaded_as(other.clone())));
    h.send(Msg::SessionLoaded(session.clone()));
    let told = "SmolLM2-135M-LayerSkip wrote it and Other answers from here; \
                /model assets/model.gguf loads SmolLM2-135M-LayerSkip";
    assert!(text(&h).contains(told), "{}", text(&h));
    h.ask("And the moon?");
    assert!(!h.state().turns[1].is_empty());
    // A model that cannot chat says so before a question fails.
    other.has_chat_template = false;
    let mut h = Harness::starting(160, 30, skiplens::app::Options::default());
    h.send(Msg::Engine(super::support::loaded_as(other)));
    h.send(Msg::SessionLoaded(session));
    let told = "Other cannot continue this chat, since it has no chat template; f8";
    assert!(text(&h).contains(told), "{}", text(&h));
}

/// An answer that the end of the program cut off has one name, on screen and in files.
#[test]
fn an_answer_without_an_end_was_cancelled() {
    let mut h = Harness::ready(100, 30);
    h.write("What is the tide?");
    h.press("enter");
    h.engine(20);
    let session = session_of(h.state());
    let mut again = Harness::ready(100, 30);
    again.send(Msg::SessionLoaded(session.clone()));
    assert!(again.screen().contains("cancelled"), "{}", again.screen());
    for format in [Format::Markdown, Format::Html] {
        let text = format.export(&session);
        assert!(
            text.contains("cancelled") && !text.contains("interrupted"),
            "{text}"
        );
    }
}

/// The journal holds what a speed-up is computed from, so a resumed session shows the same one.
#[test]
fn a_resumed_session_has_the_speed_up_that_it_had() {
    let gain = |h: &Harness| {
        let screen = h.screen();
        let top = screen.lines().next().expect("a header");
        let (before, _) = top.split_once(" plain").unwrap_or_else(|| panic!("{top}"));
        before.rsplit("  ").next().expect("a figure").to_owned()
    };
    let mut seen = Vec::new();
    for measures in ["", "f7", "f4", "f4 esc f7"] {
        let mut h = Harness::ready(160, 50);
        h.ask("What is the tide?");
        for key in measures.split_whitespace() {
            h.press(key);
            h.engine(usize::MAX);
        }
        h.press("esc");
        let raced = |effect: &Effect| matches!(effect, Effect::Record(Entry::Race(_)));
        assert_eq!(h.effects.iter().any(raced), measures.contains("f7"));
        let mut again = Harness::ready(160, 50);
        again.send(Msg::SessionLoaded(session_of(h.state())));
        assert_eq!(gain(&again), gain(&h), "{measures}");
        // A replay beside the model is of the same record.
        again.send(Msg::ReplayLoaded(session_of(h.state())));
        again.press("end");
        assert_eq!(gain(&again), gain(&h), "{measures}, replayed");
        seen.push(gain(&h));
    }
    assert_ne!(seen[0], seen[1], "a race corrects the estimate");
}

/// A race before the first question belongs to the session that this question begins.
#[test]
fn a_race_before_the_first_question_is_recorded_with_it() {
    let mut h = Harness::ready(160, 50);
    h.write("What is the tide?");
    h.press("f7");
    h.engine(usize::MAX);
    h.press("esc");
    h.effects.clear();
    h.press("enter");
    let raced = |effect: &Effect| matches!(effect, Effect::Record(Entry::Race(_)));
    assert!(h.effects.iter().any(raced), "{:?}", h.effects);
}
