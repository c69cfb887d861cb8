//! The vocabulary of drafts: the first tokens of the draft order, and the tokens of the text.
//!
//! A text repeats its rare words, so a small head that includes its tokens misses little. On one device the vocabulary,
//! and so the drafts, depend only on the text. Back ends that cannot add columns use the draft order alone.

use super::Session;
use crate::engine::Result;
use crate::engine::model::DraftOrder;
use crate::engine::sampling::VocabSubset;
use std::sync::Arc;

/// Max tokens of a text added to a draft vocabulary.
const MAX_ADDED: usize = 2048;

/// The draft vocabulary of a session.
pub(super) struct DraftVocab {
    /// The setting that it was built for.
    size: usize,
    /// Number of tokens that come from the draft order.
    base: usize,
    subset: Arc<VocabSubset>,
    /// First positions of the added tokens, ascending.
    first: Vec<usize>,
    /// Number of tokens of the text already examined.
    covered: usize,
    /// Whether the sequence can add tokens to its head.
    grows: bool,
}

impl DraftVocab {
    fn new(size: usize, order: &DraftOrder) -> Self {
        // With room for all that may be added, so that a round allocates nothing for it.
        let mut ids = Vec::with_capacity(order.ids(size).len() + MAX_ADDED);
        ids.extend_from_slice(order.ids(size));
        Self {
            size,
            base: ids.len(),
            subset: Arc::new(VocabSubset::new(ids, order.vocab_size())),
            first: Vec::with_capacity(MAX_ADDED),
            covered: 0,
            grows: true,
        }
    }

    /// Adds missing tokens of the text.
    fn extend(&mut self, tokens: &[u32]) {
        for (position, &id) in tokens.iter().enumerate().skip(self.covered) {
            if self.first.len() < MAX_ADDED && !self.subset.contains(id) {
                Arc::make_mut(&mut self.subset).push(id);
                self.first.push(position);
            }
        }
        self.covered = tokens.len();
    }

    /// Removes tokens that first occur from position `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.covered = self.covered.min(len);
        let kept = self.first.partition_point(|&position| position < len);
        if kept < self.first.len() {
            self.first.truncate(kept);
            Arc::make_mut(&mut self.subset).truncate(self.base + kept);
        }
    }

    /// Number of columns available to a draft of the token at `position`.
    fn columns_at(&self, position: usize) -> usize {
        self.base + self.first.partition_point(|&first| first < position)
    }
}

impl Session {
    /// The vocabulary of drafts with the setting `size`; `None` for the whole vocabulary. Afterwards the sequence's
    /// logits for this `size` have its columns.
    ///
    /// # Errors
    /// If memory cannot be allocated.
    pub(super) fn draft_vocab(
        &mut self,
        order: &DraftOrder,
        size: usize,
    ) -> Result<Option<Arc<VocabSubset>>> {
        // A draft order may omit tokens, so even its full length can be a subset.
        if size == 0 || (order.is_prefix() && order.width(size) == order.vocab_size()) {
            if self.draft_vocab.take().is_some() {
                self.sequence.extend_draft_head(&[])?;
            }
            return Ok(None);
        }
        let known = self.draft_vocab.take().filter(|known| known.size == size);
        let mut vocab = known.unwrap_or_else(|| DraftVocab::new(size, order));
        if vocab.grows {
            vocab.extend(self.history.tokens());
            let added = &vocab.subset.ids[vocab.base..];
            if !self.sequence.extend_draft_head(added)? {
                vocab.truncate(0);
                vocab.grows = false;
            }
        }
        let subset = vocab.subset.clone();
        self.draft_vocab = Some(vocab);
        Ok(Some(subset))
    }

    /// Number of columns of the draft head with the setting `size`, those added for tokens of the text included.
    pub(super) fn draft_columns(&self, order: &DraftOrder, size: usize) -> usize {
        let known = self.draft_vocab.as_ref().filter(|known| known.size == size);
        known.map_or_else(|| order.width(size), |known| known.subset.ids.len())
    }

    /// Masks, in the logits of a draft at `position`, the columns of tokens that occur only later.
    pub(super) fn hide_later_tokens(&self, position: usize, logits: &mut [f32]) {
        if let Some(vocab) = &self.draft_vocab {
            let columns = vocab.columns_at(position).min(logits.len());
            logits[columns..].fill(f32::NEG_INFINITY);
        }
    }
}
