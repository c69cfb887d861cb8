//! The chooser on recorded and on synthetic texts, against plain decoding and every fixed pair on the same text. Times that
//! it observes are noisy; speeds are compared by the true ones.

mod machine;
mod recorded;
mod synthetic;

use super::*;
use crate::engine::decode::growth::{self, Growing};
use crate::engine::decode::{
    ClosingToken, DraftToken, Origin, Parent, Proposer, Round, RoundTokens, Settings, Strategy,
};
use crate::engine::model::random;
use crate::engine::splitmix::SplitMix64;
use machine::Machine;
use std::sync::Arc;

/// A text: at each position, the token, its rank at each exit, the probabilities that each exit gives to its best tokens, and
/// how lookup would continue the text before it.
struct Text {
    sampled: bool,
    ids: Vec<u32>,
    ranks: Vec<Vec<usize>>,
    chances: Vec<Vec<[f32; growth::MAX_SIBLINGS]>>,
    found: Vec<Option<(usize, Vec<u32>)>>,
}

/// A node of a simulated draft, with its draft probability.
struct Node {
    parent: Option<usize>,
    rank: usize,
    p: f32,
}

/// What is simulated.
struct Simulation<'a> {
    machine: &'a Machine,
    text: &'a Text,
    looks_up: bool,
}

