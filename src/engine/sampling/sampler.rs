//! Choosing a token, for both draft and verify.

use super::noise::{PositionNoise, Stream};
use super::{Coupling, Distribution, Residual, Sampling};

/// Which model samples. With rejection coupling, draft and verifier use separate streams of randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// The draft.
    Draft,
    /// The verifier.
    Verify,
}

/// The verifier's decision about a drafted token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Accepted.
    Accept,
    /// Rejected and replaced by this token.
    Correct(u32),
}

/// The verifier's decision about several drafted tokens for one position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// The one at this index is accepted.
    Draft(usize),
    /// All are rejected and replaced by this token.
    Own(u32),
}

/// Chooses the token at one absolute position.
#[derive(Debug, Clone, Copy)]
pub struct Sampler<'a> {
    /// Sampling settings.
    pub sampling: &'a Sampling,
    /// Absolute position of the token to be chosen.
    pub position: usize,
}

impl Sampler<'_> {
    /// Chooses a token of `distribution`.
    pub fn pick(&self, distribution: &Distribution, who: Pick) -> u32 {
        if self.sampling.greedy() {
            return distribution.argmax();
        }
        match (self.sampling.coupling, who) {
            (Coupling::SharedNoise, _) => distribution.gumbel_argmax(self.noise(Stream::Gumbel)),
            (Coupling::Rejection, Pick::Draft) => {
                distribution.inverse_cdf(self.uniform(Stream::Draft))
            }
            (Coupling::Rejection, Pick::Verify) => {
                distribution.inverse_cdf(self.uniform(Stream::Verify))
            }
        }
    }

    /// Accepts or corrects the drafted token `id`: by equality with the verifier's choice, or, with rejection coupling, with
    /// probability min(1, p/q).
    pub fn verify(&self, id: u32, verifier: &Distribution, draft: &Distribution) -> Verdict {
        if self.sampling.greedy() || self.sampling.coupling == Coupling::SharedNoise {
            let choice = self.pick(verifier, Pick::Verify);
            return if choice == id {
                Verdict::Accept
            } else {
                Verdict::Correct(choice)
            };
        }
        let (p, q) = (
            f64::from(verifier.probability(id)),
            f64::from(draft.probability(id)),
        );
        if self.uniform(Stream::Accept) * q < p {
            Verdict::Accept
        } else {
            Verdict::Correct(verifier.residual(draft, self.uniform(Stream::Verify)))
        }
    }

    /// Chooses up to `n` different tokens to draft, in the order in which they are to be verified. With shared noise and
    /// with greedy sampling they are the draft's best tokens under the verifier's own noise; with rejection coupling a
    /// sample without replacement. The first is what [`Self::pick`] chooses, except with rejection coupling and `n` > 1.
    pub fn siblings(&self, draft: &Distribution, n: usize, out: &mut Vec<u32>) {
        if n == 1 {
            out.clear();
            out.push(self.pick(draft, Pick::Draft));
        } else {
            draft.best(n, self.draft_noise(), out);
        }
    }

    /// The rank of `id` in the order of [`Self::siblings`] with more than one token; `None` if it is `max` or more.
    pub fn rank(&self, id: u32, draft: &Distribution, max: usize) -> Option<usize> {
        draft.rank(id, self.draft_noise(), max)
    }

    /// Accepts one of the distinct drafted tokens `ids`, or corrects them. `draft` is the distribution from which they
    /// were drawn, in this order and without replacement; `None` if they were not drawn at random.
    ///
    /// With rejection coupling this is multi-round rejection sampling (Miao et al., SpecInfer, arXiv 2305.09781), which
    /// keeps the verifier's distribution.
    pub fn verify_siblings(
        &self,
        ids: &[u32],
        verifier: &Distribution,
        draft: Option<&Distribution>,
        residual: &mut Residual,
    ) -> Selection {
        if !self.sampling.rejects() {
            let choice = self.pick(verifier, Pick::Verify);
            let at = ids.iter().position(|&id| id == choice);
            return at.map_or(Selection::Own(choice), Selection::Draft);
        }
        if let (&[id], Some(draft)) = (ids, draft) {
            return match self.verify(id, verifier, draft) {
                Verdict::Accept => Selection::Draft(0),
                Verdict::Correct(choice) => Selection::Own(choice),
            };
        }
        let accept = self.noise(Stream::Accept);
        residual.reset(verifier);
        for (at, &id) in ids.iter().enumerate() {
            let q = draft.map_or(1.0, |draft| {
                residual.draft_probability(id, draft, &ids[..at])
            });
            if accept.uniform(at as u32) * q < residual.probability(id) {
                return Selection::Draft(at);
            }
            residual.reject(id, draft, &ids[..at]);
        }
        let own = residual.sample(self.uniform(Stream::Verify));
        Selection::Own(own.unwrap_or_else(|| self.pick(verifier, Pick::Verify)))
    }

    /// The noise that orders drafts; `None` if they are ordered by probability.
    fn draft_noise(&self) -> Option<PositionNoise> {
        match self.sampling.coupling {
            _ if self.sampling.greedy() => None,
            Coupling::SharedNoise => Some(self.noise(Stream::Gumbel)),
            Coupling::Rejection => Some(self.noise(Stream::Draft)),
        }
    }

    fn noise(&self, stream: Stream) -> PositionNoise {
        PositionNoise::new(self.sampling.seed, self.position, stream)
    }

    fn uniform(&self, stream: Stream) -> f64 {
        self.noise(stream).uniform(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(logits: &[f32], sampling: &Sampling) -> Distribution {
        let mut distribution = Distribution::default();
        distribution.fill(logits, None, sampling).unwrap();
        distribution
    }

    /// Drafting and verifying samples from the verifier's distribution, whatever the draft's distribution.
    #[test]
    fn rejection_keeps_the_verifiers_distribution() {
        let sampling = Sampling {
            temperature: 1.0,
            top_p: 1.0,
            coupling: Coupling::Rejection,
            seed: 11,
            ..Sampling::default()
        };
        let verifier = filled(&[0.3, 1.5, -0.5, 0.9], &sampling);
        for draft in [
            [2.0, 0.0, 0.0, 0.0],
            [0.3, 1.5, -0.5, 0.9],
            [-3.0, -3.0, 3.0, -3.0],
        ] {
            let draft = filled(&draft, &sampling);
            let (n, mut counts) = (60_000, [0f64; 4]);
            for position in 0..n {
                let sampler = Sampler {
                    sampling: &sampling,
                    position,
                };
                let drafted = sampler.pick(&draft, Pick::Draft);
                let token = match sampler.verify(drafted, &verifier, &draft) {
                    Verdict::Accept => drafted,
                    Verdict::Correct(id) => id,
                };
                counts[token as usize] += 1.0;
            }
            let chi: f64 = (0..4)
                .map(|id| {
                    (
                        f64::from(verifier.probability(id)) * f64::from(n as u32),
                        counts[id as usize],
                    )
                })
                .map(|(want, count)| (count - want).powi(2) / want)
                .sum();
            assert!(chi < 21.1, "chi-square of 3 degrees of freedom: {chi}");
        }
    }

    /// The same for several drafts, whether they are drawn without replacement or given.
    #[test]
    fn rejecting_siblings_keeps_the_verifiers_distribution() {
        let sampling = Sampling {
            temperature: 1.0,
            top_p: 1.0,
            coupling: Coupling::Rejection,
            seed: 12,
            ..Sampling::default()
        };
        let verifier = filled(&[0.3, 1.5, -0.5, 0.9, -1.5], &sampling);
        let drafts = [
            [2.0, 0.0, 0.0, 0.0, -9.0],
            [0.3, 1.5, -0.5, 0.9, -1.5],
            [-3.0, -3.0, 3.0, -3.0, 1.0],
        ];
        let mut cases: Vec<(usize, Option<Distribution>)> = Vec::new();
        for draft in drafts {
            cases.extend((1..=5).map(|n| (n, Some(filled(&draft, &sampling)))));
        }
        cases.extend((1..=5).map(|n| (n, None)));
        let (mut ids, mut residual) = (Vec::new(), Residual::default());
        for (siblings, draft) in cases {
            let (n, mut counts) = (40_000, [0f64; 5]);
            for position in 0..n {
                let sampler = Sampler {
                    sampling: &sampling,
                    position,
                };
                match &draft {
                    Some(draft) => sampler.siblings(draft, siblings, &mut ids),
                    None => ids = vec![3, 0, 2, 4, 1],
                }
                ids.truncate(siblings);
                let token =
                    match sampler.verify_siblings(&ids, &verifier, draft.as_ref(), &mut residual) {
                        Selection::Draft(at) => ids[at],
                        Selection::Own(id) => id,
                    };
                counts[token as usize] += 1.0;
            }
            let chi: f64 = (0..5)
                .map(|id| {
                    (
                        f64::from(verifier.probability(id)) * n as f64,
                        counts[id as usize],
                    )
                })
                .map(|(want, count)| (count - want).powi(2) / want)
                .sum();
            assert!(chi < 25.0, "chi-square of 4 degrees of freedom: {chi}");
        }
    }

    #[test]
    fn siblings_begin_with_the_pick_and_are_ordered_by_the_verifiers_noise() {
        let logits: Vec<f32> = (0..200u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 20) as f32 / 700.0)
            .collect();
        let mut ids = Vec::new();
        for sample in [false, true] {
            let sampling = Sampling {
                sample,
                temperature: 0.9,
                top_p: 1.0,
                ..Sampling::default()
            };
            let mut distribution = filled(&logits, &sampling);
            for position in 0..50 {
                let sampler = Sampler {
                    sampling: &sampling,
                    position,
                };
                sampler.siblings(&distribution, 6, &mut ids);
                assert_eq!(ids[0], sampler.pick(&distribution, Pick::Verify));
                for (rank, &id) in ids.iter().enumerate() {
                    assert_eq!(sampler.rank(id, &distribution, 6), Some(rank));
                }
                // Without the best token, the next one is the best.
                let mut rest = logits.clone();
                for pair in ids.windows(2) {
                    rest[pair[0] as usize] = f32::NEG_INFINITY;
                    distribution.fill(&rest, None, &sampling).unwrap();
                    assert_eq!(pair[1], sampler.pick(&distribution, Pick::Verify));
                }
                distribution = filled(&logits, &sampling);
            }
        }
    }

    #[test]
    fn draft_and_verifier_pick_the_same_token_with_shared_noise() {
        let sampling = Sampling::default();
        let distribution = filled(&[0.3, 1.5, -0.5, 0.9], &sampling);
        for position in 0..200 {
            let sampler = Sampler {
                sampling: &sampling,
                position,
            };
            let id = sampler.pick(&distribution, Pick::Draft);
            assert_eq!(id, sampler.pick(&distribution, Pick::Verify));
            assert_eq!(
                sampler.verify(id, &distribution, &distribution),
                Verdict::Accept
            );
        }
    }
}
