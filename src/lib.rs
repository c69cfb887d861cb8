//! skiplens: a terminal playground for self-speculative decoding with early exit (LayerSkip, arXiv 2404.16710).
//!
//! One Llama drafts tokens with its first layers and verifies them with the rest. [`engine`] decodes and reports each
//! round; [`app`] is the pure state of the screen; [`ui`] draws it; [`server`] is the HTTP server; [`cli`] implements
//! the commands.

// All output goes through `cli::output`.
#![warn(clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

pub mod app;
pub mod cli;
mod config_file;
pub mod engine;
mod error_text;
pub mod eval;
mod files;
pub mod folders;
mod names;
mod plural;
pub mod remote;
pub mod safe_text;
pub mod server;
pub mod transcript;
pub mod tui;
pub mod ui;
