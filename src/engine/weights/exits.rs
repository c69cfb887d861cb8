//! Exit adapters and the draft order that come with a model: `NAME.exits.gguf` beside `NAME.gguf`, `exits.gguf` in a
//! Hugging Face folder, or tensors of the model's own file. `tools/tune/adapter.py` writes them.

use super::gguf::{Fault, Gguf, read_defaults};
use super::shapes::block_shapes;
use super::{Checkpoint, ModelDefaults, TensorSource, embedded};
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
    /// For each exit layer, from 0 to L - 1, the one whose adapter drafts there, if any: its own, or that of another exit
    /// where it accepts more than the model's own head.
    pub adapter_of: Vec<Option<usize>>,
    /// Token ids by frequency, the most frequent first, without repetition.
    pub draft_order: Option<Vec<u32>>,
    /// Settings that pay most with the adapters.
    recommended: ModelDefaults,
    /// `exits.{E}.proj.weight` `[hidden, 2 × hidden]` of each exit, and `exits.block.*`, named and shaped as those of a
    /// layer; `None` if they are among the model's own tensors.
    tensors: Option<Box<dyn TensorSource>>,
}

impl Exits {
    /// Adapters whose tensors are in memory.
    pub fn in_memory(
        layers: Vec<usize>,
        adapter_of: Vec<Option<usize>>,
        tensors: Box<dyn TensorSource>,
    ) -> Self {
        Self {
            path: None,
            layers,
            adapter_of,
            draft_order: None,
            recommended: ModelDefaults::default(),
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

    /// The defaults of a model whose own are `own`, on a device that runs the adapters of `adapted`: what the file of the
    /// exits recommends, else what the model does if it is an exit with an adapter, else one speculation at the first
    /// exit that has one.
    pub fn defaults(
        &self,
        own: ModelDefaults,
        adapted: &[usize],
        config: &LlamaConfig,
    ) -> ModelDefaults {
        let mut defaults = own;
        if let Some(&first) = adapted.first() {
            let adapts = |exit: &usize| self.adapter_of.get(*exit).copied().flatten().is_some();
            let own_exit = own.exit_layer.filter(adapts);
            let recommended = self.recommended.exit_layer.or(own_exit);
            defaults.exit_layer = Some(recommended.unwrap_or(first));
            let speculations = self.recommended.num_speculations;
            defaults.num_speculations = speculations.or(own.num_speculations).or(Some(1));
        }
        if self.draft_order.is_some() {
            let vocab = DRAFT_VOCAB.min(config.vocab_size);
            let recommended = self.recommended.draft_vocab.or(own.draft_vocab);
            defaults.draft_vocab = recommended.or(Some(vocab));
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
        self.exits = match beside(&self.path) {
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

/// The file of a model's exits, if there is one.
fn beside(model: &Path) -> Option<PathBuf> {
    let path = if model.is_dir() {
        model.join(IN_FOLDER)
    } else {
        let mut name = model.file_stem()?.to_owned();
        name.push(SUFFIX);
        model.with_file_name(name)
    };
    (path.is_file() || embedded(&path).is_some()).then_some(path)
}

/// The exit layers with an adapter and the bytes of the file beside the model, from metadata alone; `own` is the model's
/// file.
pub(super) fn claimed(model: &Path, own: Option<&Gguf>) -> (Vec<usize>, u64) {
    let layers = |gguf: &Gguf| read_layers(gguf, usize::MAX).unwrap_or_default();
    match beside(model).map(|path| Gguf::open(&path)) {
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
    let exits = read(&gguf, config).map_err(advice)?;
    let recommended = read_defaults(&gguf, config).map_err(advice)?;
    Ok(Exits {
        path: Some(path.to_owned()),
        recommended,
        tensors: Some(Box::new(gguf)),
        ..exits
    })
}

/// The exits in a model's own file, if it has any.
pub(super) fn in_model(gguf: &Gguf, config: &LlamaConfig) -> Result<Option<Exits>, Fault> {
    if !gguf.metadata().contains(&key("version")) {
        return Ok(None);
    }
    read(gguf, config).map(Some)
}

fn key(name: &str) -> String {
    format!("{ARCHITECTURE}.{name}")
}

/// Reads the metadata of exits and checks all shapes.
fn read(gguf: &Gguf, config: &LlamaConfig) -> Result<Exits, Fault> {
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
    Ok(Exits {
        path: None,
        adapter_of: read_adapter_of(gguf, &layers, config.num_layers)?,
        layers,
        draft_order: read_order(gguf, config.vocab_size)?,
        recommended: ModelDefaults::default(),
        tensors: None,
    })
}

/// The exits whose adapters are used, by exit; without the metadata, exits use their own.
fn read_adapter_of(
    gguf: &Gguf,
    layers: &[usize],
    num_layers: usize,
) -> Result<Vec<Option<usize>>, Fault> {
    let name = key("adapter_of_exit");
    let own = |exit: usize| layers.contains(&exit).then_some(exit);
    let Some(listed) = gguf.metadata().integers(&name)? else {
        return Ok((0..num_layers).map(own).collect());
    };
    if listed.len() != num_layers {
        let found = listed.len();
        return Err(format!(
            "{name} has {found} elements for a model of {num_layers} layers"
        ));
    }
    let check = |(exit, used): (usize, i32)| match (own(exit), usize::try_from(used)) {
        (None, Ok(0)) => Ok(None),
        (None, Ok(used)) if exit > 0 && layers.contains(&used) => Ok(Some(used)),
        (Some(exit), Ok(used)) if exit == used => Ok(Some(exit)),
        _ => Err(format!(
            "{name} says {used} for exit {exit}, which is neither 0 nor an exit with an adapter, or not its own"
        )),
    };
    (0..).zip(listed).map(check).collect()
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
