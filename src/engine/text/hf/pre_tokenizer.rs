//! Splits a text into words, which are then encoded independently. Words are produced one by one, so that an overlong
//! text is rejected early.

use super::pattern::{GPT2, LLAMA3, Pattern, spans};
use super::steps::{Budget, flatten, kind_of};
use crate::engine::text::bytes::byte_to_char;
use crate::engine::{Error, Result};
use serde_json::Value;
use std::borrow::Cow;
use std::ops::Range;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

/// A sequence of splitting steps.
#[derive(Default)]
pub struct Words(Vec<Step>);

enum Step {
    Split {
        pattern: Pattern,
        behavior: Behavior,
        invert: bool,
    },
    /// Maps every byte to a printable character.
    ByteLevel {
        add_prefix_space: bool,
        words: Option<Pattern>,
    },
    Metaspace {
        replacement: char,
        prepend: Prepend,
        split: bool,
    },
    Digits {
        individual: bool,
    },
    Library(Box<PreTokenizerWrapper>),
}

/// What happens to the matches of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
enum Behavior {
    Removed,
    Isolated,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}

/// Where Metaspace adds a space before a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prepend {
    First,
    Never,
    Always,
}

/// A word, or a part of the text that may be split further.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'t> {
    pub text: &'t str,
    /// Whether the whole text begins with it.
    pub at_start: bool,
}

type Sink<'s> = &'s mut dyn FnMut(Piece) -> Result<()>;

impl Words {
    /// Parses the `pre_tokenizer` of a `tokenizer.json`.
    pub fn read(value: &Value, budget: &mut Budget) -> Result<Self, String> {
        let steps = flatten(value, "pretokenizers", budget)?;
        let steps = steps.into_iter().map(|step| Step::read(step, budget));
        steps.collect::<Result<_, _>>().map(Self)
    }

    /// GPT-2's byte-level words. If `digits` is set, every digit is a word.
    pub fn gpt2(digits: bool) -> Result<Self, String> {
        let mut steps = Vec::new();
        if digits {
            steps.push(Step::Digits { individual: true });
        }
        steps.push(Step::ByteLevel {
            add_prefix_space: false,
            words: Some(known(GPT2)?),
        });
        Ok(Self(steps))
    }

    /// Llama 3's byte-level words.
    pub fn llama3() -> Result<Self, String> {
        Ok(Self(vec![
            Step::Split {
                pattern: known(LLAMA3)?,
                behavior: Behavior::Isolated,
                invert: false,
            },
            Step::ByteLevel {
                add_prefix_space: false,
                words: None,
            },
        ]))
    }

    /// Calls `each` with the words of a piece in order.
    pub fn split(&self, piece: Piece, each: Sink) -> Result<()> {
        run(&self.0, piece, each)
    }
}

/// A built-in expression.
fn known(source: &str) -> Result<Pattern, String> {
    let mut budget = usize::MAX;
    Ok(Pattern::expression(source, &mut budget)?.pattern)
}

/// Applies the steps to a piece, part by part.
fn run(steps: &[Step], piece: Piece, each: Sink) -> Result<()> {
    if piece.text.is_empty() {
        return Ok(());
    }
    match steps.split_first() {
        None => each(piece),
        Some((step, rest)) => step.split(piece, &mut |part| run(rest, part, each)),
    }
}

impl Step {
    fn read(value: &Value, budget: &mut Budget) -> Result<Self, String> {
        let flag =
            |name: &str, default: bool| value.get(name).and_then(Value::as_bool).unwrap_or(default);
        Ok(match kind_of(value)? {
            "Split" => Self::Split {
                pattern: budget.pattern(value)?,
                behavior: value
                    .get("behavior")
                    .and_then(|name| serde_json::from_value(name.clone()).ok())
                    .ok_or("a Split without a behaviour for its matches")?,
                invert: flag("invert", false),
            },
            "ByteLevel" => Self::ByteLevel {
                add_prefix_space: flag("add_prefix_space", true),
                words: match flag("use_regex", true) {
                    true => Some(known(GPT2)?),
                    false => None,
                },
            },
            "Metaspace" => Self::metaspace(value)?,
            "Digits" => Self::Digits {
                individual: flag("individual_digits", false),
            },
            "FixedLength" if value.get("length").and_then(Value::as_u64) == Some(0) => {
                return Err("words of the fixed length 0".into());
            }
            "BertPreTokenizer" | "CharDelimiterSplit" | "FixedLength" | "Punctuation"
            | "UnicodeScripts" | "Whitespace" | "WhitespaceSplit" => Self::Library(Box::new(
                serde_json::from_value(value.clone()).map_err(|e| e.to_string())?,
            )),
            other => {
                return Err(format!(
                    "it splits words by {other:?}, which skiplens does not know"
                ));
            }
        })
    }

