//! The output of commands, all through one sink.

mod benchmark_table;
mod progress;
mod report;
mod sink;
mod summary;
mod sweep_table;

pub use benchmark_table::benchmark_table;
pub use progress::{SampleProgress, loading_progress};
pub use report::Report;
pub use sink::{Error, Sink, eprint, error, note, stdout};
pub use summary::summary;
pub use sweep_table::{heat_maps, sweep_table};

use crate::engine::decode::Round;
use crate::transcript::export::ansi;
use crate::transcript::origin_style::Paint;
use clap::ValueEnum;
use std::io::Write;

/// When to colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    Always,
    Never,
}

impl ColorChoice {
    /// How styles are printed on standard output: `NO_COLOR` leaves only modifiers; files and pipes get no styles.
    pub fn paint(self) -> Paint {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match self {
            Self::Always => Paint::Colour,
            Self::Never => Paint::Off,
            Self::Auto if !stdout().is_terminal() => Paint::Off,
            Self::Auto if refused => Paint::Lettering,
            Self::Auto => Paint::Colour,
        }
    }
}

impl<W: Write> Sink<W> {
    /// Prints the tokens that a round adds, styled by origin; without styles, as data.
    ///
    /// # Errors
    /// If writing fails.
    pub fn tokens(&mut self, round: &Round, paint: Paint) -> sink::Result<()> {
        match paint {
            Paint::Off => self.data(&round.kept().map(|token| token.text).collect::<String>()),
            paint => self.styled(
                &round
                    .kept()
                    .map(|token| ansi::token(&token, paint))
                    .collect(),
            ),
        }
    }
}
