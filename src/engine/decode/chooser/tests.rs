//! The chooser on simulated texts, against plain decoding and every fixed pair on the same text. Times that it observes are
//! noisy; speeds are compared by the true ones.

use super::*;
use crate::engine::decode::{
    ClosingToken, DraftToken, Origin, Parent, RoundTokens, Settings, Strategy,
};
use crate::engine::model::random;
use crate::engine::splitmix::SplitMix64;
use std::sync::Arc;

/// Texts of each kind.
const SEEDS: u64 = 8;

/// A machine, a model and a kind of text.
#[derive(Clone)]
struct World {
    name: &'static str,
    layers: usize,
    trained: bool,
    recommended: Option<(usize, usize)>,
    /// How often an exit at this part of the layers agrees, by the position in the text.
    agreement: fn(f64, usize) -> f64,
    /// The share of positions where the text repeats itself, and how often it then continues the same way.
    repeats: (f64, f64),
    /// The cost of each further row.
    row: f64,
    /// How much a draft pass costs beyond its layers and head.
    draft_overhead: f64,
}

const PLACE: Place = Place {
    context: 100,
    draft_share: 0.2,
};
/// The head's share of the weights in the simulated models.
const HEAD: f64 = 0.2;

impl World {
    fn config(&self) -> LlamaConfig {
        LlamaConfig {
            num_layers: self.layers,
            ..random::small()
        }
    }

    fn layers(&self, layers: usize, rows: usize) -> f64 {
        let share = layers as f64 / self.layers as f64;
        (1.0 - HEAD) * share * (1.0 + self.row * (rows - 1) as f64)
    }

    fn head(&self, rows: usize) -> f64 {
        HEAD * (1.0 + self.row * (rows - 1) as f64)
    }

    /// Draft and verify seconds.
    fn seconds(&self, job: Job<'_>) -> (f64, f64) {
        match job {
            Job::Plain => (0.0, 1.0),
            Job::Lookup { nodes } => (
                0.0,
                self.layers(self.layers, nodes + 1) + self.head(nodes + 1),
            ),
            Job::Exit {
                exit,
                passes,
                nodes,
            } => {
                let pass = |&rows: &usize| {
                    self.draft_overhead
                        + self.layers(exit, rows)
                        + PLACE.draft_share * self.head(rows)
                };
                let leaves = nodes + 1 - passes.iter().sum::<usize>();
                let early = if leaves > 0 {
                    self.layers(exit, leaves)
                } else {
                    0.0
                };
                let late = self.layers(self.layers - exit, nodes + 1) + self.head(nodes + 1);
                (passes.iter().map(pass).sum(), early + late)
            }
        }
    }
}

/// A text: at each position, the rank of the next token at each exit, and what lookup would find there.
struct Text {
    ranks: Vec<Vec<usize>>,
    matched: Vec<Option<(usize, bool)>>,
}

