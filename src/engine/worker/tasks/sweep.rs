//! Measures pairs of exit layer and speculations on one prompt, plain decoding first.

use crate::engine::decode::{Controller, Decoder, Finished, Observer, Phase, Settings, Strategy};
use crate::engine::worker::control::RunControl;
use crate::engine::worker::{RunEvent, SweepCell};
use crate::engine::{Error, Result};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Max tokens of each answer.
const MAX_STEPS: usize = 64;

/// Answers the prompt once for plain decoding and once for each pair, and reports the figures of each answer. All answers
/// share one session, so the prompt is computed once. Returns how the last answer ended.
pub fn sweep(
    control: &mut RunControl<'_>,
    decoder: &mut Decoder,
    prompt: &[u32],
    pairs: &[(usize, usize)],
) -> Result<Finished> {
    let base = control.newest();
    let mut session = decoder.session()?;
    let mut last = Finished::before_it_began();
    let plain = std::iter::once(None);
    for pair in plain.chain(pairs.iter().copied().map(Some)) {
        let settings = cell_settings(&base, pair);
        let finished = decoder.run_to_end(
            &mut session,
            prompt,
            settings,
            &mut CellObserver { control },
        );
        last = match finished {
            Err(Error::Cancelled) => return Ok(Finished::before_it_began()),
            finished => finished?,
        };
        if control.poll(Phase::Prefill).is_break() {
            return Ok(last);
        }
        control.report(RunEvent::Sweep(SweepCell {
            pair,
            stats: last.stats.clone(),
        }));
    }
    Ok(last)
}

/// The settings of a pair; `None` is plain decoding.
fn cell_settings(base: &Settings, pair: Option<(usize, usize)>) -> Arc<Settings> {
    let mut settings = Settings {
        max_steps: base.max_steps.min(MAX_STEPS),
        controller: Controller::Fixed,
        strategy: Strategy::Autoregressive,
        detail: false,
        ..base.clone()
    };
    if let Some((exit_layer, num_speculations)) = pair {
        settings.strategy = Strategy::SelfSpeculative;
        (settings.exit_layer, settings.num_speculations) = (exit_layer, num_speculations);
    }
    Arc::new(settings)
}

/// Polls for cancellation. Rounds are not reported.
struct CellObserver<'a, 'c> {
    control: &'a mut RunControl<'c>,
}

impl Observer for CellObserver<'_, '_> {
    fn poll(&mut self, next: Phase) -> ControlFlow<()> {
        self.control.poll(next)
    }
}
