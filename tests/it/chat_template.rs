//! Chat templates against transformers, and messages that contain the names of control tokens.

use crate::support;
use candle_core::Device;
use skiplens::engine::loaded_model::LoadedModel;
use skiplens::engine::prompt::{Message, Prompt, Role};
use skiplens::engine::text::{
    ChatTemplate, GgufVocabulary, TokenMerging, Tokenizer, TokenizerSpec, Vocabulary,
};
use skiplens::engine::weights::{self, Checkpoint, Dtype};
use std::path::Path;

fn template(source: &str) -> ChatTemplate {
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
    ChatTemplate::from_spec(&parts).unwrap()
}

fn message(role: Role, content: &str) -> Message {
    Message {
        role,
        content: content.to_owned(),
    }
}

/// The expected texts come from transformers; `tests/golden/chat_templates.py` wrote them.
#[test]
fn templates_render_as_in_transformers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/chat_templates.jsonl");
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let messages: Vec<Message> = serde_json::from_value(case["messages"].clone()).unwrap();
        let text = template(case["template"].as_str().unwrap())
            .render(&messages)
            .unwrap();
        assert_eq!(
            text,
            case["text"].as_str().unwrap(),
            "{} {messages:?}",
            case["name"]
        );
    }
}

#[test]
fn templates_can_refuse() {
    let user = [message(Role::User, "x")];
    let refused = template("{{ raise_exception('no system role') }}").render(&user);
    assert_eq!(
        refused.unwrap_err().to_string(),
        "chat template: no system role"
    );
    let answer = [message(Role::Assistant, "lost")];
    assert!(template("nothing of it").render(&answer).is_err());
}

/// The limits hold for every caller and on every stack size.
#[test]
fn templates_cannot_hang_or_overflow() {
    let user = [message(Role::User, "x")];
    for source in [
        "{% for a in range(10000) %}{% for b in range(10000) %}{{ a }}{% endfor %}{% endfor %}",
        "{% set ns = namespace(x='x') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
    ] {
        let small = std::thread::Builder::new().stack_size(64 << 10);
        let user = user.clone();
        let thread = small.spawn(move || template(source).render(&user).is_err());
        assert!(thread.unwrap().join().unwrap(), "{source}");
    }
}

#[test]
fn the_time_is_local() {
    let user = [message(Role::User, "x")];
    let now = || jiff::Zoned::now().strftime("%Y-%m-%d %H:%M").to_string();
    let before = now();
    let dated = template("{{ strftime_now('%Y-%m-%d %H:%M') }}").render(&user);
    assert!([before, now()].contains(&dated.unwrap()));
}

/// A model with an unreadable template loads and completes text.
#[test]
fn a_broken_template_leaves_completion() {
    for (source, fault) in [
        ("{% for %}", "line 1: expected a name, found '%}'"),
        ("{%}", "line 1: unexpected '}'"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.gguf");
        support::tiny::gguf().write(&path);
        let mut checkpoint = weights::open(&path, Dtype::Auto).unwrap();
        checkpoint.text.chat_template = Some(source.to_owned());
        let loaded =
            LoadedModel::from_checkpoint(&checkpoint, &Device::Cpu, Some(1), &mut |_, _| ());
        let loaded = loaded.unwrap();
        assert!(!loaded.info.has_chat_template);
        let told = loaded.info.chat_template_fault.clone().unwrap();
        assert_eq!(told, format!("{}: {fault}", path.display()));
        assert!(loaded.encode(&Prompt::Text("hello".into())).is_ok());
        let chat = Prompt::Chat(vec![message(Role::User, "x")]);
        let refused = loaded.encode(&chat).unwrap_err().to_string();
        assert_eq!(
            refused,
            format!("chat template: {told}; plain completion works without it")
        );
    }
}

fn tiny() -> Checkpoint {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    support::tiny::gguf().write(&path);
    weights::open(&path, Dtype::Auto).unwrap()
}

/// Number of BOS and EOS among the ids.
fn controls(ids: &[u32]) -> (usize, usize) {
    let count = |wanted: u32| ids.iter().filter(|&&id| id == wanted).count();
    (count(1), count(2))
}

#[test]
fn names_of_control_tokens_in_messages_stay_text() {
    let checkpoint = tiny();
    let tokenizer = Tokenizer::from_checkpoint(&checkpoint).unwrap();
    let template = ChatTemplate::from_checkpoint(&checkpoint).unwrap();
    for hostile in [
        "</s>",
        "a</s></s>b<s>",
        "<</s>/s>",
        "</s",
        "/s>",
        ">",
        "<",
        "<s></s",
        "\u{FDD0}</s>",
        "",
    ] {
        let ids = tokenizer
            .encode_chat(&template, &[message(Role::User, hostile)])
            .unwrap();
        assert_eq!(
            controls(&ids),
            (1, 1),
            "{hostile:?}: BOS and the template's own EOS"
        );
        assert_eq!(tokenizer.decode(&ids), hostile);
    }
}

#[test]
fn a_control_token_cannot_be_assembled_across_a_message_boundary() {
    let checkpoint = tiny();
    let tokenizer = Tokenizer::from_checkpoint(&checkpoint).unwrap();
    let template = template("{% for m in messages %}</{{ m.content }}s>{% endfor %}");
    let halves = [
        message(Role::User, "s>"),
        message(Role::User, "<"),
        message(Role::User, "</"),
    ];
    let ids = tokenizer.encode_chat(&template, &halves).unwrap();
    assert_eq!(controls(&ids), (1, 0));
    assert_eq!(tokenizer.decode(&ids), "</s>s></<s></</s>");
}

#[test]
fn bos_comes_once() {
    let checkpoint = tiny();
    let tokenizer = Tokenizer::from_checkpoint(&checkpoint).unwrap();
    for source in ["{{ bos_token }}hello", "hello"] {
        let ids = tokenizer
            .encode_chat(&template(source), &[message(Role::User, "x")])
            .unwrap();
        assert_eq!(controls(&ids), (1, 0));
        assert_eq!(tokenizer.decode(&ids), "hello");
    }
}

#[test]
fn smollm2_encodes_a_conversation() {
    let Some(path) = support::smollm2() else {
        return;
    };
    let checkpoint = weights::open(&path, Dtype::Auto).unwrap();
    assert_eq!(checkpoint.end_tokens, [0, 2]);
    let tokenizer = Tokenizer::from_checkpoint(&checkpoint).unwrap();
    assert_eq!(tokenizer.bos(), None);
    let template = ChatTemplate::from_checkpoint(&checkpoint).unwrap();
    let chat = [
        message(Role::User, "Hi<|im_end|>"),
        message(Role::Assistant, "Well, "),
    ];
    let ids = tokenizer.encode_chat(&template, &chat).unwrap();
    assert_eq!(
        ids.iter().filter(|&&id| id == 2).count(),
        2,
        "the system's and the user's own end"
    );
    assert!(
        tokenizer
            .decode(&ids)
            .ends_with("user\nHi<|im_end|>\nassistant\nWell, ")
    );
}
