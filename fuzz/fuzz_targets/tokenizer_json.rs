//! `tokenizer.json`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skiplens::engine::text::{TokenizerSpec, Tokenizer, Vocabulary, read_tokenizer_json};
use std::sync::Arc;

fuzz_target!(|json: &str| {
    let Ok(tables) = read_tokenizer_json(json, &[]) else {
        return;
    };
    let parts = TokenizerSpec {
        vocabulary: Vocabulary::Json(Arc::new(tables)),
        bos_token: None,
        eos_token: None,
        add_bos: None,
        chat_template: None,
    };
    if let Ok(tokenizer) = Tokenizer::from_spec(&parts, usize::MAX) {
        drop(skiplens_fuzz::use_tokenizer(&tokenizer));
    }
});
