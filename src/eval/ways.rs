//! Compares ways to draft on the same prompts.

use super::run::{Interrupted, Measured};
use crate::engine::Result;
use crate::engine::decode::{
    Controller, Decoder, ProposerCounts, Proposers, Settings, Stats, Strategy,
};
use serde::{Deserialize, Serialize};

/// Speculations of lookup alone, which costs nothing before verification.
const LOOKUP_SPECULATIONS: usize = 8;
/// Min speculations of a cascade.
const CASCADE_SPECULATIONS: usize = 3;
/// Nodes of the tree.
const TREE: usize = 4;

/// A way to decode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Way {
    pub name: String,
    pub settings: Settings,
}

/// A prompt and the kind of its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub kind: String,
    pub ids: Vec<u32>,
}

/// Measurements of one way on all prompts of a kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WayResult {
    pub way: String,
    pub tokens: usize,
    /// Seconds of decoding, without prefill.
    pub seconds: f64,
    pub tokens_per_second: f64,
    /// Speed relative to plain decoding.
    pub speed_up: f64,
    pub acceptance_rate: Option<f64>,
    pub by_proposer: ProposerCounts,
    /// Whether every text equals that of plain decoding.
    pub same_text: bool,
}

/// All ways on one kind of prompts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KindResult {
    pub kind: String,
    pub prompts: usize,
    pub ways: Vec<WayResult>,
}

/// Plain decoding, then every proposer alone and both together, a tree, and the controller's choice.
pub fn ways(base: &Settings) -> Vec<Way> {
    let (exit_layer, k) = (base.exit_layer, base.num_speculations);
    let fixed = Settings {
        strategy: Strategy::SelfSpeculative,
        controller: Controller::Fixed,
        proposers: Proposers::Exit,
        tree: 0,
        ..base.clone()
    };
    let cascade = k.max(CASCADE_SPECULATIONS);
    let way = |name: String, settings: Settings| Way { name, settings };
    vec![
        way(
            "plain".into(),
            Settings {
                strategy: Strategy::Autoregressive,
                ..fixed.clone()
            },
        ),
        way(format!("exit E {exit_layer} K {k}"), fixed.clone()),
        way(
            format!("lookup K {LOOKUP_SPECULATIONS}"),
            Settings {
                proposers: Proposers::Lookup,
                num_speculations: LOOKUP_SPECULATIONS,
                ..fixed.clone()
            },
        ),
        way(
            format!("exit+lookup E {exit_layer} K {cascade}"),
            Settings {
                proposers: Proposers::ExitAndLookup,
                num_speculations: cascade,
                ..fixed.clone()
            },
        ),
        way(
            format!("tree of {TREE} E {exit_layer} K {k}"),
            Settings {
                tree: TREE,
                ..fixed.clone()
            },
        ),
        way(
            "auto".into(),
            Settings {
                controller: Controller::Auto,
                proposers: Proposers::Auto,
                ..fixed
            },
        ),
    ]
}

