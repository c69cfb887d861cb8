//! Added tokens, which are matched before a text is split into words: control tokens such as `<s>`, and strings that
//! are always one token. Matching works as in the `tokenizers` crate: leftmost-longest, first in the raw text and then
//! in the normalized text.

use crate::engine::{Error, Result};
use aho_corasick::{AhoCorasick, AhoCorasickKind, Anchored, Input, MatchKind, StartKind};
use fancy_regex::Regex;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

/// Max bytes of a token's content.
const MAX_CONTENT: usize = 1024;
/// Max total bytes of all contents. The automata need about fifty times as much.
const MAX_TOTAL: usize = 4 << 20;
/// Max growth factor of all contents by normalization, and the growth in bytes that is always allowed.
const MAX_GROWTH: usize = 16;
const ALWAYS_ALLOWED: usize = 64 << 10;

/// A token that is matched before a text is split into words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddedToken {
    pub id: u32,
    pub content: String,
    /// Matches whole words only.
    pub single_word: bool,
    /// Absorbs the white space before it.
    pub lstrip: bool,
    /// Absorbs the white space after it.
    pub rstrip: bool,
    /// Matches in the normalized text, by its normalized spelling.
    pub normalized: bool,
    /// Controls the model and is not text.
    pub control: bool,
}

impl AddedToken {
    /// A token without options.
    pub fn plain(id: u32, content: &str, control: bool) -> Self {
        Self {
            id,
            content: content.to_owned(),
            control,
            ..Self::default()
        }
    }
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A range without added tokens.
    Text(Range<usize>),
    Token(u32),
}

/// Which form of the text is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Raw,
    Normalized,
}

/// The added tokens of a vocabulary.
pub struct AddedTokens {
    tokens: Vec<AddedToken>,
    /// Ids of control tokens by name.
    control: HashMap<String, u32>,
    /// Raw and normalized contents of all tokens, then the same without control tokens.
    finders: [Finder; 4],
    names: ControlNames,
    /// Normalized spellings of the control tokens matched in normalized text.
    normalized_names: ControlNames,
}

impl AddedTokens {
    /// Builds the automata; `normalize` returns the normalized spelling of a content. Fails if contents are too long.
    pub fn new(
        tokens: Vec<AddedToken>,
        normalize: impl Fn(&str) -> Result<String>,
    ) -> Result<Self> {
        let total: usize = tokens.iter().map(|token| token.content.len()).sum();
        if let Some(long) = tokens
            .iter()
            .find(|token| token.content.len() > MAX_CONTENT)
        {
            return Err(Error::Tokenizer(format!(
                "an added token of {} bytes, more than the {MAX_CONTENT} that are allowed",
                long.content.len()
            )));
        }
        if total > MAX_TOTAL {
            return Err(Error::Tokenizer(format!(
                "added tokens of {total} bytes in all, more than the {MAX_TOTAL} that are allowed"
            )));
        }
        let finder = |phase: Phase, all: bool| {
            // If two tokens have the same spelling, the control token wins.
            let of_kind = |control: bool| {
                let of_kind = tokens.iter().enumerate();
                of_kind.filter(move |(_, token)| {
                    token.control == control && token.normalized == (phase == Phase::Normalized)
                })
            };
            let wanted = of_kind(true).filter(|_| all).chain(of_kind(false));
            let spelled = wanted.map(|(nth, token)| {
                Ok((
                    nth,
                    match phase {
                        Phase::Raw => token.content.clone(),
                        Phase::Normalized => normalize(&token.content)?,
                    },
                ))
            });
            let spelled: Vec<_> = spelled.collect::<Result<_>>()?;
            let length: usize = spelled.iter().map(|(_, spelling)| spelling.len()).sum();
            if length > MAX_TOTAL.min(MAX_GROWTH * total + ALWAYS_ALLOWED) {
                return Err(Error::Tokenizer(format!(
                    "its normalizer makes {length} bytes of added tokens of {total} bytes, more than is allowed"
                )));
            }
            Finder::new(spelled)
        };
        let finders = [
            finder(Phase::Raw, true)?,
            finder(Phase::Normalized, true)?,
            finder(Phase::Raw, false)?,
            finder(Phase::Normalized, false)?,
        ];
        let control: HashMap<String, u32> = tokens
            .iter()
            .filter(|token| token.control)
            .map(|token| (token.content.clone(), token.id))
            .collect();
        let raw = tokens.iter().filter(|token| token.control);
        let normalized = raw.clone().filter(|token| token.normalized);
        let normalized: Vec<String> = normalized
            .map(|token| normalize(&token.content))
            .collect::<Result<_>>()?;
        Ok(Self {
            names: ControlNames::new(raw.map(|token| token.content.clone()).collect())?,
            normalized_names: ControlNames::new(normalized)?,
            control,
            finders,
            tokens,
        })
    }

