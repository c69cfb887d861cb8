//! A run ends the same way with every strategy: with the same tokens, text, reason and cache.

use super::*;
use crate::engine::text::Tokenizer;
use proptest::prelude::prop_assert;

/// A decoder with the byte tokenizer of its random model.
fn decoder_with_tokenizer(config: LlamaConfig, dtype: GgmlDType, seed: u64) -> Decoder {
    let checkpoint = random::checkpoint(&config, dtype, seed).unwrap();
    let model = model::load(&checkpoint, &Device::Cpu, Some(1), &mut |_| {}).unwrap();
    let tokenizer = Tokenizer::from_checkpoint(&checkpoint).unwrap();
    Decoder::new(model, Some(tokenizer), Vec::new())
}

/// The observable result of a run.
#[derive(Debug, PartialEq)]
struct Seen {
    tokens: Vec<u32>,
    text: String,
    stop: StopReason,
    cached: usize,
}

/// Decodes with settings that `change` alters before each round.
struct Changing<'a> {
    settings: Settings,
    change: &'a dyn Fn(usize, &mut Settings),
    rounds: Vec<Round>,
}

impl Observer for Changing<'_> {
    fn settings(&mut self) -> Option<Arc<Settings>> {
        (self.change)(self.rounds.len(), &mut self.settings);
        Some(Arc::new(self.settings.clone()))
    }

    fn round(&mut self, round: Round) -> std::ops::ControlFlow<()> {
        self.rounds.push(round);
        std::ops::ControlFlow::Continue(())
    }
}

fn see(
    decoder: &mut Decoder,
    prompt: &[u32],
    settings: &Settings,
    change: &dyn Fn(usize, &mut Settings),
) -> Seen {
    let mut session = decoder.session().unwrap();
    let mut observer = Changing {
        settings: settings.clone(),
        change,
        rounds: Vec::new(),
    };
    let finished = decoder
        .run_to_end(&mut session, prompt, settings.clone(), &mut observer)
        .unwrap();
    let rounds = observer.rounds;
    check_record(&rounds);
    let kept = rounds.iter().flat_map(Round::kept);
    let text = kept.map(|token| token.text).collect();
    assert_eq!(finished.stats.tokens, tokens(&rounds).len());
    assert_eq!(session.tokens()[prompt.len()..], tokens(&rounds));
    assert_eq!(rounds.last().unwrap().stop.as_ref(), Some(&finished.stop));
    Seen {
        tokens: tokens(&rounds),
        text,
        stop: finished.stop,
        cached: session.cached(),
    }
}

/// Positions in a text, as fractions of its length.
type Cut = (usize, usize);