impl Simulation<'_> {
    /// Decodes the text and returns the true seconds. `chooser` observes noisy ones: up to 15 % more or less, and three
    /// times as long in 3 % of all rounds.
    fn play(&self, chooser: &mut Chooser, seed: u64) -> f64 {
        let (machine, text) = (self.machine, self.text);
        let mut random = SplitMix64(seed);
        let mut uniform = move || (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let (mut at, mut total) = (0, 0.0);
        chooser.begin_text();
        while at < text.ids.len() {
            let found = text.found[at].as_ref().filter(|_| self.looks_up);
            let situation = Situation {
                place: machine.place,
                exits: true,
                matched: found.map(|(length, _)| *length),
            };
            let (base, action) = chooser.choose(&situation);
            let probed = chooser.probe(true, machine.place, action);
            let mut settings = Settings {
                strategy: Strategy::SelfSpeculative,
                ..Settings::default()
            };
            if let Base::Exit { exit_layer, shape } = base {
                settings.exit_layer = exit_layer;
                if let ShapeChoice::Fixed { speculations, tree } = shape {
                    (settings.num_speculations, settings.tree) = (speculations, tree);
                }
            }
            settings.sampling.sample = text.sampled;
            let growth = match (base, action) {
                (Base::Exit { exit_layer, .. }, Action::Exit) => {
                    chooser.growth(exit_layer, Drawn::by(&settings.sampling), machine.place)
                }
                _ => None,
            };
            let (tokens, seconds) = self.round_at(at, &settings, action, growth.as_ref());
            let kept = tokens.accepted + usize::from(tokens.closing.is_some());
            let mut round = Round::new(0, at, Arc::new(settings), tokens);
            let mut noise = || {
                let busy = if uniform() < 0.03 { 3.0 } else { 1.0 };
                busy * (0.3 * (uniform() - 0.5)).exp()
            };
            (round.draft_seconds, round.verify_seconds) =
                (seconds.0 * noise(), seconds.1 * noise());
            total += seconds.0 + seconds.1;
            let predicted = found.map(|(length, tokens)| (*length, &tokens[..]));
            chooser.learn(&round, machine.place, predicted);
            let end = (at + kept).min(text.ids.len());
            if let Some(exit) = probed {
                let agreed = (at..end).filter(|&position| text.ranks[position][exit] == 0);
                chooser.estimates.first(exit, agreed.count(), end - at);
                total += machine.draft_head * (end - at) as f64;
            }
            at = end;
        }
        total
    }

    /// The tokens and true seconds of a round. As in the decoder, no draft reaches beyond the end of the answer.
    fn round_at(
        &self,
        at: usize,
        settings: &Settings,
        action: Action,
        growth: Option<&Growth>,
    ) -> (RoundTokens, (f64, f64)) {
        let (machine, text) = (self.machine, self.text);
        let left = text.ids.len() - at - 1;
        let closing = |position: usize| {
            let id = text.ids.get(position)?;
            Some(ClosingToken::new(*id, "", Origin::Bonus, 0.5))
        };
        let drafted = |node: usize, parent: Option<usize>, rank: usize, proposer| DraftToken {
            parent: Parent::of(node, parent),
            rank,
            proposer,
            ..DraftToken::new(u32::MAX, "", 0.5)
        };
        match action {
            Action::Lookup(length) if left > 0 => {
                let found = text.found[at].as_ref().map_or(&[][..], |(_, ids)| ids);
                let length = length.min(left);
                let same = found.iter().zip(&text.ids[at..]).take(length);
                let accepted = same.take_while(|(a, b)| a == b).count();
                let mut nodes: Vec<DraftToken> = (0..length)
                    .map(|node| drafted(node, node.checked_sub(1), 0, Proposer::Lookup))
                    .collect();
                for (node, token) in nodes.iter_mut().take(accepted).enumerate() {
                    token.id = text.ids[at + node];
                }
                (
                    RoundTokens::chain(nodes, accepted, closing(at + accepted)),
                    machine.seconds(Job::Lookup { nodes: length }),
                )
            }
            Action::Exit if left > 0 && growth.is_some() => {
                let exit = settings.exit_layer;
                let (nodes, path) = self.grow(at, exit, left, growth.unwrap());
                let passes = nodes.iter().filter(|node| node.rank == 0).count();
                let mut drafted: Vec<DraftToken> = (nodes.iter().enumerate())
                    .map(|(at, node)| DraftToken {
                        p_draft: Some(node.p),
                        ..drafted(at, node.parent, node.rank, Proposer::EarlyExit)
                    })
                    .collect();
                for (step, &node) in path.iter().enumerate() {
                    drafted[node].id = text.ids[at + step];
                }
                let job = Job::Exit {
                    exit,
                    passes: &[1; growth::MAX_DEPTH][..passes],
                    nodes: nodes.len(),
                };
                let tokens = RoundTokens {
                    drafted,
                    accepted: path.len(),
                    closing: closing(at + path.len()),
                    path,
                };
                (tokens, machine.seconds(job))
            }
            Action::Exit if left > 0 => {
                let depth = settings.num_speculations.min(left);
                let form = Form::new(depth, settings.tree);
                let (mut nodes, mut path, mut row, mut reached) = (Vec::new(), Vec::new(), 0, true);
                let mut parents = vec![None; form.shape.len() + 1];
                for row in 0..=form.shape.len() {
                    for rank in 0..form.shape.children(row) {
                        parents[form.shape.child(row, rank)] = Some((row.checked_sub(1), rank));
                    }
                }
                for (node, parent) in parents[1..].iter().enumerate() {
                    if let Some((parent, rank)) = *parent {
                        nodes.push(drafted(node, parent, rank, Proposer::EarlyExit));
                    }
                }
                while reached && path.len() < left {
                    let rank = text.ranks[at + path.len()][settings.exit_layer];
                    reached = rank < form.shape.children(row);
                    if reached {
                        row = form.shape.child(row, rank);
                        nodes[row - 1].id = text.ids[at + path.len()];
                        path.push(row - 1);
                    }
                }
                let tokens = RoundTokens {
                    drafted: nodes,
                    accepted: path.len(),
                    closing: closing(at + path.len()),
                    path,
                };
                let job = Job::Exit {
                    exit: settings.exit_layer,
                    passes: &form.passes,
                    nodes: form.shape.len(),
                };
                (tokens, machine.seconds(job))
            }
            _ => (
                RoundTokens::chain(Vec::new(), 0, closing(at)),
                machine.seconds(Job::Plain),
            ),
        }
    }

    /// The nodes of a draft that grows at `at` and the accepted path. Behind a wrong token the probabilities are those of the
    /// true text.
    fn grow(
        &self,
        at: usize,
        exit: usize,
        left: usize,
        growth: &Growth,
    ) -> (Vec<Node>, Vec<usize>) {
        let mut growing = Growing::new(growth, left, growth::MAX_NODES);
        let (mut nodes, mut path) = (Vec::new(), Vec::new());
        let (mut parent, mut depth, mut right) = (None, 0, true);
        while growing.continues() {
            let chances = self.text.chances[at + depth][exit];
            let (best, children) = (nodes.len(), growing.add(chances));
            let siblings = chances.into_iter().take(children).enumerate();
            nodes.extend(siblings.map(|(rank, p)| Node { parent, rank, p }));
            let rank = self.text.ranks[at + depth][exit];
            if right && rank < children {
                path.push(best + rank);
            }
            right &= rank == 0;
            (parent, depth) = (Some(best), depth + 1);
        }
        (nodes, path)
    }

    /// The true seconds of the text with a fixed pair.
    fn fixed(&self, exit_layer: usize, num_speculations: usize) -> f64 {
        let settings = Settings {
            exit_layer,
            num_speculations,
            ..Settings::default()
        };
        let (mut at, mut total) = (0, 0.0);
        while at < self.text.ids.len() {
            let (tokens, seconds) = self.round_at(at, &settings, Action::Exit, None);
            at += tokens.accepted + 1;
            total += seconds.0 + seconds.1;
        }
        total
    }

    /// The speed relative to plain decoding, and to the better of plain decoding and the best fixed pair.
    fn answer(&self, chooser: &mut Chooser, seed: u64) -> Speed {
        let plain = self.text.ids.len() as f64;
        let pairs = chooser
            .exits
            .iter()
            .flat_map(|&exit| CHAINS.map(|k| (exit, k)));
        let best = pairs
            .map(|(exit, k)| self.fixed(exit, k))
            .fold(plain, f64::min);
        let chosen = self.play(chooser, seed);
        Speed {
            of_plain: plain / chosen,
            of_best: best / chosen,
        }
    }
}

