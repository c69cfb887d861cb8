//! Makes untrusted text safe to show. Text of a model or of a paste may hold escape sequences, or characters that
//! reorder or hide what stands around them; here each becomes something visible, and nowhere else.

use std::borrow::Cow;
use std::fmt::Write;

/// `text` with every control or hidden character made visible. Line feeds stay; a tab becomes spaces.
pub fn visible(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| c == '\n' || is_safe(c)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' => shown.push('\n'),
            '\t' => shown.push_str("    "),
            '\r' if chars.peek() == Some(&'\n') => {}
            c if is_safe(c) => shown.push(c),
            c => push_visible(&mut shown, c),
        }
    }
    Cow::Owned(shown)
}

/// [`visible`], on one line: a line feed becomes `⏎`.
pub fn visible_line(text: &str) -> Cow<'_, str> {
    match visible(text) {
        shown if shown.contains('\n') => Cow::Owned(shown.replace('\n', "⏎")),
        shown => shown,
    }
}

/// Whether a character may be sent to a terminal as it is.
pub fn is_safe(c: char) -> bool {
    !c.is_control() && !reorders_or_hides(c)
}

/// C0 controls have pictures of their own; everything else is shown by its number.
fn push_visible(shown: &mut String, c: char) {
    match c {
        '\0'..='\u{1f}' => shown.extend(char::from_u32(0x2400 + c as u32)),
        '\u{7f}' => shown.push('\u{2421}'),
        // Writing to a String cannot fail.
        _ => drop(write!(shown, "⟨{:x}⟩", c as u32)),
    }
}

/// Bidirectional overrides and isolates, invisible separators, tags.
fn reorders_or_hides(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn control_characters_become_visible() {
        assert_eq!(visible("plain\ntext é 漢 👩‍💻"), "plain\ntext é 漢 👩‍💻");
        assert_eq!(visible("\u{1b}[31mred\u{7}"), "␛[31mred␇");
        assert_eq!(visible("a\tb\r\nc\rd"), "a    b\nc␍d");
        assert_eq!(visible("\u{9b}31m\u{202e}x\u{200b}"), "⟨9b⟩31m⟨202e⟩x⟨200b⟩");
        assert_eq!(visible_line("a\nb"), "a⏎b");
    }

    proptest! {
        #[test]
        fn nothing_unsafe_remains(text in any::<String>()) {
            prop_assert!(visible(&text).chars().all(|c| c == '\n' || is_safe(c)));
        }
    }
}
