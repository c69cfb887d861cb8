//! Rows of a JSONL file. The fields of a row determine its kind of task.

use crate::engine::{Error, Result};
use serde_json::Value;
use std::path::Path;

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    MultipleChoice(MultipleChoice),
    GenerateUntil(GenerateUntil),
    /// A text for perplexity.
    Text(String),
}

/// Which of the choices follows a text.
#[derive(Debug, Clone, PartialEq)]
pub struct MultipleChoice {
    pub context: String,
    pub choices: Vec<String>,
    /// Index of the correct choice.
    pub gold: usize,
}

/// A continuation, scored by exact match.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerateUntil {
    pub prompt: String,
    pub target: String,
    /// Whether the target ends with GSM8K's `#### number`.
    pub is_gsm8k: bool,
}

/// Field names of the text before the choices.
const CONTEXTS: [&str; 5] = ["query", "question", "context", "prompt", "goal"];
/// Field names of the correct choice.
const GOLDS: [&str; 3] = ["gold", "label", "answer"];
/// Field names of the expected continuation.
const TARGETS: [&str; 3] = ["response", "target", "answer"];

/// What is wrong with a line that is not a row, and what a row is.
const NOT_A_ROW: &str = "not a row; a row is a JSON object on one line, with query, choices and gold; question and answer; \
     prompt and response; or text";

/// The first `limit` rows of a file.
///
/// # Errors
/// If it cannot be read, has no rows, or a line is not a row; the error has the line number.
pub fn read(path: &Path, limit: Option<usize>) -> Result<Vec<Row>> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, error))?;
    let fault = |line: usize, words: &str| {
        Error::Setting(format!("{}, line {}: {words}", path.display(), line + 1))
    };
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    let rows = lines.take(limit.unwrap_or(usize::MAX)).map(|(at, line)| {
        let value: Value = serde_json::from_str(line).map_err(|_| fault(at, NOT_A_ROW))?;
        row(&value).map_err(|words| fault(at, &words))
    });
    let rows = rows.collect::<Result<Vec<Row>>>()?;
    match rows.is_empty() {
        true => Err(Error::Setting(format!("{} has no rows", path.display()))),
        false => Ok(rows),
    }
}

fn row(value: &Value) -> Result<Row, String> {
    let text = |names: &[&str]| {
        let mut found = names.iter().filter_map(|name| value.get(name)?.as_str());
        found.next().map(str::to_owned)
    };
    if let Some(choices) = value.get("choices") {
        return multiple_choice(value, choices, text(&CONTEXTS));
    }
    if let (Some(question), Some(target)) = (text(&["question"]), text(&["answer"])) {
        return Ok(Row::GenerateUntil(GenerateUntil {
            prompt: format!("Question: {question}\nAnswer:"),
            is_gsm8k: target.contains("#### "),
            target,
        }));
    }
    if let (Some(prompt), Some(target)) = (text(&["prompt"]), text(&TARGETS)) {
        return Ok(Row::GenerateUntil(GenerateUntil {
            prompt,
            is_gsm8k: target.contains("#### "),
            target,
        }));
    }
    match text(&["text"]) {
        Some(text) if !text.is_empty() => Ok(Row::Text(text)),
        _ => Err(NOT_A_ROW.into()),
    }
}

fn multiple_choice(value: &Value, choices: &Value, context: Option<String>) -> Result<Row, String> {
    let choices: Vec<String> = serde_json::from_value(choices.clone())
        .map_err(|_| "choices is not a list of strings".to_owned())?;
    let gold = GOLDS.iter().find_map(|name| value.get(name));
    let gold = match gold {
        Some(Value::String(text)) => choices.iter().position(|choice| choice == text),
        Some(number) => number.as_u64().map(|gold| gold as usize),
        None => None,
    };
    match (context, gold) {
        (None, _) => Err(format!("choices without any of {}", CONTEXTS.join(", "))),
        (_, None) => Err(format!(
            "none of {} says which choice is right, by its number from 0 or its text",
            GOLDS.join(", ")
        )),
        (Some(context), Some(gold)) if gold < choices.len() => {
            Ok(Row::MultipleChoice(MultipleChoice {
                context,
                choices,
                gold,
            }))
        }
        (_, Some(gold)) => Err(format!("choice {gold} of {}", choices.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_determine_the_kind_of_a_row() {
        let choice = |gold| {
            Row::MultipleChoice(MultipleChoice {
                context: "a".into(),
                choices: vec!["x".into(), "y".into()],
                gold,
            })
        };
        let read = |value| row(&value).unwrap();
        assert_eq!(
            read(json!({"query": "a", "choices": ["x", "y"], "gold": 1})),
            choice(1)
        );
        assert_eq!(
            read(json!({"question": "a", "choices": ["x", "y"], "answer": "x"})),
            choice(0)
        );
        let Row::GenerateUntil(gsm) = read(json!({"question": "q", "answer": "1\n#### 1"})) else {
            panic!()
        };
        assert!(gsm.is_gsm8k && gsm.prompt == "Question: q\nAnswer:");
        assert_eq!(read(json!({"text": "t"})), Row::Text("t".into()));
        for strange in [
            json!({}),
            json!({"text": ""}),
            json!({"query": "a", "choices": ["x"], "gold": 1}),
            json!({"query": "a", "choices": ["x"]}),
            json!({"choices": ["x"], "gold": 0}),
            json!({"query": "a", "choices": "x", "gold": 0}),
            json!([1]),
        ] {
            assert!(row(&strange).is_err(), "{strange}");
        }
    }
}
