//! Exact match of generated answers.

use super::rows::GenerateUntil;
use super::statistic::{Mean, TaskResult};
use super::{Scorer, Text};
use crate::engine::{Error, Result};
use fancy_regex::Regex;

/// Texts that end an answer.
pub const UNTIL: [&str; 3] = ["Question:", "</s>", "<|im_end|>"];

/// The result for an answer without a number.
const INVALID: &str = "[invalid]";

impl Scorer<'_> {
    /// The text that the model generates after a prompt.
    pub(super) fn generate(&mut self, row: &GenerateUntil) -> Result<String> {
        let mut tokens = self.tokens(&row.prompt, true)?;
        // As in the harness, a prompt that is too long is truncated at its start.
        let max = self.decoder.model().config().context_length - 1;
        let cut = tokens
            .len()
            .saturating_sub(max.saturating_sub(self.settings.max_steps).max(1));
        tokens.drain(..cut);
        let mut text = Text::default();
        let settings = self.settings.clone();
        self.decoder
            .run_to_end(&mut self.session, &tokens, settings, &mut text)?;
        Ok(text.0)
    }
}

/// Counts of exact matches.
#[derive(Debug, Default)]
pub struct Matches {
    /// Rows with a plain text as answer.
    plain: Mean,
    /// GSM8K's rows: the number after `####`, and the last number.
    strict: Mean,
    flexible: Mean,
}

impl Matches {
    pub fn add(&mut self, row: &GenerateUntil, text: &str) -> Result<()> {
        let score = |matches: bool| f64::from(u8::from(matches));
        if !row.is_gsm8k {
            self.plain.add(score(text.trim() == row.target.trim()));
            return Ok(());
        }
        let target = normal(&row.target)?;
        let strict = strict(text)?.unwrap_or_else(|| INVALID.into());
        let flexible = flexible(text)?.unwrap_or_else(|| INVALID.into());
        self.strict.add(score(normal(&strict)? == target));
        self.flexible.add(score(normal(&flexible)? == target));
        Ok(())
    }

    pub fn result(&self) -> TaskResult {
        let mut metrics = Vec::new();
        if self.plain.len() > 0 {
            metrics.push(self.plain.metric("exact_match"));
        }
        if self.strict.len() > 0 {
            metrics.push(self.strict.metric("exact_match,strict-match"));
            metrics.push(self.flexible.metric("exact_match,flexible-extract"));
        }
        let rows = self.plain.len() + self.strict.len();
        TaskResult::new("generate_until", rows, metrics)
    }
}

fn regex(pattern: &str) -> Result<Regex> {
    Regex::new(pattern).map_err(|fault| Error::Setting(fault.to_string()))
}

/// The number after the first `####`.
fn strict(text: &str) -> Result<Option<String>> {
    let found = regex(r"#### (-?[0-9.,]+)")?.captures(text);
    let found = found.map_err(|fault| Error::Setting(fault.to_string()))?;
    let number = found.and_then(|found| found.get(1));
    Ok(number.map(|number| number.as_str().trim().to_owned()))
}

/// The last number.
fn flexible(text: &str) -> Result<Option<String>> {
    let numbers = regex(r"-?[$0-9.,]{2,}|-?[0-9]+")?;
    let last = numbers.find_iter(text).last().transpose();
    let last = last.map_err(|fault| Error::Setting(fault.to_string()))?;
    Ok(last.map(|number| number.as_str().trim().to_owned()))
}

/// An answer in lower case, without commas, dollars, the reasoning before `####` and a final full stop.
fn normal(text: &str) -> Result<String> {
    let mut text = text.to_owned();
    for pattern in [",", r"\$", r"(?s).*#### ", r"\.$"] {
        text = regex(pattern)?.replace_all(&text, "").into_owned();
    }
    Ok(text.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_extracted_as_from_gsm8k() {
        for (text, wanted_strict, wanted_flexible) in [
            ("3+4=7\n#### 7", Some("7"), Some("7")),
            ("It is $1,234.", None, Some("$1,234.")),
            ("#### 5 or 6", Some("5"), Some("6")),
            ("no number", None, None),
            ("-5", None, Some("-5")),
        ] {
            assert_eq!(strict(text).unwrap().as_deref(), wanted_strict, "{text}");
            assert_eq!(
                flexible(text).unwrap().as_deref(),
                wanted_flexible,
                "{text}"
            );
        }
        assert_eq!(normal("a #### $1,234.").unwrap(), "1234");
        assert_eq!(normal("YES").unwrap(), "yes");
    }
}
