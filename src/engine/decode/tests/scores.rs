//! Log-probabilities of given texts and of generated tokens.

use super::*;

/// Log-softmax at every position of a text after `depth` layers, one token at a time.
fn reference(decoder: &Decoder, ids: &[u32], depth: usize) -> Vec<Vec<f64>> {
    let mut sequence = decoder.model.sequence(ids.len()).unwrap();
    let (mut all, mut logits) = (Vec::new(), Vec::new());
    for (slot, row) in model::Row::chain(ids, 0).enumerate() {
        sequence.forward(&[row], depth).unwrap();
        let readout = model::Readout {
            slots: &[slot],
            depth,
            vocab: 0,
            probed: false,
        };
        sequence.logits(&readout, &mut logits).unwrap();
        sequence.truncate(slot + 1);
        let sum: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
        all.push(logits.iter().map(|&x| f64::from(x) - sum.ln()).collect());
    }
    all
}

#[test]
fn scores_are_the_log_softmax_at_the_exit_layer() {
    let mut decoder = decoder(config(4, 4, 2, 16, true), GgmlDType::Q8_0, 4);
    decoder.set_prefill_chunk(5);
    let ids: Vec<u32> = (0..40).map(|i| (i * i * 3 + 7) % VOCAB as u32).collect();
    let mut session = decoder.session().unwrap();
    for (exit_layer, from) in [
        (None, 1),
        (Some(2), 1),
        (None, 30),
        (Some(1), 17),
        (None, 39),
    ] {
        let want = reference(&decoder, &ids, exit_layer.unwrap_or(4));
        let scores = decoder
            .score(&mut session, &ids, from..ids.len(), exit_layer, 3, &mut ())
            .unwrap();
        assert_eq!(scores.len(), ids.len() - from);
        for (score, at) in scores.iter().zip(from..) {
            let row = &want[at - 1];
            assert_eq!(score.id, ids[at]);
            assert!((f64::from(score.logprob) - row[ids[at] as usize]).abs() < 1e-4);
            let best = row.iter().copied().fold(f64::MIN, f64::max);
            assert_eq!(score.is_argmax, row[ids[at] as usize] == best, "at {at}");
            assert_eq!(score.top.len(), 3);
            assert!((f64::from(score.top[0].1) - best).abs() < 1e-4);
            assert!(score.top.is_sorted_by(|a, b| a.1 >= b.1));
        }
    }
    // The scored tokens serve as context.
    assert_eq!(session.restart(&ids, 4), ids.len() - 1);
}

#[test]
fn invalid_requests_are_rejected_with_a_message() {
    let mut decoder = decoder(config(3, 4, 2, 16, true), GgmlDType::F32, 4);
    let mut session = decoder.session().unwrap();
    let mut fails = |ids: &[u32], positions, exit_layer, words: &str| {
        let error = decoder
            .score(&mut session, ids, positions, exit_layer, 0, &mut ())
            .unwrap_err()
            .to_string();
        assert!(error.contains(words), "{error}");
    };
    fails(&[], 1..1, None, "empty");
    fails(&[5, 61], 1..2, None, "vocabulary");
    fails(&[5, 6], 0..2, None, "has no context");
    fails(&[5, 6], 1..3, None, "tokens 1..3 of 2");
    fails(&[5, 6], 1..2, Some(4), "3 layers");
    fails(&[5; 97], 1..2, None, "context");
}

/// The recorded log-probabilities do not depend on temperature, filters, penalties and drafts.
#[test]
fn generated_tokens_have_raw_log_probabilities() {
    let mut decoder = decoder(config(4, 4, 2, 16, true), GgmlDType::F32, 2);
    decoder.end_tokens.clear();
    let sampling = Sampling {
        temperature: 0.5,
        top_k: 4,
        repetition_penalty: 1.3,
        ..Sampling::default()
    };
    for strategy in [
        Strategy::Autoregressive,
        Strategy::SelfSpeculative,
        Strategy::EarlyExit,
    ] {
        let settings = Settings {
            sampling: sampling.clone(),
            strategy,
            exit_layer: 2,
            num_speculations: 3,
            max_steps: 20,
            logprobs: Some(2),
            ..Settings::default()
        };
        let prompt = [5, 9, 11];
        let all = rounds(&mut decoder, &prompt, &settings, |_, _| {});
        let text: Vec<u32> = prompt.iter().copied().chain(tokens(&all)).collect();
        let depth = if strategy == Strategy::EarlyExit {
            2
        } else {
            4
        };
        let want = reference(&decoder, &text, depth);
        for (token, at) in all.iter().flat_map(Round::kept).zip(prompt.len()..) {
            let got = token.logprobs.expect("they were requested");
            let row = &want[at - 1];
            assert!((f64::from(got.logprob) - row[token.id as usize]).abs() < 1e-4);
            assert_eq!(got.top.len(), 2);
            let best = row.iter().copied().fold(f64::MIN, f64::max);
            assert!((f64::from(got.top[0].logprob) - best).abs() < 1e-4);
        }
    }
}

/// Continuations of one context, in any order and at any depth, have the same scores as each text alone, bit for bit.
#[test]
fn cached_scores_equal_those_of_each_text_alone() {
    let mut decoder = decoder(config(4, 4, 2, 16, true), GgmlDType::Q8_0, 6);
    let (mut session, mut cache) = (decoder.session().unwrap(), ScoreCache::default());
    let context: Vec<u32> = (0..30).map(|at| (at * 13 + 5) % 61).collect();
    let with = |end: &[u32]| [&context[..], end].concat();
    let texts = [
        with(&[1, 2, 3]),
        with(&[1, 7]),
        with(&[]),
        vec![9],
        vec![8, 9],
        with(&[1, 2, 3, 4]),
    ];
    for (nth, text) in texts.iter().chain(&texts).enumerate() {
        let (exit_layer, top) = ((nth > 8).then_some(2), nth % 3);
        let kept = decoder.score_text(&mut session, &mut cache, text, exit_layer, top, &mut ());
        let kept = kept.unwrap().to_vec();
        let mut fresh = decoder.session().unwrap();
        let positions = 1..text.len();
        let alone = decoder.score(&mut fresh, text, positions, exit_layer, top, &mut ());
        assert_eq!(kept, alone.unwrap(), "text {nth}");
        // Another text uses the session in between.
        session.restart(&[3, 4, 5], 1);
    }
}
