//! The style of each token origin, defined once for the screen, `generate`, `transcript show` and all exports.
//!
//! Accepted drafts are the gain of speculation, so they have a filled background; the verifier's own tokens stay close
//! to normal text. Every origin also has distinct text attributes without colours, and a distinct symbol. The colours
//! for dark and light backgrounds are distinguishable for colour-blind readers (after Okabe and Ito).

use crate::engine::decode::Origin;
use Hue::*;

/// The style of one origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OriginStyle {
    /// Name in legends and class names.
    pub name: &'static str,
    /// A short explanation.
    pub meaning: &'static str,
    /// Attributes used together with colours.
    pub lettering: Lettering,
    /// Attributes without colours, different for every origin.
    pub uncoloured: Lettering,
    /// Colour of the text, or of its symbol if the text is filled; `None` for the default text colour.
    pub colours: Option<Colours>,
    /// Background, and the colour of text on it.
    pub fill: Option<Fill>,
    /// One cell that stands for a token of this origin.
    pub symbol: &'static str,
    /// The symbol in ASCII.
    pub ascii: &'static str,
}

/// Text attributes, which distinguish styles without colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Lettering {
    pub bold: bool,
    pub italic: bool,
    pub underlined: bool,
    pub struck: bool,
    /// Fainter than normal text, if the medium supports it.
    pub dim: bool,
    /// Foreground and background swapped.
    pub reversed: bool,
}

/// A background and the text on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    pub ground: Colours,
    pub text: Colours,
}

/// The colours of a style, by background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colours {
    pub dark: Ink,
    pub light: Ink,
    /// For the colour-blind theme, which has more contrast.
    pub color_blind: Ink,
}

/// A colour in true colour and in 16 colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ink {
    /// `0xrrggbb`.
    pub rgb: u32,
    pub hue: Hue,
}

/// The 16 terminal colours, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hue {
    Black,
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
    Gray,
    DarkGray,
    LightRed,
    LightGreen,
    LightYellow,
    LightBlue,
    LightMagenta,
    LightCyan,
    White,
}

/// How much of a style is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    Colour,
    /// Only text attributes, for `NO_COLOR`.
    Lettering,
    /// Nothing, for files and pipes.
    Off,
}

/// Origins of generated text, in legend order.
pub const GENERATED: [Origin; 4] = [
    Origin::Accepted,
    Origin::Corrected,
    Origin::Bonus,
    Origin::Plain,
];

const ITALIC: Lettering = Lettering {
    italic: true,
    ..NORMAL
};

const BOLD: Lettering = Lettering {
    bold: true,
    ..NORMAL
};

const NORMAL: Lettering = Lettering {
    bold: false,
    italic: false,
    underlined: false,
    struck: false,
    dim: false,
    reversed: false,
};

const ACCEPTED: OriginStyle = OriginStyle {
    name: "accepted",
    meaning: "drafted and kept",
    lettering: NORMAL,
    uncoloured: Lettering {
        reversed: true,
        ..NORMAL
    },
    colours: Some(colours(
        (0x4fd1ae, Green),
        (0x00735c, Green),
        (0x56b4e9, Cyan),
    )),
    fill: Some(Fill {
        ground: colours((0x1d5a48, Green), (0xbfead9, Green), (0x1c5584, Cyan)),
        text: colours((0xe2fbf1, Black), (0x063b2e, Black), (0xf2f8fd, Black)),
    }),
    symbol: "●",
    ascii: "*",
};

const CORRECTED: OriginStyle = OriginStyle {
    name: "corrected",
    meaning: "in place of a rejected draft",
    lettering: ITALIC,
    uncoloured: Lettering {
        underlined: true,
        ..NORMAL
    },
    colours: Some(colours(
        (0xdcae82, Yellow),
        (0x8a4a12, Yellow),
        (0xe0b252, Yellow),
    )),
    fill: None,
    symbol: "×",
    ascii: "x",
};

const BONUS: OriginStyle = OriginStyle {
    name: "bonus",
    meaning: "follows a fully accepted draft",
    lettering: NORMAL,
    uncoloured: ITALIC,
    colours: Some(colours(
        (0x9cc3e8, Blue),
        (0x1f5a94, Blue),
        (0xe9e29a, LightYellow),
    )),
    fill: None,
    symbol: "+",
    ascii: "+",
};

const PLAIN: OriginStyle = OriginStyle {
    name: "plain",
    meaning: "decoded without a draft",
    lettering: NORMAL,
    uncoloured: NORMAL,
    colours: None,
    fill: None,
    symbol: "·",
    ascii: ".",
};

const PROMPT: OriginStyle = OriginStyle {
    name: "prompt",
    meaning: "typed, or put there by the chat template",
    lettering: BOLD,
    uncoloured: BOLD,
    colours: None,
    fill: None,
    symbol: "›",
    ascii: ">",
};

/// The style of a rejected draft token.
pub const REJECTED: OriginStyle = OriginStyle {
    name: "rejected",
    meaning: "drafted and not kept",
    lettering: Lettering {
        struck: true,
        ..NORMAL
    },
    uncoloured: Lettering {
        struck: true,
        dim: true,
        ..NORMAL
    },
    colours: Some(colours((0xe8788a, Red), (0xb3243b, Red), (0xe8874a, Red))),
    fill: None,
    symbol: "○",
    ascii: "o",
};

