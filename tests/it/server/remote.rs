//! Engines over a WebSocket: the same as a local engine, whatever the network and the other side do.

use super::{Served, options};
use serde_json::{Value, json};
use skiplens::engine::decode::{Controller, Proposers, Round, Settings, StopReason, Strategy};
use skiplens::engine::loaded_model::{ModelInfo, ModelRequest};
use skiplens::engine::prompt::Prompt;
use skiplens::engine::sampling::Sampling;
use skiplens::engine::weights::ModelChoice;
use skiplens::engine::worker::{
    self, Command, ConversationId, Event, Lane, ModelEvent, RunEvent, RunId, Task,
};
use skiplens::remote::{Client, Heartbeat, Mode, Notice, Report, Said, Target};
use skiplens::server::Options;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_tungstenite::tungstenite::{self, Message};

/// Timeout of every wait; generous, because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

fn target(address: SocketAddr) -> Target {
    Target {
        address: format!("http://{address}/v1").parse().unwrap(),
        api_key: None,
        mode: Mode::Engine,
        heartbeat: Heartbeat::default(),
    }
}

/// The next notice of a client.
fn next(client: &mut Client) -> Notice {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let notice = runtime.block_on(async { tokio::time::timeout(PATIENCE, client.next()).await });
    notice
        .expect("a notice in time")
        .expect("a client that lives")
}

/// The next notice that is `wanted`; others are skipped.
fn until<T>(client: &mut Client, wanted: impl Fn(Notice) -> Option<T>) -> T {
    loop {
        if let Some(found) = wanted(next(client)) {
            return found;
        }
    }
}

fn event(notice: Notice) -> Option<Event> {
    match notice {
        Notice::Report(report) => match *report {
            Report::Event(event) => Some(event),
            _ => None,
        },
        _ => None,
    }
}

/// The next event.
fn next_event(client: &mut Client) -> Event {
    until(client, event)
}

fn load(client: &mut Client) {
    client.send(Command::Load(ModelRequest::default())).unwrap();
    until_loaded(client);
}

fn until_loaded(client: &mut Client) {
    loaded(client);
}

/// The next model that is loaded, and the fingerprint of its file.
fn loaded(client: &mut Client) -> (ModelInfo, Option<String>) {
    until(client, |notice| match event(notice)? {
        Event::Model(ModelEvent::Loaded { info, fingerprint }) => Some((*info, fingerprint)),
        _ => None,
    })
}

/// The models of the server.
fn models(client: &mut Client) -> Vec<ModelChoice> {
    client.find_models();
    until(client, |notice| match notice {
        Notice::Report(report) => match *report {
            Report::Models(models) => Some(models),
            _ => None,
        },
        _ => None,
    })
}

/// A client with a loaded model.
fn connected(address: SocketAddr) -> Client {
    let mut client = Client::connect(target(address)).unwrap();
    load(&mut client);
    client
}

fn settings() -> Settings {
    Settings {
        exit_layer: 1,
        num_speculations: 3,
        max_steps: 100,
        stop_token_ids: Vec::new(),
        ..Settings::default()
    }
}

fn start(run: u64, task: Task, settings: &Settings) -> Command {
    Command::Start {
        run: RunId(run),
        conversation: ConversationId(0),
        task,
        settings: Arc::new(settings.clone()),
    }
}

fn generate(run: u64, settings: &Settings) -> Command {
    start(run, Task::Generate(Prompt::Text("hello".into())), settings)
}

/// What a round says, without how long it took.
fn said(round: &Round) -> Value {
    let mut value = serde_json::to_value(round).unwrap();
    let object = value.as_object_mut().unwrap();
    object.retain(|key, _| !key.ends_with("seconds"));
    value
}

/// The rounds of a run and how it ended.
fn run(mut next: impl FnMut() -> Event, id: u64) -> (Vec<Value>, StopReason) {
    let mut rounds = Vec::new();
    loop {
        match next() {
            Event::Run(RunId(run), RunEvent::Round(round)) if run == id => {
                rounds.push(said(&round))
            }
            Event::Run(RunId(run), RunEvent::Finished { reason, .. }) if run == id => {
                return (rounds, reason);
            }
            Event::Run(_, RunEvent::Failed(failure)) => panic!("{failure:?}"),
            _ => {}
        }
    }
}

/// The same on an engine of this process.
fn local(served: &Served, settings: &Settings) -> (Vec<Value>, StopReason) {
    let mut worker = worker::spawn().unwrap();
    let request = ModelRequest {
        model: Some(served.model().to_string_lossy().into_owned()),
        threads: Some(1),
        ..ModelRequest::default()
    };
    worker.commands.send(Command::Load(request)).unwrap();
    worker.commands.send(generate(1, settings)).unwrap();
    run(|| worker.events.blocking_recv().unwrap(), 1)
}

