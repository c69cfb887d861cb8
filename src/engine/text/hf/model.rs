//! The step that turns a word into tokens.

use super::unigram::Unigram;
use crate::engine::text::sentencepiece::SPACE;
use crate::engine::{Error, Result};
use tokenizers::Model as _;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::models::wordpiece::WordPiece;

/// Max number of tokens of a vocabulary, and of merges.
pub const MAX_TOKENS: usize = 1 << 21;
pub const MAX_MERGES: usize = 1 << 22;
/// Max characters of a word in WordPiece, which takes cubic time.
const MAX_WORD: usize = 256;

/// Turns a word into tokens.
pub enum Model {
    Bpe {
        model: Box<BPE>,
        /// Whether no token spans several words as SentencePiece defines them, so that words can be encoded one by one.
        word_by_word: bool,
    },
    Unigram(Unigram),
    WordLevel(WordLevel),
    WordPiece(WordPiece),
}

/// The parameters of byte pair encoding.
#[derive(Debug, Default)]
pub struct BpeParts {
    pub vocab: Vec<(String, u32)>,
    pub merges: Vec<(String, String)>,
    pub unknown: Option<String>,
    /// Prefix of every part of a word except the first.
    pub prefix: Option<String>,
    /// Suffix of the last part of a word.
    pub suffix: Option<String>,
    pub fuse_unknown: bool,
    pub byte_fallback: bool,
    /// Whether words that are tokens skip the merges.
    pub ignore_merges: bool,
}

impl Model {
    /// Byte pair encoding. Fails if a merge does not result in a token.
    pub fn bpe(parts: BpeParts) -> Result<Self, String> {
        let prefix = parts.prefix.filter(|prefix| !prefix.is_empty());
        let suffix = parts.suffix.filter(|suffix| !suffix.is_empty());
        let cut = prefix.as_ref().map_or(0, String::len);
        if let Some((a, b)) = parts.merges.iter().find(|(_, b)| b.get(cut..).is_none()) {
            return Err(format!(
                "the merge of {a:?} and {b:?} lacks the prefix of inner parts"
            ));
        }
        let word_by_word = prefix.is_none()
            && suffix.is_none()
            && !parts.ignore_merges
            && spells_words_apart(parts.vocab.iter().map(|(text, _)| text.as_str()));
        let mut builder = BPE::builder()
            .vocab_and_merges(parts.vocab.into_iter().collect::<Vocab>(), parts.merges)
            .fuse_unk(parts.fuse_unknown)
            .byte_fallback(parts.byte_fallback)
            .ignore_merges(parts.ignore_merges);
        if let Some(unknown) = parts.unknown {
            builder = builder.unk_token(unknown);
        }
        if let Some(prefix) = prefix {
            builder = builder.continuing_subword_prefix(prefix);
        }
        if let Some(suffix) = suffix {
            builder = builder.end_of_word_suffix(suffix);
        }
        Ok(Self::Bpe {
            model: Box::new(builder.build().map_err(|e| e.to_string())?),
            word_by_word,
        })
    }

    /// A vocabulary of whole words.
    pub fn word_level(vocab: Vec<(String, u32)>, unknown: String) -> Result<Self, String> {
        let model = WordLevel::builder()
            .vocab(vocab.into_iter().collect())
            .unk_token(unknown)
            .build();
        model.map(Self::WordLevel).map_err(|e| e.to_string())
    }

    /// Splits words greedily into the longest possible parts.
    pub fn word_piece(
        vocab: Vec<(String, u32)>,
        unknown: String,
        prefix: String,
        max_word: usize,
    ) -> Result<Self, String> {
        if max_word > MAX_WORD {
            return Err(format!("it splits words of up to {max_word} characters"));
        }
        let model = WordPiece::builder()
            .vocab(vocab.into_iter().collect::<Vocab>())
            .unk_token(unknown)
            .continuing_subword_prefix(prefix)
            .max_input_chars_per_word(max_word)
            .build();
        model.map(Self::WordPiece).map_err(|e| e.to_string())
    }

    /// The id of this token.
    pub fn id(&self, text: &str) -> Option<u32> {
        match self {
            Self::Bpe { model, .. } => model.token_to_id(text),
            Self::Unigram(model) => model.id(text),
            Self::WordLevel(model) => model.token_to_id(text),
            Self::WordPiece(model) => model.token_to_id(text),
        }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        match self {
            Self::Bpe { model, .. } => model.get_vocab_size(),
            Self::Unigram(model) => model.len(),
            Self::WordLevel(model) => model.get_vocab_size(),
            Self::WordPiece(model) => model.get_vocab_size(),
        }
    }

