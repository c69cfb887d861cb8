//! The residual of the verifier's distribution while drafts are rejected one after the other.

use super::Distribution;

/// An unnormalised distribution over token ids. It owns its buffer, so reusing one allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct Residual {
    mass: Vec<f64>,
    total: f64,
}

impl Residual {
    /// Resets it to the verifier's distribution.
    pub(super) fn reset(&mut self, verifier: &Distribution) {
        self.mass.clear();
        self.total = 1.0;
        verifier.each_probability(|id, p| {
            let id = id as usize;
            if self.mass.len() <= id {
                self.mass.resize(id + 1, 0.0);
            }
            self.mass[id] = p;
        });
    }

    /// The probability of a token.
    pub(super) fn probability(&self, id: u32) -> f64 {
        match self.mass.get(id as usize) {
            Some(mass) if self.total > 0.0 => mass / self.total,
            _ => 0.0,
        }
    }

    /// The probability with which `id` was drawn from `draft` after the tokens `before`, without replacement.
    pub(super) fn draft_probability(&self, id: u32, draft: &Distribution, before: &[u32]) -> f64 {
        f64::from(draft.probability(id)) / left(draft, before)
    }

    /// Updates the residual r after the rejection of `id` to max(r − q, 0), where q is the distribution from which `id`
    /// was drawn: `draft` without the tokens `before`, or a point mass if `draft` is `None`.
    pub(super) fn reject(&mut self, id: u32, draft: Option<&Distribution>, before: &[u32]) {
        let Some(draft) = draft else {
            if let Some(mass) = self.mass.get_mut(id as usize) {
                *mass = 0.0;
            }
            self.total = self.mass.iter().sum();
            return;
        };
        let (left, total) = (left(draft, before), self.total);
        let mass = &mut self.mass;
        draft.each_probability(|id, q| {
            if let (Some(mass), false) = (mass.get_mut(id as usize), before.contains(&id)) {
                *mass = (*mass - q / left * total).max(0.0);
            }
        });
        self.total = mass.iter().sum();
    }

    /// A sample; `None` if nothing remains, which only rounding can cause.
    pub(super) fn sample(&self, uniform: f64) -> Option<u32> {
        let (mut sum, mut last) = (0.0, None);
        for (id, &mass) in self.mass.iter().enumerate() {
            if mass > 0.0 {
                sum += mass;
                last = Some(id as u32);
                if sum > uniform * self.total {
                    break;
                }
            }
        }
        last
    }
}

/// The probability mass that remains without the tokens `before`.
fn left(draft: &Distribution, before: &[u32]) -> f64 {
    let taken: f64 = before
        .iter()
        .map(|&id| f64::from(draft.probability(id)))
        .sum();
    (1.0 - taken).max(f64::MIN_POSITIVE)
}
