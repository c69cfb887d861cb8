//! The real program killed at random moments, again and again, and resumed each time.

use super::session::Session;
use crate::support;
use skiplens::engine::prompt::Role;
use skiplens::transcript::{self, Run, Store, Turn, salvage};
use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Random moments; a failing test reports the seed.
struct Moments {
    seed: u64,
    state: u64,
}

impl Moments {
    fn new() -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let seed = since.as_nanos() as u64;
        Self { seed, state: seed }
    }

    /// A random duration below `ms` milliseconds.
    fn within(&mut self, ms: u64) -> Duration {
        self.state = self
            .state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        Duration::from_micros((self.state >> 33) % (ms * 1000))
    }
}

/// A journal and the programs that write it.
struct Ordeal<'a> {
    args: Vec<&'a OsStr>,
    store: Store,
    /// `None` while a program uses it.
    home: Option<tempfile::TempDir>,
    /// The content of the journal after the last kill.
    kept: transcript::Session,
    moments: Moments,
}

impl<'a> Ordeal<'a> {
    fn new(model: &'a Path) -> Self {
        let home = tempfile::tempdir().expect("a home");
        let args = vec![
            OsStr::new("--model"),
            model.as_os_str(),
            OsStr::new("--max-steps"),
            OsStr::new("80"),
        ];
        let store = Store::at(home.path().join("skiplens"));
        Self {
            args,
            store,
            home: Some(home),
            kept: transcript::Session::default(),
            moments: Moments::new(),
        }
    }

    /// The program, resuming the session.
    fn start(&mut self) -> Session {
        let mut args = self.args.clone();
        if !self.kept.turns.is_empty() {
            args.push(OsStr::new("--resume"));
        }
        Session::with(&args, self.home.take().expect("a home"), (100, 30))
    }

    /// Sends a question, and kills the program up to `ms` milliseconds after it is on the screen.
    fn killed_answering(&mut self, question: &str, ms: u64) {
        let mut session = self.start();
        session.wait("the model", |screen| {
            screen.contains("0 layers") || screen.contains("2 layers")
        });
        session.type_(&format!("{question}\r"));
        session.wait("the question", |screen| asked(screen, question).is_some());
        std::thread::sleep(self.moments.within(ms));
        let shown = shown_tokens(&session.contents(), question);
        self.home = Some(session.kill());
        self.check();
        let answer = self.kept.turns.last().and_then(|turn| turn.runs.last());
        let tokens = answer.map_or(0, |run: &Run| run.kept().count());
        assert!(
            tokens >= shown,
            "{tokens} of {shown} tokens were kept, seed {}",
            self.moments.seed
        );
        assert!(
            self.kept.turns.iter().any(|turn| turn.text == question),
            "what was asked is kept"
        );
    }

    /// Kills the program up to `ms` milliseconds after its start.
    fn killed_starting(&mut self, ms: u64) {
        let session = self.start();
        std::thread::sleep(self.moments.within(ms));
        self.home = Some(session.kill());
        let before = self.kept.clone();
        self.check();
        assert_eq!(self.kept.turns, before.turns, "seed {}", self.moments.seed);
    }

    /// Asserts that the only journal is valid, and begins with its previous content.
    fn check(&mut self) {
        let seed = self.moments.seed;
        let Ok(path) = self.store.find("last") else {
            assert!(
                self.kept.turns.is_empty(),
                "the journal is gone, seed {seed}"
            );
            return;
        };
        let loaded = salvage(&path).expect("a journal");
        assert!(loaded.fault.is_none(), "{:?}, seed {seed}", loaded.fault);
        let now = loaded.session;
        let (before, after) = (answered(&self.kept), answered(&now));
        assert!(
            after.starts_with(&before),
            "seed {seed}: {before:#?} became {after:#?}"
        );
        assert_eq!(
            self.store.list().expect("a list").len(),
            1,
            "it is one session, seed {seed}"
        );
        self.kept = now;
    }
}

/// Questions and answers. A question without a single token of answer is retracted by the next one.
fn answered(session: &transcript::Session) -> Vec<&[Turn]> {
    let is_answer = |turn: &Turn| turn.role == Role::Assistant && !turn.content().is_empty();
    session
        .turns
        .chunks(2)
        .filter(|pair| pair.last().is_some_and(is_answer))
        .collect()
}

/// The line of the screen on which the chat shows this question.
fn asked(screen: &str, question: &str) -> Option<usize> {
    screen
        .lines()
        .position(|line| line.contains(question) && !line.contains('›'))
}

/// How many tokens the screen shows of the answer to the question that was asked last. A long answer pushes the question
/// and all before it off the screen.
fn shown_tokens(screen: &str, question: &str) -> usize {
    let from = asked(screen, question).unwrap_or_default();
    let line = screen
        .lines()
        .skip(from)
        .find(|line| line.contains(" tok ·"))
        .unwrap_or_default();
    let before = line.split(" tok ·").next().unwrap_or_default();
    before
        .rsplit(' ')
        .next()
        .and_then(|count| count.parse().ok())
        .unwrap_or(0)
}

/// Rounds that the screen showed are in the journal, whenever the program is killed.
#[test]
fn killing_the_program_loses_nothing_it_showed() {
    let Some(model) = support::smollm2() else {
        return;
    };
    let mut ordeal = Ordeal::new(&model);
    for kill in 0..6 {
        ordeal.killed_answering(&format!("Story number {kill} about a fox."), 900);
    }
    assert!(
        ordeal.kept.stats().tokens > 0,
        "seed {}",
        ordeal.moments.seed
    );
}

/// A model of two layers loads and answers at once, so the kills hit all stages of the program.
#[test]
fn killing_the_program_at_any_moment_leaves_a_sound_journal() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("tiny.gguf");
    support::tiny::gguf().write(&model);
    let mut tokens = 0;
    for _ in 0..6 {
        let mut ordeal = Ordeal::new(&model);
        ordeal.args[3] = OsStr::new("16");
        // Further questions would not fit in the context of the model.
        for question in ["hello", "the door", "a boat"] {
            ordeal.killed_answering(question, 60);
            ordeal.killed_starting(150);
        }
        tokens += ordeal.kept.stats().tokens;
    }
    assert!(tokens > 0, "some answers were begun");
}
