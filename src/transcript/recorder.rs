//! Records the current session in a journal, from the commands to the engine and the events it reports.

mod conversation;

use crate::engine::decode::{CostModel, LensRow, Settings, Stats, StopReason};
use crate::engine::prompt::Prompt;
use crate::engine::worker::{Command, Event, ModelEvent, RunEvent, RunId, Task};
use crate::folders;
use crate::transcript::{
    self, Detail, Entry, Journal, LAST, Lens, ModelRecord, Result, RunEnd, Session, Store,
};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// Extensions of formats that people may expect, but that are not written.
const FOREIGN: [&str; 9] = [
    "pdf", "txt", "doc", "docx", "odt", "rtf", "tex", "xml", "yaml",
];

/// Records the conversation as it happens.
pub struct Recorder {
    store: Store,
    journal: Journal,
    /// The active run: its id in the app and in the journal.
    run: Option<(RunId, RunId)>,
    /// The same for the latest run, active or not.
    last: Option<(RunId, RunId)>,
    /// Prompt tokens of the active run that were found in the cache.
    cached: usize,
    settings: Option<Settings>,
    /// How much token detail is written.
    detail: Detail,
    /// The loaded model.
    model: Option<ModelRecord>,
    /// Whether the next run answers the last prompt again.
    keeps_answer: bool,
    /// Files saved by this process, each with a digest of its content.
    saved: HashMap<PathBuf, u64>,
}