    fn metaspace(value: &Value) -> Result<Self, String> {
        let replacement = value
            .get("replacement")
            .and_then(Value::as_str)
            .and_then(|text| text.chars().next())
            .ok_or("a Metaspace without a replacement")?;
        let prepend = match value.get("prepend_scheme").and_then(Value::as_str) {
            _ if value.get("add_prefix_space").and_then(Value::as_bool) == Some(false) => {
                Prepend::Never
            }
            Some("first") => Prepend::First,
            Some("never") => Prepend::Never,
            Some("always") | None => Prepend::Always,
            Some(other) => return Err(format!("a Metaspace with the scheme {other:?}")),
        };
        let split = value.get("split").and_then(Value::as_bool).unwrap_or(true);
        Ok(Self::Metaspace {
            replacement,
            prepend,
            split,
        })
    }

    fn split(&self, piece: Piece, each: Sink) -> Result<()> {
        let text = piece.text;
        match self {
            Self::Split {
                pattern,
                behavior,
                invert,
            } => behavior.split(piece, *invert, pattern.spans(text), each),
            Self::ByteLevel {
                add_prefix_space,
                words,
            } => {
                let text = match *add_prefix_space && !text.starts_with(' ') {
                    true => Cow::Owned(format!(" {text}")),
                    false => Cow::Borrowed(text),
                };
                let mut bytes = |part: Piece| {
                    let text: String = part.text.bytes().map(byte_to_char).collect();
                    each(Piece {
                        text: &text,
                        ..part
                    })
                };
                let piece = Piece {
                    text: &text,
                    ..piece
                };
                match words {
                    None => bytes(piece),
                    Some(words) => {
                        Behavior::Isolated.split(piece, false, words.spans(&text), &mut bytes)
                    }
                }
            }
            Self::Metaspace {
                replacement,
                prepend,
                split,
            } => {
                let mut text = text.replace(' ', replacement.encode_utf8(&mut [0; 4]));
                let wanted =
                    *prepend == Prepend::Always || (*prepend == Prepend::First && piece.at_start);
                if wanted && !text.starts_with(*replacement) {
                    text.insert(0, *replacement);
                }
                let piece = Piece {
                    text: &text,
                    ..piece
                };
                match split {
                    false => each(piece),
                    true => {
                        let found = characters(&text, |c| c == *replacement);
                        Behavior::MergedWithNext.split(piece, false, spans(text.len(), found), each)
                    }
                }
            }
            Self::Digits { individual } => {
                let found = spans(text.len(), characters(text, char::is_numeric));
                let behavior = match individual {
                    true => Behavior::Isolated,
                    false => Behavior::Contiguous,
                };
                behavior.split(piece, false, found, each)
            }
            Self::Library(rule) => {
                let mut parts = PreTokenizedString::from(text);
                rule.pre_tokenize(&mut parts)
                    .map_err(|e| Error::Tokenizer(e.to_string()))?;
                let parts = parts.get_splits(OffsetReferential::Original, OffsetType::Byte);
                for (text, (start, _), _) in parts {
                    each(Piece {
                        text,
                        at_start: piece.at_start && start == 0,
                    })?;
                }
                Ok(())
            }
        }
    }
}

/// The range of each wanted character.
fn characters(
    text: &str,
    wanted: impl Fn(char) -> bool,
) -> impl Iterator<Item = Result<Range<usize>>> {
    let found = text.char_indices().filter(move |(_, c)| wanted(*c));
    found.map(|(at, c)| Ok(at..at + c.len_utf8()))
}

impl Behavior {
    /// Calls `each` with the parts of a piece. `invert` swaps matches and gaps.
    fn split(
        self,
        piece: Piece,
        invert: bool,
        spans: impl Iterator<Item = Result<(Range<usize>, bool)>>,
        each: Sink,
    ) -> Result<()> {
        let mut hand_on = |range: Range<usize>| {
            if range.is_empty() {
                return Ok(());
            }
            each(Piece {
                at_start: piece.at_start && range.start == 0,
                text: &piece.text[range],
            })
        };
        // A part that may be joined with the next one.
        let mut held: Option<Range<usize>> = None;
        let mut after_match = false;
        for span in spans {
            let (range, found) = span?;
            let found = found != invert;
            let joins = match self {
                Self::Removed | Self::Isolated => false,
                Self::Contiguous => found == after_match,
                Self::MergedWithPrevious => found && !after_match,
                Self::MergedWithNext => !found && after_match,
            };
            after_match = found;
            match &mut held {
                Some(held) if joins => held.end = range.end,
                held => {
                    if let Some(done) = held.take() {
                        hand_on(done)?;
                    }
                    if self != Self::Removed || !found {
                        *held = Some(range);
                    }
                }
            }
        }
        held.map_or(Ok(()), hand_on)
    }
}
