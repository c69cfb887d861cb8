//! State that persists across rounds and turns.

use super::common_prefix;
use super::draft_vocab::DraftVocab;
use super::lookup::{Continuation, LookupIndex};
use crate::engine::Result;
use crate::engine::model::{Model, Row, Sequence};
use crate::engine::sampling::History;

/// The tokens so far and the sequence that holds their keys and values.
///
/// Between rounds, all positions except that of the last token may already be computed; the last token is left for the
/// next round. Layers can be computed up to different positions: early-exit decoding skips the upper ones, and a later
/// round of all layers catches up.
pub struct Session {
    pub(super) history: History,
    pub(super) sequence: Box<dyn Sequence>,
    /// For each layer, how many positions of the history its keys and values cover.
    filled: Vec<usize>,
    /// Extended to the whole text before use.
    lookup: LookupIndex,
    /// The draft vocabulary of the last used setting.
    pub(super) draft_vocab: Option<DraftVocab>,
    /// Whether the sequence stores states for a probe.
    pub(super) sequence_is_probed: bool,
}

impl Session {
    /// An empty session of `model`, for at most `capacity` tokens.
    ///
    /// # Errors
    /// As [`Model::sequence`].
    pub fn new(model: &dyn Model, capacity: usize) -> Result<Self> {
        let config = model.config();
        Ok(Self {
            history: History::new(config.vocab_size),
            sequence: model.sequence(capacity)?,
            filled: vec![0; config.num_layers],
            lookup: LookupIndex::default(),
            draft_vocab: None,
            sequence_is_probed: false,
        })
    }

    /// All tokens: prompt and generated.
    pub fn tokens(&self) -> &[u32] {
        self.history.tokens()
    }

    /// How many positions have keys and values in the first layer; at most the number of tokens.
    pub fn cached(&self) -> usize {
        self.sequence.len()
    }

    /// Size of its keys and values in bytes.
    pub fn memory(&self) -> u64 {
        self.sequence.memory()
    }

    /// Replaces the tokens by `ids`, keeping the cache of their common prefix. Returns how much of that prefix the first
    /// `depth` layers cover.
    pub fn restart(&mut self, ids: &[u32], depth: usize) -> usize {
        let common = common_prefix(self.tokens(), ids);
        self.truncate(common);
        ids[common..].iter().for_each(|&id| self.history.push(id));
        self.filled_to(depth).min(ids.len().saturating_sub(1))
    }

    /// Truncates the tokens, keys and values to the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.lookup.truncate(len, self.history.tokens());
        self.history.truncate(len);
        if let Some(vocab) = &mut self.draft_vocab {
            vocab.truncate(len);
        }
        self.forget_from(len);
    }

    /// Overwrites `out` with continuations of earlier occurrences of the text's last tokens.
    pub(super) fn look_up(&mut self, out: &mut Vec<Continuation>) {
        let tokens = self.history.tokens();
        self.lookup.extend(tokens);
        self.lookup.continuations(tokens, out);
    }

    /// Stores the states after `layer` layers of the following passes; `None` stops that.
    pub(super) fn probe(&mut self, layer: Option<usize>) {
        self.sequence_is_probed = layer.is_some();
        self.sequence.probe(layer);
    }

    /// Stores what the adapter of this exit needs from the following passes; `None` stops that.
    pub(super) fn adapt(&mut self, exit: Option<usize>) {
        self.sequence.adapt(exit);
    }

    /// Removes keys and values from position `len`, and all states; the tokens stay.
    pub(super) fn forget_from(&mut self, len: usize) {
        self.sequence.truncate(len);
        let len = self.sequence.len();
        self.filled
            .iter_mut()
            .for_each(|filled| *filled = (*filled).min(len));
    }

    /// How many positions are covered by all of the first `depth` layers.
    pub(super) fn filled_to(&self, depth: usize) -> usize {
        self.filled[..depth].iter().copied().min().unwrap_or(0)
    }

    /// Keeps the positions before `len`; the rows in flight have run the first `depth` layers.
    pub(super) fn commit(&mut self, depth: usize, len: usize) {
        self.sequence.truncate(len);
        self.filled[..depth].fill(len);
    }

    /// The row of the last token, which has run no layer yet and follows all cached positions.
    pub(super) fn last_row(&self) -> Row {
        let at = self.history.len().saturating_sub(1);
        let token = self.tokens().get(at).copied().unwrap_or_default();
        Row {
            token,
            position: at,
            slot: at,
            ancestors: crate::engine::model::Ancestors::Chain,
            depth: 0,
        }
    }
}
