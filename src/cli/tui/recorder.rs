//! Keeps the journal of the session: it listens to what goes to the engine and what comes from it.

use crate::app::Session as Screen;
use crate::app::turn::{Mode, Outcome, Turn};
use crate::engine::decode::{Settings, Stats, StopReason};
use crate::engine::worker::{Command, Event, Message, Prompt, Role, RunId};
use crate::transcript::{self, Entry, Journal, ModelRecord, Result, RunEnd, Session, Store};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};

/// Writes down the conversation as it happens.
pub struct Recorder {
    store: Store,
    journal: Journal,
    /// The run under way: its id in the app and in the journal.
    run: Option<(RunId, RunId)>,
    /// Prompt tokens that its prefill found in the cache.
    cached: usize,
    settings: Option<Settings>,
    /// The model with its file hash, once that is found out beside the drawing.
    hashed: Option<Receiver<ModelRecord>>,
}

impl Recorder {
    /// A recorder of a new session. Fails where the system has no data folder.
    pub fn new() -> Result<Self> {
        let store = Store::open()?;
        let journal = Journal::begin(&store);
        Ok(Self { store, journal, run: None, cached: 0, settings: None, hashed: None })
    }

    /// Notes a command on its way to the engine.
    pub fn command(&mut self, command: &Command) -> Result<()> {
        match command {
            Command::Generate { run, prompt, settings } => self.begin(*run, prompt, settings),
            Command::Settings(settings) => self.note_settings(settings),
            _ => Ok(()),
        }
    }

