//! Serialises a session as the lines of a journal.

use super::entry::Detail;
use super::line::{JournalLine, Override, RoundLine};
use super::{Run, Session, Turn};
use crate::engine::decode::Settings;
use crate::engine::prompt::Role;

impl Session {
    /// All lines after the header. Applied to an empty session, they restore this one.
    pub fn lines(&self) -> impl Iterator<Item = JournalLine> {
        let mut writer = Writer {
            session: self,
            lines: Vec::new(),
            settings: None,
            models: 0,
            systems: 0,
        };
        writer.write();
        writer.lines.into_iter()
    }
}

/// Collects the lines of a session. Settings, models and system prompts are written when they change.
struct Writer<'a> {
    session: &'a Session,
    lines: Vec<JournalLine>,
    settings: Option<&'a Settings>,
    models: usize,
    systems: usize,
}

impl<'a> Writer<'a> {
    fn write(&mut self) {
        let session = self.session;
        if session.title != session.header.title {
            self.lines.push(JournalLine::Title {
                title: session.title.clone(),
            });
        }
        for (index, turn) in session.turns.iter().enumerate() {
            self.turn(index as u64, turn);
        }
        self.models_to(session.models.len());
        self.systems_to(session.systems.len());
        self.set_settings(&session.settings);
        self.lines
            .extend(session.mode.map(|mode| JournalLine::Mode { mode }));
        if !session.queued.is_empty() {
            self.lines.push(JournalLine::Queued {
                texts: session.queued.clone(),
            });
        }
        self.lines
            .extend(session.race.clone().map(JournalLine::Race));
        self.lines.push(JournalLine::Summary(session.totals()));
    }

    fn turn(&mut self, turn: u64, of: &'a Turn) {
        let mut answers = of.answers();
        let (text, runs) = answers.next().unwrap_or_default();
        let (at, text) = (of.at_ms, text.to_owned());
        match of.role {
            Role::User | Role::System => self.lines.push(JournalLine::User { turn, at, text }),
            // A turn without typed text starts with its first run.
            Role::Assistant if runs.is_empty() || !text.is_empty() || at != runs[0].at_ms => {
                self.lines.push(JournalLine::Assistant { turn, at, text });
            }
            Role::Assistant => {}
        }
        runs.iter().for_each(|run| self.run(turn, run));
        for (_, runs) in answers {
            self.lines.push(JournalLine::Retry {});
            runs.iter().for_each(|run| self.run(turn, run));
        }
        if of.variant < of.others.len() {
            self.lines.push(JournalLine::Show {
                turn: turn as usize,
                answer: of.variant,
            });
        }
    }

    fn run(&mut self, turn: u64, of: &'a Run) {
        self.models_to(of.model.map_or(0, |at| at + 1));
        self.systems_to(of.system.map_or(0, |at| at + 1));
        self.lines.push(JournalLine::Run {
            turn,
            at: of.at_ms,
            run: of.run,
            prompt: of.prompt.clone(),
            model: of.model.filter(|at| at + 1 < self.models),
            system: of.system.filter(|at| at + 1 < self.systems),
        });
        if of.dropped > 0 {
            self.lines.push(JournalLine::Dropped {
                run: of.run,
                messages: of.dropped,
            });
        }
        for round in &of.rounds {
            let base = self
                .settings
                .filter(|base| Override::between(base, &round.settings).is_some());
            self.set_settings(base.unwrap_or(&round.settings));
            let line = RoundLine::new(
                of.run,
                base.unwrap_or(&round.settings),
                round.clone(),
                Detail::Layers,
            );
            self.lines.push(JournalLine::Round(Box::new(line)));
        }
        if let Some(end) = &of.end {
            self.lines.push(JournalLine::End {
                run: of.run,
                end: end.clone(),
            });
        }
        if let Some(lens) = &of.lens {
            self.lines.push(JournalLine::Lens {
                run: of.run,
                lens: lens.clone(),
            });
        }
    }

    fn set_settings(&mut self, settings: &'a Settings) {
        if self.settings != Some(settings) {
            self.lines.push(JournalLine::Settings(settings.clone()));
            self.settings = Some(settings);
        }
    }

    fn models_to(&mut self, count: usize) {
        for model in self
            .session
            .models
            .get(self.models..count)
            .unwrap_or_default()
        {
            self.lines.push(JournalLine::Model(model.clone()));
        }
        self.models = self.models.max(count);
    }

    fn systems_to(&mut self, count: usize) {
        for text in self
            .session
            .systems
            .get(self.systems..count)
            .unwrap_or_default()
        {
            self.lines.push(JournalLine::System { text: text.clone() });
        }
        self.systems = self.systems.max(count);
    }
}
