//! Recorded answers of the bundled model to built-in prompts: at each position, the rank of the next token in the order in
//! which each exit would draft, and the probabilities of the first two. An exit's prediction depends on the tokens before it
//! only, so ranks determine what every chain and tree would have gained.

use super::{Chooser, MAX_LOOKUP, Machine, Simulation, Speeds, Text};
use crate::engine::config::LlamaConfig;
use crate::engine::decode::growth::MAX_SIBLINGS;
use crate::engine::decode::lookup::{LookupIndex, continued};
use crate::engine::decode::{Decoder, Session, Settings, Strategy};
use crate::engine::loaded_model::{LoadedModel, ModelRequest};
use crate::engine::model::{Readout, Row, random};
use crate::engine::prompt::{Message, Prompt, Role};
use crate::engine::sampling::{Distribution, Sampler};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Simulated runs of each answer.
const SEEDS: u64 = 5;
/// Ranks that are recorded.
const RANKS: usize = 8;
/// Tokens of an answer.
const TOKENS: usize = 200;
/// Positions computed at once.
const CHUNK: usize = 16;

/// One answer.
#[derive(Serialize, Deserialize)]
struct Recorded {
    kind: String,
    temperature: f64,
    layers: usize,
    prompt: Vec<u32>,
    answer: Vec<u32>,
    exits: Vec<usize>,
    /// One digit for each exit of each position; `.` where the token is not among the first.
    ranks: String,
    /// Two letters for each exit of each position: the draft probabilities of the first two tokens, as [`letter`] writes
    /// them.
    chances: String,
}

/// A probability as one of 26 letters, finer for small ones.
fn letter(p: f32) -> char {
    char::from(b'a' + (25.0 * p.sqrt()).round() as u8)
}

/// The inverse of [`letter`], as far as there is one.
fn chance(letter: u8) -> f32 {
    (f32::from(letter - b'a') / 25.0).powi(2)
}

impl Recorded {
    fn text(&self) -> Text {
        let whole: Vec<u32> = self.prompt.iter().chain(&self.answer).copied().collect();
        let (mut index, mut found) = (LookupIndex::default(), Vec::new());
        let lookups = (self.prompt.len()..whole.len()).map(|at| {
            let before = &whole[..at];
            index.extend(before);
            index.continuations(before, &mut found);
            let best = found.first()?;
            let tokens = continued(before, best.start).take(MAX_LOOKUP);
            Some((best.matched, tokens.collect()))
        });
        Text {
            sampled: self.temperature > 0.0,
            found: lookups.collect(),
            chances: (0..self.answer.len()).map(|at| self.chances(at)).collect(),
            ranks: (0..self.answer.len()).map(|at| self.ranks(at)).collect(),
            ids: self.answer.clone(),
        }
    }

    /// The rank of the token at index `at` of the answer, by layer; large if it is unknown.
    fn ranks(&self, at: usize) -> Vec<usize> {
        let digits = &self.ranks.as_bytes()[at * self.exits.len()..][..self.exits.len()];
        let mut ranks = vec![usize::MAX; self.layers];
        for (&exit, digit) in self.exits.iter().zip(digits) {
            if digit.is_ascii_digit() {
                ranks[exit] = usize::from(digit - b'0');
            }
        }
        ranks
    }
}

impl Recorded {
    /// The probabilities of the draft's best tokens at index `at` of the answer, by layer.
    fn chances(&self, at: usize) -> Vec<[f32; MAX_SIBLINGS]> {
        let width = 2 * self.exits.len();
        let letters = &self.chances.as_bytes()[at * width..][..width];
        let mut chances = vec![[0.0; MAX_SIBLINGS]; self.layers];
        for (&exit, pair) in self.exits.iter().zip(letters.chunks_exact(2)) {
            let (best, second) = (chance(pair[0]), chance(pair[1]));
            // The third is not recorded.
            let third = (0.3 * (1.0 - best - second)).clamp(0.0, second);
            chances[exit] = [best, second, third];
        }
        chances
    }
}

fn answers() -> Vec<Text> {
    let lines = include_str!("answers.jsonl").lines();
    lines
        .map(|line| serde_json::from_str::<Recorded>(line).unwrap().text())
        .collect()
}

/// A chooser for the bundled model.
fn chooser(grows: bool) -> Chooser {
    let config = LlamaConfig {
        vocab_size: 49152,
        hidden_size: 576,
        intermediate_size: 1536,
        num_layers: 30,
        num_heads: 9,
        num_kv_heads: 3,
        head_dim: 64,
        ..random::small()
    };
    let mut chooser = Chooser::new(&config, grows);
    chooser.set_training(true, Some((6, 1)));
    chooser
}

