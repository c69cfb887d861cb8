//! Markdown of finished answers: headings, emphasis, code, lists, quotes. What is not understood is shown as it stands.

use super::theme::Role;
use super::wrap::{Piece, Source};
use crate::transcript::text::in_cells;
use std::borrow::Cow;

/// An answer as blocks of text with roles.
#[derive(Debug, Default, PartialEq)]
pub struct Document {
    /// Each ends with a line feed, the last one apart.
    blocks: Vec<Vec<(String, Role)>>,
}

impl Document {
    /// Read a text line by line.
    pub fn parse(text: &str) -> Self {
        let text = in_cells(text.trim());
        let (mut blocks, mut fenced) = (Vec::new(), false);
        for line in text.lines() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
                continue;
            }
            let mut block = if fenced { vec![(format!("  {line}"), Role::Code)] } else { block(line) };
            block.push(("\n".into(), Role::Text));
            blocks.push(block);
        }
        if let Some(last) = blocks.last_mut() {
            last.pop();
        }
        Self { blocks }
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
        let (text, role) = self.blocks.get(group)?.get(piece)?;
        Some(Piece { text: Cow::Borrowed(text), role: *role, token: None })
    }
}

/// One line outside of code fences.
fn block(line: &str) -> Vec<(String, Role)> {
    let trimmed = line.trim_start();
    let indent = &line[..line.len() - trimmed.len()];
    let hashes = trimmed.bytes().take_while(|byte| *byte == b'#').count();
    if (1..=6).contains(&hashes) && trimmed[hashes..].starts_with(' ') {
        return vec![(trimmed[hashes..].trim().to_string(), Role::Heading)];
    }
    if trimmed.len() >= 3 && ["-", "*", "_"].iter().any(|mark| trimmed.replace(mark, "").trim().is_empty()) {
        return vec![("─".repeat(8), Role::Border)];
    }
    let mut block = vec![(indent.to_string(), Role::Text)];
    let rest = match trimmed.split_at_checked(2) {
        Some(("- " | "* " | "+ ", rest)) => {
            block.push(("• ".into(), Role::Accent));
            rest
        }
        Some(("> ", rest)) => {
            block.push(("┃ ".into(), Role::Dim));
            rest
        }
        _ => trimmed,
    };
    inline(rest, Role::Text, &mut block);
    block
}

/// The marks within a line, the longer ones first.
const MARKS: [(&str, Role); 5] =
    [("**", Role::Strong), ("__", Role::Strong), ("`", Role::Code), ("*", Role::Emphasis), ("_", Role::Emphasis)];

/// Split a text at its marks.
fn inline(text: &str, role: Role, out: &mut Vec<(String, Role)>) {
    for (at, _) in text.char_indices() {
        let rest = &text[at..];
        let Some((mark, inner_role)) = MARKS.iter().find(|(mark, _)| rest.starts_with(mark)) else { continue };
        if !opens(text, at, mark) {
            continue;
        }
        let inner = &rest[mark.len()..];
        let Some(end) = closing(inner, mark) else { continue };
        out.push((text[..at].to_string(), role));
        match *inner_role {
            Role::Code => out.push((inner[..end].to_string(), Role::Code)),
            inner_role => inline(&inner[..end], inner_role, out),
        }
        return inline(&inner[end + mark.len()..], role, out);
    }
    out.push((text.to_string(), role));
}

/// A mark opens before a word; `_` not within one.
fn opens(text: &str, at: usize, mark: &str) -> bool {
    let next = text[at + mark.len()..].chars().next();
    let before = text[..at].chars().next_back();
    next.is_some_and(|c| !c.is_whitespace()) && (!mark.starts_with('_') || !before.is_some_and(char::is_alphanumeric))
}

/// Where the mark closes: after something that is no space.
fn closing(inner: &str, mark: &str) -> Option<usize> {
    inner.match_indices(mark).map(|(at, _)| at).find(|at| *at > 0 && !inner[..*at].ends_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> Vec<(String, Role)> {
        let blocks = Document::parse(text).blocks;
        blocks.into_iter().flatten().filter(|(text, _)| !text.is_empty()).collect()
    }

    #[test]
    fn marks_become_roles() {
        let expected =
            [("a ", Role::Text), ("b", Role::Strong), (" ", Role::Text), ("c", Role::Code), ("!", Role::Text)];
        assert_eq!(shown("a **b** `c`!"), expected.map(|(text, role)| (text.to_string(), role)));
        assert_eq!(shown("# Title"), [("Title".to_string(), Role::Heading)]);
        assert_eq!(shown("2 * 3 * 4 snake_case_name"), [("2 * 3 * 4 snake_case_name".to_string(), Role::Text)]);
        assert_eq!(shown("```\nx\n```"), [("  x".to_string(), Role::Code)]);
        assert_eq!(shown("- x")[0], ("• ".to_string(), Role::Accent));
    }

    proptest! {
        #[test]
        fn any_text_parses(text in "[-#*_`> a\n\u{1b}漢]{0,60}") {
            let unsafe_left = shown(&text).iter().any(|(text, _)| text.contains('\u{1b}'));
            prop_assert!(!unsafe_left);
        }
    }
}
