//! The Hugging Face hub and its local cache, which other programs share.

mod cached;
mod download;
mod errors;
mod model;

pub use cached::{CachedModel, cached_models};
pub use model::HubModel;

use crate::engine::Progress;
use crate::engine::{Error, Result};
use std::path::PathBuf;

/// Access to the hub and its cache.
#[derive(Clone)]
pub struct Hub {
    /// The cache, with a folder for each repository.
    pub cache: PathBuf,
    /// URL of the hub.
    pub endpoint: String,
    /// Access token.
    pub token: Option<String>,
    /// Whether only the cache may be used.
    pub offline: bool,
}

impl Hub {
    /// Reads the hub's standard environment variables: `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN` and
    /// `HF_HUB_OFFLINE`.
    ///
    /// # Errors
    ///
    /// If there is no home folder.
    pub fn from_env() -> Result<Self> {
        let variable = |name: &str| {
            std::env::var(name)
                .ok()
                .filter(|value| !value.trim().is_empty())
        };
        let home = match variable("HF_HOME") {
            Some(home) => PathBuf::from(home),
            None => default_home()?,
        };
        let logged_in = || {
            std::fs::read_to_string(home.join("token"))
                .ok()
                .filter(|token| !token.trim().is_empty())
        };
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        Ok(Self {
            cache: variable("HF_HUB_CACHE").map_or_else(|| home.join("hub"), PathBuf::from),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: variable("HF_TOKEN")
                .or_else(logged_in)
                .map(|token| token.trim().to_owned()),
            offline: variable("HF_HUB_OFFLINE").is_some_and(|value| is_true(&value)),
        })
    }

    /// The file or folder of a model, from the cache if it is complete, else downloaded.
    ///
    /// # Errors
    ///
    /// If the model is not on the hub, the hub cannot be reached or denies access, or the disk is full.
    pub fn fetch(&self, model: &HubModel, progress: &mut Progress) -> Result<PathBuf> {
        if let Some(path) = self.cached(model) {
            return Ok(path);
        }
        if self.offline {
            return Err(Error::Model(format!(
                "{model} is not in the cache {}, and HF_HUB_OFFLINE forbids downloading it",
                self.cache.display()
            )));
        }
        self.download(model, progress)
    }
}

fn default_home() -> Result<PathBuf> {
    let base = directories::BaseDirs::new().ok_or_else(|| {
        Error::Model(
            "there is no home folder for the cache of the Hugging Face hub; set HF_HOME".into(),
        )
    })?;
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(|| base.home_dir().join(".cache"), PathBuf::from);
    Ok(cache.join("huggingface"))
}

fn is_true(value: &str) -> bool {
    matches!(
        value.trim().to_ascii_lowercase().as_str(),
        "1" | "true" | "yes" | "on"
    )
}
