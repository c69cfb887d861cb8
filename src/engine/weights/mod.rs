//! Model files → tensors. Names and row order are GGUF's for every file format: `blk.{i}.attn_q.weight` and so on, with
//! the rows of q and k in the order for rotary embedding over adjacent pairs.

mod catalog;
mod choices;
mod convert;
mod describe;
mod dtype;
mod embedded;
mod exits;
mod fingerprint;
pub mod gguf;
mod hf_folder;
pub mod hub;
mod lfs;
mod mmap;
mod resolve;
mod safetensors;
mod shapes;

pub use catalog::{KNOWN_MODELS, KnownModel, PUBLISHED_BYTES, PUBLISHED_MODEL, known_model};
pub use choices::{ModelChoice, Search, memory_needed, remember};
pub use describe::{Description, describe};
pub use dtype::{Dtype, type_name};
pub use embedded::{EMBEDDED_PATH, embedded};
pub use exits::{BLOCK, Exits, is_exits_file, projection};
pub use fingerprint::fingerprint;
pub use hub::{CachedModel, cached_models};
pub use resolve::{BUNDLED_FILE, locate};
#[cfg(test)]
pub use {exits::block_tensor, shapes::block_shapes};

use crate::engine::text::TokenizerSpec;
use crate::engine::{Error, Result, config::LlamaConfig};
use candle_core::quantized::GgmlDType;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// A tensor as stored in its file, or converted by `--dtype`.
pub struct RawTensor<'a> {
    /// Row-major, `[rows, cols]` for matrices and `[n]` for vectors.
    pub shape: Vec<usize>,
    /// Type of its elements.
    pub dtype: GgmlDType,
    /// Little-endian elements or ggml blocks; the length matches shape and type.
    pub data: Cow<'a, [u8]>,
}

/// A source of tensors.
pub trait TensorSource: Send + Sync {
    /// The tensor with this name; `None` if the file does not contain it.
    ///
    /// # Errors
    ///
    /// If the file is damaged, or the tensor cannot be converted.
    fn tensor(&self, name: &str) -> Result<Option<RawTensor<'_>>>;

    /// The name of this tensor in the file.
    fn name_in_file(&self, name: &str) -> String {
        name.to_owned()
    }

    /// The shape of the tensor with this name, which may be cheaper to get than the tensor.
    ///
    /// # Errors
    ///
    /// As [`Self::tensor`].
    fn shape(&self, name: &str) -> Result<Option<Vec<usize>>> {
        Ok(self.tensor(name)?.map(|tensor| tensor.shape))
    }
}

/// A model whose files are open but whose weights have not been read.
pub struct Checkpoint {
    /// Display name: GGUF's `general.name`, or the name of the folder or repository.
    pub name: String,
    /// The file or folder.
    pub path: PathBuf,
    /// Shape of the model.
    pub config: LlamaConfig,
    /// Its weights.
    pub tensors: Box<dyn TensorSource>,
    /// Settings that the model's author recommends, if the files contain any.
    pub defaults: ModelDefaults,
    /// Vocabulary and chat template.
    pub text: TokenizerSpec,
    /// All ids that end a turn or a text.
    pub end_tokens: Vec<u32>,
    /// Adapters of its exits and the order of its draft vocabulary, if there are any.
    pub exits: Option<Exits>,
}

impl Checkpoint {
    /// Bytes of the weights with matrices of type `dtype`, estimated from the shape and the type of one matrix, and those of
    /// the exits.
    pub fn weight_bytes(&self, dtype: Dtype) -> u64 {
        let stored = || match self.tensors.tensor("blk.0.ffn_down.weight") {
            Ok(Some(tensor)) => tensor.dtype,
            _ => GgmlDType::F16,
        };
        let dtype = match dtype {
            Dtype::Auto => stored(),
            Dtype::Typed(dtype) => dtype,
        };
        let blocks = self.config.matrix_weights() / dtype.block_size() as u64;
        // A tensor that cannot be read is an error of loading.
        let exits = self.exits.as_ref().map_or(0, |exits| {
            exits
                .weight_bytes(&*self.tensors, &self.config)
                .unwrap_or(0)
        });
        blocks * dtype.type_size() as u64 + exits
    }
}

/// Settings that come with a model: `skiplens.*` metadata of a GGUF file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelDefaults {
    /// Recommended exit layer E.
    pub exit_layer: Option<usize>,
    /// Recommended number of speculations K.
    pub num_speculations: Option<usize>,
    /// Recommended size of the draft vocabulary.
    pub draft_vocab: Option<usize>,
}

/// Truncates a name to a readable length, because it may come from a file.
fn short_name(name: &str) -> String {
    const MAX_CHARS: usize = 200;
    name.chars().take(MAX_CHARS).collect()
}

/// Opens a model: a GGUF file, a folder with one, or a Hugging Face folder. Safetensors matrices are converted to
/// `dtype` when they are read. GGUF weights keep their types, so `dtype` must be `auto`.
///
/// # Errors
///
/// If the path does not exist, or is not a complete and undamaged Llama that skiplens supports.
pub fn open(path: &Path, dtype: Dtype) -> Result<Checkpoint> {
    if !path.exists() && embedded(path).is_none() {
        return Err(Error::Model(format!(
            "{}: no such file or folder",
            path.display()
        )));
    }
    if !path.is_dir() {
        return open_gguf(path, dtype);
    }
    if !path.join("config.json").exists()
        && let Some(file) = only_gguf(path)?
    {
        return open_gguf(&file, dtype);
    }
    hf_folder::open(path, dtype)
}

fn open_gguf(path: &Path, dtype: Dtype) -> Result<Checkpoint> {
    if dtype != Dtype::Auto {
        return Err(Error::Setting(format!(
            "{}: the weights of a GGUF file cannot be converted; --dtype is only for safetensors; omit it",
            path.display()
        )));
    }
    gguf::open(path)
}

/// The GGUF file of a folder, if there is one; an error if there are several.
fn only_gguf(folder: &Path) -> Result<Option<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    let is_gguf = |path: &PathBuf| {
        path.extension()
            .is_some_and(|kind| kind.eq_ignore_ascii_case("gguf"))
            && !is_exits_file(path)
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(is_gguf)
        .collect();
    files.sort();
    match files.as_slice() {
        [] | [_] => Ok(files.pop()),
        [first, ..] => Err(Error::Model(format!(
            "{}: this folder holds {} GGUF files; name one, such as {}",
            folder.display(),
            files.len(),
            first.display()
        ))),
    }
}
