//! The plan of a whole round, for back ends that can run one without the host.

use super::Row;
use crate::engine::sampling::Sampling;

/// The work of the device: drafting a chain after `last`, and verifying it.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// The last token of the text, which has run no layer.
    pub last: Row,
    /// Exit layer E of drafts.
    pub exit_layer: usize,
    /// Max number of tokens to draft; at least 1.
    pub max_drafts: usize,
    /// As [`Readout::vocab`](super::Readout::vocab), for the drafts.
    pub draft_vocab: usize,
    /// How drafts are sampled. A device that does not support a filter may sample differently, which costs acceptance
    /// but does not change the text.
    pub sampling: &'a Sampling,
    /// Tokens at which drafting may end.
    pub end_tokens: &'a [u32],
}

/// The results. All rows, including that of the last token, have run all layers.
#[derive(Debug, Default)]
pub struct PlannedRound {
    /// The drafted tokens.
    pub drafted: Vec<u32>,
    /// Raw logits of the drafts, `[drafted, width of the draft vocabulary]`.
    pub draft_logits: Vec<f32>,
    /// Raw logits of the verifier, `[drafted + 1, vocabulary]`.
    pub verify_logits: Vec<f32>,
}
