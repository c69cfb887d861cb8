//! `skiplens eval`: scores the model, after all layers or some.

mod harness;

use super::args::{DecodingArgs, ModelArgs};
use super::{no_effect, output, values};
use crate::engine::decode::Settings;
use crate::engine::loaded_model::{LoadedModel, ModelInfo};
use crate::engine::{Error, Result};
use crate::eval::tasks::layers::{self, LayerResult};
use crate::eval::tasks::{self, Row, Scorer, TaskResult, UNTIL};
use clap::Args;
use color_eyre::eyre;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Max tokens of an answer, as in the harness.
const MAX_TOKENS: usize = 256;

/// Score the rows of a file, or run the Language Model Evaluation Harness on this model.
///
/// A row of a file is multiple choice (query, choices, gold), a question with its answer (question, answer; GSM8K's
/// numbers after #### are extracted), a prompt with its response (prompt, response), or a text whose perplexity is
/// measured (text). With --strategy early-exit the model is judged after its first E layers.
#[derive(Debug, Args)]
pub struct EvalArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    decoding: DecodingArgs,
    /// A JSONL file to score, without Python.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "tasks",
        required_unless_present = "tasks"
    )]
    data_path: Option<PathBuf>,
    /// Max rows to score per task.
    #[arg(long, value_parser = values::given_count, value_name = "N")]
    limit: Option<values::Given<usize>>,
    /// A folder for the results.
    #[arg(long, value_name = "FOLDER")]
    output_dir: Option<PathBuf>,
    /// Print one JSON object instead of the table.
    #[arg(long, conflicts_with = "tasks")]
    json: bool,
    /// Score after each of several layers: the first of them.
    #[arg(long, value_parser = values::count, value_name = "E", conflicts_with = "tasks")]
    exit_layer_first: Option<usize>,
    /// The last of them; by default, the layer count.
    #[arg(long, value_parser = values::count, value_name = "E", requires = "exit_layer_first")]
    exit_layer_last: Option<usize>,
    /// Step between layers.
    #[arg(long, default_value_t = 1, value_parser = values::count, value_name = "N", requires = "exit_layer_first")]
    exit_layer_step: usize,
    #[command(flatten)]
    harness: harness::HarnessArgs,
}

/// The printed and saved result.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a ModelInfo,
    settings: &'a Settings,
    #[serde(skip_serializing_if = "Option::is_none")]
    tasks: Option<&'a [TaskResult]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<&'a [LayerResult]>,
}

