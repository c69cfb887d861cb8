//! Which names a misspelt one is likely meant to be: settings, commands, fields of a request and keys of a file alike.

/// Max suggestions for a misspelt name.
const SUGGESTIONS: usize = 3;
/// Max letters that may be wrong, however long the name is.
const MAX_WRONG: usize = 2;

/// What `misspelt` is likely meant to be, the nearest first. Each name comes with what it stands for, which is returned
/// once. Case and separators do not count, and a quarter of a name's letters may be wrong: names of three letters or
/// fewer must match.
pub fn nearest<'a, T: PartialEq>(
    misspelt: &str,
    names: impl IntoIterator<Item = (&'a str, T)>,
) -> Vec<T> {
    let misspelt = plain(misspelt);
    let length = misspelt.chars().count();
    let near = |(name, meant): (&'a str, T)| {
        let name = plain(name);
        let letters = name.chars().count();
        let limit = (letters / 4).min(MAX_WRONG);
        // Long input is not compared letter by letter.
        if letters == 0 || length.abs_diff(letters) > limit {
            return None;
        }
        let distance = strsim::osa_distance(&name, &misspelt);
        (distance <= limit).then_some((distance, meant))
    };
    let mut found: Vec<(usize, T)> = names.into_iter().filter_map(near).collect();
    found.sort_by_key(|(distance, _)| *distance);
    let mut meant = Vec::new();
    for (_, name) in found {
        if meant.len() < SUGGESTIONS && !meant.contains(&name) {
            meant.push(name);
        }
    }
    meant
}

/// A name in lower case without separators, so that `maxTokens` and `max-tokens` match `max_tokens`.
fn plain(name: &str) -> String {
    let is_separator = |c: &char| c.is_whitespace() || matches!(c, '_' | '-' | '.');
    let letters = name.chars().filter(|c| !is_separator(c));
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAMES: [&str; 6] = ["temperature", "top_p", "top_k", "seed", "stop", "n"];

    fn meant(misspelt: &str) -> Vec<&'static str> {
        nearest(misspelt, NAMES.map(|name| (name, name)))
    }

    #[test]
    fn a_misspelt_name_is_recognised_and_another_one_is_not() {
        for (misspelt, name) in [
            ("temprature", "temperature"),
            ("TEMPERATURE", "temperature"),
            ("top-p", "top_p"),
            ("Top K", "top_k"),
            ("sede", "seed"),
            ("stops", "stop"),
        ] {
            assert_eq!(meant(misspelt).first(), Some(&name), "{misspelt}");
        }
        for other in ["", "k", "typical_p", "colour", "temper"] {
            assert!(meant(other).is_empty(), "{other}");
        }
        // Each is as near as the other, and both stand for one thing.
        assert_eq!(meant("top_x"), ["top_p", "top_k"]);
        assert_eq!(nearest("sed", [("seed", 1), ("sede", 1)]), [1]);
    }

    proptest! {
        /// A name is its own nearest, however it is written, and there are never more suggestions than are read.
        #[test]
        fn suggestions_are_few_and_a_right_name_is_the_first(at in 0..NAMES.len(), other in ".{0,40}") {
            let name = NAMES[at];
            let found = meant(&name.to_uppercase().replace('_', "-"));
            prop_assert_eq!(found.first(), Some(&name));
            let found = nearest(&other, (0..9).map(|number| (other.as_str(), number)));
            prop_assert!(found.len() <= SUGGESTIONS);
        }
    }
}
