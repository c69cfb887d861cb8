//! The models of a server: the one that it serves, and others that its clients load beside it.

use crate::engine::loaded_model::{LoadedModel, ModelRequest};
use crate::engine::memory::{available, human};
use crate::engine::weights::{ModelChoice, Search, describe};
use crate::engine::{Error, Progress, Result};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The model that a client holds besides its own copy; when the last client lets go, the weights are freed.
pub type Held = Mutex<Option<Arc<Mutex<LoadedModel>>>>;

/// Finds and loads models for clients. Weights are loaded once.
pub struct Models {
    own: Mutex<LoadedModel>,
    choice: ModelChoice,
    search: Search,
    /// Those of clients, by what was requested.
    others: Mutex<Vec<(String, Weak<Mutex<LoadedModel>>)>>,
}

impl Models {
    /// The models beside `own`, which was loaded by `request`.
    pub fn new(own: LoadedModel, request: ModelRequest) -> Self {
        let info = &own.info;
        let note = format!(
            "{} · {} layers · {} · served here",
            info.dtype,
            info.config.num_layers,
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
            ..Search::default()
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
        let found = self.search.run().into_iter().filter_map(|mut choice| {
            let bundled = choice.model.is_none();
            let path = match &choice.model {
                Some(name) => name.clone(),
                None => crate::engine::weights::locate(None, &mut |_, _| {})
                    .ok()?
                    .to_string_lossy()
                    .into_owned(),
            };
            if bundled {
                choice.label = "bundled model".into();
            }
            let same = |a: &Path, b: &Path| match (a.canonicalize(), b.canonicalize()) {
                (Ok(a), Ok(b)) => a == b,
                _ => a == b,
            };
            choice.model = Some(path);
            let is_own = choice
                .model
                .as_deref()
                .is_some_and(|path| same(Path::new(path), &own));
            (!is_own).then_some(choice)
        });
        std::iter::once(self.choice.clone()).chain(found).collect()
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
        *held.lock().unwrap_or_else(PoisonError::into_inner) = None;
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
        *held.lock().unwrap_or_else(PoisonError::into_inner) = Some(model);
        Ok(copy)
    }

    fn open(&self, path: &str, progress: &mut Progress) -> Result<LoadedModel> {
        let needed = describe(Path::new(path)).map_or(0, |description| description.bytes);
        if available().is_some_and(|free| needed > free) {
            return Err(Error::Setting(format!(
                "the server has no memory for {path}, which needs {}; choose a smaller model",
                human(needed)
            )));
        }
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
