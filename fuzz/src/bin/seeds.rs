//! Writes what fuzzing starts from into `fuzz/corpus`: sound files out of the tests' fixtures, and composed ones.

use serde_json::Value;
use skiplens_fuzz::support::tiny;
use skiplens_fuzz::support::tokenizers::{Dice, hostile, sound};
use std::fs;
use std::io::Result;
use std::path::{Path, PathBuf};

/// Longest composed file: fuzzing works best on small ones.
const MAX_COMPOSED: usize = 8192;

fn main() -> Result<()> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = |target: &str| -> Result<PathBuf> {
        let folder = fuzz.join("corpus").join(target);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    };
    let tests = fuzz.join("../tests");
    let gguf = corpus("gguf")?;
    tiny::gguf().write(&gguf.join("sentencepiece"));
    tiny::gguf_byte_level().write(&gguf.join("byte-level"));
    tiny::gguf_metadata().write(&gguf.join("metadata"));
    let safetensors = corpus("safetensors")?;
    let whole = tiny::safetensors(&tiny::huggingface_tensors());
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap_or_default()) as usize;
    fs::write(safetensors.join("header"), &whole[..header])?;
    fs::write(safetensors.join("whole"), whole)?;
    let tokenizers = corpus("tokenizer_json")?;
    fs::write(
        tokenizers.join("fixture"),
        tiny::tokenizer_json().to_string(),
    )?;
    for seed in 0..200 {
        let composed = [sound(&mut Dice::new(seed)), hostile(&mut Dice::new(seed))];
        for (kind, json) in ["sound", "hostile"].iter().zip(composed) {
            let json = json.to_string();
            if json.len() < MAX_COMPOSED {
                fs::write(tokenizers.join(format!("{kind}-{seed}")), json)?;
            }
        }
    }
    let templates = corpus("chat_template")?;
    let cases = fs::read_to_string(tests.join("golden/chat_templates.jsonl"))?;
    for (nth, line) in cases.lines().enumerate() {
        let case: Value = serde_json::from_str(line)?;
        let source = case["template"].as_str().unwrap_or_default();
        fs::write(templates.join(nth.to_string()), source)?;
    }
    let journals = corpus("journal")?;
    for entry in fs::read_dir(tests.join("fixtures/version-0.1"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "jsonl") {
            fs::copy(&path, journals.join(path.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}
