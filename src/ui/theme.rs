//! Colours and symbols. No other file of the screen names a colour. Everything with a meaning also has a modifier or a
//! symbol, so that it can be recognised without colours. The styles of tokens are those of
//! [`origin_style`](crate::transcript::origin_style).

#![allow(clippy::disallowed_types, reason = "this is the theme")]

mod page;

use crate::app::{Appearance, ColorDepth, ThemeName};
use crate::engine::decode::Origin;
use crate::transcript::origin_style::{self, Colours, Ink, Lettering, OriginStyle};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;

use page::named;
pub use page::rgb;

/// The role of a part of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    Text,
    /// Text of the user.
    Prompt,
    Accepted,
    Corrected,
    Bonus,
    Plain,
    Rejected,
    /// The colour of accepted tokens without their background, for charts and symbols.
    Agree,
    /// A gain in speed.
    Gain,
    /// Drafted, not yet verified.
    Draft,
    /// A mark where settings changed.
    Mark,
    /// Labels, remarks, units.
    Dim,
    Border,
    /// Border of the panel that has the keys.
    Focus,
    Title,
    Accent,
    /// The far side of a slider.
    Track,
    Key,
    Wrong,
    Heading,
    Strong,
    Emphasis,
    Code,
    Link,
    /// A step of a heat map, from 0 (lowest) to 4 (highest).
    Heat(u8),
}

/// Resolves roles to styles and knows the symbols.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    appearance: Appearance,
    pub symbols: &'static Symbols,
}

/// Characters for lines, sliders and charts.
#[derive(Debug)]
pub struct Symbols {
    pub border: border::Set<'static>,
    pub filled: &'static str,
    pub knob: &'static str,
    pub rest: &'static str,
    /// Eight heights, the lowest first.
    pub bars: [&'static str; 8],
    /// A cell with the background of accepted tokens, and the contour of a heat map.
    pub filled_cell: &'static str,
    pub contour: &'static str,
    pub prompt: &'static str,
    pub pointer: &'static str,
    pub dot: &'static str,
    pub arrow: &'static str,
    pub times: &'static str,
    pub spinner: &'static [&'static str],
    pub scroll: &'static str,
}

static UNICODE: Symbols = Symbols {
    border: border::ROUNDED,
    filled: "━",
    knob: "●",
    rest: "─",
    bars: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    filled_cell: " ",
    contour: "◆",
    prompt: "›",
    pointer: "▸",
    dot: "·",
    arrow: "→",
    times: "×",
    spinner: &["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"],
    scroll: "┃",
};

static ASCII: Symbols = Symbols {
    border: border::Set {
        top_left: "+",
        top_right: "+",
        bottom_left: "+",
        bottom_right: "+",
        vertical_left: "|",
        vertical_right: "|",
        horizontal_top: "-",
        horizontal_bottom: "-",
    },
    filled: "=",
    knob: "O",
    rest: "-",
    bars: ["_", ".", "-", "=", "+", "*", "%", "#"],
    filled_cell: "#",
    contour: "@",
    prompt: ">",
    pointer: ">",
    dot: "|",
    arrow: "->",
    times: "x",
    spinner: &["|", "/", "-", "\\"],
    scroll: "#",
};

/// A colour as true colour and as one of the sixteen.
type Paint = (u32, Color);

/// The colours of one theme, without those of tokens.
struct Palette {
    mark: Paint,
    dim: Paint,
    border: Paint,
    accent: Paint,
    wrong: Paint,
    heat: [Paint; 5],
}

static DARK: Palette = Palette {
    mark: (0xc79bf0, Color::Magenta),
    dim: (0x868d9c, Color::DarkGray),
    border: (0x4b5262, Color::DarkGray),
    accent: (0x8fa8ff, Color::Blue),
    wrong: (0xff8080, Color::LightRed),
    heat: [
        (0x6b7280, Color::DarkGray),
        (0x6f93b8, Color::Blue),
        (0x66b0b0, Color::Cyan),
        (0x8fd19e, Color::Green),
        (0xf2d675, Color::Yellow),
    ],
};

static COLOR_BLIND: Palette = Palette {
    mark: (0xcc79a7, Color::Magenta),
    dim: (0x868d9c, Color::DarkGray),
    border: (0x4b5262, Color::DarkGray),
    accent: (0x56b4e9, Color::Blue),
    wrong: (0xd55e00, Color::LightRed),
    heat: [
        (0x6e7f9e, Color::DarkGray),
        (0x7d8aa8, Color::Blue),
        (0xa59c84, Color::Gray),
        (0xd2b85a, Color::Yellow),
        (0xffea46, Color::LightYellow),
    ],
};

static LIGHT: Palette = Palette {
    mark: (0x7a3fb5, Color::Magenta),
    dim: (0x656d76, Color::DarkGray),
    border: (0xb8bec7, Color::Gray),
    accent: (0x3451c6, Color::Blue),
    wrong: (0xb3243b, Color::Red),
    heat: [
        (0x8c959f, Color::Gray),
        (0x4f8fbd, Color::Cyan),
        (0x2a6fa8, Color::Blue),
        (0x1a7f5a, Color::Green),
        (0x0b4f2a, Color::Magenta),
    ],
};

