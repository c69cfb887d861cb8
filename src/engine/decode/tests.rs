//! Exactness on small random models: with any strategy, exit layer, number of speculations and prefill chunk, even if
//! they change during a run, the tokens are the same as in autoregressive decoding.

mod adapters;
mod cancelling;
mod drafts;
mod planned;
mod rejection;
mod scores;
mod stops;

use super::growth::Drawn;
use super::*;
use crate::engine::config::{LlamaConfig, RopeScaling};
use crate::engine::model::{self, random};
use crate::engine::sampling::{Coupling, Sampling};
use candle_core::Device;
use candle_core::quantized::GgmlDType;
use proptest::prelude::{
    Just, ProptestConfig, Strategy as Generate, any, prop, prop_assert_eq, prop_oneof, proptest,
};
use std::sync::Arc;

const VOCAB: usize = 61;

fn config(
    layers: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    tied: bool,
) -> LlamaConfig {
    LlamaConfig {
        vocab_size: VOCAB,
        hidden_size: heads * head_dim,
        intermediate_size: 96,
        num_layers: layers,
        num_heads: heads,
        num_kv_heads: kv_heads,
        head_dim,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        context_length: 96,
        tie_word_embeddings: tied,
    }
}

fn decoder(config: LlamaConfig, dtype: GgmlDType, seed: u64) -> Decoder {
    let checkpoint = random::checkpoint(&config, dtype, seed).unwrap();
    let model = model::load(&checkpoint, &Device::Cpu, Some(1), &mut |_| {}).unwrap();
    Decoder::new(model, None, vec![2])
}

fn shapes() -> impl Generate<Value = (LlamaConfig, GgmlDType)> {
    prop_oneof![
        Just((config(4, 4, 2, 16, true), GgmlDType::F32)),
        Just((config(3, 3, 1, 32, true), GgmlDType::Q8_0)),
        Just((config(5, 2, 2, 32, false), GgmlDType::Q4_0)),
        Just((config(3, 4, 1, 8, false), GgmlDType::F16)),
        Just((config(4, 6, 3, 16, false), GgmlDType::Q4_1)),
        Just((config(3, 5, 5, 2, true), GgmlDType::BF16)),
    ]
}

fn sampling() -> impl Generate<Value = Sampling> {
    (
        any::<bool>(),
        any::<u64>(),
        0.3f32..2.0,
        0usize..9,
        0.5f32..=1.0,
        0f32..0.2,
        1f32..1.5,
        0usize..4,
    )
        .prop_map(
            |(
                sample,
                seed,
                temperature,
                top_k,
                top_p,
                min_p,
                repetition_penalty,
                no_repeat_ngram,
            )| Sampling {
                sample,
                seed,
                temperature,
                top_k,
                top_p,
                min_p,
                repetition_penalty,
                no_repeat_ngram,
                coupling: Coupling::SharedNoise,
            },
        )
}

/// Teaches `auto` that exit 1, with and without its adapter, is nearly always accepted, so that it drafts there, and whether
/// drafts of the given ranks and probabilities were accepted.
fn teach(decoder: &mut Decoder, outcomes: &[(usize, f32, bool)]) {
    decoder.set_exits(true, Some((1, 1)));
    decoder.set_adapted_exits(Some((1, 1)));
    let choosers = [Some(&mut decoder.chooser), decoder.adapted_chooser.as_mut()];
    for estimates in choosers
        .into_iter()
        .flatten()
        .map(|chooser| &mut chooser.estimates)
    {
        (0..200).for_each(|_| estimates.first(1, 1, 1));
        for &(rank, p, hit) in outcomes {
            for drawn in [Drawn::Greedily, Drawn::WithSharedNoise, Drawn::ForRejection] {
                (0..100).for_each(|_| estimates.confidence(drawn, rank, p, hit));
            }
        }
    }
}

