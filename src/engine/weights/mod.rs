//! Model files → tensors. Whatever the file format, names and row order are those of GGUF: `blk.{i}.attn_q.weight` and
//! so on, with the rows of q and k in the order that rotary embedding over adjacent pairs wants.

mod convert;
mod dtype;
pub mod gguf;
pub mod hub;
mod huggingface;
mod known;
mod lfs;
mod locate;
mod mapped;
mod shapes;

pub use dtype::Dtype;
pub use hub::{CachedModel, cached_models};
pub use known::{KNOWN_MODELS, KnownModel, PUBLISHED_BYTES, PUBLISHED_MODEL, known_model};
pub use locate::{BUNDLED_FILE, locate};

use crate::engine::text::TextParts;
use crate::engine::{Error, Result, config::LlamaConfig};
use candle_core::quantized::GgmlDType;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// One tensor as its file holds it, or as `--dtype` made it.
pub struct RawTensor<'a> {
    /// Row-major, `[rows, cols]` for matrices and `[n]` for vectors.
    pub shape: Vec<usize>,
    pub dtype: GgmlDType,
    /// Little-endian elements or ggml blocks, exactly as long as shape and type demand.
    pub data: Cow<'a, [u8]>,
}

/// Where tensors come from.
pub trait TensorSource: Send + Sync {
    /// The tensor of that name; none if the file does not hold it. Fails on a damaged file.
    fn tensor(&self, name: &str) -> Result<Option<RawTensor<'_>>>;

    /// What the file itself calls the tensor of that name.
    fn name_in_file(&self, name: &str) -> String {
        name.to_owned()
    }

    /// Its shape alone, where that is cheaper to have.
    fn shape(&self, name: &str) -> Result<Option<Vec<usize>>> {
        Ok(self.tensor(name)?.map(|tensor| tensor.shape))
    }
}

/// A model opened from files, its weights not yet read.
pub struct Checkpoint {
    /// Name for people: GGUF's `general.name`, or the folder's or repository's.
    pub name: String,
    /// The file or folder.
    pub path: PathBuf,
    pub config: LlamaConfig,
    pub tensors: Box<dyn TensorSource>,
    /// What the model's author recommends, where the files say so.
    pub defaults: ModelDefaults,
    /// Vocabulary and chat template.
    pub text: TextParts,
    /// Ids that end a turn or a text: every one that the files name as such.
    pub end_tokens: Vec<u32>,
}

/// Settings a model brings along: `skiplens.*` metadata of a GGUF.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelDefaults {
    pub exit_layer: Option<usize>,
    pub num_speculations: Option<usize>,
    pub draft_vocab: Option<usize>,
}

/// A name as long as people read: it may come out of a file.
fn short_name(name: &str) -> String {
    const MAX_CHARS: usize = 200;
    name.chars().take(MAX_CHARS).collect()
}

/// Open a model: a GGUF file, or a folder that holds one or the files of a Hugging Face repository. `dtype` says what the
/// matrices of safetensors become; a GGUF keeps its own types, so there it must be `auto`.
pub fn open(path: &Path, dtype: Dtype) -> Result<Checkpoint> {
    if !path.exists() {
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
    huggingface::open(path, dtype)
}

fn open_gguf(path: &Path, dtype: Dtype) -> Result<Checkpoint> {
    if dtype != Dtype::Auto {
        return Err(Error::Setting(format!(
            "{}: a GGUF file keeps the types it was made with; --dtype is for safetensors, so leave it out",
            path.display()
        )));
    }
    gguf::open(path)
}

/// The GGUF file of a folder; an error if there are several to choose from.
fn only_gguf(folder: &Path) -> Result<Option<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    let is_gguf = |path: &PathBuf| {
        path.extension()
            .is_some_and(|kind| kind.eq_ignore_ascii_case("gguf"))
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(is_gguf)
        .collect();
    files.sort();
    match files.as_slice() {
        [] | [_] => Ok(files.pop()),
        [first, ..] => Err(Error::Model(format!(
            "{}: {} GGUF files are in this folder; name one, such as {}",
            folder.display(),
            files.len(),
            first.display()
        ))),
    }
}
