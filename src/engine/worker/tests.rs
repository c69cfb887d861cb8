//! Tests of the worker through commands and events, with a small random model.

use super::*;
use crate::engine::Progress;
use crate::engine::config::LlamaConfig;
use crate::engine::decode::{CostModel, Forecast, LensRow, Settings, Stats, StopReason, Strategy};
use crate::engine::loaded_model::{LoadedModel, ModelRequest};
use crate::engine::model::random;
use crate::engine::prompt::{Message, Prompt, Role};
use crate::engine::{Error, ErrorKind, Result};
use candle_core::Device;
use candle_core::quantized::GgmlDType;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::unbounded_channel;

fn random_model() -> Result<LoadedModel> {
    let config = LlamaConfig {
        context_length: 4096,
        ..random::small()
    };
    let mut checkpoint = random::checkpoint(&config, GgmlDType::F32, 3)?;
    checkpoint.end_tokens.clear();
    LoadedModel::from_checkpoint(&checkpoint, &Device::Cpu, Some(1), &mut |_, _| {})
}

/// Loads the random model, unless the name is `missing`, `endless`, `stalled` or `faulty`.
fn worker() -> Worker {
    spawn_with(load).unwrap()
}

fn load(request: &ModelRequest, progress: &mut Progress) -> Result<LoadedModel> {
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
        Some(_) => panic!("a deliberate panic"),
        None => random_model(),
    }
}

fn loaded() -> Worker {
    let mut worker = worker();
    tell(&worker, Command::Load(ModelRequest::default()));
    until(&mut worker, is_loaded);
    worker
}

fn tell(worker: &Worker, command: Command) {
    worker.commands.send(command).unwrap();
}

/// All events up to and including the first for which `last` holds.
fn until(worker: &mut Worker, last: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let event = worker.events.blocking_recv().expect("the worker runs");
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
    start(run, Task::Generate(Prompt::Text("Once".into())), settings)
}

fn start(run: u64, task: Task, settings: Settings) -> Command {
    Command::Start {
        run: RunId(run),
        conversation: ConversationId::default(),
        task,
        settings: Arc::new(settings),
    }
}

fn ended(event: &Event) -> bool {
    matches!(
        event,
        Event::Run(_, RunEvent::Finished { .. } | RunEvent::Failed(_))
    )
}

fn is_loaded(event: &Event) -> bool {
    matches!(event, Event::Model(ModelEvent::Loaded { .. }))
}

