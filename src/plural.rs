//! Numbers of things in messages and on screen.

/// `1 turn`, `2 turns`: a number and the noun that it counts. The plural is the noun with an `s`.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {}", plural(count, noun))
}

/// The noun alone: `turn`, `turns`.
pub fn plural(count: usize, noun: &str) -> String {
    match count {
        1 => noun.to_owned(),
        _ => format!("{noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        let all = [0, 1, 2, 11].map(|count| counted(count, "turn"));
        assert_eq!(all, ["0 turns", "1 turn", "2 turns", "11 turns"]);
    }
}
