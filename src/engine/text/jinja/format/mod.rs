//! Formatting: printf-style (`%`), `str.format`, and the numbers of both.

pub mod braces;
pub mod number;
pub mod percent;
mod spec;