impl Theme {
    pub fn new(appearance: Appearance) -> Self {
        Self {
            appearance,
            symbols: if appearance.ascii { &ASCII } else { &UNICODE },
        }
    }

    /// The style of a role.
    pub fn style(&self, role: Role) -> Style {
        let style = Style::new().add_modifier(self.modifier(role));
        let (text, ground) = match role.token() {
            Some(look) if self.colored() => look.text_colours(),
            Some(_) => (None, None),
            None => return self.foreground(style, self.paint(role)),
        };
        let paint = |colours| self.ink(colours);
        let style = self.foreground(style, text.map(paint));
        match ground.map(paint).and_then(|paint| self.color(paint)) {
            Some(color) => style.bg(color),
            None => style,
        }
    }

    /// The style of a token's symbol, and of charts about such tokens: its colour, without background and modifiers.
    pub fn symbol_style(&self, role: Role) -> Style {
        let colours = role.token().and_then(|look| look.colours);
        let paint = colours.filter(|_| self.colored());
        self.foreground(Style::new(), paint.map(|colours| self.ink(colours)))
    }

    fn foreground(&self, style: Style, paint: Option<Paint>) -> Style {
        match paint.and_then(|paint| self.color(paint)) {
            Some(color) => style.fg(color),
            None => style,
        }
    }

    fn colored(&self) -> bool {
        self.appearance.depth != ColorDepth::None && self.appearance.theme != ThemeName::Monochrome
    }

    fn modifier(&self, role: Role) -> Modifier {
        if let Some(look) = role.token() {
            return modifiers(match self.colored() {
                true => look.lettering,
                false => look.uncoloured,
            });
        }
        match role {
            Role::Title | Role::Gain | Role::Key | Role::Wrong | Role::Heading | Role::Strong => {
                Modifier::BOLD
            }
            Role::Emphasis => Modifier::ITALIC,
            Role::Mark if !self.colored() => Modifier::ITALIC | Modifier::DIM,
            Role::Mark => Modifier::ITALIC,
            Role::Heat(0) if !self.colored() => Modifier::DIM,
            Role::Heat(4..) => Modifier::BOLD,
            Role::Focus | Role::Accent if !self.colored() => Modifier::BOLD,
            Role::Dim | Role::Border | Role::Track if !self.colored() => Modifier::DIM,
            _ => Modifier::empty(),
        }
    }

    fn paint(&self, role: Role) -> Option<Paint> {
        let palette = match self.appearance.theme {
            ThemeName::Default => &DARK,
            ThemeName::ColorBlind => &COLOR_BLIND,
            ThemeName::Light => &LIGHT,
            ThemeName::Monochrome => return None,
        };
        Some(match role {
            Role::Agree | Role::Gain => {
                return Role::Accepted
                    .token()
                    .and_then(|look| look.colours)
                    .map(|colours| self.ink(colours));
            }
            Role::Mark => palette.mark,
            Role::Dim => palette.dim,
            Role::Border | Role::Track => palette.border,
            Role::Focus | Role::Accent | Role::Key | Role::Heading | Role::Code | Role::Link => {
                palette.accent
            }
            Role::Wrong => palette.wrong,
            Role::Heat(step) => palette.heat[usize::from(step).min(4)],
            _ => return None,
        })
    }

    /// The colour of tokens for this theme's background.
    fn ink(&self, colours: Colours) -> Paint {
        let Ink { rgb, hue } = match self.appearance.theme {
            ThemeName::Light => colours.light,
            ThemeName::ColorBlind => colours.color_blind,
            ThemeName::Default | ThemeName::Monochrome => colours.dark,
        };
        (rgb, named(hue))
    }

    /// The symbol of a role of tokens.
    pub fn symbol(&self, role: Role) -> &'static str {
        match role.token() {
            Some(look) if self.appearance.ascii => look.ascii,
            Some(look) => look.symbol,
            None => " ",
        }
    }

    fn color(&self, (rgb, ansi): Paint) -> Option<Color> {
        match self.appearance.depth {
            ColorDepth::None => None,
            ColorDepth::Ansi16 => Some(ansi),
            ColorDepth::Ansi256 => Some(Color::Indexed(nearest_256(rgb))),
            ColorDepth::True => Some(Color::from_u32(rgb)),
        }
    }
}

impl Role {
    /// The role of a token; `None` is a rejected draft.
    pub fn of(origin: Option<Origin>) -> Self {
        origin.map_or(Self::Rejected, Self::from)
    }

    /// The style of a token's role, shared with the exports.
    pub fn token(self) -> Option<&'static OriginStyle> {
        let origin = match self {
            Self::Rejected => return Some(&origin_style::REJECTED),
            Self::Draft => return Some(&origin_style::DRAFT),
            Self::Prompt => Origin::Prompt,
            Self::Accepted => Origin::Accepted,
            Self::Corrected => Origin::Corrected,
            Self::Bonus => Origin::Bonus,
            Self::Plain => Origin::Plain,
            _ => return None,
        };
        Some(origin_style::style(origin))
    }
}

