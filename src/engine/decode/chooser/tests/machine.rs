//! Machines, by what the parts of a round cost on them. A plain step takes 1.

use super::{Job, Place};

/// The relative costs of a model on a machine.
#[derive(Clone)]
pub struct Machine {
    pub name: &'static str,
    pub place: Place,
    pub layers: usize,
    /// Whether drafts grow by confidence.
    pub grows: bool,
    /// One layer for one row.
    pub layer: f64,
    /// The head for one row.
    pub head: f64,
    /// The head over the draft vocabulary for one row.
    pub draft_head: f64,
    /// Each draft pass and each verify phase besides.
    pub overhead: f64,
    /// What several rows cost, relative to one; linear in between.
    pub rows: &'static [(usize, f64)],
}

impl Machine {
    /// The bundled model: verify costs as measured on Zen 4 (docs/performance.md), a draft step of 0.155 plain steps at
    /// exit layer 6.
    pub fn bundled(name: &'static str, rows: &'static [(usize, f64)]) -> Self {
        Self {
            name,
            place: Place {
                context: 100,
                draft_share: 8192.0 / 49152.0,
            },
            layers: 30,
            grows: true,
            layer: 0.0205,
            head: 0.385,
            draft_head: 0.027,
            overhead: 0.008,
            rows,
        }
    }

    fn rows(&self, rows: usize) -> f64 {
        let at = self.rows.partition_point(|(known, _)| *known < rows);
        let last = self.rows.len() - 1;
        let (from, to) = (
            self.rows[at.clamp(1, last) - 1],
            self.rows[at.clamp(1, last)],
        );
        let slope = (to.1 - from.1) / (to.0 - from.0) as f64;
        from.1 + slope * (rows as f64 - from.0 as f64)
    }

    fn run(&self, layers: usize, rows: usize) -> f64 {
        layers as f64 * self.layer * self.rows(rows)
    }

    /// Draft and verify seconds.
    pub fn seconds(&self, job: Job<'_>) -> (f64, f64) {
        match job {
            Job::Plain => (0.0, 1.0),
            Job::Lookup { nodes } => {
                let verify = self.run(self.layers, nodes + 1) + self.head * self.rows(nodes + 1);
                (0.0, verify + self.overhead)
            }
            Job::Exit {
                exit,
                passes,
                nodes,
            } => {
                let pass = |&rows: &usize| {
                    self.overhead + self.run(exit, rows) + self.draft_head * self.rows(rows)
                };
                let leaves = nodes + 1 - passes.iter().sum::<usize>();
                let early = if leaves > 0 {
                    self.run(exit, leaves)
                } else {
                    0.0
                };
                let late =
                    self.run(self.layers - exit, nodes + 1) + self.head * self.rows(nodes + 1);
                (passes.iter().map(pass).sum(), early + late + self.overhead)
            }
        }
    }
}
