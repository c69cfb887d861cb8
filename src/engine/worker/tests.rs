//! The worker as its owner meets it, on a small random model.

use super::*;
use crate::engine::Progress;
use crate::engine::config::{LlamaConfig, RopeScaling};
use crate::engine::decode::{Forecast, Settings, Stats, StopReason, Strategy};
use crate::engine::loaded_model::{LoadedModel, ModelRequest};
use crate::engine::model::random;
use crate::engine::prompt::Prompt;
use crate::engine::{Error, Result};
use candle_core::Device;
use candle_core::quantized::GgmlDType;
use std::time::Duration;

fn random_model() -> Result<LoadedModel> {
    let config = LlamaConfig {
        vocab_size: 300,
        hidden_size: 64,
        intermediate_size: 96,
        num_layers: 4,
        num_heads: 4,
        num_kv_heads: 2,
        head_dim: 16,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        context_length: 4096,
        tie_word_embeddings: true,
    };
    let mut checkpoint = random::checkpoint(&config, GgmlDType::F32, 3)?;
    checkpoint.end_tokens.clear();
    LoadedModel::from_checkpoint(&checkpoint, &Device::Cpu, Some(1), &mut |_, _| {})
}

/// Loads the random model, except when asked for one named `missing`, `endless`, `stalled` or `faulty`.
fn worker() -> Worker {
    let worker = spawn_with(|request: &ModelRequest, progress: &mut Progress| {
        match request.model.as_deref() {
            Some("missing") => Err(Error::Model("no such model".into())),
            Some("endless") => loop {
                progress("downloading", Some(0.5));
                std::thread::sleep(Duration::from_millis(1));
            },
            Some("stalled") => {
                progress("downloading", None);
                std::thread::sleep(Duration::from_secs(3600));
                random_model()
            }
            Some(_) => panic!("a fault on purpose"),
            None => random_model(),
        }
    });
    worker.unwrap()
}

fn loaded() -> Worker {
    let mut worker = worker();
    tell(&worker, Command::Load(ModelRequest::default()));
    until(&mut worker, |event| matches!(event, Event::Loaded(_)));
    worker
}

fn tell(worker: &Worker, command: Command) {
    worker.commands.send(command).unwrap();
}

/// All events up to and with the first that `last` holds for.
fn until(worker: &mut Worker, last: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let event = worker.events.blocking_recv().expect("the worker lives");
        let found = last(&event);
        events.push(event);
        if found {
            return events;
        }
    }
}

fn settings(max_steps: usize) -> Settings {
    Settings {
        exit_layer: 2,
        max_steps,
        ..Settings::default()
    }
}

fn generate(run: u64, settings: Settings) -> Command {
    Command::Generate {
        run: RunId(run),
        prompt: Prompt::Text("Once".into()),
        settings,
    }
}

fn ended(event: &Event) -> bool {
    matches!(event, Event::Finished { .. } | Event::Failed { .. })
}

fn tokens(events: &[Event]) -> Vec<u32> {
    let rounds = events.iter().filter_map(|event| match event {
        Event::Round { round, .. } => Some(round),
        _ => None,
    });
    rounds
        .flat_map(|round| round.kept().map(|token| token.id))
        .collect()
}

#[test]
fn a_generation_reports_every_round_and_how_it_ended() {
    let mut worker = loaded();
    tell(&worker, generate(7, settings(30)));
    let events = until(&mut worker, ended);
    assert_eq!(tokens(&events).len(), 30);
    let Some(Event::Finished { run, reason, stats }) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!((run, reason), (&RunId(7), &StopReason::MaxSteps));
    let rounds = events.iter().filter_map(|e| {
        if let Event::Round { round, .. } = e {
            Some(&**round)
        } else {
            None
        }
    });
    let counted = Stats::of(rounds);
    assert_eq!(
        (stats.drafted, stats.accepted, stats.tokens),
        (counted.drafted, counted.accepted, counted.tokens)
    );
    let drafted = events
        .iter()
        .filter(|event| matches!(event, Event::Drafted { .. }))
        .count();
    assert_eq!(drafted, stats.drafted);
}

#[test]
fn settings_that_change_on_the_way_never_change_the_words() {
    let mut worker = loaded();
    tell(
        &worker,
        generate(
            1,
            Settings {
                strategy: Strategy::Autoregressive,
                ..settings(60)
            },
        ),
    );
    let want = tokens(&until(&mut worker, ended));
    tell(&worker, generate(2, settings(60)));
    let mut got = Vec::new();
    for i in 0.. {
        tell(
            &worker,
            Command::Settings(Settings {
                exit_layer: 1 + i % 3,
                num_speculations: 1 + i % 5,
                ..settings(60)
            }),
        );
        let events = until(&mut worker, |event| {
            matches!(event, Event::Round { .. }) || ended(event)
        });
        got.extend(tokens(&events));
        if events.last().is_some_and(ended) {
            break;
        }
    }
    assert_eq!(got, want);
}

#[test]
fn cancelling_ends_a_run_and_keeps_the_worker() {
    let mut worker = loaded();
    tell(&worker, generate(1, settings(100_000)));
    until(&mut worker, |event| matches!(event, Event::Round { .. }));
    tell(&worker, Command::Cancel(RunId(1)));
    let events = until(&mut worker, ended);
    assert!(matches!(
        events.last(),
        Some(Event::Finished {
            reason: StopReason::Cancelled,
            ..
        })
    ));
    tell(&worker, Command::Cancel(RunId(1)));
    tell(&worker, generate(2, settings(5)));
    assert_eq!(tokens(&until(&mut worker, ended)).len(), 5);
}

