//! Keeps the journal of the session: it listens to what goes to the engine and what comes from it.

use crate::engine::decode::{Costs, LensRow, Settings};
use crate::engine::worker::{Command, Event, Message, Prompt, Role, RunId};
use crate::transcript::{self, Detail, Entry, Journal, Lens, ModelRecord, Result, RunEnd, Session, Store};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};

/// Writes down the conversation as it happens.
pub struct Recorder {
    store: Store,
    journal: Journal,
    /// The run under way: its id in the app and in the journal.
    run: Option<(RunId, RunId)>,
    /// The run that began last, over or not.
    last: Option<(RunId, RunId)>,
    /// Prompt tokens that its prefill found in the cache.
    cached: usize,
    settings: Option<Settings>,
    /// How much of the tokens' detail is written.
    detail: Detail,
    /// The model that is loaded.
    model: Option<ModelRecord>,
    /// The model with its file hash, once that is found out beside the drawing.
    hashed: Option<Receiver<ModelRecord>>,
}

impl Recorder {
    /// A recorder of a new session. Fails where the system has no data folder.
    pub fn new(detail: Detail) -> Result<Self> {
        Ok(Self::keeping(Store::open()?, detail))
    }

    fn keeping(store: Store, detail: Detail) -> Self {
        let mut journal = Journal::begin(&store);
        journal.set_detail(detail);
        Self { store, journal, run: None, last: None, cached: 0, settings: None, detail, model: None, hashed: None }
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The file of the session, there or to be.
    pub fn path(&self) -> &Path {
        self.journal.path()
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
                self.model = Some(record);
                Ok(())
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
            Event::Lens { run, rows, costs, .. } => self.note_lens(*run, rows, costs),
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
    pub fn resume(&mut self, name: &str) -> Result<Session> {
        let path = self.store.find(name)?;
        if path != self.journal.path() {
            let own = path.parent() == Some(self.store.sessions().as_path());
            let journal = if own { Journal::resume(&path)?.0 } else { Journal::adopt(&self.store, foreign(&path)?) };
            self.keep(journal);
        }
        Ok(self.journal.session().clone())
    }

    /// The session that `name` means, to look at.
    pub fn read(&self, name: &str) -> Result<Session> {
        let path = self.store.find(name)?;
        if path == self.journal.path() { Ok(self.journal.session().clone()) } else { foreign(&path) }
    }

    /// Gives the session in the file `path` a title.
    pub fn rename(&mut self, path: &Path, title: &str) -> Result<()> {
        match path == self.journal.path() {
            true => self.journal.append(Entry::Title(title.trim().to_owned())),
            false => self.store.rename(path, title),
        }
    }

    /// Moves a session to the trash; true if it was the one being kept, in whose place another begins.
    pub fn delete(&mut self, id: &str) -> Result<bool> {
        let own = self.store.path_of(id) == self.journal.path();
        if own {
            self.keep(Journal::begin(&self.store));
        }
        self.store.delete(id)?;
        Ok(own)
    }

    /// Takes a session back from the trash.
    pub fn restore(&mut self, id: &str) -> Result<()> {
        self.store.restore(id).map(drop)
    }

    /// From now on another journal is kept; the one before is closed.
    fn keep(&mut self, journal: Journal) {
        self.journal = journal;
        self.journal.set_detail(self.detail);
        (self.run, self.last, self.settings) = (None, None, None);
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

    /// Notes the model that answers, with its hash as soon as that is known.
    fn note_model(&mut self) -> Result<()> {
        if let Some(record) = self.hashed.as_ref().and_then(|hashed| hashed.try_recv().ok()) {
            (self.hashed, self.model) = (None, Some(record));
        }
        match &self.model {
            Some(model) if self.journal.session().model() != Some(model) => {
                self.journal.append(Entry::Model(model.clone()))
            }
            _ => Ok(()),
        }
    }

    /// What the layers say of the answer that was given last.
    fn note_lens(&mut self, run: RunId, rows: &[LensRow], costs: &Costs) -> Result<()> {
        let Some((_, own)) = self.last.filter(|(app, _)| *app == run) else { return Ok(()) };
        let lens = Box::new(Lens { rows: rows.to_vec(), costs: costs.clone() });
        self.journal.append(Entry::Lens { run: own, lens })
    }

    fn begin(&mut self, run: RunId, prompt: &Prompt, settings: &Settings) -> Result<()> {
        self.note_model()?;
        match prompt {
            Prompt::Chat(messages) => self.follow_chat(messages)?,
            Prompt::Text(text) => self.follow_text(text)?,
        }
        self.settings = Some(settings.clone());
        let own = self.journal.session().next_run();
        (self.run, self.last, self.cached) = (Some((run, own)), Some((run, own)), 0);
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

/// A session from a file that is no open journal of ours: a journal, or JSON to be imported.
fn foreign(path: &Path) -> Result<Session> {
    transcript::load(path).or_else(|fault| transcript::import(path).map(|(session, _)| session).map_err(|_| fault))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::decode::{LayerChoice, Stats, StopReason};

    fn recorder(folder: &Path) -> Recorder {
        Recorder::keeping(Store::at(folder), Detail::Layers)
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
        let said: Vec<String> = shown.turns.iter().map(|turn| turn.content()).collect();
        assert_eq!(said, ["hello", "hey"]);
        ask(&mut again, 0, vec![say(Role::User, "hello"), say(Role::Assistant, "hey"), say(Role::User, "on")]);
        answer(&mut again, 0, "!");
        assert_eq!(texts(&again), ["hello", "hey", "on", "!"]);
    }

    #[test]
    fn what_the_layers_say_is_kept_where_that_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        for (detail, kept) in [(Detail::Layers, true), (Detail::Candidates, false)] {
            let mut recorder = Recorder::keeping(Store::at(folder.path()), detail);
            ask(&mut recorder, 3, vec![say(Role::User, "hello")]);
            answer(&mut recorder, 3, "hi");
            let choice = LayerChoice { layer: 1, id: 0, text: "hi".into(), p: 0.5 };
            let rows = vec![LensRow { position: 0, id: 0, layers: vec![choice] }];
            let costs = Costs { layers: 1, ..Costs::default() };
            let event = |run| Event::Lens { run: RunId(run), rows: rows.clone(), of: 1, costs: costs.clone() };
            recorder.event(&event(2)).unwrap();
            recorder.event(&event(3)).unwrap();
            let path = recorder.path().to_owned();
            recorder.close().unwrap();
            let lens = transcript::load(&path).unwrap().runs().next().unwrap().lens.clone();
            assert_eq!(lens.map(|lens| lens.rows), kept.then(|| rows.clone()));
        }
    }

    #[test]
    fn the_own_session_is_renamed_deleted_and_another_begins() {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = recorder(folder.path());
        recorder.model = Some(ModelRecord { name: "m".into(), ..ModelRecord::default() });
        ask(&mut recorder, 0, vec![say(Role::User, "hello")]);
        answer(&mut recorder, 0, "hi");
        let path = recorder.path().to_owned();
        let id = path.file_stem().unwrap().to_string_lossy().into_owned();
        recorder.rename(&path, "Greeting").unwrap();
        assert_eq!(recorder.store().list().unwrap()[0].totals.title, "Greeting");
        assert_eq!(recorder.resume(&id).unwrap().turns.len(), 2, "what is open already stays open");
        assert_eq!(recorder.read("last").unwrap().title, "Greeting");
        assert!(recorder.delete(&id).unwrap());
        ask(&mut recorder, 1, vec![say(Role::User, "again")]);
        answer(&mut recorder, 1, "yes");
        assert_eq!(recorder.journal.session().model().unwrap().name, "m", "the model is noted anew");
        recorder.restore(&id).unwrap();
        assert!(!recorder.delete(&id).unwrap());
        assert_eq!(texts(&recorder), ["again", "yes"]);
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
        assert_eq!(shown.turns[1].content(), "hi");
        assert_ne!(recorder.journal.path(), path);
        let page = folder.path().join("mine.html");
        recorder.save(page.to_str().unwrap()).unwrap();
        assert!(std::fs::read_to_string(page).unwrap().contains("<html"));
    }
}
