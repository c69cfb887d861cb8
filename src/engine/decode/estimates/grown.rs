//! Estimates for drafts that grow: the cost of one more node, and how often drafted tokens are accepted.

use super::{DECAY, Estimates, SLOW_DECAY};
use crate::engine::decode::growth::{self, Drawn, Growth};
use crate::engine::decode::work::{Place, Work};
use serde::{Deserialize, Serialize};

/// Weight of the guess that growing drafts gain nothing over the best fixed shape, in tokens.
const GROWTH_PRIOR_WEIGHT: f64 = 60.0;
/// Upper bound of the estimated gain of growing drafts over the best fixed shape.
const MAX_GROWTH_GAIN: f64 = 1.5;
/// Min cost of verifying one more node, as a fraction of the whole verify phase.
const MIN_NODE_COST: f64 = 0.01;

/// Totals over drafts that grew, decaying from round to round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Grown {
    pub tokens: f64,
    /// Tokens that the best shape fixed in advance would have yielded in the same time.
    pub expected: f64,
}

impl Estimates {
    /// The seconds of a draft pass with one row, and of verifying each number of nodes from 0 on. More nodes never cost less,
    /// and the corrections of neighbouring numbers are averaged, since a node more is a small part of a noisy time.
    fn grown_parts(
        &self,
        exit: usize,
        work: &Work,
        at: Place,
    ) -> (f64, [f64; growth::MAX_NODES + 1]) {
        let seconds =
            |work: f64, correction: f64| (work.max(1.0).ln() + self.scale + correction).exp();
        let draft = seconds(
            work.draft(exit, &[1], at.draft_share, at.context),
            self.draft_correction(exit),
        );
        let mut least = 0.0f64;
        let verify = std::array::from_fn(|nodes| {
            let rows = nodes + 1;
            let near = [rows.max(3) - 1, rows, rows + 1].map(|rows| self.verify_correction(rows));
            let correction = (near[0] + 2.0 * near[1] + near[2]) / 4.0;
            least = least.max(seconds(
                work.verify(rows, exit, nodes, at.context),
                correction,
            ));
            least
        });
        (draft, verify)
    }

    /// How many times as many tokens growing drafts yield as the best shape fixed in advance, which is one of the shapes to
    /// which they can grow.
    pub fn growth_gain(&self) -> f64 {
        let Grown { tokens, expected } = self.grown;
        let gain = (tokens + GROWTH_PRIOR_WEIGHT) / (expected + GROWTH_PRIOR_WEIGHT);
        gain.clamp(1.0, MAX_GROWTH_GAIN)
    }

    /// When a draft at this exit grows, if decoding yields `rate` tokens per second.
    pub fn growth(
        &self,
        exit: usize,
        layers: usize,
        drawn: Drawn,
        rate: f64,
        work: &Work,
        at: Place,
    ) -> Growth {
        let (draft, verify) = self.grown_parts(exit, work, at);
        let table = &self.confidence[drawn as usize];
        Growth {
            pass: rate * draft,
            node: std::array::from_fn(|node| {
                rate * (verify[node + 1] - verify[node]).max(MIN_NODE_COST * verify[node])
            }),
            accepted: std::array::from_fn(|rank| {
                std::array::from_fn(|group| {
                    table[rank][group].mean(growth::guess(drawn, rank, growth::middle(group)))
                })
            }),
            later: self.later.mean(self.acceptance(exit, layers)),
        }
    }

    /// Records whether the verifier chose a drafted token after its parent.
    pub fn confidence(&mut self, drawn: Drawn, rank: usize, p: f32, hit: bool) {
        let table = &mut self.confidence[drawn as usize];
        let rate = &mut table[rank.min(growth::RANKS - 1)][growth::group(p)];
        rate.add(f64::from(u8::from(hit)), 1.0, SLOW_DECAY);
    }

    /// Records a round whose draft grew: its tokens, and what the best fixed shape would have yielded in the same time.
    pub fn grew(&mut self, tokens: f64, expected: f64) {
        let Grown {
            tokens: before,
            expected: expected_before,
        } = self.grown;
        self.grown = Grown {
            tokens: before * DECAY + tokens,
            expected: expected_before * DECAY + expected,
        };
    }
}
