//! A session in memory, built from the lines of a journal.

use super::entry::{Lens, Mode, ModelRecord, PromptForm, Race};
use super::line::{Header, JournalLine, MAGIC, RoundLine, SCHEMA, Totals};
use super::turn::{Run, Turn, with_prefill};
use super::validate;
use crate::engine::decode::{Round, Settings, Stats};
use crate::engine::prompt::{Message, Prompt, Role};
use crate::engine::worker::RunId;
use crate::safe_text;
use serde::{Deserialize, Serialize};

/// Max characters of the first message that serve as the title of an untitled session.
const TITLE_CHARS: usize = 60;

/// A session: its messages and every round that generated them, without the turns that were dropped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Session {
    pub header: Header,
    /// The current title; empty for none.
    pub title: String,
    /// The current settings.
    pub settings: Settings,
    /// How prompts reach the model, if chosen since the last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Models in the order of loading.
    pub models: Vec<ModelRecord>,
    /// System prompts in the order of setting.
    pub systems: Vec<String>,
    pub turns: Vec<Turn>,
    /// Queued questions, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queued: Vec<String>,
    /// The last race against plain decoding, which corrects estimates of plain decoding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub race: Option<Box<Race>>,
}

impl Session {
    /// An empty session.
    pub fn new(header: Header) -> Self {
        Self {
            title: header.title.clone(),
            header,
            ..Self::default()
        }
    }

    /// The title, else the start of the first message.
    pub fn display_title(&self) -> String {
        if !self.title.trim().is_empty() {
            return safe_text::one_line(self.title.trim()).into_owned();
        }
        let first = self
            .turns
            .iter()
            .map(Turn::content)
            .find(|content| !content.trim().is_empty());
        let first = first.unwrap_or_default();
        let line = first.trim().lines().next().unwrap_or_default();
        safe_text::one_line(&safe_text::shorten(line, TITLE_CHARS)).into_owned()
    }

    /// The current system prompt; empty for none.
    pub fn system(&self) -> &str {
        self.systems.last().map_or("", String::as_str)
    }

    /// The current model.
    pub fn model(&self) -> Option<&ModelRecord> {
        self.models.last()
    }

    /// How prompts reach the model: as chosen, else as in the last run.
    pub fn current_mode(&self) -> Mode {
        let last = || self.runs().last().map(|run| run.prompt.mode());
        self.mode.or_else(last).unwrap_or_default()
    }

    /// How the turn at index `turn` reached, or will reach, the model.
    pub fn mode_of(&self, turn: usize) -> Mode {
        let later = self.turns.get(turn..).unwrap_or_default().iter();
        let run = later.flat_map(|turn| &turn.runs).next();
        run.map_or_else(|| self.current_mode(), |run| run.prompt.mode())
    }

    /// The model that `run` ran on, if known.
    pub fn model_of(&self, run: &Run) -> Option<&ModelRecord> {
        self.models.get(run.model?)
    }

    /// The conversation as messages for the chat template.
    pub fn messages(&self) -> Vec<Message> {
        let system = Some(self.system()).filter(|text| !text.is_empty());
        let system = system.map(|text| Message {
            role: Role::System,
            content: text.into(),
        });
        system
            .into_iter()
            .chain(self.turns.iter().map(Turn::message))
            .collect()
    }

