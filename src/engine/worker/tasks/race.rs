//! Answers a prompt with two settings, alternating on the same cores.

use crate::engine::decode::{
    Decoder, DraftToken, Finished, Observer, Phase, Round, Run, Session, Settings, StopReason,
    Strategy,
};
use crate::engine::worker::control::RunControl;
use crate::engine::worker::{Lane, RunEvent};
use crate::engine::{Error, Result};
use std::ops::ControlFlow;
use std::sync::Arc;

/// One side of the race.
struct Runner {
    side: Side,
    session: Session,
    run: Run,
    settings: Arc<Settings>,
}

/// A lane and the settings of the reference.
#[derive(Clone)]
struct Side {
    lane: Lane,
    against: Option<Arc<Settings>>,
}

/// Runs both lanes until both have stopped. The lane that has used less time runs next, so that on screen they advance as
/// if each had the machine to itself. Returns how the challenger ended.
pub fn race(
    control: &mut RunControl<'_>,
    decoder: &mut Decoder,
    prompt: &[u32],
    against: Option<Arc<Settings>>,
) -> Result<Finished> {
    let mut runners = Vec::with_capacity(2);
    for lane in [Lane::Reference, Lane::Challenger] {
        let side = Side {
            lane,
            against: against.clone(),
        };
        let mut session = decoder.session()?;
        let settings = side.settings(&control.newest());
        match decoder.begin(&mut session, prompt, &settings, control) {
            Ok(run) => runners.push(Runner {
                side,
                session,
                run,
                settings,
            }),
            Err(Error::Cancelled) => return Ok(Finished::before_it_began()),
            Err(error) => return Err(error),
        }
    }
    while let Some(next) = behind(&mut runners) {
        let mut observer = LaneObserver {
            side: next.side.clone(),
            control,
        };
        decoder.advance(
            &mut next.session,
            &mut next.run,
            &mut next.settings,
            &mut observer,
        )?;
        if next.run.stop() == Some(&StopReason::Cancelled) {
            return Ok(Finished {
                stop: StopReason::Cancelled,
                ..finish(&runners)
            });
        }
    }
    Ok(finish(&runners))
}

/// How the challenger ended.
fn finish(runners: &[Runner]) -> Finished {
    let last = runners.last().map(|runner| Finished::of(&runner.run));
    last.unwrap_or_else(Finished::before_it_began)
}

/// The running lane that has used less time.
fn behind(runners: &mut [Runner]) -> Option<&mut Runner> {
    let running = runners
        .iter_mut()
        .filter(|runner| runner.run.stop().is_none());
    running.min_by(|a, b| {
        let [a, b] = [a, b].map(|runner| runner.run.stats().decode_seconds());
        a.total_cmp(&b)
    })
}

/// Observes one lane and reports its rounds to the client of the race.
struct LaneObserver<'a, 'c> {
    side: Side,
    control: &'a mut RunControl<'c>,
}

impl Observer for LaneObserver<'_, '_> {
    fn prefill(&mut self, done: usize, total: usize, cached: usize) {
        self.control.prefill(done, total, cached);
    }

    fn drafted(&mut self, token: &DraftToken) {
        self.control.drafted(token);
    }

    fn poll(&mut self, next: Phase) -> ControlFlow<()> {
        self.control.poll(next)
    }

    fn single_steps(&self) -> bool {
        self.control.single_steps()
    }

    fn settings(&mut self) -> Option<Arc<Settings>> {
        Some(self.side.settings(&self.control.newest()))
    }

    fn round(&mut self, round: Round) -> ControlFlow<()> {
        self.control.report(RunEvent::Race {
            lane: self.side.lane,
            round: Box::new(round),
        });
        ControlFlow::Continue(())
    }
}

impl Side {
    /// Its settings, given those of the run.
    fn settings(&self, settings: &Settings) -> Arc<Settings> {
        let strategy = match (self.lane, &self.against) {
            (Lane::Reference, Some(against)) => return Arc::clone(against),
            (Lane::Challenger, Some(_)) => settings.strategy,
            (Lane::Reference, None) => Strategy::Autoregressive,
            (Lane::Challenger, None) => Strategy::SelfSpeculative,
        };
        Arc::new(Settings {
            strategy,
            ..settings.clone()
        })
    }
}
