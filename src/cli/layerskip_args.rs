//! Options of LayerSkip's `generate.py` without an equivalent in skiplens. The others have the same names, with
//! underscores instead of dashes.

use super::output::{ColorChoice, note};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// When and how the text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Streamer {
    /// At the end.
    None,
    /// While it is generated.
    Standard,
    /// While it is generated, coloured by origin.
    Speculative,
}

/// LayerSkip's own options.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of LayerSkip's command line")]
pub struct LayerSkipArgs {
    /// When and how the text is shown.
    #[arg(long, value_enum, value_name = "HOW")]
    streamer: Option<Streamer>,
    /// Refused unless it is None: these are options of Hugging Face's loader.
    #[arg(long, value_parser = model_args, value_name = "ARGS")]
    model_args: Option<NoModelArgs>,
    /// Has no effect: only the text and the summary are written.
    #[arg(long, value_name = "FOLDER")]
    output_dir: Option<PathBuf>,
}

/// The value of an option that only accepts None.
#[derive(Debug, Clone, Copy)]
pub struct NoModelArgs;

/// Refuses options of Hugging Face's loader.
pub fn model_args(text: &str) -> Result<NoModelArgs, String> {
    match text.trim() {
        "" | "None" => Ok(NoModelArgs),
        _ => Err(
            "skiplens does not load models with Hugging Face's library; \
                  --dtype, --device and --threads say how a model is loaded"
                .into(),
        ),
    }
}

impl LayerSkipArgs {
    /// Whether the text is printed only at the end.
    pub fn at_the_end(&self) -> bool {
        self.streamer == Some(Streamer::None)
    }

    /// The colours that the streamer implies. An explicit `color` takes precedence.
    pub fn color(&self, color: Option<ColorChoice>) -> ColorChoice {
        color.unwrap_or(match self.streamer {
            Some(Streamer::None | Streamer::Standard) => ColorChoice::Never,
            Some(Streamer::Speculative) | None => ColorChoice::Auto,
        })
    }

    /// Prints notes on options without effect.
    pub fn note_without_effect(&self, json: bool) {
        if self.output_dir.is_some() {
            note(
                "--output-dir has no effect: the text goes to standard output, which can be redirected",
            );
        }
        if json
            && self
                .streamer
                .is_some_and(|streamer| streamer != Streamer::None)
        {
            note("--streamer has no effect: --json prints everything at the end");
        }
    }
}
