//! Keeps the journal of the session: it listens to what goes to the engine and what comes from it.

use crate::engine::decode::{CostModel, LensRow, Settings, Stats, StopReason};
use crate::engine::prompt::{Message, Prompt, Role};
use crate::engine::worker::{Command, Event, ModelEvent, RunEvent, RunId, Task};
use crate::transcript::{
    self, Detail, Entry, Journal, LAST, Lens, ModelRecord, Result, RunEnd, Session, Store,
};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
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
    /// Files that the user saved since the start, each with a digest of what was saved.
    saved: HashMap<PathBuf, u64>,
}

impl Recorder {
    /// A recorder of a new session. Fails where the system has no data folder.
    pub fn new(detail: Detail) -> Result<Self> {
        Ok(Self::keeping(Store::open()?, detail))
    }

    fn keeping(store: Store, detail: Detail) -> Self {
        let mut journal = Journal::begin(&store);
        journal.set_detail(detail);
        let (run, last, settings, model, hashed) = (None, None, None, None, None);
        Self {
            store,
            journal,
            run,
            last,
            cached: 0,
            settings,
            detail,
            model,
            hashed,
            saved: HashMap::new(),
        }
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
            Command::Start {
                run,
                task: Task::Generate(prompt),
                settings,
                ..
            } => self.begin(*run, prompt, settings),
            Command::Settings { settings, .. } => self.note_settings(settings),
            _ => Ok(()),
        }
    }

    /// Notes what the user set while nothing was being written. Before anything was said there is nothing to keep: the
    /// first answer brings its settings along.
    pub fn note(&mut self, entry: Entry) -> Result<()> {
        match entry {
            _ if !self.journal.has_begun() => Ok(()),
            Entry::Settings(settings) => self.note_settings(&settings),
            entry => self.journal.append(entry),
        }
    }

    /// Notes what the engine reports.
    pub fn event(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Model(ModelEvent::Loaded(info)) => {
                let record = ModelRecord::from(&**info);
                self.hashed = Some(hash(record.clone(), info.path.clone()));
                // The model that the program starts with is noted with its first answer: a session may only be looked at.
                let before = self.model.replace(record.clone());
                let switched = before.is_some_and(|before| !before.is(&record));
                if switched && self.journal.has_begun() {
                    self.note_model()
                } else {
                    Ok(())
                }
            }
            Event::Run(run, RunEvent::Prefill { cached, .. }) if self.of(*run).is_some() => {
                self.cached = *cached;
                Ok(())
            }
            Event::Run(run, RunEvent::Round(round)) => match self.of(*run) {
                Some(run) => self.journal.append(Entry::Round {
                    run,
                    round: round.clone(),
                }),
                None => Ok(()),
            },
            Event::Run(run, RunEvent::Finished { reason, stats }) => self.end(*run, |cached| {
                RunEnd::finished(reason.clone(), stats, cached)
            }),
            Event::Run(run, RunEvent::Failed(failure)) => {
                self.end(*run, |_| RunEnd::failed(&failure.message))
            }
            Event::Run(run, RunEvent::Lens { rows, costs, .. }) => {
                self.note_lens(*run, rows, costs)
            }
            _ => Ok(()),
        }
    }

    /// Saves the session under a path of the user's, or as a copy of that name among the sessions; gives back where.
    /// A file is replaced only if it was saved here before and is still what was saved: it may be anything else, or go
    /// on elsewhere. The session's own file holds it already.
    pub fn save(&mut self, name: &str) -> Result<PathBuf> {
        if name == LAST {
            return Err(transcript::Error::Reserved { name: name.into() });
        }
        let own = !name.contains(std::path::is_separator) && Path::new(name).extension().is_none();
        let path = if own {
            self.store.path_of(name)
        } else {
            at_home(name)
        };
        if path == self.journal.path() {
            self.journal.write_now()?;
            return Ok(path);
        }
        let session = self.journal.session();
        let bytes = match transcript::export::Format::of_path(&path) {
            Some(format) => format.export(session).into_bytes(),
            None if own => transcript::save::bytes(&Session {
                title: name.into(),
                ..session.clone()
            }),
            None => transcript::save::bytes(session),
        };
        let before = self.saved.get(&path);
        let there = std::fs::read(&path).ok().map(|bytes| digest(&bytes));
        if before.is_some() && there.is_some_and(|there| Some(&there) != before) {
            return Err(transcript::Error::Changed { path });
        }
        transcript::write_file(&path, &bytes, before.is_some())?;
        self.saved.insert(path.clone(), digest(&bytes));
        Ok(path)
    }

    /// Takes up a session: one of the program's own goes on in its file, one from elsewhere or behind a link in a new
    /// file.
    pub fn resume(&mut self, name: &str) -> Result<Session> {
        let path = self.find(name)?;
        if path != self.journal.path() {
            let own = path.parent() == Some(self.store.sessions().as_path());
            let journal = if own && !path.is_symlink() {
                Journal::resume(&path)?.0
            } else {
                Journal::adopt(&self.store, foreign(&path)?)
            };
            self.keep(journal);
        }
        Ok(self.journal.session().clone())
    }

    /// The session that `name` means, to look at.
    pub fn read(&self, name: &str) -> Result<Session> {
        let path = self.find(name)?;
        if path == self.journal.path() {
            Ok(self.journal.session().clone())
        } else {
            foreign(&path)
        }
    }

    /// The file that `name` means to a user, see [`Store::find`].
    fn find(&self, name: &str) -> Result<PathBuf> {
        self.store.find(&at_home(name).to_string_lossy())
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

    /// The chat was cleared: what is said from now on is another session. The one before stays as it is.
    pub fn begin_anew(&mut self) -> Result<()> {
        if let Some((run, _)) = self.run {
            let nothing = Stats::default();
            self.end(run, |cached| {
                RunEnd::finished(StopReason::Cancelled, &nothing, cached)
            })?;
        }
        // What could not be written yet waits in its journal for a disk with room.
        if self.journal.is_written() {
            self.keep(Journal::begin(&self.store));
        }
        Ok(())
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
        if let Some(record) = self
            .hashed
            .as_ref()
            .and_then(|hashed| hashed.try_recv().ok())
        {
            (self.hashed, self.model) = (None, Some(record));
        }
        let Some(model) = &self.model else {
            return Ok(());
        };
        let known = self.journal.session().model();
        let told = known
            .is_some_and(|known| known.is(model) && (known.hash.is_some() || model.hash.is_none()));
        if told {
            return Ok(());
        }
        self.journal.append(Entry::Model(model.clone()))
    }

    /// What the layers say of the answer that was given last.
    fn note_lens(&mut self, run: RunId, rows: &[LensRow], costs: &CostModel) -> Result<()> {
        let Some((_, own)) = self.last.filter(|(app, _)| *app == run) else {
            return Ok(());
        };
        let lens = Box::new(Lens {
            rows: rows.to_vec(),
            costs: costs.clone(),
        });
        self.journal.append(Entry::Lens { run: own, lens })
    }

    fn begin(&mut self, run: RunId, prompt: &Prompt, settings: &Settings) -> Result<()> {
        self.note_model()?;
        match prompt {
            Prompt::Chat(messages) => self.follow_chat(messages)?,
            Prompt::Text(text) => self.follow_text(text)?,
            // Token ids come from no conversation: the run names them itself.
            Prompt::Tokens(_) => {}
        }
        self.settings = Some(settings.clone());
        let own = self.journal.session().next_run();
        (self.run, self.last, self.cached) = (Some((run, own)), Some((run, own)), 0);
        self.journal.append(Entry::Run {
            run: own,
            prompt: prompt.clone(),
            settings: settings.clone(),
        })
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
        let common = turns
            .iter()
            .zip(said)
            .take_while(|(turn, message)| turn.message() == **message)
            .count();
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
        let tail: String = turns[turns.len().saturating_sub(2)..]
            .iter()
            .map(|turn| turn.content())
            .collect();
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
        let Some(own) = self.of(run) else {
            return Ok(());
        };
        self.run = None;
        self.journal.append(Entry::End {
            run: own,
            end: end(self.cached),
        })
    }
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// A session from a file that is no open journal of ours: a journal, or JSON to be imported.
fn foreign(path: &Path) -> Result<Session> {
    transcript::load(path).or_else(|fault| {
        transcript::import(path)
            .map(|(session, _)| session)
            .map_err(|_| fault)
    })
}

/// A path with the home folder in place of its `~`, as a shell would have it.
fn at_home(name: &str) -> PathBuf {
    let rest = name
        .strip_prefix('~')
        .filter(|rest| rest.starts_with(std::path::is_separator));
    let home = directories::BaseDirs::new().filter(|_| rest.is_some());
    match (home, rest) {
        (Some(home), Some(rest)) => home
            .home_dir()
            .join(rest.trim_start_matches(std::path::is_separator)),
        _ => PathBuf::from(name),
    }
}

/// Finds out the hash of the model's file on a thread of its own. A file that cannot be read has none.
fn hash(record: ModelRecord, path: PathBuf) -> Receiver<ModelRecord> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        if let Ok(hash) = transcript::fingerprint(&path) {
            let _ = sender.send(ModelRecord {
                hash: Some(hash),
                ..record
            });
        }
    });
    receiver
}

#[cfg(test)]
mod tests;
