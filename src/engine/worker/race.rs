//! The same prompt and seed twice, autoregressive beside self-speculative, alternating on the same cores.

use super::generation::Steering;
use super::{Event, Lane};
use crate::engine::decode::{Decoder, Run, Session, Settings, Stats, StopReason, Strategy};
use crate::engine::{Error, Result};

/// One side of the race.
struct Runner<'a> {
    lane: Lane,
    session: &'a mut Session,
    run: Run,
}

impl Steering<'_> {
    /// Runs both lanes until both have stopped. The lane that has used less time goes next, so that on screen they
    /// advance as if each had the machine to itself. Returns how the self-speculative lane ended.
    pub fn race(
        &mut self,
        decoder: &mut Decoder,
        plain: &mut Session,
        speculative: &mut Session,
        prompt: &[u32],
    ) -> Result<(StopReason, Stats)> {
        let mut runners = Vec::with_capacity(2);
        for (lane, session) in [
            (Lane::Autoregressive, plain),
            (Lane::SelfSpeculative, speculative),
        ] {
            let settings = lane.settings(&self.settings());
            match decoder.begin(session, prompt, &settings, self) {
                Ok(run) => runners.push(Runner { lane, session, run }),
                Err(Error::Cancelled) => return Ok((StopReason::Cancelled, Stats::default())),
                Err(error) => return Err(error),
            }
        }
        while let Some(next) = behind(&mut runners) {
            let settings = next.lane.settings(&self.settings());
            match decoder.round(next.session, &mut next.run, &settings, self) {
                Ok(round) => self.tell(Event::Race {
                    run: self.run(),
                    lane: next.lane,
                    round: Box::new(round),
                }),
                Err(Error::Cancelled) => return Ok((StopReason::Cancelled, finish(&runners).1)),
                Err(error) => return Err(error),
            }
        }
        Ok(finish(&runners))
    }
}

impl Lane {
    fn settings(self, settings: &Settings) -> Settings {
        let strategy = match self {
            Lane::Autoregressive => Strategy::Autoregressive,
            Lane::SelfSpeculative => Strategy::SelfSpeculative,
        };
        Settings {
            strategy,
            ..settings.clone()
        }
    }
}

/// The lane, of those still running, that has used less time.
fn behind<'r, 'a>(runners: &'r mut [Runner<'a>]) -> Option<&'r mut Runner<'a>> {
    let running = runners
        .iter_mut()
        .filter(|runner| runner.run.stop().is_none());
    running.min_by(|a, b| {
        a.run
            .stats()
            .decode_seconds()
            .total_cmp(&b.run.stats().decode_seconds())
    })
}

fn finish(runners: &[Runner<'_>]) -> (StopReason, Stats) {
    let last = runners
        .last()
        .map(|runner| (runner.run.stop().cloned(), runner.run.stats().clone()));
    let (stop, stats) = last.unwrap_or_default();
    (stop.unwrap_or(StopReason::Cancelled), stats)
}