    /// Calls `each` with the ids of the parts of a word.
    pub fn encode(&self, word: &str, mut each: impl FnMut(&[u32]) -> Result<()>) -> Result<()> {
        let mut tokenize = |model: &dyn Fn(&str) -> tokenizers::Result<Vec<tokenizers::Token>>,
                            word: &str| {
            let tokens = model(word).map_err(|e| Error::Tokenizer(e.to_string()))?;
            let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
            each(&ids)
        };
        match self {
            Self::Bpe {
                model,
                word_by_word: true,
            } => words(word).try_for_each(|word| tokenize(&|word| model.tokenize(word), word)),
            Self::Bpe { model, .. } => tokenize(&|word| model.tokenize(word), word),
            Self::WordLevel(model) => tokenize(&|word| model.tokenize(word), word),
            Self::WordPiece(model) => tokenize(&|word| model.tokenize(word), word),
            Self::Unigram(model) => {
                let mut ids = Vec::new();
                model.encode(word, &mut ids).map_err(Error::Tokenizer)?;
                each(&ids)
            }
        }
    }
}

/// Whether a SentencePiece space is a token, and no token has one after another character. If so, no merge can join two
/// words.
pub fn spells_words_apart<'t>(mut tokens: impl Iterator<Item = &'t str>) -> bool {
    let mut has_space = false;
    tokens.all(|token| {
        has_space |= token == SPACE;
        !token.trim_start_matches(SPACE).contains(SPACE)
    }) && has_space
}

/// The words of a text, each with the preceding spaces.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let spaces = rest.len() - rest.trim_start_matches(SPACE).len();
        let end = rest[spaces..]
            .find(SPACE)
            .map_or(rest.len(), |at| spaces + at);
        let word;
        (word, rest) = rest.split_at(end);
        (!word.is_empty()).then_some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(model: &Model, word: &str) -> Result<Vec<u32>> {
        let mut all = Vec::new();
        model.encode(word, |ids| {
            all.extend_from_slice(ids);
            Ok(())
        })?;
        Ok(all)
    }

    /// Tokens of one character and merges of random pairs of tokens.
    fn parts() -> impl Strategy<Value = BpeParts> {
        let flags = (any::<bool>(), any::<bool>());
        (
            prop::collection::vec((0usize..40, 0usize..40), 0..25),
            flags,
        )
            .prop_map(|(pairs, (fuse, bytes))| {
                let mut tokens: Vec<String> = ["<unk>", "▁", "a", "b", "c", "<0x64>"]
                    .map(str::to_owned)
                    .to_vec();
                let mut merges = Vec::new();
                for (a, b) in pairs {
                    let pair = (a % (tokens.len() - 1) + 1, b % (tokens.len() - 1) + 1);
                    let made = format!("{}{}", tokens[pair.0], tokens[pair.1]);
                    merges.push((tokens[pair.0].clone(), tokens[pair.1].clone()));
                    if !tokens.contains(&made) {
                        tokens.push(made);
                    }
                }
                BpeParts {
                    vocab: tokens.into_iter().zip(0..).collect(),
                    merges,
                    unknown: Some("<unk>".into()),
                    fuse_unknown: fuse,
                    byte_fallback: bytes,
                    ..BpeParts::default()
                }
            })
    }

    proptest! {
        /// If no token spans words, encoding word by word gives the same result as encoding all at once.
        #[test]
        fn words_can_be_encoded_one_by_one(parts in parts(), text in "[▁abcde]{1,30}") {
            let model = Model::bpe(parts).unwrap();
            let Model::Bpe { model: whole, .. } = &model else { unreachable!() };
            let wanted: Vec<u32> = whole.tokenize(&text).unwrap().iter().map(|token| token.id).collect();
            prop_assert_eq!(ids(&model, &text).unwrap(), wanted);
        }

        #[test]
        fn words_concatenate_to_the_text(text in "[▁ab]{0,12}") {
            let words: Vec<&str> = words(&text).collect();
            prop_assert_eq!(words.concat(), text.as_str());
            for word in &words[1.min(words.len())..] {
                prop_assert!(word.starts_with(SPACE) && !word.trim_start_matches(SPACE).contains(SPACE));
            }
        }
    }

    #[test]
    fn tokens_that_span_words_are_detected() {
        let apart = |tokens: &[&str]| spells_words_apart(tokens.iter().copied());
        assert!(apart(&["▁", "a", "▁▁", "▁a"]));
        assert!(!apart(&["▁", "a▁"]) && !apart(&["▁", "▁a▁b"]) && !apart(&["a"]));
    }

    #[test]
    fn merges_without_the_prefix_are_rejected() {
        let parts = |b: &str| BpeParts {
            vocab: vec![("a".into(), 0), (b.into(), 1), ("ab".into(), 2)],
            merges: vec![("a".into(), b.into())],
            prefix: Some("##".into()),
            ..BpeParts::default()
        };
        assert!(Model::bpe(parts("##b")).is_ok());
        assert!(Model::bpe(parts("b")).is_err());
        assert!(Model::bpe(parts("#é")).is_err());
    }
}