    /// Every generation, in order.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.turns.iter().flat_map(|turn| &turn.runs)
    }

    /// Every generation, including those of alternative answers.
    fn all_runs(&self) -> impl Iterator<Item = &Run> {
        let others = self.turns.iter().flat_map(|turn| &turn.others);
        self.runs().chain(others.flat_map(|answer| &answer.runs))
    }

    /// Every round, in order.
    pub fn rounds(&self) -> impl Iterator<Item = &Round> {
        self.runs().flat_map(|run| &run.rounds)
    }

    /// Statistics of all rounds.
    pub fn stats(&self) -> Stats {
        with_prefill(Stats::of(self.rounds()), self.runs())
    }

    /// Whether a new run continues the last turn instead of starting one.
    pub fn continues_answer(&self) -> bool {
        self.turns
            .last()
            .is_some_and(|turn| turn.role == Role::Assistant)
    }

    /// A run id that this session has not used.
    pub fn next_run(&self) -> RunId {
        RunId(
            self.all_runs()
                .map(|run| run.run.0)
                .max()
                .map_or(0, |last| last.saturating_add(1)),
        )
    }

    /// The prompt of run `run` in turn `turn`; `None` if there is no such run.
    pub fn prompt_of(&self, turn: usize, run: usize) -> Option<Prompt> {
        let this = self.turns.get(turn)?;
        let of = this.runs.get(run)?;
        let before = this.runs[..run]
            .iter()
            .fold(this.text.clone(), |text, run| text + &run.text());
        let turns = self.turns[..turn].iter();
        Some(match &of.prompt {
            PromptForm::Other(prompt) => prompt.clone(),
            PromptForm::Completion => {
                Prompt::Text(turns.map(Turn::content).collect::<String>() + &before)
            }
            PromptForm::Conversation => {
                let system = of
                    .system
                    .and_then(|at| self.systems.get(at))
                    .filter(|text| !text.is_empty());
                let system = system.map(|text| Message {
                    role: Role::System,
                    content: text.clone(),
                });
                let own = Some(before).filter(|text| !text.is_empty());
                let own = own.map(|content| Message {
                    role: Role::Assistant,
                    content,
                });
                Prompt::Chat(
                    system
                        .into_iter()
                        .chain(turns.map(Turn::message).skip(of.dropped))
                        .chain(own)
                        .collect(),
                )
            }
        })
    }

    /// The form in which a new run refers to `prompt`.
    pub fn form_of(&self, prompt: &Prompt) -> PromptForm {
        let derived = match prompt {
            Prompt::Chat(messages) => {
                let own = self
                    .turns
                    .last()
                    .filter(|turn| turn.role == Role::Assistant && turn.content().is_empty());
                let mut all = self.messages();
                all.truncate(all.len() - usize::from(own.is_some()));
                (*messages == all).then_some(PromptForm::Conversation)
            }
            Prompt::Text(text) => {
                let all: String = self.turns.iter().map(Turn::content).collect();
                (*text == all).then_some(PromptForm::Completion)
            }
            Prompt::Tokens(_) => None,
        };
        derived.unwrap_or_else(|| PromptForm::Other(prompt.clone()))
    }

    /// Whether a turn as a user counts them begins at an index of [`Self::turns`]: a question with its answer is one.
    pub fn starts_turn(&self, at: usize) -> bool {
        let role = self.turns.get(at).map(|turn| turn.role);
        role.is_some_and(|role| at == 0 || role != Role::Assistant)
    }

    /// The figures that a list shows.
    pub fn totals(&self) -> Totals {
        let stats = Stats::of(self.rounds());
        Totals {
            title: self.display_title(),
            model: self
                .model()
                .map(|model| model.name.clone())
                .unwrap_or_default(),
            turns: (0..self.turns.len())
                .filter(|at| self.starts_turn(*at))
                .count(),
            messages: self.turns.len(),
            tokens: stats.tokens,
            drafted: stats.drafted,
            accepted: stats.accepted,
        }
    }

    /// Applies a line.
    ///
    /// # Errors
    /// If the line is well-formed but does not apply to this session; it is then ignored. The error says why.
    pub fn apply(&mut self, line: JournalLine) -> Result<(), &'static str> {
        match line {
            JournalLine::Title { title } => self.title = title,
            JournalLine::Model(model) => self.add_model(model),
            JournalLine::System { text } => self.systems.push(text),
            JournalLine::Settings(settings) => self.settings = settings,
            JournalLine::Mode { mode } => self.mode = Some(mode),
            JournalLine::User { at, text, .. } => {
                self.turns.push(Turn::typed(Role::User, at, text))
            }
            JournalLine::Assistant { at, text, .. } => {
                self.turns.push(Turn::typed(Role::Assistant, at, text))
            }
            JournalLine::Run {
                turn,
                at,
                run,
                prompt,
                model,
                system,
            } => {
                let last = self.models.len().checked_sub(1);
                let model = model.filter(|at| *at < self.models.len()).or(last);
                let last = self.systems.len().checked_sub(1);
                let system = system.filter(|at| *at < self.systems.len()).or(last);
                let run = Run {
                    model,
                    system,
                    ..Run::new(run, at, prompt)
                };
                self.begin_run(turn, run)?
            }
            JournalLine::Dropped { run, messages } => {
                self.active_run(run)
                    .ok_or("dropped messages of a run that is not active")?
                    .dropped = messages
            }
            JournalLine::Round(line) => self.add_round(*line)?,
            JournalLine::End { run, end } => {
                self.active_run(run)
                    .ok_or("end of a run that is not active")?
                    .end = Some(end)
            }
            JournalLine::Lens { run, lens } => self.add_lens(run, *lens)?,
            JournalLine::Retry {} => self
                .turns
                .last_mut()
                .filter(|turn| turn.role == Role::Assistant)
                .ok_or("an alternative answer where there is no answer")?
                .retry(),
            JournalLine::Show { turn, answer } => self
                .turns
                .get_mut(turn)
                .ok_or("an answer of a turn that does not exist")?
                .show(answer)?,
            JournalLine::Queued { texts } => self.queued = texts,
            JournalLine::Race(race) => self.race = Some(race),
            JournalLine::Truncate { turns } => self.turns.truncate(turns),
            JournalLine::Summary(_) => {}
        }
        Ok(())
    }

    fn add_model(&mut self, model: ModelRecord) {
        match self.models.last_mut() {
            Some(last) if last.is(&model) => last.hash = last.hash.take().or(model.hash),
            _ => self.models.push(model),
        }
    }

    fn begin_run(&mut self, turn: u64, run: Run) -> Result<(), &'static str> {
        self.mode = None;
        let count = self.turns.len();
        match self.turns.last_mut() {
            _ if turn == count as u64 => {
                let mut fresh = Turn::typed(Role::Assistant, run.at_ms, String::new());
                fresh.runs.push(run);
                self.turns.push(fresh);
            }
            Some(last)
                if turn.checked_add(1) == Some(count as u64) && last.role == Role::Assistant =>
            {
                last.runs.push(run)
            }
            _ => return Err("run of a turn that does not exist"),
        }
        Ok(())
    }

    fn add_round(&mut self, line: RoundLine) -> Result<(), &'static str> {
        let settings = self.settings.clone();
        let run = self
            .active_run(line.run)
            .ok_or("round of a run that is not active")?;
        run.rounds.push(line.into_round(settings));
        Ok(())
    }

    fn add_lens(&mut self, run: RunId, lens: Lens) -> Result<(), &'static str> {
        let last = self.turns.last_mut().and_then(|turn| turn.runs.last_mut());
        let of = last
            .filter(|last| last.run == run)
            .ok_or("lens of a run that is not the last")?;
        of.lens.get_or_insert_default().add(lens);
        Ok(())
    }

    /// The last run of the last turn, if it is `run` and has not ended.
    fn active_run(&mut self, run: RunId) -> Option<&mut Run> {
        self.turns
            .last_mut()?
            .runs
            .last_mut()
            .filter(|last| last.run == run && last.end.is_none())
    }

    /// Repairs a session from an untrusted source: removes indices out of range and replaces invalid numbers.
    pub fn sanitise(&mut self) {
        let (models, systems) = (self.models.len(), self.systems.len());
        validate::sanitise_settings(&mut self.settings);
        if let Some(race) = &mut self.race {
            validate::sanitise_settings(&mut race.settings);
        }
        self.header.format = MAGIC.into();
        self.header.schema = SCHEMA;
        for turn in &mut self.turns {
            turn.variant = turn.variant.min(turn.others.len());
        }
        let runs = self.turns.iter_mut().flat_map(|turn| {
            let others = turn.others.iter_mut().flat_map(|answer| &mut answer.runs);
            turn.runs.iter_mut().chain(others)
        });
        for run in runs {
            run.model = run.model.filter(|at| *at < models);
            run.system = run.system.filter(|at| *at < systems);
            run.end
                .iter_mut()
                .for_each(|end| end.prefill.seconds = validate::duration(end.prefill.seconds));
            run.lens.take_if(|lens| validate::lens(lens).is_err());
        }
    }
}