/// All rounds of one run; `change` may alter the settings before each round.
fn rounds(
    decoder: &mut Decoder,
    prompt: &[u32],
    settings: &Settings,
    mut change: impl FnMut(usize, &mut Settings),
) -> Vec<Round> {
    let mut session = decoder.session().unwrap();
    let mut settings = settings.clone();
    let mut run = decoder
        .begin(&mut session, prompt, &settings, &mut ())
        .unwrap();
    let mut rounds = Vec::new();
    while run.stop().is_none() {
        change(rounds.len(), &mut settings);
        let settings = Arc::new(settings.clone());
        rounds.push(
            decoder
                .round(&mut session, &mut run, &settings, &mut ())
                .unwrap(),
        );
    }
    assert_eq!(
        run.stats(),
        &Stats {
            prefill_seconds: run.stats().prefill_seconds,
            prefill_tokens: prompt.len() - 1,
            ..Stats::of(&rounds)
        }
    );
    assert_eq!(session.tokens()[prompt.len()..], tokens(&rounds));
    rounds
}

fn tokens(rounds: &[Round]) -> Vec<u32> {
    rounds
        .iter()
        .flat_map(|round| round.kept().map(|token| token.id))
        .collect()
}

fn autoregressive(settings: &Settings) -> Settings {
    Settings {
        strategy: Strategy::Autoregressive,
        ..settings.clone()
    }
}