/// A server on the other side of a network that delays everything and can be cut.
struct Proxy {
    address: SocketAddr,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    closed: Arc<AtomicBool>,
}

impl Proxy {
    fn new(to: SocketAddr, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let streams = Arc::new(Mutex::new(Vec::new()));
        let closed = Arc::new(AtomicBool::new(false));
        let (open, shut) = (streams.clone(), closed.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                if shut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(to) else {
                    continue;
                };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    open.lock().unwrap().push(from.try_clone().unwrap());
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || pump(from, to, delay));
                }
            }
        });
        Self {
            address,
            streams,
            closed,
        }
    }

    /// Breaks every connection.
    fn cut(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Passes bytes on in small pieces, each of them late.
fn pump(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let mut piece = [0; 700];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        std::thread::sleep(delay);
        if to.write_all(&piece[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// Several ways to decode.
fn ways() -> Vec<Settings> {
    let sampling = |coupling: &str, seed| Sampling {
        sample: true,
        temperature: 0.8,
        top_k: 40,
        seed,
        coupling: serde_json::from_value(json!(coupling)).unwrap(),
        ..Sampling::default()
    };
    let mut ways = Vec::new();
    for (at, strategy) in [
        Strategy::SelfSpeculative,
        Strategy::Autoregressive,
        Strategy::EarlyExit,
    ]
    .into_iter()
    .enumerate()
    {
        ways.push(Settings {
            strategy,
            num_speculations: 1 + at,
            ..settings()
        });
        ways.push(Settings {
            strategy,
            sampling: sampling("shared-noise", at as u64),
            tree: 6,
            ..settings()
        });
    }
    ways.push(Settings {
        sampling: sampling("rejection", 7),
        ..settings()
    });
    ways.push(Settings {
        proposers: Proposers::ExitAndLookup,
        controller: Controller::Confidence { threshold: 0.2 },
        detail: true,
        max_steps: 40,
        ..settings()
    });
    ways
}

#[test]
fn a_remote_engine_reports_the_rounds_of_a_local_one() {
    let served = Served::new();
    let proxy = Proxy::new(served.address, Duration::from_millis(1));
    let mut client = connected(proxy.address);
    for (at, settings) in ways().iter().enumerate() {
        let id = at as u64;
        client.send(generate(id, settings)).unwrap();
        let remote = run(|| next_event(&mut client), id);
        assert_eq!(remote, local(&served, settings), "{settings:?}");
        assert!(!remote.0.is_empty());
    }
}

/// Pauses a run after its first round, which is returned.
fn paused(client: &mut Client, id: u64, settings: &Settings) {
    client.send(generate(id, settings)).unwrap();
    client.send(Command::Pause { run: RunId(id) }).unwrap();
    until_paused(client);
}

fn until_paused(client: &mut Client) {
    until(client, |notice| {
        matches!(event(notice)?, Event::Run(_, RunEvent::Paused)).then_some(())
    });
}

/// Steps until the next round.
fn step(client: &mut Client, id: u64) -> Round {
    loop {
        client.send(Command::Step { run: RunId(id) }).unwrap();
        let mut found = None;
        loop {
            match next_event(client) {
                Event::Run(_, RunEvent::Round(round)) => found = Some(*round),
                Event::Run(_, RunEvent::Paused) => break,
                Event::Run(_, RunEvent::Failed(failure)) => panic!("{failure:?}"),
                _ => {}
            }
        }
        if let Some(round) = found {
            return round;
        }
    }
}

#[test]
fn a_change_of_settings_reaches_the_next_round_and_single_steps_work() {
    let served = Served::new();
    let mut client = connected(served.address);
    paused(&mut client, 1, &settings());
    step(&mut client, 1);
    for num_speculations in [5, 1, 2] {
        let newer = Settings {
            num_speculations,
            ..settings()
        };
        let settings = Arc::new(newer);
        let run = RunId(1);
        client.send(Command::Settings { run, settings }).unwrap();
        // The round that is paused has read its settings already.
        step(&mut client, 1);
        let round = step(&mut client, 1);
        assert_eq!(round.settings.num_speculations, num_speculations);
        assert!(round.drafted().len() <= num_speculations);
    }
    client.send(Command::Cancel { run: RunId(1) }).unwrap();
    let (_, reason) = run(|| next_event(&mut client), 1);
    assert_eq!(reason, StopReason::Cancelled);
}

#[test]
fn lens_race_and_sweep_work_elsewhere() {
    let served = Served::new();
    let mut client = connected(served.address);
    let short = Settings {
        max_steps: 20,
        ..settings()
    };
    client.send(generate(1, &short)).unwrap();
    let (rounds, _) = run(|| next_event(&mut client), 1);
    assert!(!rounds.is_empty());
    client.send(start(1, Task::Lens, &short)).unwrap();
    let mut rows = 0;
    while rows < 20 {
        if let Event::Run(_, RunEvent::Lens { rows: more, of, .. }) = next_event(&mut client) {
            assert_eq!(of, 20);
            rows += more.len();
        }
    }
    let prompt = || Prompt::Text("hello".into());
    let race = Task::Race {
        prompt: prompt(),
        against: None,
    };
    client.send(start(2, race, &short)).unwrap();
    let mut texts = [String::new(), String::new()];
    loop {
        match next_event(&mut client) {
            Event::Run(_, RunEvent::Race { lane, round }) => {
                let text = round.kept().map(|token| token.text.to_owned());
                texts[usize::from(lane == Lane::Challenger)].extend(text);
            }
            Event::Run(RunId(2), RunEvent::Finished { .. }) => break,
            Event::Run(_, RunEvent::Failed(failure)) => panic!("{failure:?}"),
            _ => {}
        }
    }
    assert!(!texts[0].is_empty());
    assert_eq!(texts[0], texts[1]);
    let pairs = vec![(1, 1), (1, 4)];
    let sweep = Task::Sweep {
        prompt: prompt(),
        pairs,
    };
    client.send(start(3, sweep, &short)).unwrap();
    let mut cells = 0;
    loop {
        match next_event(&mut client) {
            Event::Run(_, RunEvent::Sweep(_)) => cells += 1,
            Event::Run(RunId(3), RunEvent::Finished { .. }) => break,
            Event::Run(_, RunEvent::Failed(failure)) => panic!("{failure:?}"),
            _ => {}
        }
    }
    assert_eq!(cells, 3);
}

/// A paused run holds up nobody, and is not disturbed.
#[test]
fn clients_and_requests_do_not_disturb_each_other() {
    let served = Served::new();
    let [mut first, mut second] = [(); 2].map(|()| connected(served.address));
    first.send(generate(1, &settings())).unwrap();
    first.send(Command::Pause { run: RunId(1) }).unwrap();
    // Some rounds may be done before the pause arrives.
    let mut begun = Vec::new();
    loop {
        match next_event(&mut first) {
            Event::Run(_, RunEvent::Round(round)) => begun.push(said(&round)),
            Event::Run(_, RunEvent::Paused) => break,
            Event::Run(_, RunEvent::Failed(failure)) => panic!("{failure:?}"),
            _ => {}
        }
    }
    begun.push(said(&step(&mut first, 1)));
    let other = Settings {
        num_speculations: 2,
        ..settings()
    };
    second.send(generate(1, &other)).unwrap();
    assert_eq!(run(|| next_event(&mut second), 1), local(&served, &other));
    let answer = served.complete(json!({"prompt": "hello", "max_tokens": 100, "temperature": 0}));
    assert!(answer["choices"][0]["text"].is_string());
    first.send(Command::Resume { run: RunId(1) }).unwrap();
    let (rounds, reason) = run(|| next_event(&mut first), 1);
    begun.extend(rounds);
    assert_eq!((begun, reason), local(&served, &settings()));
}

/// What ran fails with that reason, and the next run works on the new connection.
fn assert_survives(client: &mut Client, served: &Served) {
    let message = until(client, |notice| match event(notice)? {
        Event::Run(RunId(1), RunEvent::Failed(failure)) => Some(failure.message),
        _ => None,
    });
    assert!(message.contains("the connection to"), "{message}");
    until(client, |notice| {
        matches!(notice, Notice::Lost(_)).then_some(())
    });
    until(client, |notice| (notice == Notice::Restored).then_some(()));
    until_loaded(client);
    client.send(generate(2, &settings())).unwrap();
    assert_eq!(run(|| next_event(client), 2), local(served, &settings()));
}

#[test]
fn a_cut_connection_is_made_again() {
    let served = Served::new();
    let proxy = Proxy::new(served.address, Duration::ZERO);
    let mut client = connected(proxy.address);
    paused(&mut client, 1, &settings());
    proxy.cut();
    assert_survives(&mut client, &served);
}

#[test]
fn a_server_that_was_killed_and_restarted_is_found_again() {
    let mut served = Served::new();
    let proxy_to = served.address;
    let mut client = connected(proxy_to);
    paused(&mut client, 1, &settings());
    served.stop();
    // A command meanwhile is answered, not lost.
    until(&mut client, |notice| {
        matches!(notice, Notice::Lost(_)).then_some(())
    });
    client.send(generate(5, &settings())).unwrap();
    let message = until(&mut client, |notice| match event(notice)? {
        Event::Run(RunId(5), RunEvent::Failed(failure)) => Some(failure.message),
        _ => None,
    });
    assert!(message.contains("no connection"), "{message}");
    let served = Served::at(proxy_to, options());
    until(&mut client, |notice| {
        (notice == Notice::Restored).then_some(())
    });
    until_loaded(&mut client);
    client.send(generate(6, &settings())).unwrap();
    assert_eq!(
        run(|| next_event(&mut client), 6),
        local(&served, &settings())
    );
}

/// Waits until the server has no client.
fn until_free(served: &Served) {
    let begun = std::time::Instant::now();
    while served.metric("skiplens:engine_clients") > 0.0 {
        assert!(begun.elapsed() < PATIENCE, "a client is still there");
        std::thread::yield_now();
    }
}

#[test]
fn the_run_of_a_client_that_is_gone_ends() {
    let served = Served::new();
    let proxy = Proxy::new(served.address, Duration::ZERO);
    let mut client = connected(proxy.address);
    paused(&mut client, 1, &settings());
    assert_eq!(served.metric("skiplens:engine_clients"), 1.0);
    proxy.closed.store(true, Ordering::SeqCst);
    proxy.cut();
    until_free(&served);
    served.complete(json!({"prompt": "hello", "max_tokens": 5}));
    let orderly = connected(served.address);
    drop(orderly);
    until_free(&served);
}

/// Clients that leave are noticed when they do, not when they should have answered a ping.
#[test]
fn a_client_that_leaves_frees_its_place() {
    let served = Served::with(patient());
    for mode in ["engine", "watch"] {
        // It says goodbye and reads nothing any more.
        let mut polite = welcomed(&served, mode);
        polite.close(None).unwrap();
        polite.flush().unwrap();
        until_free(&served);
        // It stops sending, and stays.
        let half = welcomed(&served, mode);
        half.get_ref().shutdown(Shutdown::Write).unwrap();
        until_free(&served);
        drop(welcomed(&served, mode));
        until_free(&served);
    }
}

#[test]
fn a_server_with_a_key_wants_it() {
    let served = Served::with(Options {
        api_key: Some("secret".into()),
        ..options()
    });
    for (key, told) in [
        (None, "wants an API key"),
        (Some("public"), "refuses this API key"),
    ] {
        let api_key = key.map(str::to_owned);
        let refused = Client::connect(Target {
            api_key,
            ..target(served.address)
        });
        let told_us = refused.err().unwrap().to_string();
        assert!(told_us.contains(told), "{told_us}");
    }
    let api_key = Some("secret".to_owned());
    let mut client = Client::connect(Target {
        api_key,
        ..target(served.address)
    })
    .unwrap();
    load(&mut client);
}

type Socket = tungstenite::WebSocket<TcpStream>;

/// A socket that has not said hello.
fn socket(served: &Served) -> Socket {
    let stream = TcpStream::connect(served.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let url = format!("ws://{}/engine", served.address);
    tungstenite::client(url, stream).unwrap().0
}

/// A socket of a client that was welcomed.
fn welcomed(served: &Served, mode: &str) -> Socket {
    let mut socket = socket(served);
    let hello = json!({"protocol": 2, "version": "x", "mode": mode}).to_string();
    socket.send(Message::text(hello)).unwrap();
    let welcome = socket.read().unwrap().into_text().unwrap();
    assert!(!welcome.contains("refused"), "{welcome}");
    socket
}

/// Reads until the other side closes the connection; returns the reason that it gives.
fn until_closed(socket: &mut Socket) -> String {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    let mut reason = String::new();
    loop {
        match socket.read() {
            Ok(Message::Close(Some(close))) => reason = close.reason.to_string(),
            Ok(_) => {}
            Err(tungstenite::Error::Io(error)) if matches!(error.kind(), TimedOut | WouldBlock) => {
                panic!("the connection stays open");
            }
            Err(_) => return reason,
        }
    }
}

#[test]
fn versions_are_compared_on_both_sides() {
    let served = Served::new();
    let mut old = socket(&served);
    let hello = json!({"protocol": 0, "version": "0.0.1"}).to_string();
    old.send(Message::text(hello)).unwrap();
    let welcome = old.read().unwrap().into_text().unwrap();
    for part in [
        "0.0.1 (protocol 0)",
        "(protocol 2)",
        "install the same version",
    ] {
        assert!(welcome.contains(part), "{welcome}");
    }
    until_closed(&mut old);
    // What a later version may want is no reason to say nothing.
    for mode in [json!("dance"), json!({"dance": 2})] {
        let mut other = socket(&served);
        let hello = json!({"protocol": 2, "version": "0.2.0", "mode": mode}).to_string();
        other.send(Message::text(hello)).unwrap();
        let welcome = other.read().unwrap().into_text().unwrap();
        assert!(welcome.contains("0.2.0 (protocol 2)"), "{welcome}");
        until_closed(&mut other);
    }
    let newer = fake(|mut socket| {
        socket.read().unwrap();
        let welcome = json!({"protocol": 9, "version": "9.0.0", "what": "ever"}).to_string();
        socket.send(Message::text(welcome)).unwrap();
        until_closed(&mut socket);
    });
    let told = Client::connect(target(newer)).err().unwrap().to_string();
    for part in [
        "9.0.0 (protocol 9)",
        "(protocol 2)",
        "install the same version",
    ] {
        assert!(told.contains(part), "{told}");
    }
}

/// A server that does with its connections what it likes.
fn fake(serve: impl Fn(Socket) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if let Ok(socket) = tungstenite::accept(stream.unwrap()) {
                serve(socket);
            }
        }
    });
    address
}

fn welcome(socket: &mut Socket) {
    socket.read().unwrap();
    let welcome = json!({"protocol": 2, "version": "x"}).to_string();
    socket.send(Message::text(welcome)).unwrap();
}

/// What a server says after its welcome ends the connection for good, with a reason.
#[test]
fn a_client_survives_a_hostile_server() {
    let round = json!({"index": 0, "position": 0, "settings": {}, "drafted": [], "accepted": 9,
        "draft_seconds": 0.0, "verify_seconds": 0.0});
    let stats = json!({"rounds": u64::MAX, "speculated_rounds": 0, "tokens": 0, "drafted": 0, "accepted": 0,
        "by_position": [], "prefill_seconds": 0.0, "prefill_tokens": 0, "draft_seconds": 0.0, "verify_seconds": 0.0});
    let bad = [
        "no JSON".to_owned(),
        json!({"event": {"run": [1, {"round": round}]}}).to_string(),
        json!({"event": {"run": [1, {"finished": {"reason": "eos", "stats": stats}}]}}).to_string(),
        json!({"watched": {"request": 1, "said": {"round": round}}}).to_string(),
        "[".repeat(100_000),
    ];
    for text in bad {
        let address = fake(move |mut socket| {
            welcome(&mut socket);
            let _ = socket.send(Message::text(text.clone()));
            until_closed(&mut socket);
        });
        let mut client = Client::connect(target(address)).unwrap();
        let why = until(&mut client, |notice| match notice {
            Notice::GivenUp(why) => Some(why),
            _ => None,
        });
        assert!(!why.is_empty());
    }
    // Too long a frame, and one that never ends, break the connection.
    for oversized in [true, false] {
        let address = fake(move |mut socket| {
            welcome(&mut socket);
            let stream = socket.get_mut();
            let mut head = vec![0x81, 127];
            let length: u64 = if oversized { 1 << 40 } else { 1 << 20 };
            head.extend(length.to_be_bytes());
            let _ = stream.write_all(&head);
            if oversized {
                until_closed(&mut socket);
            } else {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
        let mut client = Client::connect(target(address)).unwrap();
        until(&mut client, |notice| {
            matches!(notice, Notice::Lost(_)).then_some(())
        });
    }
    // Silence is noticed.
    let silent = fake(|mut socket| {
        welcome(&mut socket);
        let mut rest = Vec::new();
        let _ = socket.get_mut().read_to_end(&mut rest);
    });
    let heartbeat = Heartbeat {
        every: Duration::from_millis(50),
        patience: Duration::from_millis(500),
    };
    let mut client = Client::connect(Target {
        heartbeat,
        ..target(silent)
    })
    .unwrap();
    let why = until(&mut client, |notice| match notice {
        Notice::Lost(why) => Some(why),
        _ => None,
    });
    assert!(why.contains("silent"), "{why}");
}

#[test]
fn a_server_survives_hostile_clients() {
    let served = Served::with(Options {
        heartbeat: Heartbeat {
            every: Duration::from_millis(100),
            patience: Duration::from_secs(2),
        },
        ..options()
    });
    for (message, reason) in [
        (Message::text("no JSON"), "not a request"),
        (Message::text("[".repeat(100_000)), "not a request"),
        (
            Message::text(json!({"command": {"start": {}}}).to_string()),
            "not a request",
        ),
        (Message::binary(vec![1, 2, 3]), "binary"),
        // So large that the rest of it is not read.
        (Message::text("x".repeat(5 << 20)), ""),
    ] {
        // In place of the hello, and after it.
        for (mut socket, first) in [
            (socket(&served), true),
            (welcomed(&served, "engine"), false),
        ] {
            // The server may close before all is sent.
            let _ = socket.send(message.clone());
            let told = until_closed(&mut socket);
            let expected = match reason {
                "" => "",
                _ if first => "the first frame must be a hello",
                reason => reason,
            };
            assert!(told.contains(expected), "{told}");
        }
    }
    // Half a frame, then nothing.
    let mut half = welcomed(&served, "engine");
    half.get_mut().write_all(&[0x81, 0xFE, 1]).unwrap();
    let mut rest = Vec::new();
    half.get_mut().read_to_end(&mut rest).unwrap();
    until_free(&served);
    served.complete(json!({"prompt": "hello", "max_tokens": 5}));
}

/// A connection that is closed with input left unread would be reset, and the reason lost.
#[test]
fn the_reason_of_an_end_arrives_whatever_the_client_still_sends() {
    let served = Served::new();
    let mut watcher = welcomed(&served, "watch");
    let command = json!({"command": "cancel-load"}).to_string();
    for _ in 0..500 {
        // The server may close before all is sent.
        let _ = watcher.send(Message::text(command.clone()));
    }
    assert_eq!(until_closed(&mut watcher), "watching is read-only");
}

/// Options of a server that neither pings nor ends silent connections.
fn patient() -> Options {
    Options {
        heartbeat: Heartbeat {
            every: Duration::from_secs(600),
            patience: Duration::from_secs(3600),
        },
        ..options()
    }
}

/// What waits for a client that reads nothing is bounded, and when it reads again it learns why it was cut off.
#[test]
fn a_client_that_reads_nothing_is_cut_off() {
    // A list of them has about 100 kB.
    let folder = tempfile::tempdir().unwrap();
    for at in 0..100 {
        let name = format!("{at}{}.gguf", "x".repeat(200));
        std::fs::write(folder.path().join(name), "damaged").unwrap();
    }
    let served = Served::with(Options {
        model_folders: vec![folder.path().to_string_lossy().into_owned()],
        ..patient()
    });
    let mut deaf = welcomed(&served, "engine");
    for _ in 0..1000 {
        // It may be cut off before all is sent.
        if deaf.send(Message::text("\"models\"")).is_err() {
            break;
        }
    }
    until_free(&served);
    let told = until_closed(&mut deaf);
    assert!(told.contains("too slow: more than"), "{told}");
    served.complete(json!({"prompt": "hello", "max_tokens": 5}));
}

#[test]
fn what_takes_too_much_is_refused() {
    let served = Served::new();
    let mut client = connected(served.address);
    let mut failure = |command: Command| {
        client.send(command).unwrap();
        until(&mut client, |notice| match event(notice)? {
            Event::Run(_, RunEvent::Failed(failure)) => Some(failure.message),
            _ => None,
        })
    };
    let greedy = Settings {
        num_speculations: 1 << 40,
        ..settings()
    };
    assert!(failure(generate(1, &greedy)).contains("1 to 64"));
    let short = Settings {
        max_steps: 1,
        ..settings()
    };
    let mut last = String::new();
    for conversation in 0..9 {
        // In a conversation that is admitted, the run fails for its own reason.
        let command = Command::Start {
            run: RunId(10 + conversation),
            conversation: ConversationId(conversation),
            task: Task::Generate(Prompt::Tokens(Vec::new())),
            settings: Arc::new(short.clone()),
        };
        last = failure(command);
        assert_eq!(last.contains("conversations"), conversation == 8, "{last}");
    }
    assert!(last.contains("forget one"), "{last}");
}

/// A web page of another origin could otherwise read what is asked on this machine.
#[test]
fn web_pages_are_refused() {
    let served = Served::new();
    let headers = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let from_page = format!("{headers}Origin: https://example.com\r\n");
    assert_eq!(served.request("GET", "/engine", &from_page, "").status, 403);
    let plain = served.get("/engine");
    assert_eq!(plain.status, 400);
    assert!(plain.body.contains("skiplens --connect"), "{}", plain.body);
}

#[test]
fn the_models_of_the_server_are_listed_and_no_others_are_loaded() {
    let served = Served::new();
    let mut client = connected(served.address);
    let models = models(&mut client);
    assert_eq!(
        (models[0].model.as_ref(), models[0].label.as_str()),
        (None, "tiny")
    );
    for model in ["/etc/passwd", "facebook/layerskip-llama2-70B"] {
        let request = ModelRequest {
            model: Some(model.into()),
            ..ModelRequest::default()
        };
        client.send(Command::Load(request)).unwrap();
        let failure = until(&mut client, |notice| match event(notice)? {
            Event::Model(ModelEvent::Failed(failure)) => Some(failure.message),
            _ => None,
        });
        assert!(failure.contains("the server has no model"), "{failure}");
    }
    load(&mut client);
    client.send(generate(1, &settings())).unwrap();
    assert_eq!(
        run(|| next_event(&mut client), 1),
        local(&served, &settings())
    );
}

/// Models of the folders that the settings name are the clients' as well, and watchers see which one answers.
#[test]
fn a_model_of_a_configured_folder_is_loaded_and_seen_by_watchers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.gguf");
    crate::support::tiny::gguf().write(&path);
    let served = Served::with(Options {
        model_folders: vec![folder.path().to_string_lossy().into_owned()],
        ..options()
    });
    let mut watcher = Client::connect(Target {
        mode: Mode::Watch,
        ..target(served.address)
    })
    .unwrap();
    let own = loaded(&mut watcher).0;
    assert!(own.path.ends_with("tiny.gguf"), "{:?}", own.path);
    let mut client = Client::connect(target(served.address)).unwrap();
    let model = Some(path.to_string_lossy().into_owned());
    let listed = models(&mut client);
    let found = listed.iter().any(|choice| choice.model == model);
    assert!(found, "{listed:?}");
    let request = ModelRequest {
        model,
        ..ModelRequest::default()
    };
    // The run is sent before the model is loaded.
    client.send(Command::Load(request)).unwrap();
    client.send(generate(1, &settings())).unwrap();
    let (info, fingerprint) = loaded(&mut client);
    assert!(info.path.ends_with("other.gguf"), "{:?}", info.path);
    assert_eq!(
        fingerprint,
        Some(skiplens::transcript::fingerprint(&path).unwrap())
    );
    let begun = until(&mut watcher, |notice| match notice {
        Notice::Report(report) => match *report {
            Report::Watched {
                said: Said::Begun(watched),
                ..
            } => Some(watched),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(*begun.model, info);
}

/// A frame of a watcher.
fn heard(watcher: &mut Socket) -> Report {
    loop {
        if let Message::Text(text) = watcher.read().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

/// A watcher that lags behind gets the older reports in their order, then the number of those that it missed with the
/// requests in progress, and from there on everything: no report is lost without being counted.
#[test]
fn a_watcher_that_missed_reports_learns_how_many_and_the_state_of_the_requests() {
    // The slow watcher answers no pings meanwhile.
    let served = Served::with(patient());
    let mut slow = welcomed(&served, "watch");
    // After the first report the client is subscribed.
    assert!(matches!(heard(&mut slow), Report::Event(_)));
    let mut open = connected(served.address);
    paused(&mut open, 1, &settings());
    step(&mut open, 1);
    // More than the server keeps and the buffers of the network hold.
    const ENOUGH: usize = 48 << 20;
    let mut busy = connected(served.address);
    let detailed = Settings {
        detail: true,
        num_speculations: 1,
        ..settings()
    };
    let (mut bytes, mut busy_runs, mut busy_rounds) = (0, 0, 0);
    while bytes < ENOUGH {
        busy_runs += 1;
        let prompt = Prompt::Text("the".into());
        let command = start(busy_runs, Task::Generate(prompt), &detailed);
        busy.send(command).unwrap();
        let (rounds, _) = run(|| next_event(&mut busy), busy_runs);
        busy_rounds += rounds.len();
        bytes += rounds.iter().map(|r| r.to_string().len()).sum::<usize>();
    }
    let (mut taken, mut missed, mut indices) = (0, 0, Vec::new());
    // The requests in progress, as far as the watcher knows.
    let mut known: BTreeMap<u64, String> = BTreeMap::new();
    let mut take = |report: Report, known: &mut BTreeMap<u64, String>| match report {
        Report::Missed { reports, open } => {
            missed += reports;
            *known = open
                .into_iter()
                .map(|(request, open)| (request, open.prompt))
                .collect();
            None
        }
        Report::Watched { request, said } => {
            taken += 1;
            match &said {
                Said::Begun(watched) => drop(known.insert(request, watched.prompt.clone())),
                Said::Ended(_) => drop(known.remove(&request)),
                Said::Failed(message) => panic!("{message}"),
                Said::Round(round) => {
                    assert!(known.contains_key(&request), "a round of nothing");
                    indices.push((request, round.index));
                }
            }
            Some((request, said))
        }
        other => panic!("{other:?}"),
    };
    // It has missed some when it has read all that was kept.
    let lasting = loop {
        if take(heard(&mut slow), &mut known).is_none() {
            break known.clone();
        }
    };
    assert_eq!(lasting.values().collect::<Vec<_>>(), ["hello"]);
    // The rest of the open request, which is all that follows.
    open.send(Command::Resume { run: RunId(1) }).unwrap();
    let (rest, reason) = run(|| next_event(&mut open), 1);
    let mut followed = Vec::new();
    let end = loop {
        match take(heard(&mut slow), &mut known) {
            Some((_, Said::Round(round))) => followed.push(said(&round)),
            Some((_, Said::Ended(reason))) => break reason,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((followed, end), (rest, reason));
    assert!(known.is_empty(), "{known:?}");
    assert!(indices.is_sorted_by(|a, b| a.0 != b.0 || a.1 < b.1));
    let (expected, _) = local(&served, &settings());
    let published = (busy_rounds + expected.len()) as u64 + 2 * (busy_runs + 1);
    assert_eq!(taken + missed, published, "{taken} taken, {missed} missed");
    assert!(missed > 0);
}

fn send(socket: &mut Socket, command: Command) {
    let request = skiplens::remote::Request::Command(command);
    let text = serde_json::to_string(&request).unwrap();
    socket.send(Message::text(text)).unwrap();
}

/// The answer of [`with_lenses`].
fn answer() -> Vec<u32> {
    (150..260).collect()
}

/// A client that has requested the lens of a text many times: together they weigh as much as one of a long text.
fn with_lenses(served: &Served, lenses: usize) -> Socket {
    let mut socket = welcomed(served, "engine");
    send(&mut socket, Command::Load(ModelRequest::default()));
    for _ in 0..lenses {
        let of = Task::LensOf {
            prompt: Prompt::Text("hello".into()),
            answer: answer(),
        };
        send(&mut socket, start(1, of, &settings()));
    }
    socket
}

/// Reads all lenses of [`with_lenses`], and returns their bytes.
fn read_lenses(socket: &mut Socket, lenses: usize) -> usize {
    let mut bytes = 0;
    for lens in 0..lenses {
        let mut ids = Vec::new();
        while ids.len() < answer().len() {
            let Message::Text(text) = socket.read().unwrap() else {
                continue;
            };
            bytes += text.len();
            match serde_json::from_str(&text).unwrap() {
                Report::Event(Event::Run(_, RunEvent::Lens { rows, .. })) => {
                    ids.extend(rows.iter().map(|row| row.id));
                }
                Report::Event(Event::Run(_, RunEvent::Failed(failure))) => panic!("{failure:?}"),
                _ => {}
            }
        }
        assert_eq!(ids, answer(), "lens {lens}");
    }
    bytes
}

/// More of a lens than may wait for a client arrives complete, however late the client reads: the server computes it as
/// the client reads.
#[test]
fn a_long_lens_arrives_complete_at_a_slow_reader() {
    const LENSES: usize = 1000;
    // Choices of long tokens.
    let model = crate::support::tiny::gguf_saying(&"long".repeat(120));
    let served = Served::of(model, ([127, 0, 0, 1], 0).into(), patient());
    let mut slow = with_lenses(&served, LENSES);
    // Both take turns, so the server would have computed all of the slow one's by the end of the other's.
    let mut other = with_lenses(&served, LENSES);
    let bytes = read_lenses(&mut other, LENSES);
    // More than may wait and the buffers of the network hold.
    assert!(bytes > 48 << 20, "{bytes} bytes");
    read_lenses(&mut slow, LENSES);
}

/// What a watcher hears until a request ends: its prompt, its text, and how it ended.
fn watched(client: &mut Client) -> (String, String, StopReason) {
    let (mut prompt, mut text) = (String::new(), String::new());
    loop {
        let said = until(client, |notice| match notice {
            Notice::Report(report) => match *report {
                Report::Watched { said, .. } => Some(said),
                _ => None,
            },
            _ => None,
        });
        match said {
            Said::Begun(watched) => prompt = watched.prompt,
            Said::Round(round) => text.extend(round.kept().map(|token| token.text.to_owned())),
            Said::Ended(reason) => return (prompt, text, reason),
            Said::Failed(message) => panic!("{message}"),
        }
    }
}

#[test]
fn requests_of_others_can_be_followed_unless_that_is_forbidden() {
    let served = Served::new();
    let mut watcher = Client::connect(Target {
        mode: Mode::Watch,
        ..target(served.address)
    })
    .unwrap();
    // The subscription follows the welcome.
    while watcher.try_next().is_err() {
        served.complete(json!({"prompt": "a", "max_tokens": 2}));
    }
    let messages = json!([{"role": "user", "content": "the hello"}]);
    let answer = served.chat(json!({"messages": messages, "max_tokens": 12, "temperature": 0}));
    let (mut prompt, mut text, mut reason) = watched(&mut watcher);
    while prompt != "the hello" {
        (prompt, text, reason) = watched(&mut watcher);
    }
    let expected = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!((text.as_str(), reason), (expected, StopReason::MaxSteps));
    let mut client = connected(served.address);
    client.send(generate(1, &settings())).unwrap();
    let (rounds, reason) = run(|| next_event(&mut client), 1);
    let (mut prompt, mut text, mut end) = watched(&mut watcher);
    while prompt != "hello" || end != reason {
        (prompt, text, end) = watched(&mut watcher);
    }
    assert!(!rounds.is_empty() && !text.is_empty());
    let private = Served::with(Options {
        watch: false,
        ..options()
    });
    let refused = Client::connect(Target {
        mode: Mode::Watch,
        ..target(private.address)
    });
    let told = refused.err().unwrap().to_string();
    assert!(told.contains("--no-watch"), "{told}");
}
