//! The list of kept sessions: found, opened, renamed, deleted, taken back.

use super::support::{Harness, Shelf, said, session_of};
use skiplens::app::{Effect, Msg, Overlay, Phase, Target};

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
