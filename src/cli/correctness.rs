//! `skiplens correctness`: checks that self-speculative and autoregressive decoding generate the same text.

use super::args::{DecodingArgs, ModelArgs};
use super::benchmark::{Prepared, prepare};
use super::dataset_args::DatasetArgs;
use super::failure::{FOUND_FAULT, INTERRUPTED};
use super::interrupt::Interrupt;
use super::output::{self, SampleProgress};
use super::values;
use crate::engine::Error;
use crate::engine::decode::{Settings, Strategy};
use crate::eval::correctness::{self, Exact, Mismatch, Sampled, Token};
use crate::eval::identity::{ModelIdentity, VERSION, hash};
use crate::eval::machine::Machine;
use crate::eval::output_folder::{self, Header};
use crate::plural::counted;
use clap::Args;
use color_eyre::eyre::Result;
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;

/// Compare self-speculative with autoregressive decoding on the prompts of a data set.
#[derive(Debug, Args)]
pub struct CorrectnessArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    decoding: DecodingArgs,
    #[command(flatten)]
    dataset: DatasetArgs,
    /// With rejection: number of texts per strategy and prompt [default: 100].
    #[arg(long, value_parser = values::count, value_name = "N")]
    repetitions: Option<usize>,
    /// Print one JSON object instead of the table.
    #[arg(long)]
    json: bool,
}

const REPETITIONS: usize = 100;

/// The file of results.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    header: Header,
    #[serde(flatten)]
    key: &'a Key,
    #[serde(flatten)]
    found: &'a Found,
}

/// Everything that determines the run.
#[derive(Serialize)]
struct Key {
    version: &'static str,
    model: ModelIdentity,
    machine: Machine,
    dataset: crate::eval::datasets::DatasetRequest,
    settings: Settings,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Found {
    Exact(Exact),
    Sampled(Sampled),
}

/// Runs the command.
pub fn run(args: CorrectnessArgs) -> Result<ExitCode> {
    if let Some(strategy) = args.decoding.strategy()
        && strategy != Strategy::SelfSpeculative
    {
        return Err(Error::Setting(
            "correctness compares self-speculative with autoregressive decoding; omit --strategy"
                .into(),
        )
        .into());
    }
    if args.repetitions.is_some_and(|repetitions| repetitions < 2) {
        return Err(Error::Setting("--repetitions must be at least 2".into()).into());
    }
    let Prepared {
        mut loaded,
        settings,
        encoded,
        dataset,
        ..
    } = prepare(&args.model, &args.decoding, &args.dataset)?;
    let prompts = encoded.prompts;
    let rejects = settings.sampling.rejects();
    if args.repetitions.is_some() && !rejects {
        output::note("--repetitions has no effect: the texts are compared token by token");
    }
    let key = Key {
        version: VERSION,
        model: ModelIdentity::of(&loaded.info)?,
        machine: Machine::of(loaded.decoder.model()),
        dataset,
        settings,
    };
    let hash = hash(&key)?;
    // Before the work, so that an unusable folder is reported immediately.
    let folder = args.dataset.output_dir();
    let place = output_folder::place(&folder, "correctness", &hash, ".json", Path::to_owned)?;
    let interrupt = Interrupt::by_any_signal();
    let interrupted = || interrupt.is_raised();
    let mut bar = SampleProgress::new();
    let total = prompts.len();
    let outcome = if rejects {
        let repetitions = args.repetitions.unwrap_or(REPETITIONS);
        let mut done = |done| bar.show(done, total, "");
        correctness::compare_distributions(
            &mut loaded,
            &prompts,
            &key.settings,
            repetitions,
            &interrupted,
            &mut done,
        )
        .map(Found::Sampled)
    } else {
        let mut done = |found: &Exact| {
            bar.show(found.samples, total, &format!("{} differ", found.errors));
        };
        correctness::compare(
            &mut loaded,
            &prompts,
            &key.settings,
            &interrupted,
            &mut done,
        )
        .map(Found::Exact)
    };
    bar.end();
    let found = match outcome {
        Err(Error::Cancelled) => {
            output::eprint("interrupted; nothing is written\n");
            return Ok(ExitCode::from(INTERRUPTED));
        }
        outcome => outcome?,
    };
    let header = Header {
        command: "correctness".into(),
        hash,
        complete: true,
    };
    let report = Report {
        header,
        key: &key,
        found: &found,
    };
    output_folder::write(&place.path, &report)?;
    if args.json {
        output::stdout().json(&report)?;
    } else {
        let path = place.path.display();
        output::stdout().message(&format!("{}\nwritten to {path}\n", words(&found)))?;
    }
    let fault = match &found {
        Found::Exact(found) => found.errors > 0,
        Found::Sampled(found) => found.differs,
    };
    Ok(match fault {
        true => ExitCode::from(FOUND_FAULT),
        false => ExitCode::SUCCESS,
    })
}

fn words(found: &Found) -> String {
    match found {
        Found::Exact(found) => {
            let Exact {
                samples,
                tokens,
                errors,
                error_pct,
                ..
            } = found;
            let mut words = format!(
                "errors {errors} of {samples} ({error_pct:.1} %), {} compared",
                counted(*tokens, "token")
            );
            found
                .mismatches
                .iter()
                .for_each(|one| words += &format!("\n{}", of_mismatch(one)));
            words
        }
        Found::Sampled(found) => {
            let mut words = format!(
                "{}, {} of each strategy: p = {:.4}, {}",
                counted(found.prompts.len(), "prompt"),
                counted(found.repetitions, "text"),
                found.p_value,
                match found.differs {
                    true => "the distributions differ",
                    false => "no difference found",
                }
            );
            for prompt in &found.prompts {
                words += &format!(
                    "\nprompt {}: distance {:.3}, p = {:.4}",
                    prompt.example, prompt.distance, prompt.p_value
                );
            }
            words
        }
    }
}

fn of_mismatch(mismatch: &Mismatch) -> String {
    let token = |token: &Option<Token>| match token {
        Some(token) => format!("{:?} ({})", token.text, token.id),
        None => "the end".into(),
    };
    let margin = mismatch.margin.map_or_else(String::new, |margin| {
        format!(", margin of the logits {margin:.4}")
    });
    format!(
        "prompt {}, token {}: autoregressive {}, self-speculative {}{margin}",
        mismatch.example,
        mismatch.position,
        token(&mismatch.autoregressive),
        token(&mismatch.speculative)
    )
}
