//! Exit adapters and the draft order that come with a model: `NAME.exits.gguf` beside `NAME.gguf`, `exits.gguf` in a
//! Hugging Face folder, or tensors of the model's own file. `tools/tune/adapter.py` writes them.

use super::gguf::{Fault, Gguf};
use super::shapes::block_shapes;
use super::{Checkpoint, ModelDefaults, TensorSource};
use crate::engine::Result;
use crate::engine::config::LlamaConfig;
use std::path::{Path, PathBuf};

/// `general.architecture` of the file, and the prefix of its metadata.
const ARCHITECTURE: &str = "skiplens-exits";
/// The supported version of the format.
const VERSION: usize = 1;
/// The suffix of a file beside a GGUF model.
const SUFFIX: &str = ".exits.gguf";
/// The name of the file in a Hugging Face folder.
const IN_FOLDER: &str = "exits.gguf";
/// Max number of adapters, so that a damaged file cannot make us allocate much.
const MAX_ADAPTERS: usize = 64;
/// Max tokens of a draft order. Their rows of the head are stored twice.
const MAX_ORDER: usize = 32_768;
/// Default draft vocabulary of a model with a draft order.
const DRAFT_VOCAB: usize = 8192;

/// Exit adapters and draft order of a model.
pub struct Exits {
    /// The file they came from; `None` if that is the model's own.
    pub path: Option<PathBuf>,
    /// Exit layers that have an adapter, in ascending order.
    pub layers: Vec<usize>,
    /// Token ids by frequency, the most frequent first, without repetition.
    pub draft_order: Option<Vec<u32>>,
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
            tensors: Some(tensors),
        }
    }

    /// The source of the adapters' tensors; `model` is that of the model's own.
    pub fn tensors<'a>(&'a self, model: &'a dyn TensorSource) -> &'a dyn TensorSource {
        self.tensors.as_deref().unwrap_or(model)
    }

    /// Bytes that adapters and draft order take in memory besides the `model`.
    ///
    /// # Errors
    /// If a tensor cannot be read.
    pub fn weight_bytes(&self, model: &dyn TensorSource, config: &LlamaConfig) -> Result<u64> {
        let mut bytes = 0;
        if !self.layers.is_empty() {
            let source = self.tensors(model);
            let projections = self.layers.iter().map(|exit| projection(*exit));
            let block = block_shapes(config).into_iter().flatten();
            for name in projections.chain(block.map(|(name, _)| block_tensor(name))) {
                bytes += source.tensor(&name)?.map_or(0, |found| found.data.len());
            }
        }
        if let Some(order) = &self.draft_order {
            let head = match model.tensor("output.weight")? {
                None => model.tensor("token_embd.weight")?,
                found => found,
            };
            let rows = order.len().min(config.vocab_size);
            bytes += head.map_or(0, |head| head.data.len() / config.vocab_size * rows);
        }
        Ok(bytes as u64)
    }

    /// The defaults of a model whose own are `own`, on a device that runs the adapters of `adapted`: one speculation at an
    /// exit that has an adapter, which pays most, unless the model recommends others.
    pub fn defaults(
        &self,
        own: ModelDefaults,
        adapted: &[usize],
        config: &LlamaConfig,
    ) -> ModelDefaults {
        let mut defaults = own;
        if let Some(&first) = adapted.first() {
            let recommended = own.exit_layer.filter(|exit| adapted.contains(exit));
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
        Ok(self)
    }
}

/// Whether a file's name says that it holds exits, not a model.
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

/// The exit layers with an adapter and the bytes of the file beside the model, from metadata alone; `own` is the model's
/// file.
pub(super) fn claimed(model: &Path, own: Option<&Gguf>) -> (Vec<usize>, u64) {
    let beside = place(model).filter(|path| path.is_file());
    let layers = |gguf: &Gguf| read_layers(gguf, usize::MAX).unwrap_or_default();
    match beside.map(|path| Gguf::open(&path)) {
        Some(Ok(gguf)) => (layers(&gguf), gguf.weights().1),
        Some(Err(_)) => (Vec::new(), 0),
        None => (own.map(layers).unwrap_or_default(), 0),
    }
}

/// The name of the matrix P of an exit.
pub fn projection(exit: usize) -> String {
    format!("exits.{exit}.proj.weight")
}

/// The prefix of the block's tensors.
pub const BLOCK: &str = "exits.block";

/// The name of a tensor of the block; `name` as in a layer, without `.weight`.
pub fn block_tensor(name: &str) -> String {
    format!("{BLOCK}.{name}.weight")
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
            expect(gguf, &projection(*exit), &[hidden, twice])?;
        }
        for (name, shape) in block_shapes(config).ok_or("its sizes overflow")? {
            expect(gguf, &block_tensor(name), &shape)?;
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
