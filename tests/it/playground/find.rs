//! Finding a text in the conversation.

use super::screens::snapshot;
use super::support::{Harness, answer, said};
use ratatui::style::Modifier;
use skiplens::app::{Context, Msg, Pane};

/// The text of the cells that are highlighted: those of the current match, and of the others.
fn highlighted(h: &Harness) -> (String, String) {
    let (mut current, mut others) = (String::new(), String::new());
    for cell in &h.buffer().content {
        if cell.modifier.contains(Modifier::REVERSED) {
            current.push_str(cell.symbol());
        } else if cell
            .modifier
            .contains(Modifier::BOLD | Modifier::UNDERLINED)
        {
            others.push_str(cell.symbol());
        }
    }
    (current, others)
}

fn count(text: &str) -> usize {
    answer().concat().to_lowercase().matches(text).count()
}

#[test]
fn matches_are_highlighted_and_gone_through() {
    let mut h = Harness::ready(100, 30);
    h.ask("Why is the sky blue?");
    h.press("ctrl-f");
    assert_eq!(h.app.context(), Context::Find);
    h.write("BLUE");
    let total = count("blue") + 1;
    assert_eq!(h.app.shared.regions.found.total, total);
    assert!(
        h.screen().contains(&format!("1 of {total}")),
        "{}",
        h.screen()
    );
    let (current, others) = highlighted(&h);
    assert_eq!(current.to_lowercase(), "blue");
    assert_eq!(others.to_lowercase(), "blue".repeat(total - 1));
    h.press("down");
    assert!(
        h.screen().contains(&format!("2 of {total}")),
        "{}",
        h.screen()
    );
    h.press("up up");
    assert!(
        h.screen().contains(&format!("{total} of {total}")),
        "around the end"
    );
    h.write("x");
    assert!(h.screen().contains("not found"), "{}", h.screen());
    h.press("esc");
    assert!(h.state().find.is_none() && h.state().focus == Pane::Prompt);
    assert!(highlighted(&h).0.is_empty());
    assert!(
        h.state().prompt.is_empty(),
        "what was typed went to the search"
    );
}

/// A match that is out of view is scrolled to, in every way of showing answers.
#[test]
fn the_current_match_is_always_in_view() {
    for keys in ["", "tab tab m esc", "ctrl-x"] {
        let mut h = Harness::ready(80, 24);
        for question in ["first question", "second question", "third question"] {
            h.ask(question);
        }
        h.press(keys);
        h.press("ctrl-f");
        h.write("question");
        for _ in 0..3 {
            let (current, _) = highlighted(&h);
            assert_eq!(current, "question", "{keys}\n{}", h.screen());
            h.press("enter");
        }
        h.press("esc");
        h.write("/find light");
        h.press("enter");
        let total = h.app.shared.regions.found.total;
        assert_eq!(total, 3 * count("light"), "{keys}");
        for _ in 0..total {
            assert_eq!(highlighted(&h).0, "light", "{keys}\n{}", h.screen());
            h.press("down");
        }
    }
}

#[test]
fn a_replay_can_be_searched() {
    let mut h = Harness::ready(80, 24);
    h.send(Msg::ReplayLoaded(said("Why is the sky blue?", 1)));
    h.press("end ctrl-f");
    h.write("sky");
    assert_eq!(highlighted(&h).0, "sky");
    h.press("esc");
    assert!(h.app.replay.is_some(), "esc closes the search first");
    h.press("space");
}

/// What is found follows an answer that is being written.
#[test]
fn the_matches_grow_with_the_answer() {
    let mut h = Harness::ready(100, 40);
    h.write("hi");
    h.press("enter ctrl-f");
    h.write("the");
    let mut before = 0;
    for _ in 0..20 {
        h.engine(10);
        let found = h.app.shared.regions.found.total;
        assert!(found >= before);
        before = found;
    }
    h.engine(usize::MAX);
    assert_eq!(h.app.shared.regions.found.total, count("the"));
}

#[test]
fn pictures_of_a_search() {
    for (width, height) in [(80, 24), (160, 50)] {
        let mut h = Harness::ready(width, height);
        h.ask("Why is the sky blue?");
        h.tick(60_000);
        h.press("ctrl-f");
        h.write("light");
        h.press("down");
        snapshot(&format!("find-{width}x{height}"), &h);
    }
}
