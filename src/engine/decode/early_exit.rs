//! Drafts by the model's own first layers.

use super::decoder::{Scratch, poll};
use super::draft::{Draft, Node, Proposal, Propose};
use super::growth::{Growing, Growth, MAX_SIBLINGS};
use super::text_output::TextOutput;
use super::tree::Shape;
use super::{Controller, DraftToken, Observer, Phase, Proposer};
use crate::engine::Result;
use crate::engine::model::{Ancestors, Plan, PlannedRound, Readout};
use crate::engine::sampling::{Distribution, Sampler, VocabSubset};
use std::sync::Arc;
use std::time::Instant;

/// The model's own first layers. They draft a chain token by token, a tree level by level, or a chain with siblings that grows
/// while it pays.
pub(super) struct EarlyExit;

impl Propose for EarlyExit {
    fn propose(&mut self, draft: &mut Draft<'_>, observer: &mut dyn Observer) -> Result<Proposal> {
        if let Some(growth) = draft.limits.growth {
            return draft.grow_by_confidence(&growth, observer);
        }
        if draft.limits.nodes > 0 {
            return draft.grow_tree(observer);
        }
        if let Some(proposal) = draft.on_device(observer)? {
            return Ok(proposal);
        }
        let start = draft.session.tokens().len();
        let vocab = draft.vocab()?;
        let mut proposal = Proposal {
            nodes: Vec::with_capacity(draft.limits.max),
            ..Proposal::default()
        };
        while proposal.nodes.len() < draft.limits.max {
            poll(observer, Phase::Draft)?;
            let started = Instant::now();
            let drafted = draft.next_token(vocab.as_ref())?;
            proposal.seconds += started.elapsed().as_secs_f64();
            let Some((token, ends)) = drafted else { break };
            observer.drafted(&token);
            let unsure = draft.is_unsure(&token);
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

/// A node whose children are drafted next: its row in the shape, its row in the pass, and the output up to it.
struct Expandable {
    shape: usize,
    row: usize,
    output: TextOutput,
}

impl Draft<'_> {
    /// The draft vocabulary; `None` for all tokens.
    fn vocab(&mut self) -> Result<Option<Arc<VocabSubset>>> {
        // Distributions of the last round share the vocabulary; it could grow only as a copy.
        let Scratch {
            drafts, verifier, ..
        } = &mut self.decoder.scratch;
        drafts
            .iter_mut()
            .chain([verifier])
            .for_each(Distribution::release_vocab);
        let order = self.decoder.model.draft_order();
        self.session.draft_vocab(order, self.settings.draft_vocab)
    }

    /// Whether a confidence controller ends the draft after this token.
    fn is_unsure(&self, token: &DraftToken) -> bool {
        matches!(self.settings.controller, Controller::Confidence { threshold }
            if token.p_draft.is_some_and(|p| p < threshold))
    }

    /// Runs the last row to the exit and samples the next token. Returns it and whether it would end the run. `None` if
    /// the penalties forbid every token of a reduced draft vocabulary; the verifier can still choose others.
    fn next_token(
        &mut self,
        vocab: Option<&Arc<VocabSubset>>,
    ) -> Result<Option<(DraftToken, bool)>> {
        let row = self.decoder.scratch.rows.len() - 1;
        self.run_rows(&[row])?;
        if !self.fill_draft(row, 0, vocab) {
            return Ok(None);
        }
        let Scratch {
            rows,
            drafts,
            siblings,
            ..
        } = &mut self.decoder.scratch;
        let sampler = Sampler {
            sampling: &self.settings.sampling,
            position: rows[row].position + 1,
        };
        sampler.siblings(&drafts[row], 1, siblings);
        let id = siblings[0];
        let p_draft = drafts[row].probability(id);
        let appended = self.append_to_chain(id, self.proposer, Some(p_draft), 0);
        self.session.history.push(id);
        Ok(Some(appended))
    }

    /// Runs these rows to the exit in one pass, and leaves their logits over the draft vocabulary in the scratch.
    fn run_rows(&mut self, run: &[usize]) -> Result<()> {
        let Scratch {
            rows,
            level,
            slots,
            logits,
            ..
        } = &mut self.decoder.scratch;
        let exit_layer = self.settings.exit_layer;
        level.clear();
        level.extend(run.iter().map(|&row| rows[row]));
        self.session.sequence.forward(level, exit_layer)?;
        slots.clear();
        slots.extend(level.iter().map(|row| row.slot));
        run.iter().for_each(|&row| rows[row].depth = exit_layer);
        let readout = Readout {
            slots,
            depth: exit_layer,
            vocab: self.settings.draft_vocab,
            probed: false,
        };
        match self.proposer {
            Proposer::Adapter => self.session.sequence.adapted_logits(&readout, logits),
            _ => self.session.sequence.logits(&readout, logits),
        }
    }

    /// Computes the draft's distribution after `row` from the logits at index `at`. Expects the session's history to be
    /// the text up to that row. False if the penalties forbid every token.
    fn fill_draft(&mut self, row: usize, at: usize, vocab: Option<&Arc<VocabSubset>>) -> bool {
        let all = self.decoder.model.config().vocab_size;
        let width = vocab.map_or(all, |vocab| vocab.ids.len());
        let Scratch { logits, drafts, .. } = &mut self.decoder.scratch;
        let logits = &mut logits[at * width..][..width];
        let sampling = &self.settings.sampling;
        let ids = vocab.map(|vocab| vocab.ids.as_slice());
        self.session.history.penalise(logits, ids, sampling);
        drafts[row].fill(logits, vocab, sampling).is_ok()
    }

    /// Drafts a tree level by level: one pass to the exit for all nodes of a level that have children.
    fn grow_tree(&mut self, observer: &mut dyn Observer) -> Result<Proposal> {
        let shape = Shape::new(self.limits.nodes, self.limits.max, &self.ranks);
        let start = self.session.tokens().len();
        let vocab = self.vocab()?;
        let mut proposal = Proposal {
            nodes: Vec::with_capacity(shape.len()),
            ..Proposal::default()
        };
        let mut level = vec![Expandable {
            shape: 0,
            row: 0,
            output: self.preview.clone(),
        }];
        while !level.is_empty() {
            poll(observer, Phase::Draft)?;
            let started = Instant::now();
            let rows: Vec<usize> = level.iter().map(|node| node.row).collect();
            self.run_rows(&rows)?;
            let mut next = Vec::new();
            for (at, parent) in level.iter().enumerate() {
                self.follow(start, parent.row, &proposal);
                if !self.fill_draft(parent.row, at, vocab.as_ref()) {
                    continue;
                }
                self.add_children(&shape, parent, &mut proposal, &mut next);
            }
            proposal.seconds += started.elapsed().as_secs_f64();
            level = next;
        }
        self.session.history.truncate(start);
        for node in main_chain(&proposal.nodes) {
            observer.drafted(&proposal.nodes[node]);
        }
        Ok(proposal)
    }

    /// Drafts a chain with siblings while each node pays. With rejection coupling there are no siblings: their number may
    /// not depend on the tokens.
    fn grow_by_confidence(
        &mut self,
        growth: &Growth,
        observer: &mut dyn Observer,
    ) -> Result<Proposal> {
        let start = self.session.tokens().len();
        let vocab = self.vocab()?;
        let mut growing = Growing::new(growth, self.limits.max, self.limits.nodes);
        let mut proposal = Proposal {
            nodes: Vec::with_capacity(self.limits.nodes),
            ..Proposal::default()
        };
        let (mut row, mut ends) = (0, false);
        while !ends && growing.continues() {
            poll(observer, Phase::Draft)?;
            let started = Instant::now();
            self.run_rows(&[row])?;
            if !self.fill_draft(row, 0, vocab.as_ref()) {
                break;
            }
            let best = proposal.nodes.len();
            ends = self.add_siblings(&mut growing, row, &mut proposal);
            self.session.history.push(proposal.nodes[best].id);
            row = best + 1;
            proposal.seconds += started.elapsed().as_secs_f64();
            observer.drafted(&proposal.nodes[best]);
        }
        self.session.history.truncate(start);
        if proposal.nodes.iter().all(|node| node.rank == 0) {
            let rows = &mut self.decoder.scratch.rows[1..];
            rows.iter_mut()
                .for_each(|row| row.ancestors = Ancestors::Chain);
        }
        Ok(proposal)
    }

    /// Appends the best token after `row`, the end of the main chain, and the siblings that pay. Returns whether the best
    /// token would end the run.
    fn add_siblings(
        &mut self,
        growing: &mut Growing<'_>,
        row: usize,
        proposal: &mut Proposal,
    ) -> bool {
        let mut ids = std::mem::take(&mut self.decoder.scratch.siblings);
        let Scratch { rows, drafts, .. } = &self.decoder.scratch;
        let sampling = &self.settings.sampling;
        let sampler = Sampler {
            sampling,
            position: rows[row].position + 1,
        };
        let max = if sampling.rejects() { 1 } else { MAX_SIBLINGS };
        sampler.siblings(&drafts[row], max, &mut ids);
        ids.truncate(growing.add(ids.iter().map(|&id| drafts[row].probability(id))));
        // The run's output up to the parent; the preview follows the best tokens.
        let before = (ids.len() > 1).then(|| self.preview.clone());
        let mut best_ends = false;
        for (rank, &id) in ids.iter().enumerate() {
            let node = Node {
                parent: row.checked_sub(1),
                id,
                proposer: self.proposer,
                rank,
                p_draft: Some(self.decoder.scratch.drafts[row].probability(id)),
            };
            let mut output = match (rank, &before) {
                (1.., Some(before)) => before.clone(),
                _ => std::mem::take(self.preview),
            };
            let (token, ends) = self.append(node, 0, &mut output);
            if rank == 0 {
                *self.preview = output;
                best_ends = ends;
            }
            if ends {
                proposal.ends.push(proposal.nodes.len());
            }
            proposal.nodes.push(token);
        }
        self.decoder.scratch.siblings = ids;
        best_ends
    }

    /// Makes the session's history the text up to `row`.
    fn follow(&mut self, start: usize, row: usize, proposal: &Proposal) {
        let history = &mut self.session.history;
        history.truncate(start);
        let parent = |&node: &usize| proposal.nodes[node].parent_of(node);
        let mut path: Vec<usize> = std::iter::successors(row.checked_sub(1), parent).collect();
        path.reverse();
        path.iter()
            .for_each(|&node| history.push(proposal.nodes[node].id));
    }

    /// Appends the children of a node, drawn from its distribution, and adds those that have children to `next`.
    fn add_children(
        &mut self,
        shape: &Shape,
        parent: &Expandable,
        proposal: &mut Proposal,
        next: &mut Vec<Expandable>,
    ) {
        let row = parent.row;
        let mut ids = std::mem::take(&mut self.decoder.scratch.siblings);
        let Scratch { rows, drafts, .. } = &self.decoder.scratch;
        let sampler = Sampler {
            sampling: &self.settings.sampling,
            position: rows[row].position + 1,
        };
        sampler.siblings(&drafts[row], shape.children(parent.shape), &mut ids);
        for (rank, &id) in ids.iter().enumerate() {
            let p_draft = self.decoder.scratch.drafts[row].probability(id);
            let node = Node {
                parent: row.checked_sub(1),
                id,
                proposer: self.proposer,
                rank,
                p_draft: Some(p_draft),
            };
            let mut output = parent.output.clone();
            let (token, ends) = self.append(node, 0, &mut output);
            let index = proposal.nodes.len();
            let own = shape.child(parent.shape, rank);
            if ends {
                proposal.ends.push(index);
            } else if shape.children(own) > 0 && !self.is_unsure(&token) {
                next.push(Expandable {
                    shape: own,
                    row: index + 1,
                    output,
                });
            }
            proposal.nodes.push(token);
        }
        self.decoder.scratch.siblings = ids;
    }

    /// Runs the whole round on the device. `None` if the device cannot, or if the settings need a decision by the host
    /// in between.
    fn on_device(&mut self, observer: &mut dyn Observer) -> Result<Option<Proposal>> {
        let settings = self.settings;
        let (sampling, controller) = (&settings.sampling, settings.controller);
        let host_decides = self.proposer == Proposer::Adapter
            || sampling.rejects()
            || matches!(controller, Controller::Confidence { .. })
            || self.session.sequence_is_probed
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
            max_drafts: self.limits.max,
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
        let start = self.session.tokens().len();
        let layers = self.decoder.model.config().num_layers;
        let vocab = self.vocab()?;
        let mut proposal = Proposal {
            verified: true,
            ..Proposal::default()
        };
        self.decoder.scratch.rows[0].depth = layers;
        self.decoder.scratch.logits = round.draft_logits;
        for (row, &id) in round.drafted.iter().enumerate() {
            if !self.fill_draft(row, row, vocab.as_ref()) {
                break;
            }
            let p_draft = self.decoder.scratch.drafts[row].probability(id);
            let (token, ends) = self.append_to_chain(id, self.proposer, Some(p_draft), layers);
            self.session.history.push(id);
            proposal.nodes.push(token);
            if ends {
                proposal.ends.push(row);
                break;
            }
        }
        self.session.history.truncate(start);
        self.decoder.scratch.logits = round.verify_logits;
        Ok(proposal)
    }
}

/// The nodes on the path of the first child of each node.
fn main_chain(nodes: &[DraftToken]) -> impl Iterator<Item = usize> + '_ {
    let first = move |parent: Option<usize>| {
        (0..nodes.len()).find(|&node| nodes[node].rank == 0 && nodes[node].follows(node, parent))
    };
    std::iter::successors(first(None), move |&node| first(Some(node)))
}
