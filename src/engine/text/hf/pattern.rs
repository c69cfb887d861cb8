//! Patterns in the rules of a tokenizer: strings and regular expressions. Expressions come from a file, so their size
//! is limited before they are compiled.

use crate::engine::{Error, Result};
use fancy_regex::{Regex, RegexBuilder};
use serde_json::Value;
use std::ops::Range;

/// GPT-2's words.
pub const GPT2: &str =
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// Llama 3's words.
pub const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The words of Qwen 2 and GPT-4o.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Word expressions that end in [`SPACES`], and whether a separate alternative before it matches line breaks.
const WORDS: [(&str, bool); 4] = [(GPT2, false), (LLAMA3, true), (QWEN2, true), (GPT4O, true)];
/// White space except the last character before a word. Engines without backtracking do not support this, so it is matched
/// by hand.
const SPACES: &str = r"|\s+(?!\S)|\s+";

/// Max bytes of a string pattern.
const MAX_TEXT: usize = 1024;
/// Max cost of all expressions of a tokenizer: their lengths times their counted repetitions.
pub const MAX_COST: usize = 1 << 16;
/// Max compiled size of a part of an expression.
const MAX_COMPILED: usize = 4 << 20;

/// A string or an expression.
pub enum Pattern {
    Text(String),
    Regex(Box<Regex>),
    Words(Box<Words>),
}

/// One of [`WORDS`], which takes linear time.
pub struct Words {
    /// The expression, with plain white space at its end.
    regex: Regex,
    breaks_end: bool,
}

/// A pattern, and whether it may take long on a malicious text.
pub struct Read {
    pub pattern: Pattern,
    pub slow: bool,
}

impl Pattern {
    /// Parses `{"String": …}` or `{"Regex": …}`, and deducts the cost of an expression from `budget`.
    pub fn read(value: Option<&Value>, budget: &mut usize) -> Result<Read, String> {
        let field = |name: &str| value?.get(name)?.as_str();
        match (field("String"), field("Regex")) {
            (Some(""), _) => Self::expression("", budget),
            (Some(text), _) if text.len() > MAX_TEXT => Err(format!(
                "a rule that matches a string of {} bytes",
                text.len()
            )),
            (Some(text), _) => Ok(Read {
                pattern: Self::Text(text.to_owned()),
                slow: false,
            }),
            (None, Some(expression)) => Self::expression(expression, budget),
            (None, None) => Err("a rule with neither a string nor an expression to match".into()),
        }
    }

    /// Compiles an expression.
    pub fn expression(source: &str, budget: &mut usize) -> Result<Read, String> {
        let cost = source.len().saturating_mul(counted_repetitions(source));
        *budget = budget.checked_sub(cost).ok_or_else(|| {
            let start: String = source.chars().take(60).collect();
            format!("the regular expression {start:?} and those before it are too large")
        })?;
        let compile = |source: &str| {
            RegexBuilder::new(source)
                .delegate_size_limit(MAX_COMPILED)
                .build()
                .map_err(|e| format!("the regular expression {source:?}: {e}"))
        };
        if let Some((_, breaks_end)) = WORDS.iter().find(|(known, _)| *known == source)
            && let Some(words) = source.strip_suffix(SPACES)
        {
            return Ok(Read {
                pattern: Self::Words(Box::new(Words {
                    regex: compile(&format!(r"{words}|\s+"))?,
                    breaks_end: *breaks_end,
                })),
                slow: false,
            });
        }
        Ok(Read {
            pattern: Self::Regex(Box::new(compile(source)?)),
            slow: !source.is_empty() && source != r"\p{N}{1,3}",
        })
    }

    /// The matches in a text, from left to right.
    pub fn matches<'t>(
        &'t self,
        text: &'t str,
    ) -> Box<dyn Iterator<Item = Result<Range<usize>>> + 't> {
        match self {
            Self::Text(wanted) => Box::new(
                text.match_indices(wanted.as_str())
                    .map(|(at, found)| Ok(at..at + found.len())),
            ),
            Self::Regex(regex) => Box::new(regex.find_iter(text).map(|found| match found {
                Ok(found) => Ok(found.range()),
                Err(e) => Err(gave_up(e)),
            })),
            Self::Words(words) => {
                let mut from = 0;
                Box::new(std::iter::from_fn(move || {
                    let found = words.next(text, from).transpose()?;
                    from = found.as_ref().map_or(text.len(), |found| found.end);
                    Some(found)
                }))
            }
        }
    }

    /// All parts of the text, both matches and gaps, with whether each is a match. Matches can be empty.
    pub fn spans<'t>(
        &'t self,
        text: &'t str,
    ) -> impl Iterator<Item = Result<(Range<usize>, bool)>> + 't {
        spans(text.len(), self.matches(text))
    }
}

