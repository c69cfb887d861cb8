//! Classes of characters as Python defines them.

/// White space for `str.isspace` and `str.strip`.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// Line ends for `str.splitlines`.
pub fn is_line_end(c: char) -> bool {
    matches!(
        c,
        '\n' | '\x0b'
            | '\x0c'
            | '\r'
            | '\x1c'
            | '\x1d'
            | '\x1e'
            | '\u{85}'
            | '\u{2028}'
            | '\u{2029}'
    )
}

/// Word characters in regular expressions.
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Lines, including their line ends.
pub fn lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (line, end) = match rest.char_indices().find(|(_, c)| is_line_end(*c)) {
            Some((at, '\r')) if rest[at + 1..].starts_with('\n') => (at, at + 2),
            Some((at, c)) => (at, at + c.len_utf8()),
            None => (rest.len(), rest.len()),
        };
        let pair = (&rest[..line], &rest[line..end]);
        rest = &rest[end..];
        Some(pair)
    })
}
