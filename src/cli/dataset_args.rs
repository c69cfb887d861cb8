//! Options of the commands that measure on a data set.

use super::layerskip_args::{self, NoModelArgs};
use super::values::{self, Given};
use crate::engine::decode::Settings;
use crate::engine::{Error, Result};
use crate::eval::datasets::{DatasetName, DatasetRequest, dataset_names};
use clap::Args;
use std::path::PathBuf;

/// The default folder of results, as in LayerSkip.
const OUTPUT_DIR: &str = "./logs";

/// Selects prompts, and the folder of results.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Data set")]
pub struct DatasetArgs {
    /// builtin (60 prompts that come with skiplens), cnn_dm_summarization, cnn_dm_lm, xsum_summarization, human_eval,
    /// top_v2, gsm8k, spec_bench, mt_bench, custom_jsonl (columns prompt, response) or chat_format.
    #[arg(long, value_parser = values::dataset, value_name = "NAME")]
    pub dataset: Option<DatasetName>,
    /// A file (JSONL, JSON, CSV, TSV or Parquet, also in gzip) or a folder with a file for each split; without it, the
    /// Hugging Face hub.
    #[arg(long, value_parser = values::filled, value_name = "PATH", requires = "dataset")]
    data_path: Option<String>,
    /// Number of prompts; by default, all.
    #[arg(long, value_parser = values::given_count, value_name = "N", requires = "dataset")]
    num_samples: Option<Given<usize>>,
    /// Number of solved examples of the train split before each prompt.
    #[arg(long, value_parser = values::given_count, value_name = "N", requires = "dataset")]
    n_shot: Option<Given<usize>>,
    /// A text into which each prompt is inserted, in place of {message}.
    #[arg(long, value_parser = values::filled, value_name = "TEXT", requires = "dataset")]
    template: Option<String>,
    /// Shuffle the prompts by the seed: true, the default, or false.
    #[arg(
        long,
        value_parser = values::given_boolean,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        requires = "dataset"
    )]
    random_shuffle: Option<Given<bool>>,
    /// As `--random-shuffle false`.
    #[arg(
        long,
        hide = true,
        overrides_with = "random_shuffle",
        requires = "dataset"
    )]
    no_random_shuffle: bool,
    /// Apply the model's chat template to the prompts; by default, only to prompts meant for one.
    #[arg(
        long,
        value_parser = values::given_boolean,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        requires = "dataset"
    )]
    chat: Option<Given<bool>>,
    /// Folder for the results; by default, ./logs.
    #[arg(long, value_parser = values::filled, value_name = "FOLDER")]
    output_dir: Option<String>,
    /// Refused unless it is None: these are options of Hugging Face's loader.
    #[arg(long, hide = true, value_parser = layerskip_args::model_args, value_name = "ARGS")]
    model_args: Option<NoModelArgs>,
}

impl DatasetArgs {
    /// The requested prompts. Missing options have LayerSkip's defaults.
    ///
    /// # Errors
    /// If no data set is given.
    pub fn request(&self, settings: &Settings) -> Result<DatasetRequest> {
        let Some(name) = self.dataset else {
            let names: Vec<&str> = dataset_names().collect();
            return Err(Error::Setting(format!(
                "--dataset is missing; choose {}",
                names.join(", ")
            )));
        };
        let text = |option: &Option<String>| option.clone().filter(|text| text != "None");
        Ok(DatasetRequest {
            name,
            path: text(&self.data_path).map(PathBuf::from),
            num_samples: Given::value(self.num_samples),
            n_shot: Given::value(self.n_shot).unwrap_or(0),
            template: text(&self.template),
            shuffle: !self.no_random_shuffle && Given::value(self.random_shuffle).unwrap_or(true),
            seed: settings.sampling.seed,
            chat: Given::value(self.chat),
        })
    }

    pub fn names_output_dir(&self) -> bool {
        self.output_dir.is_some()
    }

    pub fn names_num_samples(&self) -> bool {
        self.num_samples.is_some()
    }

    pub fn output_dir(&self) -> PathBuf {
        PathBuf::from(self.output_dir.as_deref().unwrap_or(OUTPUT_DIR))
    }
}
