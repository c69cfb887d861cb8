//! Chat templates: parsing, and rendering a conversation that ends with either side.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skiplens::engine::text::{ChatTemplate, GgufVocabulary, TokenizerSpec, TokenMerging, Vocabulary};

fuzz_target!(|source: &str| {
    let parts = TokenizerSpec {
        vocabulary: Vocabulary::Gguf(GgufVocabulary {
            tokens: Vec::new(),
            kinds: Vec::new(),
            merging: TokenMerging::Scored {
                scores: Vec::new(),
                add_space_prefix: true,
            },
        }),
        bos_token: Some("<s>".into()),
        eos_token: Some("</s>".into()),
        add_bos: None,
        chat_template: Some(source.to_owned()),
    };
    if let Some(template) = ChatTemplate::from_spec(&parts) {
        let mut messages = skiplens_fuzz::conversation();
        drop(template.render(&messages));
        messages.pop();
        drop(template.render(&messages));
    }
});
