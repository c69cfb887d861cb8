//! The style of each token origin, defined once for the screen, `generate`, `transcript show` and all exports.
//!
//! Origins never differ by colour alone: each has its own lettering and symbol. Underlining means *corrected* and
//! nothing else. The colours for dark and light backgrounds are distinguishable for colour-blind readers (after Okabe
//! and Ito).

use crate::engine::decode::Origin;
use Hue::*;

/// The style of one origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OriginStyle {
    /// Name in legends and class names.
    pub name: &'static str,
    /// A short explanation.
    pub meaning: &'static str,
    pub lettering: Lettering,
    /// `None` for the default text colour.
    pub colours: Option<Colours>,
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
    /// Lettering only, for `NO_COLOR`.
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

const NORMAL: Lettering = Lettering {
    bold: false,
    italic: false,
    underlined: false,
    struck: false,
    dim: false,
};

const ACCEPTED: OriginStyle = OriginStyle {
    name: "accepted",
    meaning: "drafted and kept",
    lettering: NORMAL,
    colours: colours((0x4fd1ae, Green), (0x00735c, Green), (0x56b4e9, Cyan)),
    symbol: "●",
    ascii: "*",
};

const CORRECTED: OriginStyle = OriginStyle {
    name: "corrected",
    meaning: "in place of a rejected draft",
    lettering: Lettering {
        underlined: true,
        ..NORMAL
    },
    colours: colours((0xff9a4d, Yellow), (0xb34700, Yellow), (0xe69f00, Yellow)),
    symbol: "×",
    ascii: "x",
};

const BONUS: OriginStyle = OriginStyle {
    name: "bonus",
    meaning: "follows a fully accepted draft",
    lettering: Lettering {
        bold: true,
        italic: true,
        ..NORMAL
    },
    colours: colours((0x6cb8f5, Cyan), (0x0060a8, Blue), (0xf0e442, LightYellow)),
    symbol: "+",
    ascii: "+",
};

const PLAIN: OriginStyle = OriginStyle {
    name: "plain",
    meaning: "decoded without a draft",
    lettering: Lettering {
        italic: true,
        ..NORMAL
    },
    colours: None,
    symbol: "·",
    ascii: ".",
};

const PROMPT: OriginStyle = OriginStyle {
    name: "prompt",
    meaning: "typed, or put there by the chat template",
    lettering: Lettering {
        bold: true,
        ..NORMAL
    },
    colours: None,
    symbol: "›",
    ascii: ">",
};

/// The style of a rejected draft token.
pub const REJECTED: OriginStyle = OriginStyle {
    name: "rejected",
    meaning: "drafted and not kept",
    lettering: Lettering {
        struck: true,
        dim: true,
        ..NORMAL
    },
    colours: colours((0xe8788a, Red), (0xb3243b, Red), (0xd55e00, Red)),
    symbol: "○",
    ascii: "o",
};

/// The style of a draft token in the current round.
pub const DRAFT: OriginStyle = OriginStyle {
    name: "draft",
    meaning: "drafted, not yet verified",
    lettering: Lettering {
        dim: true,
        ..NORMAL
    },
    colours: colours((0x9aa0ae, Gray), (0x656d76, DarkGray), (0x9aa0ae, Gray)),
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

const fn colours(dark: (u32, Hue), light: (u32, Hue), color_blind: (u32, Hue)) -> Option<Colours> {
    const fn ink((rgb, hue): (u32, Hue)) -> Ink {
        Ink { rgb, hue }
    }
    Some(Colours {
        dark: ink(dark),
        light: ink(light),
        color_blind: ink(color_blind),
    })
}

impl OriginStyle {
    /// SGR parameters for a terminal with 16 colours, such as `3;36`; empty for none.
    pub fn sgr(&self, paint: Paint) -> String {
        if paint == Paint::Off {
            return String::new();
        }
        let lettering = &self.lettering;
        let codes = [
            (lettering.bold, 1),
            (lettering.dim, 2),
            (lettering.italic, 3),
            (lettering.underlined, 4),
            (lettering.struck, 9),
        ];
        let colour = self.colours.filter(|_| paint == Paint::Colour);
        codes
            .into_iter()
            .filter_map(|(on, code)| on.then_some(code))
            .chain(colour.map(|colours| colours.dark.hue.sgr()))
            .map(|code| code.to_string())
            .collect::<Vec<_>>()
            .join(";")
    }

    /// CSS declarations for a page that defines the variable `--NAME` for the colour.
    pub fn css(&self) -> String {
        let lettering = &self.lettering;
        let line = match (lettering.underlined, lettering.struck) {
            (true, _) => "underline",
            (_, true) => "line-through",
            _ => "none",
        };
        let colour = match self.colours {
            Some(_) => format!("color: var(--{}); ", self.name),
            None => String::new(),
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
    fn every_style_has_distinct_lettering() {
        let letterings: HashSet<Lettering> = all().iter().map(|look| look.lettering).collect();
        assert_eq!(letterings.len(), all().len());
    }

    #[test]
    fn only_corrections_are_underlined() {
        for look in all() {
            assert_eq!(
                look.lettering.underlined,
                look == style(Origin::Corrected),
                "{}",
                look.name
            );
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
        let bonus = style(Origin::Bonus);
        assert_eq!(bonus.sgr(Paint::Colour), "1;3;36");
        assert_eq!(bonus.sgr(Paint::Lettering), "1;3");
        assert_eq!(bonus.sgr(Paint::Off), "");
        assert_eq!(style(Origin::Accepted).sgr(Paint::Lettering), "");
        assert_eq!(REJECTED.sgr(Paint::Colour), "2;9;31");
        assert_eq!(Hue::LightYellow.sgr(), 93);
    }
}
