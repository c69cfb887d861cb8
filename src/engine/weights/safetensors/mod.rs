//! Safetensors as a source of tensors with GGUF names.

mod file;
mod index;
mod names;

pub use index::{INDEX_FILE, SINGLE_FILE, weight_files};

use super::convert::{self, Dense, Matrix};
use super::{Dtype, RawTensor, TensorSource};
use crate::engine::config::LlamaConfig;
use crate::engine::{Error, Result};
use file::SafetensorsFile;
use index::find_files;
use safetensors::Dtype as FileDtype;
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

/// The tensors of a folder.
pub struct SafetensorsSource {
    files: Vec<SafetensorsFile>,
    /// GGUF name → index of the file, and the name in that file.
    index: HashMap<String, (usize, String)>,
    dtype: Dtype,
    head_dim: usize,
}

impl SafetensorsSource {
    /// Opens the files of a folder.
    ///
    /// # Errors
    ///
    /// If they are missing or damaged.
    pub fn open(folder: &Path, config: &LlamaConfig, dtype: Dtype) -> Result<Self> {
        let mut source = Self {
            files: Vec::new(),
            index: HashMap::new(),
            dtype,
            head_dim: config.head_dim,
        };
        for path in find_files(folder)? {
            source.add(SafetensorsFile::open(&path)?)?;
        }
        Ok(source)
    }

    /// Ties embedding and LM head if they are one matrix, which is then available as `token_embd.weight`, and returns
    /// whether they are. As in transformers, the configuration (`tied`) decides, with two exceptions: matrices that
    /// differ are never tied, and an embedding without an LM head is always both.
    ///
    /// # Errors
    ///
    /// If a file is damaged.
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

    /// Whether two tensors are equal.
    fn same(&self, a: &(usize, String), b: &(usize, String)) -> Result<bool> {
        let (first, second) = (&self.files[a.0], &self.files[b.0]);
        let kind = |file: &SafetensorsFile, name: &str| {
            file.info(name).map(|info| (info.dtype, info.shape.clone()))
        };
        Ok(kind(first, &a.1) == kind(second, &b.1) && first.data(&a.1)? == second.data(&b.1)?)
    }

    /// Adds the tensors of a file to the index.
    fn add(&mut self, file: SafetensorsFile) -> Result<()> {
        for name in file.names() {
            let Some(known) = names::to_gguf(&name) else {
                continue;
            };
            if self
                .index
                .insert(known, (self.files.len(), name.clone()))
                .is_some()
            {
                return Err(Error::file(
                    file.path(),
                    format!("tensor {name} occurs twice"),
                ));
            }
        }
        self.files.push(file);
        Ok(())
    }

    /// The head size if the rows of a tensor must be reordered.
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
        let file = &self.files[*nth];
        let Some(info) = file.info(inner) else {
            return Ok(None);
        };
        let fault = |fault: String| Error::file(file.path(), format!("tensor {inner}: {fault}"));
        let dense = dense_type(info.dtype).map_err(fault)?;
        let mut data = Cow::Borrowed(file.data(inner)?);
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
            .and_then(|(nth, inner)| self.files[*nth].info(inner));
        Ok(found.map(|info| info.shape.clone()))
    }
}

/// Reorders the rows of q or k to GGUF order.
fn permute_rows(data: &[u8], rows: usize, head_dim: usize) -> Result<Vec<u8>, String> {
    if rows == 0
        || head_dim == 0
        || !rows.is_multiple_of(head_dim)
        || !data.len().is_multiple_of(rows)
    {
        return Err(format!(
            "{rows} rows do not divide into heads of {head_dim}"
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
