//! Drafts from earlier occurrences of the text's last tokens (Saxena, prompt lookup decoding).

use super::decoder::poll;
use super::draft::{Draft, Node, Proposal, Propose};
use super::{Observer, Phase, Proposer};
use crate::engine::Result;
use std::collections::HashMap;
use std::time::Instant;

/// Min number of matching tokens.
const MIN_MATCH: usize = 2;
/// Max number of tokens compared.
pub(super) const MAX_MATCH: usize = 16;
/// Max number of earlier occurrences considered, the latest first.
const MAX_OCCURRENCES: usize = 64;
/// Ends a chain of occurrences.
const NONE: u32 = u32::MAX;

/// An index of a text's n-grams of [`MIN_MATCH`] or more tokens: all positions of every pair of tokens. It grows and
/// shrinks with the text.
#[derive(Debug, Clone, Default)]
pub(super) struct LookupIndex {
    /// The last occurrence of each pair: the position of its second token.
    last: HashMap<[u32; MIN_MATCH], u32>,
    /// For each indexed position, the previous occurrence of the pair that ends there.
    previous: Vec<u32>,
}

/// A possible continuation of the text: what followed an earlier occurrence of its last tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Continuation {
    /// Position of its first token in the text.
    pub start: usize,
    /// How many tokens before it match the end of the text, 2 to 16.
    pub matched: usize,
    /// How many of the occurrences continue with the same token.
    pub count: usize,
}

impl LookupIndex {
    /// Adds the tokens of the text that are not indexed yet.
    pub fn extend(&mut self, tokens: &[u32]) {
        for at in self.previous.len()..tokens.len().min(NONE as usize) {
            let before = pair(tokens, at).and_then(|pair| self.last.insert(pair, at as u32));
            self.previous.push(before.unwrap_or(NONE));
        }
    }

    /// Forgets all tokens from position `len`; `tokens` is the text before that.
    pub fn truncate(&mut self, len: usize, tokens: &[u32]) {
        while self.previous.len() > len {
            let (at, before) = (self.previous.len() - 1, self.previous.pop());
            let Some(pair) = pair(tokens, at) else {
                continue;
            };
            match before {
                None | Some(NONE) => self.last.remove(&pair),
                Some(before) => self.last.insert(pair, before),
            };
        }
    }

    /// Overwrites `out` with the possible continuations, ordered by length of the match, then frequency, then recency.
    /// Their first tokens differ.
    pub fn continuations(&self, tokens: &[u32], out: &mut Vec<Continuation>) {
        out.clear();
        let Some(last) = tokens.len().checked_sub(1) else {
            return;
        };
        let before = |&at: &usize| {
            let before = *self.previous.get(at)?;
            (before != NONE).then_some(before as usize)
        };
        let occurrences = std::iter::successors(Some(last), before).skip(1);
        for end in occurrences.take(MAX_OCCURRENCES) {
            let (start, matched) = (end + 1, common_suffix(tokens, end + 1));
            match out
                .iter_mut()
                .find(|other| tokens[other.start] == tokens[start])
            {
                Some(known) => {
                    known.count += 1;
                    if matched > known.matched {
                        (known.start, known.matched) = (start, matched);
                    }
                }
                None => out.push(Continuation {
                    start,
                    matched,
                    count: 1,
                }),
            }
        }
        out.sort_by_key(|c| std::cmp::Reverse((c.matched, c.count, c.start)));
    }
}

/// The pair that ends at position `at`; `None` if there are too few tokens.
fn pair(tokens: &[u32], at: usize) -> Option<[u32; MIN_MATCH]> {
    let start = (at + 1).checked_sub(MIN_MATCH)?;
    tokens.get(start..=at)?.try_into().ok()
}

/// Length of the common suffix of the text and of its first `len` tokens, at most [`MAX_MATCH`].
fn common_suffix(tokens: &[u32], len: usize) -> usize {
    let (earlier, whole) = (tokens[..len].iter().rev(), tokens.iter().rev());
    let same = earlier.zip(whole).take_while(|(a, b)| a == b);
    same.take(MAX_MATCH).count()
}

/// The text from `start` on, repeated endlessly.
pub(super) fn continued(tokens: &[u32], start: usize) -> impl Iterator<Item = u32> + '_ {
    let period = tokens.len() - start;
    (0..).map(move |step| tokens[start + step % period])
}

/// Looks up the last tokens of the text in the text itself.
pub(super) struct Lookup;

