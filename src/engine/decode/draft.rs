//! Proposers draft tokens. The only one so far is early exit.

use super::decoder::{Decoder, Scratch, poll};
use super::text_output::TextOutput;
use super::{Controller, DraftToken, Observer, Phase, Session, Settings};
use crate::engine::Result;
use crate::engine::model::{Plan, PlannedRound, Readout, Row};
use crate::engine::sampling::{Pick, Sampler, VocabSubset};
use std::sync::Arc;
use std::time::Instant;

/// A proposed continuation of a text: a tree of nodes, usually a chain. The scratch holds the row of the text's last
/// token, then the row of each node with its depth, and the distribution that each node was sampled from.
#[derive(Default)]
pub(super) struct Proposal {
    pub nodes: Vec<DraftToken>,
    /// Nodes that would end the run and need no successor.
    pub ends: Vec<usize>,
    /// Whether the scratch already holds the verifier's logits of all rows.
    pub verified: bool,
    /// Seconds of work, not including waits for the observer.
    pub seconds: f64,
}

/// A way to propose tokens.
pub(super) trait Propose {
    /// Proposes up to `draft.max` nodes after the session's tokens, which do not change.
    ///
    /// # Errors
    /// If the observer cancels or a pass fails; the session may then hold drafted tokens.
    fn propose(&mut self, draft: Draft<'_>, observer: &mut dyn Observer) -> Result<Proposal>;
}

/// Input of a proposer.
pub(super) struct Draft<'a> {
    pub decoder: &'a mut Decoder,
    pub session: &'a mut Session,
    pub settings: &'a Settings,
    /// The output of the text, as the draft would continue it.
    pub preview: &'a mut TextOutput,
    pub max: usize,
}

/// The model's own first layers, which draft a chain token by token.
pub(super) struct EarlyExit;

impl Propose for EarlyExit {
    fn propose(&mut self, mut draft: Draft<'_>, observer: &mut dyn Observer) -> Result<Proposal> {
        if let Some(proposal) = draft.on_device(observer)? {
            return Ok(proposal);
        }
        let (settings, start) = (draft.settings, draft.session.tokens().len());
        let vocab = draft.decoder.draft_vocab(settings.draft_vocab);
        let mut proposal = Proposal {
            nodes: Vec::with_capacity(draft.max),
            ..Proposal::default()
        };
        while proposal.nodes.len() < draft.max {
            poll(observer, Phase::Draft)?;
            let started = Instant::now();
            let drafted = draft.next_token(vocab.as_ref())?;
            proposal.seconds += started.elapsed().as_secs_f64();
            let Some((token, ends)) = drafted else { break };
            observer.drafted(&token);
            let unsure = matches!(settings.controller, Controller::Confidence { threshold }
                if token.p_draft.is_some_and(|p| p < threshold));
            if ends {
                proposal.ends.push(proposal.nodes.len());
            }
            proposal.nodes.push(token);
            if ends || unsure {
                break;
            }
        }
        draft.session.history.truncate(start);
        Ok(proposal)
    }
}

