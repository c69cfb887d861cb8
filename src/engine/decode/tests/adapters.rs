//! Drafts by exit adapters: the text stays that of plain decoding, whatever they draft.

use super::*;
use crate::engine::model::tests::adapters::with_adapters;

pub fn adapted(config: LlamaConfig, dtype: GgmlDType, seed: u64) -> Decoder {
    let mut checkpoint = with_adapters(&config, dtype, &[1, 2], seed);
    // Exit 3 uses the adapter of exit 2, those after it the model's head.
    let adapter_of = &mut checkpoint.exits.as_mut().unwrap().adapter_of;
    if let Some(used) = adapter_of.get_mut(3) {
        *used = Some(2);
    }
    let model = model::load(&checkpoint, &Device::Cpu, Some(1), &mut |_| {}).unwrap();
    Decoder::new(model, None, vec![2])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn adapters_never_change_the_text(
        (config, dtype) in shapes(),
        model_seed in 0u64..4,
        sampling in sampling(),
        prompt in prop::collection::vec(3u32..VOCAB as u32, 1..40),
        chunk in 1usize..40,
        moves in prop::collection::vec((1usize..5, 1usize..9, any::<bool>(), 0usize..70), 1..6),
        drafts in prop::collection::vec((0usize..4, 0usize..12, any::<bool>()), 1..4),
        auto in any::<bool>(),
        max_steps in 1usize..50,
    ) {
        let layers = config.num_layers;
        let mut decoder = adapted(config, dtype, model_seed);
        let settings = Settings { sampling, max_steps, exit_layer: 1, ..Settings::default() };
        let want = rounds(&mut decoder, &prompt, &autoregressive(&settings), |_, _| {});
        decoder.set_prefill_chunk(chunk);
        let got = rounds(&mut decoder, &prompt, &settings, |round, settings| {
            let (exit, speculations, reuse, vocab) = moves[round % moves.len()];
            settings.exit_layer = exit.min(layers - 1);
            settings.num_speculations = speculations;
            settings.kvq_reuse = reuse;
            settings.draft_vocab = vocab;
            let (proposers, tree, adapter) = drafts[round % drafts.len()];
            settings.proposers = Proposers::ALL[proposers];
            settings.tree = tree;
            settings.adapter = adapter;
            settings.controller = if auto { Controller::Auto } else { Controller::Fixed };
            settings.strategy = if vocab % 5 == 1 { Strategy::Autoregressive } else { Strategy::SelfSpeculative };
            settings.detail = vocab % 3 == 0;
        });
        check_record(&got);
        prop_assert_eq!(tokens(&got), tokens(&want));
        prop_assert_eq!(got.last().map(|round| &round.stop), want.last().map(|round| &round.stop));
        for round in &got {
            let adapts = round.settings.adapter && round.settings.exit_layer <= 3;
            let by_exit = if adapts { Proposer::Adapter } else { Proposer::EarlyExit };
            for token in round.drafted() {
                assert!([by_exit, Proposer::Lookup].contains(&token.proposer), "{token:?}");
            }
        }
    }

    #[test]
    fn a_second_turn_with_adapters_gives_what_a_fresh_session_gives(
        (config, dtype) in shapes(),
        sampling in sampling(),
        prompt in prop::collection::vec(3u32..VOCAB as u32, 1..20),
        second in prop::collection::vec(3u32..VOCAB as u32, 1..20),
        keep in 0usize..30,
        tree in 0usize..9,
        first_adapts in any::<bool>(),
        first_strategy in prop_oneof![Just(Strategy::EarlyExit), Just(Strategy::SelfSpeculative)],
    ) {
        let mut decoder = adapted(config, dtype, 9);
        let settings = Settings { sampling, max_steps: 12, exit_layer: 2, tree, ..Settings::default() };
        let mut session = decoder.session().unwrap();
        let first = Settings { strategy: first_strategy, adapter: first_adapts, ..settings.clone() };
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

/// What adapters draft depends neither on the chunks of the prefill nor on rounds that others drafted in between.
#[test]
fn drafts_of_adapters_do_not_depend_on_what_came_between() {
    let drafts = |chunk: usize, between: Option<Proposers>| {
        let mut decoder = adapted(config(4, 4, 2, 16, true), GgmlDType::F32, 2);
        decoder.end_tokens.clear();
        decoder.set_prefill_chunk(chunk);
        let settings = Settings {
            exit_layer: 1,
            num_speculations: 1,
            max_steps: 40,
            sampling: Sampling {
                sample: true,
                temperature: 1.0,
                ..Sampling::default()
            },
            ..Settings::default()
        };
        let prompt: Vec<u32> = (3..33).collect();
        let all = rounds(&mut decoder, &prompt, &settings, |round, settings| {
            settings.proposers = match between {
                Some(other) if round < 4 => other,
                _ => Proposers::Exit,
            };
        });
        let mut found = Vec::new();
        for round in all.iter().filter(|round| round.index >= 4) {
            for token in round.drafted() {
                assert_eq!(token.proposer, Proposer::Adapter);
                found.push((round.position, token.id, token.p_draft));
            }
        }
        found
    };
    let whole = drafts(100, None);
    assert!(whole.len() > 10);
    assert_eq!(drafts(7, None), whole);
    // Wherever both begin a round at one position, they draft the same.
    let mixed = drafts(100, Some(Proposers::ExitAndLookup));
    let both: Vec<_> = mixed
        .iter()
        .filter_map(|draft| Some((draft, whole.iter().find(|other| other.0 == draft.0)?)))
        .collect();
    assert!(both.len() > 5, "{} of {}", both.len(), mixed.len());
    assert!(both.iter().all(|(a, b)| a == b), "{both:?}");
}
