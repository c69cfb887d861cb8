//! Makes untrusted text safe to print without losing information.
//!
//! Control characters can drive a terminal, and bidirectional overrides can make text read differently from its actual
//! order. All text from a model, a file or a user passes through one of these functions before it leaves the program,
//! to the screen, a pipe or a file.

mod styled;

pub use styled::StyledText;

use std::borrow::Cow;
use std::fmt::Write;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Whether a character controls the terminal or the direction of the text instead of being visible. The crate's only
/// filter of this kind. Line feed and tab count as unsafe; callers that lay out text make an exception for them.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Multi-line text: keeps line feeds and tabs, drops a carriage return before a line feed, and replaces every other
/// unsafe character by a visible one (`␛` for escape, `⟨202E⟩` for a right-to-left override).
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| is_unsafe(c) && c != '\n' && c != '\t') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\t' => out.push(c),
            '\r' if chars.peek() == Some(&'\n') => {}
            c => push_visible(&mut out, c),
        }
    }
    Cow::Owned(out)
}

/// As [`visible`], with tabs as spaces, for the cells of a screen.
pub fn in_cells(text: &str) -> Cow<'_, str> {
    match visible(text) {
        shown if shown.contains('\t') => Cow::Owned(shown.replace('\t', "    ")),
        shown => shown,
    }
}

/// Single-line text: as [`visible`], with line feeds as `⏎` and tabs as `⇥`.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    text.chars().for_each(|c| push_visible(&mut out, c));
    Cow::Owned(out)
}

fn push_visible(out: &mut String, c: char) {
    match c {
        '\n' => out.push('⏎'),
        '\t' => out.push('⇥'),
        '\u{7f}' => out.push('␡'),
        // The control pictures are in the order of the control characters.
        c if (c as u32) < 0x20 => out.extend(char::from_u32(0x2400 + c as u32)),
        c if is_unsafe(c) => {
            let _ = write!(out, "⟨{:04X}⟩", c as u32);
        }
        c => out.push(c),
    }
}

/// Text for HTML content or quoted attributes.
pub fn html(text: &str) -> String {
    escape_markup(&visible(text))
}

/// Single-line text for XML.
pub fn xml(text: &str) -> String {
    escape_markup(&one_line(text))
}

fn escape_markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Makes a JSON document safe to show on a terminal and to embed in HTML. Its value is unchanged: unsafe characters
/// occur only in strings, where they become `\u` escapes.
pub fn json(document: String) -> String {
    escape_json(document, |c| is_unsafe(c) || matches!(c, '<' | '>' | '&'))
}

/// As [`json`], for terminals only: markup stays readable.
pub fn terminal_json(document: String) -> String {
    escape_json(document, is_unsafe)
}

fn escape_json(document: String, escaped: impl Fn(char) -> bool) -> String {
    let harmless = |c: char| c == '\n' || !escaped(c);
    if document.chars().all(harmless) {
        return document;
    }
    let mut out = String::with_capacity(document.len() + 64);
    for c in document.chars() {
        if harmless(c) {
            out.push(c);
        } else {
            let mut units = [0u16; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| {
                let _ = write!(out, "\\u{unit:04x}");
            });
        }
    }
    out
}

/// Truncates `text` to `limit` characters, with an ellipsis.
pub fn shorten(text: &str, limit: usize) -> Cow<'_, str> {
    match text.char_indices().nth(limit) {
        None => Cow::Borrowed(text),
        Some(_) => {
            let end = text
                .char_indices()
                .nth(limit.saturating_sub(1))
                .map_or(0, |(at, _)| at);
            Cow::Owned(format!("{}…", text[..end].trim_end()))
        }
    }
}

/// `words` on one line, truncated with an ellipsis to at most `columns` cells.
pub fn fit(words: &str, columns: usize) -> Cow<'_, str> {
    let words = one_line(words);
    if words.width() <= columns {
        return words;
    }
    let mut used = 1;
    let fits = |symbol: &&str| {
        used += symbol.width();
        used <= columns
    };
    let cut: String = words.graphemes(true).take_while(fits).collect();
    Cow::Owned(if columns == 0 {
        String::new()
    } else {
        format!("{}…", cut.trim_end())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escape_sequences_and_overrides_become_visible() {
        assert_eq!(
            visible("a\x1b[31mb\u{9b}2J\u{202e}c\r\nd\re\tf\0"),
            "a␛[31mb⟨009B⟩2J⟨202E⟩c\nd␍e\tf␀"
        );
        assert_eq!(one_line("a\nb\tc"), "a⏎b⇥c");
        assert_eq!(in_cells("a\tb\r\n\u{ad}"), "a    b\n⟨00AD⟩");
        assert_eq!(visible("日本 👩‍👩‍👧 é"), "日本 👩‍👩‍👧 é");
    }

    #[test]
    fn markup_is_escaped() {
        assert_eq!(
            html("<script>'&\"</script>"),
            "&lt;script&gt;&#39;&amp;&quot;&lt;/script&gt;"
        );
    }

    #[test]
    fn shortened_text_ends_between_characters() {
        assert_eq!(shorten("abc", 3), "abc");
        assert_eq!(shorten("日本語で", 3), "日本…");
        assert_eq!(shorten("abc", 0), "…");
    }

    #[test]
    fn fit_truncates_by_display_width() {
        assert_eq!(
            (fit("abc", 3), fit("abcd", 3), fit("a bcd", 3)),
            ("abc".into(), "ab…".into(), "a…".into())
        );
        assert_eq!(
            (fit("日本語", 5), fit("日本語", 6)),
            ("日本…".into(), "日本語".into())
        );
        assert_eq!(
            (fit("abc", 0), fit("abc", 1), fit("\x1b[2J", 3)),
            ("".into(), "…".into(), "␛[…".into())
        );
    }

    proptest! {
        #[test]
        fn fit_never_exceeds_the_columns(text in any::<String>(), columns in 0usize..40) {
            let cut = fit(&text, columns);
            prop_assert!(cut.width() <= columns && !cut.contains(is_unsafe), "{cut:?}");
        }

        #[test]
        fn nothing_unsafe_remains(text in any::<String>()) {
            prop_assert!(!visible(&text).contains(|c| is_unsafe(c) && c != '\n' && c != '\t'));
            prop_assert!(!one_line(&text).contains(is_unsafe));
            prop_assert!(!in_cells(&text).contains(|c| is_unsafe(c) && c != '\n'));
            prop_assert!(!html(&text).contains(['<', '>', '"', '\'']));
        }

        #[test]
        fn safe_json_has_the_same_value(text in any::<String>()) {
            let plain = serde_json::to_string(&text).unwrap();
            let (safe, shown) = (json(plain.clone()), terminal_json(plain));
            prop_assert!(!safe.contains(is_unsafe) && !safe.contains(['<', '>', '&']));
            prop_assert!(!shown.contains(is_unsafe));
            for document in [safe, shown] {
                prop_assert_eq!(&serde_json::from_str::<String>(&document).unwrap(), &text);
            }
        }
    }
}
