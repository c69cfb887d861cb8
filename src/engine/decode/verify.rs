//! Self-speculative decoding (Elhoushi et al., LayerSkip, arXiv 2404.16710, section 4.3).
//!
//! ```text
//! draft    last ─▶ layers 0..E ─▶ head ─▶ d1 ─▶ layers 0..E ─▶ head ─▶ d2 … dK
//! verify   exit states of last, d1 … dK ─▶ layers E..L ─▶ head ─▶ one distribution per row
//! accept   the longest path that the verifier would have chosen, then its own next token
//! ```

use super::decoder::{Decoder, Run, Scratch, poll};
use super::draft::{Draft, Proposal, propose};
use super::growth::Growth;
use super::score::RawLogits;
use super::tree::Ranks;
use super::{
    Candidate, ClosingToken, DraftToken, Observer, Origin, Phase, Proposer, Proposers, Session,
    Settings, StopReason, TokenDetail, TokenLogprobs, TopLogprob,
};
use crate::engine::Result;
use crate::engine::model::Readout;
use crate::engine::sampling::{Distribution, Pick, Sampler, Selection};
use std::time::Instant;

/// How many alternatives are recorded per position.
const TOP: usize = 5;

/// The outcome of a round, before it becomes a [`Round`](super::Round). The kept tokens are already in the session's
/// history; their rows are still in flight.
#[derive(Default)]
pub(super) struct Verification {
    pub drafted: Vec<DraftToken>,
    /// The accepted nodes.
    pub path: Vec<usize>,
    /// `None` if the run ends with an accepted node.
    pub closing: Option<ClosingToken>,
    pub stop: Option<StopReason>,
    pub draft_seconds: f64,
    pub verify_seconds: f64,
    /// Seconds of probing an exit for the chooser.
    pub probe_seconds: f64,
}

/// What a round may draft.
pub(super) struct Limits {
    pub proposers: Proposers,
    /// Max number of tokens on a path.
    pub max: usize,
    /// Max number of nodes of a tree; 0 for a chain.
    pub nodes: usize,
    /// When a draft of an exit grows; `None` for a shape fixed in advance.
    pub growth: Option<Growth>,
}

impl Verification {
    /// How many tokens were kept.
    pub fn len(&self) -> usize {
        self.path.len() + usize::from(self.closing.is_some())
    }
}

impl Decoder {
    /// One round: drafts, verifies, and keeps what the verifier would have chosen.
    pub(super) fn speculative_round(
        &mut self,
        session: &mut Session,
        run: &mut Run,
        settings: &Settings,
        limits: Limits,
        observer: &mut dyn Observer,
    ) -> Result<Verification> {
        let started = Instant::now();
        self.prefill(session, self.model.config().num_layers, observer)?;
        self.begin_round(session, limits.max.max(limits.nodes));
        run.preview.clone_from(&run.output);
        let caught_up = started.elapsed().as_secs_f64();
        let proposer = match self.adapts(settings) {
            true => Proposer::Adapter,
            false => Proposer::EarlyExit,
        };
        let mut draft = Draft {
            decoder: self,
            proposer,
            session,
            settings,
            preview: &mut run.preview,
            limits,
            ranks: Ranks::default(),
        };
        let span = tracing::debug_span!("draft", exit_layer = settings.exit_layer).entered();
        let proposal = propose(&mut draft, observer)?;
        drop(span);
        poll(observer, Phase::Verify)?;
        let started = Instant::now();
        let draft_seconds = caught_up + proposal.seconds;
        let _span = tracing::debug_span!("verify", rows = self.scratch.rows.len()).entered();
        self.verify_rows(session, settings, &proposal)?;
        let verification = self.accept(session, run, settings, proposal)?;
        Ok(Verification {
            draft_seconds,
            verify_seconds: started.elapsed().as_secs_f64(),
            ..verification
        })
    }

    /// Prepares the row of the last token, and distributions for `max` drafted ones.
    pub(super) fn begin_round(&mut self, session: &Session, max: usize) {
        let Scratch { rows, drafts, .. } = &mut self.scratch;
        rows.clear();
        rows.push(session.last_row());
        drafts.resize_with(max.max(drafts.len()), Distribution::default);
    }

