use super::super::theme::Role;
use super::super::wrap::wrap;
use super::*;
use crate::app::Mode;
use crate::engine::decode::{ClosingToken, Origin, Round, RoundTokens, Settings};
use proptest::prelude::*;

/// A turn whose every round adds one of these tokens.
fn turn<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Turn {
    let mut turn = Turn::new(0, Mode::Chat, String::new());
    for (index, text) in tokens.into_iter().enumerate() {
        let (text, origin) = (text.to_string(), Origin::Plain);
        let closing = ClosingToken {
            id: 0,
            text,
            origin,
            p_draft: None,
            p_verify: 1.0,
            logprobs: None,
            detail: None,
        };
        let tokens = RoundTokens {
            closing: Some(closing),
            ..RoundTokens::default()
        };
        turn.rounds
            .push(Round::new(index, index, Settings::default(), tokens));
    }
    turn
}

/// The pieces of a text, each of its characters a token.
fn document(text: &str, width: u16) -> Document {
    Document::of(0, &turn(text.split_inclusive(|_| true)), width)
}

fn screen(text: &str, width: u16) -> Vec<String> {
    let mut lines = Vec::new();
    wrap(
        &document(text, width),
        Place::default(),
        usize::MAX,
        width,
        &mut |line| {
            lines.push(
                line.runs
                    .iter()
                    .map(|run| run.text.as_str())
                    .collect::<String>()
                    .trim_end()
                    .to_string(),
            );
            true
        },
    );
    lines
}

/// Adjacent stretches of one role as one.
fn shown(text: &str) -> Vec<(String, Role)> {
    let mut joined: Vec<(String, Role)> = Vec::new();
    for fragment in document(text, 80)
        .blocks
        .into_iter()
        .flatten()
        .filter(|fragment| !fragment.text.is_empty())
    {
        match joined.last_mut() {
            Some((text, role)) if *role == fragment.role => text.push_str(&fragment.text),
            _ => joined.push((fragment.text, fragment.role)),
        }
    }
    joined
}

#[test]
fn marks_become_roles() {
    let expected = [
        ("a ", Role::Text),
        ("b", Role::Strong),
        (" ", Role::Text),
        ("c", Role::Code),
        ("!", Role::Text),
    ];
    assert_eq!(
        shown("a **b** `c`!"),
        expected.map(|(text, role)| (text.to_string(), role))
    );
    assert_eq!(shown("# Title"), [("Title".to_string(), Role::Heading)]);
    assert_eq!(
        shown("2 * 3 * 4 snake_case_name"),
        [("2 * 3 * 4 snake_case_name".to_string(), Role::Text)]
    );
    assert_eq!(shown("```\nx\n```"), [("  x".to_string(), Role::Code)]);
    assert_eq!(shown("- x")[0], ("•".to_string(), Role::Accent));
    assert_eq!(shown("\\*a\\*"), [("*a*".to_string(), Role::Text)]);
}

#[test]
fn links_show_their_address() {
    let link = |text: &str| (text.to_string(), Role::Link);
    let dim = |text: &str| (text.to_string(), Role::Dim);
    assert_eq!(
        shown("[the paper](https://a.b/c_d \"title\")"),
        [link("the paper"), dim(" (https://a.b/c_d)")]
    );
    assert_eq!(
        shown("![a cat](cat.png)"),
        [link("a cat"), dim(" (cat.png)")]
    );
    assert_eq!(shown("<https://a.b>"), [link("https://a.b")]);
    let bare = shown("see https://a.b/_x_.");
    assert_eq!(
        bare,
        [
            ("see ".to_string(), Role::Text),
            link("https://a.b/_x_"),
            (".".to_string(), Role::Text)
        ]
    );
    assert_eq!(shown("a[0](b").len(), 1, "not a link");
}

#[test]
fn tables_have_columns() {
    let text = "| layer | share |\n|:--|--:|\n| 4 | 9 % |\n| **12** | 100 % |\nafter";
    let table = [
        "layer │ share",
        "──────┼──────",
        "4     │   9 %",
        "12    │ 100 %",
        "after",
    ];
    assert_eq!(screen(text, 40), table);
}

#[test]
fn a_table_that_is_too_wide_wraps_its_widest_cells() {
    let text = "| a | what it does |\n|---|---|\n| K | tokens drafted before each verify |";
    let table = [
        "a   │ what it does",
        "────┼───────────────",
        "K   │ tokens drafted",
        "    │ before each",
        "    │ verify",
    ];
    assert_eq!(screen(text, 20), table);
    assert_eq!(
        screen("| a | b |\n|---|---|\n| c | d |", 7)[0],
        "| a | b",
        "no room for columns"
    );
}

