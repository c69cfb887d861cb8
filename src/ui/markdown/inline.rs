//! The marks within a line: emphasis, code, links.

use super::super::theme::Role;
use super::source::Span;
use std::ops::Range;

/// Marks around words, the longer ones first.
const MARKS: [(&str, Role); 5] = [
    ("**", Role::Strong),
    ("__", Role::Strong),
    ("`", Role::Code),
    ("*", Role::Emphasis),
    ("_", Role::Emphasis),
];
/// A mark that has not closed after so many bytes is a character like any other.
const REACH: usize = 2_000;

/// Something with marks around it: how long it is with them, and what it becomes.
struct Found {
    len: usize,
    spans: Vec<Span>,
}

/// Split the stretch `range` of a text at its marks.
pub fn inline(text: &str, range: Range<usize>, role: Role, out: &mut Vec<Span>) {
    let (mut plain, mut at) = (range.start, range.start);
    while at < range.end {
        let rest = &text[at..range.end];
        let found = match rest.as_bytes()[0] {
            b'\\' => escape(at, rest, role),
            b'!' | b'[' => link(text, at, rest, role),
            b'<' | b'h' => address(text, at, rest),
            b'*' | b'_' | b'`' => marked(text, at, rest),
            _ => None,
        };
        let Some(found) = found else {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        };
        push(out, plain..at, role);
        out.extend(found.spans);
        at += found.len;
        plain = at;
    }
    push(out, plain..range.end, role);
}

fn push(out: &mut Vec<Span>, range: Range<usize>, role: Role) {
    if !range.is_empty() {
        out.push(Span::Source(range, role));
    }
}

/// `\*` is a star and no mark.
fn escape(at: usize, rest: &str, role: Role) -> Option<Found> {
    let escapes = rest.as_bytes().get(1).is_some_and(u8::is_ascii_punctuation);
    escapes.then(|| Found {
        len: 2,
        spans: vec![Span::Source(at + 1..at + 2, role)],
    })
}

/// Words between two marks.
fn marked(text: &str, at: usize, rest: &str) -> Option<Found> {
    let (mark, role) = MARKS.iter().find(|(mark, _)| rest.starts_with(mark))?;
    let inner = &rest[mark.len()..];
    let end = opens(&text[..at], inner, mark)
        .then(|| closing(inner, mark))
        .flatten()?;
    let (start, mut spans) = (at + mark.len(), Vec::new());
    match role {
        Role::Code => push(&mut spans, start..start + end, Role::Code),
        role => inline(text, start..start + end, *role, &mut spans),
    }
    Some(Found {
        len: 2 * mark.len() + end,
        spans,
    })
}

/// A mark opens before a word; `_` not within one.
fn opens(before: &str, after: &str, mark: &str) -> bool {
    let within = before
        .chars()
        .next_back()
        .is_some_and(char::is_alphanumeric);
    after.chars().next().is_some_and(|c| !c.is_whitespace()) && !(mark.starts_with('_') && within)
}

/// Where the mark closes: after something that is no space.
fn closing(inner: &str, mark: &str) -> Option<usize> {
    let mut near = inner
        .match_indices(mark)
        .map(|(at, _)| at)
        .take_while(|at| *at < REACH);
    near.find(|at| *at > 0 && !inner[..*at].ends_with(' '))
}

/// `[words](address)`, and the same after `!` for a picture: the words, then the address.
fn link(text: &str, at: usize, rest: &str, role: Role) -> Option<Found> {
    let inside = rest.strip_prefix("![").or_else(|| rest.strip_prefix('['))?;
    let (skip, words) = (rest.len() - inside.len(), balanced(inside, '[', ']')?);
    let open = skip + words + 1;
    let inside = rest.get(open..)?.strip_prefix('(')?;
    let address = balanced(inside, '(', ')')?;
    let shown = inside[..address]
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .len();
    let (words, address_at) = (at + skip..at + skip + words, at + open + 1);
    let len = open + 1 + address + 1;
    let mut spans = Vec::new();
    inline_link(text, words.clone(), role, &mut spans);
    if shown > 0 && text[words] != text[address_at..address_at + shown] {
        spans.push(Span::Made(" (", Role::Dim));
        spans.push(Span::Source(address_at..address_at + shown, Role::Dim));
        spans.push(Span::Made(")", Role::Dim));
    }
    Some(Found { len, spans })
}

/// The words of a link: marks within it are read, what has no other look gets that of a link.
fn inline_link(text: &str, words: Range<usize>, role: Role, out: &mut Vec<Span>) {
    let role = if role == Role::Strong {
        role
    } else {
        Role::Link
    };
    match text[words.clone()].contains(['[', '<']) {
        true => push(out, words, role),
        false => inline(text, words, role, out),
    }
}

/// Where the bracket that is open closes.
fn balanced(text: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in text.char_indices().take_while(|(at, _)| *at < REACH) {
        match c {
            c if c == close && depth == 0 => return Some(at),
            c if c == close => depth -= 1,
            c if c == open => depth += 1,
            _ => {}
        }
    }
    None
}

/// `<https://…>` or an address as it stands. Marks within an address are none.
fn address(text: &str, at: usize, rest: &str) -> Option<Found> {
    let is_address = |text: &str| text.starts_with("https://") || text.starts_with("http://");
    if let Some(inside) = rest.strip_prefix('<') {
        let end = inside
            .find(['>', ' '])
            .filter(|end| inside[*end..].starts_with('>') && is_address(inside))?;
        return Some(Found {
            len: end + 2,
            spans: vec![Span::Source(at + 1..at + 1 + end, Role::Link)],
        });
    }
    let within = text[..at]
        .chars()
        .next_back()
        .is_some_and(char::is_alphanumeric);
    if within || !is_address(rest) {
        return None;
    }
    let end = rest
        .find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '`' | '|'))
        .unwrap_or(rest.len());
    let end = rest[..end]
        .trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '*', '\''])
        .len();
    Some(Found {
        len: end,
        spans: vec![Span::Source(at..at + end, Role::Link)],
    })
}
