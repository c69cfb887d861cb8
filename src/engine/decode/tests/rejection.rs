//! Rejection coupling preserves the model's distribution.

use super::*;

/// Texts from self-speculation with rejection follow the distribution of autoregressive sampling, for chains and trees of
/// every proposer.
#[test]
fn rejection_samples_the_models_distribution() {
    let mut decoder = adapters::adapted(config(3, 4, 2, 16, true), GgmlDType::F32, 6);
    decoder.end_tokens.clear();
    // The prompt repeats itself, so that lookup finds several continuations.
    let prompt = [5, 9, 20, 5, 9, 31, 5, 9, 20, 5, 9];
    let n = 4000u64;
    let sampling = Sampling {
        temperature: 0.8,
        top_k: 3,
        top_p: 1.0,
        coupling: Coupling::Rejection,
        ..Sampling::default()
    };
    let base = Settings {
        exit_layer: 1,
        num_speculations: 3,
        max_steps: 3,
        sampling,
        ..Settings::default()
    };
    let plain = counts(&mut decoder, &prompt, &autoregressive(&base), 0..n);
    // Through the model's own head or an adapter, and with a vocabulary that grows with the text.
    let drafts = [
        (Proposers::Exit, 0, false, 0),
        (Proposers::Exit, 7, false, 0),
        (Proposers::Lookup, 0, false, 0),
        (Proposers::Lookup, 5, false, 0),
        (Proposers::ExitAndLookup, 6, false, 0),
        (Proposers::Exit, 0, true, 0),
        (Proposers::Exit, 6, true, 0),
        (Proposers::Exit, 0, true, 20),
        (Proposers::Exit, 0, false, 20),
    ];
    let number = drafts.len() as u64;
    for (case, (proposers, tree, adapter, draft_vocab)) in (1..).zip(drafts) {
        let settings = Settings {
            proposers,
            tree,
            adapter,
            draft_vocab,
            ..base.clone()
        };
        let drafted = counts(&mut decoder, &prompt, &settings, case * n..(case + 1) * n);
        let words = format!("{proposers:?}, tree of {tree}, adapter {adapter}, {draft_vocab}");
        same_distribution(&plain, &drafted, &words);
    }
    // Drafts that grow: some end early, depending on what was drawn.
    let outcomes = [0.05, 0.2, 0.4, 0.6, 0.9].map(|p| (0, p, p > 0.3));
    for (case, adapter) in (number + 1..).zip([false, true]) {
        teach(&mut decoder, &outcomes);
        let settings = Settings {
            proposers: Proposers::Exit,
            controller: Controller::Auto,
            adapter,
            ..base.clone()
        };
        let drafted = counts(&mut decoder, &prompt, &settings, case * n..(case + 1) * n);
        same_distribution(&plain, &drafted, &format!("growing, adapter {adapter}"));
    }
}

/// How often each text comes up.
fn counts(
    decoder: &mut Decoder,
    prompt: &[u32],
    settings: &Settings,
    seeds: std::ops::Range<u64>,
) -> std::collections::BTreeMap<Vec<u32>, f64> {
    let mut counts = std::collections::BTreeMap::new();
    for seed in seeds {
        let mut settings = settings.clone();
        settings.sampling.seed = seed;
        let text = tokens(&rounds(decoder, prompt, &settings, |_, _| {}));
        *counts.entry(text).or_default() += 1.0;
    }
    counts
}

/// Checks that two samples of the same size may come from the same distribution.
fn same_distribution(
    first: &std::collections::BTreeMap<Vec<u32>, f64>,
    second: &std::collections::BTreeMap<Vec<u32>, f64>,
    words: &str,
) {
    let keys: std::collections::BTreeSet<_> = first.keys().chain(second.keys()).collect();
    let pairs = keys.iter().map(|key| {
        (
            first.get(*key).unwrap_or(&0.0),
            second.get(*key).unwrap_or(&0.0),
        )
    });
    // For two samples of the same size, the sum of (a - b)² / (a + b) is chi-square; rare texts are pooled.
    let (mut chi, mut rare, mut freedom) = (0f64, (0f64, 0f64), 0f64);
    for (a, b) in pairs {
        if a + b < 10.0 {
            rare = (rare.0 + a, rare.1 + b);
        } else {
            chi += (a - b).powi(2) / (a + b);
            freedom += 1.0;
        }
    }
    if rare.0 + rare.1 > 0.0 {
        chi += f64::powi(rare.0 - rare.1, 2) / (rare.0 + rare.1);
    }
    assert!(freedom >= 5.0);
    // 99.99 % of a chi-square distribution are below this (Wilson and Hilferty's approximation).
    let limit =
        freedom * (1.0 - 2.0 / (9.0 * freedom) + 3.72 * (2.0 / (9.0 * freedom)).sqrt()).powi(3);
    assert!(
        chi < limit,
        "{words}: chi-square {chi} of {freedom} degrees of freedom, limit {limit}"
    );
}
