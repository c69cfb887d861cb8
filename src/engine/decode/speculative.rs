//! Self-speculative decoding (Elhoushi et al., LayerSkip, arXiv 2404.16710, section 4.3), and the plain step.
//!
//! ```text
//! draft    last ─▶ layers 0..E ─▶ head ─▶ d1 ─▶ layers 0..E ─▶ head ─▶ d2 … dK
//! verify   exit hiddens of last, d1 … dK ─▶ layers E..L ─▶ head ─▶ one distribution a position
//! accept   the longest prefix of d1 … dK that the verifier would have chosen, then its own next token
//! ```

use super::autopilot::Autopilot;
use super::decoder::{Decoder, Drafted, Run, Scratch, Shadow};
use super::{
    Candidate, Controller, DraftToken, FinalToken, Origin, Phase, Session, Settings, TokenDetail,
    Watch,
};
use crate::engine::sampling::{Distribution, Pick, Sampler, Verdict, VocabSubset};
use crate::engine::{Error, Result};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// How many alternatives the record keeps of a position.
const TOP: usize = 5;

impl Decoder {
    /// One round: draft up to `most` tokens, verify them, keep what the verifier would have written.
    pub(super) fn speculate(
        &mut self,
        session: &mut Session,
        run: &mut Run,
        settings: &Settings,
        most: usize,
        watch: &mut dyn Watch,
    ) -> Result<Drafted> {
        let observes = settings.controller == Controller::ExitAndSpeculations;
        self.scratch.begin_round(
            most,
            observes.then(|| run.pilot.observed_exit(&self.model.config)),
        );
        let start = session.tokens().len();
        let begun = Instant::now();
        self.fill(session, self.model.config.num_layers, watch)?;
        let mut found = Drafted {
            drafted: Vec::with_capacity(most),
            ..Drafted::default()
        };
        found.draft_seconds = begun.elapsed().as_secs_f64();
        self.draft(session, run, settings, most, &mut found, watch)?;
        next(watch, Phase::Verify)?;
        let begun = Instant::now();
        // Nothing follows an end token, so the row that would tell what does is spared.
        let ended = found
            .drafted
            .last()
            .is_some_and(|token| self.end_tokens.contains(&token.id));
        let rows = found.drafted.len() + usize::from(!ended);
        self.verify_logits(session, settings, start - 1..start - 1 + rows)?;
        session.history.truncate(start);
        self.accept(session, settings, &mut found, !ended)?;
        self.observe(session, &mut run.pilot, settings, start, &found)?;
        session.history.truncate(start);
        session.keep_filled(start - 1 + rows.min(found.accepted + 1));
        found.verify_seconds = begun.elapsed().as_secs_f64();
        Ok(found)
    }

    /// Drafts up to `most` tokens with the exit layer, and leaves them in `found` and in the session's history, and in the
    /// scratch the exit hidden states of the tokens they follow.
    fn draft(
        &mut self,
        session: &mut Session,
        run: &mut Run,
        settings: &Settings,
        most: usize,
        found: &mut Drafted,
        watch: &mut dyn Watch,
    ) -> Result<()> {
        let vocab = self.draft_vocab(settings.draft_vocab);
        let ids = vocab.as_ref().map(|vocab| vocab.ids.as_slice());
        run.preview.clone_from(&run.output);
        while found.drafted.len() < most {
            next(watch, Phase::Draft)?;
            let begun = Instant::now();
            let at = session.tokens().len() - 1;
            self.exit_hidden(session, settings.exit_layer, at)?;
            let Scratch {
                hidden,
                exits,
                logits,
                drafts,
                ..
            } = &mut self.scratch;
            self.model.head(hidden, settings.draft_vocab, logits)?;
            exits.append(hidden)?;
            let distribution = &mut drafts[found.drafted.len()];
            session.history.penalise(logits, ids, &settings.sampling);
            // The penalties may forbid all that a draft over few tokens could write; the verifier has the rest.
            if distribution
                .fill(logits, vocab.as_ref(), &settings.sampling)
                .is_err()
            {
                break;
            }
            let id = Sampler {
                sampling: &settings.sampling,
                position: at + 1,
            }
            .pick(distribution, Pick::Draft);
            session.history.push(id);
            let (mut text, p_draft) = (String::new(), distribution.probability(id));
            let stop = run.preview.push(id, &self.end_tokens, settings, &mut text);
            found.drafted.push(DraftToken {
                id,
                text,
                p_draft,
                p_verify: None,
                detail: None,
            });
            found.draft_seconds += begun.elapsed().as_secs_f64();
            watch.drafted(&found.drafted[found.drafted.len() - 1]);
            let unsure = matches!(settings.controller, Controller::Confidence { threshold } if p_draft < threshold);
            if stop.is_some() || unsure {
                break;
            }
        }
        Ok(())
    }

