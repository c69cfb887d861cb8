//! What proposers have in common.

use super::decoder::{Decoder, Scratch};
use super::early_exit::EarlyExit;
use super::lookup::Lookup;
use super::text_output::TextOutput;
use super::tree::Ranks;
use super::verify::Limits;
use super::{DraftToken, Observer, Parent, Proposer, Session, Settings};
use crate::engine::Result;
use crate::engine::model::{Ancestors, Row};

/// A proposed continuation of a text: a tree of nodes, usually a chain, all of one proposer. The scratch holds the row of
/// the text's last token, then the row of each node with its depth.
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
    /// Proposes nodes after the session's tokens, which do not change. Early exit leaves the distribution after each row
    /// that it expanded in the scratch.
    ///
    /// # Errors
    /// If the observer cancels or a pass fails; the session may then hold drafted tokens.
    fn propose(&mut self, draft: &mut Draft<'_>, observer: &mut dyn Observer) -> Result<Proposal>;
}

/// Input of a proposer.
pub(super) struct Draft<'a> {
    pub decoder: &'a mut Decoder,
    pub session: &'a mut Session,
    pub settings: &'a Settings,
    /// The text's output state, as the draft would continue it.
    pub preview: &'a mut TextOutput,
    pub limits: Limits,
    /// What an exit drafts with: the exit alone, or its adapter.
    pub proposer: Proposer,
    /// The acceptance by rank for which a tree is shaped.
    pub ranks: Ranks,
}

/// Proposes with the first proposer that finds anything.
pub(super) fn propose(draft: &mut Draft<'_>, observer: &mut dyn Observer) -> Result<Proposal> {
    let proposers = draft.limits.proposers;
    let mut searched = 0.0;
    if proposers.looks_up() {
        let proposal = Lookup.propose(draft, observer)?;
        if !proposal.nodes.is_empty() || !proposers.exits() {
            return Ok(proposal);
        }
        searched = proposal.seconds;
    }
    let mut proposal = EarlyExit.propose(draft, observer)?;
    proposal.seconds += searched;
    Ok(proposal)
}

/// A node to append to a proposal.
pub(super) struct Node {
    /// `None` if it follows the text.
    pub parent: Option<usize>,
    pub id: u32,
    pub proposer: Proposer,
    pub rank: usize,
    pub p_draft: Option<f32>,
}

impl Draft<'_> {
    /// Appends a node with a row that has run `depth` layers. `output` is the output state at its parent, and is
    /// advanced to the node. Returns the token and whether it would end the run.
    pub fn append(
        &mut self,
        node: Node,
        depth: usize,
        output: &mut TextOutput,
    ) -> (DraftToken, bool) {
        let Decoder {
            scratch: Scratch { rows, .. },
            end_tokens,
            ..
        } = &mut *self.decoder;
        let index = rows.len() - 1;
        let parent_row = node.parent.map_or(0, |parent| parent + 1);
        let parent = rows[parent_row];
        let ancestors = match parent.ancestors {
            _ if self.limits.nodes == 0 => Ancestors::Chain,
            // The row of the text's last token.
            Ancestors::Chain => Ancestors::Tree(1),
            Ancestors::Tree(mask) => Ancestors::Tree(mask | 1 << parent_row),
        };
        rows.push(Row {
            token: node.id,
            position: parent.position + 1,
            slot: rows[0].slot + 1 + index,
            ancestors,
            depth,
        });
        let mut text = String::new();
        let stop = output.push(node.id, end_tokens, self.settings, &mut text);
        let token = DraftToken {
            id: node.id,
            text,
            parent: Parent::of(index, node.parent),
            proposer: node.proposer,
            rank: node.rank,
            p_draft: node.p_draft,
            p_verify: None,
            logprobs: None,
            detail: None,
        };
        (token, stop.is_some())
    }

    /// As [`Self::append`], for the next node of a chain.
    pub fn append_to_chain(
        &mut self,
        id: u32,
        proposer: Proposer,
        p_draft: Option<f32>,
        depth: usize,
    ) -> (DraftToken, bool) {
        let parent = self.decoder.scratch.rows.len().checked_sub(2);
        let node = Node {
            parent,
            id,
            proposer,
            rank: 0,
            p_draft,
        };
        let mut output = std::mem::take(self.preview);
        let appended = self.append(node, depth, &mut output);
        *self.preview = output;
        appended
    }
}
