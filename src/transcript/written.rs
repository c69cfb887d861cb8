//! A session as the lines of a journal.

use super::entry::Detail;
use super::line::{Line, Moved, RoundLine};
use super::{Run, Session, Turn};
use crate::engine::decode::Settings;
use crate::engine::prompt::Role;

impl Session {
    /// All lines behind the header that make this session again.
    pub fn lines(&self) -> impl Iterator<Item = Line> {
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

/// A session on its way to lines: settings, models and system prompts are written where they change.
struct Writer<'a> {
    session: &'a Session,
    lines: Vec<Line>,
    settings: Option<&'a Settings>,
    models: usize,
    systems: usize,
}

impl<'a> Writer<'a> {
    fn write(&mut self) {
        let session = self.session;
        if session.title != session.header.title {
            self.lines.push(Line::Title {
                title: session.title.clone(),
            });
        }
        for (index, turn) in session.turns.iter().enumerate() {
            self.turn(index as u64, turn);
        }
        self.models_to(session.models.len());
        self.systems_to(session.systems.len());
        self.settle(&session.settings);
        self.lines
            .extend(session.mode.map(|mode| Line::Mode { mode }));
        self.lines.push(Line::Summary(session.totals()));
    }

    fn turn(&mut self, turn: u64, of: &'a Turn) {
        let (at, text) = (of.at_ms, of.text.clone());
        match of.role {
            Role::User | Role::System => self.lines.push(Line::User { turn, at, text }),
            // A turn without typed text begins with its first run.
            Role::Assistant if of.runs.is_empty() || !text.is_empty() || at != of.runs[0].at_ms => {
                self.lines.push(Line::Assistant { turn, at, text });
            }
            Role::Assistant => {}
        }
        of.runs.iter().for_each(|run| self.run(turn, run));
    }

    fn run(&mut self, turn: u64, of: &'a Run) {
        self.models_to(of.model.map_or(0, |at| at + 1));
        self.systems_to(of.system.map_or(0, |at| at + 1));
        self.lines.push(Line::Run {
            turn,
            at: of.at_ms,
            run: of.run,
            prompt: of.prompt.clone(),
        });
        for round in &of.rounds {
            let base = self
                .settings
                .filter(|base| Moved::between(base, &round.settings).is_some());
            self.settle(base.unwrap_or(&round.settings));
            let line = RoundLine::new(
                of.run,
                base.unwrap_or(&round.settings),
                round.clone(),
                Detail::Layers,
            );
            self.lines.push(Line::Round(Box::new(line)));
        }
        if let Some(end) = &of.end {
            self.lines.push(Line::End {
                run: of.run,
                end: end.clone(),
            });
        }
        if let Some(lens) = &of.lens {
            self.lines.push(Line::Lens {
                run: of.run,
                lens: lens.clone(),
            });
        }
    }

    fn settle(&mut self, settings: &'a Settings) {
        if self.settings != Some(settings) {
            self.lines.push(Line::Settings(settings.clone()));
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
            self.lines.push(Line::Model(model.clone()));
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
            self.lines.push(Line::System { text: text.clone() });
        }
        self.systems = self.systems.max(count);
    }
}
