//! Replays a session from the events that the engine reported. Needs no model and no clock: the caller passes time in.

use super::{Outcome, Run, Session, validate};
use crate::engine::decode::{Round, Stats};
use crate::engine::prompt::Prompt;
use crate::engine::worker::{Event, Failure, RunEvent, RunId};
use std::sync::Arc;

/// Max pause before a message of the user, in seconds.
const MAX_PAUSE: f64 = 1.5;

/// Tolerance in seconds for rounding, so that waiting for [`Replay::due_in`] always yields the next event.
const TOLERANCE: f64 = 1e-9;

/// An event of a replay.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplayEvent {
    /// Restart with an empty transcript: the replay moved backwards.
    Restart,
    /// A typed turn.
    Typed { turn: usize },
    /// A run starts in turn `turn`.
    Begin {
        turn: usize,
        run: RunId,
        prompt: Prompt,
    },
    /// An event of the engine.
    Engine(Event),
    /// The end of the replay.
    Over,
}

/// One step of the replay. Fields are indices into the session.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Beat {
    Typed {
        turn: usize,
    },
    Begin {
        turn: usize,
        run: usize,
    },
    Dropped {
        turn: usize,
        run: usize,
    },
    Draft {
        turn: usize,
        run: usize,
        round: usize,
        token: usize,
    },
    Round {
        turn: usize,
        run: usize,
        round: usize,
    },
    End {
        turn: usize,
        run: usize,
    },
}

/// Plays a session.
///
/// ```text
/// advance(seconds) ─▶ events that are due       step() ─▶ events up to the end of the next round
/// seek(n)          ─▶ events that lead to the end of round n
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    session: Arc<Session>,
    /// The beats, each with the seconds to wait before it.
    beats: Vec<(f64, Beat)>,
    /// Index of the next beat.
    next: usize,
    /// Seconds already waited for the next beat.
    waited: f64,
    /// Number of rounds played.
    played: usize,
    rounds: usize,
    speed: f64,
    paused: bool,
    over: bool,
}

impl Replay {
    /// A player at the start of `session`, at original speed.
    pub fn new(session: impl Into<Arc<Session>>) -> Self {
        let session = session.into();
        let beats = beats(&session);
        let rounds = session.rounds().count();
        Self {
            session,
            beats,
            next: 0,
            waited: 0.0,
            played: 0,
            rounds,
            speed: 1.0,
            paused: false,
            over: false,
        }
    }

    /// The session being played.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Sets the speed as a multiple of the original; infinity plays everything at once. Values that are not positive
    /// mean 1.
    pub fn set_speed(&mut self, speed: f64) {
        self.speed = if speed > 0.0 { speed } else { 1.0 };
    }

    pub fn speed(&self) -> f64 {
        self.speed
    }

    pub fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Rounds played, and rounds in total.
    pub fn progress(&self) -> (usize, usize) {
        (self.played, self.rounds)
    }

    /// Whether everything has been played.
    pub fn is_over(&self) -> bool {
        self.next == self.beats.len()
    }

    /// Seconds until the next event; `None` if paused or over.
    pub fn due_in(&self) -> Option<f64> {
        let (delay, _) = self.beats.get(self.next).filter(|_| !self.paused)?;
        Some(((delay - self.waited) / self.speed).max(0.0))
    }

    /// Advances by `seconds` and returns the events that are due.
    pub fn advance(&mut self, seconds: f64) -> Vec<ReplayEvent> {
        let mut events = Vec::new();
        if self.paused {
            return events;
        }
        // At infinite speed everything is due at once. `max` turns NaN into 0.
        self.waited += if self.speed.is_infinite() {
            f64::MAX
        } else {
            seconds.max(0.0) * self.speed
        };
        let due = |waited: f64| move |(delay, _): &&(f64, Beat)| *delay <= waited + TOLERANCE;
        while let Some((delay, _)) = self.beats.get(self.next).filter(due(self.waited)) {
            self.waited = (self.waited - delay).max(0.0);
            events.extend(self.play());
        }
        self.finish(events)
    }

    /// Plays to the end of the next round, or to the end of the session, even if paused.
    pub fn step(&mut self) -> Vec<ReplayEvent> {
        let goal = self.played + 1;
        let mut events = Vec::new();
        while !self.is_over() && self.played < goal {
            events.extend(self.play());
        }
        self.waited = 0.0;
        self.finish(events)
    }

