//! The fixtures of the tests.

#[path = "../../tests/it/support/gguf.rs"]
pub mod gguf;
#[path = "../../tests/it/support/tiny.rs"]
pub mod tiny;
#[path = "../../tests/it/support/tokenizers.rs"]
pub mod tokenizers;