impl Draft<'_> {
    /// Runs the last row to the exit and samples the next token; returns it and whether the run would end with it.
    /// `None` if the penalties forbid every token of a reduced draft vocabulary; the verifier can choose the others.
    fn next_token(
        &mut self,
        vocab: Option<&Arc<VocabSubset>>,
    ) -> Result<Option<(DraftToken, bool)>> {
        let Scratch {
            rows,
            logits,
            drafts,
            ..
        } = &mut self.decoder.scratch;
        let (exit_layer, node) = (self.settings.exit_layer, rows.len() - 1);
        self.session.sequence.forward(&rows[node..], exit_layer)?;
        rows[node].depth = exit_layer;
        let readout = Readout {
            slots: &[rows[node].slot],
            depth: exit_layer,
            vocab: self.settings.draft_vocab,
            probed: false,
        };
        self.session.sequence.logits(&readout, logits)?;
        let sampling = &self.settings.sampling;
        let ids = vocab.map(|vocab| vocab.ids.as_slice());
        self.session.history.penalise(logits, ids, sampling);
        if drafts[node].fill(logits, vocab, sampling).is_err() {
            return Ok(None);
        }
        let sampler = Sampler {
            sampling,
            position: rows[node].position + 1,
        };
        let id = sampler.pick(&drafts[node], Pick::Draft);
        Ok(Some(self.push(id, 0)))
    }

    /// Appends `id`, sampled from the next distribution of the scratch, to the chain, with a row that has run `depth` layers.
    fn push(&mut self, id: u32, depth: usize) -> (DraftToken, bool) {
        let Decoder {
            scratch,
            end_tokens,
            ..
        } = &mut *self.decoder;
        let last = scratch.rows[scratch.rows.len() - 1];
        let p_draft = scratch.drafts[scratch.rows.len() - 1].probability(id);
        scratch.rows.push(Row {
            token: id,
            position: last.position + 1,
            slot: last.slot + 1,
            depth,
            ..last
        });
        self.session.history.push(id);
        let mut text = String::new();
        let stop = self.preview.push(id, end_tokens, self.settings, &mut text);
        let token = DraftToken::new(id, text, p_draft);
        (token, stop.is_some())
    }

    /// Runs the whole round on the device, if the device supports it and the settings need no decision by the host in
    /// between.
    fn on_device(&mut self, observer: &mut dyn Observer) -> Result<Option<Proposal>> {
        let settings = self.settings;
        let (sampling, controller) = (&settings.sampling, settings.controller);
        let host_decides = sampling.rejects()
            || matches!(controller, Controller::Confidence { .. })
            || controller == Controller::ExitAndSpeculations
            || !settings.kvq_reuse
            || observer.single_steps();
        if host_decides {
            return Ok(None);
        }
        poll(observer, Phase::Draft)?;
        let started = Instant::now();
        let plan = Plan {
            last: self.decoder.scratch.rows[0],
            exit_layer: settings.exit_layer,
            max_drafts: self.max,
            draft_vocab: settings.draft_vocab,
            sampling,
            end_tokens: &self.decoder.end_tokens,
        };
        let Some(round) = self.session.sequence.round(&plan)? else {
            return Ok(None);
        };
        let mut proposal = self.adopt(round)?;
        proposal.seconds = started.elapsed().as_secs_f64();
        proposal
            .nodes
            .iter()
            .for_each(|token| observer.drafted(token));
        Ok(Some(proposal))
    }

    /// Turns the device's drafts into a proposal.
    fn adopt(&mut self, round: PlannedRound) -> Result<Proposal> {
        let (settings, start) = (self.settings, self.session.tokens().len());
        let layers = self.decoder.model.config().num_layers;
        let vocab = self.decoder.draft_vocab(settings.draft_vocab);
        let ids = vocab.as_ref().map(|vocab| vocab.ids.as_slice());
        let width = round.draft_logits.len() / round.drafted.len().max(1);
        let mut proposal = Proposal {
            verified: true,
            ..Proposal::default()
        };
        self.decoder.scratch.rows[0].depth = layers;
        let mut draft_logits = round.draft_logits;
        let rows = draft_logits.chunks_exact_mut(width.max(1));
        for (&id, logits) in round.drafted.iter().zip(rows) {
            self.session
                .history
                .penalise(logits, ids, &settings.sampling);
            let node = proposal.nodes.len();
            let distribution = &mut self.decoder.scratch.drafts[node];
            if distribution
                .fill(logits, vocab.as_ref(), &settings.sampling)
                .is_err()
            {
                break;
            }
            let (token, ends) = self.push(id, layers);
            proposal.nodes.push(token);
            if ends {
                proposal.ends.push(node);
                break;
            }
        }
        self.session.history.truncate(start);
        self.decoder.scratch.logits = round.verify_logits;
        Ok(proposal)
    }
}

impl Decoder {
    /// The first `size` tokens of the draft order; `None` for the whole vocabulary.
    pub(super) fn draft_vocab(&mut self, size: usize) -> Option<Arc<VocabSubset>> {
        let vocab_size = self.model.config().vocab_size;
        if size == 0 || size >= vocab_size {
            return None;
        }
        let ids = self.model.draft_order().ids(size);
        let kept = self.scratch.draft_vocab.take();
        let vocab = kept
            .filter(|vocab| vocab.ids.len() == ids.len())
            .unwrap_or_else(|| Arc::new(VocabSubset::new(ids.to_vec(), vocab_size)));
        self.scratch.draft_vocab = Some(vocab.clone());
        Some(vocab)
    }
}
