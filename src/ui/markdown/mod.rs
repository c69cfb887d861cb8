//! Markdown of finished answers: headings, emphasis, code, lists, quotes, tables, links. What is not understood is
//! shown as it stands. Every stretch knows its token, so that tokens can be walked and clicked here as in the plain text.

mod inline;
mod source;
mod table;

use super::theme::Role;
use super::wrap::{Piece, Place, Source, wrap};
use crate::app::state::turn::{TokenRef, Turn};
use inline::inline;
use source::{Fragment, Paragraph, Span, Text};
use std::ops::Range;

/// Narrower than this, what hangs under a bullet begins at the left border like everything else.
const HANGING: u16 = 12;

/// An answer as lines with roles, laid out for one width.
#[derive(Debug, Default, PartialEq)]
pub struct Document {
    /// Each ends with a line feed, the last one apart.
    blocks: Vec<Vec<Fragment>>,
}

impl Document {
    /// Read the answer of the turn at `index`, for lines of `width` cells.
    pub fn of(index: usize, turn: &Turn, width: u16) -> Self {
        Self::parse(&Text::of(index, turn), width)
    }

    fn parse(text: &Text, width: u16) -> Self {
        let lines = lines(&text.shown);
        let (mut blocks, mut fence) = (Vec::new(), None);
        let mut at = 0;
        while let Some(line) = lines.get(at) {
            let shown = &text.shown[line.clone()];
            match (fence, fence_of(shown)) {
                (None, Some(opened)) => fence = Some(opened),
                (Some(opened), Some(closes)) if opened == closes => fence = None,
                (Some(_), _) => {
                    let code = [
                        Span::Made("  ", Role::Code),
                        Span::Source(line.clone(), Role::Code),
                    ];
                    blocks.push(text.cut(&code));
                }
                (None, None) => match table::table(text, &lines[at..], width) {
                    Some((rows, taken)) => {
                        blocks.extend(rows);
                        at += taken - 1;
                    }
                    None => block(text, line.clone(), width, &mut blocks),
                },
            }
            at += 1;
        }
        let last = blocks.len().saturating_sub(1);
        blocks[..last]
            .iter_mut()
            .for_each(|block| block.push(Fragment::made("\n", Role::Text)));
        Self { blocks }
    }

    /// Where a token begins, or the next one that has something to show.
    pub fn place(&self, token: TokenRef) -> Place {
        let pieces = self.blocks.iter().enumerate().flat_map(|(group, block)| {
            block.iter().enumerate().map(move |(piece, fragment)| {
                (
                    Place {
                        group,
                        piece,
                        byte: 0,
                    },
                    fragment.token,
                )
            })
        });
        let mut shown = pieces.filter_map(|(place, shown)| Some((place, shown?)));
        shown
            .find(|(_, shown)| *shown >= token)
            .map(|(place, _)| place)
            .unwrap_or_default()
    }
}

impl Source for Document {
    fn settled(&self) -> usize {
        self.blocks.len()
    }

    fn groups(&self) -> usize {
        self.blocks.len()
    }

    fn piece(&self, group: usize, piece: usize) -> Option<Piece<'_>> {
        self.blocks.get(group)?.get(piece).map(Fragment::piece)
    }
}

/// Where the lines of a text lie, without empty ones at its ends.
fn lines(text: &str) -> Vec<Range<usize>> {
    let start = text.len() - text.trim_start().len();
    let mut at = start;
    let line = |line: &str| {
        let from = at;
        at += line.len();
        from..from + line.trim_end_matches('\n').len()
    };
    text[start..]
        .trim_end()
        .split_inclusive('\n')
        .map(line)
        .collect()
}

/// The mark of a line that begins or ends code.
fn fence_of(line: &str) -> Option<&'static str> {
    ["```", "~~~"]
        .into_iter()
        .find(|fence| line.trim_start().starts_with(fence))
}

/// One line outside of code and tables, as one or more lines of the screen.
fn block(text: &Text, line: Range<usize>, width: u16, out: &mut Vec<Vec<Fragment>>) {
    let shown = &text.shown[line.clone()];
    let trimmed = shown.trim_start();
    let start = line.end - trimmed.len();
    let hashes = trimmed.bytes().take_while(|byte| *byte == b'#').count();
    if (1..=6).contains(&hashes) && trimmed[hashes..].starts_with(' ') {
        let title = trimmed[hashes..].trim();
        let from = start + hashes + (trimmed.len() - hashes - trimmed[hashes..].trim_start().len());
        let mut spans = Vec::new();
        inline(
            &text.shown,
            from..from + title.len(),
            Role::Heading,
            &mut spans,
        );
        return out.push(text.cut(&spans));
    }
    if is_rule(trimmed) {
        return out.push(vec![Fragment::made("─".repeat(8), Role::Border)]);
    }
    let indent = Span::Source(line.start..start, Role::Text);
    let (lead, again, rest) = lead(trimmed, start);
    let mut spans = Vec::new();
    inline(&text.shown, rest..line.end, Role::Text, &mut spans);
    let body = text.cut(&spans);
    match lead {
        None => out.push([text.cut(&[indent]), body].concat()),
        Some(lead) => {
            let lead = Paragraph(text.cut(&[indent, lead, Span::Made(" ", Role::Text)]));
            hang(lead, again, Paragraph(body), width, out);
        }
    }
}

fn is_rule(line: &str) -> bool {
    line.len() >= 3
        && ["-", "*", "_"]
            .iter()
            .any(|mark| line.replace(mark, "").trim().is_empty())
}

/// What a list item or a quote begins with, what its further lines repeat of that, and where its text starts.
fn lead(line: &str, start: usize) -> (Option<Span>, Option<&'static str>, usize) {
    match line.split_at_checked(2) {
        Some(("- " | "* " | "+ ", _)) => {
            return (Some(Span::Made("•", Role::Accent)), None, start + 2);
        }
        Some(("> ", _)) => return (Some(Span::Made("┃", Role::Dim)), Some("┃"), start + 2),
        _ => {}
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let numbered = (1..=4).contains(&digits)
        && [". ", ") "]
            .iter()
            .any(|mark| line[digits..].starts_with(mark));
    match numbered {
        true => (
            Some(Span::Source(start..start + digits + 1, Role::Accent)),
            None,
            start + digits + 2,
        ),
        false => (None, None, start),
    }
}

/// Further lines of an item stand under its first word.
fn hang(
    lead: Paragraph,
    again: Option<&str>,
    body: Paragraph,
    width: u16,
    out: &mut Vec<Vec<Fragment>>,
) {
    let used = lead.width();
    if width < used + HANGING {
        return out.push([lead.0, body.0].concat());
    }
    let mut first = true;
    wrap(&body, Place::default(), 1, width - used, &mut |line| {
        let mut block = match std::mem::take(&mut first) {
            true => lead.0.clone(),
            false => vec![Fragment::made(
                format!("{:<1$}", again.unwrap_or_default(), usize::from(used)),
                Role::Dim,
            )],
        };
        block.extend(line.runs.into_iter().map(Fragment::from));
        out.push(block);
        true
    });
}

#[cfg(test)]
mod tests {
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
        #[test]
        fn any_text_parses(text in "[-#*_`>|:\\[\\]()!<h a1.\n\u{1b}漢]{0,80}", width in 1u16..40) {
            let unsafe_left = shown(&text).iter().any(|(text, _)| text.contains('\u{1b}'));
            prop_assert!(!unsafe_left);
            for line in screen(&text, width) {
                prop_assert!(line.chars().count() <= usize::from(width));
            }
        }
    }
}
