//! Drafts that grow while it pays: a chain of the draft's best tokens, with siblings beside those that are unsure. Each node is
//! added if the tokens it is expected to yield exceed those that decoding would yield in the time it costs. The probabilities
//! are the draft's own (Li et al., EAGLE-2, arXiv 2406.16858), corrected by how often such drafts were accepted.

use crate::engine::sampling::{Coupling, Sampling};

/// Max number of tokens on a path.
pub(super) const MAX_DEPTH: usize = 6;
/// Max number of nodes.
pub(super) const MAX_NODES: usize = 8;
/// Number of ranks with statistics of their own; the last one covers all higher ranks.
pub(super) const RANKS: usize = 3;
/// Max number of tokens drafted after one node.
pub(super) const MAX_SIBLINGS: usize = 3;

/// Draft probabilities are learned in groups. Upper bounds of all groups but the last.
const GROUPS: [f32; 9] = [0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.92];
/// Number of groups of draft probabilities.
pub(super) const NUM_GROUPS: usize = GROUPS.len() + 1;

/// The group of a draft probability.
pub(super) fn group(p: f32) -> usize {
    GROUPS.partition_point(|&bound| bound <= p)
}

/// The probability in the middle of a group.
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

/// A draft that grows: the main chain of best tokens, and siblings beside them.
#[derive(Debug, Clone)]
pub(super) struct Growing<'a> {
    growth: &'a Growth,
    max_depth: usize,
    max_nodes: usize,
    depth: usize,
    nodes: usize,
    /// Probability that the verifier reaches the end of the main chain.
    reached: f64,
}

impl<'a> Growing<'a> {
    /// A draft without nodes, of at most this depth and number of nodes.
    pub fn new(growth: &'a Growth, max_depth: usize, max_nodes: usize) -> Self {
        Self {
            growth,
            max_depth: max_depth.min(MAX_DEPTH),
            max_nodes: max_nodes.min(MAX_NODES),
            depth: 0,
            nodes: 0,
            reached: 1.0,
        }
    }

    /// Whether another draft pass pays, at the end of the main chain. The first one is not questioned: the chooser has decided
    /// to draft.
    pub fn continues(&self) -> bool {
        let has_room = self.depth < self.max_depth && self.nodes < self.max_nodes;
        has_room && (self.depth == 0 || self.growth.continues(self.nodes, self.reached))
    }

    /// Adds the tokens after the end of the main chain that pay, given the draft probabilities of the best ones in order.
    /// Returns how many: the best one always, which becomes the end of the chain.
    pub fn add(&mut self, probabilities: impl IntoIterator<Item = f32>) -> usize {
        let before = (self.nodes, self.reached);
        for (rank, p) in probabilities.into_iter().enumerate() {
            let reached = before.1 * self.growth.accepted(rank, p);
            if rank == 0 {
                self.reached = reached;
            } else if self.nodes >= self.max_nodes || !self.growth.adds(self.nodes, reached) {
                break;
            }
            self.nodes += 1;
        }
        self.depth += 1;
        self.nodes - before.0
    }
}

impl Growth {
    /// The probability that a token with this rank and draft probability is accepted after its parent.
    fn accepted(&self, rank: usize, p: f32) -> f64 {
        self.accepted[rank.min(RANKS - 1)][group(p)]
    }

    /// Whether a node that is reached with this probability pays as node number `nodes`, counted from 0.
    fn adds(&self, nodes: usize, reached: f64) -> bool {
        self.node.get(nodes).is_some_and(|&cost| reached > cost)
    }

    /// Whether another pass pays after `nodes` nodes, of which the last of the main chain is reached with this probability.
    fn continues(&self, nodes: usize, reached: f64) -> bool {
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
    fn a_draft_stays_within_its_limits() {
        let growth = Growth {
            pass: 0.0,
            node: [0.0; MAX_NODES],
            accepted: [[1.0; NUM_GROUPS]; RANKS],
            later: 1.0,
        };
        for (depth, nodes) in [(0, 8), (3, 0), (1, 8), (3, 8), (6, 2), (99, 99)] {
            let mut growing = Growing::new(&growth, depth, nodes);
            let (mut passes, mut added) = (0, 0);
            while growing.continues() {
                let new = growing.add([0.5; MAX_SIBLINGS]);
                assert!((1..=MAX_SIBLINGS).contains(&new));
                (passes, added) = (passes + 1, added + new);
            }
            assert!(passes <= depth.min(MAX_DEPTH) && added <= nodes.min(MAX_NODES));
            assert_eq!(passes > 0, depth.min(nodes) > 0);
        }
    }

    #[test]
    fn groups_cover_all_probabilities_in_order() {
        let groups: Vec<usize> = (0..=1000).map(|p| group(p as f32 / 1000.0)).collect();
        assert!(groups.is_sorted());
        assert_eq!((groups[0], groups[1000]), (0, NUM_GROUPS - 1));
    }
}
