//! Formatting: printf-style (`%`), `str.format`, and the numbers of both.

pub mod braces;
pub mod number;
pub mod percent;
mod spec;

/// Position of the bracket that closes the one before `text`. `pair` is the opening and the closing bracket.
fn closing_bracket(text: &str, pair: &[u8; 2]) -> Option<usize> {
    let mut open = 1;
    for (at, byte) in text.bytes().enumerate() {
        if byte == pair[0] {
            open += 1;
        } else if byte == pair[1] {
            open -= 1;
        }
        if open == 0 {
            return Some(at);
        }
    }
    None
}