impl Words {
    /// The next match at or after `from`. The last white space character before a word is left to the word.
    fn next(&self, text: &str, from: usize) -> Result<Option<Range<usize>>> {
        let found = self.regex.find_from_pos(text, from).map_err(gave_up)?;
        let Some(mut found) = found.map(|found| found.range()) else {
            return Ok(None);
        };
        let matched = &text[found.clone()];
        if let Some(last) = matched.chars().next_back()
            && found.end < text.len()
            && matched.len() > last.len_utf8()
            && !(self.breaks_end && matches!(last, '\r' | '\n'))
            && matched.chars().all(char::is_whitespace)
        {
            found.end -= last.len_utf8();
        }
        Ok(Some(found))
    }
}

fn gave_up(error: fancy_regex::Error) -> Error {
    Error::Tokenizer(format!(
        "a regular expression of this tokenizer gave up on this text: {error}"
    ))
}

/// Adds the gaps between matches.
pub fn spans(
    length: usize,
    mut matches: impl Iterator<Item = Result<Range<usize>>>,
) -> impl Iterator<Item = Result<(Range<usize>, bool)>> {
    let (mut done, mut held, mut ended) = (0, None, false);
    std::iter::from_fn(move || {
        if let Some(range) = held.take() {
            return Some(Ok((range, true)));
        }
        if ended {
            return None;
        }
        match matches.next() {
            Some(Err(e)) => {
                ended = true;
                Some(Err(e))
            }
            Some(Ok(found)) => {
                let before = done..found.start;
                done = found.end;
                if before.is_empty() {
                    return Some(Ok((found, true)));
                }
                held = Some(found);
                Some(Ok((before, false)))
            }
            None => {
                ended = true;
                (done < length).then(|| Ok((done..length, false)))
            }
        }
    })
}

/// The product of all counted repetitions in an expression. Compiling copies the repeated part for each.
fn counted_repetitions(source: &str) -> usize {
    let counts = source.split('{').skip(1).filter_map(|rest| {
        let (inside, _) = rest.split_once('}')?;
        let numbers = inside
            .split(',')
            .filter_map(|n| n.trim().parse::<usize>().ok());
        numbers.max()
    });
    counts.fold(1, |product: usize, count| {
        product.saturating_mul(count.max(1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn repetitions_multiply() {
        assert_eq!(counted_repetitions(LLAMA3), 3);
        assert_eq!(counted_repetitions(r"(a{10}b{2,30}){5,}\p{N}"), 1500);
        assert_eq!(counted_repetitions("}{{9"), 1);
    }

    #[test]
    fn large_expressions_are_rejected_before_compilation() {
        let refused = |source: &str| Pattern::expression(source, &mut MAX_COST.clone()).is_err();
        assert!(refused(r"(?:(?:\p{L}{1000}){1000}(?=x)){1000}"));
        assert!(refused(&"(?=x)".repeat(20_000)));
        assert!(refused(&"(".repeat(5_000)));
        assert!(!refused(LLAMA3));
    }

    proptest! {
        /// Matching white space by hand gives the same result as the expression.
        #[test]
        fn words_match_the_expression(text in "[ \t\r\n\u{a0}aB1.'s/éд中]{0,25}") {
            for (source, _) in WORDS {
                let regex = Regex::new(source).unwrap();
                let wanted: Vec<_> = regex.find_iter(&text).map(|found| found.unwrap().range()).collect();
                let pattern = Pattern::expression(source, &mut MAX_COST.clone()).unwrap().pattern;
                prop_assert!(matches!(&pattern, Pattern::Words(_)));
                let found: Vec<_> = pattern.matches(&text).map(Result::unwrap).collect();
                prop_assert_eq!(found, wanted, "{}", source);
            }
        }
    }

    #[test]
    fn spans_cover_the_text() {
        let spans = |source: &str, text: &str| -> Vec<_> {
            let pattern = Pattern::expression(source, &mut MAX_COST.clone())
                .unwrap()
                .pattern;
            pattern.spans(text).map(Result::unwrap).collect()
        };
        assert_eq!(
            spans("b+", "abbc"),
            [(0..1, false), (1..3, true), (3..4, false)]
        );
        assert_eq!(spans("", "é"), [(0..0, true), (0..2, false), (2..2, true)]);
        assert_eq!(spans("x", "ab"), [(0..2, false)]);
    }
}
