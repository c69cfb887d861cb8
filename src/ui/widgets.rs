//! Widgets shared by several panels.

use super::Canvas;
use super::theme::{Role, Theme};
use crate::app::{Pane, Target, Viewport};
use crate::safe_text::{fit, one_line};
use ratatui::buffer::CellWidth;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Widget};
use unicode_segmentation::UnicodeSegmentation;

impl Canvas<'_> {
    /// Draws a bordered panel with a title; returns its inner area. The focused panel is marked by its border and a
    /// pointer before its title.
    pub fn panel(&mut self, area: Rect, title: &str, pane: Option<Pane>) -> Rect {
        if area.width < 4 || area.height < 2 {
            return Rect::default();
        }
        let focused =
            pane.is_some() && pane == Some(self.state.focus) && self.state.overlay.is_none();
        let role = if focused { Role::Focus } else { Role::Border };
        let pointer = if focused {
            self.theme.symbols.pointer
        } else {
            ""
        };
        let title_role = if focused { Role::Focus } else { Role::Dim };
        let block = Block::new()
            .borders(Borders::ALL)
            .border_set(self.theme.symbols.border)
            .border_style(self.theme.style(role))
            .title(Line::styled(
                format!(" {pointer}{title} "),
                self.theme.style(title_role),
            ));
        let inner = block.inner(area);
        block.render(area, self.buffer);
        inner.inner(ratatui::layout::Margin::new(u16::from(inner.width > 4), 0))
    }

    /// Writes `text`, sanitised, into at most `width` cells; returns the column after it.
    pub fn put(&mut self, x: u16, y: u16, text: &str, width: u16, style: Style) -> u16 {
        let area = *self.buffer.area();
        if y < area.top() || y >= area.bottom() || x >= area.right() {
            return x;
        }
        self.buffer
            .set_stringn(
                x,
                y,
                one_line(text),
                usize::from(width),
                Style::reset().patch(style),
            )
            .0
    }

    /// Writes the symbol of a token's role; returns the column after it. Uses only the colour, since a strike or
    /// underline would hide the symbol.
    pub fn symbol(&mut self, row: Rect, role: Role) -> u16 {
        let style = self.theme.symbol_style(role);
        self.put(
            row.x,
            row.y,
            self.theme.symbol(role),
            row.width.min(1),
            style,
        )
    }

    /// Writes spans one after the other within a row, with an ellipsis if they do not fit; returns the column after them.
    pub fn put_all(&mut self, row: Rect, parts: &[(&str, Role)]) -> u16 {
        let cells: usize = parts
            .iter()
            .map(|(text, _)| usize::from(one_line(text).as_ref().cells()))
            .sum();
        let fits = cells <= usize::from(row.width);
        let end = row.right() - u16::from(!fits && row.width > 0);
        let mut x = row.x;
        for (text, role) in parts {
            let style = self.theme.style(*role);
            let left = end.saturating_sub(x);
            let next = self.put(x, row.y, text, left, style);
            if !fits && row.width > 0 && text.cells() > left {
                return self.put(next, row.y, "…", 1, style);
            }
            x = next;
        }
        x
    }

    /// Writes a right-aligned text.
    pub fn put_right(&mut self, row: Rect, text: &str, role: Role) {
        let text = one_line(text);
        let width = (text.as_ref().cells()).min(row.width);
        self.put(
            row.right() - width,
            row.y,
            &text,
            width,
            self.theme.style(role),
        );
    }

    /// Draws a scrollbar in the right border, if the text does not fit.
    pub fn scrollbar(&mut self, area: Rect, shown: Viewport) {
        if shown.total <= shown.height || area.height < 4 {
            return;
        }
        let track = usize::from(area.height - 2);
        let length = (shown.height * track / shown.total).max(1);
        let from = shown.first * (track - length) / (shown.total - shown.height).max(1);
        for row in from..from + length {
            let (x, y) = (area.right() - 1, area.y + 1 + row as u16);
            self.put(
                x,
                y,
                self.theme.symbols.scroll,
                1,
                self.theme.style(Role::Dim),
            );
        }
    }

    /// Marks a row as selected, with one bar across all colours.
    pub fn select(&mut self, row: Rect) {
        self.buffer
            .set_style(row, Style::reset().add_modifier(Modifier::REVERSED));
    }

    /// The current frame of the spinner.
    pub fn spinner(&self) -> &'static str {
        let symbols = self.theme.symbols.spinner;
        symbols[(self.app.shared.now.as_millis() / 100) as usize % symbols.len()]
    }

    pub fn target(&mut self, area: Rect, target: Target) {
        self.regions.add(area, target);
    }

    /// Draws `━━━━●────`, with the knob at `fraction`.
    pub fn slider(&mut self, row: Rect, fraction: f64, focused: bool) {
        let last = row.width.saturating_sub(1);
        let knob = (fraction.clamp(0.0, 1.0) * f64::from(last)).round() as u16;
        let symbols = self.theme.symbols;
        for column in 0..row.width {
            let (symbol, role) = match column.cmp(&knob) {
                std::cmp::Ordering::Less => (
                    symbols.filled,
                    if focused { Role::Accent } else { Role::Dim },
                ),
                std::cmp::Ordering::Equal => (
                    symbols.knob,
                    if focused { Role::Accent } else { Role::Text },
                ),
                std::cmp::Ordering::Greater => (symbols.rest, Role::Track),
            };
            self.put(row.x + column, row.y, symbol, 1, self.theme.style(role));
        }
    }
}

/// The bar character for a fraction, 0 to 1.
pub fn bar(theme: &Theme, share: f64) -> &'static str {
    theme.symbols.bars[((share.clamp(0.0, 1.0) * 8.0) as usize).min(7)]
}

/// Width of a text in cells.
pub trait Cells {
    fn cells(&self) -> u16;
}

impl Cells for str {
    fn cells(&self) -> u16 {
        one_line(self)
            .graphemes(true)
            .map(CellWidth::cell_width)
            .sum()
    }
}

/// A text, cut or padded to `cells`.
pub fn column(text: &str, cells: u16) -> String {
    let text = fit(text, usize::from(cells)).into_owned();
    let pad = cells.saturating_sub(text.as_str().cells());
    text + &" ".repeat(pad.into())
}

/// Cuts a row off the top of an area; `None` if none is left.
pub fn row(area: &mut Rect) -> Option<Rect> {
    if area.is_empty() {
        return None;
    }
    let top = Rect { height: 1, ..*area };
    area.y += 1;
    area.height -= 1;
    Some(top)
}

/// Breaks a text into lines of at most `width` cells, at words where possible.
pub fn wrap_words(text: &str, width: u16) -> Vec<String> {
    let options = textwrap::Options::new(usize::from(width.max(1)))
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::wrap(text, options)
        .into_iter()
        .map(String::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_break_between_words_where_they_can() {
        assert_eq!(wrap_words("one two three", 8), ["one two", "three"]);
        assert_eq!(
            wrap_words("at /a/long/path: full", 6),
            ["at", "/a/lon", "g/path", ": full"]
        );
        assert_eq!(wrap_words("", 5), [""]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_line_is_too_wide(text in "[a-z 漢é]{0,60}", width in 2u16..20) {
            let lines = wrap_words(&text, width);
            let dense = |text: &str| text.replace(' ', "");
            prop_assert_eq!(dense(&lines.concat()), dense(&text));
            for line in lines {
                prop_assert!(line.as_str().cells() <= width, "{line:?}");
            }
        }
    }
}
