//! The decoder, and the state of one run.

use super::chooser::Chooser;
use super::controller::{Chosen, ControllerState, Prediction, Turn, shaped};
use super::growth;
use super::lookup::Continuation;
use super::text_output::TextOutput;
use super::verify::{Limits, Verification};
use super::{
    Controller, Observer, Phase, Round, RoundTokens, Session, Settings, Stats, StopReason, Strategy,
};
use crate::engine::model::{Model, Row};
use crate::engine::sampling::{Distribution, Residual};
use crate::engine::text::Tokenizer;
use crate::engine::{Error, Result};
use std::sync::Arc;
use std::time::Instant;

/// Prompt tokens computed between two polls of the observer.
const PREFILL_CHUNK: usize = 256;
/// Max number of tokens to reserve memory for in advance.
const RESERVED: usize = 1 << 16;

/// Decodes with one model. It owns the buffers that steps reuse; the state of a conversation is in [`Session`].
pub struct Decoder {
    pub(super) model: Arc<dyn Model>,
    pub(super) tokenizer: Option<Tokenizer>,
    /// The model's own end tokens.
    pub(super) end_tokens: Vec<u32>,
    pub(super) prefill_chunk: usize,
    /// Learns from the rounds of all runs that it chooses for.
    pub(super) chooser: Chooser,
    /// The chooser for drafts by adapters, if the model has any.
    pub(super) adapted_chooser: Option<Chooser>,
    pub(super) scratch: Scratch,
}

/// Buffers that live as long as the decoder, so that a step allocates nothing.
#[derive(Default)]
pub(super) struct Scratch {
    /// The rows of the current pass.
    pub rows: Vec<Row>,
    /// Their slots.
    pub slots: Vec<usize>,
    /// The rows of a draft pass.
    pub level: Vec<Row>,
    /// Logits, `[rows, columns]`.
    pub logits: Vec<f32>,
    /// Logits of one row before penalties, if log-probabilities are recorded.
    pub raw: Vec<f32>,
    pub verifier: Distribution,
    /// The draft's distribution after each row that was expanded.
    pub drafts: Vec<Distribution>,
    /// Drafted tokens with the same parent.
    pub siblings: Vec<u32>,
    /// Their nodes.
    pub nodes: Vec<usize>,
    pub residual: Residual,
    pub continuations: Vec<Continuation>,
    /// Accepted nodes of the current round.
    pub path: Vec<usize>,
}

/// The state and statistics of one generation.
pub struct Run {
    pub(super) output: TextOutput,
    /// The output as the current draft would continue it.
    pub(super) preview: TextOutput,
    /// The output before the current round.
    before: TextOutput,
    pub(super) controller: ControllerState,
    pub(super) chosen: Option<Chosen>,
    pub(super) prediction: Prediction,
    /// Tokens generated, including those of the current round.
    tokens: usize,
    rounds: usize,
    stats: Stats,
    stop: Option<StopReason>,
}

impl Run {
    /// Statistics of the rounds so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Why the run ended; `None` while it is running.
    pub fn stop(&self) -> Option<&StopReason> {
        self.stop.as_ref()
    }

    /// Stops the run, unless it has already stopped.
    pub(super) fn cancel(&mut self) {
        self.stop.get_or_insert(StopReason::Cancelled);
    }

    /// How many more tokens the run may generate if the context has room for `room`.
    fn tokens_left(&self, settings: &Settings, room: usize) -> usize {
        settings.max_steps.saturating_sub(self.tokens).min(room)
    }
}

impl Decoder {
    /// A decoder for a model. Without a tokenizer, all texts in the records are empty.
    pub fn new(model: Box<dyn Model>, tokenizer: Option<Tokenizer>, end_tokens: Vec<u32>) -> Self {
        let adapted = model.adapted_exits();
        // Where a device runs whole rounds, a decision in between would cost more than it gains.
        let grows = !model.plans_rounds();
        Self {
            chooser: Chooser::new(model.config(), grows),
            adapted_chooser: (!adapted.is_empty()).then(|| {
                Chooser::with_adapters(model.config(), grows, adapted, &|exit| {
                    model.adapter_of(exit).is_some()
                })
            }),
            model: Arc::from(model),
            tokenizer,
            end_tokens,
            prefill_chunk: PREFILL_CHUNK,
            scratch: Scratch::default(),
        }
    }