/// Answers every prompt in every way, `repeats` times, alternating between the ways on each prompt. `progress` gets the
/// number of finished answers and the total.
///
/// # Errors
/// [`Error::Cancelled`](crate::engine::Error::Cancelled) if interrupted, and any error of the engine.
pub fn compare(
    decoder: &mut Decoder,
    prompts: &[Asked],
    ways: &[Way],
    repeats: usize,
    interrupted: &Interrupted,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<KindResult>> {
    let total = prompts.len() * ways.len() * repeats;
    let (mut done, mut kinds) = (0, Vec::<Kind>::new());
    for repeat in 0..repeats {
        for (at, asked) in prompts.iter().enumerate() {
            let kind = match kinds.iter().position(|kind| kind.name == asked.kind) {
                Some(kind) => &mut kinds[kind],
                None => {
                    kinds.push(Kind::new(&asked.kind, ways.len()));
                    let last = kinds.len() - 1;
                    &mut kinds[last]
                }
            };
            kind.prompts += usize::from(repeat == 0);
            let mut texts = vec![Vec::new(); ways.len()];
            for turn in 0..ways.len() {
                // Rotates the order, since the previous run affects caches and clock.
                let way = (turn + at + repeat) % ways.len();
                let settings = &ways[way].settings;
                let measured = Measured::of(decoder, &asked.ids, settings, interrupted)?;
                kind.stats[way].merge(&measured.stats);
                texts[way] = measured.tokens;
                done += 1;
                progress(done, total);
            }
            for (same, text) in kind.same_text.iter_mut().zip(&texts) {
                *same &= *text == texts[0];
            }
        }
    }
    Ok(kinds.iter().map(|kind| kind.result(ways)).collect())
}

/// Sums for one kind of prompts, by way.
struct Kind {
    name: String,
    prompts: usize,
    stats: Vec<Stats>,
    same_text: Vec<bool>,
}

impl Kind {
    fn new(name: &str, ways: usize) -> Self {
        Self {
            name: name.into(),
            prompts: 0,
            stats: vec![Stats::default(); ways],
            same_text: vec![true; ways],
        }
    }

    fn result(&self, ways: &[Way]) -> KindResult {
        let plain = self.stats[0].tokens_per_second().unwrap_or(f64::NAN);
        let ways = ways.iter().enumerate().map(|(at, way)| {
            let stats = &self.stats[at];
            let speed = stats.tokens_per_second().unwrap_or(f64::NAN);
            WayResult {
                way: way.name.clone(),
                tokens: stats.tokens,
                seconds: stats.decode_seconds(),
                tokens_per_second: speed,
                speed_up: speed / plain,
                acceptance_rate: stats.acceptance_rate(),
                by_proposer: stats.by_proposer,
                same_text: self.same_text[at],
            }
        });
        KindResult {
            kind: self.name.clone(),
            prompts: self.prompts,
            ways: ways.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::config::LlamaConfig;
    use crate::engine::model::{self, random};
    use crate::engine::sampling::Sampling;
    use candle_core::{Device, quantized::GgmlDType};

    #[test]
    fn every_way_answers_every_prompt_with_the_same_text() {
        let config = LlamaConfig {
            context_length: 128,
            ..random::small()
        };
        let checkpoint = random::checkpoint(&config, GgmlDType::Q8_0, 1).unwrap();
        let model = model::load(&checkpoint, &Device::Cpu, Some(1), &mut |_| ()).unwrap();
        let mut decoder = Decoder::new(model, None, Vec::new());
        let base = Settings {
            exit_layer: 1,
            max_steps: 24,
            sampling: Sampling {
                sample: false,
                ..Sampling::default()
            },
            ..Settings::default()
        };
        let asked = |kind: &str, ids: &[u32]| Asked {
            kind: kind.into(),
            ids: ids.to_vec(),
        };
        let prompts = [
            asked("a", &[5, 6]),
            asked("b", &[7, 8, 7, 8]),
            asked("a", &[9]),
        ];
        let ways = ways(&base);
        let mut last = (0, 0);
        let results = compare(
            &mut decoder,
            &prompts,
            &ways,
            2,
            &|| false,
            &mut |done, of| {
                last = (done, of);
            },
        )
        .unwrap();
        assert_eq!(last, (36, 36));
        let kinds: Vec<(&str, usize)> = results
            .iter()
            .map(|kind| (kind.kind.as_str(), kind.prompts))
            .collect();
        assert_eq!(kinds, [("a", 2), ("b", 1)]);
        for kind in &results {
            for way in &kind.ways {
                assert!(way.same_text, "{way:?}");
                assert_eq!(way.tokens, 24 * 2 * kind.prompts);
                assert!(way.speed_up > 0.0);
            }
            assert_eq!(kind.ways[0].speed_up, 1.0);
            assert_eq!(kind.ways[0].acceptance_rate, None);
        }
    }
}
