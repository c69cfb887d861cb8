//! Confidence intervals by the bootstrap.

use crate::engine::sampling::noise::{PositionNoise, Stream};
use serde::{Deserialize, Serialize};

/// Bootstrap resamples.
const RESAMPLES: usize = 1000;
/// Share of resamples outside the interval, on each side.
const TAIL: f64 = 0.025;

/// A figure with its 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// Bootstraps a statistic of `n` samples, which `statistic` computes from any `n` of their indices; `None` if it has no
/// value for the original samples. Deterministic.
pub fn interval(n: usize, statistic: impl Fn(&[usize]) -> Option<f64>) -> Option<Interval> {
    let mut drawn: Vec<usize> = (0..n).collect();
    let value = statistic(&drawn)?;
    let mut values = Vec::with_capacity(RESAMPLES);
    for round in 0..RESAMPLES {
        let noise = PositionNoise::new(0, round, Stream::Draft);
        for (at, index) in drawn.iter_mut().enumerate() {
            *index = (noise.uniform(at as u32) * n as f64) as usize;
        }
        values.extend(statistic(&drawn));
    }
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let last = values.len().checked_sub(1)?;
        values.get((share * last as f64).round() as usize).copied()
    };
    Some(Interval {
        value,
        low: at(TAIL).unwrap_or(value),
        high: at(1.0 - TAIL).unwrap_or(value),
    })
}

/// The mean of the values that exist, with its interval.
pub fn mean(values: &[Option<f64>]) -> Option<Interval> {
    interval(values.len(), |drawn| {
        let (mut sum, mut count) = (0.0, 0usize);
        for value in drawn.iter().filter_map(|&index| values[index]) {
            sum += value;
            count += 1;
        }
        (count > 0).then(|| sum / count as f64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For samples of a normal distribution, the interval of the mean is about ±1.96 standard errors.
    #[test]
    fn intervals_have_the_width_that_theory_gives() {
        let normal = |at: usize| {
            let noise = PositionNoise::new(9, at, Stream::Draft);
            let radius = (-2.0 * noise.uniform(0).ln()).sqrt();
            Some(3.0 + radius * (std::f64::consts::TAU * noise.uniform(1)).cos())
        };
        let values: Vec<Option<f64>> = (0..400).map(normal).collect();
        let found = mean(&values).unwrap();
        let width = found.high - found.low;
        assert!((width - 2.0 * 1.96 / 20.0).abs() < 0.03, "{found:?}");
        assert!(found.low < 3.0 && 3.0 < found.high, "{found:?}");
        assert_eq!(mean(&values), Some(found), "repeatable");
    }

    #[test]
    fn without_samples_there_is_no_interval() {
        assert_eq!(mean(&[]), None);
        assert_eq!(mean(&[None, None]), None);
        let one = mean(&[Some(2.0)]).unwrap();
        assert_eq!((one.value, one.low, one.high), (2.0, 2.0, 2.0));
    }
}
