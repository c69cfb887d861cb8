//! Levenshtein's distance.

/// Characters, that is code points, to be inserted, removed or replaced to make one text of the other.
pub fn edit_distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut costs: Vec<usize> = (0..=other.len()).collect();
    for (row, c) in one.chars().enumerate() {
        let mut diagonal = costs[0];
        costs[0] = row + 1;
        for (at, &d) in other.iter().enumerate() {
            let above = costs[at + 1];
            costs[at + 1] = match c == d {
                true => diagonal,
                false => 1 + diagonal.min(above).min(costs[at]),
            };
            diagonal = above;
        }
    }
    costs[other.len()]
}
