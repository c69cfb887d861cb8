//! The part of a sweep that one machine measures.

use crate::engine::{Error, Result};
use std::ops::Range;

/// Part `index` of `count`, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    pub index: usize,
    pub count: usize,
}

impl Shard {
    /// The whole sweep.
    pub const WHOLE: Self = Self { index: 1, count: 1 };

    /// Parses `2/8`, or `auto` with the environment variables of a Slurm array or a Kubernetes Indexed Job.
    ///
    /// # Errors
    /// If it is anything else, or the scheduler does not set enough variables.
    pub fn parse(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let fault = |words: String| Error::Setting(format!("--shard {text}: {words}"));
        if text == "auto" || text.starts_with("auto/") {
            let count = text.strip_prefix("auto/").map(str::to_owned);
            return from_scheduler(count.as_deref(), variable).map_err(fault);
        }
        let parts = text.split_once('/');
        let numbers = parts.and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match numbers {
            Some((index, count)) if (1..=count).contains(&index) => Ok(Self { index, count }),
            _ => Err(fault("write I/N with 1 ≤ I ≤ N, auto, or auto/N".into())),
        }
    }

    /// The cells of this part, out of `cells`. Adjacent cells stay together, since they share a baseline.
    pub fn cells(self, cells: usize) -> Range<usize> {
        let start = |index: usize| index * (cells / self.count) + index.min(cells % self.count);
        start(self.index - 1)..start(self.index)
    }
}

fn from_scheduler(
    count: Option<&str>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Shard, String> {
    let number = |name: &str| -> Result<Option<usize>, String> {
        let Some(text) = variable(name).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        text.trim()
            .parse()
            .map(Some)
            .map_err(|_| format!("{name} is {text:?}, which is not a number"))
    };
    let given = count
        .map(|text| {
            text.parse()
                .map_err(|_| format!("{text:?} is not a number of shards"))
        })
        .transpose()?;
    let within = |index: usize, count: usize| match (1..=count).contains(&index) {
        true => Ok(Shard { index, count }),
        false => Err(format!("this is part {index} of {count}")),
    };
    if let Some(id) = number("SLURM_ARRAY_TASK_ID")? {
        let name = |part: &str| format!("SLURM_ARRAY_TASK_{part}");
        let missing = |part: &str| format!("{} is not set", name(part));
        let (min, step) = (
            number(&name("MIN"))?.unwrap_or(0),
            number(&name("STEP"))?.unwrap_or(1).max(1),
        );
        let total = number(&name("COUNT"))?.ok_or_else(|| missing("COUNT"))?;
        let max = number(&name("MAX"))?.ok_or_else(|| missing("MAX"))?;
        if total == 0
            || min + step * (total - 1) != max
            || id < min
            || !(id - min).is_multiple_of(step)
        {
            return Err(format!(
                "the array has {total} tasks from {min} to {max} in steps of {step}, with gaps; give it a range without"
            ));
        }
        if given.is_some_and(|given| given != total) {
            return Err(format!("the array has {total} tasks"));
        }
        return within((id - min) / step + 1, total);
    }
    if let Some(index) = number("JOB_COMPLETION_INDEX")? {
        let total =
            given.ok_or("a Kubernetes Job does not report its number of parts; write auto/N")?;
        return within(index + 1, total);
    }
    Err("neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX is set; write I/N".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn auto(text: &str, variables: &[(&str, &str)]) -> Result<Shard, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Shard::parse(text, &variable).map_err(|error| error.to_string())
    }

    fn slurm<'a>(
        id: &'a str,
        count: &'a str,
        min: &'a str,
        max: &'a str,
        step: &'a str,
    ) -> [(&'static str, &'a str); 5] {
        [
            ("SLURM_ARRAY_TASK_ID", id),
            ("SLURM_ARRAY_TASK_COUNT", count),
            ("SLURM_ARRAY_TASK_MIN", min),
            ("SLURM_ARRAY_TASK_MAX", max),
            ("SLURM_ARRAY_TASK_STEP", step),
        ]
    }

    #[test]
    fn schedulers_say_which_part_it_is() {
        let is = |index, count| Ok(Shard { index, count });
        assert_eq!(auto("2/8", &[]), is(2, 8));
        assert_eq!(auto("auto", &slurm("0", "4", "0", "3", "1")), is(1, 4));
        assert_eq!(auto("auto", &slurm("10", "4", "4", "10", "2")), is(4, 4));
        assert_eq!(auto("auto/3", &[("JOB_COMPLETION_INDEX", "2")]), is(3, 3));
        for (text, variables, words) in [
            ("auto", &slurm("3", "3", "0", "7", "1")[..], "with gaps"),
            (
                "auto",
                &slurm("x", "3", "0", "2", "1"),
                "which is not a number",
            ),
            ("auto/5", &slurm("0", "4", "0", "3", "1"), "has 4 tasks"),
            ("auto", &[("SLURM_ARRAY_TASK_ID", "1")], "COUNT is not set"),
            ("auto", &[("JOB_COMPLETION_INDEX", "0")], "write auto/N"),
            ("auto/2", &[("JOB_COMPLETION_INDEX", "2")], "part 3 of 2"),
            ("auto", &[], "write I/N"),
            ("0/4", &[], "write I/N"),
            ("5/4", &[], "write I/N"),
            ("1", &[], "write I/N"),
        ] {
            let told = auto(text, variables).unwrap_err();
            assert!(
                told.contains(words) && told.contains(text),
                "{text}: {told}"
            );
        }
    }

    proptest! {
        /// The parts contain every cell exactly once, and their sizes differ by at most one.
        #[test]
        fn parts_are_a_partition(cells in 0usize..300, count in 1usize..40) {
            let parts: Vec<_> = (1..=count).map(|index| Shard { index, count }.cells(cells)).collect();
            let all: Vec<usize> = parts.iter().flat_map(Clone::clone).collect();
            prop_assert_eq!(all, (0..cells).collect::<Vec<_>>());
            let sizes = parts.iter().map(ExactSizeIterator::len);
            prop_assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
        }
    }
}
