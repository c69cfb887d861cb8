//! Exports of sessions. Every exporter is a pure function from a session to a string. In every format the text of model
//! and user is inert: it is never interpreted as markup, an escape sequence, a formula or a text direction.

pub mod ansi;
mod csv;
pub mod describe;
mod html;
mod json;
mod lens;
mod markdown;
mod picture;
pub mod svg;

pub use ansi::ansi;
pub use csv::{rounds_csv, tokens_csv};
pub use html::html;
pub(super) use json::Skeleton;
pub use json::{Figures, Token, json, tokens};
pub use markdown::markdown;
pub use picture::{picture, svg};

use super::origin_style::Paint;
use super::{Session, Zone};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// An export format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Plain reading text.
    Markdown,
    /// A page that shows the numbers of every token.
    Html,
    /// Coloured text for a terminal.
    Ansi,
    /// A picture of the transcript.
    Svg,
    /// A table of all tokens, kept and rejected.
    TokensCsv,
    /// A table of all rounds.
    RoundsCsv,
    /// Everything, in the form of `generate --json`; can be imported.
    Json,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 7] = [
        Self::Markdown,
        Self::Html,
        Self::Ansi,
        Self::Svg,
        Self::TokensCsv,
        Self::RoundsCsv,
        Self::Json,
    ];

    /// The format for a file name: `.rounds.csv` is for rounds, any other `.csv` for tokens.
    pub fn of_path(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let endings = [
            ("rounds.csv", Self::RoundsCsv),
            (".csv", Self::TokensCsv),
            (".md", Self::Markdown),
            (".markdown", Self::Markdown),
            (".html", Self::Html),
            (".htm", Self::Html),
            (".ans", Self::Ansi),
            (".ansi", Self::Ansi),
            (".svg", Self::Svg),
            (".json", Self::Json),
        ];
        endings
            .iter()
            .find(|(ending, _)| name.ends_with(ending))
            .map(|(_, format)| *format)
    }

    /// The file extension, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Markdown => "md",
            Self::Html => "html",
            Self::Ansi => "ans",
            Self::Svg => "svg",
            Self::TokensCsv => "tokens.csv",
            Self::RoundsCsv => "rounds.csv",
            Self::Json => "json",
        }
    }

    /// `session` in this format.
    pub fn export(self, session: &Session) -> String {
        match self {
            Self::Markdown => markdown(session),
            Self::Html => html(session),
            Self::Ansi => ansi(session, Paint::Colour, false, Zone::Utc).to_string(),
            Self::Svg => svg(session),
            Self::TokensCsv => tokens_csv(session),
            Self::RoundsCsv => rounds_csv(session),
            Self::Json => json(session),
        }
    }
}
