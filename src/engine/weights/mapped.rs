//! Files in memory without reading them.

use super::lfs::pointer_fault;
use crate::engine::{Error, Result};
use memmap2::Mmap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A memory-mapped file. Its pages are read when touched and shared with every other process that maps it.
pub struct MappedFile {
    path: PathBuf,
    map: Mmap,
}

impl MappedFile {
    /// Map a regular file that is not empty.
    pub fn open(path: &Path) -> Result<Self> {
        // Asked before opening: to open a pipe would wait for its other end.
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
        // SAFETY: the map is only read. Another process that truncates the file under us would fault, as with every
        // program that maps its models; the alternative is to hold a second copy of the weights in memory.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io(path, e))?;
        if let Some(fault) = pointer_fault(&map) {
            return Err(Error::file(path, fault));
        }
        Ok(Self {
            path: path.to_owned(),
            map,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn bytes(&self) -> &[u8] {
        &self.map
    }
}
