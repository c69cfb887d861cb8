//! The models of a server: its own, and others that clients load beside it.

use crate::engine::loaded_model::{LoadedModel, ModelRequest};
use crate::engine::memory::{available, human};
use crate::engine::weights::{ModelChoice, Search, describe, memory_needed};
use crate::engine::{Error, Progress, Result};
use crate::plural::counted;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The model that a client has loaded beside the server's own, which keeps its weights in memory.
#[derive(Default)]
pub struct Held(Mutex<Option<Shared>>);

/// A loaded model. Its weights are freed when the last client lets go.
type Shared = Arc<Mutex<LoadedModel>>;

impl Held {
    fn set(&self, model: Option<Shared>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = model;
    }
}

/// Finds and loads models for clients. Weights are loaded once.
pub struct Models {
    own: Mutex<LoadedModel>,
    choice: ModelChoice,
    search: Search,
    /// Those of clients, by their paths.
    others: Mutex<Vec<(String, Weak<Mutex<LoadedModel>>)>>,
}

impl Models {
    /// The models beside `own`, which was loaded by `request`; others are found in `folders` as well.
    pub fn new(own: LoadedModel, request: ModelRequest, folders: Vec<String>) -> Self {
        let info = &own.info;
        let note = format!(
            "{} · {} · {} · served here",
            info.dtype,
            counted(info.config.num_layers, "layer"),
            human(info.weight_bytes)
        );
        let choice = ModelChoice {
            model: None,
            label: info.name.clone(),
            note,
            help: String::new(),
        };
        let search = Search {
            request,
            folders,
            in_use: 0,
            downloads: false,
            bundled_by_path: true,
        };
        Self {
            own: Mutex::new(own),
            choice,
            search,
            others: Mutex::default(),
        }
    }

    /// The models that clients can load: the server's own first, then those on its disk.
    pub fn list(&self) -> Vec<ModelChoice> {
        let own = self.own().info.path.clone();
        let is_own = |path: &str| match (Path::new(path).canonicalize(), own.canonicalize()) {
            (Ok(a), Ok(b)) => a == b,
            _ => Path::new(path) == own,
        };
        let other =
            |choice: &ModelChoice| choice.model.as_deref().is_some_and(|path| !is_own(path));
        let others = self.search.run().into_iter().filter(other);
        std::iter::once(self.choice.clone()).chain(others).collect()
    }

    /// Loads a model for a client, which holds it in `held` besides.
    ///
    /// # Errors
    /// If it is none of [`Self::list`], does not fit into memory, or cannot be loaded.
    pub fn load(
        &self,
        request: &ModelRequest,
        held: &Held,
        progress: &mut Progress,
    ) -> Result<LoadedModel> {
        held.set(None);
        let wanted = request
            .model
            .as_deref()
            .filter(|name| *name != self.choice.label);
        let Some(wanted) = wanted else {
            return Ok(self.own().share());
        };
        let choices = self.list();
        let found = choices
            .iter()
            .find(|choice| choice.label == wanted || choice.model.as_deref() == Some(wanted));
        let Some(choice) = found else {
            return Err(Error::Setting(format!(
                "the server has no model {wanted:?}; its list of models shows what it has"
            )));
        };
        let Some(path) = choice.model.clone() else {
            return Ok(self.own().share());
        };
        progress("waiting for the server", None);
        // One load after the other, so that each knows what memory is left.
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.retain(|(_, model)| model.strong_count() > 0);
        let there = others.iter().find(|(name, _)| *name == path);
        let model = match there.and_then(|(_, model)| model.upgrade()) {
            Some(model) => model,
            None => {
                let model = Arc::new(Mutex::new(self.open(&path, progress)?));
                others.push((path, Arc::downgrade(&model)));
                model
            }
        };
        let copy = model.lock().unwrap_or_else(PoisonError::into_inner).share();
        held.set(Some(model));
        Ok(copy)
    }

    fn open(&self, path: &str, progress: &mut Progress) -> Result<LoadedModel> {
        let bytes = describe(Path::new(path)).map_or(0, |description| description.bytes);
        check_memory(path, bytes, available())?;
        let request = ModelRequest {
            model: Some(path.to_owned()),
            save: None,
            ..self.search.request.clone()
        };
        let mut model = LoadedModel::load(&request, progress)?;
        model.set_turns(self.own().turns().clone());
        Ok(model)
    }

    fn own(&self) -> MutexGuard<'_, LoadedModel> {
        // It is only read.
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks that a model fits into the memory that is free, as the list of models says it.
fn check_memory(path: &str, bytes: u64, free: Option<u64>) -> Result<()> {
    let needed = memory_needed(bytes);
    match free.filter(|free| needed > *free) {
        None => Ok(()),
        Some(free) => Err(Error::Setting(format!(
            "{path} does not fit: it needs about {} of the server's memory, of which {} are free; choose a smaller model",
            human(needed),
            human(free)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_with_its_cache_is_not_loaded() {
        let free = Some(1_000_000_000);
        assert!(check_memory("m.gguf", 800_000_000, free).is_ok());
        assert!(check_memory("m.gguf", u64::MAX, None).is_ok());
        let fault = check_memory("m.gguf", 900_000_000, free).unwrap_err();
        let told = fault.to_string();
        assert!(
            told.contains("does not fit") && told.contains("1.0 GB"),
            "{told}"
        );
    }
}
