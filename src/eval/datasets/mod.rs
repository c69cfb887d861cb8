//! Prompts to measure on, with their references: LayerSkip's data sets and others, from files, from the Hugging Face
//! hub, or built in.

mod builtin;
mod files;
mod hub;
mod known;
mod parquet;
mod rows;
mod shots;

pub use builtin::builtin_prompts;
pub use known::{DatasetName, dataset_names};

use crate::engine::prompt::{Message, Prompt, Role};
use crate::engine::sampling::noise::{PositionNoise, Stream};
use crate::engine::{Error, Progress, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The placeholder of the prompt in a template.
pub const MESSAGE: &str = "{message}";

/// Selects prompts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetRequest {
    pub name: DatasetName,
    /// A file or a folder of files; `None` for the hub, or for the built-in prompts.
    pub path: Option<PathBuf>,
    /// Number of prompts; `None` for all.
    pub num_samples: Option<usize>,
    /// Number of solved examples before each prompt.
    pub n_shot: usize,
    /// A text in which the prompt replaces [`MESSAGE`].
    pub template: Option<String>,
    pub shuffle: bool,
    pub seed: u64,
    /// Whether prompts go through the model's chat template; `None` for the data set's default.
    pub chat: Option<bool>,
}

/// Prompts with their references.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// The file or the repository.
    pub source: String,
    pub examples: Vec<Example>,
}

/// One prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// The data set's own id, or the number of its row from 0.
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    pub prompt: Prompt,
    /// The reference answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// A row of a data set as a prompt and its answer, before templates.
#[derive(Debug, Clone, PartialEq)]
struct Item {
    id: String,
    category: Option<String>,
    /// The prompt as one text, and as the turns of a conversation.
    text: String,
    turns: Vec<Message>,
    reference: Option<String>,
}

impl Item {
    /// A question of the user.
    fn of_user(id: String, text: String, reference: Option<String>) -> Self {
        let turns = vec![Message {
            role: Role::User,
            content: text.clone(),
        }];
        Self {
            id,
            category: None,
            text,
            turns,
            reference,
        }
    }

    fn in_category(mut self, category: Option<String>) -> Self {
        self.category = category;
        self
    }
}

/// A data set before the choice between plain prompts and the chat template.
pub struct Items<'a> {
    request: &'a DatasetRequest,
    source: String,
    items: Vec<Item>,
    shots: Vec<Item>,
}

