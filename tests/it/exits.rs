//! Files of exit adapters and draft orders beside a model: picked up by themselves, or refused with what is wrong.

use crate::support::gguf::GgufBuilder;
use crate::support::tiny::{self, HIDDEN, KV, LAYERS, VOCAB, WIDTH, noise};
use skiplens::engine::decode::{Proposer, Round, Settings, Stats, Strategy};
use skiplens::engine::loaded_model::LoadedModel;
use skiplens::engine::model::Target;
use skiplens::engine::weights::{self, Checkpoint, Dtype, ModelDefaults};
use skiplens::eval::identity::ModelIdentity;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

const PROMPT: [u32; 5] = [5, 6, 7, 40, 41];

/// The metadata of a file for the tiny model.
fn metadata() -> GgufBuilder {
    GgufBuilder::default()
        .string("general.architecture", "skiplens-exits")
        .u32("skiplens-exits.version", 1)
        .u32("skiplens-exits.block_count", LAYERS as u32)
        .u32("skiplens-exits.embedding_length", HIDDEN as u32)
        .u32("skiplens-exits.vocab_size", VOCAB as u32)
}

/// Its tensors, without those named in `without`.
fn tensors(mut file: GgufBuilder, without: &[&str]) -> GgufBuilder {
    let shapes = [
        ("1.proj", vec![HIDDEN, 2 * HIDDEN]),
        ("block.attn_norm", vec![HIDDEN]),
        ("block.attn_q", vec![HIDDEN, HIDDEN]),
        ("block.attn_k", vec![KV, HIDDEN]),
        ("block.attn_v", vec![KV, HIDDEN]),
        ("block.attn_output", vec![HIDDEN, HIDDEN]),
        ("block.ffn_norm", vec![HIDDEN]),
        ("block.ffn_gate", vec![WIDTH, HIDDEN]),
        ("block.ffn_up", vec![WIDTH, HIDDEN]),
        ("block.ffn_down", vec![HIDDEN, WIDTH]),
    ];
    for (nth, (name, shape)) in shapes.into_iter().enumerate() {
        if !without.contains(&name) {
            let values = noise(shape.iter().product(), 500 + nth as u32);
            file = file.tensor_f32(&format!("exits.{name}.weight"), &shape, &values);
        }
    }
    file
}

fn complete() -> GgufBuilder {
    tensors(metadata().i32s("skiplens-exits.exit_layers", &[1]), &[])
}

/// A folder with the tiny model and a file of exits.
fn beside(exits: &GgufBuilder) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("tiny.gguf");
    tiny::gguf().write(&model);
    exits.write(&folder.path().join("tiny.exits.gguf"));
    (folder, model)
}

fn load(checkpoint: &Checkpoint) -> LoadedModel {
    LoadedModel::from_checkpoint(checkpoint, Target::Cpu, Some(1), &mut |_, _| {}).unwrap()
}

fn open(path: &Path) -> Checkpoint {
    weights::open(path, Dtype::Auto).unwrap()
}

/// All rounds of a greedy answer.
fn answer(model: &mut LoadedModel, settings: &Settings) -> Vec<Round> {
    let decoder = &mut model.decoder;
    let mut session = decoder.session().unwrap();
    let mut run = decoder
        .begin(&mut session, &PROMPT, settings, &mut ())
        .unwrap();
    let mut rounds = Vec::new();
    while run.stop().is_none() {
        let settings = Arc::new(settings.clone());
        let round = decoder.round(&mut session, &mut run, &settings, &mut ());
        rounds.push(round.unwrap());
    }
    rounds
}

fn tokens(rounds: &[Round]) -> Vec<u32> {
    let kept = rounds.iter().flat_map(Round::kept);
    kept.map(|token| token.id).collect()
}

#[test]
fn a_file_beside_the_model_is_used_and_changes_no_text() {
    let (folder, path) = beside(&complete());
    for place in [&path, folder.path()] {
        let mut model = load(&open(place));
        assert_eq!(model.info.adapters, [1]);
        assert!(model.info.has_trained_exits());
        let settings = Settings {
            exit_layer: 1,
            max_steps: 30,
            ..Settings::default()
        };
        let drafted = answer(&mut model, &settings);
        let by = Stats::of(&drafted).by_proposer;
        assert!(
            by.adapter.drafted > 0 && by.early_exit.drafted == 0,
            "{by:?}"
        );
        let without = Settings {
            adapter: false,
            ..settings.clone()
        };
        let plain_head = answer(&mut model, &without);
        assert_eq!(Stats::of(&plain_head).by_proposer.adapter.drafted, 0);
        let plain = Settings {
            strategy: Strategy::Autoregressive,
            ..settings
        };
        let plain = answer(&mut model, &plain);
        assert_eq!(tokens(&drafted), tokens(&plain));
        assert_eq!(tokens(&plain_head), tokens(&plain));
    }
    let described = weights::describe(&path).unwrap();
    assert_eq!(described.adapters, [1]);
    // The exits file by itself is not a model.
    let alone = weights::open(&folder.path().join("tiny.exits.gguf"), Dtype::Auto);
    assert!(alone.err().unwrap().to_string().contains("skiplens-exits"));
}

