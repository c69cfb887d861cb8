//! Self-speculative decoding (Elhoushi et al., LayerSkip, arXiv 2404.16710, section 4.3), and the plain step.
//!
//! ```text
//! draft    last ─▶ layers 0..E ─▶ head ─▶ d1 ─▶ layers 0..E ─▶ head ─▶ d2 … dK
//! verify   exit hiddens of last, d1 … dK ─▶ layers E..L ─▶ head ─▶ one distribution a position
//! accept   the longest prefix of d1 … dK that the verifier would have chosen, then its own next token
//! ```

use super::autopilot::Autopilot;
use super::decoder::{Decoder, Drafted, Run};
use super::{
    Candidate, Controller, DraftToken, FinalToken, Origin, Phase, Round, Session, Settings, TokenDetail, Watch,
};
use crate::engine::config::LlamaConfig;
use crate::engine::sampling::{Distribution, Pick, Sampler, Verdict, VocabSubset};
use crate::engine::{Error, Result};
use candle_core::Tensor;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// How many alternatives the record keeps of a position.
const TOP: usize = 5;

/// An exit that a controller wants to know about, and the hidden states `[n, hidden]` that passed it.
struct Shadow {
    layer: usize,
    rows: Vec<Tensor>,
}

impl Shadow {
    fn of(run: &mut Run, settings: &Settings, config: &LlamaConfig) -> Option<Self> {
        let wanted = settings.controller == Controller::ExitAndSpeculations;
        wanted.then(|| Self { layer: run.pilot.observed_exit(config), rows: Vec::new() })
    }
}

impl Decoder {
    /// One round: draft up to `most` tokens, verify them, keep what the verifier would have written.
    pub(super) fn speculate(
        &mut self,
        session: &mut Session,
        run: &mut Run,
        settings: &Settings,
        most: usize,
        watch: &mut dyn Watch,
    ) -> Result<Round> {
        let mut shadow = Shadow::of(run, settings, &self.model.config);
        let start = session.tokens().len();
        let begun = Instant::now();
        self.fill(session, self.model.config.num_layers, watch)?;
        let mut draft_seconds = begun.elapsed().as_secs_f64();
        let (mut drafted, exits) = self.draft(session, run, settings, most, &mut shadow, &mut draft_seconds, watch)?;
        next(watch, Phase::Verify)?;
        let begun = Instant::now();
        // Nothing follows an end token, so the row that would tell what does is spared.
        let ended = drafted.last().is_some_and(|token| self.end_tokens.contains(&token.id));
        let rows = drafted.len() + usize::from(!ended);
        self.verify_logits(session, settings, start - 1..start - 1 + rows, exits, &mut shadow)?;
        session.history.truncate(start);
        let (accepted, last) = self.accept(session, settings, &mut drafted, !ended)?;
        if let Some(shadow) = shadow {
            let kept = drafted[..accepted].iter().map(|token| token.id).chain(last.iter().map(|token| token.id));
            let kept: Vec<u32> = kept.collect();
            self.observe(session, &mut run.pilot, settings, shadow, start, &kept)?;
            run.pilot.observe(settings.exit_layer, accepted, drafted.len().min(accepted + 1));
        }
        session.history.truncate(start);
        session.keep_filled(start - 1 + rows.min(accepted + 1));
        let verify_seconds = begun.elapsed().as_secs_f64();
        Ok(run.round(start, settings, Drafted { drafted, accepted, last, draft_seconds, verify_seconds }))
    }

    /// Drafts up to `most` tokens with the exit layer, and leaves them in the session's history. Returns them with the
    /// exit hidden states of the tokens they follow, one `[1, hidden]` each.
    #[allow(clippy::too_many_arguments)]
    fn draft(
        &mut self,
        session: &mut Session,
        run: &Run,
        settings: &Settings,
        most: usize,
        shadow: &mut Option<Shadow>,
        seconds: &mut f64,
        watch: &mut dyn Watch,
    ) -> Result<(Vec<DraftToken>, Vec<Tensor>)> {
        let vocab = self.draft_vocab(settings.draft_vocab);
        self.scratch.drafts.resize_with(most.max(self.scratch.drafts.len()), Distribution::default);
        let (mut drafted, mut exits, mut output) =
            (Vec::with_capacity(most), Vec::with_capacity(most + 1), run.output.clone());
        while drafted.len() < most {
            next(watch, Phase::Draft)?;
            let begun = Instant::now();
            let at = session.tokens().len() - 1;
            let hidden = self.exit_hidden(session, settings.exit_layer, at, shadow)?;
            self.model.head(&hidden, settings.draft_vocab, &mut self.scratch.logits)?;
            exits.push(hidden);
            let distribution = &mut self.scratch.drafts[drafted.len()];
            let ids = vocab.as_ref().map(|vocab| vocab.ids.as_slice());
            session.history.penalise(&mut self.scratch.logits, ids, &settings.sampling);
            // The penalties may forbid all that a draft over few tokens could write; the verifier has the rest.
            if distribution.fill(&self.scratch.logits, vocab.as_ref(), &settings.sampling).is_err() {
                break;
            }
            let id = Sampler { sampling: &settings.sampling, position: at + 1 }.pick(distribution, Pick::Draft);
            session.history.push(id);
            let (text, stop) = output.push(id, &self.end_tokens, settings);
            let p_draft = distribution.probability(id);
            drafted.push(DraftToken { id, text, p_draft, p_verify: None, detail: None });
            *seconds += begun.elapsed().as_secs_f64();
            watch.drafted(&drafted[drafted.len() - 1]);
            let unsure = matches!(settings.controller, Controller::Confidence { threshold } if p_draft < threshold);
            if stop.is_some() || unsure {
                break;
            }
        }
        Ok((drafted, exits))
    }

