//! The order in which a reduced head takes tokens.

use crate::engine::{Error, Result};

/// Token ids by the column of a reduced head, the most frequent first; it may leave tokens out. Without one of its own
/// a model takes the order of the ids, which for BPE are the most frequent merges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftOrder {
    ids: Vec<u32>,
    vocab_size: usize,
    is_prefix: bool,
}

impl DraftOrder {
    /// The order of the ids.
    pub fn by_id(vocab_size: usize) -> Self {
        Self {
            ids: (0..vocab_size as u32).collect(),
            vocab_size,
            is_prefix: true,
        }
    }

    /// An order of its own for a vocabulary of `vocab_size`.
    ///
    /// # Errors
    /// Where it is empty, or names a token that the vocabulary lacks or one twice.
    pub fn new(ids: Vec<u32>, vocab_size: usize) -> Result<Self> {
        let mut seen = vec![false; vocab_size];
        let sound = ids.iter().all(|&id| {
            seen.get_mut(id as usize)
                .is_some_and(|seen| !std::mem::replace(seen, true))
        });
        if ids.is_empty() || !sound {
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

    /// How many logits a head over the first `vocab` tokens gives; 0 stands for the whole vocabulary.
    pub fn width(&self, vocab: usize) -> usize {
        match vocab {
            0 => self.vocab_size,
            _ => vocab.min(self.ids.len()),
        }
    }

    /// Token ids of the columns of a head over the first `vocab` tokens; none where it is the whole vocabulary.
    pub fn ids(&self, vocab: usize) -> &[u32] {
        &self.ids[..vocab.min(self.ids.len())]
    }

    /// Whether it is the order of the ids, so that the head's own rows serve as they are.
    pub fn is_prefix(&self) -> bool {
        self.is_prefix
    }
}
