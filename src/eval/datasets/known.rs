//! The data sets with a name: their location and columns, and how a row becomes a prompt.

use super::rows::{self, Row};
use super::{Item, hub::HubPlace};
use crate::engine::prompt::{Message, Role};
use crate::engine::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// Number of words of an article in a prompt of `cnn_dm_lm`.
const PREFIX_WORDS: usize = 100;

/// A data set by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatasetName {
    Builtin,
    CnnDmSummarization,
    CnnDmLm,
    XsumSummarization,
    HumanEval,
    TopV2,
    CustomJsonl,
    ChatFormat,
    Gsm8k,
    SpecBench,
    MtBench,
}

const NAMES: [(&str, DatasetName); 11] = [
    ("builtin", DatasetName::Builtin),
    ("cnn_dm_summarization", DatasetName::CnnDmSummarization),
    ("cnn_dm_lm", DatasetName::CnnDmLm),
    ("xsum_summarization", DatasetName::XsumSummarization),
    ("human_eval", DatasetName::HumanEval),
    ("top_v2", DatasetName::TopV2),
    ("custom_jsonl", DatasetName::CustomJsonl),
    ("chat_format", DatasetName::ChatFormat),
    ("gsm8k", DatasetName::Gsm8k),
    ("spec_bench", DatasetName::SpecBench),
    ("mt_bench", DatasetName::MtBench),
];

/// The known names.
pub fn dataset_names() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter().map(|(name, _)| name)
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = NAMES.iter().find(|(_, name)| name == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

impl FromStr for DatasetName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = text.to_lowercase().replace('-', "_");
        let named = NAMES.iter().find(|(name, _)| *name == wanted);
        named.map(|(_, name)| *name).ok_or_else(|| {
            let all: Vec<&str> = dataset_names().collect();
            format!("there is no such data set; choose {}", all.join(", "))
        })
    }
}

impl DatasetName {
    /// Whether its prompts are meant for the chat template.
    pub(super) fn is_chat(self) -> bool {
        matches!(
            self,
            Self::Builtin | Self::Gsm8k | Self::SpecBench | Self::MtBench
        )
    }

    /// The split to measure on.
    pub(super) fn split(self) -> &'static str {
        match self {
            Self::MtBench => "train",
            _ => "test",
        }
    }

    pub(super) fn has_training_split(self) -> bool {
        matches!(
            self,
            Self::CnnDmSummarization
                | Self::CnnDmLm
                | Self::XsumSummarization
                | Self::TopV2
                | Self::Gsm8k
        )
    }

    pub(super) fn on_hub(self) -> Option<HubPlace> {
        let place = |repository, folder| Some(HubPlace { repository, folder });
        match self {
            Self::CnnDmSummarization | Self::CnnDmLm => {
                place("abisee/cnn_dailymail", Some("3.0.0"))
            }
            Self::XsumSummarization => place("EdinburghNLP/xsum", None),
            Self::HumanEval => place("openai/openai_humaneval", None),
            Self::TopV2 => place("WillHeld/top_v2", None),
            Self::Gsm8k => place("openai/gsm8k", Some("main")),
            Self::MtBench => place("HuggingFaceH4/mt_bench_prompts", None),
            Self::Builtin | Self::CustomJsonl | Self::ChatFormat | Self::SpecBench => None,
        }
    }

    /// Where to get the file of a set that is not on the hub.
    pub(super) fn whereabouts(self) -> &'static str {
        match self {
            Self::SpecBench => "question.jsonl of github.com/hemingkx/Spec-Bench",
            Self::ChatFormat => "lines of {\"data\": [{\"role\": …, \"message\": …}]}",
            _ => "lines of {\"prompt\": …, \"response\": …}",
        }
    }

    /// The required columns; of a pair, either one.
    fn columns(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::CnnDmSummarization => &[&["article"], &["highlights"]],
            Self::CnnDmLm => &[&["article"]],
            Self::XsumSummarization => &[&["document"], &["summary"]],
            Self::HumanEval => &[&["prompt"], &["canonical_solution"]],
            Self::TopV2 => &[&["utterance"], &["semantic_parse"]],
            Self::CustomJsonl | Self::Builtin => &[&["prompt"]],
            Self::ChatFormat => &[&["data"]],
            Self::Gsm8k => &[&["question"], &["answer"]],
            Self::SpecBench | Self::MtBench => &[&["turns", "prompt"]],
        }
    }

    /// Optional columns.
    fn further_columns(self) -> &'static [&'static str] {
        match self {
            Self::CustomJsonl | Self::Builtin => &["id", "category", "response"],
            Self::HumanEval => &["task_id"],
            Self::SpecBench | Self::MtBench => &["question_id", "prompt_id", "category"],
            Self::TopV2 => &["domain"],
            _ => &["id"],
        }
    }

    /// The first `limit` items of a file.
    pub(super) fn items(self, path: &Path, limit: usize) -> Result<Vec<Item>> {
        let wanted: Vec<&str> = self
            .columns()
            .iter()
            .flat_map(|either| either.iter())
            .chain(self.further_columns())
            .copied()
            .collect();
        let rows = rows::read(path, &wanted, limit)?;
        self.check_columns(path, &rows)?;
        self.of_rows(&path.display().to_string(), &rows.rows)
    }

    /// The items of rows that have the required columns.
    pub(super) fn of_rows(self, source: &str, rows: &[Row]) -> Result<Vec<Item>> {
        let mut items = Vec::with_capacity(rows.len());
        for (number, row) in rows.iter().enumerate() {
            let fault =
                |words: String| Error::Setting(format!("{source}: row {}: {words}", number + 1));
            items.extend(self.of_row(number, row).map_err(fault)?);
        }
        Ok(items)
    }

    fn check_columns(self, path: &Path, rows: &rows::Rows) -> Result<()> {
        let has = |column: &&&str| rows.columns.iter().any(|have| have == **column);
        let missing: Vec<String> = self
            .columns()
            .iter()
            .filter(|either| !either.iter().any(|column| has(&column)))
            .map(|either| either.join(" or "))
            .collect();
        if missing.is_empty() || rows.columns.is_empty() {
            return Ok(());
        }
        let wanted: Vec<String> = self
            .columns()
            .iter()
            .map(|either| either.join(" or "))
            .collect();
        Err(Error::Setting(format!(
            "{}: {self} needs the columns {}; this file has {}",
            path.display(),
            wanted.join(", "),
            rows.columns.join(", ")
        )))
    }

    fn of_row(self, number: usize, row: &Row) -> Result<Vec<Item>, String> {
        let id = ["id", "task_id", "question_id", "prompt_id"]
            .iter()
            .find_map(|column| scalar(row.get(*column)?))
            .unwrap_or_else(|| number.to_string());
        let category = ["category", "domain"]
            .iter()
            .find_map(|column| scalar(row.get(*column)?));
        let text = |column: &str| text(row, column);
        let item = match self {
            Self::CnnDmSummarization => summary(id, &text("article")?, &text("highlights")?),
            Self::XsumSummarization => summary(id, &text("document")?, &text("summary")?),
            Self::CnnDmLm => continuation(id, &text("article")?),
            Self::HumanEval => {
                Item::of_user(id, text("prompt")?, Some(text("canonical_solution")?))
            }
            Self::TopV2 => Item::of_user(id, text("utterance")?, Some(text("semantic_parse")?)),
            Self::Gsm8k => question(id, &text("question")?, text("answer")?),
            Self::SpecBench | Self::MtBench => Item::of_user(id, first_turn(row)?, None),
            Self::CustomJsonl | Self::Builtin => {
                Item::of_user(id, text("prompt")?, row.get("response").and_then(scalar))
            }
            Self::ChatFormat => return parsers_turns(&id, row),
        };
        Ok(vec![item.in_category(category)])
    }
}

