//! Safetensors as a source of tensors under GGUF's names.

use super::names;
use super::shard::Shard;
use super::shards::find_shards;
use crate::engine::config::LlamaConfig;
use crate::engine::weights::convert::{self, Dense, Matrix};
use crate::engine::weights::{Dtype, RawTensor, TensorSource};
use crate::engine::{Error, Result};
use safetensors::Dtype as FileDtype;
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

/// The tensors of a folder.
pub struct SafetensorsSource {
    shards: Vec<Shard>,
    /// GGUF name → which shard, and the name there.
    index: HashMap<String, (usize, String)>,
    dtype: Dtype,
    head_dim: usize,
}

impl SafetensorsSource {
    pub fn open(folder: &Path, config: &LlamaConfig, dtype: Dtype) -> Result<Self> {
        let mut source = Self {
            shards: Vec::new(),
            index: HashMap::new(),
            dtype,
            head_dim: config.head_dim,
        };
        for path in find_shards(folder)? {
            source.add(Shard::open(&path)?)?;
        }
        Ok(source)
    }

    /// Whether embedding and LM head are one matrix, which is `token_embd.weight` then. Decided as transformers does: by
    /// the configuration (`tied`), except that two matrices that differ are never one, and that one alone is both.
    pub fn tie(&mut self, tied: bool) -> Result<bool> {
        const EMBEDDING: &str = "token_embd.weight";
        const HEAD: &str = "output.weight";
        match (self.index.get(EMBEDDING), self.index.get(HEAD)) {
            (_, None) => Ok(true),
            (None, Some(head)) if tied => {
                let head = head.clone();
                self.index.insert(EMBEDDING.to_owned(), head);
                self.index.remove(HEAD);
                Ok(true)
            }
            (Some(embedding), Some(head)) if tied && self.same(embedding, head)? => {
                self.index.remove(HEAD);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Whether two tensors hold the same.
    fn same(&self, a: &(usize, String), b: &(usize, String)) -> Result<bool> {
        let (first, second) = (&self.shards[a.0], &self.shards[b.0]);
        let kind = |shard: &Shard, name: &str| {
            shard
                .info(name)
                .map(|info| (info.dtype, info.shape.clone()))
        };
        Ok(kind(first, &a.1) == kind(second, &b.1) && first.data(&a.1)? == second.data(&b.1)?)
    }

    /// Take a file's tensors into the index.
    fn add(&mut self, shard: Shard) -> Result<()> {
        for name in shard.names() {
            let Some(known) = names::to_gguf(&name) else {
                continue;
            };
            if self
                .index
                .insert(known, (self.shards.len(), name.clone()))
                .is_some()
            {
                return Err(Error::file(
                    shard.path(),
                    format!("tensor {name} occurs twice"),
                ));
            }
        }
        self.shards.push(shard);
        Ok(())
    }

    /// Whether the rows of a tensor are to be put in another order.
    fn row_order(&self, name: &str) -> Option<usize> {
        (name.ends_with(".attn_q.weight") || name.ends_with(".attn_k.weight"))
            .then_some(self.head_dim)
    }
}

impl TensorSource for SafetensorsSource {
    fn tensor(&self, name: &str) -> Result<Option<RawTensor<'_>>> {
        let Some((nth, inner)) = self.index.get(name) else {
            return Ok(None);
        };
        let shard = &self.shards[*nth];
        let Some(info) = shard.info(inner) else {
            return Ok(None);
        };
        let fault = |fault: String| Error::file(shard.path(), format!("tensor {inner}: {fault}"));
        let dense = dense_type(info.dtype).map_err(fault)?;
        let mut data = Cow::Borrowed(shard.data(inner)?);
        let &[rows, cols] = info.shape.as_slice() else {
            let data = convert::to_f32_bytes(&data, dense);
            return Ok(Some(RawTensor {
                shape: info.shape.clone(),
                dtype: Dense::F32.into(),
                data: Cow::Owned(data),
            }));
        };
        if let Some(head_dim) = self.row_order(name) {
            data = Cow::Owned(permute_rows(&data, rows, head_dim).map_err(fault)?);
        }
        let matrix = Matrix {
            rows,
            cols,
            dense,
            data,
        };
        let (dtype, data) =
            convert::convert(matrix, convert::target(name, self.dtype, dense, cols))?;
        Ok(Some(RawTensor {
            shape: info.shape.clone(),
            dtype,
            data,
        }))
    }

    fn name_in_file(&self, name: &str) -> String {
        let held = self.index.get(name).map(|(_, inner)| inner.clone());
        held.unwrap_or_else(|| names::from_gguf(name))
    }

    fn shape(&self, name: &str) -> Result<Option<Vec<usize>>> {
        let found = self
            .index
            .get(name)
            .and_then(|(nth, inner)| self.shards[*nth].info(inner));
        Ok(found.map(|info| info.shape.clone()))
    }
}

/// Put the rows of q or k in GGUF's order.
fn permute_rows(data: &[u8], rows: usize, head_dim: usize) -> Result<Vec<u8>, String> {
    if rows == 0
        || head_dim == 0
        || !rows.is_multiple_of(head_dim)
        || !data.len().is_multiple_of(rows)
    {
        return Err(format!(
            "{rows} rows are no whole number of heads of {head_dim}"
        ));
    }
    let width = data.len() / rows;
    let mut out = Vec::with_capacity(data.len());
    for row in 0..rows {
        let from = names::interleaved(row, head_dim) * width;
        out.extend_from_slice(&data[from..from + width]);
    }
    Ok(out)
}

fn dense_type(dtype: FileDtype) -> Result<Dense, String> {
    match dtype {
        FileDtype::F32 => Ok(Dense::F32),
        FileDtype::F16 => Ok(Dense::F16),
        FileDtype::BF16 => Ok(Dense::BF16),
        other => Err(format!(
            "elements of the type {other:?}; skiplens reads F32, F16 and BF16"
        )),
    }
}
