//! The plan of a sweep, and its folder.

use super::{Axes, Cell};
use crate::engine::decode::Settings;
use crate::engine::loaded_model::ModelInfo;
use crate::engine::{Error, Result};
use crate::eval::datasets::{DatasetRequest, Example};
use crate::eval::identity::{ModelIdentity, VERSION, hash};
use crate::eval::output_folder::{self, Header};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const COMMAND: &str = "sweep";

/// Everything that determines a sweep. It contains the prompts, so a machine needs only the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of skiplens.
    pub version: String,
    pub model: ModelIdentity,
    pub dataset: DatasetRequest,
    /// Settings that the cells do not vary.
    pub settings: Settings,
    pub axes: Axes,
    pub examples: Vec<Example>,
}

/// The manifest's file.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct ManifestFile {
    #[serde(flatten)]
    header: Header,
    #[serde(flatten)]
    manifest: Manifest,
}

impl Manifest {
    pub fn hash(&self) -> Result<String> {
        hash(self)
    }

    pub fn cells(&self) -> Vec<Cell> {
        self.axes.cells()
    }

    /// # Errors
    /// If the sweep was planned for another model or another version of the program.
    pub fn check_model(&self, info: &ModelInfo) -> Result<()> {
        let here = ModelIdentity::of(info)?;
        if here != self.model {
            return Err(Error::Setting(format!(
                "this sweep was planned for the model {}; {} is another: {here}",
                self.model,
                info.path.display()
            )));
        }
        if self.version != VERSION {
            return Err(Error::Setting(format!(
                "this sweep was planned by skiplens {}; this is {VERSION}",
                self.version
            )));
        }
        Ok(())
    }
}

/// The folder of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct RunFolder {
    pub path: PathBuf,
    pub hash: String,
    pub manifest: Manifest,
}

impl RunFolder {
    /// The folder of `manifest` in `folder`: that of its unfinished run, else a new one.
    ///
    /// # Errors
    /// If it cannot be created, or belongs to another run.
    pub fn open(folder: &Path, manifest: Manifest) -> Result<Self> {
        let hash = manifest.hash()?;
        let place = output_folder::place(folder, COMMAND, &hash, "", manifest_file)?;
        let new = Self {
            path: place.path,
            hash,
            manifest,
        };
        if !place.begun {
            for sub in ["baselines", "cells"] {
                let made = new.path.join(sub);
                std::fs::create_dir_all(&made).map_err(|error| Error::io(&made, error))?;
            }
            new.write_manifest(false)?;
        }
        Ok(new)
    }

    /// The folder of a planned sweep, given the path of the folder or of its manifest.
    ///
    /// # Errors
    /// If it is not the folder of a sweep, or the manifest does not match its hash.
    pub fn read(path: &Path) -> Result<Self> {
        let is_manifest = path.file_name().is_some_and(|name| name == MANIFEST);
        let path = match is_manifest {
            true => path.parent().unwrap_or(Path::new(".")),
            false => path,
        };
        let file = manifest_file(path);
        if !file.is_file() {
            return Err(Error::Setting(format!(
                "{} is not the folder of a sweep: it has no {MANIFEST}; skiplens sweep plan makes one",
                path.display()
            )));
        }
        let ManifestFile { header, manifest } = output_folder::read(&file)?;
        let hash = manifest.hash()?;
        if header.command != COMMAND || header.hash != hash {
            return Err(Error::Setting(format!(
                "{} was changed since it was planned: its hash is {hash}, but it says {}",
                file.display(),
                header.hash
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            hash,
            manifest,
        })
    }

    /// Marks the sweep as complete, so that the same command starts a new one.
    pub fn finish(&self) -> Result<()> {
        self.write_manifest(true)
    }

    fn write_manifest(&self, complete: bool) -> Result<()> {
        let file = ManifestFile {
            header: Header {
                command: COMMAND.into(),
                hash: self.hash.clone(),
                complete,
            },
            manifest: self.manifest.clone(),
        };
        output_folder::write(&manifest_file(&self.path), &file)
    }

    pub fn baseline_path(&self, id: &str) -> PathBuf {
        self.path.join("baselines").join(format!("{id}.json"))
    }

    pub fn cell_path(&self, cell: &Cell) -> Result<PathBuf> {
        Ok(self.path.join("cells").join(format!("{}.json", cell.id()?)))
    }
}

/// The file of a sweep's folder that says what to measure.
pub const MANIFEST: &str = "manifest.json";

fn manifest_file(folder: &Path) -> PathBuf {
    folder.join(MANIFEST)
}
