//! Shared by the normalizer and the pre-tokenizer of a `tokenizer.json`: a list of steps from an untrusted file.

use super::pattern::{MAX_COST, Pattern};
use serde_json::Value;

/// Max number of steps of a tokenizer; real ones have a handful.
const MAX_STEPS: usize = 64;

/// The remaining budget of steps and expressions.
pub struct Budget {
    steps: usize,
    expressions: usize,
    /// Whether an expression may take long on a malicious text.
    pub slow: bool,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            steps: MAX_STEPS,
            expressions: MAX_COST,
            slow: false,
        }
    }
}

impl Budget {
    /// The pattern of a step.
    pub fn pattern(&mut self, step: &Value) -> Result<Pattern, String> {
        let read = Pattern::read(step.get("pattern"), &mut self.expressions)?;
        self.slow |= read.slow;
        Ok(read.pattern)
    }
}

/// The steps of a value. Sequences, which hold their steps under the key `list`, are flattened.
pub fn flatten<'v>(
    value: &'v Value,
    list: &str,
    budget: &mut Budget,
) -> Result<Vec<&'v Value>, String> {
    if value.is_null() {
        return Ok(Vec::new());
    }
    budget.steps = budget
        .steps
        .checked_sub(1)
        .ok_or_else(|| format!("more than {MAX_STEPS} steps"))?;
    if kind_of(value)? != "Sequence" {
        return Ok(vec![value]);
    }
    let steps = value
        .get(list)
        .and_then(Value::as_array)
        .ok_or("a Sequence without a list")?;
    let mut flat = Vec::new();
    for step in steps {
        flat.extend(flatten(step, list, budget)?);
    }
    Ok(flat)
}

/// The `type` of a step.
pub fn kind_of(value: &Value) -> Result<&str, String> {
    value
        .get("type")
        .and_then(Value::as_str)
        .ok_or_else(|| "a step without a type".into())
}
