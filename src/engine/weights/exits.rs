//! Exit adapters and the draft order that come with a model: `NAME.exits.gguf` beside `NAME.gguf`, `exits.gguf` in a
//! folder, or tensors of the model's own file. `tools/tune/adapter.py` writes them.

use super::gguf::{Fault, Gguf};
use super::shapes::block_shapes;
use super::{Checkpoint, ModelDefaults, TensorSource};
use crate::engine::Result;
use crate::engine::config::LlamaConfig;
use std::path::{Path, PathBuf};

/// The prefix of its metadata, and its architecture.
const ARCHITECTURE: &str = "skiplens-exits";
/// The version that is read.
const VERSION: usize = 1;
/// The end of the name of a file beside a model.
const SUFFIX: &str = ".exits.gguf";
/// The file in the folder of a model.
const IN_FOLDER: &str = "exits.gguf";
/// The number of exits that may have an adapter.
const MAX_ADAPTERS: usize = 64;
/// Tokens of a draft order that are used; the rows of the head that belong to them are stored twice.
const MAX_ORDER: usize = 32_768;
/// Draft vocabulary where the file has an order and the model recommends none.
const DRAFT_VOCAB: usize = 8192;

/// What a model's exits have beyond its own layers.
pub struct Exits {
    /// The file it came from; `None` if it is the model's own.
    pub path: Option<PathBuf>,
    /// Exit layers that have an adapter, in ascending order.
    pub layers: Vec<usize>,
    /// Token ids by frequency, the most frequent first, without repetition.
    pub draft_order: Option<Vec<u32>>,
    /// What the model recommends without adapters.
    pub own_defaults: ModelDefaults,
    /// `exits.{E}.proj.weight` `[hidden, 2 × hidden]` of each exit, and `exits.block.*`, named and shaped as those of a
    /// layer; `None` if they are among the model's own tensors.
    tensors: Option<Box<dyn TensorSource>>,
}

impl Exits {
    /// Adapters whose tensors are in memory.
    pub fn in_memory(layers: Vec<usize>, tensors: Box<dyn TensorSource>) -> Self {
        Self {
            path: None,
            layers,
            draft_order: None,
            own_defaults: ModelDefaults::default(),
            tensors: Some(tensors),
        }
    }

    /// Where its tensors are; `model` are those of the model.
    pub fn tensors<'a>(&'a self, model: &'a dyn TensorSource) -> &'a dyn TensorSource {
        self.tensors.as_deref().unwrap_or(model)
    }

    /// The settings of a model with these exits: an exit layer that has an adapter, and one speculation, which pays most,
    /// unless the model recommends others.
    pub fn defaults(&self, own: ModelDefaults, config: &LlamaConfig) -> ModelDefaults {
        let mut defaults = own;
        if let Some(&first) = self.layers.first() {
            let recommended = own.exit_layer.filter(|exit| self.layers.contains(exit));
            defaults.exit_layer = Some(recommended.unwrap_or(first));
            defaults.num_speculations = own.num_speculations.or(Some(1));
        }
        if self.draft_order.is_some() {
            let vocab = DRAFT_VOCAB.min(config.vocab_size);
            defaults.draft_vocab = own.draft_vocab.or(Some(vocab));
        }
        defaults
    }
}

impl Checkpoint {
    /// The checkpoint with what belongs to its exits, if there is any beside it or in its own file.
    ///
    /// # Errors
    /// If the file of the exits is damaged or belongs to another model.
    pub(super) fn with_exits(mut self, own: Option<Exits>) -> Result<Self> {
        let beside = place(&self.path).filter(|path| path.is_file());
        self.exits = match beside {
            Some(path) => Some(open(&path, &self.config)?),
            None => own,
        };
        if let Some(exits) = &mut self.exits {
            exits.own_defaults = self.defaults;
            self.defaults = exits.defaults(self.defaults, &self.config);
        }
        Ok(self)
    }
}

/// Whether a file is named as one of exits, and so is no model.
pub fn is_exits_file(path: &Path) -> bool {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().to_ascii_lowercase());
    name.is_some_and(|name| name == IN_FOLDER || name.ends_with(SUFFIX))
}

/// Where the file of a model's exits would be.
pub(super) fn place(model: &Path) -> Option<PathBuf> {
    if model.is_dir() {
        return Some(model.join(IN_FOLDER));
    }
    let mut name = model.file_stem()?.to_owned();
    name.push(SUFFIX);
    Some(model.with_file_name(name))
}

/// The exit layers with an adapter, as the file beside the model or its `own` claims, without looking at tensors.
pub(super) fn claimed_layers(model: &Path, own: Option<&Gguf>) -> Vec<usize> {
    let beside = place(model).filter(|path| path.is_file());
    let layers = match beside {
        Some(path) => Gguf::open(&path)
            .ok()
            .and_then(|gguf| read_layers(&gguf, usize::MAX).ok()),
        None => own.and_then(|gguf| read_layers(gguf, usize::MAX).ok()),
    };
    layers.unwrap_or_default()
}

