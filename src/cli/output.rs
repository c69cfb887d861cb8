//! What commands print: text coloured by origin, the summary, the JSON report, progress.

use crate::engine::decode::{Round, Settings, Stats, StopReason, Strategy};
use crate::engine::loaded_model::ModelInfo;
use crate::engine::prompt::Prompt;
use crate::transcript::export::{Figures, Token, tokens};
use crate::transcript::origin_style::{self, Paint};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::io::{IsTerminal, Write};

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
    /// How much of the looks goes to standard output: `NO_COLOR` leaves the lettering, a file or a pipe gets nothing.
    pub fn paint(self) -> Paint {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match self {
            Self::Always => Paint::Colour,
            Self::Never => Paint::Off,
            Self::Auto if !std::io::stdout().is_terminal() => Paint::Off,
            Self::Auto if refused => Paint::Lettering,
            Self::Auto => Paint::Colour,
        }
    }
}

/// Writes tokens to a stream, each in the look of its origin.
pub struct Painter {
    paint: Paint,
    /// Make control characters visible, since a terminal would act on them.
    guard: bool,
}

impl Painter {
    pub fn for_stdout(choice: ColorChoice) -> Self {
        Self {
            paint: choice.paint(),
            guard: std::io::stdout().is_terminal(),
        }
    }

    /// Writes the tokens that a round adds, and flushes.
    pub fn round(&self, out: &mut impl Write, round: &Round) -> std::io::Result<()> {
        for token in round.kept().filter(|token| !token.text.is_empty()) {
            let text = if self.guard {
                crate::transcript::text::in_cells(token.text)
            } else {
                token.text.into()
            };
            match origin_style::style(token.origin).sgr(self.paint) {
                look if look.is_empty() => write!(out, "{text}")?,
                look => write!(out, "\x1b[{look}m{text}\x1b[0m")?,
            }
        }
        out.flush()
    }
}

/// One line on how the run went.
pub fn summary(stats: &Stats, stop: &StopReason, settings: &Settings) -> String {
    let speed = |tokens: usize, seconds: f64| {
        if seconds > 0.0 {
            format!(" ({:.1} tokens/s)", tokens as f64 / seconds)
        } else {
            String::new()
        }
    };
    let mut line = format!(
        "prompt {} tokens in {:.2} s{} · generated {} tokens in {:.2} s{}",
        stats.prefill_tokens,
        stats.prefill_seconds,
        speed(stats.prefill_tokens, stats.prefill_seconds),
        stats.tokens,
        stats.decode_seconds(),
        speed(stats.tokens, stats.decode_seconds()),
    );
    if let (Some(rate), Some(length)) = (stats.acceptance_rate(), stats.mean_accepted_length()) {
        let positions: Vec<String> = stats
            .acceptance_by_position()
            .iter()
            .map(|p| format!("{:.0}", p * 100.0))
            .collect();
        line += &format!(
            "\nE {} K {} · acceptance {:.1} % ({}/{}) · by position {} % · mean accepted length {length:.2}",
            settings.exit_layer,
            settings.num_speculations,
            rate * 100.0,
            stats.accepted,
            stats.drafted,
            positions.join(" "),
        );
    } else if settings.strategy == Strategy::EarlyExit {
        line += &format!("\nE {} · early exit, not verified", settings.exit_layer);
    }
    line + &format!("\nstopped: {}", stop_words(stop))
}

fn stop_words(stop: &StopReason) -> String {
    match stop {
        StopReason::Eos => "the model ended its text".into(),
        StopReason::StopToken(id) => format!("stop token {id}"),
        StopReason::StopString(text) => format!("stop word {text:?}"),
        StopReason::MaxSteps => "the most tokens asked for".into(),
        StopReason::ContextFull => "the context is full".into(),
        StopReason::Cancelled => "interrupted".into(),
    }
}

/// What `--json` prints.
#[derive(Serialize)]
pub struct Report<'a> {
    model: &'a ModelInfo,
    prompt: &'a Prompt,
    /// The generated text.
    text: String,
    tokens: Vec<Token<'a>>,
    rounds: &'a [Round],
    stats: Figures,
    stop: &'a StopReason,
}

impl<'a> Report<'a> {
    pub fn new(
        model: &'a ModelInfo,
        prompt: &'a Prompt,
        rounds: &'a [Round],
        stats: &Stats,
        stop: &'a StopReason,
    ) -> Self {
        let tokens: Vec<_> = rounds
            .iter()
            .flat_map(|round| tokens(round.index, round))
            .collect();
        let text = rounds
            .iter()
            .flat_map(Round::kept)
            .map(|token| token.text)
            .collect();
        Self {
            model,
            prompt,
            text,
            tokens,
            rounds,
            stats: stats.clone().into(),
            stop,
        }
    }
}

/// Shows on stderr how loading goes, where that is a terminal.
pub fn loading_progress() -> impl FnMut(&str, Option<f32>) {
    let bar = ProgressBar::new(1000);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent}%") {
        bar.set_style(style);
    }
    move |stage, fraction| {
        bar.set_message(stage.to_owned());
        match fraction {
            Some(part) if part < 1.0 => bar.set_position((part * 1000.0) as u64),
            Some(_) => bar.finish_and_clear(),
            None => {}
        }
    }
}
