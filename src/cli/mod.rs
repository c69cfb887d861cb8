//! The command line, with one file per command. Without a command, the playground opens.

pub(crate) mod args;
mod argv;
mod benchmark;
mod completions;
mod correctness;
mod dataset_args;
mod devices;
mod doctor;
mod eval;
mod failure;
mod generate;
mod health;
mod interactive;
mod interrupt;
mod layerskip_args;
mod log;
mod no_effect;
pub(crate) mod output;
mod phases;
mod serve;
mod sweep;
pub mod transcript;
mod values;
mod ways;

use crate::remote::{Address, Heartbeat, Mode, Target};
use crate::tui;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use color_eyre::eyre::Result;
use failure::Failure;
use std::path::PathBuf;
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
    /// Resume a saved session: its name or a path; without a value, the last one.
    #[arg(long, value_name = "SESSION", num_args = 0..=1, default_missing_value = "last")]
    resume: Option<String>,
    /// Open the playground on the engine of a `skiplens serve` elsewhere: ws://HOST:PORT, wss:// or http(s)://.
    #[arg(long, value_name = "URL", conflicts_with_all = ["dtype", "device", "threads", "random_weights"])]
    connect: Option<Address>,
    /// With --connect, follow the requests of the server's other clients as they are decoded; nothing is recorded.
    #[arg(long, requires = "connect", conflicts_with_all = ["model", "resume"])]
    watch: bool,
    /// The API key for the server of --connect.
    #[arg(long, env = "SKIPLENS_API_KEY", hide_env_values = true, value_parser = values::filled, value_name = "KEY")]
    api_key: Option<String>,
    /// Append a log of the engine, with times, to a file. It contains no text of prompts or answers.
    #[arg(long, value_name = "FILE", global = true)]
    log: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Continue or answer one prompt; the text goes to stdout, the summary to stderr.
    Generate(Box<generate::GenerateArgs>),
    /// Measure the model's speed: without a data set phase by phase, with one on its prompts.
    #[command(visible_alias = "bench")]
    Benchmark(Box<benchmark::BenchmarkArgs>),
    /// Measure a grid of exit layers and speculations on the prompts of a data set.
    Sweep(Box<sweep::SweepArgs>),
    /// Check that self-speculative and autoregressive decoding generate the same text.
    Correctness(Box<correctness::CorrectnessArgs>),
    /// Score tasks: rows of a file, or tasks of the Language Model Evaluation Harness.
    Eval(Box<eval::EvalArgs>),
    /// Serve the model over an OpenAI-compatible HTTP API.
    Serve(Box<serve::ServeArgs>),
    Health(health::HealthArgs),
    /// List the devices that a model can run on.
    Devices(devices::DevicesArgs),
    /// Print the facts for a bug report: devices, memory, terminal, folders; nothing private.
    Doctor(doctor::DoctorArgs),
    /// Print completions for a shell.
    Completions(completions::CompletionsArgs),
    /// Print the man page, or write the pages of all commands to a folder.
    Man(completions::ManArgs),
    /// Saved sessions: list, show, export, replay, import, delete.
    Transcript(transcript::Args),
}

/// Runs the command line. Errors print one message and exit with status 2; a closed pipe kills the program by SIGPIPE.
pub fn run() -> ExitCode {
    failure::report_panics();
    quiet_drivers();
    parse()
        .and_then(|cli| Ok(dispatch(cli)?))
        .unwrap_or_else(Failure::end)
}

/// Turns off a Mesa layer that writes to standard error, and so onto the screen, when a GPU driver is loaded.
fn quiet_drivers() {
    // SAFETY: no other thread has been started.
    unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
}

fn dispatch(cli: Cli) -> Result<ExitCode> {
    if let Some(path) = &cli.log {
        log::start(path)?;
    }
    match cli.command {
        Some(Command::Generate(args)) => generate::run(*args),
        Some(Command::Benchmark(args)) => benchmark::run(*args),
        Some(Command::Sweep(args)) => sweep::run(*args),
        Some(Command::Correctness(args)) => correctness::run(*args),
        Some(Command::Eval(args)) => eval::run(*args),
        Some(Command::Serve(args)) => serve::run(*args),
        Some(Command::Health(args)) => health::run(&args),
        Some(Command::Devices(args)) => devices::run(&args),
        Some(Command::Doctor(args)) => doctor::run(&args),
        Some(Command::Completions(args)) => completions::completions(&args),
        Some(Command::Man(args)) => completions::man(&args),
        Some(Command::Transcript(args)) => transcript::run(args),
        None => {
            let target = cli.connect.map(|address| Target {
                address,
                api_key: cli.api_key,
                mode: if cli.watch { Mode::Watch } else { Mode::Engine },
                heartbeat: Heartbeat::default(),
            });
            tui::start(cli.model.request(), &cli.decoding, cli.resume, target)
        }
    }
}

/// The command line as clap knows it.
fn command() -> clap::Command {
    Cli::command()
}

fn parse() -> Result<Cli, Failure> {
    let mut command = command();
    let args = argv::normalise(std::env::args_os(), &command);
    let matches = command.try_get_matches_from_mut(args)?;
    if let Some(fault) = misplaced(&matches) {
        return Err(Failure::Usage(fault));
    }
    Ok(Cli::from_arg_matches(&matches)?)
}

/// The error for an option before a command, where it would have no effect.
fn misplaced(matches: &ArgMatches) -> Option<String> {
    let name = matches.subcommand_name()?;
    let before = command();
    let option = before.get_arguments().find(|arg| {
        !arg.is_global_set()
            && matches.value_source(arg.get_id().as_str())
                == Some(clap::parser::ValueSource::CommandLine)
    })?;
    let option = option.get_long()?;
    let taken = before.find_subcommand(name).is_some_and(|command| {
        command
            .get_arguments()
            .any(|arg| arg.get_long() == Some(option))
    });
    Some(match taken {
        true => format!(
            "--{option} stands before the command and has no effect on it; write skiplens {name} --{option} …"
        ),
        false => {
            format!("--{option} is an option of the playground; skiplens {name} does not have it")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_fault_with_the_options() {
        command().debug_assert();
    }

    #[test]
    fn options_before_a_command_are_refused() {
        let fault = |args: &[&str]| misplaced(&command().try_get_matches_from(args).unwrap());
        assert!(
            fault(&["skiplens", "-E", "4", "generate", "-p", "x"])
                .unwrap()
                .starts_with("--exit-layer stands before")
        );
        assert_eq!(fault(&["skiplens", "generate", "-E", "4"]), None);
        assert_eq!(fault(&["skiplens", "-E", "4"]), None);
    }
}
