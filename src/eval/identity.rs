//! The identity of a result: model, version, and a hash of its settings.

use crate::engine::loaded_model::ModelInfo;
use crate::engine::{Error, Result};
use crate::error_text;
use crate::transcript;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::{self, Display, Formatter};
use std::path::Path;

/// A model, independent of the path of its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelIdentity {
    pub name: String,
    /// Fingerprint of its file, as in sessions; `random` for random weights.
    pub fingerprint: String,
    /// Fingerprint of the file of its exits, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exits: Option<String>,
    pub layers: usize,
    pub dtype: String,
}

impl Display for ModelIdentity {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {}", self.name, self.dtype, self.fingerprint)?;
        match &self.exits {
            Some(exits) => write!(f, ", exits {exits})"),
            None => f.write_str(")"),
        }
    }
}

impl ModelIdentity {
    /// # Errors
    /// If one of its files can no longer be read.
    pub fn of(info: &ModelInfo) -> Result<Self> {
        let fingerprint =
            |path: &Path| transcript::fingerprint(path).map_err(|error| Error::io(path, error));
        // Random weights have no file; their name and type determine them.
        let weights = match info.path.as_os_str().is_empty() {
            true => "random".to_owned(),
            false => fingerprint(&info.path)?,
        };
        Ok(Self {
            name: info.name.clone(),
            fingerprint: weights,
            exits: info.exits_path.as_deref().map(fingerprint).transpose()?,
            layers: info.config.num_layers,
            dtype: info.dtype.clone(),
        })
    }
}

/// The version of the program that measures.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The hash of a value as JSON, in 16 hexadecimal digits.
///
/// # Errors
/// If it cannot be serialised.
pub fn hash(value: &impl Serialize) -> Result<String> {
    let bytes = serde_json::to_vec(value).map_err(|error| {
        Error::Setting(format!(
            "this cannot be written as JSON: {}",
            error_text::json(&error)
        ))
    })?;
    let digest = Sha256::digest(bytes);
    Ok(digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::loaded_model::LoadedModel;
    use crate::engine::model::{Target, random};
    use candle_core::quantized::GgmlDType;

    #[test]
    fn random_weights_have_an_identity_without_a_file() {
        let checkpoint = random::checkpoint(&random::small(), GgmlDType::Q8_0, 1).unwrap();
        let progress = &mut |_: &str, _| ();
        let loaded =
            LoadedModel::from_checkpoint(&checkpoint, Target::Cpu, Some(1), progress).unwrap();
        let identity = ModelIdentity::of(&loaded.info).unwrap();
        assert_eq!(
            (identity.fingerprint.as_str(), identity.layers),
            ("random", 4)
        );
    }
}