#[test]
fn a_paused_run_goes_on_phase_by_phase() {
    let mut worker = loaded();
    tell(&worker, generate(1, settings(100_000)));
    tell(&worker, Command::Pause);
    until(&mut worker, |event| matches!(event, Event::Paused { .. }));
    let mut verified = 0;
    while verified < 3 {
        tell(&worker, Command::Step);
        let events = until(&mut worker, |event| matches!(event, Event::Paused { .. }));
        let told = events.len() - 1;
        assert_eq!(told, 1, "one phase, one report: {events:?}");
        verified += usize::from(matches!(events[0], Event::Round { .. }));
    }
    tell(&worker, Command::Resume);
    until(&mut worker, |event| matches!(event, Event::Round { .. }));
    tell(&worker, Command::Cancel(RunId(1)));
    until(&mut worker, ended);
}

#[test]
fn faults_and_panics_are_reported_and_survived() {
    let mut worker = worker();
    tell(&worker, generate(1, settings(5)));
    assert!(matches!(
        until(&mut worker, ended).last(),
        Some(Event::Failed { .. })
    ));
    for name in ["missing", "faulty"] {
        tell(
            &worker,
            Command::Load(ModelRequest {
                model: Some(name.into()),
                ..ModelRequest::default()
            }),
        );
        until(
            &mut worker,
            |event| matches!(event, Event::LoadFailed(message) if !message.is_empty()),
        );
    }
    tell(&worker, Command::Load(ModelRequest::default()));
    until(&mut worker, |event| matches!(event, Event::Loaded(_)));
    tell(
        &worker,
        generate(
            2,
            Settings {
                exit_layer: 9,
                ..settings(5)
            },
        ),
    );
    let events = until(&mut worker, ended);
    assert!(
        matches!(events.last(), Some(Event::Failed { message, .. }) if message.contains("1 to 3"))
    );
    tell(&worker, generate(3, settings(5)));
    assert!(matches!(
        until(&mut worker, ended).last(),
        Some(Event::Finished { .. })
    ));
    tell(&worker, Command::Shutdown);
    worker.thread.join().unwrap();
}

#[test]
fn a_race_writes_the_same_text_twice() {
    let mut worker = loaded();
    tell(
        &worker,
        Command::Race {
            run: RunId(4),
            prompt: Prompt::Text("Once".into()),
            settings: settings(40),
        },
    );
    let events = until(&mut worker, ended);
    let lane = |wanted: Lane| -> Vec<u32> {
        let rounds = events.iter().filter_map(|event| match event {
            Event::Race { lane, round, .. } if *lane == wanted => Some(round),
            _ => None,
        });
        rounds
            .flat_map(|round| round.kept().map(|token| token.id))
            .collect()
    };
    assert_eq!(lane(Lane::Autoregressive).len(), 40);
    assert_eq!(lane(Lane::Autoregressive), lane(Lane::SelfSpeculative));
}

#[test]
fn the_lens_covers_the_generated_text() {
    let mut worker = loaded();
    tell(&worker, generate(1, settings(40)));
    let generated = until(&mut worker, ended);
    tell(
        &worker,
        Command::Lens {
            run: RunId(1),
            settings: settings(40),
        },
    );
    let (mut rows, mut costs) = (Vec::new(), None);
    while rows.len() < 40 {
        let events = until(&mut worker, |event| matches!(event, Event::Lens { .. }));
        if let Some(Event::Lens {
            rows: more,
            of,
            costs: c,
            ..
        }) = events.into_iter().next_back()
        {
            assert_eq!(of, 40);
            rows.extend(more);
            costs = Some(c);
        }
    }
    assert_eq!(
        rows.iter().map(|row| row.id).collect::<Vec<_>>(),
        tokens(&generated)
    );
    let found = Stats::of(generated.iter().filter_map(|e| {
        if let Event::Round { round, .. } = e {
            Some(&**round)
        } else {
            None
        }
    }));
    let forecast = Forecast::of(&rows, 2, 4, &costs.unwrap());
    assert_eq!(
        (forecast.drafted, forecast.accepted),
        (found.drafted, found.accepted)
    );
    assert!(forecast.speed > 0.0);
}

/// Whether the download runs or stands still, giving it up takes no time, and the worker goes on.
#[test]
fn a_load_can_be_given_up() {
    for name in ["endless", "stalled"] {
        let mut worker = worker();
        tell(
            &worker,
            Command::Load(ModelRequest {
                model: Some(name.into()),
                ..ModelRequest::default()
            }),
        );
        until(&mut worker, |event| matches!(event, Event::Loading { .. }));
        tell(&worker, Command::CancelLoad);
        until(&mut worker, |event| *event == Event::LoadCancelled);
        tell(&worker, Command::Load(ModelRequest::default()));
        until(&mut worker, |event| matches!(event, Event::Loaded(_)));
        tell(&worker, Command::CancelLoad);
        tell(&worker, generate(1, settings(5)));
        assert_eq!(tokens(&until(&mut worker, ended)).len(), 5);
    }
}

#[test]
fn another_load_takes_the_place_of_one_under_way() {
    let mut worker = worker();
    tell(
        &worker,
        Command::Load(ModelRequest {
            model: Some("endless".into()),
            ..ModelRequest::default()
        }),
    );
    until(&mut worker, |event| matches!(event, Event::Loading { .. }));
    tell(&worker, Command::Load(ModelRequest::default()));
    let events = until(&mut worker, |event| matches!(event, Event::Loaded(_)));
    assert!(!events.contains(&Event::LoadCancelled));
}
