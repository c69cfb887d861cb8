//! GGUF files: header, metadata, tensors, vocabulary, template.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;
use std::sync::LazyLock;

static FILE: LazyLock<PathBuf> = LazyLock::new(|| skiplens_fuzz::folder().join("model.gguf"));

fuzz_target!(|data: &[u8]| {
    std::fs::write(&*FILE, data).expect("writing the input");
    skiplens_fuzz::open_model(&FILE);
});
