//! The order of the tokens of a reduced head.

use crate::engine::{Error, Result};

/// Token ids for the columns of a reduced head, most frequent first; tokens may be omitted. The default is id order,
/// which in BPE vocabularies starts with the most frequent merges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftOrder {
    ids: Vec<u32>,
    vocab_size: usize,
    is_prefix: bool,
}

impl DraftOrder {
    /// Id order.
    pub fn by_id(vocab_size: usize) -> Self {
        Self {
            ids: (0..vocab_size as u32).collect(),
            vocab_size,
            is_prefix: true,
        }
    }

    /// A given order for a vocabulary of `vocab_size`.
    ///
    /// # Errors
    /// If it is empty, or has a token twice or one that is not in the vocabulary.
    pub fn new(ids: Vec<u32>, vocab_size: usize) -> Result<Self> {
        let mut seen = vec![false; vocab_size];
        let valid = ids.iter().all(|&id| {
            seen.get_mut(id as usize)
                .is_some_and(|seen| !std::mem::replace(seen, true))
        });
        if ids.is_empty() || !valid {
            return Err(Error::Setting(
                "the order of the draft vocabulary must name tokens of the model, each once".into(),
            ));
        }
        let is_prefix = ids.iter().enumerate().all(|(i, &id)| i == id as usize);
        Ok(Self {
            ids,
            vocab_size,
            is_prefix,
        })
    }

    /// Number of tokens of the whole vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Number of logits of a head over the first `vocab` tokens; 0 means the whole vocabulary.
    pub fn width(&self, vocab: usize) -> usize {
        match vocab {
            0 => self.vocab_size,
            _ => vocab.min(self.ids.len()),
        }
    }

    /// Token ids of the columns of a head over the first `vocab` tokens; empty if it is the whole vocabulary.
    pub fn ids(&self, vocab: usize) -> &[u32] {
        &self.ids[..vocab.min(self.ids.len())]
    }

    /// Whether this is id order, so that the head can be used unchanged.
    pub fn is_prefix(&self) -> bool {
        self.is_prefix
    }
}
