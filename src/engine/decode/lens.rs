//! What every layer would have said along a text, through the final norm and the shared head (the logit lens).

use super::{Decoder, LayerChoice, Phase, Round, Session, Settings, Watch};
use crate::engine::model::Hidden;
use crate::engine::sampling::{Distribution, History, Pick, Sampler, VocabSubset};
use crate::engine::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// Positions computed between two checkpoints.
const LENS_CHUNK: usize = 16;

/// What each layer would have chosen at one position of a text, under the sampling in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LensRow {
    /// Absolute position of the token that was chosen.
    pub position: usize,
    /// The token that stands there.
    pub id: u32,
    /// The choice of each layer 1..=L, in order.
    pub layers: Vec<LayerChoice>,
}

impl LensRow {
    /// Whether a draft with this exit layer would have written the token that stands there.
    pub fn agrees(&self, exit_layer: usize) -> bool {
        self.layers
            .get(exit_layer.wrapping_sub(1))
            .is_some_and(|choice| choice.id == self.id)
    }

    /// The earliest layer that would have written it.
    pub fn earliest(&self) -> Option<usize> {
        self.layers
            .iter()
            .find(|choice| choice.id == self.id)
            .map(|choice| choice.layer)
    }
}

impl Decoder {
    /// What each layer would have said at `positions` of the session's text. Computes the text again, layer by layer;
    /// what it writes into the cache is what stands there already.
    ///
    /// Fails where `positions` begins before 1 or ends behind the text, and when cancelled.
    pub fn lens(
        &mut self,
        session: &mut Session,
        positions: Range<usize>,
        settings: &Settings,
        watch: &mut dyn Watch,
    ) -> Result<Vec<LensRow>> {
        if positions.start == 0 || positions.end > session.tokens().len() {
            return Err(Error::Setting(format!(
                "there is no text at positions {positions:?}"
            )));
        }
        self.fill(session, self.model.config.num_layers, watch)?;
        let mut rows = Vec::with_capacity(positions.len());
        for start in positions.clone().step_by(LENS_CHUNK) {
            if watch.checkpoint(Phase::Verify).is_break() {
                return Err(Error::Cancelled);
            }
            rows.extend(self.lens_chunk(
                session,
                start..positions.end.min(start + LENS_CHUNK),
                settings,
            )?);
        }
        Ok(rows)
    }

    /// Adds to the details of a round that has just been settled what every layer would have said at its positions.
    pub(super) fn record_layers(&mut self, session: &mut Session, round: &mut Round) -> Result<()> {
        let end = session.tokens().len();
        for row in self.lens(session, round.position..end, &round.settings, &mut ())? {
            let at = row.position - round.position;
            let last = round
                .last
                .as_mut()
                .filter(|_| at == round.accepted)
                .and_then(|last| last.detail.as_mut());
            // The first rejected draft stands at the place of the token that was put there instead.
            let drafted = round
                .drafted
                .get_mut(at)
                .and_then(|token| token.detail.as_mut());
            for detail in last.into_iter().chain(drafted) {
                detail.layers.clone_from(&row.layers);
            }
        }
        Ok(())
    }

    fn lens_chunk(
        &mut self,
        session: &mut Session,
        chunk: Range<usize>,
        settings: &Settings,
    ) -> Result<Vec<LensRow>> {
        let first = chunk.start - 1;
        let mut hidden = Hidden::default();
        self.model
            .embed(&session.tokens()[first..chunk.end - 1], &mut hidden)?;
        let row = |position: usize| LensRow {
            position,
            id: session.tokens()[position],
            layers: Vec::new(),
        };
        let mut rows: Vec<LensRow> = chunk.clone().map(row).collect();
        let vocab = self.draft_vocab(settings.draft_vocab);
        for layer in 1..=self.model.config.num_layers {
            self.model
                .layers(layer - 1..layer, &mut hidden, first, &mut session.cache)?;
            // A draft would have chosen from the draft vocabulary; the last layer is the verifier and has them all.
            let drafts = layer < self.model.config.num_layers;
            let vocab = vocab.as_ref().filter(|_| drafts);
            let mut logits = std::mem::take(&mut self.scratch.logits);
            self.model.head(
                &hidden,
                if vocab.is_some() {
                    settings.draft_vocab
                } else {
                    0
                },
                &mut logits,
            )?;
            self.lens_choices(session, settings, layer, vocab, &mut logits, &mut rows)?;
            self.scratch.logits = logits;
        }
        Ok(rows)
    }

    /// Adds to each of `rows` what `layer` would have chosen there, from its logits `[rows, columns of vocab]`.
    fn lens_choices(
        &self,
        session: &Session,
        settings: &Settings,
        layer: usize,
        vocab: Option<&Arc<VocabSubset>>,
        logits: &mut [f32],
        rows: &mut [LensRow],
    ) -> Result<()> {
        let start = rows.first().map_or(0, |row| row.position);
        let mut history: History = session.tokens()[..start].iter().copied().collect();
        let mut distribution = Distribution::default();
        let width = logits.len() / rows.len().max(1);
        let ids = vocab.map(|vocab| vocab.ids.as_slice());
        for (row, logits) in rows.iter_mut().zip(logits.chunks_exact_mut(width.max(1))) {
            history.penalise(logits, ids, &settings.sampling);
            distribution.fill(logits, vocab, &settings.sampling)?;
            let sampler = Sampler {
                sampling: &settings.sampling,
                position: row.position,
            };
            let id = sampler.pick(&distribution, Pick::Verify);
            row.layers.push(LayerChoice {
                layer,
                id,
                text: self.piece(id),
                p: distribution.probability(id),
            });
            history.push(row.id);
        }
        Ok(())
    }
}
