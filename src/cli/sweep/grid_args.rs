//! The axes of a sweep.

use crate::cli::values::{self, Given};
use crate::engine::decode::{Controller, Settings};
use crate::engine::{Error, Result};
use crate::eval::sweep::Axes;
use clap::Args;

/// LayerSkip's grid.
const EXIT_LAYERS: (usize, usize, usize) = (1, 15, 1);
const SPECULATIONS: (usize, usize, usize) = (1, 6, 1);

/// The grid: LayerSkip's two axes, and ours.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Grid")]
pub struct GridArgs {
    /// First exit layer [default: 1].
    #[arg(long, value_parser = values::given_count, value_name = "E")]
    exit_layer_first: Option<Given<usize>>,
    /// Last exit layer [default: 15, or the model's last].
    #[arg(long, value_parser = values::given_count, value_name = "E")]
    exit_layer_last: Option<Given<usize>>,
    #[arg(long, value_parser = values::given_count, value_name = "N", help = "Step between exit layers [default: 1]")]
    exit_layer_step: Option<Given<usize>>,
    /// Min speculations [default: 1].
    #[arg(long, value_parser = values::given_count, value_name = "K")]
    num_speculations_first: Option<Given<usize>>,
    /// Max speculations [default: 6].
    #[arg(long, value_parser = values::given_count, value_name = "K")]
    num_speculations_last: Option<Given<usize>>,
    #[arg(long, value_parser = values::given_count, value_name = "N", help = "Step between speculations [default: 1]")]
    num_speculations_step: Option<Given<usize>>,
    /// Further axis: draft vocabularies, separated by commas; 0 drafts over all tokens.
    #[arg(long, value_parser = values::count, value_name = "N,…", value_delimiter = ',')]
    draft_vocabs: Vec<usize>,
    /// Further axis: temperatures; each has its own baseline.
    #[arg(long, value_parser = values::temperature, value_name = "T,…", value_delimiter = ',')]
    temperatures: Vec<f32>,
    /// Further axis: fixed, confidence:THRESHOLD, adaptive, auto.
    #[arg(long, value_parser = values::controller, value_name = "NAME,…", value_delimiter = ',')]
    controllers: Vec<Controller>,
}

impl GridArgs {
    /// The axes for a model with `layers` layers. A missing axis has one value, from `settings`.
    ///
    /// # Errors
    /// If the grid is empty or exceeds the layers of the model.
    pub fn axes(&self, settings: &Settings, layers: usize) -> Result<Axes> {
        let or = |given: Option<Given<usize>>, default| Given::value(given).unwrap_or(default);
        let last_exit = EXIT_LAYERS.1.min(layers.saturating_sub(1));
        let axes = Axes {
            exit_layers: steps(
                "exit-layer",
                or(self.exit_layer_first, EXIT_LAYERS.0),
                or(self.exit_layer_last, last_exit),
                or(self.exit_layer_step, EXIT_LAYERS.2),
            )?,
            num_speculations: steps(
                "num-speculations",
                or(self.num_speculations_first, SPECULATIONS.0),
                or(self.num_speculations_last, SPECULATIONS.1),
                or(self.num_speculations_step, SPECULATIONS.2),
            )?,
            draft_vocabs: some_or(&self.draft_vocabs, settings.draft_vocab),
            temperatures: match settings.sampling.sample {
                true => some_or(&self.temperatures, settings.sampling.temperature),
                // Greedy decoding has only one temperature.
                false if self.temperatures.is_empty() => vec![0.0],
                false => {
                    return Err(Error::Setting(
                        "--temperatures and --sample false contradict each other".into(),
                    ));
                }
            },
            controllers: some_or(&self.controllers, settings.controller),
        };
        axes.check(layers)?;
        Ok(axes)
    }
}

fn some_or<T: Clone>(given: &[T], default: T) -> Vec<T> {
    match given.is_empty() {
        true => vec![default],
        false => given.to_vec(),
    }
}

fn steps(name: &str, first: usize, last: usize, step: usize) -> Result<Vec<usize>> {
    if step == 0 {
        return Err(Error::Setting(format!(
            "--{name}-step is 0; it must be at least 1"
        )));
    }
    if first > last {
        return Err(Error::Setting(format!(
            "--{name}-first is {first}, which is behind --{name}-last, {last}"
        )));
    }
    Ok((first..=last).step_by(step).collect())
}