    /// The hidden state `[1, hidden]` after the first `exit_layer` layers of the token at position `at`.
    fn exit_hidden(
        &mut self,
        session: &mut Session,
        exit_layer: usize,
        at: usize,
        shadow: &mut Option<Shadow>,
    ) -> Result<Tensor> {
        let mut hidden = self.model.embed(&session.tokens()[at..=at])?;
        self.layers_by_shadow(session, 0..exit_layer, &mut hidden, at, shadow)?;
        Ok(hidden)
    }

    /// Runs `layers` over `hidden`, whose rows stand at `start` and after, and keeps a copy on the way where the shadow
    /// wants one.
    fn layers_by_shadow(
        &mut self,
        session: &mut Session,
        layers: Range<usize>,
        hidden: &mut Tensor,
        start: usize,
        shadow: &mut Option<Shadow>,
    ) -> Result<()> {
        let mut from = layers.start;
        if let Some(shadow) = shadow.as_mut().filter(|shadow| (layers.start + 1..=layers.end).contains(&shadow.layer)) {
            self.model.layers(from..shadow.layer, hidden, start, &mut session.cache)?;
            shadow.rows.push(hidden.copy()?);
            from = shadow.layer;
        }
        self.model.layers(from..layers.end, hidden, start, &mut session.cache)
    }

    /// Asks the shadow exit what it would have written in place of the `kept` tokens from position `start` on.
    fn observe(
        &mut self,
        session: &mut Session,
        pilot: &mut Autopilot,
        settings: &Settings,
        shadow: Shadow,
        start: usize,
        kept: &[u32],
    ) -> Result<()> {
        let hidden = Tensor::cat(&shadow.rows, 0)?;
        let seen = kept.len().min(hidden.dim(0)?);
        self.model.head(&hidden.narrow(0, 0, seen)?, 0, &mut self.scratch.logits)?;
        session.history.truncate(start);
        let mut agreed = 0;
        for (row, &id) in kept[..seen].iter().enumerate() {
            agreed += usize::from(self.choose(session, settings, row, Origin::Plain)?.id == id);
            session.history.push(id);
        }
        pilot.observe(shadow.layer, agreed, seen);
        Ok(())
    }

    /// Leaves in the scratch the verifier's logits `[rows, vocabulary]` of the tokens at `positions`.
    fn verify_logits(
        &mut self,
        session: &mut Session,
        settings: &Settings,
        positions: Range<usize>,
        mut exits: Vec<Tensor>,
        shadow: &mut Option<Shadow>,
    ) -> Result<()> {
        let layers = self.model.config.num_layers;
        let (mut hidden, from) = if settings.kvq_reuse {
            while exits.len() < positions.len() {
                let at = positions.start + exits.len();
                exits.push(self.exit_hidden(session, settings.exit_layer, at, shadow)?);
            }
            (Tensor::cat(&exits, 0)?, settings.exit_layer)
        } else {
            (self.model.embed(&session.tokens()[positions.clone()])?, 0)
        };
        if from == 0
            && let Some(shadow) = shadow
        {
            // All rows come through again, from the first layer on.
            shadow.rows.clear();
        }
        self.layers_by_shadow(session, from..layers, &mut hidden, positions.start, shadow)?;
        self.model.head(&hidden, 0, &mut self.scratch.logits)
    }

