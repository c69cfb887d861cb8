//! One seed, one text: every strategy gives the autoregressive tokens of the same device.

use super::gpu;
use crate::engine::config::{LlamaConfig, RopeScaling};
use crate::engine::decode::{Decoder, Round, Settings, Strategy};
use crate::engine::loaded_model::LoadedModel;
use crate::engine::model::tests::reference::Reference;
use crate::engine::model::tests::{read, relative_error};
use crate::engine::model::{self, Row, Target, random};
use crate::engine::prompt::Prompt;
use crate::engine::sampling::{Coupling, Sampling};
use crate::engine::weights::{self, Checkpoint, Dtype};
use candle_core::quantized::GgmlDType;
use proptest::prelude::{
    Just, ProptestConfig, Strategy as Generate, any, prop, prop_assert_eq, prop_oneof, proptest,
};
use std::sync::Arc;

const VOCAB: usize = 61;

fn shape(layers: usize, heads: usize, kv_heads: usize, head_dim: usize, tied: bool) -> LlamaConfig {
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

fn shapes() -> impl Generate<Value = (LlamaConfig, GgmlDType)> {
    prop_oneof![
        Just((shape(4, 4, 2, 16, true), GgmlDType::F32)),
        Just((shape(3, 3, 1, 32, true), GgmlDType::Q8_0)),
        Just((shape(5, 2, 2, 32, false), GgmlDType::Q4_0)),
        Just((shape(3, 4, 1, 8, false), GgmlDType::F16)),
        Just((shape(4, 6, 3, 16, false), GgmlDType::Q4_1)),
        Just((shape(3, 5, 5, 2, true), GgmlDType::BF16)),
    ]
}

/// Settings that the device can draft with, and others.
fn sampling() -> impl Generate<Value = Sampling> {
    let numbers = (0.3f32..2.0, prop_oneof![Just(1f32), 0.5f32..1.0], 0f32..0.2);
    (any::<bool>(), any::<u64>(), numbers, any::<bool>()).prop_map(
        |(sample, seed, (temperature, top_p, min_p), penalty)| Sampling {
            sample,
            seed,
            temperature,
            top_p,
            min_p,
            repetition_penalty: if penalty { 1.2 } else { 1.0 },
            coupling: Coupling::SharedNoise,
            ..Sampling::default()
        },
    )
}

fn decoder(config: &LlamaConfig, dtype: GgmlDType, seed: u64) -> Option<Decoder> {
    decoder_on(1, config, dtype, seed)
}

/// A decoder whose layers are divided among as many devices, all of the same adapter.
fn decoder_on(
    devices: usize,
    config: &LlamaConfig,
    dtype: GgmlDType,
    seed: u64,
) -> Option<Decoder> {
    let checkpoint = random::checkpoint(config, dtype, seed).unwrap();
    let target = match devices {
        1 => Target::Gpu(gpu()?),
        _ => Target::Gpus(vec![gpu()?; devices]),
    };
    let model = model::load(&checkpoint, target, None, &mut |_| ()).unwrap();
    Some(Decoder::new(model, None, vec![2]))
}

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
        let round = decoder.round(&mut session, &mut run, &settings, &mut ());
        rounds.push(round.unwrap());
    }
    rounds
}

fn tokens(rounds: &[Round]) -> Vec<u32> {
    let kept = rounds.iter().flat_map(Round::kept);
    kept.map(|token| token.id).collect()
}

