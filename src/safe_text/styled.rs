//! Styled text that is safe to print unchanged.

use super::visible;
use std::fmt;

/// Text for a terminal. Invariant: it holds no unsafe characters except line feeds, tabs and the SGR sequences of
/// [`StyledText::push_styled`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StyledText(String);

impl StyledText {
    /// Unstyled text.
    pub fn plain(text: &str) -> Self {
        Self::styled("", text)
    }

    /// `text` styled by the SGR parameters `sgr`, such as `1;33`; empty for none.
    pub fn styled(sgr: &str, text: &str) -> Self {
        let mut new = Self::default();
        new.push_styled(sgr, text);
        new
    }

    /// Appends unstyled text.
    pub fn push(&mut self, text: &str) {
        self.0 += &visible(text);
    }

    /// Appends `text` styled by `sgr`. Each line is styled separately, so that a pager that splits between lines does not
    /// leak styles. An `sgr` that is not a list of SGR parameters is ignored.
    pub fn push_styled(&mut self, sgr: &str, text: &str) {
        let parameters = |c: char| c.is_ascii_digit() || c == ';';
        if sgr.is_empty() || !sgr.chars().all(parameters) {
            return self.push(text);
        }
        for (at, line) in visible(text).split('\n').enumerate() {
            if at > 0 {
                self.0.push('\n');
            }
            if !line.is_empty() {
                self.0 += &format!("\x1b[{sgr}m{line}\x1b[0m");
            }
        }
    }

    /// Appends other styled text.
    pub fn append(&mut self, other: &Self) {
        self.0 += &other.0;
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StyledText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromIterator<StyledText> for StyledText {
    fn from_iter<I: IntoIterator<Item = StyledText>>(pieces: I) -> Self {
        let mut all = Self::default();
        pieces.into_iter().for_each(|piece| all.append(&piece));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safe_text::is_unsafe;
    use proptest::prelude::*;

    #[test]
    fn styles_end_with_the_line() {
        let text = StyledText::styled("1;33", "a\n\nb\x1b[2J");
        assert_eq!(
            text.as_str(),
            "\x1b[1;33ma\x1b[0m\n\n\x1b[1;33mb␛[2J\x1b[0m"
        );
        assert_eq!(StyledText::plain("a\tb").as_str(), "a\tb");
        assert_eq!(StyledText::styled("2J\x1b[0", "a").as_str(), "a");
    }

    proptest! {
        /// Only the sequences of the style contain unsafe characters.
        #[test]
        fn only_the_style_is_unsafe(text in any::<String>(), sgr in "[0-9;]{1,6}", odd in any::<String>()) {
            let mut styled = StyledText::plain(&text);
            styled.push_styled(&sgr, &text);
            styled.push_styled(&(odd + "x"), &text);
            let rest = styled.as_str().replace(&format!("\x1b[{sgr}m"), "").replace("\x1b[0m", "");
            prop_assert!(!rest.contains(|c| is_unsafe(c) && c != '\n' && c != '\t'), "{rest:?}");
        }
    }
}
