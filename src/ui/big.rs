//! Numbers in large digits, three rows high, drawn with box characters.

use super::Canvas;
use super::theme::Role;
use ratatui::layout::Rect;

/// Rows of a large number.
pub const HEIGHT: u16 = 3;

/// The rows of a character; `None` if it has no large form.
fn rows(c: char) -> Option<[&'static str; HEIGHT as usize]> {
    Some(match c {
        '0' => ["┏━┓", "┃ ┃", "┗━┛"],
        '1' => ["╺┓ ", " ┃ ", "╺┻╸"],
        '2' => ["╺━┓", "┏━┛", "┗━╸"],
        '3' => ["╺━┓", "╺━┫", "╺━┛"],
        '4' => ["╻ ╻", "┗━┫", "  ╹"],
        '5' => ["┏━╸", "┗━┓", "╺━┛"],
        '6' => ["┏━╸", "┣━┓", "┗━┛"],
        '7' => ["╺━┓", "  ┃", "  ╹"],
        '8' => ["┏━┓", "┣━┫", "┗━┛"],
        '9' => ["┏━┓", "┗━┫", "╺━┛"],
        '.' => [" ", " ", "╹"],
        '×' => ["   ", "╲╱ ", "╱╲ "],
        _ => return None,
    })
}

/// Draws a number at the left of an area with [`HEIGHT`] rows; returns the column after it. Skips characters without a
/// large form.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, number: &str, role: Role) -> u16 {
    let style = canvas.theme.style(role);
    let mut x = area.x;
    for rows in number.chars().filter_map(rows) {
        let mut end = x;
        for (y, row) in (area.top()..area.bottom()).zip(rows) {
            end = canvas.put(x, y, row, area.right().saturating_sub(x), style);
        }
        x = end;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::widgets::Cells;

    #[test]
    fn the_rows_of_a_character_are_equally_wide() {
        for c in "0123456789.×".chars() {
            let rows = rows(c).unwrap();
            assert!(rows.iter().all(|row| row.cells() == rows[0].cells()), "{c}");
        }
    }
}
