//! Scores that are kept, so that texts with one beginning score it once.

use super::{Decoder, Observer, Session, TokenScore};
use crate::engine::Result;

/// What was scored of the text that was last given: the continuations of one context share the context's scores, as they
/// share its keys and values in the [`Session`].
#[derive(Debug, Clone, Default)]
pub struct ScoreCache {
    tokens: Vec<u32>,
    exit_layer: Option<usize>,
    top: usize,
    /// Of the tokens from number 1 on.
    scores: Vec<TokenScore>,
}

impl Decoder {
    /// Scores all tokens of a text but the first, of which only those behind the beginning that `cache` holds are computed.
    /// For the rest see [`Decoder::score`], to which this is equal bit for bit.
    ///
    /// # Errors
    /// As [`Decoder::score`]; the cache then keeps what still holds.
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

/// How many tokens two texts have in common from their beginning on.
pub fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
