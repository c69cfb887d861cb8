//! Checks that self-speculative and autoregressive decoding generate the same text.
//!
//! With greedy decoding and with shared noise the text is the same, token for token. With rejection the distribution
//! is the same, which is tested on many short runs of both.

mod statistics;

pub use statistics::{Sampled, SampledPrompt};

use super::benchmark::settings_of;
use super::datasets::Example;
use super::run::{Interrupted, Measured};
use crate::engine::Result;
use crate::engine::decode::Settings;
use crate::engine::loaded_model::LoadedModel;
use serde::{Deserialize, Serialize};

/// A comparison of the texts of both strategies, token by token.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Exact {
    pub samples: usize,
    /// Number of compared tokens.
    pub tokens: usize,
    /// Number of samples whose texts differ, and their percentage, as LayerSkip reports them.
    pub errors: usize,
    pub error_pct: f64,
    pub mismatches: Vec<Mismatch>,
}

/// Two texts that diverge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mismatch {
    /// Id of the example.
    pub example: String,
    /// The first generated token that differs, from 0.
    pub position: usize,
    /// `None` if the text has ended.
    pub autoregressive: Option<Token>,
    pub speculative: Option<Token>,
    /// The verifier's logit of the autoregressive token, minus that of the other token; `None` if a text has ended.
    pub margin: Option<f64>,
}

/// A token with its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub id: u32,
    pub text: String,
}

/// Compares the strategies on every prompt.
///
/// # Errors
/// [`crate::engine::Error::Cancelled`] if interrupted, and any error of the engine.
pub fn compare(
    loaded: &mut LoadedModel,
    prompts: &[(Example, Vec<u32>)],
    settings: &Settings,
    interrupted: &Interrupted,
    done: &mut dyn FnMut(&Exact),
) -> Result<Exact> {
    let (plain, _) = settings_of(settings);
    let mut found = Exact::default();
    for (example, prompt) in prompts {
        let one = Measured::of(&mut loaded.decoder, prompt, &plain, interrupted)?;
        let other = Measured::of(&mut loaded.decoder, prompt, settings, interrupted)?;
        found.samples += 1;
        found.tokens += one.tokens.len();
        if let Some(position) = other.differs_from(&one.tokens) {
            found.errors += 1;
            let mismatch = mismatch(loaded, example, prompt, (&one, &other), position)?;
            found.mismatches.push(mismatch);
        }
        found.error_pct = 100.0 * found.errors as f64 / found.samples as f64;
        done(&found);
    }
    Ok(found)
}

fn mismatch(
    loaded: &mut LoadedModel,
    example: &Example,
    prompt: &[u32],
    (one, other): (&Measured, &Measured),
    position: usize,
) -> Result<Mismatch> {
    let token = |loaded: &LoadedModel, run: &Measured| {
        let id = *run.tokens.get(position)?;
        let tokenizer = loaded.decoder.tokenizer();
        let text = tokenizer
            .map(|tokenizer| tokenizer.piece(id))
            .unwrap_or_default();
        Some(Token { id, text })
    };
    let (plain, speculative) = (token(loaded, one), token(loaded, other));
    let margin = match (&plain, &speculative) {
        (Some(plain), Some(speculative)) => {
            let before: Vec<u32> = prompt
                .iter()
                .chain(&one.tokens[..position])
                .copied()
                .collect();
            Some(logprob(loaded, &before, plain.id)? - logprob(loaded, &before, speculative.id)?)
        }
        _ => None,
    };
    Ok(Mismatch {
        example: example.id.clone(),
        position,
        autoregressive: plain,
        speculative,
        margin,
    })
}

