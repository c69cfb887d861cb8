//! Choosing a token, for both draft and verify.

use super::noise::{PositionNoise, Stream};
use super::{Coupling, Distribution, Sampling};

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

    /// Drafting and verifying samples from the verifier's distribution, whatever the draft's distribution is.
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
