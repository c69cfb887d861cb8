//! The cells of a sweep.

use crate::engine::decode::{Controller, Settings, Strategy};
use crate::engine::{Error, Result};
use crate::eval::identity::hash;
use serde::{Deserialize, Serialize};

/// The values of each setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Axes {
    pub exit_layers: Vec<usize>,
    pub num_speculations: Vec<usize>,
    pub draft_vocabs: Vec<usize>,
    pub temperatures: Vec<f32>,
    pub controllers: Vec<Controller>,
}

/// One point of the grid.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    pub exit_layer: usize,
    pub num_speculations: usize,
    pub draft_vocab: usize,
    pub temperature: f32,
    pub controller: Controller,
}

impl Axes {
    /// All cells: temperature, draft vocabulary and controller outermost, then exit layer, then speculations, so that
    /// cells with the same baseline are adjacent.
    pub fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for &temperature in &self.temperatures {
            for &draft_vocab in &self.draft_vocabs {
                for &controller in &self.controllers {
                    for &exit_layer in &self.exit_layers {
                        cells.extend(self.num_speculations.iter().map(|&num_speculations| Cell {
                            exit_layer,
                            num_speculations,
                            draft_vocab,
                            temperature,
                            controller,
                        }));
                    }
                }
            }
        }
        cells
    }

    /// # Errors
    /// If an axis is empty or has a duplicate, or a model with this number of layers cannot run a cell.
    pub fn check(&self, layers: usize) -> Result<()> {
        let outside = |words: String| Err(Error::Setting(words));
        if self.cells().is_empty() {
            return outside("the grid has no cells".into());
        }
        if let Some(exit_layer) = self.exit_layers.iter().find(|&&e| e == 0 || e >= layers) {
            return outside(format!(
                "the grid has exit layer {exit_layer}; this model has {layers} layers, so it may be 1 to {}",
                layers.saturating_sub(1)
            ));
        }
        if self.num_speculations.contains(&0) {
            return outside("the grid has 0 speculations; it must be at least 1".into());
        }
        let mut ids: Vec<String> = Vec::new();
        for cell in self.cells() {
            let id = cell.id()?;
            if ids.contains(&id) {
                return outside(format!("the grid has the cell {} twice", cell.name()));
            }
            ids.push(id);
        }
        Ok(())
    }
}

impl Cell {
    /// The hash of its settings.
    pub fn id(&self) -> Result<String> {
        hash(self)
    }

    /// Its settings, in short.
    pub fn name(&self) -> String {
        let mut name = format!("E {} K {}", self.exit_layer, self.num_speculations);
        if self.draft_vocab > 0 {
            name += &format!(" draft-vocab {}", self.draft_vocab);
        }
        name += &format!(" T {}", self.temperature);
        if self.controller != Controller::Fixed {
            name += &format!(" {}", self.controller);
        }
        name
    }

    /// `base` with the cell's settings.
    pub fn settings(&self, base: &Settings) -> Settings {
        let mut settings = plain(base, self.temperature);
        settings.strategy = Strategy::SelfSpeculative;
        settings.exit_layer = self.exit_layer;
        settings.num_speculations = self.num_speculations;
        settings.draft_vocab = self.draft_vocab;
        settings.controller = self.controller;
        settings
    }
}

/// The autoregressive baseline of `base` at this temperature.
pub fn plain(base: &Settings, temperature: f32) -> Settings {
    let mut settings = Settings {
        strategy: Strategy::Autoregressive,
        ..base.clone()
    };
    settings.sampling.temperature = temperature;
    settings
}
