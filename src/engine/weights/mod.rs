//! Model files → tensors. Whatever the file format, names and row order are those of GGUF: `blk.{i}.attn_q.weight` and
//! so on, with the rows of q and k in the order that rotary embedding over adjacent pairs wants.

use crate::engine::{Result, config::LlamaConfig};
use candle_core::quantized::GgmlDType;
use std::borrow::Cow;

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
}

/// A model opened from files, its weights not yet read.
pub struct Checkpoint {
    /// Name for people: GGUF's `general.name`, or the folder's or repository's.
    pub name: String,
    pub config: LlamaConfig,
    pub tensors: Box<dyn TensorSource>,
    /// What the model's author recommends, where the files say so.
    pub defaults: ModelDefaults,
}

/// Settings a model brings along: `skiplens.*` metadata of a GGUF.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ModelDefaults {
    pub exit_layer: Option<usize>,
    pub num_speculations: Option<usize>,
    pub draft_vocab: Option<usize>,
}
