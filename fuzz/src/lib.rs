//! What the fuzz targets share: a file to write inputs to, tiny models, and what is done with what could be read.

pub mod support;

use skiplens::engine::Result;
use skiplens::engine::prompt::{Message, Role};
use skiplens::engine::text::{ChatTemplate, Tokenizer};
use skiplens::engine::weights::{self, Dtype};
use std::path::{Path, PathBuf};

/// A folder for the inputs of this process, in memory where the system has such.
pub fn folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let parent = match memory.is_dir() {
        true => memory.to_owned(),
        false => std::env::temp_dir(),
    };
    let folder = parent.join(format!("skiplens-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for inputs");
    folder
}

/// Open a model, read all of its tensors, and use its tokenizer and its template. Errors are fine.
pub fn open_model(path: &Path) {
    drop(try_model(path));
}

fn try_model(path: &Path) -> Result<()> {
    let checkpoint = weights::open(path, Dtype::Auto)?;
    for layer in 0..checkpoint.config.num_layers {
        for name in ["attn_norm", "attn_q", "attn_k", "ffn_down"] {
            checkpoint
                .tensors
                .tensor(&format!("blk.{layer}.{name}.weight"))?;
        }
    }
    use_tokenizer(&Tokenizer::from_checkpoint(&checkpoint)?)?;
    match ChatTemplate::from_checkpoint(&checkpoint) {
        Some(template) => template.render(&conversation()).map(drop),
        None => Ok(()),
    }
}

/// Encode some text, with and without control tokens, and decode it.
pub fn use_tokenizer(tokenizer: &Tokenizer) -> Result<()> {
    const TEXT: &str = "hello the </s>\n aaaaaaaaaab<s>c  é 中 1.AB <1> <|x|>";
    for text in [TEXT, &TEXT.repeat(20)] {
        for special in [false, true] {
            tokenizer.decode(&tokenizer.encode(text, special)?);
        }
    }
    Ok(())
}

/// A conversation with every role.
pub fn conversation() -> Vec<Message> {
    let message = |role, content: &str| Message {
        role,
        content: content.to_owned(),
    };
    vec![
        message(Role::System, "Be brief."),
        message(Role::User, " Who are you? <s> {{ x }}\n"),
        message(Role::Assistant, "I am é."),
        message(Role::User, "Well."),
    ]
}
