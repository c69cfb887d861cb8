//! Solved examples before a prompt.

use super::{Item, shuffle};
use crate::engine::prompt::{Message, Role};
use crate::engine::{Error, Result};

/// Number of items of the train split to draw examples from.
pub const POOL: usize = 1000;

/// `n` items chosen by the seed.
pub fn choose(mut items: Vec<Item>, n: usize, seed: u64) -> Result<Vec<Item>> {
    items.retain(|item| item.reference.is_some());
    if items.len() < n {
        return Err(Error::Setting(format!(
            "--n-shot is {n}, but only {} examples can be taken from the train split",
            items.len()
        )));
    }
    shuffle(&mut items, seed);
    items.truncate(n);
    Ok(items)
}

/// The examples as one text, each with its answer on one line, and an empty line after each.
pub fn as_text(shots: &[Item]) -> String {
    let mut text = String::new();
    for shot in shots {
        let answer = shot
            .reference
            .as_deref()
            .unwrap_or_default()
            .replace('\n', "");
        // After a colon the answer follows on the same line, else on a new one.
        let between = match shot.text.ends_with(':') {
            true if answer.starts_with(' ') => "",
            true => " ",
            false => "\n",
        };
        text += &format!("{}{between}{answer}\n", shot.text);
    }
    if !shots.is_empty() {
        text.push('\n');
    }
    text
}

/// An example as a question and its answer.
pub fn as_turns(shot: &Item) -> Vec<Message> {
    let answer = shot
        .reference
        .as_deref()
        .unwrap_or_default()
        .trim()
        .to_owned();
    let mut turns = shot.turns.clone();
    turns.push(Message {
        role: Role::Assistant,
        content: answer,
    });
    turns
}
