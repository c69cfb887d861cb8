//! Rejected drafts: folded in the text, walked through, the worst first, and rounds as tables.

use super::support::Harness;
use skiplens::app::state::worst::worst_drafts;
use skiplens::app::{Msg, Pane, TokenRef};
use skiplens::engine::decode::{ClosingToken, DraftToken, Origin, Parent, Round, RoundTokens};
use skiplens::engine::worker::{Event, RunEvent};

fn answered(width: u16, height: u16) -> Harness {
    let mut h = Harness::ready(width, height);
    h.ask("Why is the sky blue?");
    h
}

/// The tokens that end a round with a rejected draft.
fn corrections(h: &Harness) -> Vec<TokenRef> {
    let rounds = h.state().turns[0].rounds.iter().enumerate();
    let rejecting = rounds.filter(|(_, round)| round.rejected() > 0);
    let last = |(at, round): (usize, &skiplens::engine::decode::Round)| TokenRef {
        turn: 0,
        round: at,
        slot: round.slots() - 1,
    };
    rejecting.map(last).collect()
}

#[test]
fn n_walks_through_every_rejection_and_back() {
    let mut h = answered(100, 40);
    let expected = corrections(&h);
    assert!(expected.len() > 3);
    h.press("tab tab home");
    h.app.state();
    let mut seen = Vec::new();
    h.press("left");
    for _ in 0..h.state().turns[0].rounds.len() * 6 {
        h.press("N");
    }
    seen.extend(h.state().view.cursor);
    for _ in 1..expected.len() {
        h.press("n");
        seen.extend(h.state().view.cursor);
    }
    assert_eq!(seen, expected);
    h.press("n");
    assert!(
        h.screen().contains("no further rejected draft"),
        "{}",
        h.screen()
    );
}

#[test]
fn the_correction_tells_what_the_draft_had_said() {
    let mut h = answered(100, 50);
    h.press("tab tab N");
    let cursor = h.state().view.cursor.expect("a cursor");
    let round = &h.state().turns[0].rounds[cursor.round];
    let draft = round.token(round.accepted()).expect("the rejected draft");
    let told = format!("“{}”  id {}", draft.text, draft.id);
    let screen = h.screen();
    assert!(
        screen.contains("draft chose") && screen.contains(&told),
        "{told}\n{screen}"
    );
    assert!(
        screen.contains("  q, p") && screen.contains("  chance"),
        "{screen}"
    );
}

/// In the order of q − p, each once.
#[test]
fn the_worst_drafts_come_first() {
    let mut h = answered(160, 50);
    assert!(h.screen().contains(" worst drafts "), "{}", h.screen());
    let worst = worst_drafts(0, &h.state().turns[0], usize::MAX);
    assert!(
        worst
            .windows(2)
            .all(|pair| pair[0].excess >= pair[1].excess)
    );
    let few = worst_drafts(0, &h.state().turns[0], 3);
    assert_eq!(few[..], worst[..3]);
    h.press("ctrl-x tab tab");
    for draft in &worst {
        h.press("w");
        assert_eq!(h.state().view.cursor, Some(draft.at));
    }
    h.press("W");
    assert_eq!(h.state().view.cursor, Some(worst[worst.len() - 2].at));
}

/// Of several rejected drafts one stands in the text, with the number of the others.
#[test]
fn rejected_drafts_are_folded() {
    let mut h = answered(100, 40);
    let plain = h.screen();
    h.press("ctrl-x");
    let shown = h.screen();
    let folded = h.state().turns[0]
        .rounds
        .iter()
        .filter(|round| round.rejected() > 1)
        .count();
    let marks = |screen: &str| screen.matches("+2").count() + screen.matches("+1").count();
    assert!(
        folded > 3 && marks(&shown) > 3 && marks(&plain) == 0,
        "{shown}"
    );
    // A draft within the fold can be inspected.
    h.press("tab tab home left");
    for _ in 0..30 {
        h.press("left");
        let cursor = h.state().view.cursor.expect("a cursor");
        let token = h.state().turns[0].rounds[cursor.round]
            .token(cursor.slot)
            .expect("a token");
        assert!(
            h.screen().contains(&format!("id {}", token.id)),
            "{}",
            h.screen()
        );
    }
}