    /// All tokens, in the order of the file.
    pub fn tokens(&self) -> &[AddedToken] {
        &self.tokens
    }

    /// The id of the control token with this name.
    pub fn control_id(&self, name: &str) -> Option<u32> {
        self.control.get(name).copied()
    }

    /// Positions in a text at which to break the names of control tokens: inside every name, and inside every prefix or
    /// suffix of a name that the surrounding text could complete.
    pub fn breaks(&self, text: &str) -> Vec<usize> {
        self.names.breaks(text)
    }

    /// Like [`Self::breaks`], for a normalized text and the control tokens matched there.
    pub fn normalized_breaks(&self, text: &str) -> Vec<usize> {
        self.normalized_names.breaks(text)
    }

    /// Whether a control token is matched in normalized text.
    pub fn any_normalized_control(&self) -> bool {
        !self.normalized_names.forward.is_empty()
    }

    /// Calls `each` with the parts of `text` in order. If `control` is off, control tokens are ordinary text. No token
    /// spans any of `marks`, ascending positions in the text.
    pub fn split(
        &self,
        text: &str,
        phase: Phase,
        control: bool,
        marks: &[usize],
        mut each: impl FnMut(Part) -> Result<()>,
    ) -> Result<()> {
        let finder =
            &self.finders[usize::from(phase == Phase::Normalized) + 2 * usize::from(!control)];
        let (mut done, mut from) = (0, 0);
        while let Some((nth, found)) = finder.next(text, from, marks) {
            let token = &self.tokens[nth];
            from = found.end;
            if token.single_word && !stands_alone(text, &found) {
                continue;
            }
            let start = match token.lstrip {
                true => text[..found.start].trim_end().len().max(done),
                false => found.start,
            };
            let rest = &text[found.end..];
            let end = match token.rstrip {
                true => text.len() - rest.trim_start().len(),
                false => found.end,
            };
            if done < start {
                each(Part::Text(done..start))?;
            }
            each(Part::Token(token.id))?;
            done = end;
        }
        if done < text.len() {
            each(Part::Text(done..text.len()))?;
        }
        Ok(())
    }
}

/// Whether a range is not part of a longer word.
fn stands_alone(text: &str, place: &Range<usize>) -> bool {
    static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\w").ok());
    let is_word = |c: Option<char>| {
        let mut buffer = [0; 4];
        c.is_some_and(|c| {
            WORD.as_ref()
                .is_some_and(|word| word.is_match(c.encode_utf8(&mut buffer)).unwrap_or(false))
        })
    };
    !is_word(text[..place.start].chars().next_back()) && !is_word(text[place.end..].chars().next())
}

/// Finds tokens by their contents.
struct Finder {
    automaton: Option<AhoCorasick>,
    /// The token of each pattern.
    tokens: Vec<usize>,
}

impl Finder {
    fn new(spelled: Vec<(usize, String)>) -> Result<Self> {
        // A token that the normalizer reduces to nothing cannot be matched.
        let (tokens, contents): (Vec<usize>, Vec<String>) = spelled
            .into_iter()
            .filter(|(_, content)| !content.is_empty())
            .unzip();
        Ok(Self {
            automaton: automaton(&contents)?,
            tokens,
        })
    }

    /// The next token at or after `from` that does not span a mark.
    fn next(&self, text: &str, mut from: usize, marks: &[usize]) -> Option<(usize, Range<usize>)> {
        let automaton = self.automaton.as_ref()?;
        loop {
            let found = automaton.find(Input::new(text).range(from..))?;
            let mark = marks[marks.partition_point(|&mark| mark <= found.start())..].first();
            let found = match mark {
                Some(&mark) if mark < found.end() => {
                    let shorter = Input::new(text)
                        .range(found.start()..mark)
                        .anchored(Anchored::Yes);
                    match automaton.find(shorter) {
                        Some(shorter) => shorter,
                        None => {
                            from = found.start()
                                + text[found.start()..]
                                    .chars()
                                    .next()
                                    .map_or(1, char::len_utf8);
                            continue;
                        }
                    }
                }
                _ => found,
            };
            return Some((self.tokens[found.pattern().as_usize()], found.range()));
        }
    }
}

/// A leftmost-longest automaton for these strings. Never a DFA, which needs a kilobyte per byte of them.
fn automaton(contents: &[String]) -> Result<Option<AhoCorasick>> {
    if contents.is_empty() {
        return Ok(None);
    }
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .start_kind(StartKind::Both)
        .kind(Some(AhoCorasickKind::ContiguousNFA))
        .build(contents)
        .map(Some)
        .map_err(|e| Error::Tokenizer(e.to_string()))
}