fn check_record(rounds: &[Round]) {
    for (index, round) in rounds.iter().enumerate() {
        assert_eq!(round.index, index);
        assert_eq!(round.drafted().len(), round.accepted() + round.rejected());
        let Settings {
            num_speculations,
            tree,
            proposers,
            ..
        } = *round.settings;
        assert!(round.drafted().len() <= if tree == 0 { num_speculations } else { tree });
        assert_eq!(round.tokens().check(), Ok(()));
        for (node, token) in round.drafted().iter().enumerate() {
            assert!(round.depth(node) < num_speculations);
            let known = match token.proposer {
                Proposer::EarlyExit | Proposer::Adapter => {
                    proposers.exits() && token.p_draft.is_some_and(|p| (0.0..=1.0).contains(&p))
                }
                Proposer::Lookup => proposers.looks_up() && token.p_draft.is_none(),
            };
            assert!(known, "{token:?}");
            let siblings = |other: &usize| round.parent(*other) == round.parent(node);
            let siblings: Vec<&DraftToken> = (0..round.drafted().len())
                .filter(siblings)
                .map(|other| &round.drafted()[other])
                .collect();
            let same = |of: fn(&DraftToken) -> usize, value: usize| {
                siblings.iter().filter(|other| of(other) == value).count()
            };
            assert_eq!(same(|token| token.id as usize, token.id as usize), 1);
            assert_eq!(same(|token| token.rank, token.rank), 1);
            assert!(token.rank < siblings.len());
        }
        assert!(!round.is_empty());
        assert_eq!(round.stop.is_some(), index + 1 == rounds.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_strategy_gives_the_autoregressive_tokens(
        (config, dtype) in shapes(),
        model_seed in 0u64..4,
        sampling in sampling(),
        prompt in prop::collection::vec(3u32..VOCAB as u32, 1..40),
        chunk in 1usize..40,
        moves in prop::collection::vec((1usize..5, 1usize..9, any::<bool>(), 0usize..70), 1..6),
        drafts in prop::collection::vec((0usize..4, 0usize..12), 1..4),
        max_steps in 1usize..50,
    ) {
        let layers = config.num_layers;
        let mut decoder = decoder(config, dtype, model_seed);
        let settings = Settings { sampling, max_steps, exit_layer: 1, ..Settings::default() };
        let want = rounds(&mut decoder, &prompt, &autoregressive(&settings), |_, _| {});
        check_record(&want);
        decoder.set_prefill_chunk(chunk);
        let got = rounds(&mut decoder, &prompt, &settings, |round, settings| {
            let (exit, speculations, reuse, vocab) = moves[round % moves.len()];
            settings.exit_layer = exit.min(layers - 1);
            settings.num_speculations = speculations;
            settings.kvq_reuse = reuse;
            settings.draft_vocab = vocab;
            let (proposers, tree) = drafts[round % drafts.len()];
            settings.proposers = Proposers::ALL[proposers];
            settings.tree = tree;
            settings.strategy = if vocab % 5 == 1 { Strategy::Autoregressive } else { Strategy::SelfSpeculative };
            settings.detail = vocab % 3 == 0;
        });
        check_record(&got);
        prop_assert_eq!(tokens(&got), tokens(&want));
        prop_assert_eq!(got.last().map(|round| &round.stop), want.last().map(|round| &round.stop));
    }

    #[test]
    fn a_second_turn_gives_what_a_fresh_session_gives(
        (config, dtype) in shapes(),
        sampling in sampling(),
        prompt in prop::collection::vec(3u32..VOCAB as u32, 1..20),
        second in prop::collection::vec(3u32..VOCAB as u32, 1..20),
        keep in 0usize..30,
        proposers in 0usize..4,
        tree in 0usize..9,
        first_strategy in prop_oneof![Just(Strategy::EarlyExit), Just(Strategy::SelfSpeculative)],
    ) {
        let mut decoder = decoder(config, dtype, 9);
        let settings = Settings {
            sampling,
            max_steps: 12,
            exit_layer: 2,
            proposers: Proposers::ALL[proposers],
            tree,
            ..Settings::default()
        };
        let mut session = decoder.session().unwrap();
        let first = Settings { strategy: first_strategy, ..settings.clone() };
        let mut run = decoder.begin(&mut session, &prompt, &first, &mut ()).unwrap();
        while run.stop().is_none() {
            decoder.round(&mut session, &mut run, &Arc::new(first.clone()), &mut ()).unwrap();
        }
        let mut next: Vec<u32> = session.tokens().to_vec();
        next.truncate(keep.max(1));
        next.extend(second);
        let mut run = decoder.begin(&mut session, &next, &settings, &mut ()).unwrap();
        let mut got = Vec::new();
        while run.stop().is_none() {
            got.push(decoder.round(&mut session, &mut run, &Arc::new(settings.clone()), &mut ()).unwrap());
        }
        let want = rounds(&mut decoder, &next, &autoregressive(&settings), |_, _| {});
        prop_assert_eq!(tokens(&got), tokens(&want));
    }
}

#[test]
fn early_exit_generates_the_tokens_of_a_draft() {
    let mut decoder = decoder(config(4, 4, 2, 16, true), GgmlDType::F32, 3);
    let settings = Settings {
        strategy: Strategy::EarlyExit,
        exit_layer: 2,
        max_steps: 6,
        sampling: Sampling {
            sample: false,
            ..Sampling::default()
        },
        ..Settings::default()
    };
    let early = tokens(&rounds(&mut decoder, &[5, 6, 7], &settings, |_, _| {}));
    let speculative = Settings {
        strategy: Strategy::SelfSpeculative,
        num_speculations: 5,
        ..settings
    };
    let first = &rounds(&mut decoder, &[5, 6, 7], &speculative, |_, _| {})[0];
    let drafted: Vec<u32> = first.drafted().iter().map(|token| token.id).collect();
    assert_eq!(drafted, early[..drafted.len()]);
}

#[test]
fn a_full_context_stops_the_run() {
    let mut decoder = decoder(config(3, 4, 2, 16, true), GgmlDType::F32, 1);
    decoder.end_tokens.clear();
    let settings = Settings {
        exit_layer: 1,
        max_steps: 10_000,
        ..Settings::default()
    };
    for strategy in [
        Strategy::SelfSpeculative,
        Strategy::Autoregressive,
        Strategy::EarlyExit,
    ] {
        let settings = Settings {
            strategy,
            ..settings.clone()
        };
        let all = rounds(&mut decoder, &[5; 10], &settings, |_, _| {});
        assert_eq!(tokens(&all).len(), 86);
        assert_eq!(all.last().unwrap().stop, Some(StopReason::ContextFull));
    }
}

#[test]
fn invalid_input_is_rejected_with_a_message() {
    let mut decoder = decoder(config(3, 4, 2, 16, true), GgmlDType::F32, 1);
    let mut session = decoder.session().unwrap();
    let sound = Settings {
        exit_layer: 1,
        ..Settings::default()
    };
    let mut fails = |prompt: &[u32], settings: &Settings, words: &str| {
        let error = decoder
            .begin(&mut session, prompt, settings, &mut ())
            .err()
            .expect(words)
            .to_string();
        assert!(error.contains(words), "{error}");
    };
    fails(&[], &sound, "empty");
    fails(&[5; 96], &sound, "context");
    fails(&[61], &sound, "vocabulary");
    fails(
        &[5],
        &Settings {
            exit_layer: 3,
            ..sound.clone()
        },
        "1 to 2",
    );
    fails(
        &[5],
        &Settings {
            exit_layer: 0,
            ..sound.clone()
        },
        "1 to 2",
    );
    fails(
        &[5],
        &Settings {
            num_speculations: 0,
            ..sound.clone()
        },
        "at least 1",
    );
    fails(
        &[5],
        &Settings {
            num_speculations: 65,
            ..sound.clone()
        },
        "1 to 64",
    );
    let nan = Sampling {
        temperature: f32::NAN,
        ..Sampling::default()
    };
    fails(
        &[5],
        &Settings {
            sampling: nan,
            ..sound.clone()
        },
        "temperature",
    );
}

/// The lens predicts exactly which drafts on a text are accepted.
#[test]
fn the_forecast_matches_actual_runs() {
    let config = config(4, 4, 2, 16, true);
    let layers = config.num_layers;
    let mut decoder = decoder(config, GgmlDType::Q8_0, 5);
    decoder.end_tokens.clear();
    for (sample, draft_vocab) in [(false, 0), (true, 0), (false, 30), (true, 30)] {
        let sampling = Sampling {
            sample,
            temperature: 0.4,
            ..Sampling::default()
        };
        let settings = Settings {
            max_steps: 40,
            sampling,
            exit_layer: 1,
            draft_vocab,
            ..Settings::default()
        };
        let prompt = [5, 9, 11];
        let all = rounds(&mut decoder, &prompt, &settings, |_, _| {});
        let mut session = decoder.session().unwrap();
        let text: Vec<u32> = prompt.iter().copied().chain(tokens(&all)).collect();
        session.restart(&text, layers);
        let lens = decoder
            .lens(&mut session, prompt.len()..text.len(), &settings, &mut ())
            .unwrap();
        let costs = CostModel {
            layers,
            layer: vec![1.0],
            head: vec![1.0],
            draft_head: 1.0,
            sampling: 0.0,
        };
        assert!(
            lens.iter().all(|row| row.agrees(layers)),
            "the last layer chose the text"
        );
        for exit_layer in 1..layers {
            for num_speculations in [1, 3, 6] {
                let settings = Settings {
                    exit_layer,
                    num_speculations,
                    ..settings.clone()
                };
                let stats = Stats::of(&rounds(&mut decoder, &prompt, &settings, |_, _| {}));
                let forecast = Forecast::of(&lens, exit_layer, num_speculations, &costs);
                let found = (stats.rounds, stats.drafted, stats.accepted);
                assert_eq!(
                    (forecast.rounds, forecast.drafted, forecast.accepted),
                    found
                );
            }
        }
    }
}

/// Detail records what each layer would have predicted for every token of the text, and does not change the text.
#[test]
fn detail_covers_every_layer_and_does_not_change_the_text() {
    let prompt: Vec<u32> = (3..12).collect();
    for strategy in [
        Strategy::Autoregressive,
        Strategy::EarlyExit,
        Strategy::SelfSpeculative,
    ] {
        let mut decoder = decoder(config(4, 4, 2, 16, true), GgmlDType::F32, 1);
        let plain = Settings {
            strategy,
            exit_layer: 2,
            num_speculations: 3,
            max_steps: 30,
            ..Settings::default()
        };
        let detailed = Settings {
            detail: true,
            ..plain.clone()
        };
        let (without, with) = (
            rounds(&mut decoder, &prompt, &plain, |_, _| {}),
            rounds(&mut decoder, &prompt, &detailed, |_, _| {}),
        );
        assert_eq!(tokens(&without), tokens(&with));
        let chooser = if strategy == Strategy::EarlyExit {
            2
        } else {
            4
        };
        for token in with.iter().flat_map(Round::kept) {
            let layers = &token.detail.expect("a detail").layers;
            assert_eq!(
                layers.iter().map(|choice| choice.layer).collect::<Vec<_>>(),
                [1, 2, 3, 4]
            );
            assert_eq!(layers[chooser - 1].id, token.id, "{strategy:?}");
        }
        assert!(
            without
                .iter()
                .flat_map(Round::kept)
                .all(|token| token.detail.is_none())
        );
    }
}
