//! `skiplens benchmark`, alias `bench`: answers a data set autoregressively and with self-speculation. Without a data
//! set it measures the phases.

use super::args::{DecodingArgs, ModelArgs};
use super::dataset_args::DatasetArgs;
use super::failure::INTERRUPTED;
use super::interrupt::Interrupt;
use super::output::{self, SampleProgress};
use super::{no_effect, phases, values, ways};
use crate::engine::Error;
use crate::engine::decode::{Settings, Stats};
use crate::engine::loaded_model::LoadedModel;
use crate::eval::benchmark::{Benchmark, Comparison, Encoded, Key, encode};
use crate::eval::identity::{ModelIdentity, VERSION, hash};
use crate::eval::machine::{self, Machine};
use crate::eval::run::Measured;
use crate::plural::counted;
use clap::Args;
use color_eyre::eyre::Result;
use std::process::ExitCode;

/// Measure on the prompts of a data set or, without one, the phases.
#[derive(Debug, Args)]
pub struct BenchmarkArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    decoding: DecodingArgs,
    #[command(flatten)]
    dataset: DatasetArgs,
    /// Print one JSON object instead of the table.
    #[arg(long)]
    json: bool,
    /// Without a data set: seconds for each of the two parts [default: 8]; 0 measures everything once.
    #[arg(long, value_parser = values::seconds, value_name = "SECONDS", conflicts_with = "dataset")]
    seconds: Option<f64>,
    /// Compare ways to draft (plain, exit, lookup, both, a tree, auto) on built-in chat, summary, code and maths prompts.
    #[arg(long, conflicts_with_all = ["dataset", "seconds", "prompt"])]
    drafts: bool,
    /// With --drafts: a file of prompts, one per line.
    #[arg(long, value_name = "FILE", requires = "drafts")]
    prompt_file: Option<std::path::PathBuf>,
    /// With --drafts: number of prompts of each kind [default: 3].
    #[arg(long, value_parser = values::positive, value_name = "N", requires = "drafts")]
    prompts: Option<usize>,
    /// With --drafts: number of answers to each prompt in each way.
    #[arg(long, value_parser = values::positive, value_name = "N", requires = "drafts", default_value = "1")]
    repeats: usize,
    /// Without a data set: the prompt of the end-to-end part.
    #[arg(long, value_parser = values::filled, value_name = "TEXT", conflicts_with = "dataset")]
    prompt: Option<String>,
}

/// Runs the command.
pub fn run(args: BenchmarkArgs) -> Result<ExitCode> {
    if args.dataset.dataset.is_some() {
        return on_dataset(&args);
    }
    if args.dataset.names_num_samples() {
        let instead = if args.drafts {
            "; --prompts is the number of prompts of each kind"
        } else {
            ""
        };
        output::note(&format!(
            "--num-samples has no effect without --dataset{instead}"
        ));
    }
    if args.drafts {
        return ways::run(ways::WayArgs {
            model: &args.model,
            decoding: &args.decoding,
            prompt_file: args.prompt_file,
            prompts: args.prompts,
            repeats: args.repeats,
            json: args.json,
        });
    }
    if args.dataset.names_output_dir() {
        output::note("--output-dir has no effect: without --dataset nothing is written");
    }
    phases::run(phases::PhaseArgs {
        model: &args.model,
        decoding: &args.decoding,
        prompt: args.prompt,
        seconds: args.seconds,
        json: args.json,
    })
}

/// The common start of commands on data sets: the model, the effective settings, and the prompts.
pub struct Prepared {
    pub loaded: LoadedModel,
    pub settings: Settings,
    pub encoded: Encoded,
    /// The request of `DatasetArgs`.
    pub dataset: crate::eval::datasets::DatasetRequest,
    /// The source of the prompts.
    pub source: String,
}