    /// Runs all rows that need a successor through all layers in one pass, and leaves their logits in the scratch.
    fn verify_rows(
        &mut self,
        session: &mut Session,
        settings: &Settings,
        proposal: &Proposal,
    ) -> Result<()> {
        if proposal.verified {
            return Ok(());
        }
        let layers = self.model.config().num_layers;
        let Scratch {
            rows,
            slots,
            logits,
            ..
        } = &mut self.scratch;
        let mut node = 0;
        rows.retain_mut(|row| {
            if !settings.kvq_reuse {
                row.depth = 0;
            }
            node += 1;
            node < 2 || !proposal.ends.contains(&(node - 2))
        });
        session.sequence.forward(rows, layers)?;
        slots.clear();
        slots.extend(rows.iter().map(|row| row.slot));
        let readout = Readout {
            slots,
            depth: layers,
            vocab: 0,
            probed: false,
        };
        session.sequence.logits(&readout, logits)
    }

    /// Follows the nodes that the verifier would have chosen, starting at the text, and appends the verifier's own
    /// choice at the end, unless the run ends first.
    fn accept(
        &mut self,
        session: &mut Session,
        run: &mut Run,
        settings: &Settings,
        proposal: Proposal,
    ) -> Result<Verification> {
        let mut path = std::mem::take(&mut self.scratch.path);
        path.clear();
        path.reserve(proposal.nodes.len());
        let mut verification = Verification {
            drafted: proposal.nodes,
            path,
            ..Verification::default()
        };
        let mut at = None;
        loop {
            let row = logits_row(at, &proposal.ends);
            self.fill_verifier(session, settings, row)?;
            self.find_children(at, &verification.drafted);
            let first = self.scratch.nodes.first().copied();
            let draft_row = first
                .filter(|&node| verification.drafted[node].proposer.exits())
                .map(|_| at.map_or(0, |node| node + 1));
            let detail = self.verify_detail(settings, draft_row);
            for &node in &self.scratch.nodes {
                let token = &mut verification.drafted[node];
                token.p_verify = Some(self.scratch.verifier.probability(token.id));
                token.detail.clone_from(&detail);
            }
            match self.verdict(session, settings, draft_row) {
                Next::Node(node) => {
                    let token = &mut verification.drafted[node];
                    token.logprobs = self.logprobs(settings, token.id);
                    verification.path.push(node);
                    verification.stop =
                        self.push(session, run, settings, token.id, &mut token.text);
                    if verification.stop.is_some() || proposal.ends.contains(&node) {
                        return Ok(verification);
                    }
                    at = Some(node);
                }
                Next::Own(id) => {
                    let origin = match (first, verification.drafted.is_empty()) {
                        (Some(_), _) => Origin::Corrected,
                        (None, true) => Origin::Plain,
                        (None, false) => Origin::Bonus,
                    };
                    let mut closing = self.closing(settings, id, origin, detail);
                    closing.p_draft = draft_row.map(|row| self.scratch.drafts[row].probability(id));
                    verification.stop = self.push(session, run, settings, id, &mut closing.text);
                    verification.closing = Some(closing);
                    return Ok(verification);
                }
            }
        }
    }

    /// Lists the children of node `at`, or of the text, and their ids by rank.
    fn find_children(&mut self, at: Option<usize>, drafted: &[DraftToken]) {
        let Scratch {
            nodes, siblings, ..
        } = &mut self.scratch;
        nodes.clear();
        nodes.extend((0..drafted.len()).filter(|&node| drafted[node].follows(node, at)));
        nodes.sort_by_key(|&node| drafted[node].rank);
        siblings.clear();
        siblings.extend(nodes.iter().map(|&node| drafted[node].id));
    }

