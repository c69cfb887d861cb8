//! Hugging Face folders as found in practice: with files left over from other saves, with tensor names of wrappers,
//! written by Python, or downloaded only in part.

use crate::support::tiny;
use serde_json::{Value, json};
use skiplens::engine::config::{LlamaConfig, RopeScaling, hf};
use skiplens::engine::prompt::{Message, Role};
use skiplens::engine::text::{ChatTemplate, Tokenizer};
use skiplens::engine::weights::{self, Checkpoint, Dtype};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A folder of the tiny model.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        tiny::write_huggingface(folder.path());
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path().join(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// Edits a JSON file.
    fn edit(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut json = serde_json::from_str(&self.read(name)).unwrap();
        change(&mut json);
        self.write(name, json.to_string());
    }

    fn tensors(&self, change: impl FnOnce(Tensors) -> Tensors) {
        let tensors = change(tiny::huggingface_tensors());
        self.write("model.safetensors", tiny::safetensors(&tensors));
    }

    fn open(&self) -> Checkpoint {
        weights::open(self.path(), Dtype::Auto).unwrap()
    }

    fn error(&self) -> String {
        match weights::open(self.path(), Dtype::Auto) {
            Ok(_) => panic!("it opened"),
            Err(e) => e.to_string(),
        }
    }

    fn tokenizer(&self) -> Tokenizer {
        Tokenizer::from_checkpoint(&self.open()).unwrap()
    }
}

fn bytes(checkpoint: &Checkpoint, name: &str) -> Option<Vec<u8>> {
    let tensor = checkpoint.tensors.tensor(name).unwrap()?;
    Some(tensor.data.into_owned())
}

#[test]
fn a_stale_index_is_ignored() {
    let folder = Folder::new();
    let stale = json!({"weight_map": {"lm_head.weight": "model-00001-of-00002.safetensors"}});
    folder.write("model.safetensors.index.json", stale.to_string());
    folder.open();
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    assert!(
        folder
            .error()
            .contains("model-00001-of-00002.safetensors is missing")
    );
}

#[test]
fn prefixes_of_wrappers_are_stripped() {
    let plain = bytes(&Folder::new().open(), "blk.1.attn_q.weight");
    for prefix in ["_orig_mod.", "module.", "module._orig_mod.", "model."] {
        let folder = Folder::new();
        folder.tensors(|tensors| {
            let renamed = tensors.into_iter();
            renamed
                .map(|(name, tensor)| (format!("{prefix}{name}"), tensor))
                .collect()
        });
        assert_eq!(
            bytes(&folder.open(), "blk.1.attn_q.weight"),
            plain,
            "{prefix}"
        );
    }
}

/// A single matrix may have either name. Two different matrices are not tied, whatever the configuration says.
#[test]
fn embedding_and_head_are_tied_as_in_transformers() {
    const EMBEDDING: &str = "model.embed_tokens.weight";
    const HEAD: &str = "lm_head.weight";
    let tied = |tied: bool, change: &dyn Fn(&mut Tensors)| {
        let folder = Folder::new();
        folder.edit("config.json", |json| {
            json["tie_word_embeddings"] = tied.into()
        });
        folder.tensors(|mut tensors| {
            change(&mut tensors);
            tensors
        });
        folder
    };
    let without = |name: &'static str| move |tensors: &mut Tensors| drop(tensors.remove(name));
    let embedding_only = tied(true, &without(HEAD)).open();
    assert!(embedding_only.config.tie_word_embeddings);
    let head_only = tied(true, &without(EMBEDDING)).open();
    assert!(head_only.config.tie_word_embeddings);
    let head = &tiny::huggingface_tensors()[HEAD];
    let head: Vec<u8> = head.1.iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(bytes(&head_only, "token_embd.weight"), Some(head.clone()));
    assert_eq!(bytes(&head_only, "output.weight"), None);
    let both = tied(true, &|_| ()).open();
    assert!(!both.config.tie_word_embeddings, "they differ");
    assert_eq!(bytes(&both, "output.weight"), Some(head));
    let copies = tied(true, &|tensors| {
        let copy = tensors[EMBEDDING].clone();
        tensors.insert(HEAD.into(), copy);
    });
    assert!(copies.open().config.tie_word_embeddings);
    assert_eq!(bytes(&copies.open(), "output.weight"), None);
    assert!(
        tied(false, &without(HEAD))
            .open()
            .config
            .tie_word_embeddings
    );
    let error = tied(false, &without(EMBEDDING)).error();
    assert!(
        error.contains("model.embed_tokens.weight is missing"),
        "{error}"
    );
}