fn part(text: &[char], (start, len): Cut) -> String {
    let start = start % text.len().max(1);
    text[start..text.len().min(start + len)].iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Stop strings, stop ids and end tokens are taken from the model's output, so that they occur, often across tokens and in
    /// the middle of accepted drafts.
    #[test]
    fn a_run_ends_the_same_way_with_every_strategy(
        (config, dtype) in shapes(),
        model_seed in 0u64..4,
        sampling in sampling(),
        prompt in prop::collection::vec(3u32..VOCAB as u32, 1..20),
        strings in prop::collection::vec((0usize..60, 1usize..5), 0..3),
        stop_ids in prop::collection::vec(0usize..60, 0..2),
        end_ids in prop::collection::vec(0usize..60, 0..2),
        moves in prop::collection::vec((1usize..5, 1usize..9, any::<bool>(), 0usize..70), 1..6),
        drafts in prop::collection::vec((0usize..4, 0usize..12), 1..4),
        max_steps in 1usize..50,
        rejection in any::<bool>(),
    ) {
        let layers = config.num_layers;
        let mut decoder = decoder_with_tokenizer(config, dtype, model_seed);
        // With 1, this small vocabulary would soon be forbidden as a whole.
        let no_repeat_ngram = if sampling.no_repeat_ngram == 1 { 2 } else { sampling.no_repeat_ngram };
        let sampling = Sampling { no_repeat_ngram, ..sampling };
        let mut settings = Settings { sampling, max_steps, exit_layer: 1, ..Settings::default() };
        let plain = autoregressive(&settings);
        let free = see(&mut decoder, &prompt, &plain, &|_, _| {});
        let text: Vec<char> = free.text.chars().collect();
        settings.stop_strings = strings.iter().map(|&cut| part(&text, cut)).filter(|s| !s.is_empty()).collect();
        let pick = |at: &usize| free.tokens[at % free.tokens.len()];
        settings.stop_token_ids = stop_ids.iter().map(pick).collect();
        decoder.end_tokens = end_ids.iter().map(pick).collect();
        let want = see(&mut decoder, &prompt, &autoregressive(&settings), &|_, _| {});
        prop_assert_eq!(want.cached, prompt.len() + want.tokens.len() - 1);
        if rejection {
            // Greedy decoding is exact with that coupling as well.
            settings.sampling.coupling = Coupling::Rejection;
            settings.sampling.sample = false;
        }
        let want = match rejection {
            true => see(&mut decoder, &prompt, &autoregressive(&settings), &|_, _| {}),
            false => want,
        };
        let got = see(&mut decoder, &prompt, &settings, &|round, settings| {
            let (exit, speculations, reuse, vocab) = moves[round % moves.len()];
            settings.exit_layer = exit.min(layers - 1);
            settings.num_speculations = speculations;
            settings.kvq_reuse = reuse;
            settings.draft_vocab = vocab;
            let (proposers, tree) = drafts[round % drafts.len()];
            settings.proposers = Proposers::ALL[proposers];
            settings.tree = tree;
            settings.logprobs = (vocab % 4 == 0).then_some(2);
            settings.controller = match vocab % 7 {
                0 => Controller::Confidence { threshold: 0.2 },
                1 => Controller::AdaptiveSpeculations,
                2 => Controller::Auto,
                _ => Controller::Fixed,
            };
            if vocab % 5 == 1 {
                settings.strategy = Strategy::Autoregressive;
            } else {
                settings.strategy = Strategy::SelfSpeculative;
            }
        });
        prop_assert_eq!(&got, &want);
        for stop in &settings.stop_strings {
            prop_assert!(!got.text.contains(stop.as_str()));
        }
    }

    /// With rejection the text differs, but nothing follows a stop either.
    #[test]
    fn nothing_follows_a_stop(
        (config, dtype) in shapes(),
        seed in any::<u64>(),
        strings in prop::collection::vec((0usize..60, 1usize..3), 1..3),
        end in 0usize..60,
        speculations in 1usize..9,
        (proposers, tree) in (0usize..4, 0usize..12),
    ) {
        let mut decoder = decoder_with_tokenizer(config, dtype, 3);
        let sampling = Sampling { coupling: Coupling::Rejection, seed, temperature: 0.9, ..Sampling::default() };
        let mut settings = Settings {
            sampling,
            max_steps: 40,
            exit_layer: 1,
            num_speculations: speculations,
            proposers: Proposers::ALL[proposers],
            tree,
            ..Settings::default()
        };
        let free = see(&mut decoder, &[9, 8, 7], &settings, &|_, _| {});
        let text: Vec<char> = free.text.chars().collect();
        settings.stop_strings = strings.iter().map(|&cut| part(&text, cut)).filter(|s| !s.is_empty()).collect();
        decoder.end_tokens = vec![free.tokens[end % free.tokens.len()]];
        let got = see(&mut decoder, &[9, 8, 7], &settings, &|_, _| {});
        let ends = got.tokens.iter().position(|id| decoder.end_tokens.contains(id));
        prop_assert!(ends.is_none_or(|at| at + 1 == got.tokens.len()));
        for stop in &settings.stop_strings {
            prop_assert!(!got.text.contains(stop.as_str()));
        }
        prop_assert_eq!(got.cached, 3 + got.tokens.len() - 1);
    }
}