fn machines() -> [Machine; 3] {
    [
        Machine::bundled("VNNI", &[(1, 1.0), (2, 1.0), (4, 1.1), (8, 1.8), (16, 3.3)]),
        Machine::bundled("AVX2", &[(1, 1.0), (2, 1.1), (4, 1.6), (8, 2.8), (16, 5.4)]),
        Machine {
            grows: false,
            ..Machine::bundled("GPU", &[(1, 1.0), (16, 1.15)])
        },
    ]
}

/// The speeds of all recorded answers, each after others that were answered before it.
fn speeds(machine: &Machine, looks_up: bool, before: usize) -> Speeds {
    let texts = answers();
    let simulation = |text| Simulation {
        machine,
        text,
        looks_up,
    };
    Speeds::of((0..texts.len()).flat_map(|at| {
        let texts = &texts;
        (0..SEEDS).map(move |seed| {
            let mut chooser = chooser(machine.grows);
            for earlier in 1..=before {
                let other = &texts[(at + 5 * earlier + seed as usize) % texts.len()];
                simulation(other).play(&mut chooser, seed + 100 * earlier as u64);
            }
            simulation(&texts[at]).answer(&mut chooser, seed)
        })
    }))
}

/// With all proposers, as the program decodes by default, on three machines, at first and after other answers: no answer is
/// below 0.97 of plain decoding, and at least nine of ten are within 5 % of the better of plain and the best pair.
#[test]
fn recorded_answers_are_about_as_fast_as_the_best_pair() {
    for machine in machines() {
        for before in [0, 3] {
            let speeds = speeds(&machine, true, before);
            println!("{}, after {before}: {speeds:.3?}", machine.name);
            assert!(
                speeds.min >= 0.97,
                "{}, after {before}: {speeds:?}",
                machine.name
            );
            assert!(
                speeds.close >= 0.9,
                "{}, after {before}: {speeds:?}",
                machine.name
            );
        }
    }
}

/// With early exit alone. The best pair is known in hindsight only: the one that is best for all texts, E 6 K 1, is itself 5 %
/// slower on average than the luckiest of seventy on each, and so is the chooser when it observes exact times.
#[test]
fn recorded_answers_without_lookup_lose_little() {
    for machine in machines() {
        for before in [0, 3] {
            let speeds = speeds(&machine, false, before);
            println!("{}, after {before}: {speeds:.3?}", machine.name);
            assert!(
                speeds.mean > 1.05,
                "{}, after {before}: {speeds:?}",
                machine.name
            );
            assert!(
                speeds.mean_of_best > 0.92,
                "{}, after {before}: {speeds:?}",
                machine.name
            );
        }
    }
}

/// Drafts that grow by confidence are faster on average than the best fixed shapes.
#[test]
fn growing_drafts_are_faster_than_fixed_shapes() {
    for machine in machines().into_iter().filter(|machine| machine.grows) {
        let fixed = Machine {
            grows: false,
            ..machine.clone()
        };
        let [grown, fixed] = [&machine, &fixed].map(|machine| speeds(machine, false, 3));
        println!("{}: grown {grown:.3?}, fixed {fixed:.3?}", machine.name);
        assert!(
            grown.mean > fixed.mean,
            "{}: {grown:?}, {fixed:?}",
            machine.name
        );
    }
}

/// Records answers of a model to prompts: `SKIPLENS_RECORD=OUT cargo test --lib record_answers -- --ignored`.
/// `SKIPLENS_PROMPTS` names a file with a JSON array `[kind, text]` in each line, `SKIPLENS_MODEL` another model.
#[test]
#[ignore = "writes the file that the other tests read"]
fn record_answers() {
    let out = std::env::var("SKIPLENS_RECORD").unwrap();
    let prompts = std::fs::read_to_string(std::env::var("SKIPLENS_PROMPTS").unwrap()).unwrap();
    let request = ModelRequest {
        model: std::env::var("SKIPLENS_MODEL").ok(),
        ..ModelRequest::default()
    };
    let mut loaded = LoadedModel::load(&request, &mut |_, _| {}).unwrap();
    let mut lines = String::new();
    for (at, line) in prompts.lines().enumerate() {
        let (kind, content): (String, String) = serde_json::from_str(line).unwrap();
        let message = Message {
            role: Role::User,
            content,
        };
        let prompt = loaded.encode(&Prompt::Chat(vec![message])).unwrap();
        let mut settings = Settings {
            strategy: Strategy::Autoregressive,
            max_steps: TOKENS,
            draft_vocab: 4096,
            ..Settings::default()
        };
        // Every fourth answer is sampled with the defaults of the playground.
        settings.sampling.sample = at % 4 == 3;
        settings.sampling.seed = at as u64;
        let recorded = record(&mut loaded.decoder, &kind, &prompt, &settings);
        if recorded.answer.len() >= 100 {
            lines.push_str(&serde_json::to_string(&recorded).unwrap());
            lines.push('\n');
        }
        eprintln!("{at} {kind} {}", recorded.answer.len());
    }
    std::fs::write(out, lines).unwrap();
}

