//! Answers a data set autoregressively and with self-speculation, alternately.

mod report;
mod summary;

pub use report::{Key, Report, Sample};
pub use summary::{Comparison, StrategySummary, Summary};

use super::datasets::{Dataset, Example};
use super::identity::hash;
use super::machine;
use super::metrics::TextScores;
use super::output_folder::{self, Header};
use super::run::{Interrupted, Measured};
use crate::engine::decode::{Settings, Strategy};
use crate::engine::loaded_model::LoadedModel;
use crate::engine::{Error, Result};
use std::path::{Path, PathBuf};

/// Tokens generated before the first sample, to warm up caches and clock.
const WARM_UP_TOKENS: usize = 16;

/// Progress of a benchmark.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    pub done: usize,
    pub total: usize,
    /// All samples so far.
    pub samples: &'a [Sample],
}

/// Prompts that fit in the context, as token ids, and the ids of examples that do not.
pub struct Encoded {
    pub prompts: Vec<(Example, Vec<u32>)>,
    /// Ids of the omitted examples.
    pub too_long: Vec<String>,
}

/// Encodes examples, omitting those that do not fit in the context.
///
/// # Errors
/// If no example is left, or one cannot be encoded for another reason.
pub fn encode(loaded: &LoadedModel, dataset: Dataset) -> Result<Encoded> {
    let context = loaded.info.config.context_length;
    let (mut prompts, mut too_long) = (Vec::new(), Vec::new());
    for example in dataset.examples {
        match loaded.encode(&example.prompt) {
            Ok(ids) if ids.len() < context => prompts.push((example, ids)),
            Ok(_) | Err(Error::TextTooLong { .. } | Error::PromptTooLong { .. }) => {
                too_long.push(example.id);
            }
            Err(Error::EmptyPrompt) => {
                return Err(Error::Setting(format!(
                    "{}: the prompt of example {} is empty",
                    dataset.source, example.id
                )));
            }
            Err(error) => return Err(error),
        }
    }
    if prompts.is_empty() {
        return Err(Error::Setting(format!(
            "none of the prompts fits in this model's context of {context} tokens"
        )));
    }
    Ok(Encoded { prompts, too_long })
}

/// The strategies to measure: autoregressive decoding, and the strategy of `settings` if it differs.
pub fn settings_of(settings: &Settings) -> (Settings, Option<Settings>) {
    let plain = Settings {
        strategy: Strategy::Autoregressive,
        ..settings.clone()
    };
    let other = (settings.strategy != Strategy::Autoregressive).then(|| settings.clone());
    (plain, other)
}

/// A benchmark in progress, with its file.
pub struct Benchmark {
    path: PathBuf,
    report: Report,
    prompts: Vec<(Example, Vec<u32>)>,
}

impl Benchmark {
    /// Starts the run of `key` in `folder`, or resumes it where it was interrupted.
    ///
    /// # Errors
    /// If the folder cannot be used, or contains the file of another run.
    pub fn open(folder: &Path, key: Key, encoded: Encoded) -> Result<Self> {
        let hash = hash(&key)?;
        let place = output_folder::place(folder, "benchmark", &hash, ".json", Path::to_owned)?;
        let report = match place.begun {
            true => output_folder::read(&place.path)?,
            false => Report {
                header: Header {
                    command: "benchmark".into(),
                    hash,
                    complete: false,
                },
                key,
                load_before: machine::load(),
                load_after: None,
                too_long: encoded.too_long,
                summary: None,
                samples: Vec::new(),
            },
        };
        Ok(Self {
            path: place.path,
            report,
            prompts: encoded.prompts,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of samples measured by earlier runs.
    pub fn resumed(&self) -> usize {
        self.report.samples.len()
    }

    /// Measures the missing samples. The file is rewritten after each sample, so it is valid at any time.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if interrupted, and any error of the engine.
    pub fn run(
        &mut self,
        loaded: &mut LoadedModel,
        interrupted: &Interrupted,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<&Report> {
        let (plain, other) = settings_of(&self.report.key.settings);
        if let Some((_, ids)) = self.prompts.get(self.resumed()) {
            for settings in [Some(&plain), other.as_ref()].into_iter().flatten() {
                let few = Settings {
                    max_steps: settings.max_steps.min(WARM_UP_TOKENS),
                    ..settings.clone()
                };
                Measured::of(&mut loaded.decoder, ids, &few, interrupted)?;
            }
        }
        let total = self.prompts.len();
        for at in self.resumed()..total {
            let (example, ids) = &self.prompts[at];
            let autoregressive = Measured::of(&mut loaded.decoder, ids, &plain, interrupted)?;
            let speculative = other
                .as_ref()
                .map(|settings| Measured::of(&mut loaded.decoder, ids, settings, interrupted))
                .transpose()?;
            self.report
                .samples
                .push(sample(example, ids.len(), autoregressive, speculative));
            output_folder::write(&self.path, &self.report)?;
            let samples = &self.report.samples;
            progress(Progress {
                done: samples.len(),
                total,
                samples,
            });
        }
        self.report.summary = Some(Summary::of(&self.report.samples));
        self.report.header.complete = true;
        self.report.load_after = machine::load();
        output_folder::write(&self.path, &self.report)?;
        Ok(&self.report)
    }
}

fn sample(
    example: &Example,
    prompt_tokens: usize,
    autoregressive: Measured,
    speculative: Option<Measured>,
) -> Sample {
    let scores = |run: &Measured| {
        let reference = example.reference.as_ref()?;
        Some(TextScores::of(&run.text, reference))
    };
    Sample {
        id: example.id.clone(),
        category: example.category.clone(),
        prompt_tokens,
        reference: example.reference.clone(),
        same_text: speculative
            .as_ref()
            .map(|run| run.tokens == autoregressive.tokens),
        autoregressive_scores: scores(&autoregressive),
        speculative_scores: speculative.as_ref().and_then(scores),
        autoregressive,
        speculative,
    }
}