/// The text in a column.
fn text(row: &Row, column: &str) -> Result<String, String> {
    match row.get(column) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(format!("{column} is not a string")),
        None => Err(format!("{column} is missing")),
    }
}

/// A text or a number as a text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn summary(id: String, article: &str, summary: &str) -> Item {
    Item::of_user(
        id,
        format!("Article: {article}\nSummary:"),
        Some(format!(" {summary}")),
    )
}

fn continuation(id: String, article: &str) -> Item {
    let words: Vec<&str> = article.split_whitespace().collect();
    let (prompt, rest) = words.split_at(PREFIX_WORDS.min(words.len()));
    Item::of_user(id, prompt.join(" "), Some(rest.join(" ")))
}

/// A question with a plain text that ends where the answer starts.
fn question(id: String, question: &str, answer: String) -> Item {
    Item {
        text: format!("Question: {question}\nAnswer:"),
        ..Item::of_user(id, question.to_owned(), Some(answer))
    }
}

/// The first turn of a conversation, from a list or a text.
fn first_turn(row: &Row) -> Result<String, String> {
    let turns = row.get("turns").or_else(|| row.get("prompt"));
    let first = match turns {
        Some(Value::Array(turns)) => turns.first(),
        other => other,
    };
    match first {
        Some(Value::String(text)) => Ok(text.clone()),
        _ => Err("turns is not a list of strings".into()),
    }
}

/// One item for each turn of the role `PARSER`: the turns before it are the prompt.
fn parsers_turns(id: &str, row: &Row) -> Result<Vec<Item>, String> {
    const ANSWERS: &str = "PARSER";
    let fault = || "data is not a list of {\"role\", \"message\"}".to_owned();
    let turns = row
        .get("data")
        .and_then(Value::as_array)
        .ok_or_else(fault)?;
    let (mut items, mut text, mut messages) = (Vec::new(), String::new(), Vec::new());
    for turn in turns {
        let field = |name: &str| turn.get(name).and_then(Value::as_str).ok_or_else(fault);
        let (role, message) = (field("role")?, field("message")?);
        if role == ANSWERS {
            items.push(Item {
                id: format!("{id}.{}", items.len()),
                category: None,
                text: format!("{text}\n[{ANSWERS}]\n"),
                turns: messages.clone(),
                reference: Some(message.to_owned()),
            });
        }
        text += &format!("\n[{role}]\n{message}\n[/{role}]");
        messages.push(Message {
            role: match role.to_uppercase().as_str() {
                ANSWERS | "ASSISTANT" => Role::Assistant,
                "SYSTEM" => Role::System,
                _ => Role::User,
            },
            content: message.to_owned(),
        });
    }
    Ok(items)
}