/// Adapters may be in the model's own file; a file beside it takes precedence.
#[test]
fn adapters_in_the_models_own_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    let own = tiny::gguf()
        .u32("skiplens-exits.version", 1)
        .i32s("skiplens-exits.exit_layers", &[1])
        .i32s("skiplens-exits.draft_order", &[9, 8, 7]);
    tensors(own, &[]).write(&path);
    let model = load(&open(&path));
    assert_eq!(model.info.adapters, [1]);
    assert_eq!(model.decoder.model().draft_order().ids(9), [9, 8, 7]);
    metadata()
        .i32s("skiplens-exits.draft_order", &[11, 12])
        .write(&folder.path().join("tiny.exits.gguf"));
    let model = load(&open(&path));
    assert_eq!(model.info.adapters, [0; 0]);
    assert_eq!(model.decoder.model().draft_order().ids(9), [11, 12]);
}

/// A device that does not run adapters still drafts in the order of the file, and recommends nothing because of them.
#[test]
fn defaults_on_a_device_without_adapters() {
    let exits = complete().i32s("skiplens-exits.draft_order", &[9, 8, 7]);
    let (_folder, path) = beside(&exits);
    let checkpoint = open(&path);
    let on_cpu = load(&checkpoint).info.defaults;
    assert_eq!(on_cpu.num_speculations, Some(1));
    let target = Target::Candle(candle_core::Device::Cpu);
    let info = LoadedModel::from_checkpoint(&checkpoint, target, None, &mut |_, _| {})
        .unwrap()
        .info;
    assert_eq!(info.adapters, [0; 0]);
    assert!(info.adapters_fault.is_some() && on_cpu.draft_vocab.is_some());
    let own = ModelDefaults {
        draft_vocab: on_cpu.draft_vocab,
        ..checkpoint.defaults
    };
    assert_eq!(info.defaults, own);
}

/// What the file of the exits recommends goes before what the model does.
#[test]
fn a_file_of_exits_recommends_settings() {
    let exits = complete()
        .i32s("skiplens-exits.adapter_of_exit", &[0, 1])
        .u32("skiplens.num_speculations", 3)
        .u32("skiplens.draft_vocab", 40)
        .i32s("skiplens-exits.draft_order", &[9, 8, 7]);
    let (_folder, path) = beside(&exits);
    let defaults = load(&open(&path)).info.defaults;
    assert_eq!(defaults.exit_layer, Some(1));
    assert_eq!(defaults.num_speculations, Some(3));
    assert_eq!(defaults.draft_vocab, Some(40));
}

/// Results of a model with other exits are not its results.
#[test]
fn the_file_of_exits_is_part_of_an_identity() {
    let (_folder, path) = beside(&complete());
    let identity = || ModelIdentity::of(&load(&open(&path)).info).unwrap();
    let first = identity();
    assert_eq!(first, identity());
    let exits = path.with_file_name("tiny.exits.gguf");
    metadata()
        .i32s("skiplens-exits.draft_order", &[11, 12])
        .write(&exits);
    let second = identity();
    std::fs::remove_file(exits).unwrap();
    let without = identity();
    assert_eq!(without.fingerprint, first.fingerprint);
    assert!(first != second && second != without && first != without);
}

#[test]
fn adapters_count_as_weights() {
    let (_folder, path) = beside(&complete());
    let (own, described) = (
        open(&path).weight_bytes(Dtype::Auto),
        weights::describe(&path),
    );
    std::fs::remove_file(path.with_file_name("tiny.exits.gguf")).unwrap();
    let without = open(&path).weight_bytes(Dtype::Auto);
    let bytes = 4 * (2 * HIDDEN * HIDDEN + 2 * HIDDEN + 2 * HIDDEN * HIDDEN + 2 * KV * HIDDEN);
    let bytes = (bytes + 4 * 3 * WIDTH * HIDDEN) as u64;
    assert_eq!(own - without, bytes);
    let described_without = weights::describe(&path).unwrap();
    assert_eq!(described.unwrap().bytes - described_without.bytes, bytes);
}

