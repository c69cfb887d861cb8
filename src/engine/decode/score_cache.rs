//! A cache of scores, so that a common prefix of several texts is scored once.

use super::{Decoder, Observer, Session, TokenScore};
use crate::engine::Result;

/// The scores of the last text. Continuations of one context share its scores, as they share its keys and values in the
/// [`Session`].
#[derive(Debug, Clone, Default)]
pub struct ScoreCache {
    tokens: Vec<u32>,
    exit_layer: Option<usize>,
    top: usize,
    /// Scores of `tokens[1..]`.
    scores: Vec<TokenScore>,
}

impl Decoder {
    /// Scores all tokens of a text except the first, and reuses the scores of the prefix that is in `cache`. The result
    /// equals that of [`Decoder::score`] bit for bit.
    ///
    /// # Errors
    /// As [`Decoder::score`]; the cache then keeps the scores of the common prefix.
    pub fn score_text<'c>(
        &mut self,
        session: &mut Session,
        cache: &'c mut ScoreCache,
        tokens: &[u32],
        exit_layer: Option<usize>,
        top: usize,
        observer: &mut dyn Observer,
    ) -> Result<&'c [TokenScore]> {
        if (cache.exit_layer, cache.top) != (exit_layer, top) {
            *cache = ScoreCache {
                exit_layer,
                top,
                ..ScoreCache::default()
            };
        }
        let common = common_prefix(&cache.tokens, tokens);
        cache.scores.truncate(common.saturating_sub(1));
        cache.tokens.truncate(common);
        let from = common.max(1);
        let fresh = self.score(
            session,
            tokens,
            from.min(tokens.len())..tokens.len(),
            exit_layer,
            top,
            observer,
        )?;
        cache.scores.extend(fresh);
        cache.tokens.extend_from_slice(&tokens[common..]);
        Ok(&cache.scores)
    }
}

/// Length of the common prefix of two texts.
pub fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