fn autoregressive(settings: &Settings) -> Settings {
    Settings {
        strategy: Strategy::Autoregressive,
        ..settings.clone()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_strategy_gives_the_autoregressive_tokens(
        (config, dtype) in shapes(),
        model_seed in 0u64..4,
        sampling in sampling(),
        prompt in prop::collection::vec(3u32..VOCAB as u32, 1..40),
        chunk in 1usize..40,
        moves in prop::collection::vec((1usize..5, 1usize..9, any::<bool>(), 0usize..70), 1..6),
        max_steps in 1usize..40,
        devices in 1usize..4,
    ) {
        let Some(mut whole) = decoder(&config, dtype, model_seed) else { return Ok(()) };
        let Some(mut decoder) = decoder_on(devices, &config, dtype, model_seed) else { return Ok(()) };
        let layers = config.num_layers;
        let settings = Settings { sampling, max_steps, exit_layer: 1, ..Settings::default() };
        let want = rounds(&mut whole, &prompt, &autoregressive(&settings), |_, _| {});
        decoder.set_prefill_chunk(chunk);
        let got = rounds(&mut decoder, &prompt, &settings, |round, settings| {
            let (exit, speculations, reuse, vocab) = moves[round % moves.len()];
            settings.exit_layer = exit.min(layers - 1);
            settings.num_speculations = speculations;
            settings.kvq_reuse = reuse;
            settings.draft_vocab = vocab;
            settings.strategy = if vocab % 5 == 1 { Strategy::Autoregressive } else { Strategy::SelfSpeculative };
            settings.detail = vocab % 3 == 0;
        });
        prop_assert_eq!(tokens(&got), tokens(&want));
        prop_assert_eq!(got.last().map(|round| &round.stop), want.last().map(|round| &round.stop));
    }
}

/// A round on the device drafts what the host drafts step by step, and with the same probabilities.
#[test]
fn whole_rounds_draft_as_the_host_does() {
    let config = shape(4, 4, 2, 16, true);
    let Some(mut decoder) = decoder(&config, GgmlDType::Q8_0, 3) else {
        return;
    };
    for (temperature, top_k, top_p, min_p, draft_vocab) in [
        (0.0, 0, 0.9, 0.0, 0),
        (0.8, 0, 1.0, 0.0, 0),
        (0.8, 0, 1.0, 0.1, 40),
        (0.7, 0, 0.9, 0.0, 0),
        (1.5, 12, 0.95, 0.01, 50),
    ] {
        let settings = Settings {
            exit_layer: 2,
            num_speculations: 5,
            draft_vocab,
            max_steps: 40,
            sampling: Sampling {
                temperature,
                min_p,
                top_k,
                top_p,
                ..Sampling::default()
            },
            ..Settings::default()
        };
        let planned = rounds(&mut decoder, &[5, 6, 7], &settings, |_, _| {});
        // A stepping observer polls before every draft.
        let mut session = decoder.session().unwrap();
        let mut run = decoder
            .begin(&mut session, &[5, 6, 7], &settings, &mut Stepping)
            .unwrap();
        let settings = Arc::new(settings);
        for planned in &planned {
            let stepped = decoder
                .round(&mut session, &mut run, &settings, &mut Stepping)
                .unwrap();
            let summary = |round: &Round| -> Vec<(u32, Option<f32>, Option<f32>)> {
                let drafted = round.drafted().iter();
                drafted.map(|t| (t.id, t.p_draft, t.p_verify)).collect()
            };
            assert_eq!(summary(planned), summary(&stepped));
        }
        assert!(run.stop().is_some());
        assert!(planned.iter().any(|round| round.drafted().len() > 1));
    }
}

struct Stepping;

impl crate::engine::decode::Observer for Stepping {
    fn single_steps(&self) -> bool {
        true
    }
}

#[test]
fn rejection_coupling_runs_step_by_step() {
    let config = shape(3, 3, 1, 32, true);
    let Some(mut decoder) = decoder(&config, GgmlDType::Q8_0, 1) else {
        return;
    };
    let settings = Settings {
        exit_layer: 1,
        max_steps: 30,
        sampling: Sampling {
            coupling: Coupling::Rejection,
            ..Sampling::default()
        },
        ..Settings::default()
    };
    let [first, second] =
        [0, 1].map(|_| tokens(&rounds(&mut decoder, &[9, 8], &settings, |_, _| {})));
    assert_eq!(first, second);
    assert!(!first.is_empty());
}

/// A few tokens of the bundled model: the text of self-speculation is the plain one.
#[test]
fn the_bundled_model_gives_the_same_text_with_and_without_drafts() {
    let Some((model, _)) = bundled() else { return };
    let mut model = model;
    let prompt = model
        .encode(&Prompt::Text("The capital of France is".into()))
        .unwrap();
    let settings = Settings {
        exit_layer: 6,
        num_speculations: 3,
        max_steps: 8,
        sampling: Sampling {
            sample: false,
            ..Sampling::default()
        },
        ..Settings::default()
    };
    let plain = autoregressive(&settings);
    let want = tokens(&rounds(&mut model.decoder, &prompt, &plain, |_, _| {}));
    let got = tokens(&rounds(&mut model.decoder, &prompt, &settings, |_, _| {}));
    assert_eq!(got, want);
}

/// The kernels do what f64 does with activations rounded to bytes and keys and values rounded to f16. All that separates
/// them from the exact model is this rounding, which the layers amplify. Relative errors on lavapipe, over 20 positions,
/// after 1, 2, 4, 8, 16, 24, 29 and all 30 layers:
///
/// | | 1 | 2 | 4 | 8 | 16 | 24 | 29 | 30 |
/// |---|---|---|---|---|---|---|---|---|
/// | exact, GPU | 0.0055 | 0.0045 | 0.011 | 0.015 | 0.007 | 0.011 | 0.013 | 0.043 |
/// | exact, CPU back end | 0.0078 | 0.0050 | 0.014 | 0.018 | 0.008 | 0.011 | 0.018 | 0.038 |
/// | exact, f64 with that rounding | 0.0055 | 0.0045 | 0.011 | 0.015 | 0.008 | 0.010 | 0.013 | 0.041 |
/// | f64 with that rounding, GPU | < 0.0001 | < 0.0001 | 0.004 | 0.009 | 0.004 | 0.007 | 0.012 | 0.026 |
///
/// A number on the edge between two bytes falls to either side, so the last row grows with depth, too. After all layers a
/// single position may be off by 0.2, in f64 as well: errors of a few positions say little. The 12 positions of this test
/// give 0.0000001 against f64 with that rounding after 2 layers, and 0.008 and 0.051 against exact numbers after 16 and 30.
#[test]
fn the_bundled_models_logits_differ_from_exact_ones_by_the_rounding_of_activations() {
    let Some((model, checkpoint)) = bundled() else {
        return;
    };
    let text = "The capital of France is Paris, and the largest river that flows through it";
    let prompt = model.encode(&Prompt::Text(text.into())).unwrap();
    let ids = &prompt[..12];
    let at = |depth: usize| {
        let mut sequence = model.decoder.model().sequence(64).unwrap();
        let rows: Vec<Row> = Row::chain(ids, 0).collect();
        sequence.forward(&rows, depth).unwrap();
        read(&mut *sequence, &rows, depth, 0)
    };
    let (exact, rounded) = (
        Reference::exact(&checkpoint),
        Reference::rounded(&checkpoint),
    );
    let error = relative_error(&rounded.exit_logits(ids, 2), &at(2));
    assert!(error < 1e-3, "{error}");
    let error = relative_error(&exact.exit_logits(ids, 16), &at(16));
    assert!(error < 0.0125, "{error}");
    let error = relative_error(&exact.logits(ids), &at(checkpoint.config.num_layers));
    assert!(error < 0.07, "{error}");
}

/// The bundled model on the GPU.
fn bundled() -> Option<(LoadedModel, Checkpoint)> {
    let target = Target::Gpu(gpu()?);
    let path = weights::locate(None, &mut |_, _| ()).unwrap();
    let checkpoint = weights::open(&path, Dtype::Auto).unwrap();
    let model = LoadedModel::from_checkpoint(&checkpoint, target, None, &mut |_, _| ());
    Some((model.unwrap(), checkpoint))
}
