//! Normalizes a text to the spelling of the vocabulary.

use super::charsmap::Charsmap;
use super::pattern::Pattern;
use super::steps::{Budget, flatten, kind_of};
use crate::engine::text::bytes::byte_to_char;
use crate::engine::{Error, Result};
use serde_json::Value;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::tokenizer::normalizer::Range;
use tokenizers::{NormalizedString, Normalizer as _};

/// Max bytes that a step may insert.
const MAX_INSERTED: usize = 1024;
/// Max growth factor of a normalized text, and the growth in bytes that is always allowed. Unicode's compatibility
/// forms grow by a factor of at most 11.
const MAX_GROWTH: usize = 64;
const ALWAYS_ALLOWED: usize = 64 << 10;

/// A sequence of normalization steps.
#[derive(Default)]
pub struct Normalizer(Vec<Step>);

enum Step {
    Prepend(String),
    Replace { pattern: Pattern, content: String },
    ByteLevel,
    Strip { left: bool, right: bool },
    Charsmap(Box<Charsmap>),
    Library(Box<NormalizerWrapper>),
}

/// A normalized text.
#[derive(Debug)]
pub struct Normalized {
    pub text: String,
    /// Whether it begins at the start of the original.
    pub at_start: bool,
}

impl Normalizer {
    /// Parses the `normalizer` of a `tokenizer.json`.
    pub fn read(value: &Value, budget: &mut Budget) -> Result<Self, String> {
        let steps = flatten(value, "normalizers", budget)?;
        let steps = steps.into_iter().map(|step| Step::read(step, budget));
        steps.collect::<Result<_, _>>().map(Self)
    }

    /// Normalizes a text and moves `marks`, ascending positions in it, accordingly. Fails if the text grows too much.
    pub fn normalize(&self, text: &str, marks: &mut [usize]) -> Result<Normalized> {
        let max = (MAX_GROWTH * text.len()).max(text.len() + ALWAYS_ALLOWED);
        let mut normalized = Normalized {
            text: text.to_owned(),
            at_start: true,
        };
        for step in &self.0 {
            step.apply(&mut normalized, marks, max)?;
            if normalized.text.len() > max {
                return Err(grows());
            }
        }
        Ok(normalized)
    }
}

fn grows() -> Error {
    Error::Tokenizer("the normalizer of this tokenizer makes texts too long".into())
}

impl Step {
    fn read(value: &Value, budget: &mut Budget) -> Result<Self, String> {
        let text = |name: &str| {
            let text = value.get(name).and_then(Value::as_str);
            text.filter(|text| text.len() <= MAX_INSERTED)
                .map(str::to_owned)
                .ok_or_else(|| format!("a normalizer whose {name:?} is missing or too long"))
        };
        let flag = |name: &str| value.get(name).and_then(Value::as_bool).unwrap_or(true);
        Ok(match kind_of(value)? {
            "Prepend" => Self::Prepend(text("prepend")?),
            "Replace" => Self::Replace {
                content: text("content")?,
                pattern: budget.pattern(value)?,
            },
            "ByteLevel" => Self::ByteLevel,
            "Strip" => Self::Strip {
                left: flag("strip_left"),
                right: flag("strip_right"),
            },
            "Precompiled" => Self::Charsmap(Box::new(Charsmap::read(value)?)),
            "BertNormalizer" | "Lowercase" | "NFC" | "NFD" | "NFKC" | "NFKD" | "Nmt"
            | "StripAccents" => Self::Library(Box::new(
                serde_json::from_value(value.clone()).map_err(|e| e.to_string())?,
            )),
            other => {
                return Err(format!(
                    "it normalizes by {other:?}, which skiplens does not know"
                ));
            }
        })
    }

    fn apply(&self, normalized: &mut Normalized, marks: &mut [usize], max: usize) -> Result<()> {
        let text = normalized.text.as_str();
        if text.is_empty() {
            return Ok(());
        }
        normalized.text = match self {
            Self::Prepend(start) => {
                marks.iter_mut().for_each(|mark| *mark += start.len());
                format!("{start}{text}")
            }
            Self::Replace { pattern, content } => {
                let mut copy = Copy::new(text, marks);
                for found in pattern.matches(text) {
                    let found = found?;
                    copy.keep(found.start);
                    copy.replace(found.end, content);
                    if copy.out.len() > max {
                        return Err(grows());
                    }
                }
                copy.keep(text.len());
                copy.out
            }
            Self::ByteLevel => {
                let mut copy = Copy::new(text, marks);
                for (at, byte) in text.bytes().enumerate() {
                    copy.replace(at + 1, byte_to_char(byte).encode_utf8(&mut [0; 4]));
                }
                copy.out
            }
            Self::Strip { left, right } => {
                let start = if *left {
                    text.len() - text.trim_start().len()
                } else {
                    0
                };
                let end = if *right {
                    text.trim_end().len().max(start)
                } else {
                    text.len()
                };
                for mark in marks {
                    *mark = (*mark).clamp(start, end) - start;
                }
                normalized.at_start &= start == 0;
                text[start..end].to_owned()
            }
            Self::Charsmap(map) => {
                let mut copy = Copy::new(text, marks);
                map.replacements(text, |end, replacement| match replacement {
                    Some(other) => copy.replace(end, other),
                    None => copy.keep(end),
                });
                copy.out
            }
            Self::Library(rule) => {
                let mut aligned = NormalizedString::from(text);
                rule.normalize(&mut aligned)
                    .map_err(|e| Error::Tokenizer(e.to_string()))?;
                for mark in marks {
                    let before = aligned.convert_offsets(Range::Original(0..*mark));
                    *mark = before.map_or(0, |range| range.end);
                }
                aligned.get().to_owned()
            }
        };
        Ok(())
    }
}

