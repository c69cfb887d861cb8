//! Measures the cells of one shard.

use super::baseline::{self, Baseline, keeps_text};
use super::cell::{CellFile, CellRun, Difference};
use super::{Cell, RunFolder, Shard, grid};
use crate::engine::decode::Settings;
use crate::engine::loaded_model::LoadedModel;
use crate::engine::{Error, Result};
use crate::eval::identity::hash;
use crate::eval::machine::{self, Machine};
use crate::eval::output_folder;
use crate::eval::run::{Interrupted, Measured};
use std::path::Path;

/// Tokens generated before measuring a cell or a baseline, to warm up caches and clock.
const WARM_UP_TOKENS: usize = 16;

/// One shard of a sweep on this machine.
pub struct Sweep<'a> {
    folder: &'a RunFolder,
    shard: Shard,
    machine: Machine,
    /// Token ids of the prompts.
    prompts: Vec<Vec<u32>>,
}

/// Progress of a shard.
#[derive(Debug)]
pub enum Update<'a> {
    /// Number of finished prompts of the current cell.
    Sample {
        what: &'a str,
        done: usize,
        total: usize,
    },
    /// A baseline was written.
    Baseline(&'a Baseline),
    /// A cell was written.
    Cell(&'a CellFile),
}

/// The remaining work, and an upper bound of its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub cells: usize,
    pub baselines: usize,
    pub prompts: usize,
    pub max_steps: usize,
    /// If every text has the max length.
    pub seconds: f64,
}

impl<'a> Sweep<'a> {
    /// The shard of a planned sweep.
    ///
    /// # Errors
    /// If the model is not the manifest's, or cannot run its prompts.
    pub fn new(folder: &'a RunFolder, shard: Shard, loaded: &LoadedModel) -> Result<Self> {
        folder.manifest.check_model(&loaded.info)?;
        folder.manifest.axes.check(loaded.info.config.num_layers)?;
        let examples = folder.manifest.examples.iter();
        let prompts: Result<Vec<_>> = examples
            .map(|example| loaded.encode(&example.prompt))
            .collect();
        Ok(Self {
            folder,
            shard,
            machine: Machine::of(loaded.decoder.model()),
            prompts: prompts?,
        })
    }

    /// The cells of this shard that are not measured yet.
    ///
    /// # Errors
    /// If a file of this run cannot be parsed.
    pub fn missing(&self) -> Result<Vec<Cell>> {
        let mut missing = Vec::new();
        for cell in shard_cells(self.folder, self.shard) {
            if read_cell(self.folder, &cell)?.is_none() {
                missing.push(cell);
            }
        }
        Ok(missing)
    }

    /// The cells of this shard, one per line: id, whether it is measured, and settings.
    ///
    /// # Errors
    /// If a file of this run cannot be parsed.
    pub fn list(&self) -> Result<String> {
        let mut lines = String::new();
        for cell in shard_cells(self.folder, self.shard) {
            let state = match read_cell(self.folder, &cell)? {
                Some(_) => "measured",
                None => "missing",
            };
            lines += &format!("{} {state:<9} {}\n", cell.id()?, cell.name());
        }
        Ok(lines)
    }

    /// The remaining work, from the costs of the parts of a round on this machine.
    ///
    /// # Errors
    /// If the costs cannot be measured.
    pub fn estimate(&self, loaded: &mut LoadedModel) -> Result<Estimate> {
        let base = &self.folder.manifest.settings;
        let missing = self.missing()?;
        let costs = loaded.decoder.measure_costs(base.draft_vocab)?;
        let layers = costs.layers as f64;
        let temperatures = temperatures(&missing);
        let mut baselines = 0;
        for &temperature in &temperatures {
            let path = self.folder.baseline_path(&self.baseline_id(temperature)?);
            baselines += usize::from(!path.exists());
        }
        // In a batch, a token of a prompt costs about a third of a step.
        let prompt_tokens: usize = self.prompts.iter().map(Vec::len).sum();
        let prefill = prompt_tokens as f64 * costs.step() / 3.0;
        let tokens = (self.prompts.len() * base.max_steps) as f64;
        // The worst case of a cell is a round without acceptance.
        let of_cell = |cell: &Cell| {
            let round = costs.round(cell.exit_layer.min(costs.layers - 1), cell.num_speculations);
            prefill + tokens * round
        };
        let lens = tokens * layers * (costs.step() / layers + costs.draft_head) / 3.0;
        let seconds = missing.iter().map(of_cell).sum::<f64>()
            + baselines as f64 * (prefill + tokens * costs.step() + lens);
        Ok(Estimate {
            cells: missing.len(),
            baselines,
            prompts: self.prompts.len(),
            max_steps: base.max_steps,
            seconds,
        })
    }

    /// Measures the missing cells, writing each when complete.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if interrupted, and any error of the engine.
    pub fn run(
        &self,
        loaded: &mut LoadedModel,
        interrupted: &Interrupted,
        update: &mut dyn FnMut(Update),
    ) -> Result<()> {
        let missing = self.missing()?;
        for of_one in missing.chunk_by(|a, b| a.temperature == b.temperature) {
            let Some(first) = of_one.first() else {
                continue;
            };
            let baseline = self.baseline(first.temperature, loaded, interrupted, update)?;
            for cell in of_one {
                let measured = self.cell(cell, &baseline, loaded, interrupted, update)?;
                output_folder::write(&self.folder.cell_path(cell)?, &measured)?;
                update(Update::Cell(&measured));
            }
        }
        Ok(())
    }