/// Loads the model and the data set, and prints notes about options without effect.
pub fn prepare(
    model: &ModelArgs,
    decoding: &DecodingArgs,
    dataset: &DatasetArgs,
) -> Result<Prepared> {
    let mut progress = output::loading_progress();
    // The data set is loaded first: it is small, and most command-line errors concern it.
    let request = dataset.request(&decoding.settings(Default::default(), 1))?;
    let items = request.read(&mut progress)?;
    let loaded = LoadedModel::load(&model.request(), &mut progress)?;
    let info = &loaded.info;
    let settings = decoding.settings(info.defaults, info.config.num_layers);
    settings.validate(&info.config)?;
    if settings.max_steps == 0 {
        return Err(
            Error::Setting("--max-steps is 0, so there is nothing to measure".into()).into(),
        );
    }
    no_effect::note_decoding(decoding, &settings);
    no_effect::note_model(&settings, model.threads, info);
    let dataset = items.prompts(info.has_chat_template)?;
    let source = dataset.source.clone();
    let encoded = encode(&loaded, dataset)?;
    if !encoded.too_long.is_empty() {
        output::note(&format!(
            "{} of the prompts left out: they do not fit in this model's context of {} tokens",
            encoded.too_long.len(),
            info.config.context_length
        ));
    }
    Ok(Prepared {
        loaded,
        settings,
        encoded,
        dataset: request.clone(),
        source,
    })
}

fn on_dataset(args: &BenchmarkArgs) -> Result<ExitCode> {
    let prepared = prepare(&args.model, &args.decoding, &args.dataset)?;
    let Prepared { mut loaded, .. } = prepared;
    let ids: Vec<&Vec<u32>> = prepared
        .encoded
        .prompts
        .iter()
        .map(|(_, ids)| ids)
        .collect();
    let key = Key {
        version: VERSION.into(),
        model: ModelIdentity::of(&loaded.info)?,
        machine: Machine::of(loaded.decoder.model()),
        dataset: prepared.dataset,
        prompts_hash: hash(&ids)?,
        settings: prepared.settings,
    };
    let folder = args.dataset.output_dir();
    let mut benchmark = Benchmark::open(&folder, key, prepared.encoded)?;
    if benchmark.resumed() > 0 {
        output::note(&format!(
            "resumed after {} in {}",
            counted(benchmark.resumed(), "sample"),
            benchmark.path().display()
        ));
    }
    if let Some(busy) = machine::busy() {
        output::note(&busy);
    }
    let interrupt = Interrupt::by_any_signal();
    let mut bar = SampleProgress::new();
    let path = benchmark.path().to_owned();
    let outcome = benchmark.run(&mut loaded, &|| interrupt.is_raised(), &mut |progress| {
        let figures = figures_so_far(progress.samples);
        bar.show(progress.done, progress.total, &figures);
    });
    bar.end();
    let report = match outcome {
        Err(Error::Cancelled) => {
            output::eprint(&format!(
                "interrupted; the same command resumes {}\n",
                path.display()
            ));
            return Ok(ExitCode::from(INTERRUPTED));
        }
        outcome => outcome?,
    };
    if args.json {
        output::stdout().json(report)?;
    } else {
        output::stdout().message(&output::benchmark_table(report, &prepared.source)?)?;
        output::stdout().message(&format!("\nwritten to {}\n", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Acceptance and speed of the samples so far.
fn figures_so_far(samples: &[crate::eval::benchmark::Sample]) -> String {
    let pairs: Vec<(&Measured, &Measured)> = samples
        .iter()
        .filter_map(|sample| Some((&sample.autoregressive, sample.speculative.as_ref()?)))
        .collect();
    if pairs.is_empty() {
        return String::new();
    }
    let (plain, other): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let total = Stats::total(other.iter().map(|run| &run.stats));
    let acceptance = total.acceptance_rate();
    let acceptance = acceptance.map(|rate| format!("{:.0} % accepted", 100.0 * rate));
    let speedup = Comparison::of(&plain, &other).speedup_mean_of_ratios;
    let speedup = speedup.map(|speedup| format!("{:.2}×", speedup.value));
    Vec::from_iter(acceptance.into_iter().chain(speedup)).join(" · ")
}