    /// Leaves in the scratch the hidden state after the first `exit_layer` layers of the token at position `at`.
    fn exit_hidden(&mut self, session: &mut Session, exit_layer: usize, at: usize) -> Result<()> {
        self.model
            .embed(&session.tokens()[at..=at], &mut self.scratch.hidden)?;
        self.layers_by_shadow(session, 0..exit_layer, at)
    }

    /// Runs `layers` over the rows in the scratch, which stand at `start` and after, and keeps a copy of them where they
    /// pass the shadow exit.
    fn layers_by_shadow(
        &mut self,
        session: &mut Session,
        layers: Range<usize>,
        start: usize,
    ) -> Result<()> {
        let (Scratch { hidden, shadow, .. }, mut from) = (&mut self.scratch, layers.start);
        if let Some(exit_layer) = shadow
            .exit_layer
            .filter(|exit| (from + 1..=layers.end).contains(exit))
        {
            self.model
                .layers(from..exit_layer, hidden, start, &mut session.cache)?;
            shadow.hidden.append(hidden)?;
            from = exit_layer;
        }
        self.model
            .layers(from..layers.end, hidden, start, &mut session.cache)
    }

    /// Tells the pilot what there was to see: of the exit in force what was accepted, and of the shadow exit what it would
    /// have written in place of the kept tokens, from position `start` on. Nothing where no controller asks.
    fn observe(
        &mut self,
        session: &mut Session,
        pilot: &mut Autopilot,
        settings: &Settings,
        start: usize,
        found: &Drafted,
    ) -> Result<()> {
        let Scratch {
            shadow: Shadow { exit_layer, hidden },
            logits,
            ..
        } = &mut self.scratch;
        let Some(exit_layer) = *exit_layer else {
            return Ok(());
        };
        let seen = found.len().min(hidden.rows());
        hidden.keep(0..seen)?;
        self.model.head(hidden, 0, logits)?;
        session.history.truncate(start);
        let mut agreed = 0;
        for (row, id) in found.kept().take(seen).enumerate() {
            agreed += usize::from(self.choose(session, settings, row, Origin::Plain)?.id == id);
            session.history.push(id);
        }
        pilot.observe(exit_layer, agreed, seen);
        pilot.observe(
            settings.exit_layer,
            found.accepted,
            found.drafted.len().min(found.accepted + 1),
        );
        Ok(())
    }

    /// Leaves in the scratch the verifier's logits `[rows, vocabulary]` of the tokens at `positions`.
    fn verify_logits(
        &mut self,
        session: &mut Session,
        settings: &Settings,
        positions: Range<usize>,
    ) -> Result<()> {
        let from = if settings.kvq_reuse {
            settings.exit_layer
        } else {
            0
        };
        if settings.kvq_reuse {
            while self.scratch.exits.rows() < positions.len() {
                let at = positions.start + self.scratch.exits.rows();
                self.exit_hidden(session, settings.exit_layer, at)?;
                self.scratch.exits.append(&self.scratch.hidden)?;
            }
            std::mem::swap(&mut self.scratch.hidden, &mut self.scratch.exits);
        } else {
            // All rows come through again, from the first layer on.
            self.scratch.shadow.hidden.clear();
            self.model.embed(
                &session.tokens()[positions.clone()],
                &mut self.scratch.hidden,
            )?;
        }
        self.layers_by_shadow(session, from..self.model.config.num_layers, positions.start)?;
        self.model
            .head(&self.scratch.hidden, 0, &mut self.scratch.logits)
    }

