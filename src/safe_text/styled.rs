//! Text under styles that the program chose, safe to print as it stands.

use super::visible;
use std::fmt;

/// Text for a terminal. By construction nothing in it acts but line feeds, tabs and the SGR sequences of
/// [`StyledText::push_styled`]: every other acting character was made visible on its way in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StyledText(String);

impl StyledText {
    /// `text` without a style.
    pub fn plain(text: &str) -> Self {
        Self::styled("", text)
    }

    /// `text` under the SGR parameters `sgr`, such as `1;33`; empty for none.
    pub fn styled(sgr: &str, text: &str) -> Self {
        let mut new = Self::default();
        new.push_styled(sgr, text);
        new
    }

    /// Appends `text` without a style.
    pub fn push(&mut self, text: &str) {
        self.0 += &visible(text);
    }

    /// Appends `text` under `sgr`, line by line: a pager that cuts between lines then never leaks a style. What is no
    /// list of SGR parameters styles nothing.
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

    /// Appends what is safe already.
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
        /// Without the sequences of the style nothing is left that acts.
        #[test]
        fn only_the_style_acts(text in any::<String>(), sgr in "[0-9;]{1,6}", odd in any::<String>()) {
            let mut styled = StyledText::plain(&text);
            styled.push_styled(&sgr, &text);
            styled.push_styled(&(odd + "x"), &text);
            let rest = styled.as_str().replace(&format!("\x1b[{sgr}m"), "").replace("\x1b[0m", "");
            prop_assert!(!rest.contains(|c| is_unsafe(c) && c != '\n' && c != '\t'), "{rest:?}");
        }
    }
}
