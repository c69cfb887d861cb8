//! The decoder, and the state of one run.

use super::controller::ControllerState;
use super::text_output::TextOutput;
use super::verify::Verification;
use super::{Observer, Phase, Round, RoundTokens, Session, Settings, Stats, StopReason, Strategy};
use crate::engine::model::{Model, Row};
use crate::engine::sampling::{Distribution, VocabSubset};
use crate::engine::text::Tokenizer;
use crate::engine::{Error, Result};
use std::sync::Arc;
use std::time::Instant;

/// Prompt tokens computed between two polls of the observer.
const PREFILL_CHUNK: usize = 256;
/// Max number of tokens to reserve memory for in advance.
const RESERVED: usize = 1 << 16;

/// Decodes with one model. It owns buffers that are reused from step to step; the state of a conversation is in
/// [`Session`].
pub struct Decoder {
    pub(super) model: Box<dyn Model>,
    pub(super) tokenizer: Option<Tokenizer>,
    /// The model's own end tokens.
    pub(super) end_tokens: Vec<u32>,
    pub(super) prefill_chunk: usize,
    pub(super) scratch: Scratch,
}

/// Buffers that live as long as the decoder, so that a step allocates nothing.
#[derive(Default)]
pub(super) struct Scratch {
    /// The rows of the current pass.
    pub rows: Vec<Row>,
    /// Their slots.
    pub slots: Vec<usize>,
    /// Logits, `[rows, columns]`.
    pub logits: Vec<f32>,
    /// Logits of one row before penalties, if log-probabilities are recorded.
    pub raw: Vec<f32>,
    pub verifier: Distribution,
    /// The distribution that each drafted node was chosen from.
    pub drafts: Vec<Distribution>,
    pub draft_vocab: Option<Arc<VocabSubset>>,
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
        Self {
            model,
            tokenizer,
            end_tokens,
            prefill_chunk: PREFILL_CHUNK,
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
        let cached = session.restart(prompt, depth);
        let room = settings.max_steps.min(context - prompt.len());
        session.history.reserve(room.min(RESERVED));
        self.prefill(session, depth, observer)?;
        let output = TextOutput::new(self.tokenizer.as_ref(), prompt);
        Ok(Run {
            preview: output.clone(),
            before: output.clone(),
            output,
            controller: ControllerState::default(),
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
        let (settings, note) = run.controller.choose(settings, self.model.config());
        let (start, tokens) = (session.tokens().len(), run.tokens);
        run.before.clone_from(&run.output);
        match self.decode_round(session, run, &settings, observer) {
            Ok(verification) => {
                let mut round = self.finish_round(run, settings, start, verification);
                round.controller_note = note;
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
        settings: &Settings,
        observer: &mut dyn Observer,
    ) -> Result<Verification> {
        let room = self.model.config().context_length - session.tokens().len();
        let left = run.tokens_left(settings, room).max(1);
        if settings.strategy != Strategy::SelfSpeculative || left < 2 {
            return self.plain_round(session, run, settings, observer);
        }
        let max_drafts = settings.num_speculations.min(left - 1);
        let probed = run.controller.probed_exit(settings, self.model.config());
        session.sequence.probe(probed);
        let mut verification =
            self.speculative_round(session, run, settings, max_drafts, observer)?;
        let started = Instant::now();
        if let Some(exit_layer) = probed {
            self.observe_exit(session, run, settings, exit_layer, &verification)?;
        }
        self.commit(session, &verification)?;
        verification.verify_seconds += started.elapsed().as_secs_f64();
        Ok(verification)
    }

    /// The record of a round.
    fn finish_round(
        &mut self,
        run: &mut Run,
        settings: Arc<Settings>,
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
        } = verification;
        let accepted = path.len();
        let is_prefix = path.iter().enumerate().all(|(step, &node)| step == node);
        let tokens = RoundTokens {
            drafted,
            accepted,
            // The buffer is reused unless the record needs it.
            path: if is_prefix {
                self.scratch.path = path;
                Vec::new()
            } else {
                path
            },
            closing,
        };
        let mut round = Round::new(run.rounds, position, settings, tokens);
        round.draft_seconds = draft_seconds;
        round.verify_seconds = verify_seconds;
        round.stop.clone_from(&stop);
        run.stop = stop;
        run.rounds += 1;
        run.controller.learn(&round);
        run.stats.add(&round);
        round
    }

    /// Appends a token to the text. Returns the reason if the token ends the run; only this function decides that.
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

    /// How many layers a token runs before it is kept.
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
