//! Figures with their standard errors.

use serde::Serialize;

/// The result of one kind of task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskResult {
    pub task: &'static str,
    pub rows: usize,
    pub metrics: Vec<Metric>,
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metric {
    /// The harness's name: `acc`, `exact_match,strict-match`.
    pub name: &'static str,
    pub value: f64,
    /// Standard error; `None` if there is no formula for it, or too few rows.
    pub stderr: Option<f64>,
    pub higher_is_better: bool,
}

impl TaskResult {
    pub fn new(task: &'static str, rows: usize, metrics: Vec<Metric>) -> Self {
        Self {
            task,
            rows,
            metrics,
        }
    }
}

/// The mean of a figure over rows.
#[derive(Debug, Clone, Default)]
pub struct Mean(Vec<f64>);

impl Mean {
    pub fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len() as f64
    }

    /// Standard error of the mean, from the sample's standard deviation.
    fn stderr(&self) -> Option<f64> {
        let (n, mean) = (self.0.len() as f64, self.mean());
        let squares: f64 = self.0.iter().map(|x| (x - mean).powi(2)).sum();
        (n > 1.0).then(|| (squares / (n - 1.0)).sqrt() / n.sqrt())
    }

    pub fn metric(&self, name: &'static str) -> Metric {
        Metric {
            name,
            value: self.mean(),
            stderr: self.stderr(),
            higher_is_better: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_mean_is_that_of_the_harness() {
        let mut mean = Mean::default();
        [1.0, 0.0, 1.0].into_iter().for_each(|x| mean.add(x));
        let metric = mean.metric("acc");
        assert_eq!(metric.value, 2.0 / 3.0);
        assert!((metric.stderr.unwrap() - 1.0 / 3.0).abs() < 1e-15);
        let mut one = Mean::default();
        one.add(1.0);
        assert_eq!(one.metric("acc").stderr, None);
    }
}