    /// Another decoder over the same weights, for another thread. It starts with a copy of the learned estimates.
    pub fn share(&self) -> Self {
        Self {
            chooser: self.chooser.clone(),
            adapted_chooser: self.adapted_chooser.clone(),
            model: self.model.clone(),
            tokenizer: self.tokenizer.clone(),
            end_tokens: self.end_tokens.clone(),
            prefill_chunk: self.prefill_chunk,
            scratch: Scratch::default(),
        }
    }

    /// The model.
    pub fn model(&self) -> &dyn Model {
        &*self.model
    }

    /// The tokenizer, if there is one.
    pub fn tokenizer(&self) -> Option<&Tokenizer> {
        self.tokenizer.as_ref()
    }

    /// The model's own end tokens.
    pub fn end_tokens(&self) -> &[u32] {
        &self.end_tokens
    }

    /// Sets how many prompt tokens are computed between two polls of the observer. It does not affect the result.
    pub fn set_prefill_chunk(&mut self, tokens: usize) {
        self.prefill_chunk = tokens.max(1);
    }

    /// Whether an adapter drafts with these settings.
    pub(super) fn adapts(&self, settings: &Settings) -> bool {
        settings.adapter && self.model.adapter_of(settings.exit_layer).is_some()
    }

    /// The exit whose adapter's states are stored: the exit of the settings, or the nearest one with an adapter.
    fn adapted_exit(&self, settings: &Settings) -> Option<usize> {
        let drafts = settings.strategy == Strategy::SelfSpeculative && settings.proposers.exits();
        if self.adapts(settings) && drafts {
            return Some(settings.exit_layer);
        }
        let exits = self.model.adapted_exits().iter().copied();
        exits
            .filter(|_| settings.adapter && drafts)
            .min_by_key(|exit| exit.abs_diff(settings.exit_layer))
    }

    /// A single token as readable text.
    pub(super) fn piece(&self, id: u32) -> String {
        self.tokenizer
            .as_ref()
            .map(|tokenizer| tokenizer.piece(id))
            .unwrap_or_default()
    }

    /// An empty session, for contexts as long as the model allows.
    ///
    /// # Errors
    /// As [`Model::sequence`].
    pub fn session(&self) -> Result<Session> {
        Session::new(&*self.model, self.model.config().context_length)
    }

    /// Begins a run that continues `prompt`: computes its tokens that the session has not cached.
    ///
    /// # Errors
    /// If the prompt is empty or fills the context, the settings are invalid, or the observer cancels.
    pub fn begin(
        &mut self,
        session: &mut Session,
        prompt: &[u32],
        settings: &Settings,
        observer: &mut dyn Observer,
    ) -> Result<Run> {
        let config = self.model.config();
        settings.validate(config)?;
        let context = config.context_length;
        self.check_prompt(prompt)?;
        if prompt.len() >= context {
            let tokens = prompt.len();
            return Err(Error::PromptTooLong { tokens, context });
        }
        let started = Instant::now();
        let depth = self.depth(settings);
        session.adapt(self.adapted_exit(settings));
        let cached = session.restart(prompt, depth);
        let room = settings.max_steps.min(context - prompt.len());
        session.history.reserve(room.min(RESERVED));
        self.prefill(session, depth, observer)?;
        self.chooser(settings).begin_text();
        let output = TextOutput::new(self.tokenizer.as_ref(), prompt);
        Ok(Run {
            preview: output.clone(),
            before: output.clone(),
            output,
            controller: ControllerState::default(),
            chosen: None,
            prediction: Prediction::default(),
            tokens: 0,
            rounds: 0,
            stats: Stats {
                prefill_seconds: started.elapsed().as_secs_f64(),
                prefill_tokens: prompt.len() - 1 - cached,
                ..Stats::default()
            },
            stop: (settings.max_steps == 0).then_some(StopReason::MaxSteps),
        })
    }