/// A draft order changes what is drafted, never the text.
#[test]
fn a_draft_order_changes_no_text() {
    let (_folder, path) = beside(&metadata().i32s(
        "skiplens-exits.draft_order",
        &(0..200).map(|i| (i * 7 + 3) % 300).collect::<Vec<_>>(),
    ));
    let mut model = load(&open(&path));
    assert_eq!(model.info.defaults.draft_vocab, Some(300));
    for draft_vocab in [0, 1, 20, 150, 200, 300] {
        let settings = Settings {
            exit_layer: 1,
            max_steps: 30,
            draft_vocab,
            ..Settings::default()
        };
        let drafted = answer(&mut model, &settings);
        let known = model
            .decoder
            .model()
            .draft_order()
            .ids(draft_vocab)
            .to_vec();
        let mut text = PROMPT.to_vec();
        for round in &drafted {
            for token in round.drafted() {
                let of_text = text.contains(&token.id);
                assert!(draft_vocab == 0 || known.contains(&token.id) || of_text);
                assert_eq!(token.proposer, Proposer::EarlyExit);
            }
            text.extend(round.kept().map(|token| token.id));
        }
        let plain = Settings {
            strategy: Strategy::Autoregressive,
            ..settings
        };
        assert_eq!(tokens(&drafted), tokens(&answer(&mut model, &plain)));
    }
}

#[test]
fn broken_files_say_what_is_wrong() {
    let exits =
        |layers: &[i32]| tensors(metadata().i32s("skiplens-exits.exit_layers", layers), &[]);
    let order = |ids: &[i32]| metadata().i32s("skiplens-exits.draft_order", ids);
    let other = |key: &str| {
        let keys = ["block_count", "embedding_length", "vocab_size"];
        let file = GgufBuilder::default()
            .string("general.architecture", "skiplens-exits")
            .u32("skiplens-exits.version", 1);
        keys.into_iter().fold(file, |file, own| {
            let value = if own == key {
                7
            } else {
                [LAYERS, HIDDEN, VOCAB][keys.iter().position(|k| *k == own).unwrap()] as u32
            };
            file.u32(&format!("skiplens-exits.{own}"), value)
        })
    };
    let wrong_shape = tensors(
        metadata().i32s("skiplens-exits.exit_layers", &[1]),
        &["1.proj"],
    )
    .tensor_f32(
        "exits.1.proj.weight",
        &[HIDDEN, HIDDEN],
        &noise(HIDDEN * HIDDEN, 1),
    );
    let many: Vec<i32> = (0..100).collect();
    let cases = [
        (GgufBuilder::default(), "not a file of exit adapters"),
        (tiny::gguf(), "not a file of exit adapters"),
        (
            GgufBuilder::default().string("general.architecture", "skiplens-exits"),
            "version is missing",
        ),
        (
            GgufBuilder::default()
                .string("general.architecture", "skiplens-exits")
                .u32("skiplens-exits.version", 9),
            "version 9",
        ),
        (other("block_count"), "its block_count is 7"),
        (other("embedding_length"), "its embedding_length is 7"),
        (other("vocab_size"), "its vocab_size is 7"),
        (exits(&[0]), "are 1 to 1"),
        (exits(&[2]), "are 1 to 1"),
        (exits(&[-1]), "are 1 to 1"),
        (exits(&[1, 1]), "ascending"),
        (exits(&many), "lists 100 exits"),
        (
            tensors(
                metadata().i32s("skiplens-exits.exit_layers", &[1]),
                &["block.attn_k"],
            ),
            "exits.block.attn_k.weight is missing",
        ),
        (
            tensors(
                metadata().i32s("skiplens-exits.exit_layers", &[1]),
                &["1.proj"],
            ),
            "exits.1.proj.weight is missing",
        ),
        (wrong_shape, "has the shape [64, 64]"),
        (
            complete().i32s("skiplens-exits.adapter_of_exit", &[0]),
            "has 1 elements for a model of 2 layers",
        ),
        (
            complete().i32s("skiplens-exits.adapter_of_exit", &[0, 0]),
            "says 0 for exit 1",
        ),
        (
            complete().i32s("skiplens-exits.adapter_of_exit", &[1, 1]),
            "says 1 for exit 0",
        ),
        (order(&[]), "is empty"),
        (order(&[3, 3]), "token 3 twice"),
        (order(&[300]), "token 300 twice, or beyond"),
        (order(&[-1]), "token -1"),
        (
            metadata().f32s("skiplens-exits.draft_order", &[1.0]),
            "not a list of the expected type",
        ),
    ];
    for (file, fault) in cases {
        let (_folder, path) = beside(&file);
        let error = weights::open(&path, Dtype::Auto)
            .err()
            .map(|e| e.to_string());
        let error = error.unwrap_or_else(|| panic!("accepted: {fault}"));
        assert!(
            error.contains(fault) && error.contains("tiny.exits.gguf"),
            "{fault}: {error}"
        );
    }
    // Cut anywhere, it is an error.
    let whole = complete().bytes();
    let (folder, path) = beside(&complete());
    for length in (0..whole.len()).step_by(whole.len() / 40) {
        std::fs::write(folder.path().join("tiny.exits.gguf"), &whole[..length]).unwrap();
        let error = weights::open(&path, Dtype::Auto)
            .err()
            .map(|e| e.to_string());
        assert!(
            error.is_some_and(|error| error.contains("tiny.exits.gguf")),
            "{length}"
        );
    }
}
