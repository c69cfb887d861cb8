//! The speed of plain decoding, estimated from the session.

use super::{State, Turn};
use crate::engine::config::LlamaConfig;
use crate::engine::decode::{self, PlainStep};
use crate::transcript::ModelRecord;
use std::sync::Arc;

/// Max number of models whose shapes are kept.
const MAX_SHAPES: usize = 32;

/// The shapes of the models that answered, by which rounds with drafts are judged. They outlive the models: another one
/// may be loaded, or the connection to a server lost.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shapes(Arc<Vec<(ModelRecord, LlamaConfig)>>);

impl Shapes {
    /// Adds a model. The oldest one is dropped where there are too many.
    pub(in crate::app) fn add(&mut self, model: ModelRecord, config: &LlamaConfig) {
        if self.of(&model) == Some(config) {
            return;
        }
        let shapes = Arc::make_mut(&mut self.0);
        shapes.retain(|(known, _)| !known.is(&model));
        if shapes.len() == MAX_SHAPES {
            shapes.remove(0);
        }
        shapes.push((model, config.clone()));
    }

    fn of(&self, model: &ModelRecord) -> Option<&LlamaConfig> {
        let known = self.0.iter().find(|(known, _)| known.is(model));
        known.map(|(_, config)| config)
    }
}

/// Estimates of plain decoding with the model of the newest answer.
#[derive(Debug, Clone, Default)]
pub struct Baselines {
    model: Option<Arc<ModelRecord>>,
    known: decode::Baselines,
    shapes: Shapes,
}

impl Baselines {
    /// From all answers of that model, the last race, and the costs measured for *what if*.
    pub fn of(state: &State) -> Self {
        let Some(newest) = state.newest_turn() else {
            return Self::default();
        };
        let model = newest.model.clone();
        let config = match &model {
            Some(model) => state.shapes.of(model),
            None => state.model.as_ref().map(|info| &info.config),
        };
        let mut baselines = Self {
            known: decode::Baselines::new(config.cloned()),
            model,
            shapes: state.shapes.clone(),
        };
        let same = |turn: &&Turn| same_model(&newest.model, &turn.model);
        let turns = state.turns.iter().filter(same);
        turns
            .clone()
            .for_each(|turn| baselines.known.add(&turn.timings));
        if let Some(lens) = turns.rev().find_map(|turn| turn.lens.as_ref()) {
            baselines.known.add_costs(&lens.costs);
        }
        if let Some(raced) = state.race_of_model() {
            baselines.known.add_race(&raced.timings);
        }
        baselines
    }

    /// A plain step at the time of `turn`. For answers of other models only their own rounds count.
    pub fn plain_step(&self, turn: &Turn) -> Option<PlainStep> {
        if same_model(&self.model, &turn.model) {
            return self.known.plain_step(&turn.timings);
        }
        let config = turn.model.as_ref().and_then(|model| self.shapes.of(model));
        decode::Baselines::new(config.cloned()).plain_step(&turn.timings)
    }
}

/// Whether both are the same model on the same device, or both unknown.
fn same_model(a: &Option<Arc<ModelRecord>>, b: &Option<Arc<ModelRecord>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.is(b),
        (a, b) => a.is_none() && b.is_none(),
    }
}