impl Propose for Lookup {
    fn propose(&mut self, draft: &mut Draft<'_>, observer: &mut dyn Observer) -> Result<Proposal> {
        let started = Instant::now();
        let mut found = std::mem::take(&mut draft.decoder.scratch.continuations);
        draft.session.look_up(&mut found);
        let mut proposal = Proposal {
            seconds: started.elapsed().as_secs_f64(),
            ..Proposal::default()
        };
        if !found.is_empty() {
            poll(observer, Phase::Draft)?;
            let started = Instant::now();
            draft.copy(&found, &mut proposal);
            proposal.seconds += started.elapsed().as_secs_f64();
            let first = proposal.nodes.iter().enumerate();
            let first = first.take_while(|(node, token)| *node == 0 || token.parent.is_none());
            first.for_each(|(_, token)| observer.drafted(token));
        }
        draft.decoder.scratch.continuations = found;
        Ok(proposal)
    }
}

impl Draft<'_> {
    /// Copies the best continuation and, in a tree, the first tokens of the others while nodes are left.
    fn copy(&mut self, found: &[Continuation], proposal: &mut Proposal) {
        let nodes = if self.limits.nodes == 0 {
            self.limits.max
        } else {
            self.limits.nodes
        };
        let branches = if self.limits.nodes == 0 {
            1
        } else {
            found.len()
        };
        proposal.nodes.reserve(nodes);
        for (rank, continuation) in found.iter().take(branches).enumerate() {
            let mut output = self.preview.clone();
            let mut parent = None;
            let ids: Vec<u32> = continued(self.session.tokens(), continuation.start)
                .take(self.limits.max.min(nodes - proposal.nodes.len()))
                .collect();
            for id in ids {
                let node = Node {
                    parent,
                    id,
                    proposer: Proposer::Lookup,
                    rank: if parent.is_none() { rank } else { 0 },
                    p_draft: None,
                };
                let (token, ends) = self.append(node, 0, &mut output);
                let index = proposal.nodes.len();
                proposal.nodes.push(token);
                parent = Some(index);
                if ends {
                    proposal.ends.push(index);
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn index(tokens: &[u32]) -> LookupIndex {
        let mut index = LookupIndex::default();
        index.extend(tokens);
        index
    }

    fn found(index: &LookupIndex, tokens: &[u32]) -> Vec<Continuation> {
        let mut found = Vec::new();
        index.continuations(tokens, &mut found);
        found
    }

    #[test]
    fn the_longest_match_comes_first_then_the_most_frequent() {
        // "1 2" continues with 3 once, after the longer match "9 1 2", and with 4 twice.
        let tokens = [9, 1, 2, 3, 1, 2, 4, 1, 2, 4, 9, 1, 2];
        let found = found(&index(&tokens), &tokens);
        let firsts: Vec<u32> = found.iter().map(|c| tokens[c.start]).collect();
        assert_eq!(firsts, [3, 4]);
        assert_eq!((found[0].matched, found[0].count), (3, 1));
        assert_eq!((found[1].matched, found[1].count), (2, 2));
        let copied: Vec<u32> = continued(&tokens, found[0].start).take(4).collect();
        assert_eq!(copied, [3, 1, 2, 4]);
    }

    #[test]
    fn a_repetition_goes_on_beyond_the_end() {
        let tokens = [5, 6, 7, 5, 6, 7, 5, 6];
        let found = found(&index(&tokens), &tokens);
        let copied: Vec<u32> = continued(&tokens, found[0].start).take(7).collect();
        assert_eq!(copied, [7, 5, 6, 7, 5, 6, 7]);
    }

    #[test]
    fn nothing_is_found_in_a_text_without_repetition() {
        for tokens in [vec![], vec![1], vec![1, 1], vec![1, 2, 3, 4, 1]] {
            assert_eq!(found(&index(&tokens), &tokens), [], "{tokens:?}");
        }
    }

    proptest! {
        /// The index depends only on the text, not on how it grew and shrank.
        #[test]
        fn an_index_follows_the_text(
            edits in prop::collection::vec((0usize..40, prop::collection::vec(0u32..4, 0..20)), 1..12),
        ) {
            let (mut tokens, mut grown) = (Vec::new(), LookupIndex::default());
            for (keep, more) in edits {
                let keep = keep.min(tokens.len());
                grown.truncate(keep, &tokens);
                tokens.truncate(keep);
                tokens.extend(more);
                if keep % 2 == 0 {
                    grown.extend(&tokens);
                }
            }
            grown.extend(&tokens);
            let fresh = index(&tokens);
            prop_assert_eq!(&grown.previous, &fresh.previous);
            prop_assert_eq!(&grown.last, &fresh.last);
            for continuation in found(&fresh, &tokens) {
                let Continuation { start, matched, count } = continuation;
                prop_assert!(start < tokens.len() && count >= 1);
                prop_assert!((MIN_MATCH..=MAX_MATCH).contains(&matched));
                prop_assert_eq!(&tokens[start - matched..start], &tokens[tokens.len() - matched..]);
            }
        }
    }
}
