//! Text and tokens: tokenizer, incremental decoding, chat template.

mod added;
mod byte_pair;
mod bytes;
mod chat;
mod guard;
mod hf;
mod jinja;
mod parts;
mod pieces;
mod sentencepiece;
mod sink;
mod stream;
mod template;
mod tokenizer;

pub use hf::{NamedToken, read as read_tokenizer_json};
pub use parts::{GgufVocabulary, TextParts, TokenKind, TokenMerging, Vocabulary, turn_ends};
pub use stream::TextStream;
pub use template::ChatTemplate;
pub use tokenizer::{Tables, Tokenizer};
