//! What the proposers draft.

use super::*;
use std::collections::HashSet;

fn greedy() -> Settings {
    Settings {
        max_steps: 40,
        exit_layer: 1,
        sampling: Sampling {
            sample: false,
            ..Sampling::default()
        },
        ..Settings::default()
    }
}

/// A text that repeats what came before is drafted by lookup, in few rounds.
#[test]
fn lookup_drafts_what_the_text_repeats() {
    let mut decoder = decoder(config(3, 4, 2, 16, true), GgmlDType::F32, 1);
    decoder.end_tokens.clear();
    let settings = Settings {
        proposers: Proposers::Lookup,
        num_speculations: 8,
        ..greedy()
    };
    // Greedy decoding of a model this small ends in a loop.
    let all = rounds(&mut decoder, &[5, 6, 7], &settings, |_, _| {});
    let stats = Stats::of(&all);
    assert!(stats.by_proposer.lookup.accepted > 10, "{stats:?}");
    assert_eq!(stats.by_proposer.early_exit, DraftCount::default());
    assert_eq!(stats.by_proposer.lookup.accepted, stats.accepted);
    assert!(all.len() < 30);
    // Without a repetition yet, the first round is a plain step.
    assert_eq!(all[0].drafted(), []);
    assert_eq!(
        all[0].closing().map(|token| token.origin),
        Some(Origin::Plain)
    );
}

/// In a cascade early exit drafts where lookup finds nothing, and each token knows its proposer.
#[test]
fn a_cascade_uses_both_proposers() {
    let mut decoder = decoder(config(3, 4, 2, 16, true), GgmlDType::F32, 1);
    decoder.end_tokens.clear();
    let settings = Settings {
        proposers: Proposers::ExitAndLookup,
        ..greedy()
    };
    let all = rounds(&mut decoder, &[5, 6, 7], &settings, |_, _| {});
    let counts = Stats::of(&all).by_proposer;
    assert!(counts.early_exit.drafted > 0 && counts.lookup.drafted > 0);
    for round in &all {
        let proposers: Vec<Proposer> = round.drafted().iter().map(|t| t.proposer).collect();
        assert!(proposers.windows(2).all(|pair| pair[0] == pair[1]));
        for token in round.kept() {
            assert_eq!(token.proposer.is_some(), token.origin == Origin::Accepted);
        }
    }
}

/// A tree accepts at least as much as the chain that it contains.
#[test]
fn siblings_are_accepted_where_the_first_draft_is_not() {
    let mut decoder = decoder(config(4, 4, 2, 16, true), GgmlDType::F32, 3);
    decoder.end_tokens.clear();
    let sampling = Sampling {
        temperature: 1.2,
        top_p: 1.0,
        ..Sampling::default()
    };
    let chain = Settings {
        num_speculations: 1,
        max_steps: 80,
        sampling,
        ..greedy()
    };
    let tree = Settings {
        tree: 12,
        ..chain.clone()
    };
    let [chain, tree] =
        [chain, tree].map(|settings| rounds(&mut decoder, &[5, 6, 7], &settings, |_, _| {}));
    assert!(Stats::of(&tree).accepted > Stats::of(&chain).accepted);
    let ranks = tree
        .iter()
        .flat_map(|round| round.path().map(|node| round.drafted()[node].rank));
    assert!(ranks.max() > Some(0), "a sibling was accepted");
    assert_eq!(tokens(&tree), tokens(&chain));
}

/// Records with trees and lookups survive JSON, and programs that do not know the new fields read the rest.
#[test]
fn records_are_read_back_and_by_older_programs() {
    let mut decoder = decoder(config(4, 4, 2, 16, true), GgmlDType::F32, 3);
    let settings = Settings {
        proposers: Proposers::ExitAndLookup,
        tree: 7,
        ..greedy()
    };
    for round in rounds(&mut decoder, &[5, 6, 7, 5, 6], &settings, |_, _| {}) {
        let json = serde_json::to_value(&round).unwrap();
        let read: Round = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(read, round);
        for token in json["drafted"].as_array().unwrap() {
            // Version 0.1 knew one proposer, of this name.
            assert!(token.get("proposer").is_none());
        }
    }
}

