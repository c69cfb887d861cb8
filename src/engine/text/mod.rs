//! Text and tokens: tokenizer, incremental decoding, chat template.

mod added;
mod byte_pair;
mod bytes;
mod chat;
mod guard;
mod hf;
mod jinja;
mod sentencepiece;
mod sink;
mod spec;
mod stream;
mod template;
mod token_bytes;
mod tokenizer;

pub use hf::{NamedToken, read as read_tokenizer_json};
pub use spec::{GgufVocabulary, TokenKind, TokenMerging, TokenizerSpec, Vocabulary, turn_ends};
pub use stream::TextStream;
pub use template::ChatTemplate;
pub use tokenizer::{Tables, Tokenizer};
