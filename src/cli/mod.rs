//! The command line: one file a command. Without a command, the terminal playground opens.

pub(crate) mod args;
mod bench;
mod generate;
mod output;
mod spelling;
pub mod transcript;

use crate::tui;
use clap::{Parser, Subcommand};
use color_eyre::eyre::{Report, Result};
use std::process::ExitCode;

/// A terminal playground for self-speculative decoding with early exit (LayerSkip).
///
/// Without a command it opens the playground: chat with a Llama that drafts with its first layers and verifies with
/// the rest, and move the exit layer, the number of speculations and the sampling while it writes.
#[derive(Debug, Parser)]
#[command(name = "skiplens", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    model: args::ModelArgs,
    #[command(flatten)]
    decoding: args::DecodingArgs,
    /// Go on with a session that was kept: its name, a path, or without either the last one.
    #[arg(long, value_name = "SESSION", num_args = 0..=1, default_missing_value = "last")]
    resume: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Continue or answer one prompt; the text goes to stdout, the summary to stderr.
    Generate(Box<generate::GenerateArgs>),
    /// Measure how fast the model runs on this machine.
    Bench(Box<bench::BenchArgs>),
    /// Sessions that were kept: list, show, export, replay, import, delete.
    Transcript(transcript::Args),
}

/// Runs what the command line asks for. Faults of the input end with status 2 and a message.
pub fn run() -> Result<ExitCode> {
    let cli = Cli::parse_from(spelling::normalise(std::env::args_os()));
    let outcome = match cli.command {
        Some(Command::Generate(args)) => generate::run(*args),
        Some(Command::Bench(args)) => bench::run(*args),
        Some(Command::Transcript(args)) => transcript::run(args),
        None => tui::start(cli.model.request(), &cli.decoding, cli.resume),
    };
    match outcome {
        Err(report) if is_fault_of_input(&report) => {
            eprintln!("skiplens: {report:#}");
            Ok(ExitCode::from(2))
        }
        other => other,
    }
}

fn is_fault_of_input(report: &Report) -> bool {
    report.downcast_ref::<crate::engine::Error>().is_some()
        || report.downcast_ref::<crate::transcript::Error>().is_some()
}
