//! Tests of the transcript as a whole, and their sessions.

mod crash;
mod export;
mod hostile;
mod journal;
mod replay;
mod round_trip;
mod store;

use super::*;
use crate::engine::decode::{
    Candidate, ClosingToken, Controller, CostModel, DraftToken, LayerChoice, LensRow, Origin,
    Round, RoundTokens, Settings, StopReason, Strategy as Decoding, TokenDetail,
};
use crate::engine::prompt::Prompt;
use crate::engine::sampling::{Coupling, Sampling};
use crate::engine::worker::RunId;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Text with problematic characters: markup, control characters, bidirectional overrides, any other character.
pub fn any_text() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        4 => "[a-z ]{0,8}",
        1 => any::<String>(),
        1 => Just("<script>alert('&\"')</script>".to_owned()),
        1 => Just("\x1b[2J\x1b]0;x\x07\u{9b}1m\u{202e}\u{2066}\0\r\n\t".to_owned()),
        1 => Just("=1+1,\"x\";```\n|[a](javascript:b)".to_owned()),
    ];
    vec(pieces, 0..3).prop_map(|pieces| pieces.concat())
}

fn any_p() -> impl Strategy<Value = f32> {
    prop_oneof![0.0f32..=1.0, Just(0.0), Just(1.0), Just(f32::MIN_POSITIVE)]
}

fn any_candidates() -> impl Strategy<Value = Vec<Candidate>> {
    vec(
        (any::<u32>(), any_text(), any_p()).prop_map(|(id, text, p)| Candidate { id, text, p }),
        0..3,
    )
}

fn any_detail() -> impl Strategy<Value = Option<Box<TokenDetail>>> {
    let layer = (1usize..64, any::<u32>(), any_text(), any_p());
    let layers = vec(
        layer.prop_map(|(layer, id, text, p)| LayerChoice { layer, id, text, p }),
        0..3,
    );
    let entropies = (option::of(0.0f32..12.0), option::of(0.0f32..12.0));
    let detail = (any_candidates(), any_candidates(), entropies, layers).prop_map(
        |(draft_top, verify_top, e, layers)| {
            Box::new(TokenDetail {
                draft_top,
                verify_top,
                draft_entropy: e.0,
                verify_entropy: e.1,
                layers,
            })
        },
    );
    option::weighted(0.2, detail)
}

pub fn any_settings() -> impl Strategy<Value = Settings> {
    let decoding = prop_oneof![
        Just(Decoding::Autoregressive),
        Just(Decoding::EarlyExit),
        Just(Decoding::SelfSpeculative)
    ];
    let coupling = prop_oneof![Just(Coupling::SharedNoise), Just(Coupling::Rejection)];
    let sampling = (
        any::<bool>(),
        0.0f32..2.0,
        0usize..100,
        any_p(),
        any::<u64>(),
        coupling,
    )
        .prop_map(
            |(sample, temperature, top_k, top_p, seed, coupling)| Sampling {
                sample,
                temperature,
                top_k,
                top_p,
                seed,
                coupling,
                ..Sampling::default()
            },
        );
    let controller = prop_oneof![
        3 => Just(Controller::Fixed),
        1 => any_p().prop_map(|threshold| Controller::Confidence { threshold }),
        1 => Just(Controller::Auto),
    ];
    let rest = (
        any::<bool>(),
        vec(any_text(), 0..2),
        vec(any::<u32>(), 0..2),
        controller,
    );
    (decoding, 1usize..30, 1usize..8, sampling, rest).prop_map(
        |(strategy, exit_layer, k, sampling, rest)| Settings {
            strategy,
            exit_layer,
            num_speculations: k,
            detail: rest.0,
            sampling,
            stop_strings: rest.1,
            stop_token_ids: rest.2,
            controller: rest.3,
            ..Settings::default()
        },
    )
}

fn any_stop() -> impl Strategy<Value = StopReason> {
    prop_oneof![
        Just(StopReason::Eos),
        Just(StopReason::MaxSteps),
        Just(StopReason::ContextFull),
        Just(StopReason::Cancelled),
        any::<u32>().prop_map(StopReason::StopToken),
        any_text().prop_map(StopReason::StopString),
    ]
}

