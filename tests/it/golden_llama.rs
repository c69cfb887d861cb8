//! Whole models, from files to logits, against other programs.

use crate::support::{self, forward};
use candle_core::Device;
use skiplens::engine::model::{self, Model};
use skiplens::engine::prompt::{Message, Role};
use skiplens::engine::text::{ChatTemplate, TextStream, Tokenizer};
use skiplens::engine::weights::{self, Checkpoint, Dtype};
use std::path::{Path, PathBuf};

fn load(checkpoint: &Checkpoint) -> Box<dyn Model> {
    model::load(checkpoint, &Device::Cpu, Some(2), &mut |_| {}).unwrap()
}

/// Logits after each of `ids`, from position 0.
fn logits(model: &dyn Model, ids: &[u32]) -> Vec<Vec<f32>> {
    let mut sequence = model.sequence(ids.len()).unwrap();
    forward::logits(model, &mut *sequence, ids)
}

fn argmax(row: &[f32]) -> u32 {
    (0..row.len())
        .max_by(|&a, &b| row[a].total_cmp(&row[b]))
        .unwrap() as u32
}

fn tiny_llama() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tiny_llama")
}

/// A sharded BF16 folder with grouped-query attention and Llama 3's RoPE against transformers.
/// `tests/golden/tiny_llama.py` wrote it.
#[test]
fn a_hugging_face_folder_computes_what_transformers_computes() {
    let expected = std::fs::read_to_string(tiny_llama().join("expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
    let ids: Vec<u32> = serde_json::from_value(expected["ids"].clone()).unwrap();
    for dtype in ["f32", "auto"] {
        let checkpoint = weights::open(&tiny_llama(), dtype.parse().unwrap()).unwrap();
        assert_eq!(checkpoint.end_tokens, [261, 262]);
        let tokenizer = Tokenizer::from_checkpoint(&checkpoint).unwrap();
        assert_eq!(
            tokenizer
                .encode_with_bos(expected["text"].as_str().unwrap())
                .unwrap(),
            ids
        );
        compare(&logits(&*load(&checkpoint), &ids), &expected);
    }
}

fn compare(rows: &[Vec<f32>], expected: &serde_json::Value) {
    // Logits range from -5 to 5, and the KV cache is F16.
    const TOLERANCE: f32 = 1e-2;
    let best: Vec<u32> = rows.iter().map(|row| argmax(row)).collect();
    assert_eq!(
        best,
        serde_json::from_value::<Vec<u32>>(expected["argmax"].clone()).unwrap()
    );
    for (position, wanted) in expected["logits"].as_object().unwrap() {
        let wanted: Vec<f32> = serde_json::from_value(wanted.clone()).unwrap();
        for (ours, theirs) in rows[position.parse::<usize>().unwrap()].iter().zip(wanted) {
            assert!(
                (ours - theirs).abs() < TOLERANCE,
                "position {position}: {ours} and {theirs}"
            );
        }
    }
}

#[test]
fn the_chat_template_of_a_folder_is_used() {
    let checkpoint = weights::open(&tiny_llama(), Dtype::Auto).unwrap();
    let tokenizer = Tokenizer::from_checkpoint(&checkpoint).unwrap();
    let template = ChatTemplate::from_checkpoint(&checkpoint).unwrap();
    let ids = tokenizer
        .encode_chat(
            &template,
            &[Message {
                role: Role::User,
                content: "the<|eot_id|>".into(),
            }],
        )
        .unwrap();
    assert_eq!(
        ids.iter()
            .filter(|&&id| id >= 260)
            .copied()
            .collect::<Vec<_>>(),
        [260, 262]
    );
    assert_eq!(tokenizer.decode(&ids), "user: the<|eot_id|>");
}

/// llama2.c's own test: 200 greedy steps of its smallest model from BOS.
#[test]
fn stories260k_writes_what_llama2c_writes() {
    let files = ["stories260K.bin", "tok512.bin", "stories260K.expected.txt"]
        .map(|name| format!("golden/{name}"));
    let [Some(model), Some(vocabulary), Some(expected)] = files.map(|file| support::shared(&file))
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stories260K.gguf");
    support::llama2c::to_gguf(
        &std::fs::read(model).unwrap(),
        &std::fs::read(vocabulary).unwrap(),
    )
    .write(&path);
    let checkpoint = weights::open(&path, Dtype::Auto).unwrap();
    let tokenizer = Tokenizer::from_checkpoint(&checkpoint).unwrap();
    let written = write(&*load(&checkpoint), &tokenizer, 200);
    assert_eq!(
        written.trim_end(),
        std::fs::read_to_string(expected).unwrap().trim_end()
    );
}

/// Greedy text from BOS, at most `steps` positions.
fn write(model: &dyn Model, tokenizer: &Tokenizer, steps: usize) -> String {
    let mut sequence = model.sequence(steps).unwrap();
    let (mut text, mut stream) = (String::new(), TextStream::new(tokenizer));
    let mut id = tokenizer.bos().unwrap();
    for _ in 0..steps {
        id = argmax(&forward::logits(model, &mut *sequence, &[id])[0]);
        if tokenizer.is_special(id) {
            break;
        }
        text.push_str(&stream.push(id));
    }
    text + &stream.finish()
}

/// The bundled model against transformers, with activations quantised to 8 bits as in the kernels. The order of
/// additions and the F16 cache differ, which occasionally changes a rounding: dividing by a scale that is off by one
/// millionth moves transformers' own logits by 0.15 on average and 0.75 at most. `tests/golden/make_logits.py` wrote
/// the expected values.
#[test]
fn the_bundled_model_computes_what_transformers_computes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let checkpoint = weights::open(
        &root.join("assets").join(weights::BUNDLED_FILE),
        Dtype::Auto,
    )
    .unwrap();
    let model = load(&checkpoint);
    let expected = std::fs::read_to_string(root.join("tests/golden/bundled.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
    let (mut rows, mut same, mut differences) = (0, 0, Vec::new());
    for case in expected["cases"].as_array().unwrap() {
        let ids: Vec<u32> = serde_json::from_value(case["prompt"].clone()).unwrap();
        for (ours, theirs) in logits(&*model, &ids)
            .iter()
            .zip(case["rows"].as_array().unwrap())
        {
            let best: Vec<usize> = serde_json::from_value(theirs["ids"].clone()).unwrap();
            let values: Vec<f32> = serde_json::from_value(theirs["logits"].clone()).unwrap();
            rows += 1;
            same += usize::from(argmax(ours) == best[0] as u32);
            differences.extend(
                best.iter()
                    .zip(&values)
                    .map(|(&id, value)| (ours[id] - value).abs()),
            );
            // Where the most likely token has a clear lead, it is the most likely here as well.
            assert!(values[0] - values[1] < 1.0 || argmax(ours) == best[0] as u32);
        }
    }
    let mean = differences.iter().sum::<f32>() / differences.len() as f32;
    let most = differences.iter().copied().fold(0.0, f32::max);
    assert!(
        same * 10 >= rows * 9,
        "{same} of {rows} likeliest tokens are the same"
    );
    assert!(
        mean < 0.25 && most < 3.0,
        "logits differ by {mean} on average and by {most} at most"
    );
}