/// Runs the command.
pub fn run(args: EvalArgs) -> eyre::Result<ExitCode> {
    let rows = match &args.data_path {
        Some(path) => tasks::read(path, values::Given::value(args.limit))?,
        None => Vec::new(),
    };
    if let Some(folder) = &args.output_dir {
        std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
    }
    let mut model = LoadedModel::load(&args.model.request(), &mut output::loading_progress())?;
    let settings = args.settings(&model)?;
    if args.data_path.is_none() {
        return args.run_harness(model, settings);
    }
    let mut settings = settings;
    if settings.stop_strings.is_empty() {
        settings.stop_strings = UNTIL.map(str::to_owned).to_vec();
    }
    match args.layers(&model)? {
        Some(layers) => args.by_layer(&mut model, &settings, layers, &rows)?,
        None => {
            let bar = progress(rows.len());
            let tasks = Scorer::new(&mut model, settings.clone())?.score(&rows, &mut || bar.inc(1));
            bar.finish_and_clear();
            let tasks = tasks?;
            let report = Report {
                model: &model.info,
                settings: &settings,
                tasks: Some(&tasks),
                layers: None,
            };
            args.keep("skiplens.json", &json(&report)?)?;
            match args.json {
                true => output::stdout().json(&report)?,
                false => output::stdout().message(&table(&tasks)?)?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl EvalArgs {
    fn settings(&self, model: &LoadedModel) -> Result<Settings> {
        let config = &model.info.config;
        let mut settings = self
            .decoding
            .settings(model.info.defaults, config.num_layers);
        settings.sampling.sample = self.decoding.sample().unwrap_or(false);
        settings.max_steps = self.decoding.max_steps().unwrap_or(MAX_TOKENS);
        settings.validate(config)?;
        no_effect::note_decoding(&self.decoding, &settings);
        no_effect::note_model(&settings, self.model.threads, &model.info);
        Ok(settings)
    }

    /// The layers after which the rows are scored, if there are several.
    fn layers(&self, model: &LoadedModel) -> Result<Option<Vec<usize>>> {
        let Some(first) = self.exit_layer_first else {
            return Ok(None);
        };
        let all = model.info.config.num_layers;
        let last = self.exit_layer_last.unwrap_or(all);
        let step = self.exit_layer_step;
        if first == 0 || last > all || first > last || step == 0 {
            return Err(Error::Setting(format!(
                "exit layers {first} to {last} in steps of {step}: this model has {all} layers, so they may be 1 to {all}"
            )));
        }
        Ok(Some((first..=last).step_by(step).collect()))
    }

    fn by_layer(
        &self,
        model: &mut LoadedModel,
        settings: &Settings,
        layers: Vec<usize>,
        rows: &[Row],
    ) -> eyre::Result<()> {
        let bar = progress(rows.len() * layers.len());
        let results = layers::by_layer(model, settings, layers, rows, &mut || bar.inc(1));
        bar.finish_and_clear();
        let results = results?;
        let report = Report {
            model: &model.info,
            settings,
            tasks: None,
            layers: Some(&results),
        };
        self.keep("skiplens.json", &json(&report)?)?;
        self.keep("by_layer.csv", &layers::csv(&results)?)?;
        self.keep("by_layer.svg", &layers::svg(&results)?)?;
        match self.json {
            true => output::stdout().json(&report)?,
            false => output::stdout().message(&layer_table(&results)?)?,
        }
        Ok(())
    }

    fn run_harness(self, model: LoadedModel, settings: Settings) -> eyre::Result<ExitCode> {
        let limit = values::Given::value(self.limit);
        let max_tokens = self.decoding.max_steps();
        let folder = self.output_dir.as_deref();
        let (info, shown) = (model.info.clone(), settings.clone());
        let ended = self
            .harness
            .run(model, settings, limit, max_tokens, folder)?;
        let report = harness::HarnessReport {
            model: &info,
            settings: &shown,
            stats: &ended.stats,
        };
        self.keep("skiplens.json", &json(&report)?)?;
        Ok(ended.status)
    }

    /// Writes a file of results, if a folder was given.
    fn keep(&self, name: &str, text: &str) -> Result<()> {
        let Some(folder) = &self.output_dir else {
            return Ok(());
        };
        let path: &Path = &folder.join(name);
        crate::files::replace(path, text.as_bytes()).map_err(|error| Error::io(path, error))
    }
}

fn json(value: &impl Serialize) -> eyre::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Shows progress on standard error, if it is a terminal.
fn progress(rows: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{pos}/{len} rows {wide_bar} {eta}");
    ProgressBar::new(rows as u64).with_style(style.unwrap_or(ProgressStyle::default_bar()))
}

fn table(tasks: &[TaskResult]) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    writeln!(
        out,
        "{:<18}{:>7}  {:<30}{:>12}",
        "task", "rows", "metric", "value"
    )?;
    for task in tasks {
        for metric in &task.metrics {
            let (name, rows, value) = (task.task, task.rows, metric.value);
            write!(out, "{name:<18}{rows:>7}  {:<30}{value:>12.4}", metric.name)?;
            match metric.stderr {
                Some(stderr) => writeln!(out, " ± {stderr:.4}")?,
                None => writeln!(out)?,
            }
        }
    }
    Ok(out)
}

/// A table with one line per layer and one column per figure.
fn layer_table(results: &[LayerResult]) -> Result<String, std::fmt::Error> {
    let mut out = format!("{:>10}", "exit layer");
    let metrics = |result: &LayerResult| {
        let all = result.tasks.iter().flat_map(|task| task.metrics.clone());
        all.collect::<Vec<_>>()
    };
    for metric in results.first().map(metrics).unwrap_or_default() {
        write!(out, "  {:>16}", metric.name)?;
    }
    out.push('\n');
    for result in results {
        write!(out, "{:>10}", result.exit_layer)?;
        for metric in metrics(result) {
            let width = metric.name.len().max(16);
            write!(out, "  {:>width$.4}", metric.value)?;
        }
        out.push('\n');
    }
    Ok(out)
}