/// Log-probability of `id` after `before`. A difference of two log-probabilities is a difference of logits.
fn logprob(loaded: &mut LoadedModel, before: &[u32], id: u32) -> Result<f64> {
    let mut session = loaded.decoder.session()?;
    let tokens: Vec<u32> = before.iter().copied().chain([id]).collect();
    let at = before.len()..tokens.len();
    let scores = loaded
        .decoder
        .score(&mut session, &tokens, at, None, 0, &mut ())?;
    Ok(scores
        .first()
        .map_or(f64::NAN, |score| f64::from(score.logprob)))
}

/// As [`compare`] for rejection: `repetitions` short runs of each strategy on every prompt, each with its own seed.
///
/// # Errors
/// As [`compare`].
pub fn compare_distributions(
    loaded: &mut LoadedModel,
    prompts: &[(Example, Vec<u32>)],
    settings: &Settings,
    repetitions: usize,
    interrupted: &Interrupted,
    done: &mut dyn FnMut(usize),
) -> Result<Sampled> {
    let (plain, _) = settings_of(settings);
    let mut all = Vec::new();
    for (example, prompt) in prompts {
        let mut texts = [Vec::new(), Vec::new()];
        for repetition in 0..repetitions {
            for (at, settings) in [&plain, settings].into_iter().enumerate() {
                let mut short = settings.clone();
                short.max_steps = settings.max_steps.min(statistics::POSITIONS);
                // Seeds are not shared, so that the samples are independent.
                let seed = settings
                    .sampling
                    .seed
                    .wrapping_add((2 * repetition + at) as u64);
                short.sampling.seed = seed;
                texts[at]
                    .push(Measured::of(&mut loaded.decoder, prompt, &short, interrupted)?.tokens);
            }
        }
        let [one, other] = texts;
        all.push(SampledPrompt::of(example.id.clone(), &one, &other));
        done(all.len());
    }
    Ok(Sampled::of(repetitions, all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::decode::Strategy;
    use crate::engine::model::random;
    use crate::engine::prompt::Prompt;
    use candle_core::{Device, quantized::GgmlDType};

    /// Early exit is not verified, so its text differs: each difference is reported with its position, both tokens
    /// and the margin by which the full model prefers its own.
    #[test]
    fn differences_are_reported_with_their_margin() {
        let config = random::small();
        let checkpoint = random::checkpoint(&config, GgmlDType::Q8_0, 3).unwrap();
        let mut loaded =
            LoadedModel::from_checkpoint(&checkpoint, &Device::Cpu, Some(1), &mut |_, _| ())
                .unwrap();
        let prompts: Vec<_> = (0..4u32)
            .map(|n| {
                let ids = vec![5 + n, 40, 7 + n];
                let example = Example {
                    id: format!("p{n}"),
                    category: None,
                    prompt: Prompt::Tokens(ids.clone()),
                    reference: None,
                };
                (example, ids)
            })
            .collect();
        let mut settings = Settings {
            exit_layer: 1,
            max_steps: 20,
            ..Settings::default()
        };
        settings.sampling.sample = false;
        let exact = compare(&mut loaded, &prompts, &settings, &|| false, &mut |_| ()).unwrap();
        assert_eq!((exact.samples, exact.errors), (4, 0));
        settings.strategy = Strategy::EarlyExit;
        let found = compare(&mut loaded, &prompts, &settings, &|| false, &mut |_| ()).unwrap();
        assert!(found.errors > 0 && found.errors == found.mismatches.len());
        assert!((found.error_pct - 25.0 * found.errors as f64).abs() < 1e-9);
        for mismatch in &found.mismatches {
            let both = mismatch
                .autoregressive
                .as_ref()
                .zip(mismatch.speculative.as_ref());
            assert!(both.is_none_or(|(one, other)| one.id != other.id));
            // Greedy: the full model's own token has the larger logit.
            assert!(
                mismatch.margin.is_none_or(|margin| margin >= 0.0),
                "{mismatch:?}"
            );
        }
        let interrupted = compare(&mut loaded, &prompts, &settings, &|| true, &mut |_| ());
        assert!(matches!(interrupted, Err(crate::engine::Error::Cancelled)));
    }
}
