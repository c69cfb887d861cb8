//! Types of requests and responses.

pub mod chat;
pub mod completions;
pub mod decoding;
pub mod fields;
pub mod figures;
pub mod logprobs;
pub mod models;
pub mod parse;
pub mod response;
pub mod tokens;
