//! Values in a format: printf-style (`%`), `str.format`, and the numbers that both write.

pub mod braces;
pub mod number;
pub mod percent;
mod spec;
