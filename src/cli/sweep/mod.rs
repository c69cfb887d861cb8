//! `skiplens sweep`: measures a grid of exit layers and speculations, on one machine or many.

mod grid_args;
mod merge;
mod plan;
mod work;

use super::args::{DecodingArgs, ModelArgs};
use super::dataset_args::DatasetArgs;
use super::values;
use clap::{Args, Subcommand};
use color_eyre::eyre::Result;
use grid_args::GridArgs;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measure a grid of settings on the prompts of a data set.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SweepArgs {
    #[command(subcommand)]
    command: Option<SweepCommand>,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    work: WorkArgs,
}

#[derive(Debug, Subcommand)]
enum SweepCommand {
    /// Write the plan of the measurements to a folder, and measure nothing.
    Plan(Box<PlanArgs>),
    /// Measure the missing cells of a planned sweep.
    Run(Box<RunArgs>),
    /// Merge the cells of a sweep.
    Merge(MergeArgs),
}

/// What to measure.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    decoding: DecodingArgs,
    #[command(flatten)]
    dataset: DatasetArgs,
    #[command(flatten)]
    grid: GridArgs,
}

/// Which part to measure.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Part of the work")]
pub struct WorkArgs {
    /// Measure part I of N (from 1) and merge nothing; auto asks a Slurm array, auto/N a Kubernetes Indexed Job.
    #[arg(long, value_parser = values::filled, value_name = "I/N")]
    shard: Option<String>,
    /// List all cells and which are measured, and measure nothing.
    #[arg(long)]
    list: bool,
    /// Print the remaining work and an estimate of its time, and measure nothing.
    #[arg(long)]
    dry_run: bool,
}

/// A planned sweep on this machine.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The folder of the sweep, or its manifest.
    folder: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    work: WorkArgs,
}

/// What to merge.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// The folder of the sweep, or its manifest.
    folder: PathBuf,
    /// Print one JSON object instead of the table.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: SweepArgs) -> Result<ExitCode> {
    match args.command {
        Some(SweepCommand::Plan(args)) => plan::run(&args),
        Some(SweepCommand::Run(args)) => work::run_planned(&args),
        Some(SweepCommand::Merge(args)) => merge::run(&args),
        None => work::run(&args.plan, &args.work),
    }
}