impl DatasetRequest {
    /// Reads the data set.
    ///
    /// # Errors
    /// If it cannot be read or found, lacks a column or a split, or no prompt is selected.
    pub fn read(&self, progress: &mut Progress) -> Result<Items<'_>> {
        self.check()?;
        let (source, mut items) = self.read_split(progress)?;
        if items.is_empty() {
            return Err(Error::Setting(format!("{source} has no examples")));
        }
        if self.shuffle {
            shuffle(&mut items, self.seed);
        }
        items.truncate(self.num_samples.unwrap_or(usize::MAX));
        let shots = match self.n_shot {
            0 => Vec::new(),
            n => shots::choose(self.training_items(progress)?, n, self.seed)?,
        };
        Ok(Items {
            request: self,
            source,
            items,
            shots,
        })
    }

    fn check(&self) -> Result<()> {
        let fault = |words: String| Err(Error::Setting(words));
        if self.num_samples == Some(0) {
            return fault("--num-samples is 0, so there is nothing to measure".into());
        }
        let template = self.template.as_ref();
        if template.is_some_and(|template| !template.contains(MESSAGE)) {
            return fault(format!(
                "--template lacks {MESSAGE}, which stands for the prompt"
            ));
        }
        if self.n_shot > 0 && !self.name.has_training_split() {
            return fault(format!(
                "{} has no train split to take --n-shot examples from",
                self.name
            ));
        }
        if self.name == DatasetName::Builtin && self.path.is_some() {
            return fault(
                "--data-path has nothing to name: the builtin prompts are part of the program"
                    .into(),
            );
        }
        Ok(())
    }

    /// The items to measure, and their source.
    fn read_split(&self, progress: &mut Progress) -> Result<(String, Vec<Item>)> {
        if self.name == DatasetName::Builtin {
            return Ok(("the prompts of skiplens".into(), builtin::items()?));
        }
        let paths = self.files(self.name.split(), progress)?;
        // Shuffling needs all items; otherwise the first ones are enough.
        let enough = match self.shuffle {
            true => usize::MAX,
            false => self.num_samples.unwrap_or(usize::MAX),
        };
        let mut items = Vec::new();
        for path in &paths {
            if items.len() < enough {
                items.extend(self.name.items(path, enough - items.len())?);
            }
        }
        let named = paths.first().map(|path| path.display().to_string());
        Ok((named.unwrap_or_default(), items))
    }

    /// Items of the train split for the examples.
    fn training_items(&self, progress: &mut Progress) -> Result<Vec<Item>> {
        if self.path.as_ref().is_some_and(|path| !path.is_dir()) {
            return Err(Error::Setting(format!(
                "--n-shot takes its examples from the train split; make --data-path a folder that holds a train and a \
                 {} file",
                self.name.split()
            )));
        }
        match self.files("train", progress)?.first() {
            Some(first) => self.name.items(first, shots::POOL),
            None => Ok(Vec::new()),
        }
    }

    fn files(&self, split: &str, progress: &mut Progress) -> Result<Vec<PathBuf>> {
        match (&self.path, self.name.on_hub()) {
            (Some(path), _) => files::of_path(path, split),
            (None, Some(place)) => hub::fetch(place, split, progress),
            (None, None) => Err(Error::Setting(format!(
                "{} is not on the Hugging Face hub; give --data-path FILE ({})",
                self.name,
                self.name.whereabouts()
            ))),
        }
    }
}

impl Items<'_> {
    /// The prompts for a model with or without a chat template.
    ///
    /// # Errors
    /// If the chat template is requested and the model has none.
    pub fn prompts(self, has_template: bool) -> Result<Dataset> {
        let wanted = self.request.chat;
        if wanted == Some(true) && !has_template {
            return Err(Error::Setting(
                "--chat: this model has no chat template that can be used".into(),
            ));
        }
        let chat = wanted.unwrap_or(self.request.name.is_chat() && has_template);
        let Self {
            request,
            source,
            items,
            shots,
        } = self;
        let examples = items
            .into_iter()
            .map(|item| request.example(item, &shots, chat))
            .collect();
        Ok(Dataset { source, examples })
    }
}

impl DatasetRequest {
    /// Applies examples and template to an item.
    fn example(&self, item: Item, shots: &[Item], chat: bool) -> Example {
        let around = |text: &str| match &self.template {
            Some(template) => template.replace(MESSAGE, text),
            None => text.to_owned(),
        };
        let prompt = if chat {
            let mut turns: Vec<Message> = shots.iter().flat_map(shots::as_turns).collect();
            let mut own = item.turns;
            if let Some(last) = own.iter_mut().rfind(|turn| turn.role == Role::User) {
                last.content = around(&last.content);
            }
            turns.extend(own);
            Prompt::Chat(turns)
        } else {
            Prompt::Text(around(&(shots::as_text(shots) + &item.text)))
        };
        Example {
            id: item.id,
            category: item.category,
            prompt,
            reference: item.reference,
        }
    }
}

/// Shuffles items by the seed (Fisher and Yates).
fn shuffle<T>(items: &mut [T], seed: u64) {
    for at in (1..items.len()).rev() {
        let uniform = PositionNoise::new(seed, at, Stream::Draft).uniform(0);
        items.swap(at, (uniform * (at + 1) as f64) as usize);
    }
}

#[cfg(test)]
mod tests;
