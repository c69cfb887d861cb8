use super::baseline::{measure, predict};
use super::*;
use crate::engine::decode::Settings;
use crate::engine::loaded_model::LoadedModel;
use crate::engine::model::random;
use crate::eval::run::Measured;
use candle_core::{Device, quantized::GgmlDType};

/// A random model without end tokens.
fn model() -> LoadedModel {
    let config = random::small();
    let mut checkpoint = random::checkpoint(&config, GgmlDType::Q8_0, 3).unwrap();
    checkpoint.end_tokens.clear();
    LoadedModel::from_checkpoint(&checkpoint, &Device::Cpu, Some(1), &mut |_, _| ()).unwrap()
}

/// One instrumented run over the text of plain decoding predicts exactly what every cell accepts.
#[test]
fn predicted_acceptance_is_what_is_measured() {
    let mut loaded = model();
    let axes = Axes {
        exit_layers: vec![1, 3],
        num_speculations: vec![1, 4],
        draft_vocabs: vec![0, 100],
        temperatures: vec![0.0, 0.9],
        controllers: vec![Default::default()],
    };
    let base = Settings {
        max_steps: 40,
        ..Settings::default()
    };
    let prompts = vec![vec![5, 40, 7], vec![9, 30]];
    let mut accepted = 0;
    for &temperature in &axes.temperatures {
        let decoder = &mut loaded.decoder;
        let runs = measure(
            decoder,
            &base,
            temperature,
            &prompts,
            &|| false,
            &mut |_| (),
        )
        .unwrap();
        let mut cells = axes.cells();
        cells.retain(|cell| cell.temperature == temperature);
        let predictions = predict(decoder, &base, &cells, &prompts, &runs, &|| false).unwrap();
        assert_eq!(predictions.len(), cells.len());
        for prediction in predictions {
            let settings = prediction.cell.settings(&base);
            let (mut drafted, mut kept) = (0, 0);
            for (prompt, plain) in prompts.iter().zip(&runs) {
                let run = Measured::of(decoder, prompt, &settings, &|| false).unwrap();
                assert_eq!(run.differs_from(&plain.tokens), None);
                drafted += run.stats.drafted;
                kept += run.stats.accepted;
            }
            let rate = prediction.acceptance_rate.unwrap();
            let name = prediction.cell.name();
            assert!(
                (rate - kept as f64 / drafted as f64).abs() < 1e-12,
                "{name}: {rate}, {kept}/{drafted}"
            );
            assert!(
                prediction.speedup > 0.0 && prediction.tokens_per_second > 0.0,
                "{name}"
            );
            accepted += kept;
        }
    }
    assert!(accepted > 0);
}
