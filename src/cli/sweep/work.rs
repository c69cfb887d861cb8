//! Measures the cells of a sweep, all or one shard.

use super::{PlanArgs, RunArgs, WorkArgs, merge, plan};
use crate::cli::failure::{FOUND_FAULT, INTERRUPTED};
use crate::cli::interrupt::Interrupt;
use crate::cli::output::{self, SampleProgress};
use crate::engine::Error;
use crate::engine::loaded_model::LoadedModel;
use crate::eval::machine;
use crate::eval::sweep::{RunFolder, Shard, Sweep, Update};
use crate::plural::counted;
use color_eyre::eyre::Result;
use std::process::ExitCode;

/// Plans the sweep and measures it.
pub fn run(args: &PlanArgs, work: &WorkArgs) -> Result<ExitCode> {
    let shard = work.shard()?;
    let (folder, loaded) = plan::plan(args)?;
    go(&folder, loaded, shard, work)
}

/// Measures a planned sweep.
pub fn run_planned(args: &RunArgs) -> Result<ExitCode> {
    let shard = args.work.shard()?;
    let folder = RunFolder::read(&args.folder)?;
    let loaded = LoadedModel::load(&args.model.request(), &mut output::loading_progress())?;
    go(&folder, loaded, shard, &args.work)
}

impl WorkArgs {
    fn shard(&self) -> Result<Option<Shard>, Error> {
        let variable = |name: &str| std::env::var(name).ok();
        let shard = self.shard.as_deref();
        shard.map(|text| Shard::parse(text, &variable)).transpose()
    }
}

fn go(
    folder: &RunFolder,
    mut loaded: LoadedModel,
    shard: Option<Shard>,
    work: &WorkArgs,
) -> Result<ExitCode> {
    let sweep = Sweep::new(folder, shard.unwrap_or(Shard::WHOLE), &loaded)?;
    if work.list {
        output::stdout().message(&sweep.list()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let left = sweep.estimate(&mut loaded)?;
    output::eprint(&format!(
        "{}: {} and {} to measure, {} each, at most {} a prompt: at most about {}\n",
        folder.path.display(),
        counted(left.cells, "cell"),
        counted(left.baselines, "baseline"),
        counted(left.prompts, "prompt"),
        counted(left.max_steps, "token"),
        duration(left.seconds)
    ));
    if work.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(busy) = machine::busy() {
        output::note(&busy);
    }
    let interrupt = Interrupt::by_any_signal();
    match measure(&sweep, folder, &mut loaded, &interrupt, shard.is_none()) {
        Err(report) if matches!(report.downcast_ref(), Some(Error::Cancelled)) => {
            output::eprint(&format!(
                "interrupted; the same command resumes {}\n",
                folder.path.display()
            ));
            Ok(ExitCode::from(INTERRUPTED))
        }
        Err(report) => Err(report),
        Ok(faults) if shard.is_some() => Ok(match faults {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::from(FOUND_FAULT),
        }),
        Ok(_) => merge::finish(folder, false),
    }
}

/// Measures the missing cells and returns the number of texts that differ but must not. With `alone`, updates the table
/// after each cell.
fn measure(
    sweep: &Sweep,
    folder: &RunFolder,
    loaded: &mut LoadedModel,
    interrupt: &Interrupt,
    alone: bool,
) -> Result<usize> {
    let mut bar = SampleProgress::by_cells();
    let (mut faults, mut failed) = (0, None);
    let outcome = sweep.run(loaded, &|| interrupt.is_raised(), &mut |update| match update {
        Update::Sample { what, done, total } => bar.show(done, total, what),
        Update::Baseline(baseline) => {
            bar.line(&format!(
                "baseline at T {}: {}",
                baseline.temperature,
                counted(baseline.runs.len(), "prompt")
            ));
        }
        Update::Cell(cell) => {
            let spent: f64 = cell.runs.iter().map(|run| run.total_seconds).sum();
            bar.line(&format!("{} in {}", cell.cell.name(), duration(spent)));
            for difference in &cell.differences {
                faults += 1;
                bar.line(&format!(
                    "FAULT: {}: the text of prompt {} differs from autoregressive decoding at token {}",
                    cell.cell.name(),
                    difference.example,
                    difference.position
                ));
            }
            if alone && failed.is_none() {
                failed = merge::write_csv(folder).err();
            }
        }
    });
    bar.end();
    outcome?;
    match failed {
        Some(error) => Err(error),
        None => Ok(faults),
    }
}

/// `1 h 20 min`, `3 min` or `12 s`.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s >= 5400.0 => format!(
            "{} h {:02} min",
            (s / 3600.0) as u64,
            (s / 60.0) as u64 % 60
        ),
        s if s >= 90.0 => format!("{:.0} min", s / 60.0),
        s if s >= 10.0 => format!("{s:.0} s"),
        s => format!("{s:.1} s"),
    }
}
