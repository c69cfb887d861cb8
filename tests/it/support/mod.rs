//! Helpers shared by tests.
#![allow(dead_code)]

pub mod forward;
pub mod gguf;
pub mod hub;
pub mod llama2c;
pub mod tiny;
pub mod tokenizers;

use std::path::{Path, PathBuf};

/// A file of test data that is not part of the repository. If it is missing, prints that the test is skipped and
/// returns `None`.
pub fn shared(file: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::env::var_os("SKIPLENS_TEST_DATA")
        .map_or_else(|| root.join("../shared/data"), PathBuf::from);
    found(folder.join(file))
}

/// A GGUF of SmolLM2-135M-Instruct: named by `SKIPLENS_TEST_MODEL`, or the bundled one.
pub fn smollm2() -> Option<PathBuf> {
    let bundled =
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/skiplens-smollm2-135m.gguf");
    found(std::env::var_os("SKIPLENS_TEST_MODEL").map_or_else(bundled, PathBuf::from))
}

fn found(path: PathBuf) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is not here", path.display());
    None
}
