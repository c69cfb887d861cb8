//! One generation, measured.

use crate::engine::decode::{Decoder, Observer, Phase, Round, Settings, Stats, StopReason};
use crate::engine::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::time::Instant;

/// Whether the user has interrupted the work.
pub type Interrupted<'a> = dyn Fn() -> bool + 'a;

/// The tokens and times of a generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub text: String,
    /// Ids of the generated tokens.
    pub tokens: Vec<u32>,
    pub stop: StopReason,
    pub stats: Stats,
    /// Seconds from the prompt to the first token.
    pub time_to_first_token: f64,
    /// Seconds from the prompt to the last token.
    pub total_seconds: f64,
}

impl Measured {
    /// Continues `prompt` in a fresh session.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if interrupted, and any error of the engine.
    pub fn of(
        decoder: &mut Decoder,
        prompt: &[u32],
        settings: &Settings,
        interrupted: &Interrupted,
    ) -> Result<Self> {
        let mut session = decoder.session()?;
        let mut watch = Stopwatch {
            begun: Instant::now(),
            first: None,
            text: String::new(),
            interrupted,
        };
        let finished = decoder.run_to_end(&mut session, prompt, settings.clone(), &mut watch)?;
        if finished.stop == StopReason::Cancelled {
            return Err(Error::Cancelled);
        }
        let total_seconds = watch.begun.elapsed().as_secs_f64();
        Ok(Self {
            text: watch.text,
            tokens: session.tokens()[prompt.len()..].to_vec(),
            stop: finished.stop,
            stats: finished.stats,
            time_to_first_token: watch.first.unwrap_or(total_seconds),
            total_seconds,
        })
    }

    /// Seconds per token, prefill included, as LayerSkip reports it.
    pub fn time_per_token(&self) -> f64 {
        self.total_seconds / self.stats.tokens.max(1) as f64
    }

    /// Seconds per token, without prefill.
    pub fn decode_time_per_token(&self) -> f64 {
        self.stats.decode_seconds() / self.stats.tokens.max(1) as f64
    }

    /// The index of the first generated token that differs from `other`; `None` if they are equal.
    pub fn differs_from(&self, other: &[u32]) -> Option<usize> {
        if self.tokens == other {
            return None;
        }
        let same = self.tokens.iter().zip(other).take_while(|(a, b)| a == b);
        Some(same.count())
    }
}

struct Stopwatch<'a> {
    begun: Instant,
    first: Option<f64>,
    text: String,
    interrupted: &'a Interrupted<'a>,
}

impl Observer for Stopwatch<'_> {
    fn poll(&mut self, _next: Phase) -> ControlFlow<()> {
        match (self.interrupted)() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn round(&mut self, round: Round) -> ControlFlow<()> {
        self.first
            .get_or_insert_with(|| self.begun.elapsed().as_secs_f64());
        round.kept().for_each(|token| self.text += token.text);
        ControlFlow::Continue(())
    }
}