#[test]
fn a_round_is_shown_as_a_table_of_its_phases() {
    let mut h = answered(160, 50);
    h.press("tab tab tab");
    assert_eq!(h.state().focus, Pane::Rounds);
    let cursor = h.state().view.cursor.expect("a cursor");
    let round = &h.state().turns[0].rounds[cursor.round];
    let screen = h.screen();
    for told in [
        format!("round {}", round.index),
        format!("{} rows", round.drafted().len() + 1),
        format!("{:.2} ms", round.verify_seconds * 1e3),
    ] {
        assert!(screen.contains(&told), "{told}\n{screen}");
    }
}

/// An answer whose second round drafted a tree: two candidates for the first word, of which the verifier took the
/// second, and two after each.
fn with_tree(width: u16, height: u16) -> Harness {
    let mut h = Harness::ready(width, height);
    h.write("hi");
    h.press("enter");
    while h.state().turns[0].rounds.is_empty() {
        h.engine(1);
    }
    let run = h.state().run().expect("a run").id;
    let node = |id: u32, text: &str, node: usize, parent: Option<usize>, rank: usize| DraftToken {
        parent: Parent::of(node, parent),
        rank,
        p_verify: Some(0.1),
        ..DraftToken::new(id, text, 0.5)
    };
    let tokens = RoundTokens {
        drafted: vec![
            node(501, " first", 0, None, 0),
            node(502, " second", 1, None, 1),
            node(503, " under", 2, Some(0), 0),
            node(504, " best", 3, Some(1), 0),
            node(505, " other", 4, Some(1), 1),
        ],
        accepted: 1,
        path: vec![1],
        closing: Some(ClosingToken::new(506, " closing", Origin::Corrected, 0.9)),
    };
    let last = h.state().turns[0].rounds.last().expect("a round");
    let position = last.position + last.len();
    let mut round = Round::new(last.index + 1, position, last.settings.clone(), tokens);
    (round.draft_seconds, round.verify_seconds) = (0.004, 0.01);
    let round = RunEvent::Round(Box::new(round));
    h.send(Msg::Engine(Event::Run(run, round)));
    h
}

/// Of the candidates that the verifier refused, the draft chose the likeliest after the accepted token.
#[test]
fn a_correction_in_a_tree_has_one_draft_in_its_place() {
    let mut h = with_tree(160, 50);
    let round = h.state().turns[0].rounds.len() - 1;
    let at = |slot| TokenRef {
        turn: 0,
        round,
        slot,
    };
    h.state_mut().focus = Pane::Chat;
    h.state_mut().view.cursor = Some(at(5));
    h.draw();
    let screen = h.screen();
    assert_eq!(screen.matches("draft chose").count(), 1, "{screen}");
    assert!(screen.contains("draft chose  “ best”  id 504"), "{screen}");
    assert!(screen.contains("1 of 5 nodes accepted"), "{screen}");
}

/// A refused candidate stands beside the token that the text has in its place, which may be an accepted draft.
#[test]
fn the_worst_drafts_of_a_tree_stand_beside_what_replaced_them() {
    let h = with_tree(160, 50);
    let screen = h.screen();
    let line = |drafted: &str| {
        let of = screen.lines().find(|line| line.contains(drafted));
        of.unwrap_or_else(|| panic!("no {drafted}:\n{screen}"))
    };
    assert!(line(" first ").contains("second"), "{screen}");
    assert!(line(" best ").contains("closing"), "{screen}");
    assert!(!line(" under ").contains("closing"), "{screen}");
}