fn text(world: &World, tokens: usize, seed: u64) -> Text {
    let mut random = SplitMix64(seed);
    let mut uniform = move || (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    let mut text = Text {
        ranks: Vec::new(),
        matched: Vec::new(),
    };
    for at in 0..tokens {
        // Exits agree on easy tokens.
        let difficulty = uniform();
        let ranks = (0..world.layers).map(|exit| {
            let own = 0.7 * difficulty + 0.3 * uniform();
            let agrees = (world.agreement)(exit as f64 / world.layers as f64, at);
            match own < agrees {
                true => 0,
                false => 1 + (uniform().ln() / 0.6f64.ln()) as usize,
            }
        });
        text.ranks.push(ranks.collect());
        let found = uniform() < world.repeats.0;
        text.matched
            .push(found.then(|| (2 + (8.0 * uniform()) as usize, uniform() < world.repeats.1)));
    }
    text
}

/// Decodes the text and returns the true seconds. `chooser` observes noisy ones.
fn play(world: &World, text: &Text, chooser: &mut Chooser, seed: u64) -> f64 {
    let mut random = SplitMix64(seed);
    let mut uniform = move || (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    let (mut at, mut total) = (0, 0.0);
    while at < text.ranks.len() {
        let matched = text.matched[at].map(|(length, _)| length);
        let situation = Situation {
            place: PLACE,
            exits: true,
            matched,
        };
        let probed = chooser.probe(true, PLACE);
        let (base, action) = chooser.choose(&situation);
        let mut settings = Settings {
            strategy: Strategy::SelfSpeculative,
            ..Settings::default()
        };
        if let Base::Exit {
            exit_layer,
            speculations,
            tree,
        } = base
        {
            settings.exit_layer = exit_layer;
            settings.num_speculations = speculations;
            settings.tree = tree;
        }
        let (tokens, seconds) = round_at(world, text, at, &settings, action);
        let kept = tokens.accepted + usize::from(tokens.closing.is_some());
        let mut round = Round::new(0, at, Arc::new(settings), tokens);
        let mut noise = || {
            let busy = if uniform() < 0.03 { 3.0 } else { 1.0 };
            busy * (0.15 * (uniform() - 0.5)).exp()
        };
        (round.draft_seconds, round.verify_seconds) = (seconds.0 * noise(), seconds.1 * noise());
        total += seconds.0 + seconds.1;
        // Lookup predicts the next tokens, or something else.
        let predicted: Vec<u32> = (at..text.ranks.len().min(at + MAX_LOOKUP))
            .map(|position| match text.matched[at] {
                Some((_, true)) => position as u32,
                _ => u32::MAX,
            })
            .collect();
        let predicted = matched.map(|length| (length, &predicted[..]));
        chooser.learn(&round, PLACE, predicted);
        let end = (at + kept).min(text.ranks.len());
        if let Some(exit) = probed {
            let agreed = (at..end).filter(|&position| text.ranks[position][exit] == 0);
            chooser.estimates.first(exit, agreed.count(), end - at);
            total += PLACE.draft_share * HEAD * (end - at) as f64;
        }
        at = end;
    }
    total
}

/// The tokens and true seconds of a round. Token ids are positions of the text.
fn round_at(
    world: &World,
    text: &Text,
    at: usize,
    settings: &Settings,
    action: Action,
) -> (RoundTokens, (f64, f64)) {
    let closing = |position: usize| {
        let left = position < text.ranks.len();
        left.then(|| ClosingToken::new(position as u32, "", Origin::Bonus, 0.5))
    };
    let drafted = |node: usize, parent: Option<usize>, rank: usize, proposer| DraftToken {
        parent: Parent::of(node, parent),
        rank,
        proposer,
        ..DraftToken::new(u32::MAX, "", 0.5)
    };
    match action {
        Action::Step => (
            RoundTokens::chain(Vec::new(), 0, closing(at)),
            world.seconds(Job::Plain),
        ),
        Action::Lookup(length) => {
            let right = matches!(text.matched[at], Some((_, true)));
            let accepted = if right {
                length.min(text.ranks.len() - at)
            } else {
                0
            };
            let mut nodes: Vec<DraftToken> = (0..length)
                .map(|node| drafted(node, node.checked_sub(1), 0, Proposer::Lookup))
                .collect();
            for (node, token) in nodes.iter_mut().take(accepted).enumerate() {
                token.id = (at + node) as u32;
            }
            (
                RoundTokens::chain(nodes, accepted, closing(at + accepted)),
                world.seconds(Job::Lookup { nodes: length }),
            )
        }
        Action::Exit => {
            let form = Form::new(settings.num_speculations, settings.tree);
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
            while reached && at + path.len() < text.ranks.len() {
                let rank = text.ranks[at + path.len()][settings.exit_layer];
                reached = rank < form.shape.children(row);
                if reached {
                    row = form.shape.child(row, rank);
                    nodes[row - 1].id = (at + path.len()) as u32;
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
            (tokens, world.seconds(job))
        }
    }
}

/// The true seconds of the text with a fixed pair.
fn fixed(world: &World, text: &Text, exit_layer: usize, num_speculations: usize) -> f64 {
    let settings = Settings {
        exit_layer,
        num_speculations,
        ..Settings::default()
    };
    let (mut at, mut total) = (0, 0.0);
    while at < text.ranks.len() {
        let (tokens, seconds) = round_at(world, text, at, &settings, Action::Exit);
        at += tokens.accepted + 1;
        total += seconds.0 + seconds.1;
    }
    total
}

fn chooser(world: &World) -> Chooser {
    let mut chooser = Chooser::new(&world.config());
    chooser.work = Work {
        layers: world.layers,
        layer: (1.0 - HEAD) / world.layers as f64 * 1e8,
        head: HEAD * 1e8,
        kv: 100.0,
        ..chooser.work
    };
    chooser.know(world.trained, world.recommended);
    chooser
}

fn worlds() -> Vec<World> {
    let base = World {
        name: "trained on a small corpus, cheap rows",
        layers: 30,
        trained: true,
        recommended: Some((6, 1)),
        agreement: |depth, _| (0.3 + 0.55 * depth).min(0.95),
        repeats: (0.0, 0.0),
        row: 0.03,
        draft_overhead: 0.01,
    };
    vec![
        base.clone(),
        World {
            name: "the same, expensive rows",
            row: 0.22,
            ..base.clone()
        },
        World {
            name: "not trained",
            trained: false,
            recommended: None,
            agreement: |depth, _| (depth - 0.6).max(0.01),
            row: 0.1,
            ..base.clone()
        },
        World {
            name: "trained with the model",
            layers: 32,
            recommended: None,
            agreement: |depth, _| (0.65 + 0.6 * depth).min(0.97),
            ..base.clone()
        },
        World {
            name: "trained, on a text that is hard for it",
            agreement: |depth, _| 0.1 + 0.4 * depth,
            row: 0.1,
            ..base.clone()
        },
        World {
            name: "a text that repeats itself",
            repeats: (0.5, 0.8),
            ..base.clone()
        },
        World {
            name: "an easy text that becomes hard",
            agreement: |depth, at| match at {
                ..150 => (0.6 + 0.6 * depth).min(0.97),
                _ => 0.05 + 0.3 * depth,
            },
            ..base
        },
    ]
}

/// The speed of an answer relative to plain decoding, and to the better of plain and the best fixed pair.
fn answer(world: &World, chooser: &mut Chooser, tokens: usize, seed: u64) -> (f64, f64) {
    let text = text(world, tokens, seed);
    let plain = tokens as f64;
    let pairs = (1..world.layers).flat_map(|exit| (1..=8).map(move |k| (exit, k)));
    let best = pairs
        .map(|(exit, k)| fixed(world, &text, exit, k))
        .fold(plain, f64::min);
    let chosen = play(world, &text, chooser, seed + 1000);
    (plain / chosen, best / chosen)
}

/// What answers to several texts amount to.
#[derive(Debug)]
struct Speeds {
    /// Relative to plain decoding.
    mean: f64,
    least: f64,
    /// Mean relative to the better of plain decoding and the fixed pair that turned out best.
    of_best: f64,
}

impl Speeds {
    fn of(answers: impl Iterator<Item = (f64, f64)>) -> Self {
        let answers: Vec<(f64, f64)> = answers.collect();
        let mean =
            |of: fn(&(f64, f64)) -> f64| answers.iter().map(of).sum::<f64>() / answers.len() as f64;
        Self {
            mean: mean(|speed| speed.0),
            least: answers.iter().map(|speed| speed.0).fold(f64::MAX, f64::min),
            of_best: mean(|speed| speed.1),
        }
    }
}

#[test]
fn a_first_answer_is_not_slower_than_plain_decoding() {
    for world in worlds() {
        for tokens in [100, 300] {
            let answers = (0..SEEDS).map(|seed| answer(&world, &mut chooser(&world), tokens, seed));
            let speeds = Speeds::of(answers);
            let name = world.name;
            assert!(speeds.mean > 0.97, "{name}, {tokens} tokens: {speeds:?}");
            assert!(speeds.least > 0.94, "{name}, {tokens} tokens: {speeds:?}");
            if !world.trained {
                assert!(speeds.least > 0.98, "{name}, {tokens} tokens: {speeds:?}");
            }
        }
    }
}

#[test]
fn later_answers_are_about_as_fast_as_the_best_pair() {
    let mut sum = 0.0;
    for world in worlds() {
        let answers = (0..SEEDS).map(|seed| {
            let mut chooser = chooser(&world);
            answer(&world, &mut chooser, 300, 100 + seed);
            answer(&world, &mut chooser, 200, seed)
        });
        let speeds = Speeds::of(answers);
        let name = world.name;
        assert!(
            speeds.mean > 0.97 && speeds.least > 0.93,
            "{name}: {speeds:?}"
        );
        assert!(speeds.of_best > 0.85, "{name}: {speeds:?}");
        // Lookup makes it faster than any pair; what that gains does not count for the others.
        sum += speeds.of_best.min(1.0);
    }
    assert!(sum / worlds().len() as f64 > 0.95);
}

/// A stored file restores what was learned, for this model only.
#[test]
fn estimates_are_stored_and_checked() {
    let world = &worlds()[0];
    let mut learned = chooser(world);
    answer(world, &mut learned, 300, 1);
    let json = serde_json::to_string(&learned.estimates).unwrap();
    let mut other = chooser(world);
    other.resume(serde_json::from_str(&json).unwrap());
    let (aged, restored) = (learned.estimates.aged(world.layers), &other.estimates);
    for exit in 1..world.layers {
        let difference =
            aged.acceptance(exit, world.layers) - restored.acceptance(exit, world.layers);
        assert!(difference.abs() < 1e-9);
        assert!((aged.evidence(exit) - restored.evidence(exit)).abs() < 1e-9);
    }
    assert!(restored.evidence(6) > 5.0);
    let mut smaller = Chooser::new(&random::small());
    let before = smaller.estimates.clone();
    smaller.resume(serde_json::from_str(&json).unwrap());
    assert_eq!(smaller.estimates, before);
}
