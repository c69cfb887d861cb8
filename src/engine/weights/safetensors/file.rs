//! One safetensors file.

use crate::engine::weights::mmap::MappedFile;
use crate::engine::{Error, Result};
use crate::error_text;
use safetensors::SafeTensors;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::HashMap;
use std::path::Path;

/// Bytes of the length field before the header.
const LENGTH_BYTES: usize = 8;
/// Max bytes of a header. The largest models have headers of a few hundred kilobytes.
const MAX_HEADER: u64 = 64 << 20;

/// A memory-mapped safetensors file whose header has been checked.
pub struct SafetensorsFile {
    file: MappedFile,
    header: Metadata,
    /// Offset of the data in the file.
    start: usize,
}

impl SafetensorsFile {
    /// Maps a file and checks its header.
    ///
    /// # Errors
    ///
    /// If it is damaged or not a safetensors file.
    pub fn open(path: &Path) -> Result<Self> {
        let file = MappedFile::open(path)?;
        check_header(file.bytes()).map_err(|fault| Error::file(path, fault))?;
        let (length, header) = SafeTensors::read_metadata(file.bytes())
            .map_err(|e| Error::file(path, format!("damaged safetensors header: {e}")))?;
        Ok(Self {
            file,
            header,
            start: LENGTH_BYTES + length,
        })
    }

    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Names of the tensors in this file.
    pub fn names(&self) -> Vec<String> {
        self.header.offset_keys()
    }

    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.header.info(name)
    }

    /// The elements of a tensor.
    ///
    /// # Errors
    ///
    /// If the file does not contain the tensor.
    pub fn data(&self, name: &str) -> Result<&[u8]> {
        let range = self.info(name).and_then(|info| {
            let (begin, end) = info.data_offsets;
            Some(self.start.checked_add(begin)?..self.start.checked_add(end)?)
        });
        let outside = || Error::file(self.path(), format!("tensor {name} is outside of the file"));
        range
            .and_then(|range| self.file.bytes().get(range))
            .ok_or_else(outside)
    }
}

/// The part of a header entry that is checked before the `safetensors` crate parses the header.
#[derive(Deserialize)]
struct Entry {
    data_offsets: Option<(u64, u64)>,
    #[serde(flatten)]
    _rest: IgnoredAny,
}

/// Checks lengths and offsets against the size of the file. The `safetensors` crate checks the rest, but adds offsets
/// without overflow checks.
fn check_header(bytes: &[u8]) -> Result<(), String> {
    let size = bytes.len() as u64;
    let length = bytes
        .first_chunk::<LENGTH_BYTES>()
        .map(|length| u64::from_le_bytes(*length));
    let length = length.ok_or("not a safetensors file: shorter than its header's length")?;
    if length > MAX_HEADER || length > size - LENGTH_BYTES as u64 {
        return Err(format!(
            "not a safetensors file, or truncated: a header of {length} bytes in a file of {size}"
        ));
    }
    let header = &bytes[LENGTH_BYTES..LENGTH_BYTES + length as usize];
    let entries: HashMap<String, Entry> = serde_json::from_slice(header)
        .map_err(|error| format!("damaged safetensors header: {}", error_text::json(&error)))?;
    for (name, entry) in &entries {
        if let Some((begin, end)) = entry
            .data_offsets
            .filter(|(begin, end)| begin > end || *end > size)
        {
            return Err(format!(
                "tensor {name} claims the bytes {begin} to {end} of a file of {size}; is it complete?"
            ));
        }
    }
    Ok(())
}