fn record(decoder: &mut Decoder, kind: &str, prompt: &[u32], settings: &Settings) -> Recorded {
    let config = decoder.model().config().clone();
    let mut session = decoder.session().unwrap();
    decoder
        .run_to_end(&mut session, prompt, settings.clone(), &mut ())
        .unwrap();
    let whole = session.tokens().to_vec();
    let answer = whole[prompt.len()..].to_vec();
    session.forget_from(prompt.len() - 1);
    let exits = Chooser::new(&config, true).exits;
    let mut digits = vec![Vec::new(); exits.len()];
    let mut letters = vec![Vec::new(); exits.len()];
    for start in (prompt.len()..whole.len()).step_by(CHUNK) {
        let chunk = start..whole.len().min(start + CHUNK);
        let read = (&mut digits[..], &mut letters[..]);
        ranks(decoder, &mut session, chunk, &exits, settings, read);
    }
    let ranks = (0..answer.len()).flat_map(|at| digits.iter().map(move |exit| exit[at]));
    let chances = (0..answer.len()).flat_map(|at| letters.iter().flat_map(move |exit| exit[at]));
    Recorded {
        kind: kind.into(),
        temperature: match settings.sampling.sample {
            true => settings.sampling.temperature.into(),
            false => 0.0,
        },
        layers: config.num_layers,
        prompt: prompt.to_vec(),
        ranks: ranks.collect(),
        chances: chances.collect(),
        exits,
        answer,
    }
}

/// Records rank digits and probability letters of every exit at the positions of `chunk`.
fn ranks(
    decoder: &mut Decoder,
    session: &mut Session,
    chunk: Range<usize>,
    exits: &[usize],
    settings: &Settings,
    (digits, letters): (&mut [Vec<char>], &mut [Vec<[char; 2]>]),
) {
    let before = chunk.start - 1..chunk.end - 1;
    let mut rows: Vec<Row> = Row::chain(&session.tokens()[before.clone()], before.start).collect();
    let slots: Vec<usize> = before.clone().collect();
    let order = decoder.model().draft_order();
    let vocab = session.draft_vocab(order, settings.draft_vocab).unwrap();
    let (mut logits, mut draft) = (Vec::new(), Distribution::default());
    let layers = decoder.model().config().num_layers;
    let mut best = Vec::new();
    for ((exit, digits), letters) in exits.iter().zip(digits).zip(letters) {
        session.sequence.forward(&rows, *exit).unwrap();
        rows.iter_mut().for_each(|row| row.depth = *exit);
        let readout = Readout {
            slots: &slots,
            depth: *exit,
            vocab: settings.draft_vocab,
            probed: false,
        };
        session.sequence.logits(&readout, &mut logits).unwrap();
        let width = logits.len() / slots.len();
        for (position, logits) in chunk.clone().zip(logits.chunks_exact_mut(width)) {
            session.hide_later_tokens(position, logits);
            let ids = vocab.as_ref().map(|vocab| vocab.ids.as_slice());
            let sampling = &settings.sampling;
            session.history.penalise_at(position, logits, ids, sampling);
            draft.fill(logits, vocab.as_ref(), sampling).unwrap();
            let sampler = Sampler { sampling, position };
            let rank = sampler.rank(session.tokens()[position], &draft, RANKS);
            digits.push(rank.map_or('.', |rank| char::from(b'0' + rank as u8)));
            sampler.siblings(&draft, 2, &mut best);
            let chance = |rank| best.get(rank).map_or(0.0, |id| draft.probability(*id));
            letters.push([0, 1].map(|rank| letter(chance(rank))));
        }
    }
    session.sequence.forward(&rows, layers).unwrap();
    session.commit(layers, before.end);
}