/// Rounds that a decoder could have reported.
pub fn any_round() -> impl Strategy<Value = Round> {
    let drafted = (
        any::<u32>(),
        any_text(),
        any_p(),
        option::of(any_p()),
        any_detail(),
    )
        .prop_map(|(id, text, p_draft, p_verify, detail)| DraftToken {
            p_verify,
            detail,
            ..DraftToken::new(id, text, p_draft)
        });
    let last = (
        any::<u32>(),
        any_text(),
        option::of(any_p()),
        any_p(),
        any_detail(),
    );
    let times = (
        0.0f64..10.0,
        0.0f64..10.0,
        option::weighted(0.2, any_text()),
    );
    (
        vec(drafted, 0..5),
        any::<prop::sample::Index>(),
        option::of(last),
        any_settings(),
        times,
        0usize..100_000,
    )
        .prop_map(
            |(
                drafted,
                accepted,
                last,
                settings,
                (draft_seconds, verify_seconds, control),
                position,
            )| {
                let accepted = accepted.index(drafted.len() + 1);
                let origin = match drafted.len() {
                    0 => Origin::Plain,
                    count if count == accepted => Origin::Bonus,
                    _ => Origin::Corrected,
                };
                let last = last.map(|(id, text, p_draft, p_verify, detail)| ClosingToken {
                    p_draft,
                    detail,
                    ..ClosingToken::new(id, text, origin, p_verify)
                });
                let tokens = RoundTokens::chain(drafted, accepted, last);
                {
                    let mut made = Round::new(0, position, settings, tokens);
                    made.controller_note = control;
                    made.draft_seconds = draft_seconds;
                    made.verify_seconds = verify_seconds;
                    made
                }
            },
        )
}

fn any_end() -> impl Strategy<Value = RunEnd> {
    let outcome = prop_oneof![
        any_stop().prop_map(Outcome::Stopped),
        any_text().prop_map(Outcome::Failed)
    ];
    let prefill =
        (0usize..9999, 0usize..9999, 0.0f64..100.0).prop_map(|(tokens, cached, seconds)| Prefill {
            tokens,
            cached,
            seconds,
        });
    (outcome, prefill).prop_map(|(outcome, prefill)| RunEnd { outcome, prefill })
}

fn any_model() -> impl Strategy<Value = ModelRecord> {
    let words = (any_text(), any_text(), any_text(), any_text());
    (words, option::of("[0-9a-f]{8}"), 0usize..99).prop_map(
        |((name, path, dtype, device), hash, num_layers)| ModelRecord {
            name,
            path,
            hash,
            dtype,
            device,
            num_layers,
            weight_bytes: 1 << 40,
        },
    )
}

/// Predictions of two layers at a few positions.
fn any_lens() -> impl Strategy<Value = Box<Lens>> {
    let choice = |layer| {
        (any::<u32>(), any_text(), any_p()).prop_map(move |(id, text, p)| LayerChoice {
            layer,
            id,
            text,
            p,
        })
    };
    let row = (any::<u32>(), [choice(1), choice(2)]).prop_map(|(id, layers)| (id, layers.to_vec()));
    (vec(row, 0..3), vec(0.0f64..1.0, 0..3), 0.0f64..1.0).prop_map(|(rows, layer, head)| {
        let rows = rows
            .into_iter()
            .enumerate()
            .map(|(position, (id, layers))| LensRow {
                position,
                id,
                layers,
            })
            .collect();
        let costs = CostModel {
            layers: 2,
            layer,
            head: vec![head],
            draft_head: head,
            sampling: 0.0,
        };
        Box::new(Lens { rows, costs })
    })
}

/// A few consecutive entries that belong together. A run has a start, rounds and usually an end.
fn any_happening() -> impl Strategy<Value = Vec<Entry>> {
    let run = (
        any::<u32>(),
        any_settings(),
        vec(any_round(), 0..4),
        option::weighted(0.8, any_end()),
        any_text(),
    );
    let run = (run, option::weighted(0.2, any_lens()), 0usize..3).prop_map(
        |((id, settings, rounds, end, text), lens, dropped)| {
            let run = RunId(id.into());
            let begin = Entry::Run {
                run,
                prompt: Prompt::Text(text),
                settings,
            };
            let rounds = rounds.into_iter().enumerate().map(|(index, round)| {
                let mut made = round;
                made.index = index;
                made
            });
            let rounds = rounds.map(|round| Entry::Round {
                run,
                round: Box::new(round),
            });
            let end = end.map(|end| Entry::End { run, end });
            let lens = lens.map(|lens| Entry::Lens { run, lens });
            let dropped = (dropped > 0).then_some(Entry::Dropped {
                run,
                messages: dropped,
            });
            [begin]
                .into_iter()
                .chain(dropped)
                .chain(rounds)
                .chain(end)
                .chain(lens)
                .collect()
        },
    );
    prop_oneof![
        3 => run,
        3 => any_text().prop_map(|text| vec![Entry::User(text)]),
        1 => any_text().prop_map(|text| vec![Entry::Assistant(text)]),
        1 => any_text().prop_map(|text| vec![Entry::Title(text)]),
        1 => any_text().prop_map(|text| vec![Entry::System(text)]),
        1 => any_model().prop_map(|model| vec![Entry::Model(model)]),
        1 => any_settings().prop_map(|settings| vec![Entry::Settings(settings)]),
        1 => prop_oneof![Just(Mode::Chat), Just(Mode::Completion)].prop_map(|mode| vec![Entry::Mode(mode)]),
        2 => Just(vec![Entry::Retry]),
        1 => (0usize..6, 0usize..3).prop_map(|(turn, answer)| vec![Entry::Show { turn, answer }]),
        1 => vec(any_text(), 0..3).prop_map(|texts| vec![Entry::Queued(texts)]),
        1 => (any_model(), any_settings(), vec(any_round(), 0..4)).prop_map(|(model, settings, rounds)| {
            let mut timings = crate::engine::decode::Timings::default();
            rounds.iter().for_each(|round| timings.add(round));
            let model = Some(model);
            vec![Entry::Race(Box::new(super::Race { model, speed_up: 1.25, settings, timings }))]
        }),
        1 => (0usize..6).prop_map(|turns| vec![Entry::Truncate(turns)]),
    ]
}

