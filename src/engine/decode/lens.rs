//! What every layer would have predicted along a text, through the final norm and the shared head (the logit lens).

use super::{Decoder, LayerChoice, Observer, Phase, Round, Session, Settings};
use crate::engine::model::{Readout, Row};
use crate::engine::sampling::{Distribution, Pick, Sampler, VocabSubset};
use crate::engine::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// Positions computed between two polls of the observer.
const LENS_CHUNK: usize = 16;

/// What each layer would have chosen at one position of a text, with the given sampling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LensRow {
    /// Absolute position of the token.
    pub position: usize,
    /// The token at that position.
    pub id: u32,
    /// The choice of each layer 1..=L, in order.
    pub layers: Vec<LayerChoice>,
}

impl LensRow {
    /// Whether a draft with this exit layer would have chosen the token at that position.
    pub fn agrees(&self, exit_layer: usize) -> bool {
        self.layers
            .get(exit_layer.wrapping_sub(1))
            .is_some_and(|choice| choice.id == self.id)
    }

    /// The first layer that would have chosen the token.
    pub fn earliest(&self) -> Option<usize> {
        self.layers
            .iter()
            .find(|choice| choice.id == self.id)
            .map(|choice| choice.layer)
    }
}

impl Decoder {
    /// What each layer would have predicted at `positions` of the session's text. Recomputes those positions layer by layer,
    /// writing the same keys and values to the cache.
    ///
    /// # Errors
    /// If `positions` start before 1 or end after the text, or the observer cancels.
    pub fn lens(
        &mut self,
        session: &mut Session,
        positions: Range<usize>,
        settings: &Settings,
        observer: &mut dyn Observer,
    ) -> Result<Vec<LensRow>> {
        if positions.start == 0 || positions.end > session.tokens().len() {
            return Err(Error::Setting(format!(
                "the text has no positions {positions:?}"
            )));
        }
        let layers = self.model.config().num_layers;
        self.prefill_to(session, layers, positions.start - 1, observer)?;
        let mut rows = Vec::with_capacity(positions.len());
        for start in positions.clone().step_by(LENS_CHUNK) {
            if observer.poll(Phase::Verify).is_break() {
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

    /// Adds what every layer would have predicted to the details of a finished round.
    pub(super) fn record_layers(&mut self, session: &mut Session, round: &mut Round) -> Result<()> {
        let (start, end) = (round.position, session.tokens().len());
        let rows = self.lens(session, start..end, &round.settings.clone(), &mut ())?;
        // A rejected draft is at the position of the token that replaced it. Below it no layer was evaluated.
        let follows_text = |node: &usize| round.instead_of(*node).is_some();
        let depths: Vec<Option<usize>> = (0..round.drafted().len())
            .map(|node| {
                Some(node)
                    .filter(follows_text)
                    .map(|node| round.depth(node))
            })
            .collect();
        let accepted = round.accepted();
        let tokens = round.tokens_mut();
        let drafted = tokens.drafted.iter_mut().map(|token| &mut token.detail);
        let closing = tokens.closing.iter_mut().map(|token| &mut token.detail);
        for (detail, depth) in drafted
            .chain(closing)
            .zip(depths.into_iter().chain([Some(accepted)]))
        {
            let row = depth.and_then(|depth| rows.get(depth));
            if let (Some(detail), Some(row)) = (detail, row) {
                detail.layers.clone_from(&row.layers);
            }
        }
        Ok(())
    }

    /// Runs the tokens before those of `chunk` layer by layer. They must follow the cached ones.
    fn lens_chunk(
        &mut self,
        session: &mut Session,
        chunk: Range<usize>,
        settings: &Settings,
    ) -> Result<Vec<LensRow>> {
        let before = chunk.start - 1..chunk.end - 1;
        let row = |position: usize| LensRow {
            position,
            id: session.tokens()[position],
            layers: Vec::new(),
        };
        let mut lens: Vec<LensRow> = chunk.map(row).collect();
        let vocab = session.draft_vocab(self.model.draft_order(), settings.draft_vocab)?;
        let layers = self.model.config().num_layers;
        let mut rows: Vec<Row> =
            Row::chain(&session.tokens()[before.clone()], before.start).collect();
        let slots: Vec<usize> = before.clone().collect();
        let mut logits = std::mem::take(&mut self.scratch.logits);
        for layer in 1..=layers {
            session.sequence.forward(&rows, layer)?;
            rows.iter_mut().for_each(|row| row.depth = layer);
            // A draft would have chosen from the draft vocabulary; the last layer is the verifier and has all tokens.
            let vocab = vocab.as_ref().filter(|_| layer < layers);
            let readout = Readout {
                slots: &slots,
                depth: layer,
                vocab: vocab.map_or(0, |_| settings.draft_vocab),
                probed: false,
            };
            session.sequence.logits(&readout, &mut logits)?;
            self.lens_choices(session, settings, layer, vocab, &mut logits, &mut lens)?;
        }
        self.scratch.logits = logits;
        session.commit(layers, before.end);
        Ok(lens)
    }

    /// Adds the choice of `layer` to each of `rows`, given its logits `[rows, columns of vocab]`.
    fn lens_choices(
        &self,
        session: &Session,
        settings: &Settings,
        layer: usize,
        vocab: Option<&Arc<VocabSubset>>,
        logits: &mut [f32],
        rows: &mut [LensRow],
    ) -> Result<()> {
        let sampling = &settings.sampling;
        let mut distribution = Distribution::default();
        let width = logits.len() / rows.len().max(1);
        let ids = vocab.map(|vocab| vocab.ids.as_slice());
        for (row, logits) in rows.iter_mut().zip(logits.chunks_exact_mut(width.max(1))) {
            let position = row.position;
            if vocab.is_some() {
                session.hide_later_tokens(position, logits);
            }
            session.history.penalise_at(position, logits, ids, sampling);
            distribution.fill(logits, vocab, sampling)?;
            let id = Sampler { sampling, position }.pick(&distribution, Pick::Verify);
            row.layers.push(LayerChoice {
                layer,
                id,
                text: self.piece(id),
                p: distribution.probability(id),
            });
        }
        Ok(())
    }
}
