//! Measures what the parts of a round cost on this machine.

use super::{Costs, Decoder};
use crate::engine::Result;
use crate::engine::model::{Readout, Row};
use crate::engine::sampling::Distribution;
use std::time::Instant;

/// Rows at once that are measured; between them costs are interpolated.
const ROWS: [usize; 7] = [1, 2, 3, 5, 9, 13, 17];
/// Positions before the rows that are measured: a short conversation.
const CONTEXT: usize = 128;
/// Each figure is the best of this many.
const TIMES: usize = 3;

impl Decoder {
    /// Costs of layer, head and choice for 1 to 17 rows. Takes about as long as a hundred decode steps and uses a cache
    /// of its own.
    pub fn measure_costs(&mut self, draft_vocab: usize) -> Result<Costs> {
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
        let (mut layer, mut head) = (Vec::new(), Vec::new());
        for n in ROWS {
            let rows = row(n);
            let slots: Vec<usize> = rows.iter().map(|row| row.slot).collect();
            let seconds = best(|| sequence.forward(&rows, layers))?;
            layer.push(seconds / layers as f64);
            let readout = Readout {
                slots: &slots,
                depth: layers,
                vocab: 0,
                probed: false,
            };
            head.push(best(|| sequence.logits(&readout, &mut logits))?);
        }
        let mut readout = Readout {
            slots: &[context],
            depth: layers,
            vocab: draft_vocab,
            probed: false,
        };
        let draft_head = best(|| sequence.logits(&readout, &mut logits))?;
        readout.vocab = 0;
        sequence.logits(&readout, &mut logits)?;
        let mut distribution = Distribution::default();
        let choice = best(|| distribution.fill(&logits, None, &Default::default()))?;
        self.scratch.logits = logits;
        Ok(Costs {
            layers,
            layer: between(&layer),
            head: between(&head),
            draft_head,
            choice,
        })
    }
}

fn best(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..TIMES {
        let begun = Instant::now();
        work()?;
        best = best.min(begun.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// A cost for every number of rows from those measured, by straight lines.
fn between(measured: &[f64]) -> Vec<f64> {
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
    fn costs_between_the_measured_ones_lie_on_straight_lines() {
        let measured: Vec<f64> = ROWS.iter().map(|&rows| 2.0 + 0.5 * rows as f64).collect();
        let costs = between(&measured);
        assert_eq!(costs.len(), 17);
        for (i, cost) in costs.iter().enumerate() {
            assert!((cost - (2.0 + 0.5 * (i + 1) as f64)).abs() < 1e-12);
        }
    }
}