/// The style of a draft token in the current round.
pub const DRAFT: OriginStyle = OriginStyle {
    name: "draft",
    meaning: "drafted, not yet verified",
    lettering: NORMAL,
    uncoloured: Lettering {
        dim: true,
        ..NORMAL
    },
    colours: Some(colours(
        (0x9aa0ae, Gray),
        (0x5d656e, DarkGray),
        (0x9aa0ae, Gray),
    )),
    fill: None,
    symbol: "○",
    ascii: "o",
};

/// The style of `origin`.
pub const fn style(origin: Origin) -> &'static OriginStyle {
    match origin {
        Origin::Prompt => &PROMPT,
        Origin::Accepted => &ACCEPTED,
        Origin::Corrected => &CORRECTED,
        Origin::Bonus => &BONUS,
        Origin::Plain => &PLAIN,
    }
}

const fn colours(dark: (u32, Hue), light: (u32, Hue), color_blind: (u32, Hue)) -> Colours {
    const fn ink((rgb, hue): (u32, Hue)) -> Ink {
        Ink { rgb, hue }
    }
    Colours {
        dark: ink(dark),
        light: ink(light),
        color_blind: ink(color_blind),
    }
}

impl OriginStyle {
    /// Colours of text: foreground and background.
    pub fn text_colours(&self) -> (Option<Colours>, Option<Colours>) {
        match self.fill {
            Some(Fill { ground, text }) => (Some(text), Some(ground)),
            None => (self.colours, None),
        }
    }

    /// SGR parameters for a terminal with 16 colours, such as `3;36`; empty for none.
    pub fn sgr(&self, paint: Paint) -> String {
        let lettering = match paint {
            Paint::Off => return String::new(),
            Paint::Lettering => &self.uncoloured,
            Paint::Colour => &self.lettering,
        };
        let codes = [
            (lettering.bold, 1),
            (lettering.dim, 2),
            (lettering.italic, 3),
            (lettering.underlined, 4),
            (lettering.reversed, 7),
            (lettering.struck, 9),
        ];
        let (text, ground) = match paint {
            Paint::Colour => self.text_colours(),
            _ => (None, None),
        };
        codes
            .into_iter()
            .filter_map(|(on, code)| on.then_some(code))
            .chain(text.map(|colours| colours.dark.hue.sgr()))
            .chain(ground.map(|colours| colours.dark.hue.sgr() + 10))
            .map(|code| code.to_string())
            .collect::<Vec<_>>()
            .join(";")
    }

    /// CSS declarations for a page that defines the variables `--NAME` for the colour, and `--NAME-ground` and
    /// `--NAME-text` for a fill.
    pub fn css(&self) -> String {
        let lettering = &self.lettering;
        let line = match (lettering.underlined, lettering.struck) {
            (true, _) => "underline",
            (_, true) => "line-through",
            _ => "none",
        };
        let name = self.name;
        let colour = match (self.fill, self.colours) {
            (Some(_), _) => {
                format!("color: var(--{name}-text); background: var(--{name}-ground); ")
            }
            (None, Some(_)) => format!("color: var(--{name}); "),
            (None, None) => String::new(),
        };
        format!(
            "{colour}font-weight: {}; font-style: {}; text-decoration-line: {line};",
            if lettering.bold { "bold" } else { "normal" },
            if lettering.italic { "italic" } else { "normal" },
        )
    }
}

impl Hue {
    /// SGR parameter that sets it as the foreground.
    fn sgr(self) -> u8 {
        match self as u8 {
            dark @ 0..=7 => 30 + dark,
            bright => 90 + bright - 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn all() -> Vec<&'static OriginStyle> {
        GENERATED
            .into_iter()
            .chain([Origin::Prompt])
            .map(style)
            .chain([&REJECTED, &DRAFT])
            .collect()
    }

    #[test]
    fn without_colours_every_style_has_a_lettering_of_its_own() {
        let letterings: HashSet<Lettering> = all().iter().map(|look| look.uncoloured).collect();
        assert_eq!(letterings.len(), all().len());
    }

    #[test]
    fn only_accepted_tokens_are_filled() {
        for look in all() {
            let accepted = look == style(Origin::Accepted);
            assert_eq!(look.fill.is_some(), accepted, "{}", look.name);
            assert_eq!(look.uncoloured.reversed, accepted, "{}", look.name);
        }
    }

    #[test]
    fn generated_tokens_have_distinct_symbols() {
        let picks: [fn(&OriginStyle) -> &str; 2] = [|look| look.symbol, |look| look.ascii];
        for pick in picks {
            let kept = GENERATED.map(|origin| pick(style(origin)));
            let symbols: HashSet<&str> = kept.into_iter().chain([pick(&REJECTED)]).collect();
            assert_eq!(symbols.len(), 5);
        }
        assert!(all().iter().all(|look| look.ascii.is_ascii()));
    }

    #[test]
    fn sgr_parameters_encode_lettering_and_colour() {
        let corrected = style(Origin::Corrected);
        assert_eq!(corrected.sgr(Paint::Colour), "3;33");
        assert_eq!(corrected.sgr(Paint::Lettering), "4");
        assert_eq!(corrected.sgr(Paint::Off), "");
        let accepted = style(Origin::Accepted);
        assert_eq!(accepted.sgr(Paint::Colour), "30;42");
        assert_eq!(accepted.sgr(Paint::Lettering), "7");
        assert_eq!(REJECTED.sgr(Paint::Colour), "9;31");
        assert_eq!(Hue::LightYellow.sgr(), 93);
    }
}
