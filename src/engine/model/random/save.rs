//! Writes a checkpoint as a Hugging Face folder, so that other programs can run the same weights.

use super::shapes;
use super::vocabulary::tokenizer_files;
use crate::engine::config::{LlamaConfig, RopeScaling};
use crate::engine::kernels::{Arena, Packed};
use crate::engine::model::load;
use crate::engine::weights::{Checkpoint, RawTensor};
use crate::engine::{Error, Result};
use candle_core::quantized::GgmlDType;
use half::f16;
use serde_json::{Map, Value, json};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

const WEIGHTS: &str = "model.safetensors";

/// Writes a random model to `folder`, which is created: configuration, weights and tokenizer. The checkpoint's matrices
/// have the type `dtype`; quantised ones are written as F16.
///
/// # Errors
/// If one of the files exists or cannot be written. Existing files are left as they are, and no new ones remain.
pub fn save(checkpoint: &Checkpoint, dtype: GgmlDType, folder: &Path) -> Result<()> {
    let config = &checkpoint.config;
    let mut texts = vec![("config.json", config_json(config, dtype))];
    texts.extend(tokenizer_files(&checkpoint.text, config.context_length)?);
    for name in texts.iter().map(|(name, _)| *name).chain([WEIGHTS]) {
        let path = folder.join(name);
        // A link to nothing is also a file of the user.
        if path.symlink_metadata().is_ok() {
            return Err(Error::io(path, io::ErrorKind::AlreadyExists.into()));
        }
    }
    fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
    let mut created = Vec::new();
    let saved = save_files(checkpoint, dtype, &texts, folder, &mut created);
    if saved.is_err() {
        for path in created {
            // The first error is the one to report.
            let _ = fs::remove_file(path);
        }
    }
    saved
}

/// Writes the files. The path of each is added to `created` as soon as it exists.
fn save_files(
    checkpoint: &Checkpoint,
    dtype: GgmlDType,
    texts: &[(&str, Value)],
    folder: &Path,
    created: &mut Vec<PathBuf>,
) -> Result<()> {
    let mut create = |name: &str| -> Result<_> {
        let path = folder.join(name);
        let file = File::create_new(&path).map_err(|error| Error::io(&path, error))?;
        created.push(path.clone());
        Ok((path, file))
    };
    for (name, content) in texts {
        let (path, mut file) = create(name)?;
        file.write_all(content.to_string().as_bytes())
            .map_err(|error| Error::io(&path, error))?;
    }
    let (path, file) = create(WEIGHTS)?;
    let mut out = BufWriter::new(file);
    write(checkpoint, dtype, &mut out).and_then(|written| {
        written
            .and_then(|()| out.flush())
            .map_err(|error| Error::io(&path, error))
    })
}

/// Writes all tensors. The outer error is about a tensor, the inner one about the file.
fn write(
    checkpoint: &Checkpoint,
    dtype: GgmlDType,
    out: &mut impl Write,
) -> Result<io::Result<()>> {
    let config = &checkpoint.config;
    let all = shapes(config);
    let mut header = Map::new();
    let mut offset = 0;
    for (name, shape, _) in &all {
        let stored = match shape.len() {
            1 => GgmlDType::F32,
            _ => stored(dtype),
        };
        let bytes = shape.iter().product::<usize>() * stored.type_size();
        header.insert(
            hugging_face_name(name),
            json!({
                "dtype": crate::engine::weights::type_name(stored),
                "shape": shape,
                "data_offsets": [offset, offset + bytes],
            }),
        );
        offset += bytes;
    }
    let mut header = Value::Object(header).to_string();
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut send = |bytes: &[u8]| out.write_all(bytes);
    if let Err(error) =
        send(&(header.len() as u64).to_le_bytes()).and_then(|()| send(header.as_bytes()))
    {
        return Ok(Err(error));
    }
    for (name, shape, _) in &all {
        let tensor = load::raw(&*checkpoint.tensors, name, shape)?;
        let rows = if shape.len() == 1 { 1 } else { shape[0] };
        let dense = dense(name, &tensor, rows)?;
        let row_bytes = dense.len() / rows;
        for row in 0..rows {
            let from = row_in_gguf(name, row, config.head_dim);
            if let Err(error) = send(&dense[from * row_bytes..][..row_bytes]) {
                return Ok(Err(error));
            }
        }
    }
    Ok(Ok(()))
}