    /// Compares the draft with the verifier's choices, position by position. Returns how many were accepted and the
    /// token that follows them: the correction of the first rejected one, or a bonus where one is wanted.
    fn accept(
        &mut self,
        session: &mut Session,
        settings: &Settings,
        drafted: &mut [DraftToken],
        bonus: bool,
    ) -> Result<(usize, Option<FinalToken>)> {
        for (row, token) in drafted.iter_mut().enumerate() {
            self.fill_verifier(session, settings, row)?;
            let (verifier, draft) = (&self.scratch.verifier, &self.scratch.drafts[row]);
            token.p_verify = Some(verifier.probability(token.id));
            let detail = settings.detail.then(|| self.detail(Some(draft), Some(verifier)));
            let sampler = Sampler { sampling: &settings.sampling, position: session.tokens().len() };
            let verdict = sampler.verify(token.id, verifier, draft);
            token.detail.clone_from(&detail);
            match verdict {
                Verdict::Accept => session.history.push(token.id),
                Verdict::Correct(id) => {
                    let (p_draft, p_verify) = (Some(draft.probability(id)), verifier.probability(id));
                    let text = String::new();
                    return Ok((
                        row,
                        Some(FinalToken { id, text, origin: Origin::Corrected, p_draft, p_verify, detail }),
                    ));
                }
            }
        }
        let origin = if drafted.is_empty() { Origin::Plain } else { Origin::Bonus };
        let last = if bonus { Some(self.choose(session, settings, drafted.len(), origin)?) } else { None };
        Ok((drafted.len(), last))
    }

    /// A round with nothing drafted: the last token through all the layers its strategy wants, one token chosen.
    pub(super) fn step(
        &mut self,
        session: &mut Session,
        run: &mut Run,
        settings: &Settings,
        watch: &mut dyn Watch,
    ) -> Result<Round> {
        next(watch, Phase::Verify)?;
        let begun = Instant::now();
        let (start, depth) = (session.tokens().len(), self.depth(settings));
        self.fill(session, depth, watch)?;
        let hidden = self.exit_hidden(session, depth, start - 1, &mut None)?;
        session.mark_filled(0..depth, start);
        self.model.head(&hidden, 0, &mut self.scratch.logits)?;
        let last = Some(self.choose(session, settings, 0, Origin::Plain)?);
        let verify_seconds = begun.elapsed().as_secs_f64();
        Ok(run.round(start, settings, Drafted { last, verify_seconds, ..Drafted::default() }))
    }

    /// The verifier's own token at the end of the history, from `row` of the logits.
    fn choose(&mut self, session: &Session, settings: &Settings, row: usize, origin: Origin) -> Result<FinalToken> {
        self.fill_verifier(session, settings, row)?;
        let verifier = &self.scratch.verifier;
        let sampler = Sampler { sampling: &settings.sampling, position: session.tokens().len() };
        let id = sampler.pick(verifier, Pick::Verify);
        let detail = settings.detail.then(|| self.detail(None, Some(verifier)));
        Ok(FinalToken { id, text: String::new(), origin, p_draft: None, p_verify: verifier.probability(id), detail })
    }

    /// Makes the verifier's distribution that of `row` of the logits, given the history.
    fn fill_verifier(&mut self, session: &Session, settings: &Settings, row: usize) -> Result<()> {
        let width = self.model.config.vocab_size;
        let logits = &mut self.scratch.logits[row * width..][..width];
        session.history.penalise(logits, None, &settings.sampling);
        self.scratch.verifier.fill(logits, None, &settings.sampling)
    }

    fn detail(&self, draft: Option<&Distribution>, verifier: Option<&Distribution>) -> Box<TokenDetail> {
        let top = |d: &Distribution| {
            d.top(TOP).into_iter().map(|(id, p)| Candidate { id, text: self.piece(id), p }).collect()
        };
        Box::new(TokenDetail {
            draft_top: draft.map(top).unwrap_or_default(),
            verify_top: verifier.map(top).unwrap_or_default(),
            draft_entropy: draft.map(Distribution::entropy),
            verify_entropy: verifier.map(Distribution::entropy),
            layers: Vec::new(),
        })
    }

    /// The tokens a draft over the first `size` of the draft order chooses from; none for the whole vocabulary.
    pub(super) fn draft_vocab(&mut self, size: usize) -> Option<Arc<VocabSubset>> {
        if size == 0 || size >= self.model.config.vocab_size {
            return None;
        }
        let ids = self.model.draft_ids(size);
        let kept = self.scratch.draft_vocab.take().filter(|vocab| vocab.ids.len() == ids.len());
        let vocab = kept.unwrap_or_else(|| Arc::new(VocabSubset::new(ids.to_vec(), self.model.config.vocab_size)));
        self.scratch.draft_vocab = Some(vocab.clone());
        Some(vocab)
    }
}

fn next(watch: &mut dyn Watch, phase: Phase) -> Result<()> {
    if watch.checkpoint(phase).is_break() { Err(Error::Cancelled) } else { Ok(()) }
}