    /// Compares the draft with the verifier's choices, position by position. Finds how many are accepted and the token
    /// that follows them: the correction of the first rejected one, or a bonus where one is wanted.
    fn accept(
        &mut self,
        session: &mut Session,
        settings: &Settings,
        found: &mut Drafted,
        bonus: bool,
    ) -> Result<()> {
        for (row, token) in found.drafted.iter_mut().enumerate() {
            self.fill_verifier(session, settings, row)?;
            let (verifier, draft) = (&self.scratch.verifier, &self.scratch.drafts[row]);
            token.p_verify = Some(verifier.probability(token.id));
            let detail = settings
                .detail
                .then(|| self.detail(Some(draft), Some(verifier)));
            let sampler = Sampler {
                sampling: &settings.sampling,
                position: session.tokens().len(),
            };
            let verdict = sampler.verify(token.id, verifier, draft);
            token.detail.clone_from(&detail);
            match verdict {
                Verdict::Accept => session.history.push(token.id),
                Verdict::Correct(id) => {
                    let (p_draft, p_verify) =
                        (Some(draft.probability(id)), verifier.probability(id));
                    let text = String::new();
                    found.accepted = row;
                    found.last = Some(FinalToken {
                        id,
                        text,
                        origin: Origin::Corrected,
                        p_draft,
                        p_verify,
                        detail,
                    });
                    return Ok(());
                }
            }
        }
        found.accepted = found.drafted.len();
        if bonus {
            let origin = if found.drafted.is_empty() {
                Origin::Plain
            } else {
                Origin::Bonus
            };
            found.last = Some(self.choose(session, settings, found.accepted, origin)?);
        }
        Ok(())
    }

    /// A round with nothing drafted: the last token through all the layers its strategy wants, one token chosen.
    pub(super) fn step(
        &mut self,
        session: &mut Session,
        settings: &Settings,
        watch: &mut dyn Watch,
    ) -> Result<Drafted> {
        next(watch, Phase::Verify)?;
        let begun = Instant::now();
        let (start, depth) = (session.tokens().len(), self.depth(settings));
        self.fill(session, depth, watch)?;
        self.scratch.begin_round(0, None);
        self.exit_hidden(session, depth, start - 1)?;
        session.mark_filled(0..depth, start);
        self.model
            .head(&self.scratch.hidden, 0, &mut self.scratch.logits)?;
        let last = Some(self.choose(session, settings, 0, Origin::Plain)?);
        let verify_seconds = begun.elapsed().as_secs_f64();
        Ok(Drafted {
            last,
            verify_seconds,
            ..Drafted::default()
        })
    }

    /// The verifier's own token at the end of the history, from `row` of the logits.
    fn choose(
        &mut self,
        session: &Session,
        settings: &Settings,
        row: usize,
        origin: Origin,
    ) -> Result<FinalToken> {
        self.fill_verifier(session, settings, row)?;
        let verifier = &self.scratch.verifier;
        let sampler = Sampler {
            sampling: &settings.sampling,
            position: session.tokens().len(),
        };
        let id = sampler.pick(verifier, Pick::Verify);
        let detail = settings.detail.then(|| self.detail(None, Some(verifier)));
        Ok(FinalToken {
            id,
            text: String::new(),
            origin,
            p_draft: None,
            p_verify: verifier.probability(id),
            detail,
        })
    }

    /// Makes the verifier's distribution that of `row` of the logits, given the history.
    fn fill_verifier(&mut self, session: &Session, settings: &Settings, row: usize) -> Result<()> {
        let width = self.model.config.vocab_size;
        let logits = &mut self.scratch.logits[row * width..][..width];
        session.history.penalise(logits, None, &settings.sampling);
        self.scratch.verifier.fill(logits, None, &settings.sampling)
    }

    fn detail(
        &self,
        draft: Option<&Distribution>,
        verifier: Option<&Distribution>,
    ) -> Box<TokenDetail> {
        let top = |d: &Distribution| {
            d.top(TOP)
                .into_iter()
                .map(|(id, p)| Candidate {
                    id,
                    text: self.piece(id),
                    p,
                })
                .collect()
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
        let kept = self
            .scratch
            .draft_vocab
            .take()
            .filter(|vocab| vocab.ids.len() == ids.len());
        let vocab = kept.unwrap_or_else(|| {
            Arc::new(VocabSubset::new(ids.to_vec(), self.model.config.vocab_size))
        });
        self.scratch.draft_vocab = Some(vocab.clone());
        Some(vocab)
    }
}

fn next(watch: &mut dyn Watch, phase: Phase) -> Result<()> {
    if watch.checkpoint(phase).is_break() {
        Err(Error::Cancelled)
    } else {
        Ok(())
    }
}