/// The entries of a whole session.
pub fn any_entries() -> impl Strategy<Value = Vec<Entry>> {
    vec(any_happening(), 0..10).prop_map(|happenings| happenings.concat())
}

/// A journal with `entries` in a new folder, in full detail.
pub fn journal_of(entries: Vec<Entry>) -> (tempfile::TempDir, super::Journal) {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = super::Journal::begin(&Store::at(folder.path()));
    journal.set_detail(Detail::Layers);
    for (at, entry) in entries.into_iter().enumerate() {
        journal
            .append_at(entry, 1_700_000_000_000 + at as u64)
            .unwrap();
    }
    (folder, journal)
}

/// Any session that a journal can contain.
pub fn any_session() -> impl Strategy<Value = Session> {
    any_entries().prop_map(|entries| journal_of(entries).1.session().clone())
}

/// A small conversation with a round of every kind, for example-based tests.
pub fn sample() -> Session {
    let run = RunId(4);
    let draft = |id, text: &str, p: f32| DraftToken {
        p_verify: Some(p / 2.0),
        ..DraftToken::new(id, text, p)
    };
    let last = |id, text: &str, origin| ClosingToken {
        p_draft: (origin == Origin::Corrected).then_some(0.125),
        ..ClosingToken::new(id, text, origin, 0.75)
    };
    let round = |index, drafted: Vec<DraftToken>, accepted, last| {
        let settings = Settings::default();
        let (draft_seconds, verify_seconds) = (0.25 * drafted.len() as f64, 0.5);
        let tokens = RoundTokens::chain(drafted, accepted, Some(last));
        {
            let mut made = Round::new(index, 9 + 3 * index, settings, tokens);
            made.controller_note = (index % 2 == 1).then(|| "K follows acceptance: 3.5".to_owned());
            made.draft_seconds = draft_seconds;
            made.verify_seconds = verify_seconds;
            made
        }
    };
    let rounds = [
        round(
            0,
            vec![draft(11, "The", 0.5), draft(12, " sky", 1.0)],
            2,
            last(13, " is", Origin::Bonus),
        ),
        round(
            1,
            vec![draft(14, " green", 0.5), draft(15, ".", 0.5)],
            0,
            last(16, " <blue>", Origin::Corrected),
        ),
        {
            let mut made = round(2, vec![], 0, last(17, ".\x1b[31m", Origin::Plain));
            made.stop = Some(StopReason::Eos);
            made
        },
    ];
    let stats = crate::engine::decode::Stats {
        prefill_seconds: 0.5,
        prefill_tokens: 9,
        ..Default::default()
    };
    let begin = [
        Entry::Model(ModelRecord {
            name: "SmolLM2".into(),
            num_layers: 30,
            ..Default::default()
        }),
        Entry::System("Be brief.".into()),
        Entry::User("Which colour is the sky?".into()),
    ];
    let (_folder, mut journal) = journal_of(begin.into());
    let prompt = Prompt::Chat(journal.session().messages());
    let entries = [Entry::Run {
        run,
        prompt,
        settings: Settings::default(),
    }]
    .into_iter()
    .chain(rounds.into_iter().map(|round| Entry::Round {
        run,
        round: Box::new(round),
    }))
    .chain([Entry::End {
        run,
        end: RunEnd::finished(StopReason::Eos, &stats, 3),
    }]);
    entries.for_each(|entry| journal.append_at(entry, 1_700_000_001_000).unwrap());
    let header = line::Header::new("20231114-221320-000-00000".into(), 1_700_000_000_000);
    Session {
        header,
        ..journal.session().clone()
    }
}
