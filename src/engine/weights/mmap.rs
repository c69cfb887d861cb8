//! Files in memory: mapped, or embedded in the program.

use super::embedded::embedded;
use super::lfs::pointer_fault;
use crate::engine::{Error, Result};
use memmap2::Mmap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A memory-mapped file. Its pages are read on first access and shared with other processes that map it.
pub struct MappedFile {
    path: PathBuf,
    bytes: Bytes,
}

enum Bytes {
    Mapped(Mmap),
    Embedded(&'static [u8]),
}

impl MappedFile {
    /// Maps a regular, non-empty file. The embedded model is already mapped, as part of the program.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is empty or not a regular file, or is a Git LFS pointer.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = match embedded(path) {
            Some(bytes) => Bytes::Embedded(bytes),
            None => Bytes::Mapped(map(path)?),
        };
        let file = Self {
            path: path.to_owned(),
            bytes,
        };
        match pointer_fault(file.bytes()) {
            Some(fault) => Err(Error::file(path, fault)),
            None => Ok(file),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped(map) => map,
            Bytes::Embedded(bytes) => bytes,
        }
    }
}

fn map(path: &Path) -> Result<Mmap> {
    // Checked before opening, because opening a pipe would block until its other end is opened.
    let metadata = std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
    if !metadata.is_file() {
        return Err(Error::file(path, "not a regular file"));
    }
    if metadata.len() == 0 {
        return Err(Error::file(
            path,
            "the file is empty; was its download interrupted?",
        ));
    }
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    // SAFETY: the file must not change while it is mapped. skiplens only reads it. The user must keep other
    // processes from truncating or overwriting it, as with every program that maps its models; the alternative is a
    // second copy of the weights in memory.
    unsafe { Mmap::map(&file) }.map_err(|e| Error::io(path, e))
}