/// The speed of an answer.
#[derive(Debug, Clone, Copy)]
struct Speed {
    /// Relative to plain decoding.
    of_plain: f64,
    /// Relative to the faster of plain decoding and the best fixed pair in hindsight.
    of_best: f64,
}

/// What answers to several texts amount to.
#[derive(Debug)]
struct Speeds {
    mean: f64,
    min: f64,
    mean_of_best: f64,
    /// The share of answers that are at most 5 % slower than the best.
    close: f64,
}

impl Speeds {
    fn of(answers: impl IntoIterator<Item = Speed>) -> Self {
        let answers: Vec<Speed> = answers.into_iter().collect();
        let count = answers.len() as f64;
        let of_best: Vec<f64> = answers.iter().map(|speed| speed.of_best).collect();
        let of_plain = answers.iter().map(|speed| speed.of_plain);
        Self {
            mean: of_plain.clone().sum::<f64>() / count,
            min: of_plain.fold(f64::MAX, f64::min),
            mean_of_best: of_best.iter().sum::<f64>() / count,
            close: of_best.iter().filter(|of| **of > 0.95).count() as f64 / count,
        }
    }
}

/// A stored file restores what was learned, for this model only.
#[test]
fn estimates_are_stored_and_checked() {
    let world = &synthetic::worlds()[0];
    let mut learned = world.chooser();
    world.answer(&mut learned, 300, 1);
    let json = serde_json::to_string(&learned.estimates).unwrap();
    let mut other = world.chooser();
    other.resume(serde_json::from_str(&json).unwrap());
    learned.begin_text();
    for exit in 1..learned.layers {
        let [a, b] = [&learned, &other].map(|chooser| &chooser.estimates);
        let difference = a.acceptance(exit, learned.layers) - b.acceptance(exit, learned.layers);
        assert!(difference.abs() < 1e-9);
        assert!((a.evidence(exit) - b.evidence(exit)).abs() < 1e-9);
    }
    assert!(other.estimates.evidence(6) > 5.0);
    let mut smaller = Chooser::new(&random::small(), true);
    let before = smaller.estimates.clone();
    smaller.resume(serde_json::from_str(&json).unwrap());
    assert_eq!(smaller.estimates, before);
}