    /// Notes what the engine reports.
    pub fn event(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Loaded(info) => {
                let record = ModelRecord::from(info);
                self.hashed = Some(hash(record.clone(), info.path.clone()));
                self.journal.append(Entry::Model(record))
            }
            Event::Prefill { run, cached, .. } if self.of(*run).is_some() => {
                self.cached = *cached;
                Ok(())
            }
            Event::Round { run, round } => match self.of(*run) {
                Some(run) => self.journal.append(Entry::Round { run, round: round.clone() }),
                None => Ok(()),
            },
            Event::Finished { run, reason, stats } => {
                self.end(*run, |cached| RunEnd::finished(reason.clone(), stats, cached))
            }
            Event::Failed { run, message } => self.end(*run, |_| RunEnd::failed(message)),
            _ => Ok(()),
        }
    }

    /// Saves the session under a path of the user's, or under a name in the folder of sessions; gives back where.
    pub fn save(&self, name: &str) -> Result<PathBuf> {
        let path = if name.contains(std::path::is_separator) || Path::new(name).extension().is_some() {
            PathBuf::from(name)
        } else {
            self.store.path_of(name)
        };
        match transcript::export::Format::of_path(&path) {
            Some(format) => transcript::write_file(&path, format.export(self.journal.session()).as_bytes(), true)?,
            None => transcript::save(self.journal.session(), &path, true)?,
        }
        Ok(path)
    }

    /// Takes up a session: one of the program's own goes on in its file, one from elsewhere in a new file.
    pub fn resume(&mut self, name: &str) -> Result<Screen> {
        let path = self.store.find(name)?;
        let own = path.parent() == Some(self.store.sessions().as_path());
        self.journal = if own {
            Journal::resume(&path)?.0
        } else {
            let session = transcript::load(&path)
                .or_else(|fault| transcript::import(&path).map(|(s, _)| s).map_err(|_| fault))?;
            Journal::adopt(&self.store, session)
        };
        self.run = None;
        Ok(screen(self.journal.session()))
    }

    /// Brings everything to the disk.
    pub fn close(self) -> Result<()> {
        self.journal.close()
    }

    /// The journal's id of the run, if it is the one under way.
    fn of(&self, run: RunId) -> Option<RunId> {
        self.run.filter(|(app, _)| *app == run).map(|(_, own)| own)
    }

    fn note_settings(&mut self, settings: &Settings) -> Result<()> {
        if self.settings.as_ref() == Some(settings) {
            return Ok(());
        }
        self.settings = Some(settings.clone());
        self.journal.append(Entry::Settings(settings.clone()))
    }

    /// Completes the model's entry with its hash, as soon as that is known.
    fn note_hash(&mut self) -> Result<()> {
        let Some(record) = self.hashed.as_ref().and_then(|hashed| hashed.try_recv().ok()) else { return Ok(()) };
        self.hashed = None;
        self.journal.append(Entry::Model(record))
    }

    fn begin(&mut self, run: RunId, prompt: &Prompt, settings: &Settings) -> Result<()> {
        self.note_hash()?;
        match prompt {
            Prompt::Chat(messages) => self.follow_chat(messages)?,
            Prompt::Text(text) => self.follow_text(text)?,
        }
        self.settings = Some(settings.clone());
        let own = self.journal.session().next_run();
        (self.run, self.cached) = (Some((run, own)), 0);
        self.journal.append(Entry::Run { run: own, prompt: prompt.clone(), settings: settings.clone() })
    }

    /// Makes the journal's turns those of the conversation: takes back what differs, then adds what is new.
    fn follow_chat(&mut self, messages: &[Message]) -> Result<()> {
        let (system, said) = match messages.split_first() {
            Some((first, rest)) if first.role == Role::System => (first.content.as_str(), rest),
            _ => ("", messages),
        };
        if self.journal.session().system() != system {
            self.journal.append(Entry::System(system.to_owned()))?;
        }
        let turns = &self.journal.session().turns;
        let common = turns.iter().zip(said).take_while(|(turn, message)| turn.message() == **message).count();
        if common < turns.len() {
            self.journal.append(Entry::Keep(common))?;
        }
        for message in &said[common..] {
            self.journal.append(match message.role {
                Role::Assistant => Entry::Assistant(message.content.clone()),
                Role::User | Role::System => Entry::User(message.content.clone()),
            })?;
        }
        Ok(())
    }

    /// A completion: the last turns go on if they amount to the text; else it is a turn of its own.
    fn follow_text(&mut self, text: &str) -> Result<()> {
        let turns = &self.journal.session().turns;
        let tail: String = turns[turns.len().saturating_sub(2)..].iter().map(|turn| turn.content()).collect();
        if !turns.is_empty() && tail == text {
            return Ok(());
        }
        let again = turns.len() >= 2 && turns[turns.len() - 2].content() == text;
        if again {
            return self.journal.append(Entry::Keep(turns.len() - 1));
        }
        self.journal.append(Entry::User(text.to_owned()))
    }

    fn end(&mut self, run: RunId, end: impl FnOnce(usize) -> RunEnd) -> Result<()> {
        let Some(own) = self.of(run) else { return Ok(()) };
        self.run = None;
        self.journal.append(Entry::End { run: own, end: end(self.cached) })
    }
}

/// Finds out the hash of the model's file on a thread of its own. A file that cannot be read has none.
fn hash(record: ModelRecord, path: PathBuf) -> Receiver<ModelRecord> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        if let Ok(hash) = transcript::fingerprint(&path) {
            let _ = sender.send(ModelRecord { hash: Some(hash), ..record });
        }
    });
    receiver
}

/// A session as the playground shows it: each turn of the user's with the rounds that answered it.
fn screen(session: &Session) -> Screen {
    let mut turns: Vec<Turn> = Vec::new();
    for turn in &session.turns {
        if turn.role != Role::Assistant || turns.is_empty() {
            let id = turns.len() as u64;
            let text = if turn.role == Role::Assistant { String::new() } else { turn.text.clone() };
            turns.push(Turn::new(id, mode(session), text));
        }
        if let Some(last) = turns.last_mut() {
            last.rounds.extend(turn.runs.iter().flat_map(|run| run.rounds.iter().cloned()));
            last.stats = Stats::of(&last.rounds);
            let stopped = turn.runs.last().and_then(|run| run.stop().cloned()).unwrap_or(StopReason::Cancelled);
            last.outcome = Some(Outcome::Stopped(stopped));
        }
    }
    Screen { system: session.system().to_owned(), mode: mode(session), settings: session.settings.clone(), turns }
}

