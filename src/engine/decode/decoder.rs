//! The model with all it needs to decode, and the course of one run.

use super::autopilot::Autopilot;
use super::stop::Output;
use super::{
    DraftToken, FinalToken, Phase, Round, Session, Settings, Stats, StopReason, Strategy, Watch,
};
use crate::engine::model::{Hidden, Llama};
use crate::engine::sampling::{Distribution, VocabSubset};
use crate::engine::text::Tokenizer;
use crate::engine::{Error, Result};
use std::sync::Arc;
use std::time::Instant;

/// Prompt tokens computed between two checkpoints.
const PREFILL_CHUNK: usize = 256;
/// Most tokens of a run that the session gets room for at once.
const RESERVED: usize = 1 << 16;

/// Decodes with one model. It keeps buffers from step to step; what belongs to a conversation is in [`Session`].
pub struct Decoder {
    pub(super) model: Llama,
    tokenizer: Option<Tokenizer>,
    /// The model's own end tokens.
    pub(super) end_tokens: Vec<u32>,
    pub(super) prefill_chunk: usize,
    pub(super) scratch: Scratch,
}

/// Buffers that live as long as the decoder, so that a step allocates none.
#[derive(Default)]
pub(super) struct Scratch {
    /// The rows on their way through the layers.
    pub hidden: Hidden,
    /// Exit hidden states of the round at hand, which the KVQ cache keeps for verify.
    pub exits: Hidden,
    pub shadow: Shadow,
    /// Logits, `[rows, columns]`.
    pub logits: Vec<f32>,
    pub verifier: Distribution,
    /// The draft's distribution at each draft position.
    pub drafts: Vec<Distribution>,
    pub draft_vocab: Option<Arc<VocabSubset>>,
}

/// An exit that a controller wants to know about.
#[derive(Default)]
pub(super) struct Shadow {
    /// None where no controller asks.
    pub exit_layer: Option<usize>,
    /// The hidden states that passed it in the round at hand.
    pub hidden: Hidden,
}

impl Scratch {
    /// Forgets the round before. Makes room for the distributions of `most` drafted tokens.
    pub fn begin_round(&mut self, most: usize, shadow_exit: Option<usize>) {
        self.exits.clear();
        self.shadow.hidden.clear();
        self.shadow.exit_layer = shadow_exit;
        self.drafts
            .resize_with(most.max(self.drafts.len()), Distribution::default);
    }
}

/// One generation: how far it is and what it amounts to.
pub struct Run {
    pub(super) output: Output,
    /// The output as the draft at hand would go on.
    pub(super) preview: Output,
    pub(super) pilot: Autopilot,
    rounds: usize,
    stats: Stats,
    stop: Option<StopReason>,
}

impl Run {
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Why the run ended; none while it goes on.
    pub fn stop(&self) -> Option<&StopReason> {
        self.stop.as_ref()
    }
}

/// What a round found out, before it becomes a [`Round`].
#[derive(Default)]
pub(super) struct Drafted {
    pub drafted: Vec<DraftToken>,
    pub accepted: usize,
    pub last: Option<FinalToken>,
    pub draft_seconds: f64,
    pub verify_seconds: f64,
}

impl Drafted {
    /// How many tokens were kept.
    pub fn len(&self) -> usize {
        self.accepted + usize::from(self.last.is_some())
    }

    /// Ids of the tokens that were kept, in order.
    pub fn kept(&self) -> impl Iterator<Item = u32> {
        self.drafted[..self.accepted]
            .iter()
            .map(|token| token.id)
            .chain(self.last.iter().map(|token| token.id))
    }

    /// The same with their texts.
    fn kept_mut(&mut self) -> impl Iterator<Item = (u32, &mut String)> {
        let accepted = self.drafted[..self.accepted]
            .iter_mut()
            .map(|token| (token.id, &mut token.text));
        accepted.chain(
            self.last
                .iter_mut()
                .map(|token| (token.id, &mut token.text)),
        )
    }
}

impl Decoder {
    /// A decoder without a tokenizer decodes token ids; the texts in its records are empty.
    pub fn new(model: Llama, tokenizer: Option<Tokenizer>, end_tokens: Vec<u32>) -> Self {
        Self {
            model,
            tokenizer,
            end_tokens,
            prefill_chunk: PREFILL_CHUNK,
            scratch: Scratch::default(),
        }
    }

    pub fn model(&self) -> &Llama {
        &self.model
    }

    pub fn tokenizer(&self) -> Option<&Tokenizer> {
        self.tokenizer.as_ref()
    }

    /// Sets how many prompt tokens are computed between two checkpoints. It never changes the result.
    pub fn set_prefill_chunk(&mut self, tokens: usize) {
        self.prefill_chunk = tokens.max(1);
    }

    /// One token as a readable text of its own.
    pub(super) fn piece(&self, id: u32) -> String {
        self.tokenizer
            .as_ref()
            .map(|tokenizer| tokenizer.piece(id))
            .unwrap_or_default()
    }

    /// An empty session, for contexts as long as the model allows.
    pub fn session(&self) -> Result<Session> {
        let config = &self.model.config;
        Ok(Session::new(
            self.model.new_cache(config.context_length)?,
            config,
        ))
    }