fn tokens(events: &[Event]) -> Vec<u32> {
    let rounds = events.iter().filter_map(|event| match event {
        Event::Run(_, RunEvent::Round(round)) => Some(round),
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
    let Some(Event::Run(run, RunEvent::Finished { reason, stats })) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!((run, reason), (&RunId(7), &StopReason::MaxSteps));
    let rounds = events.iter().filter_map(|e| {
        if let Event::Run(_, RunEvent::Round(round)) = e {
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
        .filter(|event| matches!(event, Event::Run(_, RunEvent::Drafted { .. })))
        .count();
    assert_eq!(drafted, stats.drafted);
}

#[test]
fn changing_settings_during_a_run_does_not_change_the_text() {
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
            Command::Settings {
                run: RunId(2),
                settings: Arc::new(Settings {
                    exit_layer: 1 + i % 3,
                    num_speculations: 1 + i % 5,
                    ..settings(60)
                }),
            },
        );
        let events = until(&mut worker, |event| {
            matches!(event, Event::Run(_, RunEvent::Round(_))) || ended(event)
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
    until(&mut worker, |event| {
        matches!(event, Event::Run(_, RunEvent::Round(_)))
    });
    tell(&worker, Command::Cancel { run: RunId(1) });
    let events = until(&mut worker, ended);
    assert!(matches!(
        events.last(),
        Some(Event::Run(
            _,
            RunEvent::Finished {
                reason: StopReason::Cancelled,
                ..
            }
        ))
    ));
    tell(&worker, Command::Cancel { run: RunId(1) });
    tell(&worker, generate(2, settings(5)));
    assert_eq!(tokens(&until(&mut worker, ended)).len(), 5);
}

#[test]
fn a_paused_run_advances_phase_by_phase() {
    let mut worker = loaded();
    tell(&worker, generate(1, settings(100_000)));
    tell(&worker, Command::Pause { run: RunId(1) });
    until(&mut worker, |event| {
        matches!(event, Event::Run(_, RunEvent::Paused))
    });
    let mut verified = 0;
    while verified < 3 {
        tell(&worker, Command::Step { run: RunId(1) });
        let events = until(&mut worker, |event| {
            matches!(event, Event::Run(_, RunEvent::Paused))
        });
        let reports = events.len() - 1;
        assert_eq!(reports, 1, "one phase, one report: {events:?}");
        verified += usize::from(matches!(events[0], Event::Run(_, RunEvent::Round(_))));
    }
    tell(&worker, Command::Resume { run: RunId(1) });
    until(&mut worker, |event| {
        matches!(event, Event::Run(_, RunEvent::Round(_)))
    });
    tell(&worker, Command::Cancel { run: RunId(1) });
    until(&mut worker, ended);
}

#[test]
fn errors_and_panics_are_reported_and_survived() {
    let mut worker = worker();
    tell(&worker, generate(1, settings(5)));
    assert!(matches!(
        until(&mut worker, ended).last(),
        Some(Event::Run(_, RunEvent::Failed(_)))
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
            |event| matches!(event, Event::Model(ModelEvent::Failed(failure)) if !failure.message.is_empty()),
        );
    }
    tell(&worker, Command::Load(ModelRequest::default()));
    until(&mut worker, is_loaded);
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
        matches!(events.last(), Some(Event::Run(_, RunEvent::Failed(failure)))
            if failure.message.contains("1 to 3") && failure.kind == ErrorKind::Input)
    );
    tell(&worker, generate(3, settings(5)));
    assert!(matches!(
        until(&mut worker, ended).last(),
        Some(Event::Run(_, RunEvent::Finished { .. }))
    ));
    tell(&worker, Command::Shutdown);
    worker.thread.join().unwrap();
}

#[test]
fn both_lanes_of_a_race_generate_the_same_text() {
    let mut worker = loaded();
    tell(
        &worker,
        start(
            4,
            Task::Race {
                prompt: Prompt::Text("Once".into()),
                against: None,
            },
            settings(40),
        ),
    );
    let events = until(&mut worker, ended);
    let lane = |wanted: Lane| -> Vec<u32> {
        let rounds = events.iter().filter_map(|event| match event {
            Event::Run(_, RunEvent::Race { lane, round }) if *lane == wanted => Some(round),
            _ => None,
        });
        rounds
            .flat_map(|round| round.kept().map(|token| token.id))
            .collect()
    };
    assert_eq!(lane(Lane::Reference).len(), 40);
    assert_eq!(lane(Lane::Reference), lane(Lane::Challenger));
}

/// Every pair is answered once, plain decoding first, and all answers are the same text: drafts only change the speed.
#[test]
fn a_sweep_reports_every_pair_and_can_be_cancelled() {
    let mut worker = loaded();
    let pairs = vec![(1, 1), (1, 3), (2, 2)];
    let sweep = |pairs| Task::Sweep {
        prompt: Prompt::Text("Once".into()),
        pairs,
    };
    tell(&worker, start(1, sweep(pairs.clone()), settings(24)));
    let events = until(&mut worker, ended);
    let cells: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Run(_, RunEvent::Sweep(cell)) => Some(cell),
            _ => None,
        })
        .collect();
    let found: Vec<_> = cells.iter().map(|cell| cell.pair).collect();
    let plain = std::iter::once(None);
    let wanted: Vec<_> = plain.chain(pairs.into_iter().map(Some)).collect();
    assert_eq!(found, wanted);
    assert!(cells.iter().all(|cell| cell.stats.tokens == 24));
    tell(&worker, start(2, sweep(vec![(1, 1); 10_000]), settings(24)));
    tell(&worker, Command::Cancel { run: RunId(2) });
    let events = until(&mut worker, ended);
    assert!(matches!(
        events.last(),
        Some(Event::Run(
            RunId(2),
            RunEvent::Finished {
                reason: StopReason::Cancelled,
                ..
            }
        ))
    ));
}

/// What a lens of an answer reports until it is complete.
fn lens(worker: &mut Worker, of: usize) -> (Vec<LensRow>, CostModel) {
    let (mut rows, mut measured) = (Vec::new(), CostModel::default());
    while rows.len() < of {
        let events = until(worker, |event| {
            matches!(event, Event::Run(_, RunEvent::Lens { .. }))
        });
        if let Some(Event::Run(
            _,
            RunEvent::Lens {
                rows: more,
                of: total,
                costs,
            },
        )) = events.into_iter().next_back()
        {
            assert_eq!(total, of);
            rows.extend(more);
            measured = costs;
        }
    }
    (rows, measured)
}

#[test]
fn the_lens_covers_the_generated_text() {
    let mut worker = loaded();
    tell(&worker, generate(1, settings(40)));
    let generated = until(&mut worker, ended);
    tell(&worker, start(1, Task::Lens, settings(40)));
    let (rows, costs) = lens(&mut worker, 40);
    assert_eq!(
        rows.iter().map(|row| row.id).collect::<Vec<_>>(),
        tokens(&generated)
    );
    let found = Stats::of(generated.iter().filter_map(|e| {
        if let Event::Run(_, RunEvent::Round(round)) = e {
            Some(&**round)
        } else {
            None
        }
    }));
    let forecast = Forecast::of(&rows, 2, 4, &costs);
    assert_eq!(
        (forecast.drafted, forecast.accepted),
        (found.drafted, found.accepted)
    );
    assert!(forecast.speed > 0.0);
}

/// The engine reads an answer that it did not generate in this conversation.
#[test]
fn the_lens_of_a_read_answer_is_that_of_the_generated_one() {
    let mut worker = loaded();
    tell(&worker, generate(1, settings(40)));
    let generated = until(&mut worker, ended);
    tell(&worker, start(1, Task::Lens, settings(40)));
    let (expected, _) = lens(&mut worker, 40);
    tell(&worker, generate(2, settings(3)));
    until(&mut worker, ended);
    let Command::Start {
        task: Task::Generate(prompt),
        ..
    } = generate(1, settings(40))
    else {
        panic!("not a generation");
    };
    let answer = tokens(&generated);
    let of = Task::LensOf { prompt, answer };
    tell(&worker, start(3, of, settings(40)));
    assert_eq!(lens(&mut worker, 40).0, expected);
    // Then it is the last run, which can be asked about again.
    tell(&worker, start(3, Task::Lens, settings(40)));
    assert_eq!(lens(&mut worker, 40).0, expected);
}

/// A lens reports no more parts than there are permits, continues with each further one, and can be ended while it waits.
#[test]
fn a_paced_lens_waits_for_permits_and_can_be_cancelled() {
    let permits = Arc::new(Semaphore::new(2));
    let mut worker = spawn_paced(load, permits.clone()).unwrap();
    tell(&worker, Command::Load(ModelRequest::default()));
    tell(&worker, generate(1, settings(100)));
    until(&mut worker, ended);
    tell(&worker, start(1, Task::Lens, settings(100)));
    let is_part = |event: &Event| matches!(event, Event::Run(_, RunEvent::Lens { .. }));
    let mut rows = 0;
    for part in 0..4 {
        let Some(Event::Run(_, RunEvent::Lens { rows: more, .. })) =
            until(&mut worker, is_part).pop()
        else {
            panic!("not a part");
        };
        rows += more.len();
        // Two permits existed from the start.
        if part > 0 {
            permits.add_permits(1);
        }
    }
    assert_eq!(rows, 4 * 16);
    // A permit for the fifth part is there. Without any more, a new run of the conversation ends the lens.
    until(&mut worker, is_part);
    assert_eq!(permits.available_permits(), 0);
    tell(&worker, generate(2, settings(10)));
    let events = until(&mut worker, ended);
    assert!(!events.iter().any(is_part), "{events:?}");
    assert_eq!(tokens(&events).len(), 10);
    // Dropping the worker's owner ends it as well.
    permits.add_permits(1);
    tell(&worker, start(2, Task::Lens, settings(10)));
    tell(&worker, start(2, Task::Lens, settings(10)));
    until(&mut worker, is_part);
    let Worker {
        commands, thread, ..
    } = worker;
    drop(commands);
    thread.join().unwrap();
}

/// A download can be abandoned at once, even if it stalls, and the worker continues.
#[test]
fn a_load_can_be_abandoned() {
    for name in ["endless", "stalled"] {
        let mut worker = worker();
        tell(
            &worker,
            Command::Load(ModelRequest {
                model: Some(name.into()),
                ..ModelRequest::default()
            }),
        );
        until(&mut worker, |event| {
            matches!(event, Event::Model(ModelEvent::Loading { .. }))
        });
        tell(&worker, Command::CancelLoad);
        until(&mut worker, |event| {
            *event == Event::Model(ModelEvent::Cancelled)
        });
        tell(&worker, Command::Load(ModelRequest::default()));
        until(&mut worker, is_loaded);
        tell(&worker, Command::CancelLoad);
        tell(&worker, generate(1, settings(5)));
        assert_eq!(tokens(&until(&mut worker, ended)).len(), 5);
    }
}

#[test]
fn a_new_load_replaces_the_current_one() {
    let mut worker = worker();
    tell(
        &worker,
        Command::Load(ModelRequest {
            model: Some("endless".into()),
            ..ModelRequest::default()
        }),
    );
    until(&mut worker, |event| {
        matches!(event, Event::Model(ModelEvent::Loading { .. }))
    });
    tell(&worker, Command::Load(ModelRequest::default()));
    let events = until(&mut worker, is_loaded);
    assert!(!events.contains(&Event::Model(ModelEvent::Cancelled)));
}

/// Events of a run go to the client that started it, and not to the worker's owner.
#[test]
fn a_run_reports_to_its_own_sender() {
    let mut worker = loaded();
    let (sender, mut own) = unbounded_channel();
    let command = generate(1, settings(5));
    worker.commands.send_with(command, sender).unwrap();
    tell(&worker, generate(2, settings(3)));
    let theirs = until(&mut worker, ended);
    assert!(
        theirs
            .iter()
            .all(|event| matches!(event, Event::Run(RunId(2), _)))
    );
    let mut events = Vec::new();
    while let Ok(event) = own.try_recv() {
        events.push(event);
    }
    assert!(
        events
            .iter()
            .all(|event| matches!(event, Event::Run(RunId(1), _)))
    );
    // The second run, in the same conversation, may have ended the first one early.
    assert!(events.last().is_some_and(ended));
}

/// A run ends if its receiver is dropped because the client hung up.
#[test]
fn a_run_without_a_receiver_ends() {
    let mut worker = loaded();
    let (sender, own) = unbounded_channel();
    drop(own);
    let endless = generate(1, settings(1_000_000));
    worker.commands.send_with(endless, sender).unwrap();
    tell(&worker, in_conversation(7, generate(2, settings(3))));
    assert_eq!(tokens(&until(&mut worker, ended)).len(), 3);
}

fn in_conversation(name: u64, command: Command) -> Command {
    let Command::Start {
        run,
        task,
        settings,
        ..
    } = command
    else {
        panic!("{command:?}")
    };
    Command::Start {
        run,
        conversation: ConversationId(name),
        task,
        settings,
    }
}

/// Runs of other conversations wait, and each conversation keeps its own cache.
#[test]
fn conversations_take_turns_and_keep_their_caches() {
    let mut worker = loaded();
    let prompt = |text: &str| Task::Generate(Prompt::Text(text.into()));
    for turn in 0..2 {
        for conversation in 0..2 {
            let text = ["A first conversation", "Something else"][conversation as usize];
            let command = start(2 * turn + conversation, prompt(text), settings(6));
            tell(&worker, in_conversation(conversation, command));
        }
        for conversation in 0..2 {
            let events = until(&mut worker, ended);
            assert_eq!(tokens(&events).len(), 6);
            let Some(Event::Run(run, RunEvent::Finished { stats, .. })) = events.last() else {
                panic!("{events:?}")
            };
            assert_eq!(run.0, 2 * turn + conversation);
            assert_eq!(stats.prefill_tokens == 0, turn == 1, "{stats:?}");
        }
    }
    tell(
        &worker,
        Command::Forget {
            conversation: ConversationId(0),
        },
    );
    tell(
        &worker,
        start(9, prompt("A first conversation"), settings(2)),
    );
    let events = until(&mut worker, ended);
    assert!(
        matches!(events.last(), Some(Event::Run(_, RunEvent::Finished { stats, .. }))
        if stats.prefill_tokens > 0)
    );
}

/// Commands for a run that has not started yet apply when it starts.
#[test]
fn a_waiting_run_can_be_changed_and_cancelled() {
    let mut worker = loaded();
    tell(&worker, generate(1, settings(100_000)));
    until(&mut worker, |event| {
        matches!(event, Event::Run(_, RunEvent::Round(_)))
    });
    for run in [2, 3] {
        tell(&worker, in_conversation(run, generate(run, settings(50))));
    }
    tell(&worker, Command::Cancel { run: RunId(2) });
    let fewer = Arc::new(settings(4));
    tell(
        &worker,
        Command::Settings {
            run: RunId(3),
            settings: fewer,
        },
    );
    tell(&worker, Command::Cancel { run: RunId(1) });
    let is_end =
        |event: &Event, id| ended(event) && matches!(event, Event::Run(run, _) if run.0 == id);
    until(&mut worker, |event| is_end(event, 1));
    let second = until(&mut worker, |event| is_end(event, 2));
    assert!(tokens(&second).is_empty());
    let third = until(&mut worker, |event| is_end(event, 3));
    assert_eq!(tokens(&third).len(), 4);
}

#[test]
fn texts_are_scored_at_any_depth() {
    let mut worker = loaded();
    let mut scores = |exit_layer| {
        let task = Task::Score {
            prompt: Prompt::Tokens(vec![5, 6, 7, 8, 9]),
            from: 2,
            exit_layer,
            top: 1,
        };
        tell(&worker, start(1, task, settings(1)));
        let events = until(&mut worker, |event| {
            ended(event) || matches!(event, Event::Run(_, RunEvent::Scores(_)))
        });
        match events.into_iter().next_back() {
            Some(Event::Run(_, RunEvent::Scores(scores))) => scores,
            other => panic!("{other:?}"),
        }
    };
    let (all, early) = (scores(None), scores(Some(1)));
    assert_eq!(
        all.iter().map(|score| score.id).collect::<Vec<_>>(),
        [7, 8, 9]
    );
    assert_ne!(all, early);
}

/// Commands and events can be sent over a socket.
#[test]
fn commands_and_events_can_be_serialised() {
    let mut worker = loaded();
    let commands = [
        generate(1, settings(4)),
        start(
            2,
            Task::Race {
                prompt: Prompt::Text("a".into()),
                against: None,
            },
            settings(3),
        ),
        Command::Cancel { run: RunId(9) },
        Command::Forget {
            conversation: ConversationId(4),
        },
    ];
    let json = serde_json::to_string(&commands).unwrap();
    let back: Vec<Command> = serde_json::from_str(&json).unwrap();
    assert_eq!(back, commands);
    back.into_iter().for_each(|command| tell(&worker, command));
    let mut events = until(&mut worker, ended);
    events.extend(until(&mut worker, ended));
    for event in events {
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
    }
}

/// A conversation that outgrows the context loses its oldest turns, unless it is to be answered whole.
#[test]
fn the_oldest_turns_are_left_out_of_a_conversation_that_is_too_long() {
    let mut worker = spawn_with(|_: &ModelRequest, _: &mut Progress| {
        let config = LlamaConfig {
            context_length: 256,
            ..random::small()
        };
        let mut checkpoint = random::checkpoint(&config, GgmlDType::F32, 3)?;
        checkpoint.end_tokens.clear();
        let template = "{% for m in messages %}{{ m.content }}\n{% endfor %}";
        checkpoint.text.chat_template = Some(template.into());
        LoadedModel::from_checkpoint(&checkpoint, &Device::Cpu, Some(1), &mut |_, _| {})
    })
    .unwrap();
    tell(&worker, Command::Load(ModelRequest::default()));
    until(&mut worker, is_loaded);
    let say = |role, length| Message {
        role,
        content: "x".repeat(length),
    };
    let conversation = vec![
        say(Role::System, 20),
        say(Role::User, 60),
        say(Role::Assistant, 60),
        say(Role::User, 50),
        say(Role::Assistant, 50),
        say(Role::User, 30),
    ];
    let dropped = |events: &[Event]| {
        events.iter().find_map(|event| match event {
            Event::Run(_, RunEvent::Dropped { messages }) => Some(*messages),
            _ => None,
        })
    };
    let task = Task::Generate(Prompt::Chat(conversation.clone()));
    tell(&worker, start(1, task, settings(20)));
    let events = until(&mut worker, ended);
    assert_eq!(dropped(&events), Some(2));
    assert_eq!(tokens(&events).len(), 20);
    // The answer may take what room there is.
    let task = Task::Generate(Prompt::Chat(conversation.clone()));
    tell(&worker, start(2, task, settings(4000)));
    let events = until(&mut worker, ended);
    let reason = StopReason::ContextFull;
    assert!(
        matches!(events.last(), Some(Event::Run(_, RunEvent::Finished { reason: r, .. })) if *r == reason),
        "{:?}",
        events.last()
    );
    let whole = Task::GenerateWhole(Prompt::Chat(conversation));
    tell(&worker, start(3, whole, settings(20)));
    let events = until(&mut worker, ended);
    let Some(Event::Run(_, RunEvent::Failed(failure))) = events.last() else {
        panic!("{:?}", events.last());
    };
    assert_eq!(failure.kind, ErrorKind::ContextExceeded);
    assert!(!failure.message.contains("shorten"), "{}", failure.message);
}
