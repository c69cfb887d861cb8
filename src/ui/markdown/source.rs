//! The text of an answer as shown, with the token of each part.

use super::super::theme::Role;
use super::super::widgets::Cells;
use super::super::wrap::{Piece, Run, Source};
use crate::app::state::turn::{TokenRef, Turn};
use crate::safe_text::in_cells;
use std::borrow::Cow;
use std::ops::Range;

/// A sanitised text, and where in it each token ends.
#[derive(Debug, Default)]
pub struct Text {
    pub shown: String,
    ends: Vec<(usize, Token)>,
}

/// A token, and the role of its origin.
type Token = (TokenRef, Role);

/// A part of a line before it is cut at its tokens.
#[derive(Debug, Clone, PartialEq)]
pub enum Span {
    /// A range of the text.
    Source(Range<usize>, Role),
    /// Text shown instead of a range of the source.
    Replaced(Range<usize>, String, Role),
    /// Text shown instead of marks.
    Made(&'static str, Role),
}

impl Span {
    /// The shown text.
    pub fn text<'a>(&'a self, source: &'a str) -> &'a str {
        match self {
            Self::Source(range, _) => &source[range.clone()],
            Self::Replaced(_, text, _) => text,
            Self::Made(text, _) => text,
        }
    }
}

/// Text with one style, of at most one token.
#[derive(Debug, Clone, PartialEq)]
pub struct Fragment {
    pub text: String,
    pub role: Role,
    pub token: Option<TokenRef>,
    /// The role of its token's origin.
    pub origin: Option<Role>,
}

impl Text {
    /// The answer of the turn at `index`.
    pub fn of(index: usize, turn: &Turn) -> Self {
        let mut text = Self::default();
        for (number, round) in turn.rounds.iter().enumerate() {
            for slot in (0..round.slots()).filter(|slot| round.is_kept(*slot)) {
                let Some(token) = round.token(slot) else {
                    continue;
                };
                text.shown.push_str(&in_cells(token.text));
                let at = TokenRef {
                    turn: index,
                    round: number,
                    slot,
                };
                let origin = token.outcome.origin().map_or(Role::Text, Role::from);
                text.ends.push((text.shown.len(), (at, origin)));
            }
        }
        text
    }

    /// Spans cut wherever a token ends.
    pub fn cut(&self, spans: &[Span]) -> Vec<Fragment> {
        let mut fragments = Vec::new();
        for span in spans {
            match span {
                Span::Made(text, role) => fragments.push(Fragment::made(*text, *role)),
                Span::Source(range, role) => self.cut_range(range.clone(), *role, &mut fragments),
                Span::Replaced(range, text, role) => {
                    let at = self.ends.partition_point(|(end, _)| *end <= range.start);
                    let token = self.ends.get(at).map(|(_, token)| *token);
                    fragments.push(Fragment::of(text.as_str(), *role, token));
                }
            }
        }
        fragments
    }

    fn cut_range(&self, range: Range<usize>, role: Role, out: &mut Vec<Fragment>) {
        let mut from = range.start;
        let first = self.ends.partition_point(|(end, _)| *end <= from);
        for (end, token) in &self.ends[first..] {
            let to = range.end.min(*end);
            if from < to {
                out.push(Fragment::of(&self.shown[from..to], role, Some(*token)));
            }
            from = to;
            if from >= range.end {
                return;
            }
        }
        if from < range.end {
            out.push(Fragment::of(&self.shown[from..range.end], role, None));
        }
    }
}

/// Text that is wrapped by itself: a cell of a table, an item of a list.
#[derive(Debug, Default)]
pub struct Paragraph(pub Vec<Fragment>);

impl Paragraph {
    /// Width in cells on one line.
    pub fn width(&self) -> u16 {
        self.0
            .iter()
            .map(|fragment| fragment.text.as_str().cells())
            .fold(0, u16::saturating_add)
    }
}

impl Source for Paragraph {
    fn settled(&self) -> usize {
        1
    }

    fn groups(&self) -> usize {
        1
    }

    fn piece(&self, _group: usize, piece: usize) -> Option<Piece<'_>> {
        self.0.get(piece).map(Fragment::piece)
    }
}

impl From<Run> for Fragment {
    fn from(run: Run) -> Self {
        Self {
            text: run.text,
            role: run.role,
            token: run.token,
            origin: run.origin,
        }
    }
}

impl Fragment {
    fn of(text: impl Into<String>, role: Role, token: Option<Token>) -> Self {
        Self {
            text: text.into(),
            role,
            token: token.map(|(token, _)| token),
            origin: token.map(|(_, origin)| origin),
        }
    }

    /// Text without a token.
    pub fn made(text: impl Into<String>, role: Role) -> Self {
        Self::of(text, role, None)
    }

    /// The end of a line.
    pub fn line_end() -> Self {
        Self::made("\n", Role::Text)
    }

    pub fn piece(&self) -> Piece<'_> {
        Piece {
            text: Cow::Borrowed(&self.text),
            role: self.role,
            token: self.token,
            origin: self.origin,
        }
    }
}
