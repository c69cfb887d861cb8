//! Shapes of draft trees.

use crate::engine::model::Ancestors;

/// Assumed probabilities that the verifier chooses the draft's best, second best, … token; measured with the bundled model
/// at exit layer 6.
const RANKS: [f64; 8] = [0.41, 0.11, 0.05, 0.026, 0.019, 0.013, 0.010, 0.009];
/// Probability of each further rank, relative to the one before.
const NEXT_RANK: f64 = 0.85;

/// The probability that the verifier chooses the draft's token of each rank.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ranks(pub [f64; RANKS.len()]);

impl Default for Ranks {
    fn default() -> Self {
        Self(RANKS)
    }
}

impl Ranks {
    /// Number of distinguished ranks.
    pub const LEN: usize = RANKS.len();

    /// The probability of a rank.
    pub fn of(&self, rank: usize) -> f64 {
        let last = RANKS.len() - 1;
        match self.0.get(rank) {
            Some(&p) => p,
            None => self.0[last] * NEXT_RANK.powi((rank - last) as i32),
        }
    }
}

/// The number of children of each node of a tree, fixed before any token is drafted: rejection sampling is exact only
/// if the number of siblings does not depend on their tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    /// Number of children of the root, then of each node, breadth first.
    children: Vec<usize>,
    /// Row of the first child; row 0 is the root, and row i + 1 node i.
    first: Vec<usize>,
    depths: Vec<usize>,
}

impl Shape {
    /// Max number of rows.
    pub const MAX_ROWS: usize = Ancestors::MAX_NODES + 1;

    /// The tree of `nodes` nodes and at most `depth` levels with the largest expected number of accepted tokens. Adds
    /// nodes greedily by the probability that the verifier reaches them (Wang et al., OPT-Tree, arXiv 2406.17276).
    pub fn new(nodes: usize, depth: usize, ranks: &Ranks) -> Self {
        /// A node that can be added.
        #[derive(Clone, Copy)]
        struct Candidate {
            parent: Option<usize>,
            rank: usize,
            depth: usize,
            /// Probability that the verifier reaches its parent, and that it reaches the node.
            before: f64,
            p: f64,
        }
        let child = |parent, depth, before: f64| Candidate {
            parent,
            rank: 0,
            depth,
            before,
            p: before * ranks.of(0),
        };
        let mut candidates = Vec::new();
        if depth > 0 {
            candidates.push(child(None, 0, 1.0));
        }
        let mut chosen: Vec<Candidate> = Vec::with_capacity(nodes);
        while chosen.len() < nodes {
            let likelier = |a: &(usize, &Candidate), b: &(usize, &Candidate)| {
                a.1.p.total_cmp(&b.1.p).then(b.0.cmp(&a.0))
            };
            let Some((at, &best)) = candidates.iter().enumerate().max_by(likelier) else {
                break;
            };
            candidates[at] = Candidate {
                rank: best.rank + 1,
                p: best.before * ranks.of(best.rank + 1),
                ..best
            };
            if best.depth + 1 < depth {
                candidates.push(child(Some(chosen.len()), best.depth + 1, best.p));
            }
            chosen.push(best);
        }
        Self::breadth_first(&chosen.iter().map(|node| node.parent).collect::<Vec<_>>())
    }

    /// A chain of `depth` nodes.
    pub fn chain(depth: usize) -> Self {
        let parents: Vec<Option<usize>> = (0..depth).map(|node| node.checked_sub(1)).collect();
        Self::breadth_first(&parents)
    }

    /// The shape of nodes with these parents; the order of siblings is kept.
    fn breadth_first(parents: &[Option<usize>]) -> Self {
        let mut shape = Self {
            children: Vec::with_capacity(parents.len() + 1),
            first: Vec::with_capacity(parents.len() + 1),
            depths: Vec::with_capacity(parents.len() + 1),
        };
        let mut queue = vec![(None, 0)];
        let mut row = 0;
        while let Some(&(node, depth)) = queue.get(row) {
            shape.first.push(queue.len());
            let own = (0..parents.len()).filter(|&child| parents[child] == node);
            queue.extend(own.map(|child| (Some(child), depth + 1)));
            shape.children.push(queue.len() - shape.first[row]);
            shape.depths.push(depth);
            row += 1;
        }
        shape
    }

    /// Number of children of a row.
    pub fn children(&self, row: usize) -> usize {
        self.children[row]
    }

    /// The row of the child of this rank.
    pub fn child(&self, row: usize, rank: usize) -> usize {
        self.first[row] + rank
    }

    /// Number of rows that each draft pass expands, by depth.
    pub fn expanded(&self) -> Vec<usize> {
        let levels = self.depths.iter().max().copied().unwrap_or(0);
        let mut expanded = vec![0; levels];
        for (row, &depth) in self.depths.iter().enumerate() {
            if self.children[row] > 0 {
                expanded[depth] += 1;
            }
        }
        expanded
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.children.len() - 1
    }

    /// Expected number of accepted nodes, if the first pass follows `first` and later ones follow `later`.
    pub fn accepted(&self, first: &Ranks, later: &Ranks) -> f64 {
        let mut reached = [0.0; Self::MAX_ROWS];
        reached[0] = 1.0;
        for row in 0..self.children.len().min(reached.len()) {
            let ranks = if row == 0 { first } else { later };
            for rank in 0..self.children[row] {
                let p = reached[row] * ranks.of(rank);
                if let Some(reached) = reached.get_mut(self.first[row] + rank) {
                    *reached = p;
                }
            }
        }
        reached[1..].iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_level_is_all_siblings_and_one_node_a_chain() {
        let wide = Shape::new(5, 1, &Ranks::default());
        assert_eq!((wide.children(0), wide.len()), (5, 5));
        let single = Shape::new(1, 9, &Ranks::default());
        assert_eq!((single.children(0), single.len()), (1, 1));
    }

    #[test]
    fn a_sure_draft_gives_a_chain() {
        let mut ranks = Ranks([0.001; Ranks::LEN]);
        ranks.0[0] = 0.95;
        let shape = Shape::new(6, 6, &ranks);
        assert!((0..6).all(|row| shape.children(row) == 1));
        let expected: f64 = (1..=6).map(|depth| 0.95f64.powi(depth)).sum();
        assert!((shape.accepted(&ranks, &ranks) - expected).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn shapes_have_the_requested_nodes_and_depth(
            nodes in 1usize..64,
            depth in 1usize..10,
            best in 0.05f64..0.95,
        ) {
            let mut ranks = Ranks::default();
            ranks.0[0] = best;
            let shape = Shape::new(nodes, depth, &ranks);
            prop_assert_eq!(shape.len(), nodes);
            prop_assert!(shape.expanded().len() <= depth);
            prop_assert_eq!(shape.children.iter().sum::<usize>(), nodes);
            // Every row but the root is a child of exactly one row, and comes after it.
            let mut seen = vec![0; nodes + 1];
            for row in 0..=nodes {
                for rank in 0..shape.children(row) {
                    prop_assert!(shape.child(row, rank) > row);
                    seen[shape.child(row, rank)] += 1;
                }
            }
            prop_assert!(seen[1..].iter().all(|&times| times == 1));
            let chain = Shape::new(1, 1, &ranks).accepted(&ranks, &ranks);
            prop_assert!(shape.accepted(&ranks, &ranks) >= chain);
        }
    }
}