/// Opens a file of exits.
fn open(path: &Path, config: &LlamaConfig) -> Result<Exits> {
    let gguf = Gguf::open(path)?;
    let advice = |fault: Fault| {
        gguf.fault(format!(
            "{fault}; make it again with tools/tune/adapter.py, or move the file away to run the model without it"
        ))
    };
    match gguf.metadata().string("general.architecture") {
        Ok(Some(ARCHITECTURE)) => {}
        other => {
            let found = other.ok().flatten().unwrap_or("none").to_owned();
            return Err(advice(format!(
                "its architecture is {found:?}, not {ARCHITECTURE:?}: not a file of exit adapters"
            )));
        }
    }
    let (layers, draft_order) = read(&gguf, config).map_err(advice)?;
    Ok(Exits {
        path: Some(path.to_owned()),
        layers,
        draft_order,
        own_defaults: ModelDefaults::default(),
        tensors: Some(Box::new(gguf)),
    })
}

/// The exits in a model's own file, if it has any.
pub(super) fn in_model(gguf: &Gguf, config: &LlamaConfig) -> Result<Option<Exits>, Fault> {
    if !gguf.metadata().contains(&key("version")) {
        return Ok(None);
    }
    let (layers, draft_order) = read(gguf, config)?;
    Ok(Some(Exits {
        path: None,
        layers,
        draft_order,
        own_defaults: ModelDefaults::default(),
        tensors: None,
    }))
}

fn key(name: &str) -> String {
    format!("{ARCHITECTURE}.{name}")
}

type Read = (Vec<usize>, Option<Vec<u32>>);

/// Reads the metadata and checks all shapes.
fn read(gguf: &Gguf, config: &LlamaConfig) -> Result<Read, Fault> {
    let meta = gguf.metadata();
    match meta.count(&key("version"))? {
        Some(VERSION) => {}
        Some(version) => {
            return Err(format!(
                "version {version} of exit adapters; skiplens reads version {VERSION}"
            ));
        }
        None => return Err(format!("metadata {} is missing", key("version"))),
    }
    for (name, expected) in [
        ("block_count", config.num_layers),
        ("embedding_length", config.hidden_size),
        ("vocab_size", config.vocab_size),
    ] {
        let found = meta.count(&key(name))?;
        if found.is_some_and(|found| found != expected) {
            return Err(format!(
                "made for another model: its {name} is {}, that of the model is {expected}",
                found.unwrap_or_default()
            ));
        }
    }
    let layers = read_layers(gguf, config.num_layers)?;
    if !layers.is_empty() {
        let hidden = config.hidden_size;
        let twice = hidden.checked_mul(2).ok_or("its sizes overflow")?;
        for exit in &layers {
            expect(gguf, &format!("exits.{exit}.proj.weight"), &[hidden, twice])?;
        }
        for (name, shape) in block_shapes(config).ok_or("its sizes overflow")? {
            expect(gguf, &format!("exits.block.{name}.weight"), &shape)?;
        }
    }
    Ok((layers, read_order(gguf, config.vocab_size)?))
}

/// The exits with an adapter, ascending.
fn read_layers(gguf: &Gguf, num_layers: usize) -> Result<Vec<usize>, Fault> {
    let name = key("exit_layers");
    let listed = gguf.metadata().integers(&name)?.unwrap_or_default();
    if listed.len() > MAX_ADAPTERS {
        return Err(format!("{name} lists {} exits", listed.len()));
    }
    let layers: Vec<usize> = listed
        .iter()
        .map(|&layer| {
            let layer = usize::try_from(layer).unwrap_or(0);
            match (1..num_layers).contains(&layer) {
                true => Ok(layer),
                false => Err(format!(
                    "{name} has {layer}; exits of a model of {num_layers} layers are 1 to {}",
                    num_layers.saturating_sub(1)
                )),
            }
        })
        .collect::<Result<_, _>>()?;
    match layers.is_sorted_by(|a, b| a < b) {
        true => Ok(layers),
        false => Err(format!("{name} is not in ascending order")),
    }
}

/// The draft order, as far as it is used.
fn read_order(gguf: &Gguf, vocab_size: usize) -> Result<Option<Vec<u32>>, Fault> {
    let name = key("draft_order");
    let Some(listed) = gguf.metadata().integers(&name)? else {
        return Ok(None);
    };
    let mut seen = vec![false; vocab_size];
    let mut order = Vec::with_capacity(listed.len().min(MAX_ORDER));
    for id in listed.into_iter().take(MAX_ORDER) {
        let slot = usize::try_from(id).ok().and_then(|id| seen.get_mut(id));
        match slot {
            Some(seen) if !*seen => *seen = true,
            _ => {
                return Err(format!(
                    "{name} has the token {id} twice, or beyond a vocabulary of {vocab_size}"
                ));
            }
        }
        order.push(id as u32);
    }
    match order.is_empty() {
        true => Err(format!("{name} is empty")),
        false => Ok(Some(order)),
    }
}

fn expect(gguf: &Gguf, name: &str, shape: &[usize]) -> Result<(), Fault> {
    match gguf.shape_of(name) {
        None => Err(format!("tensor {name} is missing")),
        Some(found) if found != shape => Err(format!(
            "tensor {name} has the shape {found:?}, but this model needs {shape:?}"
        )),
        Some(_) => Ok(()),
    }
}
