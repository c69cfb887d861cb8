//! Tests of what users and callers see, in one crate. Tests that count allocations replace the allocator and are
//! separate crates.
#![allow(
    clippy::disallowed_types,
    reason = "the tests read the colours of cells"
)]

mod chat_template;
mod command_line;
mod compatibility;
mod evaluation;
mod folders;
mod generate;
mod golden_llama;
mod hub;
mod huggingface;
mod layering;
mod oracle;
mod playground;
mod server;
mod support;
#[cfg(unix)]
mod terminal;
mod tokenizer;
mod tokenizer_json;
mod transcript;