/// The type of matrices in the file.
fn stored(dtype: GgmlDType) -> GgmlDType {
    match dtype.block_size() {
        1 => dtype,
        _ => GgmlDType::F16,
    }
}

/// The elements of a tensor as written to the file.
fn dense(name: &str, tensor: &RawTensor<'_>, rows: usize) -> Result<Vec<u8>> {
    if tensor.dtype.block_size() == 1 {
        return Ok(tensor.data.to_vec());
    }
    let cols = tensor.shape.iter().product::<usize>() / rows;
    let mut arena = Arena::default();
    let packed = Packed::new(name, tensor.dtype, rows, cols, &tensor.data, &mut arena)?;
    let mut numbers = vec![0.0; cols];
    let mut bytes = Vec::with_capacity(rows * cols * 2);
    for row in 0..rows {
        packed.row(row, &mut numbers);
        bytes.extend(numbers.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()));
    }
    Ok(bytes)
}

/// The row of q or k in GGUF order: rotary pairs are adjacent here, and half a head apart at Hugging Face.
fn row_in_gguf(name: &str, row: usize, head_dim: usize) -> usize {
    if !(name.contains("attn_q") || name.contains("attn_k")) {
        return row;
    }
    let (head, i, half) = (row / head_dim, row % head_dim, head_dim / 2);
    head * head_dim + i % half * 2 + i / half
}

fn hugging_face_name(name: &str) -> String {
    let mut parts = name.split('.');
    let inner = match (parts.next(), parts.next(), parts.next()) {
        (Some("blk"), Some(layer), Some(part)) => {
            let part = match part {
                "attn_norm" => "input_layernorm",
                "attn_q" => "self_attn.q_proj",
                "attn_k" => "self_attn.k_proj",
                "attn_v" => "self_attn.v_proj",
                "attn_output" => "self_attn.o_proj",
                "ffn_norm" => "post_attention_layernorm",
                "ffn_gate" => "mlp.gate_proj",
                "ffn_up" => "mlp.up_proj",
                _ => "mlp.down_proj",
            };
            format!("layers.{layer}.{part}")
        }
        (Some("token_embd"), ..) => "embed_tokens".into(),
        (Some("output_norm"), ..) => "norm".into(),
        _ => return "lm_head.weight".into(),
    };
    format!("model.{inner}.weight")
}

