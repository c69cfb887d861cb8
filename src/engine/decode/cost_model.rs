//! Costs of the parts of a round on this machine.

use super::{Decoder, Session};
use crate::engine::Result;
use crate::engine::model::{Readout, Row};
use crate::engine::sampling::Distribution;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Numbers of rows to measure; costs in between are interpolated.
const ROWS: [usize; 7] = [1, 2, 3, 5, 9, 13, 17];
/// Cached positions before the measured rows: a short conversation.
const CONTEXT: usize = 128;
/// Passes over all parts, and repetitions of each part within a pass. The best time counts.
const TIMES: usize = 2;

/// Seconds for each part of a round on this machine. Index i of a list is for i + 1 rows at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CostModel {
    /// The layer count L.
    pub layers: usize,
    /// One layer.
    pub layer: Vec<f64>,
    /// Norm and whole head.
    pub head: Vec<f64>,
    /// Norm and draft head, for one row; see [`Decoder::costs_in`] about tokens of a text.
    pub draft_head: f64,
    /// Sampling one token.
    #[serde(rename = "choice")]
    pub sampling: f64,
}

impl CostModel {
    /// Seconds of one autoregressive step.
    pub fn step(&self) -> f64 {
        self.layers as f64 * rows_cost(&self.layer, 1) + rows_cost(&self.head, 1) + self.sampling
    }

    /// Seconds of a round that drafts `drafted` tokens at `exit_layer` and verifies them.
    pub fn round(&self, exit_layer: usize, drafted: usize) -> f64 {
        self.draft(exit_layer, drafted) + self.verify(exit_layer, drafted)
    }

    /// Seconds of drafting `drafted` tokens at `exit_layer`.
    pub fn draft(&self, exit_layer: usize, drafted: usize) -> f64 {
        let early = exit_layer as f64 * rows_cost(&self.layer, 1);
        drafted as f64 * (early + self.draft_head + self.sampling)
    }

    /// Seconds of verifying `drafted` tokens, of which all but the last have run the layers before `exit_layer`.
    pub fn verify(&self, exit_layer: usize, drafted: usize) -> f64 {
        let (early, late) = (exit_layer as f64, (self.layers - exit_layer) as f64);
        let rows = drafted + 1;
        early * rows_cost(&self.layer, 1)
            + late * rows_cost(&self.layer, rows)
            + rows_cost(&self.head, rows)
            + rows as f64 * self.sampling
    }
}

/// The cost of `rows` rows, extrapolated in proportion beyond the measured numbers.
fn rows_cost(costs: &[f64], rows: usize) -> f64 {
    match costs.get(rows - 1) {
        Some(&cost) => cost,
        None => costs
            .last()
            .map_or(0.0, |&last| last * rows as f64 / costs.len() as f64),
    }
}

impl Decoder {
    /// Measures layer, head and sampling for 1 to 17 rows, in a separate sequence. Takes about as long as a hundred
    /// decode steps.
    ///
    /// # Errors
    /// If memory cannot be allocated, or the device fails.
    pub fn measure_costs(&mut self, draft_vocab: usize) -> Result<CostModel> {
        let config = self.model.config();
        let layers = config.num_layers;
        let context = CONTEXT.min(config.context_length.saturating_sub(32));
        let mut sequence = self.model.sequence(context + 32)?;
        let row = |n: usize| Row::chain(&[0; CONTEXT][..n], context).collect::<Vec<_>>();
        let mut logits = std::mem::take(&mut self.scratch.logits);
        if context > 0 {
            let prompt: Vec<Row> = Row::chain(&[0; CONTEXT][..context], 0).collect();
            sequence.forward(&prompt, layers)?;
            sequence.truncate(context);
        }
        let (mut layer, mut head) = ([f64::INFINITY; ROWS.len()], [f64::INFINITY; ROWS.len()]);
        let mut draft_head = f64::INFINITY;
        let mut readout = Readout {
            slots: &[context],
            depth: layers,
            vocab: draft_vocab,
            probed: false,
        };
        // Alternately, so that a change of the machine's load affects all parts.
        for _ in 0..TIMES {
            for (at, n) in ROWS.into_iter().enumerate() {
                let rows = row(n);
                let slots: Vec<usize> = rows.iter().map(|row| row.slot).collect();
                let seconds = best(|| sequence.forward(&rows, layers))?;
                layer[at] = layer[at].min(seconds / layers as f64);
                let readout = Readout {
                    slots: &slots,
                    depth: layers,
                    vocab: 0,
                    probed: false,
                };
                head[at] = head[at].min(best(|| sequence.logits(&readout, &mut logits))?);
            }
            draft_head = draft_head.min(best(|| sequence.logits(&readout, &mut logits))?);
        }
        never_cheaper(&mut layer);
        never_cheaper(&mut head);
        readout.vocab = 0;
        sequence.logits(&readout, &mut logits)?;
        let mut distribution = Distribution::default();
        let sampling = best(|| distribution.fill(&logits, None, &Default::default()))?;
        self.scratch.logits = logits;
        Ok(CostModel {
            layers,
            layer: interpolate(&layer),
            head: interpolate(&head),
            draft_head: draft_head.min(head[0]),
            sampling,
        })
    }
}

impl Decoder {
    /// `costs` as they are for drafts of this session: its draft head also has the tokens of the text.
    ///
    /// # Errors
    /// If memory cannot be allocated.
    pub fn costs_in(
        &self,
        session: &mut Session,
        costs: &CostModel,
        draft_vocab: usize,
    ) -> Result<CostModel> {
        let order = self.model.draft_order();
        session.draft_vocab(order, draft_vocab)?;
        let columns = session.draft_columns(order, draft_vocab) as f64;
        let measured = order.width(draft_vocab).max(1) as f64;
        let draft_head = (costs.draft_head * columns / measured).min(rows_cost(&costs.head, 1));
        Ok(CostModel {
            draft_head: draft_head.max(costs.draft_head),
            ..costs.clone()
        })
    }
}

/// Makes costs non-decreasing in the number of rows: if fewer rows seem slower, their measurement was disturbed.
fn never_cheaper(costs: &mut [f64]) {
    for at in (1..costs.len()).rev() {
        costs[at - 1] = costs[at - 1].min(costs[at]);
    }
}

fn best(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..TIMES {
        let start = Instant::now();
        work()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// Interpolates linearly between the measured numbers of rows.
fn interpolate(measured: &[f64]) -> Vec<f64> {
    let mut costs = Vec::with_capacity(ROWS[ROWS.len() - 1]);
    for (pair, cost) in ROWS.windows(2).zip(measured.windows(2)) {
        let slope = (cost[1] - cost[0]) / (pair[1] - pair[0]) as f64;
        costs.extend((0..pair[1] - pair[0]).map(|i| cost[0] + slope * i as f64));
    }
    costs.extend(measured.last());
    costs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_rows_do_not_cost_less() {
        let mut costs = [2.0, 3.0, 2.5, 4.0, 3.0];
        never_cheaper(&mut costs);
        assert_eq!(costs, [2.0, 2.5, 2.5, 3.0, 3.0]);
    }

    #[test]
    fn costs_are_interpolated_linearly() {
        let measured: Vec<f64> = ROWS.iter().map(|&rows| 2.0 + 0.5 * rows as f64).collect();
        let costs = interpolate(&measured);
        assert_eq!(costs.len(), 17);
        for (i, cost) in costs.iter().enumerate() {
            assert!((cost - (2.0 + 0.5 * (i + 1) as f64)).abs() < 1e-12);
        }
    }
}