    /// Decides between the listed children and the verifier's own token; `draft_row` is the row of the distribution
    /// from which the children were drawn.
    fn verdict(
        &mut self,
        session: &Session,
        settings: &Settings,
        draft_row: Option<usize>,
    ) -> Next {
        let sampler = Sampler {
            sampling: &settings.sampling,
            position: session.tokens().len(),
        };
        let Scratch {
            verifier,
            drafts,
            siblings,
            nodes,
            residual,
            ..
        } = &mut self.scratch;
        let draft = draft_row.map(|row| &drafts[row]);
        let choice = match siblings.is_empty() {
            true => Selection::Own(sampler.pick(verifier, Pick::Verify)),
            false => sampler.verify_siblings(siblings, verifier, draft, residual),
        };
        match choice {
            Selection::Draft(at) => Next::Node(nodes[at]),
            Selection::Own(id) => Next::Own(id),
        }
    }

    /// Keeps the rows of all kept tokens except the last, which is left for the next round.
    pub(super) fn commit(
        &mut self,
        session: &mut Session,
        verification: &Verification,
    ) -> Result<()> {
        let layers = self.model.config().num_layers;
        let start = session.sequence.len();
        let kept = verification.len();
        let slots = &mut self.scratch.slots;
        slots.clear();
        slots.push(start);
        slots.extend(verification.path.iter().map(|node| start + 1 + node));
        slots.truncate(kept);
        session.sequence.keep(slots)?;
        session.commit(layers, start + kept);
        Ok(())
    }

    /// The closing token of a round, chosen by the verifier.
    pub(super) fn closing(
        &self,
        settings: &Settings,
        id: u32,
        origin: Origin,
        detail: Option<Box<TokenDetail>>,
    ) -> ClosingToken {
        let p_verify = self.scratch.verifier.probability(id);
        ClosingToken {
            logprobs: self.logprobs(settings, id),
            detail,
            ..ClosingToken::new(id, "", origin, p_verify)
        }
    }

    /// Computes the verifier's distribution from `row` of the logits and the history.
    pub(super) fn fill_verifier(
        &mut self,
        session: &Session,
        settings: &Settings,
        row: usize,
    ) -> Result<()> {
        let width = self.model.config().vocab_size;
        let Scratch {
            logits,
            raw,
            verifier,
            ..
        } = &mut self.scratch;
        let logits = &mut logits[row * width..][..width];
        if settings.logprobs.is_some() {
            raw.clear();
            raw.extend_from_slice(logits);
        }
        session.history.penalise(logits, None, &settings.sampling);
        verifier.fill(logits, None, &settings.sampling)
    }

    /// The raw log-probabilities at the position of `id`, if they are recorded.
    fn logprobs(&self, settings: &Settings, id: u32) -> Option<Box<TokenLogprobs>> {
        let raw = RawLogits::new(&self.scratch.raw);
        let top = raw.top(settings.logprobs?);
        Some(Box::new(TokenLogprobs {
            logprob: raw.logprob(id),
            top: top
                .into_iter()
                .map(|(id, logprob)| TopLogprob {
                    id,
                    text: self.piece(id),
                    logprob,
                })
                .collect(),
        }))
    }

    /// Alternatives at the position of the verifier's distribution, if they are recorded; `draft_row` is the row of the
    /// draft's distribution there.
    pub(super) fn verify_detail(
        &self,
        settings: &Settings,
        draft_row: Option<usize>,
    ) -> Option<Box<TokenDetail>> {
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
        let draft = draft_row.map(|row| &self.scratch.drafts[row]);
        settings.detail.then(|| {
            Box::new(TokenDetail {
                draft_top: draft.map(top).unwrap_or_default(),
                verify_top: top(&self.scratch.verifier),
                draft_entropy: draft.map(Distribution::entropy),
                verify_entropy: Some(self.scratch.verifier.entropy()),
                layers: Vec::new(),
            })
        })
    }
}

/// What follows a node.
enum Next {
    /// A drafted node.
    Node(usize),
    /// The verifier's own token.
    Own(u32),
}

/// The row of the logits after a node, or after the text. Nodes that would end the run have no row.
fn logits_row(node: Option<usize>, ends: &[usize]) -> usize {
    node.map_or(0, |node| {
        node + 1 - ends.iter().filter(|&&end| end < node).count()
    })
}
