//! The speed of plain decoding, estimated from the session.

use super::{State, Turn};
use crate::engine::decode::{self, PlainStep};
use crate::transcript::ModelRecord;
use std::sync::Arc;

/// Estimates of plain decoding with the model of the newest answer.
#[derive(Debug, Clone, Default)]
pub struct Baselines {
    model: Option<Arc<ModelRecord>>,
    known: decode::Baselines,
}

impl Baselines {
    /// From all answers of that model, the last race, and the costs measured for *what if*.
    pub fn of(state: &State) -> Self {
        let Some(newest) = state.newest_turn() else {
            return Self::default();
        };
        let model = newest.model.clone();
        let loaded = state.model_record().filter(|loaded| {
            let wrote = model.as_ref();
            wrote.is_none_or(|wrote| wrote.is(loaded))
        });
        let config = loaded.and(state.model.as_ref());
        let known = decode::Baselines::new(config.map(|info| info.config.clone()));
        let mut baselines = Self { model, known };
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

    /// A plain step at the time of `turn`. For answers of other models only their own plain steps count.
    pub fn plain_step(&self, turn: &Turn) -> Option<PlainStep> {
        match same_model(&self.model, &turn.model) {
            true => self.known.plain_step(&turn.timings),
            false => decode::Baselines::default().plain_step(&turn.timings),
        }
    }
}

/// Whether both are the same model on the same device, or both unknown.
fn same_model(a: &Option<Arc<ModelRecord>>, b: &Option<Arc<ModelRecord>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.is(b),
        (a, b) => a.is_none() && b.is_none(),
    }
}
