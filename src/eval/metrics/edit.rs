//! Levenshtein's distance within a band around the diagonal, as torchmetrics computes it.

/// Min half width of the band, in characters of the reference.
const BAND: f64 = 25.0;

/// Number of characters (code points) to insert, remove or replace to turn the prediction into the reference. Considers
/// only edits near the diagonal, so for long, very different texts the result exceeds the true distance.
pub fn edit_distance(prediction: &str, reference: &str) -> usize {
    let prediction: Vec<char> = prediction.chars().collect();
    let reference: Vec<char> = reference.chars().collect();
    // Small enough that additions do not overflow.
    const NEVER: usize = usize::MAX / 2;
    let slope = reference.len() as f64 / prediction.len().max(1) as f64;
    let band = BAND.max((slope / 2.0 + BAND).ceil() * f64::from(u8::from(slope / 2.0 > BAND)));
    let mut before: Vec<usize> = (0..=reference.len()).collect();
    let mut costs = vec![NEVER; before.len()];
    for (row, c) in prediction.iter().enumerate() {
        let diagonal = ((row + 1) as f64 * slope).floor();
        let from = (diagonal - band).max(0.0) as usize;
        let to = match row + 1 == prediction.len() {
            true => costs.len(),
            false => costs.len().min((diagonal + band) as usize),
        };
        costs.fill(NEVER);
        for at in from..to {
            costs[at] = match at.checked_sub(1) {
                None => before[0] + 1,
                Some(left) => {
                    let replaced = before[left] + usize::from(reference[left] != *c);
                    replaced.min(before[at] + 1).min(costs[left] + 1)
                }
            };
        }
        std::mem::swap(&mut before, &mut costs);
    }
    before[reference.len()]
}
