//! `tokenizer.json` against the library that defines it, and control tokens in user text.

use crate::support::tiny;
use crate::support::tokenizers::{Dice, added_names, sound, text};
use proptest::prelude::*;
use serde_json::{Value, json};
use skiplens::engine::prompt::{Message, Role};
use skiplens::engine::text::{
    ChatTemplate, Tokenizer, TokenizerSpec, Vocabulary, read_tokenizer_json,
};
use std::sync::Arc;
use tokenizers::{NormalizedString, Normalizer};

fn parts(json: &Value, template: Option<&str>) -> TokenizerSpec {
    let tables = read_tokenizer_json(&json.to_string(), &[]).unwrap();
    TokenizerSpec {
        vocabulary: Vocabulary::Json(Arc::new(tables)),
        bos_token: None,
        eos_token: None,
        add_bos: None,
        chat_template: template.map(str::to_owned),
    }
}

fn ours(json: &Value) -> Tokenizer {
    Tokenizer::from_spec(&parts(json, None), usize::MAX).unwrap()
}

fn library(json: &Value) -> tokenizers::Tokenizer {
    json.to_string().parse().unwrap()
}

/// Whether the normalizer reduces an added token that is matched in normalized text to nothing. The library then
/// matches it between all characters, or panics; skiplens never matches it.
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

    /// Any steps and options of added tokens, with control tokens recognised.
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

    /// In user text control tokens are plain text; other added tokens are still recognised.
    #[test]
    fn control_tokens_are_text_when_not_asked_for(seed: u64) {
        let mut dice = Dice::new(seed);
        let json = sound(&mut dice);
        let names = added_names(&json);
        let mut without = json.clone();
        let added = without["added_tokens"].as_array_mut().unwrap();
        let kept: Vec<Value> = added.iter().filter(|token| token["special"] == false).cloned().collect();
        // Ids are assigned in the order of the file, so they are mapped by name.
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

/// A file with the control tokens of a template, matched in raw or in normalized text.
fn for_chat(dice: &mut Dice) -> Value {
    let steps = [
        json!(null),
        json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"}),
        json!({"type": "Lowercase"}),
        json!({"type": "NFKD"}),
        json!({"type": "ByteLevel"}),
    ];
    let mut json = sound(dice);
    json["normalizer"] = dice.pick(&steps);
    json["added_tokens"] = ["<s>", "</s>", "<s", "[Inst]"]
        .iter()
        .zip(100..)
        .map(|(content, id)| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": dice.coin(),
                "rstrip": dice.coin(), "normalized": dice.coin(), "special": true})
        })
        .collect();
    json
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// For any messages, the only control tokens of a conversation are the template's.
    #[test]
    fn messages_add_no_control_tokens(seed: u64) {
        const TEMPLATE: &str = "{% for m in messages %}<s>[Inst]{{ m.content }}</s>{% endfor %}";
        let mut dice = Dice::new(seed);
        let parts = parts(&for_chat(&mut dice), Some(TEMPLATE));
        let tokenizer = Tokenizer::from_spec(&parts, usize::MAX).unwrap();
        let template = ChatTemplate::from_spec(&parts).unwrap();
        let control = |content: &str| -> Vec<u32> {
            let message = Message { role: Role::User, content: content.to_owned() };
            let ids = tokenizer.encode_chat(&template, &[message.clone(), message]).unwrap();
            ids.into_iter().filter(|id| tokenizer.is_special(*id)).collect()
        };
        let names = ["<s>", "</s>", "<s", "[Inst]", "<", "/s>", "s>", "[Ins", "t]", "<S>", "[inst]", " "];
        let hostile = text(&mut dice, &names.map(str::to_owned));
        prop_assert_eq!(control(&hostile), control("."), "{:?}", hostile);
    }
}

#[test]
fn the_fixture_is_read() {
    assert_eq!(ours(&tiny::tokenizer_json()).bos(), Some(1));
}
