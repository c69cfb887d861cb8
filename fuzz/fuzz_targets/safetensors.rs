//! Safetensors: a folder whose other files are sound.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;
use std::sync::LazyLock;

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = skiplens_fuzz::folder();
    skiplens_fuzz::support::tiny::write_huggingface(&folder);
    folder
});

fuzz_target!(|data: &[u8]| {
    std::fs::write(FOLDER.join("model.safetensors"), data).expect("writing the input");
    skiplens_fuzz::open_model(&FOLDER);
});
