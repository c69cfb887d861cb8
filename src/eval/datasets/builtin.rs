//! The prompts that come with skiplens, ten of each category.

use super::{DatasetName, Item, rows::Row};
use crate::engine::{Error, Result};

const PROMPTS: &str = include_str!("builtin.jsonl");

/// The prompts, alternating between the categories.
pub fn items() -> Result<Vec<Item>> {
    let rows: Result<Vec<Row>, _> = PROMPTS.lines().map(serde_json::from_str).collect();
    let rows = rows.map_err(|error| Error::Setting(format!("the prompts of skiplens: {error}")))?;
    DatasetName::Builtin.of_rows("the prompts of skiplens", &rows)
}

/// Category and text of each prompt.
///
/// # Errors
/// Never: the prompts are part of the program.
pub fn builtin_prompts() -> Result<Vec<(String, String)>> {
    let items = items()?.into_iter();
    Ok(items
        .map(|item| (item.category.unwrap_or_default(), item.text))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, HashSet};

    #[test]
    fn ten_prompts_of_each_category() {
        let items = items().unwrap();
        let mut categories: BTreeMap<String, usize> = BTreeMap::new();
        for item in &items {
            *categories
                .entry(item.category.clone().unwrap())
                .or_default() += 1;
        }
        let expected = ["chat", "code", "extraction", "maths", "story", "summary"];
        assert_eq!(
            categories,
            expected.map(|name| (name.to_owned(), 10)).into()
        );
        let texts: HashSet<&str> = items.iter().map(|item| item.text.as_str()).collect();
        let ids: HashSet<&str> = items.iter().map(|item| item.id.as_str()).collect();
        assert!(texts.len() == 60 && ids.len() == 60);
        let firsts: HashSet<_> = items[..6].iter().map(|item| &item.category).collect();
        assert_eq!(firsts.len(), 6, "a few samples see every category");
    }
}
