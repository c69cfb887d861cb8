//! Keeps the session on disk as it happens: each round is written before the next one is shown.

use crate::app::{State, Turn};
use crate::engine::decode::StopReason;
use crate::engine::worker::{Command, Event, RunId};
use crate::transcript::{Entry, Journal, Outcome, Prefill, Result, RunEnd};

/// Writes what is said to a journal.
pub struct Recorder {
    journal: Journal,
    /// Ids of the turns that the journal holds. Each is two of its turns, the user's and the assistant's.
    turns: Vec<u64>,
    /// The run whose end is not yet written.
    open: Option<RunId>,
    /// Prompt tokens that this run found in the cache.
    cached: usize,
    system: String,
}

impl Recorder {
    pub fn new(journal: Journal) -> Self {
        Self { journal, turns: Vec::new(), open: None, cached: 0, system: String::new() }
    }

    /// What the engine reports, before the state takes it in. Late events are dropped here as there.
    pub fn event(&mut self, state: &State, event: &Event) -> Result<()> {
        let present = state.run().map(|present| present.id);
        match event {
            Event::Loaded(model) => self.journal.append(Entry::Model(model.into())),
            Event::Prefill { run, cached, .. } if Some(*run) == present => {
                self.cached = *cached;
                Ok(())
            }
            Event::Round { run, round } if Some(*run) == present => {
                self.journal.append(Entry::Round { run: *run, round: round.clone() })
            }
            Event::Finished { run, reason, stats } if Some(*run) == present => {
                self.end(RunEnd::finished(reason.clone(), stats, self.cached))
            }
            Event::Failed { run, message } if Some(*run) == present => self.end(RunEnd::failed(message)),
            _ => Ok(()),
        }
    }

    /// What is sent to the engine.
    pub fn command(&mut self, state: &State, command: &Command) -> Result<()> {
        match command {
            Command::Generate { run, prompt, settings } => {
                self.close()?;
                self.follow(state)?;
                (self.open, self.cached) = (Some(*run), 0);
                let (prompt, settings) = (prompt.clone(), settings.clone());
                self.journal.append(Entry::Run { run: *run, prompt, settings })
            }
            Command::Settings(settings) => self.journal.append(Entry::Settings(settings.clone())),
            _ => Ok(()),
        }
    }

    /// End a run that the engine was not waited for, and bring all to the disk.
    pub fn close(&mut self) -> Result<()> {
        if self.open.is_some() {
            self.end(RunEnd { outcome: Outcome::Stopped(StopReason::Cancelled), prefill: Prefill::default() })?;
        }
        self.journal.sync()
    }

    fn end(&mut self, end: RunEnd) -> Result<()> {
        match self.open.take() {
            Some(run) => self.journal.append(Entry::End { run, end }),
            None => Ok(()),
        }
    }

    /// Bring the journal's turns to those of the state: take back what is gone, add what is new. The last turn's
    /// answer is about to be generated; answers of new turns before it come from a file.
    fn follow(&mut self, state: &State) -> Result<()> {
        if state.system != self.system {
            self.system = state.system.clone();
            self.journal.append(Entry::System(self.system.clone()))?;
        }
        let same = |(known, turn): &(&u64, &Turn)| **known == turn.id;
        let kept = self.turns.iter().zip(&state.turns).take_while(same).count();
        if kept < self.turns.len() {
            self.journal.append(Entry::Keep(2 * kept))?;
            self.turns.truncate(kept);
        }
        for (at, turn) in state.turns.iter().enumerate().skip(kept) {
            self.journal.append(Entry::User(turn.prompt.clone()))?;
            if at + 1 < state.turns.len() {
                self.journal.append(Entry::Assistant(turn.answer()))?;
            }
            self.turns.push(turn.id);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Mode, Options};
    use crate::engine::decode::Settings;
    use crate::engine::worker::Prompt;
    use crate::transcript::{Store, load};

    fn ask(recorder: &mut Recorder, state: &State, run: u64) {
        let prompt = Prompt::Text("p".into());
        let command = Command::Generate { run: RunId(run), prompt, settings: Settings::default() };
        recorder.command(state, &command).expect("written");
    }

    #[test]
    fn turns_taken_back_are_taken_back_in_the_journal() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut recorder = Recorder::new(Journal::begin(&Store::at(folder.path())));
        let mut state = State::new(Options::default()).expect("a state");
        for (id, text) in [(0, "one"), (1, "two")] {
            state.turns.push(Turn::new(id, Mode::Chat, text.into()));
            ask(&mut recorder, &state, id);
        }
        state.turns.pop();
        state.turns.push(Turn::new(2, Mode::Chat, "three".into()));
        ask(&mut recorder, &state, 2);
        recorder.close().expect("closed");
        let session = load(recorder.journal.path()).expect("a session").session;
        let users: Vec<_> = session.turns.iter().map(|turn| turn.text.as_str()).filter(|t| !t.is_empty()).collect();
        assert_eq!(users, ["one", "three"]);
        assert_eq!(session.turns.len(), 4);
    }
}
