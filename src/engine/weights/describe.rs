//! Describes a model before it is loaded. Reads only the headers of its files.

use super::exits;
use super::gguf::{self, Gguf};
use super::hf_folder::read_json;
use super::safetensors::weight_files;
use crate::engine::{Error, Result};
use serde_json::Value;
use std::path::Path;

/// A model on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its dominant weight type: `Q8_0`, `BF16`.
    pub dtype: String,
    /// The layer count L.
    pub layers: Option<usize>,
    /// Bytes of its weights, those of the exits file included.
    pub bytes: u64,
    /// Exit layers with an adapter.
    pub adapters: Vec<usize>,
}

/// Describes the model in a GGUF file or a Hugging Face folder.
///
/// # Errors
///
/// If it cannot be read, or is not a Llama.
pub fn describe(path: &Path) -> Result<Description> {
    if path.is_dir() {
        return describe_folder(path);
    }
    let gguf = Gguf::open(path)?;
    gguf::require_llama(&gguf)?;
    let (dtype, bytes) = gguf.weights();
    let (adapters, beside) = exits::claimed(path, Some(&gguf));
    Ok(Description {
        dtype: dtype.into(),
        layers: gguf.metadata().count("llama.block_count").ok().flatten(),
        bytes: bytes + beside,
        adapters,
    })
}

fn describe_folder(path: &Path) -> Result<Description> {
    let missing = |what: &str| Error::Model(format!("{}: no {what}", path.display()));
    let config = read_json(&path.join("config.json"))?.ok_or_else(|| missing("config.json"))?;
    let architecture = config.get("architectures").and_then(|list| list.get(0));
    if architecture.and_then(Value::as_str) != Some("LlamaForCausalLM") {
        return Err(missing("Llama"));
    }
    let files = weight_files(path)?.ok_or_else(|| missing("weights"))?;
    let size = |name: &String| std::fs::metadata(path.join(name)).map_or(0, |about| about.len());
    let dtype = ["torch_dtype", "dtype"]
        .iter()
        .find_map(|key| config.get(*key)?.as_str());
    let (adapters, beside) = exits::claimed(path, None);
    Ok(Description {
        dtype: match dtype {
            Some("bfloat16") => "BF16",
            Some("float16") => "F16",
            Some("float32") => "F32",
            _ => "safetensors",
        }
        .into(),
        layers: config
            .get("num_hidden_layers")
            .and_then(Value::as_u64)
            .and_then(|layers| usize::try_from(layers).ok()),
        bytes: files.iter().map(size).sum::<u64>() + beside,
        adapters,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_model_is_described() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("assets")
            .join(super::super::BUNDLED_FILE);
        let described = describe(&file).unwrap();
        assert_eq!(described.layers, Some(30));
        assert!(
            described.bytes > 50_000_000 && described.dtype.starts_with('Q'),
            "{described:?}"
        );
    }

    #[test]
    fn what_is_no_llama_says_so() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            describe(folder.path())
                .unwrap_err()
                .to_string()
                .contains("config.json")
        );
        std::fs::write(
            folder.path().join("config.json"),
            r#"{"architectures": ["GPT2"]}"#,
        )
        .unwrap();
        assert!(
            describe(folder.path())
                .unwrap_err()
                .to_string()
                .contains("Llama")
        );
    }
}