fn modifiers(lettering: Lettering) -> Modifier {
    let Lettering {
        bold,
        italic,
        underlined,
        struck,
        dim,
        reversed,
    } = lettering;
    [
        (bold, Modifier::BOLD),
        (italic, Modifier::ITALIC),
        (underlined, Modifier::UNDERLINED),
        (struck, Modifier::CROSSED_OUT),
        (dim, Modifier::DIM),
        (reversed, Modifier::REVERSED),
    ]
    .into_iter()
    .filter_map(|(on, modifier)| on.then_some(modifier))
    .collect()
}

impl From<Origin> for Role {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::Prompt => Self::Prompt,
            Origin::Accepted => Self::Accepted,
            Origin::Corrected => Self::Corrected,
            Origin::Bonus => Self::Bonus,
            Origin::Plain => Self::Plain,
        }
    }
}

/// The nearest colour of the 6×6×6 cube of a 256-colour terminal.
fn nearest_256(rgb: u32) -> u8 {
    let level = |shift: u32| match (rgb >> shift) & 0xff {
        0..=47 => 0,
        48..=114 => 1,
        value => (value - 35) / 40,
    };
    (16 + 36 * level(16) + 6 * level(8) + level(0)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without colours, also among links of Markdown.
    #[test]
    fn without_colours_only_corrected_tokens_are_underlined() {
        let roles = [
            Role::Text,
            Role::Prompt,
            Role::Accepted,
            Role::Bonus,
            Role::Plain,
            Role::Rejected,
            Role::Draft,
            Role::Mark,
            Role::Title,
            Role::Accent,
            Role::Key,
            Role::Wrong,
            Role::Heading,
            Role::Strong,
            Role::Emphasis,
            Role::Code,
            Role::Link,
            Role::Heat(4),
        ];
        for (theme, depth) in ThemeName::ALL
            .map(|name| (name, ColorDepth::None))
            .into_iter()
            .chain([(ThemeName::Monochrome, ColorDepth::True)])
        {
            let theme = Theme::new(Appearance {
                theme,
                depth,
                ..Appearance::default()
            });
            let underlined = |role: Role| {
                theme
                    .style(role)
                    .add_modifier
                    .contains(Modifier::UNDERLINED)
            };
            assert!(underlined(Role::Corrected));
            for role in roles {
                assert!(!underlined(role), "{role:?}");
            }
        }
    }

    /// The contrast of two colours, by WCAG 2.2.
    fn contrast(a: (u8, u8, u8), b: (u8, u8, u8)) -> f64 {
        let luminance = |(red, green, blue): (u8, u8, u8)| {
            let linear = |level: u8| match f64::from(level) / 255.0 {
                low if low <= 0.04045 => low / 12.92,
                high => ((high + 0.055) / 1.055).powf(2.4),
            };
            0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
        };
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        a.max(b) / a.min(b)
    }

    /// On the theme's background, in true colour and in 256 colours.
    #[test]
    fn tokens_are_legible_in_every_palette() {
        let roles = [
            Role::Accepted,
            Role::Corrected,
            Role::Bonus,
            Role::Rejected,
            Role::Draft,
        ];
        for theme in [ThemeName::Default, ThemeName::Light, ThemeName::ColorBlind] {
            for depth in [ColorDepth::True, ColorDepth::Ansi256] {
                let theme = Theme::new(Appearance {
                    theme,
                    depth,
                    ..Appearance::default()
                });
                let (text, page) = theme.page();
                for role in roles {
                    let style = theme.style(role);
                    let fg = style.fg.and_then(super::rgb).unwrap_or(text);
                    let bg = style.bg.and_then(super::rgb).unwrap_or(page);
                    let contrast = contrast(fg, bg);
                    assert!(
                        contrast >= 4.5,
                        "{role:?} {depth:?} {contrast:.2} {theme:?}"
                    );
                    assert!(!style.add_modifier.contains(Modifier::DIM));
                }
                let ground = theme.style(Role::Accepted).bg.and_then(super::rgb);
                assert!(contrast(ground.unwrap(), page) > 1.2, "{theme:?}");
            }
        }
    }

    #[test]
    fn colours_of_the_cube() {
        assert_eq!(nearest_256(0xffffff), 231);
        assert_eq!(nearest_256(0x000000), 16);
        assert_eq!(nearest_256(0xff0000), 196);
        let cube = |rgb| super::rgb(Color::Indexed(nearest_256(rgb)));
        assert_eq!(
            (cube(0xffffff), cube(0xff0000)),
            (Some((255, 255, 255)), Some((255, 0, 0)))
        );
        assert_eq!(
            (super::rgb(Color::Indexed(244)), super::rgb(Color::Reset)),
            (Some((128, 128, 128)), None)
        );
    }
}