    /// Makes `text` the text of a session, as if it had been decoded there. Keys and values are computed on demand.
    ///
    /// # Errors
    /// If the text is empty, has unknown tokens, or does not fit the context.
    pub fn resume(&self, session: &mut Session, text: &[u32]) -> Result<()> {
        self.check_prompt(text)?;
        let (tokens, context) = (text.len(), self.model.config().context_length);
        if tokens > context {
            return Err(Error::PromptTooLong { tokens, context });
        }
        session.restart(text, self.model.config().num_layers);
        Ok(())
    }

    /// Checks that a prompt is not empty and has only tokens of the vocabulary.
    pub(super) fn check_prompt(&self, prompt: &[u32]) -> Result<()> {
        let size = self.model.config().vocab_size;
        if prompt.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        match prompt.iter().find(|&&id| id as usize >= size) {
            Some(id) => Err(Error::Setting(format!(
                "token {id} is not in this model's vocabulary of {size}"
            ))),
            None => Ok(()),
        }
    }

    /// Decodes the next round of a run that has not stopped, with these settings.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if the observer cancels, or an error of the model. Session and run are then as before the
    /// round.
    pub fn round(
        &mut self,
        session: &mut Session,
        run: &mut Run,
        settings: &Arc<Settings>,
        observer: &mut dyn Observer,
    ) -> Result<Round> {
        settings.validate(self.model.config())?;
        let started = Instant::now();
        let turn = self.choose(session, run, settings)?;
        // Also in plain rounds, so that the states are complete for later drafts.
        let wanted = self.adapted_exit(settings);
        session.adapt(self.adapted_exit(&turn.settings).or(wanted));
        let choosing = started.elapsed().as_secs_f64();
        let (start, tokens) = (session.tokens().len(), run.tokens);
        run.before.clone_from(&run.output);
        match self.decode_round(session, run, &turn, observer) {
            Ok(verification) => {
                let mut round = self.finish_round(session, run, turn, start, verification);
                match round.speculated() {
                    true => round.draft_seconds += choosing,
                    false => round.verify_seconds += choosing,
                }
                run.stats.add(&round);
                if round.settings.detail {
                    self.record_layers(session, &mut round)?;
                }
                Ok(round)
            }
            Err(error) => {
                session.truncate(start);
                run.output.clone_from(&run.before);
                run.tokens = tokens;
                Err(error)
            }
        }
    }

    fn decode_round(
        &mut self,
        session: &mut Session,
        run: &mut Run,
        turn: &Turn,
        observer: &mut dyn Observer,
    ) -> Result<Verification> {
        let (settings, start) = (&*turn.settings, session.tokens().len());
        let room = self.model.config().context_length - session.tokens().len();
        let left = run.tokens_left(settings, room).max(1);
        let drafts = turn.drafts.filter(|_| left > 1);
        session.probe(turn.probed);
        let mut verification = match drafts {
            None => self.plain_round(session, run, settings, observer)?,
            Some(proposers) => {
                let (depth, nodes) = match turn.growth {
                    Some(_) => (growth::MAX_DEPTH, growth::MAX_NODES),
                    None => (settings.num_speculations, settings.tree),
                };
                let max = depth.min(left - 1);
                // Every node of a tree takes a slot, however short the path.
                let nodes = nodes.min(room.saturating_sub(1));
                let limits = Limits {
                    proposers,
                    max,
                    nodes,
                    growth: turn.growth,
                };
                self.speculative_round(session, run, settings, limits, observer)?
            }
        };
        let started = Instant::now();
        if let Some(exit_layer) = turn.probed {
            self.observe_exit(session, settings, exit_layer, &verification)?;
            verification.probe_seconds = started.elapsed().as_secs_f64();
        }
        let started = Instant::now();
        match drafts {
            None => session.commit(self.depth(settings), start),
            Some(_) => self.commit(session, &verification)?,
        }
        verification.verify_seconds += started.elapsed().as_secs_f64();
        Ok(verification)
    }

