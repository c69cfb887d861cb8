//! A strict reader of GGUF files, versions 2 and 3. It memory-maps files, which may be damaged or malicious: no
//! allocation is sized by an unchecked length from a file.

mod checkpoint;
mod cursor;
mod metadata;
mod tensor;
mod value;
mod vocabulary;

pub(super) use checkpoint::require_llama;
pub use checkpoint::{open, read_defaults};
pub use cursor::Fault;
pub use vocabulary::read_text;

use super::mmap::MappedFile;
use super::{RawTensor, TensorSource, type_name};
use crate::engine::{Error, Result};
use cursor::Cursor;
use metadata::Metadata;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use tensor::TensorInfo;
pub use tensor::byte_size;
use value::{Value, ValueType};

/// Max number of metadata entries, and of tensors. Real files have up to a few thousand tensors.
const MAX_ENTRIES: u64 = 65_536;
/// Max bytes of a metadata key, from the specification.
const MAX_KEY: usize = 65_535;
/// Default alignment of the data.
const DEFAULT_ALIGNMENT: u64 = 32;

/// An opened GGUF file.
pub struct Gguf {
    file: MappedFile,
    metadata: HashMap<String, Value>,
    tensors: HashMap<String, (TensorInfo, Range<usize>)>,
}

impl Gguf {
    /// Maps a file and reads its header; tensors stay on disk until they are used.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let file = MappedFile::open(path)?;
        let (metadata, tensors) = parse(file.bytes()).map_err(|fault| Error::file(path, fault))?;
        Ok(Self {
            file,
            metadata,
            tensors,
        })
    }

    /// Path of the file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The metadata.
    pub fn metadata(&self) -> Metadata<'_> {
        Metadata::new(&self.metadata, self.file.bytes())
    }

    /// Shape of a tensor.
    pub fn shape_of(&self, name: &str) -> Option<&[usize]> {
        self.tensors
            .get(name)
            .map(|(info, _)| info.shape.as_slice())
    }

    /// The dominant weight type, and the bytes of all weights.
    pub fn weights(&self) -> (&'static str, u64) {
        let mut by_type: HashMap<&'static str, u64> = HashMap::new();
        for (info, range) in self.tensors.values() {
            *by_type.entry(type_name(info.dtype)).or_default() += range.len() as u64;
        }
        let bytes = by_type.values().sum();
        let most = by_type
            .into_iter()
            .max_by_key(|(name, bytes)| (*bytes, *name));
        (most.map_or("empty", |(name, _)| name), bytes)
    }

    /// An error about this file.
    pub fn fault(&self, fault: impl Into<String>) -> Error {
        Error::file(self.path(), fault)
    }
}

impl TensorSource for Gguf {
    fn tensor(&self, name: &str) -> Result<Option<RawTensor<'_>>> {
        Ok(self.tensors.get(name).map(|(info, range)| RawTensor {
            shape: info.shape.clone(),
            dtype: info.dtype,
            data: Cow::Borrowed(&self.file.bytes()[range.clone()]),
        }))
    }

    fn shape(&self, name: &str) -> Result<Option<Vec<usize>>> {
        Ok(self.shape_of(name).map(<[usize]>::to_vec))
    }
}

type Entries = HashMap<String, Value>;
type Tensors = HashMap<String, (TensorInfo, Range<usize>)>;

/// Reads header, metadata and tensor descriptions, and checks the bounds of all tensors.
fn parse(bytes: &[u8]) -> Result<(Entries, Tensors), Fault> {
    let mut cursor = Cursor::new(bytes);
    let (tensor_count, entry_count) = read_header(&mut cursor)?;
    let metadata = read_metadata(&mut cursor, entry_count)?;
    let infos = read_tensor_infos(&mut cursor, tensor_count)?;
    let alignment = alignment(&metadata)?;
    let start = (cursor.position() as u64).next_multiple_of(alignment);
    let mut tensors = HashMap::new();
    for (name, info) in infos {
        let range = info
            .range(start, alignment, bytes.len() as u64)
            .map_err(|fault| format!("tensor {name}: {fault}"))?;
        tensors.insert(name, (info, range));
    }
    refuse_overlaps(&tensors)?;
    Ok((metadata, tensors))
}

/// Rejects overlapping tensors, so that the loaded weights are no larger than the file.
fn refuse_overlaps(tensors: &Tensors) -> Result<(), Fault> {
    let mut places: Vec<_> = tensors
        .iter()
        .map(|(name, (_, range))| (range, name))
        .collect();
    places.sort_unstable_by_key(|(range, name)| (range.start, *name));
    match places
        .windows(2)
        .find(|pair| pair[1].0.start < pair[0].0.end)
    {
        Some(pair) => Err(format!(
            "the tensors {} and {} share bytes",
            pair[0].1, pair[1].1
        )),
        None => Ok(()),
    }
}

/// Magic, version and the two counts.
fn read_header(cursor: &mut Cursor) -> Result<(u64, u64), Fault> {
    const MAGIC: u32 = u32::from_le_bytes(*b"GGUF");
    if cursor.remaining() < 4 || cursor.u32("magic")? != MAGIC {
        return Err("not a GGUF file: it does not begin with the letters GGUF".into());
    }
    match cursor.u32("version")? {
        2 | 3 => {}
        version if matches!(version.swap_bytes(), 1..=3) => {
            return Err("a big-endian GGUF file, which skiplens does not read".into());
        }
        version => {
            return Err(format!(
                "GGUF version {version}; skiplens reads versions 2 and 3"
            ));
        }
    }
    let tensors = cursor.u64("tensor count")?;
    let entries = cursor.u64("metadata count")?;
    for (count, what) in [(tensors, "tensors"), (entries, "metadata entries")] {
        if count > MAX_ENTRIES || count > cursor.remaining() as u64 / 13 {
            return Err(format!("it claims {count} {what}, more than it can hold"));
        }
    }
    Ok((tensors, entries))
}

fn read_metadata(cursor: &mut Cursor, count: u64) -> Result<Entries, Fault> {
    let mut entries = HashMap::new();
    for _ in 0..count {
        let key = cursor.short_string(MAX_KEY, "metadata key")?;
        let kind = ValueType::from_u32(cursor.u32(key)?)?;
        let value = Value::read(cursor, kind, key)?;
        if entries.insert(key.to_owned(), value).is_some() {
            return Err(format!("metadata key {key} occurs twice"));
        }
    }
    Ok(entries)
}

fn read_tensor_infos(
    cursor: &mut Cursor,
    count: u64,
) -> Result<HashMap<String, TensorInfo>, Fault> {
    let mut infos = HashMap::new();
    for _ in 0..count {
        let (name, info) = TensorInfo::read(cursor)?;
        if infos.contains_key(&name) {
            return Err(format!("tensor {name} occurs twice"));
        }
        infos.insert(name, info);
    }
    Ok(infos)
}

/// The alignment of the data. The format requires a multiple of 8 and ggml a power of two; both keep all elements aligned.
fn alignment(metadata: &Entries) -> Result<u64, Fault> {
    let Some(value) = metadata.get("general.alignment") else {
        return Ok(DEFAULT_ALIGNMENT);
    };
    let valid = |n: &u64| n.is_power_of_two() && (8..=1 << 20).contains(n);
    value
        .as_unsigned()
        .filter(valid)
        .ok_or_else(|| format!("general.alignment is {value:?}, not a power of two of at least 8"))
}