/// How the last run was prompted.
fn mode(session: &Session) -> Mode {
    use crate::transcript::PromptForm;
    match session.runs().last().map(|run| &run.prompt) {
        Some(PromptForm::Completion | PromptForm::Other(Prompt::Text(_))) => Mode::Completion,
        _ => Mode::Chat,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder(folder: &Path) -> Recorder {
        let store = Store::at(folder);
        let journal = Journal::begin(&store);
        Recorder { store, journal, run: None, cached: 0, settings: None, hashed: None }
    }

    fn say(role: Role, content: &str) -> Message {
        Message { role, content: content.into() }
    }

    fn ask(recorder: &mut Recorder, run: u64, messages: Vec<Message>) {
        let command =
            Command::Generate { run: RunId(run), prompt: Prompt::Chat(messages), settings: Settings::default() };
        recorder.command(&command).unwrap();
    }

    fn answer(recorder: &mut Recorder, run: u64, text: &str) {
        let last = crate::engine::decode::FinalToken {
            id: 1,
            text: text.into(),
            origin: crate::engine::decode::Origin::Plain,
            p_draft: None,
            p_verify: 0.5,
            detail: None,
        };
        let round = crate::engine::decode::Round {
            index: 0,
            position: 5,
            settings: Settings::default(),
            control: None,
            drafted: Vec::new(),
            accepted: 0,
            last: Some(last),
            draft_seconds: 0.0,
            verify_seconds: 0.1,
            stop: None,
        };
        recorder.event(&Event::Round { run: RunId(run), round: Box::new(round) }).unwrap();
        let (reason, stats) = (StopReason::Eos, Stats::default());
        recorder.event(&Event::Finished { run: RunId(run), reason, stats }).unwrap();
    }

    fn texts(recorder: &Recorder) -> Vec<String> {
        recorder.journal.session().turns.iter().map(|turn| turn.content()).collect()
    }

    #[test]
    fn a_conversation_is_kept_with_what_was_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = recorder(folder.path());
        let hello = say(Role::User, "hello");
        ask(&mut recorder, 0, vec![say(Role::System, "be kind"), hello.clone()]);
        answer(&mut recorder, 0, "hi");
        let more =
            vec![say(Role::System, "be kind"), hello.clone(), say(Role::Assistant, "hi"), say(Role::User, "more")];
        ask(&mut recorder, 1, more);
        answer(&mut recorder, 1, "well");
        assert_eq!(texts(&recorder), ["hello", "hi", "more", "well"]);
        ask(&mut recorder, 2, vec![hello]);
        answer(&mut recorder, 1, "late");
        answer(&mut recorder, 2, "hey");
        assert_eq!(texts(&recorder), ["hello", "hey"]);
        assert_eq!(recorder.journal.session().system(), "");

        let path = recorder.journal.path().to_owned();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        recorder.close().unwrap();
        let mut again = self::recorder(folder.path());
        let shown = again.resume(&name).unwrap();
        assert_eq!(shown.turns.len(), 1);
        assert_eq!((shown.turns[0].prompt.as_str(), shown.turns[0].answer().as_str()), ("hello", "hey"));
        ask(&mut again, 0, vec![say(Role::User, "hello"), say(Role::Assistant, "hey"), say(Role::User, "on")]);
        answer(&mut again, 0, "!");
        assert_eq!(texts(&again), ["hello", "hey", "on", "!"]);
    }

    #[test]
    fn a_saved_session_is_taken_up_from_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = recorder(folder.path());
        ask(&mut recorder, 0, vec![say(Role::User, "hello")]);
        answer(&mut recorder, 0, "hi");
        let path = folder.path().join("mine.jsonl");
        recorder.save(path.to_str().unwrap()).unwrap();
        let shown = recorder.resume(path.to_str().unwrap()).unwrap();
        assert_eq!(shown.turns[0].answer(), "hi");
        assert_ne!(recorder.journal.path(), path);
        let page = folder.path().join("mine.html");
        recorder.save(page.to_str().unwrap()).unwrap();
        assert!(std::fs::read_to_string(page).unwrap().contains("<html"));
    }
}
