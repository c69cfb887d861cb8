//! What the chooser learns from finished rounds.

use super::{Chooser, Job, Place, Shape};
use crate::engine::decode::growth::Drawn;
use crate::engine::decode::{Proposer, Round};

impl Chooser {
    /// Learns from a finished round. `predicted` is the length of the match before the round and the tokens with which
    /// lookup would have continued the text.
    pub fn learn(&mut self, round: &Round, place: Place, predicted: Option<(usize, &[u32])>) {
        let nodes = round.drafted().len();
        let first = round.drafted().first().map(|token| token.proposer);
        let exit = round.settings.exit_layer;
        let (draft, verify) = (round.draft_seconds, round.verify_seconds);
        match first {
            None => {
                self.since_plain = 0;
                let whole = draft + verify;
                self.estimates
                    .time(Job::Plain, &self.work, place, 0.0, whole);
            }
            Some(Proposer::Lookup) => {
                let job = Job::Lookup { nodes };
                self.estimates
                    .time(job, &self.work, place, 0.0, draft + verify);
            }
            Some(Proposer::EarlyExit | Proposer::Adapter) => {
                let settings = &round.settings;
                let form = self.form(settings.num_speculations, settings.tree);
                let chain = [1; Shape::MAX_ROWS];
                let passes = match form {
                    Some(form) if settings.tree > 0 && !self.grows => &self.forms[form].passes[..],
                    None if settings.tree > 0 && !self.grows => &[],
                    _ => &chain[..chain_passes(round).min(chain.len())],
                };
                if !passes.is_empty() {
                    let job = Job::Exit {
                        exit,
                        passes,
                        nodes,
                    };
                    self.estimates.time(job, &self.work, place, draft, verify);
                }
                if self.grows && !passes.is_empty() {
                    let ease = self.estimates.ease(self.layers);
                    let rate = self.best_fixed_rate(ease, exit, place);
                    let job = Job::Exit {
                        exit,
                        passes,
                        nodes,
                    };
                    let seconds = self.estimates.seconds(job, &self.work, place);
                    let tokens = round.kept().count();
                    self.estimates.grew(tokens as f64, rate * seconds);
                }
                self.learn_acceptance(round, exit);
            }
        }
        if let Some((length, predicted)) = predicted {
            let mut hits = round
                .kept()
                .zip(predicted)
                .map(|(token, &id)| token.id == id);
            if let Some(first) = hits.next() {
                let mut matching = first;
                let later = std::iter::from_fn(|| {
                    let hit = hits.next().filter(|_| matching)?;
                    matching = hit;
                    Some(hit)
                });
                self.estimates.matched(length, first, later);
            }
        }
    }

    fn learn_acceptance(&mut self, round: &Round, exit: usize) {
        let nodes = || round.drafted().iter().enumerate();
        let children = |parent| {
            nodes()
                .filter(|(at, token)| token.follows(*at, parent))
                .count()
        };
        let mut parent = None;
        // The final `None` stands for a choice of the verifier that is not among the children of the last accepted
        // node.
        let steps = round.path().map(Some).chain([None]);
        for (depth, node) in steps.enumerate() {
            let children = children(parent);
            let Some(rank) = node
                .map(|node| Some(round.drafted()[node].rank))
                .or((children > 0 && round.closing().is_some()).then_some(None))
            else {
                break;
            };
            let best = rank == Some(0);
            match depth {
                0 => self.estimates.first(exit, usize::from(best), 1),
                _ => self.estimates.later(best),
            }
            if !best {
                self.estimates.rank(exit, rank, children);
            }
            let drawn = Drawn::by(&round.settings.sampling);
            for (at, token) in nodes() {
                if let (true, Some(p)) = (token.follows(at, parent), token.p_draft) {
                    let hit = rank == Some(token.rank);
                    self.estimates.confidence(drawn, token.rank, p, hit);
                }
            }
            parent = node;
        }
    }
}

/// Number of passes of a chain, with or without siblings: each added one best token.
fn chain_passes(round: &Round) -> usize {
    let best = round.drafted().iter().filter(|token| token.rank == 0);
    best.count()
}