/// Drafts choose from the first tokens of the draft order and from those of the text so far.
#[test]
fn tokens_of_the_text_can_be_drafted() {
    let mut decoder = decoder(config(3, 4, 2, 16, true), GgmlDType::F32, 1);
    decoder.end_tokens.clear();
    let settings = Settings {
        proposers: Proposers::Exit,
        draft_vocab: 4,
        sampling: Sampling {
            temperature: 1.5,
            top_p: 1.0,
            ..Sampling::default()
        },
        ..greedy()
    };
    let prompt = [40, 41, 42];
    let mut text = prompt.to_vec();
    let mut added = 0;
    for round in rounds(&mut decoder, &prompt, &settings, |_, _| {}) {
        for draft in round.drafted() {
            assert!(draft.id < 4 || text.contains(&draft.id), "{draft:?}");
            added += usize::from(draft.id >= 4);
        }
        text.extend(round.kept().map(|token| token.id));
    }
    assert!(added > 5, "{added}");
}

/// What was in a session before does not change what is drafted, though the text under rejection depends on it.
#[test]
fn the_draft_vocabulary_depends_on_the_text_alone() {
    let mut decoder = decoder(config(3, 4, 2, 16, true), GgmlDType::F32, 1);
    decoder.end_tokens.clear();
    let mut settings = greedy();
    settings.sampling = Sampling {
        coupling: Coupling::Rejection,
        ..Sampling::default()
    };
    settings.draft_vocab = 8;
    let prompt = [40, 41, 42, 43];
    let fresh = rounds(&mut decoder, &prompt, &settings, |_, _| {});
    let mut session = decoder.session().unwrap();
    for (before, draft_vocab) in [(vec![40, 41, 50, 51, 52], 8), (vec![40, 41, 42, 50], 30)] {
        let other = Arc::new(Settings {
            draft_vocab,
            ..settings.clone()
        });
        let mut run = decoder
            .begin(&mut session, &before, &other, &mut ())
            .unwrap();
        for _ in 0..4 {
            decoder
                .round(&mut session, &mut run, &other, &mut ())
                .unwrap();
        }
        let again = Arc::new(settings.clone());
        let mut run = decoder
            .begin(&mut session, &prompt, &again, &mut ())
            .unwrap();
        let mut all = Vec::new();
        while run.stop().is_none() {
            all.push(
                decoder
                    .round(&mut session, &mut run, &again, &mut ())
                    .unwrap(),
            );
        }
        assert_eq!(tokens(&all), tokens(&fresh));
    }
}

/// Estimates count the columns that drafts have, those for tokens of the text included, before the first draft already.
#[test]
fn the_estimated_share_of_the_head_is_that_of_the_logits() {
    let mut decoder = decoder(config(3, 4, 2, 16, true), GgmlDType::F32, 1);
    let prompt: Vec<u32> = (40..60).collect();
    for draft_vocab in [8, 32, 0] {
        let settings = Arc::new(Settings {
            exit_layer: 1,
            draft_vocab,
            controller: Controller::Auto,
            max_steps: 30,
            ..Settings::default()
        });
        let mut session = decoder.session().unwrap();
        let mut run = decoder
            .begin(&mut session, &prompt, &settings, &mut ())
            .unwrap();
        let mut largest = 0;
        while run.stop().is_none() {
            decoder
                .round(&mut session, &mut run, &settings, &mut ())
                .unwrap();
            let columns = |tokens: &[u32]| match draft_vocab {
                0 => VOCAB,
                base => {
                    let rare = tokens.iter().filter(|&&id| id as usize >= base);
                    base + rare.collect::<HashSet<_>>().len()
                }
            };
            // As of the last draft or probe.
            let expected = columns(&[])..=columns(session.tokens());
            let share = decoder.place(&session, &settings).draft_share;
            let found = (share * VOCAB as f64).round() as usize;
            assert!(expected.contains(&found), "{found}, not {expected:?}");
            largest = largest.max(found);
        }
        assert!(largest >= (draft_vocab + prompt.len()).min(VOCAB));
        let costs = CostModel {
            layers: 3,
            layer: vec![1.0],
            head: vec![100.0],
            draft_head: 2.0,
            sampling: 0.0,
        };
        let here = decoder.costs_in(&mut session, &costs, draft_vocab).unwrap();
        let columns = session.draft_columns(decoder.model().draft_order(), draft_vocab) as f64;
        let measured = if draft_vocab == 0 { VOCAB } else { draft_vocab };
        assert_eq!(here.draft_head, 2.0 * columns / measured as f64);
        assert_eq!(here.step(), costs.step());
    }
}

