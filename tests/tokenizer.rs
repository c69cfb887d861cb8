//! Tokenizers against what others computed.

mod support;

use skiplens::engine::text::{ChatTemplate, TextStream, Tokenizer};
use skiplens::engine::weights::gguf::{self, Gguf};
use skiplens::engine::weights::{self, Dtype};
use skiplens::engine::worker::{Message, Role};
use std::fs;

/// llama.cpp's own test cases for the vocabulary of Llama 2.
#[test]
fn sentencepiece_agrees_with_llama_cpp() {
    let Some(path) = support::shared("golden/ggml-vocab-llama-spm.gguf") else { return };
    let gguf = Gguf::open(&path).unwrap();
    let tokenizer = Tokenizer::from_parts(&gguf::read_text(&gguf).unwrap(), 32_000).unwrap();
    let inputs = fs::read_to_string(path.with_extension("gguf.inp")).unwrap();
    let outputs = fs::read_to_string(path.with_extension("gguf.out")).unwrap();
    let cases: Vec<_> = inputs.split("\n__ggml_vocab_test__\n").zip(outputs.lines()).collect();
    assert_eq!(cases.len(), 46);
    for (text, expected) in cases {
        let expected: Vec<u32> = expected.split_whitespace().map(|id| id.parse().unwrap()).collect();
        let ids = tokenizer.encode(text, false).unwrap();
        assert_eq!(ids, expected, "{text:?}");
        assert_eq!(tokenizer.decode(&ids), text);
    }
}

#[test]
fn smollm2_opens() {
    let Some(path) = support::smollm2() else { return };
    let checkpoint = weights::open(&path, Dtype::Auto).unwrap();
    assert_eq!((checkpoint.config.num_layers, checkpoint.config.hidden_size), (30, 576));
    assert_eq!(checkpoint.end_tokens, [0, 2]);
    let tokenizer = Tokenizer::from_checkpoint(&checkpoint).unwrap();
    assert_eq!(tokenizer.bos(), None);
    let text = "Hello world, 12345! ½ 🦙";
    let ids = tokenizer.encode(text, false).unwrap();
    let mut stream = TextStream::new(&tokenizer);
    let pieces: String = ids.iter().map(|&id| stream.push(id)).collect();
    assert_eq!(pieces + &stream.finish(), text);
    let template = ChatTemplate::from_checkpoint(&checkpoint).unwrap().unwrap();
    let hi = Message { role: Role::User, content: "Hi<|im_end|>".into() };
    let ids = tokenizer.encode_chat(&template, &[hi]).unwrap();
    assert_eq!(ids.iter().filter(|&&id| id == 2).count(), 2, "the system's and the user's own end");
}
