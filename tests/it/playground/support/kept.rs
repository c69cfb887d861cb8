//! Kept sessions without files: what a journal would hold of a state, and a store in memory.

use super::Harness;
use skiplens::app::state::turn::{Outcome, Turn};
use skiplens::app::{Effect, Listed, Mode, Msg, State};
use skiplens::engine::prompt::{Prompt, Role};
use skiplens::engine::worker::RunId;
use skiplens::transcript::line::Header;
use skiplens::transcript::{
    self, Lens, ModelRecord, Prefill, PromptForm, Run, RunEnd, Session, Summary,
};
use std::path::PathBuf;
use std::sync::Arc;

/// 2026-11-23 15:20 UTC.
const BEGUN: u64 = 1_795_447_200_000;

/// The session that the journal of this state holds.
pub fn session_of(state: &State) -> Arc<Session> {
    let mut session = Session::new(Header::new("20261123-152000-000-00001".into(), BEGUN));
    session.settings = state.settings.clone();
    session.systems.push(state.system.clone());
    session
        .models
        .extend(state.model.as_ref().map(ModelRecord::from));
    for turn in &state.turns {
        let run = RunId(session.turns.len() as u64);
        let user = transcript::Turn {
            at_ms: BEGUN,
            role: Role::User,
            text: turn.prompt.clone(),
            runs: Vec::new(),
            others: Vec::new(),
            variant: 0,
        };
        let answer = transcript::Turn {
            role: Role::Assistant,
            text: String::new(),
            ..user.clone()
        };
        let others = turn.others.iter().map(|other| transcript::Answer {
            text: String::new(),
            runs: vec![run_of(run, other)],
        });
        session.turns.extend([
            user,
            transcript::Turn {
                others: others.collect(),
                variant: turn.variant,
                runs: vec![Run {
                    model: model_of(&mut session.models, turn).or(Some(0)),
                    ..run_of(run, turn)
                }],
                ..answer
            },
        ]);
    }
    session.queued = state.queued.clone();
    session.race = state.raced.clone().map(Box::new);
    Arc::new(session)
}

/// The index of the model that wrote a turn, added where it is not the last one.
fn model_of(models: &mut Vec<ModelRecord>, turn: &Turn) -> Option<usize> {
    let model = turn.model.as_deref()?;
    if models.last() != Some(model) {
        models.push(model.clone());
    }
    models.len().checked_sub(1)
}

fn run_of(run: RunId, turn: &Turn) -> Run {
    let prefill = Prefill {
        tokens: turn.stats.prefill_tokens,
        cached: 8,
        seconds: turn.stats.prefill_seconds,
    };
    let outcome = turn.outcome.clone().map(|outcome| match outcome {
        Outcome::Stopped(reason) => transcript::Outcome::Stopped(reason),
        Outcome::Failed(message) => transcript::Outcome::Failed(message),
    });
    Run {
        run,
        at_ms: BEGUN,
        prompt: match turn.mode {
            Mode::Chat => PromptForm::Conversation,
            Mode::Completion => PromptForm::Other(Prompt::Text(turn.prompt.clone())),
        },
        model: Some(0),
        system: Some(0),
        dropped: 0,
        rounds: turn.rounds.clone(),
        end: outcome.map(|outcome| RunEnd { outcome, prefill }),
        lens: turn.lens.as_ref().map(|lens| {
            Box::new(Lens {
                rows: lens.rows.clone(),
                costs: lens.costs.clone(),
            })
        }),
    }
}

/// A session of a few words, `minutes` after the first.
pub fn said(title: &str, minutes: u64) -> Arc<Session> {
    let mut h = Harness::ready(80, 24);
    h.ask(title);
    let mut session = Arc::unwrap_or_clone(session_of(h.state()));
    session.header = Header::new(
        format!("20261123-15{:02}00-000-0000{minutes}", 20 + minutes),
        BEGUN + minutes * 60_000,
    );
    Arc::new(session)
}

/// A folder of sessions in memory, the newest last.
#[derive(Default)]
pub struct Shelf {
    pub sessions: Vec<Arc<Session>>,
    pub trash: Vec<Arc<Session>>,
    /// Id of the session that is being kept.
    pub own: String,
    /// Ids of files that cannot be read.
    pub broken: Vec<String>,
}

impl Shelf {
    /// Carry out what the state wants of the sessions, until it wants nothing more.
    pub fn serve(&mut self, h: &mut Harness) {
        while !h.effects.is_empty() {
            for effect in std::mem::take(&mut h.effects) {
                if let Some(msg) = self.answer(effect) {
                    h.send(msg);
                }
            }
        }
    }

    fn answer(&mut self, effect: Effect) -> Option<Msg> {
        Some(match effect {
            Effect::ListSessions { search_id, search } => Msg::Sessions {
                search_id,
                listed: self.find(&search),
                done: true,
            },
            Effect::LoadSession(path) => Msg::SessionLoaded(self.named(&path)?),
            Effect::ReplaySession(path) => Msg::ReplayLoaded(self.named(&path)?),
            Effect::RenameSession { path, title } => {
                let id = path.file_stem()?.to_string_lossy().into_owned();
                let found = self
                    .sessions
                    .iter_mut()
                    .find(|session| session.header.id == id)?;
                Arc::make_mut(found).title = title;
                Msg::SessionRenamed
            }
            Effect::DeleteSession(id) => {
                let at = self
                    .sessions
                    .iter()
                    .position(|session| session.header.id == id)?;
                self.trash.push(self.sessions.remove(at));
                Msg::SessionDeleted {
                    own: id == self.own,
                    id,
                }
            }
            Effect::RestoreSession(id) => {
                let at = self
                    .trash
                    .iter()
                    .position(|session| session.header.id == id)?;
                self.sessions.push(self.trash.remove(at));
                self.sessions.sort_by(|a, b| a.header.id.cmp(&b.header.id));
                Msg::SessionRestored(id)
            }
            _ => return None,
        })
    }

    fn named(&self, path: &str) -> Option<Arc<Session>> {
        self.sessions
            .iter()
            .find(|session| path.contains(&session.header.id))
            .cloned()
    }

    /// What a search finds, the newest first.
    pub fn find(&self, search: &str) -> Vec<Listed> {
        let holds = |session: &&Arc<Session>| {
            let text: String = session.turns.iter().map(|turn| turn.content()).collect();
            format!("{}{text}", session.display_title())
                .to_lowercase()
                .contains(&search.to_lowercase())
        };
        self.sessions
            .iter()
            .rev()
            .filter(holds)
            .map(|session| self.listed(session, search))
            .collect()
    }

    fn listed(&self, session: &Session, search: &str) -> Listed {
        let id = session.header.id.clone();
        let in_title = session
            .display_title()
            .to_lowercase()
            .contains(&search.to_lowercase());
        let minutes = (session.header.created_ms - BEGUN) / 60_000;
        let summary = Summary {
            path: PathBuf::from(format!("/data/sessions/{id}.jsonl")),
            created_ms: session.header.created_ms,
            modified_ms: session.header.created_ms,
            bytes: 1000,
            totals: session.totals(),
            fault: self
                .broken
                .contains(&id)
                .then(|| "it is empty\u{1b}[2J".to_owned()),
            id,
        };
        Listed {
            own: summary.id == self.own,
            begun: format!("2026-11-23 16:{:02}", 20 + minutes),
            excerpt: if in_title {
                String::new()
            } else {
                format!("words around {search}")
            },
            summary,
        }
    }
}