/// With the whole vocabulary nothing is masked, whatever the setting was before.
#[test]
fn the_whole_vocabulary_is_not_masked() {
    let decoder = decoder(config(3, 4, 2, 16, true), GgmlDType::F32, 1);
    let order = decoder.model().draft_order();
    let mut session = decoder.session().unwrap();
    session.restart(&[40, 41, 42], 3);
    let vocab = session.draft_vocab(order, 8).unwrap().unwrap();
    assert_eq!(vocab.ids[8..], [40, 41, 42]);
    let masked = |session: &Session, position: usize, columns: usize| {
        let mut logits = vec![1.0; columns];
        session.hide_later_tokens(position, &mut logits);
        logits.iter().filter(|logit| logit.is_infinite()).count()
    };
    assert_eq!(masked(&session, 1, 11), 2);
    assert_eq!(masked(&session, 3, 11), 0);
    assert!(session.draft_vocab(order, 0).unwrap().is_none());
    assert_eq!(masked(&session, 1, VOCAB), 0);
}

const CHANCES: [f32; 5] = [0.01, 0.07, 0.3, 0.6, 0.95];

/// Drafts with siblings where they are likely, and deep chains where the first token is.
#[test]
fn drafts_grow_where_they_are_expected_to_be_accepted() {
    let all = |rank| CHANCES.map(|p| (rank, p, true));
    let settings = Settings {
        controller: Controller::Auto,
        proposers: Proposers::Exit,
        max_steps: 60,
        ..greedy()
    };
    for (outcomes, has_siblings) in [
        ([all(0), all(1)].concat(), true),
        (
            [
                all(0),
                all(1).map(|(rank, p, _)| (rank, p, false)),
                all(2).map(|(rank, p, _)| (rank, p, false)),
            ]
            .concat(),
            false,
        ),
    ] {
        let mut decoder = decoder(config(4, 4, 2, 16, true), GgmlDType::F32, 3);
        decoder.end_tokens.clear();
        teach(&mut decoder, &outcomes);
        let all = rounds(&mut decoder, &[5, 6, 7], &settings, |_, _| {});
        let drafted = || all.iter().filter(|round| !round.drafted().is_empty());
        assert!(drafted().count() > 0);
        let first = drafted().next().unwrap();
        assert_eq!(first.settings.tree > 0, has_siblings, "{first:?}");
        assert!(first.settings.num_speculations > 1, "{first:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However drafts grow, the text is that of plain decoding.
    #[test]
    fn growing_drafts_give_the_autoregressive_tokens(
        (config, dtype) in shapes(),
        model_seed in 0u64..4,
        sampling in sampling(),
        prompt in prop::collection::vec(3u32..VOCAB as u32, 1..20),
        outcomes in prop::collection::vec((0usize..3, prop::sample::select(&CHANCES[..]), any::<bool>()), 0..12),
        proposers in 0usize..4,
        draft_vocab in 0usize..70,
        max_steps in 1usize..50,
    ) {
        let mut decoder = decoder(config, dtype, model_seed);
        let settings = Settings {
            sampling,
            max_steps,
            draft_vocab,
            exit_layer: 1,
            proposers: Proposers::ALL[proposers],
            ..Settings::default()
        };
        let want = rounds(&mut decoder, &prompt, &autoregressive(&settings), |_, _| {});
        teach(&mut decoder, &outcomes);
        let settings = Settings { controller: Controller::Auto, ..settings };
        let got = rounds(&mut decoder, &prompt, &settings, |_, _| {});
        check_record(&got);
        prop_assert_eq!(tokens(&got), tokens(&want));
        prop_assert_eq!(got.last().map(|round| &round.stop), want.last().map(|round| &round.stop));
    }
}