fn config_json(config: &LlamaConfig, dtype: GgmlDType) -> Value {
    let scaling = match config.rope_scaling {
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_context,
        } => json!({
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": low_freq_factor,
            "high_freq_factor": high_freq_factor,
            "original_max_position_embeddings": original_context as u64,
        }),
        _ => Value::Null,
    };
    json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "rms_norm_eps": config.rms_norm_eps,
        "rope_theta": config.rope_theta,
        "rope_scaling": scaling,
        "max_position_embeddings": config.context_length,
        "tie_word_embeddings": config.tie_word_embeddings,
        "torch_dtype": match stored(dtype) {
            GgmlDType::F32 => "float32",
            GgmlDType::BF16 => "bfloat16",
            _ => "float16",
        },
        "bos_token_id": 1,
        "eos_token_id": 2,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::decode::{Observer, Round, Settings};
    use crate::engine::loaded_model::{LoadedModel, ModelRequest};
    use crate::engine::model::random;
    use crate::engine::prompt::Prompt;
    use crate::engine::sampling::Sampling;
    use crate::engine::weights::{self, Dtype};
    use candle_core::Device;
    use std::ops::ControlFlow;

    #[test]
    fn a_saved_model_has_the_same_weights() {
        for dtype in [GgmlDType::F16, GgmlDType::Q8_0] {
            let saved = random::checkpoint(&random::small(), dtype, 3).unwrap();
            let folder = tempfile::tempdir().unwrap();
            save(&saved, dtype, folder.path()).unwrap();
            assert!(
                save(&saved, dtype, folder.path()).is_err(),
                "nothing is replaced"
            );
            let read = weights::open(folder.path(), Dtype::Auto).unwrap();
            assert_eq!(read.config, saved.config);
            for (name, shape, _) in shapes(&saved.config) {
                let [ours, theirs] = [&saved, &read].map(|checkpoint| {
                    let tensor = load::raw(&*checkpoint.tensors, &name, &shape).unwrap();
                    let rows = if shape.len() == 1 { 1 } else { shape[0] };
                    dense(&name, &tensor, rows).unwrap()
                });
                assert!(ours == theirs, "{name}");
            }
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Any one file of the user is kept, and the error names it. The folder is as before, so that saving can be retried.
    #[test]
    fn existing_files_are_kept() {
        let checkpoint = random::checkpoint(&random::small(), GgmlDType::F16, 3).unwrap();
        let folder = tempfile::tempdir().unwrap();
        save(&checkpoint, GgmlDType::F16, folder.path()).unwrap();
        let written = names(folder.path());
        assert_eq!(written.len(), 5, "{written:?}");
        for name in &written {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            fs::write(&path, "mine").unwrap();
            let error = save(&checkpoint, GgmlDType::F16, folder.path()).unwrap_err();
            let told = error.to_string();
            assert!(
                told.contains(name.as_str()) && told.contains("exists"),
                "{told}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
            assert_eq!(names(folder.path()), [name.as_str()]);
            fs::remove_file(&path).unwrap();
            save(&checkpoint, GgmlDType::F16, folder.path()).unwrap();
        }
    }

    #[test]
    fn a_failure_leaves_no_files() {
        let mut checkpoint = random::checkpoint(&random::small(), GgmlDType::F16, 3).unwrap();
        checkpoint.tensors = Box::new(random::MemoryTensors::default());
        let folder = tempfile::tempdir().unwrap();
        save(&checkpoint, GgmlDType::F16, folder.path()).unwrap_err();
        assert!(names(folder.path()).is_empty());
    }

    #[derive(Default)]
    struct Rounds(Vec<Round>);

    impl Observer for Rounds {
        fn round(&mut self, round: Round) -> ControlFlow<()> {
            self.0.push(round);
            ControlFlow::Continue(())
        }
    }

    /// The folder is loaded like any other, and continues texts in the same way.
    #[test]
    fn a_saved_model_gives_the_same_greedy_tokens() {
        let settings = Settings {
            exit_layer: 1,
            max_steps: 60,
            sampling: Sampling {
                sample: false,
                ..Sampling::default()
            },
            ..Settings::default()
        };
        for dtype in [GgmlDType::F16, GgmlDType::F32, GgmlDType::BF16] {
            let checkpoint = random::checkpoint(&random::small(), dtype, 3).unwrap();
            let folder = tempfile::tempdir().unwrap();
            save(&checkpoint, dtype, folder.path()).unwrap();
            let request = ModelRequest {
                model: Some(folder.path().to_string_lossy().into_owned()),
                threads: Some(1),
                ..ModelRequest::default()
            };
            let made =
                LoadedModel::from_checkpoint(&checkpoint, &Device::Cpu, Some(1), &mut |_, _| {});
            let read = LoadedModel::load(&request, &mut |_, _| {});
            let [made, read] = [made, read].map(|model| {
                let mut model = model.unwrap();
                let texts = ["Once upon a time", "", " ▁é\0</s><unused280>"];
                let answers = texts.map(|text| {
                    let ids = model.encode(&Prompt::Text(text.into())).unwrap();
                    let decoder = &mut model.decoder;
                    let mut session = decoder.session().unwrap();
                    let mut rounds = Rounds::default();
                    let finished =
                        decoder.run_to_end(&mut session, &ids, settings.clone(), &mut rounds);
                    let kept = rounds.0.iter().flat_map(Round::kept);
                    let kept: Vec<_> = kept
                        .map(|token| (token.id, token.text.to_owned()))
                        .collect();
                    assert!(!kept.is_empty());
                    (ids, kept, finished.unwrap().stop)
                });
                (answers, model.decoder.end_tokens().to_vec())
            });
            assert_eq!(made, read);
        }
    }
}
