//! `tokenizer.json` against the library that defines it, and against what it must not be able to do.

use crate::support::tiny;
use crate::support::tokenizers::{Dice, added_names, sound, text};
use proptest::prelude::*;
use serde_json::Value;
use skiplens::engine::text::{TextParts, Tokenizer, Vocabulary, read_tokenizer_json};
use std::sync::Arc;
use tokenizers::{NormalizedString, Normalizer};

fn ours(json: &Value) -> Tokenizer {
    let tables = read_tokenizer_json(&json.to_string(), &[]).unwrap();
    let parts = TextParts {
        vocabulary: Vocabulary::Json(Arc::new(tables)),
        bos_token: None,
        eos_token: None,
        add_bos: None,
        chat_template: None,
    };
    Tokenizer::from_parts(&parts, usize::MAX).unwrap()
}

fn library(json: &Value) -> tokenizers::Tokenizer {
    json.to_string().parse().unwrap()
}

/// Whether the normalizer leaves nothing of an added token that is looked for in normalized text. The library then finds
/// it between all characters, or panics; to us it is nowhere.
fn some_token_vanishes(library: &tokenizers::Tokenizer) -> bool {
    library.get_added_tokens_decoder().values().any(|token| {
        let mut content = NormalizedString::from(token.content.as_str());
        if let Some(normalizer) = library.get_normalizer() {
            normalizer.normalize(&mut content).unwrap();
        }
        token.normalized && content.is_empty()
    })
}

fn library_ids(library: &tokenizers::Tokenizer, text: &str) -> Option<Vec<u32>> {
    let encoding = std::panic::catch_unwind(|| library.encode_fast(text, false));
    Some(encoding.ok()?.ok()?.get_ids().to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever steps and whatever options of added tokens, with control tokens recognised.
    #[test]
    fn sound_files_encode_as_in_the_library(seed: u64) {
        let mut dice = Dice::new(seed);
        let json = sound(&mut dice);
        let (ours, library) = (ours(&json), library(&json));
        prop_assume!(!some_token_vanishes(&library));
        let names = added_names(&json);
        for _ in 0..6 {
            let text = text(&mut dice, &names);
            let Some(wanted) = library_ids(&library, &text) else { continue };
            prop_assert_eq!(ours.encode(&text, true).unwrap(), wanted, "{:?} {}", text, json);
        }
    }

    /// Text from people: control tokens are no tokens at all, the other added ones still are.
    #[test]
    fn control_tokens_are_text_when_not_asked_for(seed: u64) {
        let mut dice = Dice::new(seed);
        let json = sound(&mut dice);
        let names = added_names(&json);
        let mut without = json.clone();
        let added = without["added_tokens"].as_array_mut().unwrap();
        let kept: Vec<Value> = added.iter().filter(|token| token["special"] == false).cloned().collect();
        // Ids are given out in the order of the file: translate them by name.
        *added = kept;
        let (ours, library) = (ours(&json), library(&without));
        prop_assume!(!some_token_vanishes(&library));
        for _ in 0..6 {
            let text = text(&mut dice, &names);
            let Some(wanted) = library_ids(&library, &text) else { continue };
            let wanted: Vec<String> = wanted.iter().map(|id| library.id_to_token(*id).unwrap()).collect();
            let all = self::library(&json);
            let found = ours.encode(&text, false).unwrap();
            let found: Vec<String> = found.iter().map(|id| all.id_to_token(*id).unwrap()).collect();
            prop_assert_eq!(found, wanted, "{:?} {}", text, json);
        }
    }
}

#[test]
fn the_fixture_is_read() {
    assert_eq!(ours(&tiny::tokenizer_json()).bos(), Some(1));
}
