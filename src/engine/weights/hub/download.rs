//! Downloads models into the cache.

use super::Hub;
use super::errors::{Trouble, explain};
use super::model::{FileChoice, HubModel, is_gguf, is_safe_path};
use crate::engine::Progress;
use crate::engine::config::hf as config;
use crate::engine::weights::hf_folder::read_json;
use crate::engine::weights::safetensors::{INDEX_FILE, SINGLE_FILE, weight_files};
use crate::engine::{Error, Result};
use hf_hub::Cache;
use hf_hub::api::sync::{ApiBuilder, ApiRepo};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Files other than the weights. Only the first two are required.
const SMALL_FILES: [&str; 7] = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
];

impl Hub {
    /// Downloads the missing files of a model. Interrupted downloads are resumed.
    ///
    /// # Errors
    ///
    /// If the hub cannot be reached or denies access, or skiplens does not support the model.
    pub(super) fn download(&self, model: &HubModel, progress: &mut Progress) -> Result<PathBuf> {
        progress(&format!("looking up {}", model.repository), None);
        let repo = self.repository(model)?;
        let info = repo.info().map_err(|e| self.trouble(model, e))?;
        let files: Vec<&str> = info
            .siblings
            .iter()
            .map(|file| file.rfilename.as_str())
            .filter(|f| is_safe_path(f))
            .collect();
        let mut fetch = |name: &str| self.fetch_file(&repo, model, name, progress);
        if model.file.is_none() && (files.contains(&SINGLE_FILE) || files.contains(&INDEX_FILE)) {
            return self.download_folder(&files, &mut fetch);
        }
        match model.choose_gguf(&files) {
            Some(file) => fetch(file),
            None => Err(no_weights(model, &files)),
        }
    }

    /// Downloads the small files first, so that an unsupported model is rejected before its weights are downloaded.
    fn download_folder(
        &self,
        files: &[&str],
        fetch: &mut dyn FnMut(&str) -> Result<PathBuf>,
    ) -> Result<PathBuf> {
        let config_path = fetch("config.json")?;
        let json = read_json(&config_path)?.unwrap_or_default();
        config::parse(&json, &config_path)?;
        for name in SMALL_FILES.into_iter().filter(|name| files.contains(name)) {
            fetch(name)?;
        }
        let folder = config_path.parent().map(Path::to_owned).unwrap_or_default();
        if files.contains(&SINGLE_FILE) {
            fetch(SINGLE_FILE)?;
            return Ok(folder);
        }
        fetch(INDEX_FILE)?;
        for name in weight_files(&folder)?.unwrap_or_default() {
            fetch(&name)?;
        }
        Ok(folder)
    }

    fn repository(&self, model: &HubModel) -> Result<ApiRepo> {
        let api = ApiBuilder::from_cache(Cache::new(self.cache.clone()))
            .with_endpoint(self.endpoint.clone())
            .with_token(self.token.clone())
            .with_progress(false)
            .with_retries(3)
            .build()
            .map_err(|e| self.trouble(model, e))?;
        Ok(api.model(model.repository.clone()))
    }

    /// Downloads a file if necessary and returns its path in the cache.
    fn fetch_file(
        &self,
        repo: &ApiRepo,
        model: &HubModel,
        name: &str,
        progress: &mut Progress,
    ) -> Result<PathBuf> {
        let cached = self
            .snapshot(&model.repository)
            .map(|folder| folder.join(name))
            .filter(|path| path.is_file());
        if let Some(path) = cached {
            return Ok(path);
        }
        let stage = format!("downloading {name}");
        progress(&stage, Some(0.0));
        let meter = Meter {
            stage,
            progress,
            done: 0,
            total: 0,
            reported: Instant::now(),
        };
        repo.download_with_progress(name, meter)
            .map_err(|e| self.trouble(model, e))
    }

    fn trouble(&self, model: &HubModel, error: hf_hub::api::sync::ApiError) -> Error {
        let trouble = Trouble {
            model,
            endpoint: &self.endpoint,
            has_token: self.token.is_some(),
        };
        explain(&trouble, error)
    }
}

fn no_weights(model: &HubModel, files: &[&str]) -> Error {
    let ggufs: Vec<_> = files.iter().copied().filter(|file| is_gguf(file)).collect();
    let held = if ggufs.is_empty() {
        "no safetensors and no GGUF files".into()
    } else {
        ggufs.join(", ")
    };
    Error::Model(match &model.file {
        None => format!(
            "{} has no weights that skiplens can read: {held}",
            model.repository
        ),
        Some(FileChoice::Path(file) | FileChoice::Tag(file)) => {
            format!("{} has no GGUF file {file}: {held}", model.repository)
        }
    })
}

/// Reports the progress of a download a few times per second.
struct Meter<'a, 'p> {
    stage: String,
    progress: &'a mut Progress<'p>,
    done: usize,
    total: usize,
    reported: Instant,
}

impl hf_hub::api::Progress for Meter<'_, '_> {
    fn init(&mut self, size: usize, _filename: &str) {
        self.total = size;
        self.done = 0;
    }

    fn update(&mut self, size: usize) {
        self.done += size;
        if self.reported.elapsed() >= Duration::from_millis(50) {
            self.reported = Instant::now();
            (self.progress)(
                &self.stage,
                (self.total > 0).then(|| self.done as f32 / self.total as f32),
            );
        }
    }

    fn finish(&mut self) {
        (self.progress)(&self.stage, Some(1.0));
    }
}