impl Recorder {
    /// A recorder of a new session.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn new(detail: Detail) -> Result<Self> {
        Ok(Self::with_store(Store::open()?, detail))
    }

    fn with_store(store: Store, detail: Detail) -> Self {
        let mut journal = Journal::begin(&store);
        journal.set_detail(detail);
        let (run, last, settings, model) = (None, None, None, None);
        Self {
            store,
            journal,
            run,
            last,
            cached: 0,
            settings,
            detail,
            model,
            keeps_answer: false,
            saved: HashMap::new(),
        }
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The file of the session, which may not exist yet.
    pub fn path(&self) -> &Path {
        self.journal.path()
    }

    /// Records a command to the engine.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn command(&mut self, command: &Command) -> Result<()> {
        match command {
            Command::Start {
                run,
                task: Task::Generate(prompt) | Task::GenerateWhole(prompt),
                settings,
                ..
            } => self.begin(*run, prompt, settings),
            Command::Settings { settings, .. } => self.record_settings(settings),
            _ => Ok(()),
        }
    }

    /// Records a change that the user made between runs. Before the first message nothing is recorded, because the
    /// first run records its settings.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn note(&mut self, entry: Entry) -> Result<()> {
        match entry {
            _ if !self.journal.has_begun() => Ok(()),
            Entry::Settings(settings) => self.record_settings(&settings),
            entry => self.journal.append(entry),
        }
    }

    /// Records an event of the engine.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn event(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Model(ModelEvent::Loaded { info, fingerprint }) => {
                let record = ModelRecord::new(info, fingerprint.clone());
                // The first model is recorded with its first run: the user may only be reading a resumed session.
                let before = self.model.replace(record.clone());
                let switched = before.is_some_and(|before| !before.is(&record));
                if switched && self.journal.has_begun() {
                    self.record_model()
                } else {
                    Ok(())
                }
            }
            Event::Run(run, RunEvent::Prefill { cached, .. }) if self.active(*run).is_some() => {
                self.cached = *cached;
                Ok(())
            }
            Event::Run(run, RunEvent::Dropped { messages }) => match self.active(*run) {
                Some(run) => self.journal.append(Entry::Dropped {
                    run,
                    messages: *messages,
                }),
                None => Ok(()),
            },
            Event::Run(run, RunEvent::Round(round)) => match self.active(*run) {
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
                self.record_lens(*run, rows, costs)
            }
            _ => Ok(()),
        }
    }

    /// Saves the session to the path `name`, or as a copy called `name` in the store. Returns the path. An existing file
    /// is replaced only if this process saved it and it has not changed since. Saving to the session's own file only
    /// writes pending lines.
    ///
    /// # Errors
    /// If `name` is reserved or has an extension of a format that is not written, or the file exists, has changed, or cannot
    /// be written.
    pub fn save(&mut self, name: &str) -> Result<PathBuf> {
        if name == LAST {
            return Err(transcript::Error::Reserved { name: name.into() });
        }
        let own = !name.contains(std::path::is_separator) && Path::new(name).extension().is_none();
        let path = if own {
            self.store.path_of(name)
        } else {
            folders::expand_home(name)
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
            None => match path.extension() {
                Some(other)
                    if FOREIGN
                        .iter()
                        .any(|known| other.eq_ignore_ascii_case(known)) =>
                {
                    return Err(transcript::Error::Format { path });
                }
                _ => transcript::save::bytes(session),
            },
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

    /// Resumes a session. A session of the store continues in its file; one from elsewhere, or behind a symbolic link,
    /// continues in a new file.
    ///
    /// # Errors
    /// If no session or several match `name`, or the session cannot be read.
    pub fn resume(&mut self, name: &str) -> Result<Session> {
        let path = self.find(name)?;
        if path != self.journal.path() {
            let own = path.parent() == Some(self.store.sessions().as_path());
            let journal = if own && !path.is_symlink() {
                Journal::resume(&path)?.0
            } else {
                Journal::adopt(&self.store, load_or_import(&path)?)
            };
            self.switch_to(journal);
        }
        Ok(self.journal.session().clone())
    }

    /// Reads the session that `name` refers to.
    ///
    /// # Errors
    /// As [`Recorder::resume`].
    pub fn read(&self, name: &str) -> Result<Session> {
        let path = self.find(name)?;
        if path == self.journal.path() {
            Ok(self.journal.session().clone())
        } else {
            load_or_import(&path)
        }
    }

    /// The file that `name` refers to, see [`Store::find`]; `~` is the home folder.
    fn find(&self, name: &str) -> Result<PathBuf> {
        self.store
            .find(&folders::expand_home(name).to_string_lossy())
    }

    /// Sets the title of the session in the file `path`.
    ///
    /// # Errors
    /// As [`Store::rename`].
    pub fn rename(&mut self, path: &Path, title: &str) -> Result<()> {
        match path == self.journal.path() {
            true => self.journal.append(Entry::Title(title.trim().to_owned())),
            false => self.store.rename(path, title),
        }
    }

    /// Moves a session to the trash. Returns whether it was the current one, which a new session then replaces.
    ///
    /// # Errors
    /// As [`Store::delete`].
    pub fn delete(&mut self, id: &str) -> Result<bool> {
        let own = self.store.path_of(id) == self.journal.path();
        if own {
            self.switch_to(Journal::begin(&self.store));
        }
        self.store.delete(id)?;
        Ok(own)
    }

    /// Restores a session from the trash.
    ///
    /// # Errors
    /// As [`Store::restore`].
    pub fn restore(&mut self, id: &str) -> Result<()> {
        self.store.restore(id).map(drop)
    }

    /// Starts a new session after the chat was cleared. The previous one is closed.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn start_new_session(&mut self) -> Result<()> {
        if let Some((run, _)) = self.run {
            let stats = Stats::default();
            self.end(run, |cached| {
                RunEnd::finished(StopReason::Cancelled, &stats, cached)
            })?;
        }
        // A journal that could not be written yet is kept until the disk has room.
        if self.journal.is_written() {
            self.switch_to(Journal::begin(&self.store));
        }
        Ok(())
    }

    /// Records to `journal` from now on; the previous one is closed.
    fn switch_to(&mut self, journal: Journal) {
        self.journal = journal;
        self.journal.set_detail(self.detail);
        (self.run, self.last, self.settings) = (None, None, None);
        self.keeps_answer = false;
    }

    /// Writes and syncs everything.
    ///
    /// # Errors
    /// As [`Journal::close`].
    pub fn close(self) -> Result<()> {
        self.journal.close()
    }

    /// The journal's id of `run`, if it is active.
    fn active(&self, run: RunId) -> Option<RunId> {
        self.run.filter(|(app, _)| *app == run).map(|(_, own)| own)
    }

    fn record_settings(&mut self, settings: &Settings) -> Result<()> {
        if self.settings.as_ref() == Some(settings) {
            return Ok(());
        }
        self.settings = Some(settings.clone());
        self.journal.append(Entry::Settings(settings.clone()))
    }

    /// Records the current model.
    fn record_model(&mut self) -> Result<()> {
        let Some(model) = &self.model else {
            return Ok(());
        };
        let known = self.journal.session().model();
        let recorded = known
            .is_some_and(|known| known.is(model) && (known.hash.is_some() || model.hash.is_none()));
        if recorded {
            return Ok(());
        }
        self.journal.append(Entry::Model(model.clone()))
    }

    /// Records the predictions of the layers for the latest answer.
    fn record_lens(&mut self, run: RunId, rows: &[LensRow], costs: &CostModel) -> Result<()> {
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
        self.record_model()?;
        match prompt {
            Prompt::Chat(messages) => self.follow_chat(messages)?,
            Prompt::Text(text) => self.follow_text(text)?,
            // Token ids are not part of a conversation; the run itself records them.
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

    /// The next run answers the last prompt again: keeps the current answer as an alternative.
    pub fn keep_answer(&mut self) {
        self.keeps_answer = true;
    }

    fn end(&mut self, run: RunId, end: impl FnOnce(usize) -> RunEnd) -> Result<()> {
        let Some(own) = self.active(run) else {
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

/// Reads a session from a journal or from importable JSON.
fn load_or_import(path: &Path) -> Result<Session> {
    transcript::load(path).or_else(|fault| {
        transcript::import(path)
            .map(|(session, _)| session)
            .map_err(|_| fault)
    })
}

#[cfg(test)]
mod tests;
