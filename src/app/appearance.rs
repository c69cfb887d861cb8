//! How the screen is drawn: palette, colours of the terminal, symbols.

use serde::{Deserialize, Serialize};

/// A palette.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThemeName {
    #[default]
    Default,
    /// Distinguishable with the common colour blindnesses (Okabe and Ito).
    ColorBlind,
    /// Modifiers only.
    Monochrome,
    /// For a light background.
    Light,
}

/// How many colours the terminal shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColorDepth {
    /// `NO_COLOR`.
    None,
    Ansi16,
    Ansi256,
    #[default]
    True,
}

/// Theme, colour depth and symbols.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Appearance {
    pub theme: ThemeName,
    pub depth: ColorDepth,
    /// Draw with ASCII only.
    pub ascii: bool,
}

impl ThemeName {
    pub const ALL: [Self; 4] = [
        Self::Default,
        Self::ColorBlind,
        Self::Monochrome,
        Self::Light,
    ];

    pub fn label(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::ColorBlind => "color-blind",
            Self::Monochrome => "monochrome",
            Self::Light => "light",
        }
    }

    /// The theme with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.label() == name)
    }

    /// The theme after this one.
    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }
}

impl Appearance {
    /// From the environment: `NO_COLOR`, `COLORTERM`, `TERM`, and a locale that is not UTF-8.
    pub fn from_env(var: impl Fn(&str) -> Option<String>) -> Self {
        let filled = |name| var(name).filter(|value| !value.is_empty());
        let term = filled("TERM").unwrap_or_default();
        let true_color = filled("COLORTERM").is_some_and(|c| c == "truecolor" || c == "24bit");
        let depth = match () {
            () if filled("NO_COLOR").is_some() || term == "dumb" => ColorDepth::None,
            () if true_color => ColorDepth::True,
            () if term.contains("256") => ColorDepth::Ansi256,
            () => ColorDepth::Ansi16,
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(filled);
        let utf8 = |l: &String| l.to_lowercase().replace('-', "").contains("utf8");
        let ascii = term == "linux"
            || locale.is_some_and(|l| (l == "C" || l == "POSIX" || l.contains('.')) && !utf8(&l));
        Self {
            theme: ThemeName::default(),
            depth,
            ascii,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides_colours_and_symbols() {
        let look = |vars: &[(&str, &str)]| {
            let vars: Vec<(String, String)> = vars
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect();
            Appearance::from_env(|name| {
                vars.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone())
            })
        };
        assert_eq!(
            look(&[("TERM", "xterm-256color")]).depth,
            ColorDepth::Ansi256
        );
        assert_eq!(
            look(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]).depth,
            ColorDepth::True
        );
        assert_eq!(
            look(&[("COLORTERM", "truecolor"), ("NO_COLOR", "1")]).depth,
            ColorDepth::None
        );
        assert!(!look(&[("LANG", "de_DE.UTF-8")]).ascii);
        assert!(look(&[("LANG", "C")]).ascii);
    }
}