    /// Seeks to the end of round `rounds`, in either direction. Returns the events that lead there; moving backwards
    /// starts with [`ReplayEvent::Restart`]. Skips draft events, since the rounds contain them.
    pub fn seek(&mut self, rounds: usize) -> Vec<ReplayEvent> {
        let mut events = Vec::new();
        if rounds < self.played || self.over {
            (self.next, self.played, self.over) = (0, 0, false);
            events.push(ReplayEvent::Restart);
        }
        while !self.is_over() && self.played < rounds {
            events.extend(self.play().filter(|event| {
                !matches!(
                    event,
                    ReplayEvent::Engine(Event::Run(_, RunEvent::Drafted { .. }))
                )
            }));
        }
        self.waited = 0.0;
        self.finish(events)
    }

    fn finish(&mut self, mut events: Vec<ReplayEvent>) -> Vec<ReplayEvent> {
        if self.is_over() && !self.over {
            self.over = true;
            events.push(ReplayEvent::Over);
        }
        events
    }

    /// Plays the next beat, due or not.
    fn play(&mut self) -> Option<ReplayEvent> {
        let (_, beat) = *self.beats.get(self.next)?;
        self.next += 1;
        self.played += usize::from(matches!(beat, Beat::Round { .. }));
        let run_of = |turn: usize, run: usize| self.session.turns.get(turn)?.runs.get(run);
        Some(match beat {
            Beat::Typed { turn } => ReplayEvent::Typed { turn },
            Beat::Begin { turn, run } => {
                let prompt = self.session.prompt_of(turn, run)?;
                ReplayEvent::Begin {
                    turn,
                    run: run_of(turn, run)?.run,
                    prompt,
                }
            }
            Beat::Dropped { turn, run } => {
                let of = run_of(turn, run)?;
                let messages = of.dropped;
                ReplayEvent::Engine(Event::Run(of.run, RunEvent::Dropped { messages }))
            }
            Beat::Draft {
                turn,
                run,
                round,
                token,
            } => drafted(run_of(turn, run)?, round, token)?,
            Beat::Round { turn, run, round } => {
                let of = run_of(turn, run)?;
                let round = Box::new(of.rounds.get(round)?.clone());
                ReplayEvent::Engine(Event::Run(of.run, RunEvent::Round(round)))
            }
            Beat::End { turn, run } => ReplayEvent::Engine(end(run_of(turn, run)?)),
        })
    }
}

fn drafted(run: &Run, round: usize, token: usize) -> Option<ReplayEvent> {
    let token = run.rounds.get(round)?.drafted().get(token)?;
    let (id, text, p_draft) = (token.id, token.text.clone(), token.p_draft);
    let drafted = RunEvent::Drafted { id, text, p_draft };
    Some(ReplayEvent::Engine(Event::Run(run.run, drafted)))
}

/// The engine's event for the end of a run.
fn end(run: &Run) -> Event {
    match run.end.as_ref().map(|end| &end.outcome) {
        Some(Outcome::Failed(message)) => {
            Event::Run(run.run, RunEvent::Failed(Failure::internal(message)))
        }
        _ => {
            let reason = run.reason();
            let stats: Stats = run.stats();
            Event::Run(run.run, RunEvent::Finished { reason, stats })
        }
    }
}

fn beats(session: &Session) -> Vec<(f64, Beat)> {
    let mut beats = Vec::new();
    let mut before = None;
    for (turn, of) in session.turns.iter().enumerate() {
        if !of.text.is_empty() || of.runs.is_empty() {
            let pause = before.map_or(0.0, |before| of.at_ms.saturating_sub(before) as f64 / 1e3);
            beats.push((pause.min(MAX_PAUSE), Beat::Typed { turn }));
        }
        before = Some(of.at_ms);
        for (run, of) in of.runs.iter().enumerate() {
            beats.push((0.0, Beat::Begin { turn, run }));
            if of.dropped > 0 {
                beats.push((0.0, Beat::Dropped { turn, run }));
            }
            let mut prefill = of
                .end
                .as_ref()
                .map_or(0.0, |end| validate::duration(end.prefill.seconds));
            for (round, of) in of.rounds.iter().enumerate() {
                round_beats(
                    &mut beats,
                    of,
                    (turn, run, round),
                    std::mem::take(&mut prefill),
                );
            }
            beats.push((0.0, Beat::End { turn, run }));
        }
    }
    beats
}

/// The beats of a round: its drafts, spread evenly over the draft phase, then the round.
fn round_beats(
    beats: &mut Vec<(f64, Beat)>,
    of: &Round,
    (turn, run, round): (usize, usize, usize),
    before: f64,
) {
    let count = of.drafted().len();
    let each = validate::duration(of.draft_seconds) / count.max(1) as f64;
    for token in 0..count {
        let wait = if token == 0 { before + each } else { each };
        beats.push((
            wait,
            Beat::Draft {
                turn,
                run,
                round,
                token,
            },
        ));
    }
    let verify = validate::duration(of.verify_seconds) + if count == 0 { before } else { 0.0 };
    beats.push((verify, Beat::Round { turn, run, round }));
}