/// The names of control tokens, for breaking them in untrusted text.
struct ControlNames {
    automaton: Option<AhoCorasick>,
    /// All names sorted, and all reversed names sorted.
    forward: Vec<Vec<char>>,
    backward: Vec<Vec<char>>,
    longest: usize,
}

impl ControlNames {
    fn new(mut names: Vec<String>) -> Result<Self> {
        names.retain(|name| !name.is_empty());
        let mut forward: Vec<Vec<char>> = names.iter().map(|n| n.chars().collect()).collect();
        let mut backward: Vec<Vec<char>> =
            names.iter().map(|n| n.chars().rev().collect()).collect();
        forward.sort_unstable();
        backward.sort_unstable();
        Ok(Self {
            automaton: automaton(&names)?,
            longest: forward.iter().map(Vec::len).max().unwrap_or(0),
            forward,
            backward,
        })
    }

    fn breaks(&self, text: &str) -> Vec<usize> {
        let mut breaks = Vec::new();
        let width = |at: usize| text[at..].chars().next().map_or(0, char::len_utf8);
        let mut from = 0;
        while let Some(found) = self
            .automaton
            .as_ref()
            .and_then(|automaton| automaton.find(Input::new(text).range(from..)))
        {
            from = found.start() + width(found.start());
            // A name of one character cannot be broken.
            if from < found.end() {
                breaks.push(from);
            }
        }
        let mut end: Vec<char> = Vec::new();
        for (at, c) in text.char_indices().rev().take(self.longest) {
            end.insert(0, c);
            if begins_longer(&self.forward, &end) {
                breaks.push(at + c.len_utf8());
            }
        }
        let mut start: Vec<char> = Vec::new();
        for c in text.chars().take(self.longest) {
            start.insert(0, c);
            if begins_longer(&self.backward, &start) {
                breaks.push(0);
                break;
            }
        }
        breaks.sort_unstable();
        breaks.dedup();
        breaks
    }
}

/// Whether one of these sorted names begins with `part` and is longer.
fn begins_longer(names: &[Vec<char>], part: &[char]) -> bool {
    let after = names.partition_point(|name| name.as_slice() <= part);
    names.get(after).is_some_and(|name| name.starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(tokens: Vec<AddedToken>, text: &str, marks: &[usize]) -> Vec<String> {
        let added = AddedTokens::new(tokens, |text| Ok(text.to_owned())).unwrap();
        let mut parts = Vec::new();
        added
            .split(text, Phase::Raw, true, marks, |part| {
                parts.push(match part {
                    Part::Text(range) => text[range].to_owned(),
                    Part::Token(id) => format!("#{id}"),
                });
                Ok(())
            })
            .unwrap();
        parts
    }

    #[test]
    fn no_token_spans_a_mark() {
        let tokens = || {
            vec![
                AddedToken::plain(1, "<s>", true),
                AddedToken::plain(2, "<s><s>", true),
                AddedToken::plain(3, "s><", false),
            ]
        };
        assert_eq!(parts(tokens(), "a<s><s>b", &[]), ["a", "#2", "b"]);
        assert_eq!(parts(tokens(), "a<s><s>b", &[4]), ["a", "#1", "#1", "b"]);
        assert_eq!(parts(tokens(), "a<s><s>b", &[2]), ["a<", "#3", "s>b"]);
        assert_eq!(parts(tokens(), "a<s><s>b", &[2, 3]), ["a<s>", "#1", "b"]);
    }

    #[test]
    fn names_are_broken_wherever_they_could_form() {
        let tokens = vec![
            AddedToken::plain(1, "<|eot|>", true),
            AddedToken::plain(2, "!", true),
            AddedToken::plain(3, "|>x", false),
        ];
        let added = AddedTokens::new(tokens, |text| Ok(text.to_owned())).unwrap();
        assert_eq!(added.breaks("a<|eot|>b<|eot|>"), [2, 10]);
        assert_eq!(added.breaks("eot|>"), [0]);
        assert_eq!(added.breaks("say <|eo"), [5]);
        assert_eq!(added.breaks("é<"), [3]);
        assert_eq!(added.breaks("hello!"), [0usize; 0]);
        assert_eq!(added.breaks(""), [0usize; 0]);
    }

    #[test]
    fn oversized_contents_are_rejected() {
        let build = |tokens| AddedTokens::new(tokens, |text| Ok(text.to_owned())).err();
        assert!(build(vec![AddedToken::plain(1, &"x".repeat(2000), true)]).is_some());
        let many =
            (0..5000).map(|id| AddedToken::plain(id, &format!("{id}{}", "x".repeat(1000)), false));
        assert!(build(many.collect()).is_some());
    }
}
