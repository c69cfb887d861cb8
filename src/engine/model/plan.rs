//! A whole round on the device, for back ends that can run one without the host.

use super::Row;
use crate::engine::sampling::Sampling;

/// What a device is to do: draft a chain after `last`, and verify it.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// The last token of the text, which no layer has seen.
    pub last: Row,
    pub exit_layer: usize,
    /// How many tokens to draft; at least 1.
    pub max_drafts: usize,
    /// As [`Readout::vocab`](super::Readout::vocab), for the drafts.
    pub draft_vocab: usize,
    /// How drafts are chosen. The device may choose otherwise where it lacks a filter: that costs acceptance, and
    /// never changes the text.
    pub sampling: &'a Sampling,
    /// Drafting may end at these tokens.
    pub end_tokens: &'a [u32],
}

/// What it found. All rows, the last token's included, have run all layers.
#[derive(Debug, Default)]
pub struct PlannedRound {
    pub drafted: Vec<u32>,
    /// Raw logits of the drafts, `[drafted, width of the draft vocabulary]`.
    pub draft_logits: Vec<f32>,
    /// Raw logits of the verifier, `[drafted + 1, vocabulary]`.
    pub verify_logits: Vec<f32>,
}
