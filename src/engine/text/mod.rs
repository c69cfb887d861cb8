//! Text and tokens: tokenizer, incremental decoding, chat template.

mod byte_pair;
mod bytes;
mod chat;
mod jinja;
mod library;
mod parts;
mod pieces;
mod sentencepiece;
mod special;
mod stream;
mod template;
mod tokenizer;

pub use parts::{GgufVocabulary, TextParts, TokenKind, TokenMerging, Vocabulary, turn_ends};
pub use stream::TextStream;
pub use template::ChatTemplate;
pub use tokenizer::Tokenizer;