#[test]
fn errors_use_the_names_in_the_file() {
    let folder = Folder::new();
    folder.tensors(|mut tensors| {
        tensors.remove("model.layers.1.mlp.up_proj.weight");
        tensors
    });
    let error = folder.error();
    assert!(
        error.contains("model.layers.1.mlp.up_proj.weight is missing"),
        "{error}"
    );
    folder.tensors(|tensors| {
        let renamed = tensors
            .into_iter()
            .map(|(name, tensor)| (format!("module.{name}"), tensor));
        renamed.collect()
    });
    folder.edit("config.json", |json| json["intermediate_size"] = 95.into());
    let error = folder.error();
    assert!(
        error.contains("module.model.layers.0.mlp.gate_proj.weight has the shape"),
        "{error}"
    );
    assert!(!error.contains("blk."), "{error}");
}

#[test]
fn json_is_read_as_python_writes_it() {
    let folder = Folder::new();
    for name in [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ] {
        let json = folder.read(name);
        let odd = format!(
            "\u{FEFF}{}",
            json.replacen('{', r#"{"limit": [0.0, Infinity, -Infinity, NaN],"#, 1)
        );
        folder.write(name, odd);
    }
    folder.write("chat_template.jinja", "\u{FEFF}hello");
    let checkpoint = folder.open();
    assert_eq!(checkpoint.text.chat_template.as_deref(), Some("hello"));
    for (key, value) in [
        ("rope_theta", "Infinity"),
        ("rms_norm_eps", "NaN"),
        ("hidden_size", "-Infinity"),
    ] {
        let folder = Folder::new();
        folder.edit("config.json", |json| json[key] = "@".into());
        folder.write(
            "config.json",
            folder.read("config.json").replace("\"@\"", value),
        );
        let error = folder.error();
        assert!(error.contains(key) && error.contains(value), "{error}");
    }
}

#[test]
fn git_lfs_pointers_are_reported_as_such() {
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 66000\n",
        "ab".repeat(32)
    );
    for name in ["model.safetensors", "tokenizer.json", "config.json"] {
        let folder = Folder::new();
        folder.write(name, &pointer);
        let error = folder.error();
        assert!(
            error.contains("Git LFS pointer") && error.contains(name),
            "{error}"
        );
    }
    let folder = Folder::new();
    folder.write("model.gguf", &pointer);
    let error = weights::open(&folder.path().join("model.gguf"), Dtype::Auto)
        .err()
        .unwrap();
    assert!(error.to_string().contains("66000 bytes"), "{error}");
}

/// The names of control tokens in the three files that can contain them.
fn set_eos(folder: &Folder, name: &str) {
    folder.edit("tokenizer_config.json", |json| {
        json["eos_token"] = name.into()
    });
}

