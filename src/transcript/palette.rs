//! How an origin looks wherever a transcript leaves the program. Never by colour alone: each has a line under it of
//! its own, and a mark. The colours keep apart for colour-blind readers (after Okabe and Ito).

use crate::engine::decode::Origin;

/// Look of one origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Name in class names and for people.
    pub name: &'static str,
    /// What it means, in a few words.
    pub meaning: &'static str,
    /// Colour on a light page, `#rrggbb`.
    pub light: &'static str,
    /// Colour on a dark page, `#rrggbb`.
    pub dark: &'static str,
    /// SGR parameters for a terminal of 16 colours: colour and underline style.
    pub sgr: &'static str,
    /// SGR parameters without colour.
    pub plain_sgr: &'static str,
    /// CSS `text-decoration-style`; none for no line.
    pub line: Option<&'static str>,
    /// Stands in for the colour in a legend.
    pub mark: char,
}

/// How much of a look a terminal gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    Colour,
    /// Bold, italics and lines, for `NO_COLOR`.
    Modifiers,
    /// Nothing, for files and pipes.
    Off,
}

impl Look {
    /// SGR parameters; empty for none.
    pub fn sgr(&self, paint: Paint) -> &'static str {
        match paint {
            Paint::Colour => self.sgr,
            Paint::Modifiers => self.plain_sgr,
            Paint::Off => "",
        }
    }
}

/// Origins of generated text, in the order of a legend.
pub const GENERATED: [Origin; 4] = [
    Origin::Accepted,
    Origin::Corrected,
    Origin::Bonus,
    Origin::Plain,
];

const ACCEPTED: Look = Look {
    name: "accepted",
    meaning: "drafted by the first layers and kept",
    light: "#00735c",
    dark: "#4fd1ae",
    sgr: "32;4",
    plain_sgr: "4",
    line: Some("solid"),
    mark: '✓',
};

const CORRECTED: Look = Look {
    name: "corrected",
    meaning: "the verifier's token in place of the first rejected draft",
    light: "#b34700",
    dark: "#ff9a4d",
    sgr: "1;33",
    plain_sgr: "1",
    line: Some("wavy"),
    mark: '✗',
};

const BONUS: Look = Look {
    name: "bonus",
    meaning: "the verifier's extra token after a fully accepted draft",
    light: "#0060a8",
    dark: "#6cb8f5",
    sgr: "3;36",
    plain_sgr: "3",
    line: Some("double"),
    mark: '+',
};

const PLAIN: Look = Look {
    name: "plain",
    meaning: "decoded without a draft",
    light: "#444444",
    dark: "#bbbbbb",
    sgr: "",
    plain_sgr: "",
    line: None,
    mark: '·',
};

const PROMPT: Look = Look {
    name: "prompt",
    meaning: "typed, or put there by the chat template",
    light: "#1a1a1a",
    dark: "#eeeeee",
    sgr: "",
    plain_sgr: "",
    line: None,
    mark: '>',
};

/// A drafted token that was not kept.
pub const REJECTED: Look = Look {
    name: "rejected",
    meaning: "drafted and not kept",
    light: "#757575",
    dark: "#8f8f8f",
    sgr: "2;31;9",
    plain_sgr: "2;9",
    line: None,
    mark: '−',
};

/// Look of `origin`.
pub const fn look(origin: Origin) -> &'static Look {
    match origin {
        Origin::Prompt => &PROMPT,
        Origin::Accepted => &ACCEPTED,
        Origin::Corrected => &CORRECTED,
        Origin::Bonus => &BONUS,
        Origin::Plain => &PLAIN,
    }
}