/// Copies a text with changes and moves marks accordingly.
struct Copy<'t> {
    text: &'t str,
    out: String,
    /// Bytes of the text copied so far.
    done: usize,
    /// Marks that are not reached yet.
    marks: std::slice::IterMut<'t, usize>,
    next: Option<&'t mut usize>,
}

impl<'t> Copy<'t> {
    fn new(text: &'t str, marks: &'t mut [usize]) -> Self {
        let mut marks = marks.iter_mut();
        Self {
            text,
            out: String::with_capacity(text.len()),
            done: 0,
            next: marks.next(),
            marks,
        }
    }

    /// Copies the text up to `end`.
    fn keep(&mut self, end: usize) {
        let (done, out) = (self.done, self.out.len());
        self.pass(end, |mark| out + (mark - done));
        self.out.push_str(&self.text[done..end]);
        self.done = end;
    }

    /// Replaces the text up to `end` by `content`. Marks inside it move to its end.
    fn replace(&mut self, end: usize, content: &str) {
        let after = self.out.len() + content.len();
        let (done, before) = (self.done, self.out.len());
        self.pass(end, |mark| if mark == done { before } else { after });
        self.out.push_str(content);
        self.done = end;
    }

    fn pass(&mut self, end: usize, moved: impl Fn(usize) -> usize) {
        while let Some(mark) = self.next.take_if(|mark| **mark <= end) {
            *mark = moved(*mark);
            self.next = self.marks.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(value: Value) -> Result<Normalizer, String> {
        Normalizer::read(&value, &mut Budget::default())
    }

    fn llama() -> Normalizer {
        read(json!({"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}))
        .unwrap()
    }

    #[test]
    fn excessive_growth_is_rejected() {
        let double = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
        let many = json!({"type": "Sequence", "normalizers": vec![double; 40]});
        let doubling = read(many).unwrap();
        assert!(doubling.normalize(&"a".repeat(5000), &mut []).is_err());
        let fill =
            json!({"type": "Replace", "pattern": {"Regex": ""}, "content": "x".repeat(1000)});
        let fill = read(fill).unwrap();
        assert!(fill.normalize(&"b".repeat(5000), &mut []).is_err());
        assert!(read(json!({"type": "Prepend", "prepend": "x".repeat(2000)})).is_err());
        let mut deep = json!({"type": "NFC"});
        for _ in 0..80 {
            deep = json!({"type": "Sequence", "normalizers": [deep]});
        }
        assert!(read(deep).is_err());
    }

    #[test]
    fn marks_move_with_the_text() {
        let mut marks = [0, 1, 3];
        let normalized = llama().normalize("a b", &mut marks).unwrap();
        assert_eq!((normalized.text.as_str(), marks), ("▁a▁b", [3, 4, 8]));
        let strip =
            read(json!({"type": "Strip", "strip_left": true, "strip_right": true})).unwrap();
        let mut marks = [0, 1, 2, 4];
        let normalized = strip.normalize(" ab ", &mut marks).unwrap();
        assert_eq!((normalized.text.as_str(), marks), ("ab", [0, 0, 1, 2]));
        assert!(!normalized.at_start);
    }

    proptest! {
        /// The text before a moved mark equals the text before the mark normalized alone.
        #[test]
        fn marks_stay_at_the_end_of_their_prefix(before in "[a-zÀ-ü ]{1,9}", after in "[a-z ]{0,9}", nth in 0usize..4) {
            let normalizer = match nth {
                0 => llama(),
                1 => read(json!({"type": "ByteLevel"})).unwrap(),
                2 => read(json!({"type": "NFD"})).unwrap(),
                _ => read(json!({"type": "Replace", "pattern": {"Regex": "[b-y]"}, "content": "xyz"})).unwrap(),
            };
            let mut marks = [before.len()];
            let whole = normalizer.normalize(&format!("{before}{after}"), &mut marks).unwrap();
            let part = normalizer.normalize(&before, &mut []).unwrap();
            prop_assert_eq!(&whole.text[..marks[0]], part.text);
        }
    }
}