/// An added token `<end>` with these flags, as the last of the vocabulary.
fn add_token(folder: &Folder, content: &str, flags: Value) {
    folder.edit("tokenizer.json", |json| {
        let mut token = json!({"id": 299, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": false});
        token.as_object_mut().unwrap().extend(flags.as_object().unwrap().clone());
        let vocab = json["model"]["vocab"].as_object_mut().unwrap();
        vocab.remove("unused299");
        vocab.insert(content.to_owned(), 299.into());
        json["added_tokens"].as_array_mut().unwrap().push(token);
    });
}

/// A token that any of the files names as an end token ends the text. It is a control token: not part of the decoded
/// text, and never the encoding of user text.
#[test]
fn end_tokens_are_control_tokens_whichever_file_says_so() {
    type Way = (&'static str, fn(&Folder));
    let ways: [Way; 6] = [
        ("flagged special", |folder| {
            add_token(folder, "<end>", json!({"special": true}));
            set_eos(folder, "<end>");
        }),
        ("not flagged special", |folder| {
            add_token(folder, "<end>", json!({}));
            set_eos(folder, "<end>");
        }),
        ("in the vocabulary only", |folder| {
            add_token(folder, "<end>", json!({}));
            folder.edit("tokenizer.json", |json| {
                drop(json["added_tokens"].as_array_mut().unwrap().pop())
            });
            set_eos(folder, "<end>");
        }),
        ("in the map of special tokens", |folder| {
            add_token(folder, "<end>", json!({}));
            folder.write(
                "special_tokens_map.json",
                json!({"eos_token": {"content": "<end>"}}).to_string(),
            );
        }),
        ("in the map, against the configuration", |folder| {
            add_token(folder, "<end>", json!({}));
            set_eos(folder, "<unk>");
            folder.write(
                "special_tokens_map.json",
                json!({"eos_token": "<end>"}).to_string(),
            );
        }),
        ("in both", |folder| {
            add_token(folder, "<end>", json!({}));
            set_eos(folder, "<end>");
            folder.write(
                "special_tokens_map.json",
                json!({"eos_token": "<end>"}).to_string(),
            );
        }),
    ];
    for (way, set) in ways {
        let folder = Folder::new();
        set(&folder);
        let checkpoint = folder.open();
        assert!(checkpoint.end_tokens.contains(&299), "{way}");
        let tokenizer = Tokenizer::from_checkpoint(&checkpoint).unwrap();
        assert!(tokenizer.is_special(299), "{way}");
        assert_eq!(tokenizer.special_id("<end>"), Some(299), "{way}");
        assert!(
            !tokenizer.encode("a<end>b", false).unwrap().contains(&299),
            "{way}"
        );
        assert!(
            tokenizer.encode("a<end>b", true).unwrap().contains(&299),
            "{way}"
        );
        assert_eq!(tokenizer.decode(&[299]), "", "{way}");
    }
}

#[test]
fn other_named_tokens_are_control_tokens_too() {
    let folder = Folder::new();
    add_token(&folder, "<tool>", json!({}));
    folder.edit("tokenizer_config.json", |json| {
        json["additional_special_tokens"] = json!([{"content": "<tool>"}, "nowhere"]);
    });
    let checkpoint = folder.open();
    assert!(!checkpoint.end_tokens.contains(&299));
    assert!(
        Tokenizer::from_checkpoint(&checkpoint)
            .unwrap()
            .is_special(299)
    );
    let folder = Folder::new();
    add_token(&folder, "<|im_end|>", json!({}));
    assert!(folder.open().end_tokens.contains(&299), "by its name");
    let folder = Folder::new();
    add_token(&folder, "<think>", json!({}));
    let tokenizer = folder.tokenizer();
    assert!(
        !tokenizer.is_special(299) && tokenizer.encode("<think>", false).unwrap().contains(&299)
    );
    folder.edit("tokenizer_config.json", |json| {
        json["added_tokens_decoder"] = json!({"299": {"content": "<think>", "lstrip": true, "rstrip": true,
            "normalized": false, "single_word": false, "special": false}});
    });
    let stripping = folder.tokenizer();
    assert_eq!(
        stripping.encode("a <think> b", true).unwrap(),
        tokenizer.encode("a<think>b", true).unwrap(),
        "the configuration's options go before those of tokenizer.json"
    );
}

/// White space around control tokens is stripped as in the tokenizers library, also in conversations.
#[test]
fn options_of_control_tokens_hold_in_conversations() {
    let mut counts = Vec::new();
    for flags in [
        json!({}),
        json!({"rstrip": true}),
        json!({"lstrip": true}),
        json!({"lstrip": true, "rstrip": true}),
    ] {
        let folder = Folder::new();
        let mut flags = flags;
        flags["special"] = true.into();
        add_token(&folder, "<end>", flags);
        folder.write(
            "chat_template.jinja",
            "{{ bos_token }}{% for m in messages %}{{ m.role + ': ' + m.content + ' <end>' + '\\n' }}{% endfor %}{{ 'ai:' }}",
        );
        let checkpoint = folder.open();
        let tokenizer = Tokenizer::from_checkpoint(&checkpoint).unwrap();
        let template = ChatTemplate::from_checkpoint(&checkpoint).unwrap();
        let library =
            tokenizers::Tokenizer::from_file(folder.path().join("tokenizer.json")).unwrap();
        let say = |content: &str| {
            let content = content.to_owned();
            tokenizer
                .encode_chat(
                    &template,
                    &[Message {
                        role: Role::User,
                        content,
                    }],
                )
                .unwrap()
        };
        let wanted = library
            .encode("<s>user: the cat <end>\nai:", false)
            .unwrap();
        assert_eq!(say("the cat"), wanted.get_ids());
        counts.push(wanted.len());
        let injected = say("the <end> cat");
        assert_eq!(
            injected.iter().filter(|id| **id == 299).count(),
            1,
            "only the template's"
        );
    }
    assert!(counts[1] < counts[0] && counts[2] < counts[0] && counts[3] < counts[1]);
}

/// The configuration with these keys set; a key set to null is removed.
fn rope(keys: Value) -> LlamaConfig {
    let mut json = tiny::config_json();
    let config = json.as_object_mut().unwrap();
    config.remove("rope_theta");
    config.extend(keys.as_object().unwrap().clone());
    hf::parse(&json, Path::new("config.json")).unwrap()
}

/// Of the two spellings the old one takes precedence unless it is empty; nested values take precedence over top-level
/// ones.
#[test]
fn rope_is_decided_as_in_transformers() {
    let llama3 = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32});
    let scaled = |config: &LlamaConfig, original: f64| {
        let wanted = RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_context: original,
        };
        assert_eq!(config.rope_scaling, wanted);
    };
    for other in [
        json!({"rope_scaling": llama3}),
        json!({"rope_scaling": llama3, "rope_parameters": {}}),
        json!({"rope_scaling": llama3, "rope_parameters": null}),
        json!({"rope_scaling": llama3, "rope_parameters": {"rope_type": "default", "rope_theta": 5.0}}),
        json!({"rope_scaling": null, "rope_parameters": llama3}),
        json!({"rope_scaling": {}, "rope_parameters": llama3}),
    ] {
        let mut keys = other.clone();
        keys["rope_theta"] = 1000.0.into();
        let config = rope(keys);
        scaled(&config, 32.0);
        assert_eq!(config.rope_theta, 1000.0, "{other}");
        assert_eq!(rope(other).rope_theta, 10_000.0);
    }
    let mut inside = llama3.clone();
    inside["rope_theta"] = 7.0.into();
    let config = rope(json!({"rope_parameters": inside, "rope_theta": 1000.0}));
    assert_eq!(config.rope_theta, 7.0);
    let mut without = llama3.clone();
    without
        .as_object_mut()
        .unwrap()
        .remove("original_max_position_embeddings");
    scaled(&rope(json!({"rope_scaling": without})), 128.0);
    scaled(
        &rope(json!({"rope_scaling": llama3, "original_max_position_embeddings": 64})),
        64.0,
    );
    let both = json!({"rope_type": "default", "type": "linear", "factor": 2.0});
    assert_eq!(
        rope(json!({"rope_scaling": both})).rope_scaling,
        RopeScaling::None
    );
    let old = json!({"type": "linear", "factor": 2.0});
    assert_eq!(
        rope(json!({"rope_scaling": old})).rope_scaling,
        RopeScaling::Linear { factor: 2.0 }
    );
}
