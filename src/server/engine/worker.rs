//! The thread that owns the decoder.

use super::job::{Item, Job, Update};
use super::pool::{Kept, Pool};
use super::queue::Queue;
use crate::engine::decode::{Decoder, Finished, Observer, Phase, Round, StopReason, common_prefix};
use crate::engine::loaded_model::ModelInfo;
use crate::engine::turns::Turn;
use crate::engine::worker::panic_message;
use crate::remote::Watched;
use crate::server::error::ApiError;
use crate::server::metrics::Metrics;
use crate::server::watch::Watch;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::sync::mpsc::UnboundedSender;

/// Runs jobs until the queue is closed.
pub struct Worker {
    pub decoder: Decoder,
    pub queue: Arc<Queue>,
    pub metrics: Arc<Metrics>,
    /// Set when the current job must end.
    pub ends: Arc<AtomicBool>,
    pub watch: Arc<Watch>,
    /// Its turn among the workers that share the weights.
    pub turn: Turn,
    /// The description of the model.
    pub model: ModelInfo,
    /// Memory budget for kept sequences, in bytes.
    pub budget: u64,
}

impl Worker {
    pub fn run(mut self) {
        let mut pool = Pool::new(self.budget);
        while let Some(job) = self.queue.pop() {
            self.turn.enter();
            self.job(&mut pool, &job);
            self.turn.leave();
            self.metrics.pool(pool.len(), pool.bytes());
        }
    }

    fn job(&mut self, pool: &mut Pool, job: &Job) {
        let waited = job.asked_at.elapsed().as_secs_f64();
        let send = |update| drop(job.updates.send(update));
        send(Update::Started { waited });
        let mut first_choice = 0;
        for item in &job.items {
            let mut kept = match pool.take(&self.decoder, &item.prompt) {
                Ok(kept) => kept,
                Err(error) => return send(Update::Failed(error.into())),
            };
            let work = || self.item(&mut kept, job, item, first_choice);
            match catch_unwind(AssertUnwindSafe(work)) {
                Ok(done) => {
                    pool.put(kept);
                    match done {
                        Ok(ControlFlow::Continue(())) => {}
                        Ok(ControlFlow::Break(())) => {
                            return send(Update::Failed(ApiError::ending()));
                        }
                        Err(error) => return send(Update::Failed(error)),
                    }
                }
                // The sequence may be inconsistent after a panic, so it is dropped.
                Err(panic) => {
                    let message = format!("an internal error: {}", panic_message(&*panic));
                    return send(Update::Failed(ApiError::internal(message)));
                }
            }
            first_choice += item.choices.len();
        }
        send(Update::Done);
    }

    /// Scores the prompt and generates all continuations. Breaks if the job is cancelled.
    fn item(
        &mut self,
        kept: &mut Kept,
        job: &Job,
        item: &Item,
        first_choice: usize,
    ) -> Result<ControlFlow<()>, ApiError> {
        let mut follower = Follower {
            updates: &job.updates,
            ends: &self.ends,
            metrics: &self.metrics,
            watch: &self.watch,
            turn: &mut self.turn,
            choice: first_choice,
            request: None,
        };
        let mut cached_before_scoring = None;
        if let Some(scoring) = item.scoring {
            let begun = Instant::now();
            let shared = common_prefix(kept.session.tokens(), &item.prompt);
            cached_before_scoring = Some(shared.min(item.prompt.len().saturating_sub(1)));
            let scored = self.decoder.score_text(
                &mut kept.session,
                &mut kept.scores,
                &item.prompt,
                scoring.exit_layer,
                scoring.top,
                &mut follower,
            );
            let scores = match scored {
                Err(crate::engine::Error::Cancelled) => return Ok(ControlFlow::Break(())),
                scored => scored?.to_vec(),
            };
            let _ = job.updates.send(Update::Scored {
                scores,
                seconds: begun.elapsed().as_secs_f64(),
            });
        }
        for (nth, settings) in item.choices.iter().enumerate() {
            follower.choice = first_choice + nth;
            let (prompt, chat) = item.shown.clone();
            follower.request = self.watch.begin(Watched {
                client: "http".into(),
                prompt,
                chat,
                model: Box::new(self.model.clone()),
            });
            let finished = self.decoder.run_to_end(
                &mut kept.session,
                &item.prompt,
                settings.clone(),
                &mut follower,
            );
            follower.end(&finished);
            let finished = finished?;
            if finished.stop == StopReason::Cancelled {
                return Ok(ControlFlow::Break(()));
            }
            let found = item.prompt.len().saturating_sub(1) - finished.stats.prefill_tokens;
            let cached = cached_before_scoring.take().unwrap_or(found);
            self.metrics.finished(item.prompt.len(), cached, &finished);
            let _ = job.updates.send(Update::Ended {
                choice: follower.choice,
                stop: finished.stop,
                stats: finished.stats,
                cached,
            });
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Reports a job's rounds, and cancels it once nobody receives them.
struct Follower<'a> {
    updates: &'a UnboundedSender<Update>,
    ends: &'a AtomicBool,
    metrics: &'a Metrics,
    watch: &'a Watch,
    turn: &'a mut Turn,
    choice: usize,
    /// Its number for watchers.
    request: Option<u64>,
}

impl Follower<'_> {
    /// Tells watchers how a continuation ended.
    fn end(&mut self, finished: &crate::engine::Result<Finished>) {
        match (self.request.take(), finished) {
            (Some(request), Ok(finished)) => self.watch.ended(request, &finished.stop),
            (Some(request), Err(error)) => self.watch.failed(request, &error.to_string()),
            (None, _) => {}
        }
    }
}

/// Watchers are told that a request is over even after a panic.
impl Drop for Follower<'_> {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            self.watch
                .failed(request, "the request ended without an answer");
        }
    }
}

impl Observer for Follower<'_> {
    fn poll(&mut self, _next: Phase) -> ControlFlow<()> {
        self.turn.pass();
        match self.updates.is_closed() || self.ends.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn round(&mut self, round: Round) -> ControlFlow<()> {
        self.metrics.round(&round);
        if let Some(request) = self.request {
            self.watch.round(request, &round);
        }
        let update = Update::Round {
            choice: self.choice,
            round: Box::new(round),
        };
        match self.updates.send(update) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}
