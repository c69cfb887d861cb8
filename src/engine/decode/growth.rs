//! Drafts that grow while it pays: a chain of the draft's best tokens, with siblings beside those that are unsure. Each node is
//! added if the tokens it is expected to yield exceed those that decoding would yield in the time it costs. The probabilities
//! are the draft's own (Li et al., EAGLE-2, arXiv 2406.16858), corrected by how often such drafts were accepted.

use crate::engine::sampling::{Coupling, Sampling};

/// Max number of tokens on a path.
pub(super) const MAX_DEPTH: usize = 6;
/// Max number of nodes.
pub(super) const MAX_NODES: usize = 8;
/// Ranks of siblings that are told apart; the last stands for all later ones.
pub(super) const RANKS: usize = 3;
/// Max number of siblings.
pub(super) const MAX_SIBLINGS: usize = 3;

/// Upper bounds of the groups of draft probabilities, but for the last group.
const GROUPS: [f32; 9] = [0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.92];
/// Number of groups of draft probabilities.
pub(super) const NUM_GROUPS: usize = GROUPS.len() + 1;

/// The group of a draft probability.
pub(super) fn group(p: f32) -> usize {
    GROUPS.partition_point(|&bound| bound <= p)
}

/// A typical probability of a group.
pub(super) fn middle(group: usize) -> f32 {
    let low = group.checked_sub(1).map_or(0.0, |at| GROUPS[at]);
    let high = GROUPS.get(group).copied().unwrap_or(1.0);
    (low + high) / 2.0
}

/// How drafts are drawn, on which their acceptance at a given draft probability depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drawn {
    Greedily,
    WithSharedNoise,
    ForRejection,
}

impl Drawn {
    /// Number of ways.
    pub const COUNT: usize = 3;

    pub fn by(sampling: &Sampling) -> Self {
        match (sampling.greedy(), sampling.coupling) {
            (true, _) => Self::Greedily,
            (_, Coupling::SharedNoise) => Self::WithSharedNoise,
            (_, Coupling::Rejection) => Self::ForRejection,
        }
    }
}

/// Assumed probability that a drafted token is accepted, before any outcome. Greedy drafts of trained exits are well
/// calibrated. With shared noise the draft's choice depends on the noise too, which the verifier sees as well; with rejection
/// coupling a token that was drawn although it is unlikely is often likelier for the verifier.
pub(super) fn guess(drawn: Drawn, rank: usize, p: f32) -> f64 {
    let p = f64::from(p).clamp(0.005, 0.97);
    match (drawn, rank) {
        (Drawn::Greedily, _) => p,
        (_, 0) => 0.3 + 0.65 * p,
        (_, 1) => 0.14,
        _ => 0.07,
    }
}

/// When a draft grows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Growth {
    /// Cost of a draft pass, in tokens that decoding yields in that time.
    pub pass: f64,
    /// Cost of verifying the node of each index, in tokens.
    pub node: [f64; MAX_NODES],
    /// Probability that a drafted token is accepted, by rank and group of its draft probability.
    pub accepted: [[f64; NUM_GROUPS]; RANKS],
    /// Probability that the best token is accepted after an accepted one.
    pub later: f64,
}

impl Growth {
    /// The probability that a token with this rank and draft probability is accepted after its parent.
    pub fn accepted(&self, rank: usize, p: f32) -> f64 {
        self.accepted[rank.min(RANKS - 1)][group(p)]
    }

    /// Whether a node that is reached with this probability pays as node number `nodes`, counted from 0.
    pub fn adds(&self, nodes: usize, reached: f64) -> bool {
        self.node.get(nodes).is_some_and(|&cost| reached > cost)
    }

    /// Whether another pass pays after `nodes` nodes, of which the last of the main chain is reached with this probability.
    pub fn continues(&self, nodes: usize, reached: f64) -> bool {
        let node = self.node.get(nodes);
        node.is_some_and(|&cost| reached * self.later > cost + self.pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likely_drafts_continue_and_unlikely_ones_get_siblings() {
        let growth = Growth {
            pass: 0.15,
            node: [0.05; MAX_NODES],
            accepted: [[0.5; NUM_GROUPS]; RANKS],
            later: 0.5,
        };
        assert!(growth.continues(1, 0.9) && !growth.continues(1, 0.3));
        assert!(growth.adds(1, 0.1) && !growth.adds(1, 0.03));
        assert!(!growth.adds(MAX_NODES, 1.0) && !growth.continues(MAX_NODES, 1.0));
    }

    #[test]
    fn groups_cover_all_probabilities_in_order() {
        let groups: Vec<usize> = (0..=1000).map(|p| group(p as f32 / 1000.0)).collect();
        assert!(groups.is_sorted());
        assert_eq!((groups[0], groups[1000]), (0, NUM_GROUPS - 1));
    }
}
