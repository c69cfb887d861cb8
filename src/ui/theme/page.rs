//! The colours of a terminal, for screenshots.

use super::Theme;
use crate::app::ThemeName;
use crate::transcript::export::svg::Rgb;
use crate::transcript::origin_style::Hue;
use ratatui::style::Color;

impl Theme {
    /// Foreground and background of a terminal that matches the theme.
    pub fn page(&self) -> (Rgb, Rgb) {
        match self.appearance.theme {
            ThemeName::Light => ((0x1f, 0x23, 0x28), (0xff, 0xff, 0xff)),
            _ => ((0xd7, 0xda, 0xe0), (0x16, 0x19, 0x22)),
        }
    }
}

/// A colour of the sixteen by its name.
pub fn named(hue: Hue) -> Color {
    match hue {
        Hue::Black => Color::Black,
        Hue::Red => Color::Red,
        Hue::Green => Color::Green,
        Hue::Yellow => Color::Yellow,
        Hue::Blue => Color::Blue,
        Hue::Magenta => Color::Magenta,
        Hue::Cyan => Color::Cyan,
        Hue::Gray => Color::Gray,
        Hue::DarkGray => Color::DarkGray,
        Hue::LightRed => Color::LightRed,
        Hue::LightGreen => Color::LightGreen,
        Hue::LightYellow => Color::LightYellow,
        Hue::LightBlue => Color::LightBlue,
        Hue::LightMagenta => Color::LightMagenta,
        Hue::LightCyan => Color::LightCyan,
        Hue::White => Color::White,
    }
}

/// The sixteen colours of xterm.
const SIXTEEN: [u32; 16] = [
    0x000000, 0xcd0000, 0x00cd00, 0xcdcd00, 0x5c5cff, 0xcd00cd, 0x00cdcd, 0xe5e5e5, 0x7f7f7f,
    0xff0000, 0x00ff00, 0xffff00, 0x5c5cff, 0xff00ff, 0x00ffff, 0xffffff,
];

/// A terminal colour as RGB; `None` for the terminal's default.
pub fn rgb(color: Color) -> Option<Rgb> {
    let named = match color {
        Color::Reset => return None,
        Color::Rgb(red, green, blue) => return Some((red, green, blue)),
        Color::Indexed(index) => index,
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 8,
        Color::LightRed => 9,
        Color::LightGreen => 10,
        Color::LightYellow => 11,
        Color::LightBlue => 12,
        Color::LightMagenta => 13,
        Color::LightCyan => 14,
        Color::White => 15,
    };
    let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
    Some(match named {
        0..=15 => {
            let [_, red, green, blue] = SIXTEEN[usize::from(named)].to_be_bytes();
            (red, green, blue)
        }
        16..=231 => (
            level((named - 16) / 36),
            level((named - 16) / 6 % 6),
            level((named - 16) % 6),
        ),
        grey => (
            8 + 10 * (grey - 232),
            8 + 10 * (grey - 232),
            8 + 10 * (grey - 232),
        ),
    })
}