#[test]
fn a_table_may_lack_its_rule_and_rows_may_differ() {
    let text = "| Planet | Size |\n| Mars | 2 |\n| Venus's cousin | Earth | 2 |";
    assert_eq!(
        screen(text, 40),
        [
            "Planet         │ Size  │",
            "Mars           │ 2     │",
            "Venus's cousin │ Earth │ 2"
        ]
    );
    assert_eq!(
        screen("a | b\nc | d", 40),
        ["a | b", "c | d"],
        "bars alone are no table"
    );
}

#[test]
fn what_hangs_on_a_bullet_stays_beside_it() {
    assert_eq!(
        screen("- one two three four", 14),
        ["• one two", "  three four"]
    );
    assert_eq!(
        screen("10. one two three four", 17),
        ["10. one two three", "    four"]
    );
    assert_eq!(
        screen("> one two three four", 14),
        ["┃ one two", "┃ three four"]
    );
}

#[test]
fn lists_nest_and_blank_lines_stay_one() {
    assert_eq!(
        screen("1. one\n   - two\n   - three\n2. four", 40),
        ["1. one", "   • two", "   • three", "2. four"]
    );
    assert_eq!(
        screen("> a\n>\n> - b\n\nc", 40),
        ["┃ a", "┃", "┃ • b", "", "c"]
    );
    assert_eq!(screen("a\n\n\n\nb\nc", 40), ["a", "", "b", "c"]);
    assert_eq!(
        screen("```rust\nfn a() {\n    b\n}\n```\nc", 40),
        ["  fn a() {", "      b", "  }", "c"]
    );
    assert_eq!(screen("- a\n\n  b\n- c", 40), ["• a", "", "  b", "• c"]);
}

#[test]
fn what_html_and_entities_say_is_shown() {
    assert_eq!(screen("a &amp; b <b>c</b>", 40), ["a & b <b>c</b>"]);
    assert_eq!(
        screen("<think>\nwell\n</think>\n\nYes", 40),
        ["<think>", "well", "</think>", "", "Yes"]
    );
}

/// Every token keeps the role of its origin beside that of its mark.
#[test]
fn origins_stay_visible() {
    let document = document("a **b** `c`\n\n| d |\n|---|\n| e |", 40);
    for fragment in document.blocks.iter().flatten() {
        assert_eq!(
            fragment.origin,
            fragment.token.map(|_| Role::Plain),
            "{fragment:?}"
        );
    }
    let words: String = document
        .blocks
        .iter()
        .flatten()
        .filter(|fragment| fragment.origin.is_some())
        .map(|fragment| fragment.text.as_str())
        .collect();
    assert_eq!(words, "a b cde");
}

#[test]
fn every_stretch_knows_its_token() {
    let tokens = ["See ", "**", "the ", "sky", "**", "."];
    let document = Document::of(3, &turn(tokens), 40);
    let named: Vec<(&str, usize)> = document.blocks[0]
        .iter()
        .filter_map(|fragment| Some((fragment.text.as_str(), fragment.token?.round)))
        .collect();
    assert_eq!(named, [("See ", 0), ("the ", 2), ("sky", 3), (".", 5)]);
    let at = |round| {
        document
            .place(TokenRef {
                turn: 3,
                round,
                slot: 0,
            })
            .piece
    };
    assert_eq!(
        (at(0), at(1), at(2)),
        (0, 1, 1),
        "a mark leads to what follows it"
    );
}

proptest! {
    /// However Markdown reads it, every letter and digit of the text is on screen, in order but for link addresses.
    #[test]
    fn no_word_is_lost(text in "([a-z]{1,3}|[-#*_`>|]|[0-9]\\.|\n|\n\n| |    ){0,40}") {
        let plain = |text: &str| text.chars().filter(char::is_ascii_lowercase).collect::<String>();
        let document = document(&text, 60);
        let shown: String = document.blocks.iter().flatten().map(|f| f.text.as_str()).collect();
        // The language behind a code fence is not shown.
        prop_assume!(!text.contains("```") && !text.contains("~~~"));
        prop_assert_eq!(plain(&shown), plain(&text), "{:?}", text);
    }
}

proptest! {
    #[test]
    fn any_text_parses(text in "[-#*_`>|:\\[\\]()!<h a1.\n\u{1b}漢]{0,80}", width in 1u16..40) {
        let unsafe_left = shown(&text).iter().any(|(text, _)| text.contains('\u{1b}'));
        prop_assert!(!unsafe_left);
        for line in screen(&text, width) {
            prop_assert!(line.chars().count() <= usize::from(width));
        }
    }
}