    /// Begins a run that continues `prompt`: computes what the session's cache does not hold of it.
    ///
    /// Fails on an empty prompt, on one that leaves no room in the context, on unsound settings and when cancelled.
    pub fn begin(
        &mut self,
        session: &mut Session,
        prompt: &[u32],
        settings: &Settings,
        watch: &mut dyn Watch,
    ) -> Result<Run> {
        let config = &self.model.config;
        settings.validate(config)?;
        if prompt.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        if prompt.len() >= config.context_length {
            return Err(Error::PromptTooLong {
                tokens: prompt.len(),
                context: config.context_length,
            });
        }
        if let Some(id) = prompt.iter().find(|&&id| id as usize >= config.vocab_size) {
            return Err(Error::Tokenizer(format!(
                "token {id} is not in this model's vocabulary"
            )));
        }
        let begun = Instant::now();
        let depth = self.depth(settings);
        let cached = session.restart(prompt, depth);
        session.history.reserve(
            settings
                .max_steps
                .min(config.context_length - prompt.len())
                .min(RESERVED),
        );
        self.fill(session, depth, watch)?;
        let stats = Stats {
            prefill_seconds: begun.elapsed().as_secs_f64(),
            prefill_tokens: prompt.len() - 1 - cached,
            ..Stats::default()
        };
        let stop = (settings.max_steps == 0).then_some(StopReason::MaxSteps);
        let output = Output::new(self.tokenizer.as_ref(), prompt);
        Ok(Run {
            preview: output.clone(),
            output,
            pilot: Autopilot::default(),
            rounds: 0,
            stats,
            stop,
        })
    }

    /// Decodes the next round of a run that has not stopped. Settings are read now and hold for the whole round.
    ///
    /// Fails with [`Error::Cancelled`] when the watch says so; the session is then as it was before the round.
    pub fn round(
        &mut self,
        session: &mut Session,
        run: &mut Run,
        settings: &Settings,
        watch: &mut dyn Watch,
    ) -> Result<Round> {
        settings.validate(&self.model.config)?;
        let (settings, control) = run.pilot.choose(settings, &self.model.config);
        let before = session.tokens().len();
        let steps = settings.max_steps.saturating_sub(run.stats.tokens).max(1);
        let room = steps.min(self.model.config.context_length - before);
        let outcome = match settings.strategy {
            Strategy::SelfSpeculative if room > 1 => self.speculate(
                session,
                run,
                &settings,
                settings.num_speculations.min(room - 1),
                watch,
            ),
            _ => self.step(session, &settings, watch),
        };
        match outcome {
            Ok(found) => {
                let mut round = self.settle(session, run, settings, found);
                round.control = control;
                if round.settings.detail {
                    self.record_layers(session, &mut round)?;
                }
                Ok(round)
            }
            Err(error) => {
                session.truncate(before);
                Err(error)
            }
        }
    }

    /// How many layers a token goes through before it is kept.
    pub(super) fn depth(&self, settings: &Settings) -> usize {
        match settings.strategy {
            Strategy::EarlyExit => settings.exit_layer,
            _ => self.model.config.num_layers,
        }
    }

    /// Computes the first `depth` layers for all tokens but the last, as far as the cache lacks them.
    pub(super) fn fill(
        &mut self,
        session: &mut Session,
        depth: usize,
        watch: &mut dyn Watch,
    ) -> Result<()> {
        let total = session.tokens().len() - 1;
        let cached = session.filled_to(depth).min(total);
        let mut done = cached;
        while done < total {
            if watch.checkpoint(Phase::Prefill).is_break() {
                return Err(Error::Cancelled);
            }
            let end = total.min(done + self.prefill_chunk);
            let hidden = &mut self.scratch.hidden;
            self.model.embed(&session.tokens()[done..end], hidden)?;
            self.model
                .layers(0..depth, hidden, done, &mut session.cache)?;
            session.mark_filled(0..depth, end);
            done = end;
            watch.prefill(done, total, cached);
        }
        Ok(())
    }

    /// Puts what a round kept into the session, gives its tokens their texts and finds out whether the run ends.
    fn settle(
        &self,
        session: &mut Session,
        run: &mut Run,
        settings: Settings,
        mut found: Drafted,
    ) -> Round {
        let position = session.tokens().len();
        let mut stop = None;
        for (id, text) in found.kept_mut() {
            text.clear();
            let reason = run.output.push(id, &self.end_tokens, &settings, text);
            stop = stop.or(reason);
            session.history.push(id);
        }
        let stop =
            stop.or_else(|| self.out_of_room(session, run.stats.tokens + found.len(), &settings));
        if stop.is_some() && !matches!(stop, Some(StopReason::StopString(_))) {
            let rest = run.output.finish();
            if let Some((_, text)) = found.kept_mut().last() {
                text.push_str(&rest);
            }
        }
        run.stop.clone_from(&stop);
        let Drafted {
            drafted,
            accepted,
            last,
            draft_seconds,
            verify_seconds,
        } = found;
        let (index, control) = (run.rounds, None);
        let round = Round {
            index,
            position,
            settings,
            control,
            drafted,
            accepted,
            last,
            draft_seconds,
            verify_seconds,
            stop,
        };
        run.rounds += 1;
        run.pilot.learn(&round);
        run.stats.add(&round);
        round
    }

    /// Why a run of so many tokens cannot go on, if it cannot.
    fn out_of_room(
        &self,
        session: &Session,
        tokens: usize,
        settings: &Settings,
    ) -> Option<StopReason> {
        if tokens >= settings.max_steps {
            Some(StopReason::MaxSteps)
        } else {
            (session.tokens().len() >= self.model.config.context_length)
                .then_some(StopReason::ContextFull)
        }
    }
}