    /// The record of a round.
    fn finish_round(
        &mut self,
        session: &Session,
        run: &mut Run,
        turn: Turn,
        position: usize,
        verification: Verification,
    ) -> Round {
        let Verification {
            drafted,
            path,
            closing,
            stop,
            draft_seconds,
            verify_seconds,
            probe_seconds,
        } = verification;
        let accepted = path.len();
        let is_prefix = path.iter().enumerate().all(|(step, &node)| step == node);
        let tokens = RoundTokens {
            drafted,
            accepted,
            path: if is_prefix { Vec::new() } else { path.clone() },
            closing,
        };
        // Reuses the buffer; a plain step has none.
        if path.capacity() > 0 {
            self.scratch.path = path;
        }
        let settings = match turn.growth {
            Some(_) => shaped(turn.settings, &tokens.drafted),
            None => turn.settings,
        };
        let mut round = Round::new(run.rounds, position, settings, tokens);
        round.controller_note = turn.note;
        round.draft_seconds = draft_seconds;
        round.verify_seconds = verify_seconds;
        round.stop.clone_from(&stop);
        run.stop = stop;
        run.rounds += 1;
        run.controller.learn(&round);
        if round.settings.controller == Controller::Auto && round.strategy() != Strategy::EarlyExit
        {
            let place = self.place(session, &round.settings);
            self.chooser(&round.settings)
                .learn(&round, place, run.prediction.get());
        }
        round.verify_seconds += probe_seconds;
        round
    }

    /// Appends a token to the text. Returns the stop reason if the token ends the run. No other function decides that.
    pub(super) fn push(
        &self,
        session: &mut Session,
        run: &mut Run,
        settings: &Settings,
        id: u32,
        text: &mut String,
    ) -> Option<StopReason> {
        session.history.push(id);
        run.tokens += 1;
        let room = self.model.config().context_length - session.tokens().len();
        let full = match run.tokens_left(settings, room) {
            0 if run.tokens >= settings.max_steps => Some(StopReason::MaxSteps),
            0 => Some(StopReason::ContextFull),
            _ => None,
        };
        text.clear();
        let stop = run
            .output
            .push(id, &self.end_tokens, settings, text)
            .or(full);
        if stop.is_some() && !matches!(stop, Some(StopReason::StopString(_))) {
            text.push_str(&run.output.finish());
        }
        stop
    }

    /// Number of layers that a kept token runs.
    pub(super) fn depth(&self, settings: &Settings) -> usize {
        match settings.strategy {
            Strategy::EarlyExit => settings.exit_layer,
            _ => self.model.config().num_layers,
        }
    }

    /// Computes the first `depth` layers for all tokens except the last, unless they are cached. No row is in flight
    /// afterwards.
    pub(super) fn prefill(
        &mut self,
        session: &mut Session,
        depth: usize,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let total = session.tokens().len() - 1;
        self.prefill_to(session, depth, total, observer)
    }

    /// As [`Self::prefill`], for the first `total` tokens.
    pub(super) fn prefill_to(
        &mut self,
        session: &mut Session,
        depth: usize,
        total: usize,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let cached = session.filled_to(depth).min(total);
        session.forget_from(cached);
        let mut done = cached;
        let _span =
            (done < total).then(|| tracing::debug_span!("prefill", cached, total, depth).entered());
        while done < total {
            poll(observer, Phase::Prefill)?;
            let end = total.min(done + self.prefill_chunk);
            let rows = &mut self.scratch.rows;
            rows.clear();
            rows.extend(Row::chain(&session.history.tokens()[done..end], done));
            session.sequence.forward(rows, depth)?;
            session.commit(depth, end);
            done = end;
            observer.prefill(done, total, cached);
        }
        Ok(())
    }
}

/// Polls the observer before the `next` phase.
///
/// # Errors
/// [`Error::Cancelled`] if the observer returns `Break`.
pub(super) fn poll(observer: &mut dyn Observer, next: Phase) -> Result<()> {
    match observer.poll(next).is_break() {
        true => Err(Error::Cancelled),
        false => Ok(()),
    }
}