    /// A baseline belongs to one machine and one shard, so it has only one writer.
    fn baseline_id(&self, temperature: f32) -> Result<String> {
        hash(&(
            &self.machine,
            self.shard.index,
            self.shard.count,
            temperature,
        ))
    }

    fn baseline(
        &self,
        temperature: f32,
        loaded: &mut LoadedModel,
        interrupted: &Interrupted,
        update: &mut dyn FnMut(Update),
    ) -> Result<Baseline> {
        let id = self.baseline_id(temperature)?;
        let path = self.folder.baseline_path(&id);
        if let Some(baseline) = read_baseline(self.folder, &id)? {
            return Ok(baseline);
        }
        let base = &self.folder.manifest.settings;
        self.warm_up(&grid::plain(base, temperature), loaded, interrupted)?;
        let (load, total) = (machine::load(), self.prompts.len());
        let mut report = |what: &str, done| update(Update::Sample { what, done, total });
        let what = format!("baseline at T {temperature}");
        let decoder = &mut loaded.decoder;
        let runs = baseline::measure(
            decoder,
            base,
            temperature,
            &self.prompts,
            interrupted,
            &mut |done| {
                report(&what, done);
            },
        )?;
        // For all cells of this temperature, so that the result does not depend on which are already done.
        let cells: Vec<Cell> = shard_cells(self.folder, self.shard)
            .into_iter()
            .filter(|cell| cell.temperature == temperature)
            .collect();
        report("predicting the cells", 0);
        let predictions =
            baseline::predict(decoder, base, &cells, &self.prompts, &runs, interrupted)?;
        let baseline = Baseline {
            sweep: self.folder.hash.clone(),
            id,
            machine: self.machine.clone(),
            load,
            temperature,
            runs,
            predictions,
        };
        output_folder::write(&path, &baseline)?;
        update(Update::Baseline(&baseline));
        Ok(baseline)
    }

    fn cell(
        &self,
        cell: &Cell,
        baseline: &Baseline,
        loaded: &mut LoadedModel,
        interrupted: &Interrupted,
        update: &mut dyn FnMut(Update),
    ) -> Result<CellFile> {
        let settings = cell.settings(&self.folder.manifest.settings);
        self.warm_up(&settings, loaded, interrupted)?;
        let (load, total, what) = (machine::load(), self.prompts.len(), cell.name());
        let (mut runs, mut differences) = (Vec::with_capacity(total), Vec::new());
        for (at, prompt) in self.prompts.iter().enumerate() {
            let run = Measured::of(&mut loaded.decoder, prompt, &settings, interrupted)?;
            let plain = baseline
                .runs
                .get(at)
                .map(|run| run.tokens.as_slice())
                .unwrap_or_default();
            if keeps_text(&settings)
                && let Some(position) = run.differs_from(plain)
            {
                differences.push(Difference {
                    example: self.folder.manifest.examples[at].id.clone(),
                    position,
                });
            }
            runs.push(CellRun::of(&run)?);
            update(Update::Sample {
                what: &what,
                done: at + 1,
                total,
            });
        }
        Ok(CellFile {
            sweep: self.folder.hash.clone(),
            cell: *cell,
            baseline: baseline.id.clone(),
            machine: self.machine.clone(),
            load,
            runs,
            differences,
        })
    }

    fn warm_up(
        &self,
        settings: &Settings,
        loaded: &mut LoadedModel,
        interrupted: &Interrupted,
    ) -> Result<()> {
        let Some(prompt) = self.prompts.first() else {
            return Ok(());
        };
        let few = Settings {
            max_steps: settings.max_steps.min(WARM_UP_TOKENS),
            ..settings.clone()
        };
        Measured::of(&mut loaded.decoder, prompt, &few, interrupted).map(|_| ())
    }
}

/// The cells of a shard, in order.
pub fn shard_cells(folder: &RunFolder, shard: Shard) -> Vec<Cell> {
    let cells = folder.manifest.cells();
    let part = shard.cells(cells.len());
    cells[part].to_vec()
}

/// A cell's file; `None` if it is not measured yet.
///
/// # Errors
/// If the file belongs to another run, or is not a cell.
pub fn read_cell(folder: &RunFolder, cell: &Cell) -> Result<Option<CellFile>> {
    let path = folder.cell_path(cell)?;
    if !path.exists() {
        return Ok(None);
    }
    let file: CellFile = output_folder::read(&path)?;
    if file.sweep != folder.hash
        || file.cell != *cell
        || file.runs.len() != folder.manifest.examples.len()
    {
        return Err(belongs_elsewhere(&path));
    }
    Ok(Some(file))
}

/// A baseline's file; `None` if it is not measured yet.
///
/// # Errors
/// As [`read_cell`].
pub fn read_baseline(folder: &RunFolder, id: &str) -> Result<Option<Baseline>> {
    let path = folder.baseline_path(id);
    if !path.exists() {
        return Ok(None);
    }
    let file: Baseline = output_folder::read(&path)?;
    if file.sweep != folder.hash || file.runs.len() != folder.manifest.examples.len() {
        return Err(belongs_elsewhere(&path));
    }
    Ok(Some(file))
}

fn belongs_elsewhere(path: &Path) -> Error {
    Error::Setting(format!("{} belongs to another sweep", path.display()))
}

fn temperatures(cells: &[Cell]) -> Vec<f32> {
    let mut all: Vec<f32> = cells.iter().map(|cell| cell.temperature).collect();
    all.dedup();
    all
}
