//! Texts drawn at random, for models and machines of which none are recorded.

use super::*;

/// Texts of each kind.
const SEEDS: u64 = 20;
/// The head's share of the weights in the simulated models.
const HEAD: f64 = 0.2;
const PLACE: Place = Place {
    context: 100,
    draft_share: 0.2,
};

/// A machine, a model and a kind of text.
#[derive(Clone)]
pub struct World {
    machine: Machine,
    trained: bool,
    recommended: Option<(usize, usize)>,
    /// How often an exit at this part of the layers agrees, by the position in the text.
    agreement: fn(f64, usize) -> f64,
    /// The share of positions where the text repeats itself, and how often it then continues the same way.
    repeats: (f64, f64),
}

impl World {
    fn text(&self, tokens: usize, seed: u64) -> Text {
        let mut random = SplitMix64(seed);
        let mut uniform = move || (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        // Token ids are positions, and so never repeat.
        let ids: Vec<u32> = (0..tokens as u32).collect();
        let (mut ranks, mut chances, mut found) = (Vec::new(), Vec::new(), Vec::new());
        let layers = self.machine.layers;
        for at in 0..tokens {
            // Exits agree on easy tokens.
            let difficulty = uniform();
            let rank = |exit: usize| {
                let own = 0.7 * difficulty + 0.3 * uniform();
                let agrees = (self.agreement)(exit as f64 / layers as f64, at);
                match own < agrees {
                    true => 0,
                    false => 1 + (uniform().ln() / 0.6f64.ln()) as usize,
                }
            };
            // What the exit knows: the difficulty, but not its luck.
            let chance = |exit: usize| {
                let agrees = (self.agreement)(exit as f64 / layers as f64, at);
                let best = ((agrees - 0.7 * difficulty) / 0.3).clamp(0.02, 0.98);
                let of_rank = |rank: i32| (1.0 - best) * 0.4 * 0.6f64.powi(rank - 1);
                [best, of_rank(1), of_rank(2)].map(|p| p as f32)
            };
            chances.push((0..layers).map(chance).collect());
            ranks.push((0..layers).map(rank).collect());
            let repeats = uniform() < self.repeats.0;
            let (matched, right) = (2 + (8.0 * uniform()) as usize, uniform() < self.repeats.1);
            let continuation = ids[at..].iter().take(MAX_LOOKUP);
            let tokens = continuation.map(|&id| if right { id } else { u32::MAX });
            found.push(repeats.then(|| (matched, tokens.collect())));
        }
        Text {
            sampled: false,
            ids,
            ranks,
            chances,
            found,
        }
    }

    pub fn chooser(&self) -> Chooser {
        let layers = self.machine.layers;
        let config = LlamaConfig {
            num_layers: layers,
            ..random::small()
        };
        let mut chooser = Chooser::new(&config, self.machine.grows);
        chooser.work = Work {
            layers,
            layer: (1.0 - HEAD) / layers as f64 * 1e8,
            head: HEAD * 1e8,
            kv: 100.0,
            ..chooser.work
        };
        chooser.set_training(self.trained, self.recommended);
        chooser
    }

    pub fn answer(&self, chooser: &mut Chooser, tokens: usize, seed: u64) -> Speed {
        let simulation = Simulation {
            machine: &self.machine,
            text: &self.text(tokens, seed),
            looks_up: true,
        };
        simulation.answer(chooser, seed + 1000)
    }
}

pub fn worlds() -> Vec<World> {
    let machine = |name, layers: usize, rows| Machine {
        name,
        place: PLACE,
        layers,
        grows: false,
        layer: (1.0 - HEAD) / layers as f64,
        head: HEAD,
        draft_head: PLACE.draft_share * HEAD,
        overhead: 0.01,
        rows,
    };
    let cheap = &[(1, 1.0), (17, 1.5)][..];
    let moderate = &[(1, 1.0), (17, 2.6)][..];
    let expensive = &[(1, 1.0), (17, 4.5)][..];
    let base = World {
        machine: machine("tuned afterwards, cheap rows", 30, cheap),
        trained: true,
        recommended: Some((6, 1)),
        agreement: |depth, _| (0.3 + 0.55 * depth).min(0.95),
        repeats: (0.0, 0.0),
    };
    let fixed = [
        base.clone(),
        World {
            machine: machine("tuned afterwards, expensive rows", 30, expensive),
            ..base.clone()
        },
        World {
            machine: machine("not trained", 30, moderate),
            trained: false,
            recommended: None,
            agreement: |depth, _| (depth - 0.6).max(0.01),
            ..base.clone()
        },
        World {
            machine: machine("trained with the model", 32, cheap),
            recommended: None,
            agreement: |depth, _| (0.65 + 0.6 * depth).min(0.97),
            ..base.clone()
        },
        World {
            machine: machine("tuned, on a text that is hard for it", 30, moderate),
            agreement: |depth, _| 0.1 + 0.4 * depth,
            ..base.clone()
        },
        World {
            machine: machine("a text that repeats itself", 30, cheap),
            repeats: (0.5, 0.8),
            ..base.clone()
        },
        World {
            machine: machine("an easy text that becomes hard", 30, cheap),
            agreement: |depth, at| match at {
                ..150 => (0.6 + 0.6 * depth).min(0.97),
                _ => 0.05 + 0.3 * depth,
            },
            ..base
        },
    ];
    let growing = fixed.iter().cloned().map(|mut world| {
        world.machine.grows = true;
        world
    });
    growing.chain(fixed.iter().cloned()).collect()
}

#[test]
fn a_first_answer_is_not_slower_than_plain_decoding() {
    for world in worlds() {
        for tokens in [100, 300] {
            let answers = (0..SEEDS).map(|seed| world.answer(&mut world.chooser(), tokens, seed));
            let speeds = Speeds::of(answers);
            let name = world.machine.name;
            println!("{name}, {tokens} tokens: {speeds:.3?}");
            // A single text of so few tokens can be slower by chance: what is drafted is right or not.
            assert!(speeds.mean > 0.97, "{name}, {tokens} tokens: {speeds:?}");
            if !world.trained {
                assert!(speeds.min > 0.98, "{name}, {tokens} tokens: {speeds:?}");
            }
        }
    }
}

#[test]
fn later_answers_are_about_as_fast_as_the_best_pair() {
    for world in worlds() {
        let answers = (0..SEEDS).map(|seed| {
            let mut chooser = world.chooser();
            world.answer(&mut chooser, 300, 100 + seed);
            world.answer(&mut chooser, 200, seed)
        });
        let speeds = Speeds::of(answers);
        let name = world.machine.name;
        println!("{name}: {speeds:.3?}");
        assert!(speeds.mean > 0.97, "{name}: {speeds:?}");
        assert!(speeds.mean_of_best > 0.85, "{name}: {speeds:?}");
    }
}
