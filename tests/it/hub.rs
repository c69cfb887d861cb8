//! The Hugging Face hub, imitated by a local server.

use crate::support::hub::{FakeHub, REPOSITORY, Served};
use crate::support::tiny;
use candle_core::Device;
use skiplens::engine::Progress;
use skiplens::engine::loaded_model::LoadedModel;
use skiplens::engine::loaded_model::ModelRequest;
use skiplens::engine::weights::hub::{Hub, HubModel};
use skiplens::engine::weights::{self, Dtype};
use skiplens::engine::worker::{self, Command, Event, ModelEvent};
use std::path::{Path, PathBuf};

/// The tiny model as files.
fn tiny_files() -> Served {
    let folder = tempfile::tempdir().unwrap();
    tiny::write_huggingface(folder.path());
    let mut served = Served::default();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        served.files.insert(
            path.file_name().unwrap().to_str().unwrap().to_owned(),
            std::fs::read(path).unwrap(),
        );
    }
    served
        .files
        .insert("README.md".into(), b"not needed".to_vec());
    served
}

fn client(endpoint: &str, cache: &Path) -> Hub {
    Hub {
        cache: cache.to_owned(),
        endpoint: endpoint.to_owned(),
        token: None,
        offline: false,
    }
}

fn fetch(hub: &Hub, name: &str) -> Result<PathBuf, String> {
    hub.fetch(&HubModel::parse(name).unwrap(), &mut |_, _| {})
        .map_err(|e| e.to_string())
}

#[test]
fn a_model_is_downloaded_once() {
    let (server, cache) = (FakeHub::start(tiny_files()), tempfile::tempdir().unwrap());
    let mut hub = client(&server.endpoint, cache.path());
    assert!(hub.cached_models().is_empty());
    let mut stages = Vec::new();
    let mut note = |stage: &str, fraction: Option<f32>| stages.push((stage.to_owned(), fraction));
    let folder = hub
        .fetch(&HubModel::repository(REPOSITORY), &mut note)
        .unwrap();
    assert!(
        stages.contains(&("downloading model.safetensors".to_owned(), Some(1.0))),
        "{stages:?}"
    );
    let checkpoint = weights::open(&folder, Dtype::Auto).unwrap();
    assert_eq!(
        (checkpoint.name.as_str(), checkpoint.config.num_layers),
        (REPOSITORY, tiny::LAYERS)
    );
    let requests = server.requests.lock().unwrap().clone();
    assert!(
        !requests.iter().any(|path| path.contains("README")),
        "{requests:?}"
    );

    hub.offline = true;
    assert_eq!(fetch(&hub, REPOSITORY).unwrap(), folder);
    assert_eq!(
        *server.requests.lock().unwrap(),
        requests,
        "the second time it comes from the cache"
    );
    let cached = hub.cached_models();
    assert_eq!(
        (cached.len(), cached[0].id.as_str(), &cached[0].path),
        (1, REPOSITORY, &folder)
    );
    assert!(cached[0].bytes > 100_000);
}

/// A cancelled download frees the worker and resumes later where it stopped.
#[test]
fn a_download_can_be_cancelled_and_resumed() {
    let served = Served {
        slowly: true,
        ..tiny_files()
    };
    let (server, cache) = (FakeHub::start(served), tempfile::tempdir().unwrap());
    let hub = client(&server.endpoint, cache.path());
    let load = move |_: &ModelRequest, progress: &mut Progress| {
        let folder = hub.fetch(&HubModel::repository(REPOSITORY), progress)?;
        LoadedModel::from_checkpoint(
            &weights::open(&folder, Dtype::Auto)?,
            &Device::Cpu,
            Some(1),
            progress,
        )
    };
    let mut worker = worker::spawn_with(load).unwrap();
    let mut until = |last: &dyn Fn(&Event) -> bool| {
        while let Some(event) = worker.events.blocking_recv() {
            if last(&event) {
                return event;
            }
        }
        panic!("the worker is gone");
    };
    let tell = |command| worker.commands.send(command).unwrap();
    let weights_come = |event: &Event| matches!(event, Event::Model(ModelEvent::Loading { stage, fraction: Some(0.1..) }) if stage.ends_with("model.safetensors"));
    tell(Command::Load(ModelRequest::default()));
    until(&weights_come);
    tell(Command::CancelLoad);
    until(&|event| *event == Event::Model(ModelEvent::Cancelled));
    tell(Command::Load(ModelRequest::default()));
    let end = until(&|event| {
        matches!(
            event,
            Event::Model(ModelEvent::Loaded { .. }) | Event::Model(ModelEvent::Failed(_))
        )
    });
    assert!(
        matches!(end, Event::Model(ModelEvent::Loaded { .. })),
        "{end:?}"
    );
    let begun = server.begun.lock().unwrap();
    assert!(
        begun.iter().any(|from| *from > 1000),
        "continued where it was: {begun:?}"
    );
}

#[test]
fn sharded_weights_are_downloaded_in_full() {
    let mut served = tiny_files();
    let (first, second) = tiny::huggingface_tensors()
        .into_iter()
        .partition(|(name, _)| name.contains("layers"));
    let mut map = serde_json::Map::new();
    for (name, tensors) in [("a.safetensors", &first), ("b.safetensors", &second)] {
        served.files.insert(name.into(), tiny::safetensors(tensors));
        map.extend(tensors.keys().map(|tensor| (tensor.clone(), name.into())));
    }
    served.files.remove("model.safetensors");
    let index = serde_json::json!({ "weight_map": map }).to_string();
    served
        .files
        .insert("model.safetensors.index.json".into(), index.into_bytes());
    let (server, cache) = (FakeHub::start(served), tempfile::tempdir().unwrap());
    let folder = fetch(&client(&server.endpoint, cache.path()), REPOSITORY).unwrap();
    weights::open(&folder, Dtype::Auto).unwrap();
}

#[test]
fn a_gguf_is_chosen_among_several() {
    let mut served = Served::default();
    for name in ["tiny-F16.gguf", "tiny-Q8_0.gguf", "more/tiny-Q4_0.gguf"] {
        served
            .files
            .insert(name.into(), tiny::gguf().string("test.name", name).bytes());
    }
    let (server, cache) = (FakeHub::start(served), tempfile::tempdir().unwrap());
    let hub = client(&server.endpoint, cache.path());
    let name = |model: &str| {
        fetch(&hub, model).map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
    };
    assert_eq!(name("someone/tiny:f16").unwrap(), "tiny-F16.gguf");
    assert_eq!(
        name("someone/tiny/more/tiny-Q4_0.gguf").unwrap(),
        "tiny-Q4_0.gguf"
    );
    assert_eq!(name("someone/tiny:Q8_0").unwrap(), "tiny-Q8_0.gguf");
    assert!(
        name("someone/tiny:Q2_K")
            .unwrap_err()
            .contains("has no GGUF file Q2_K: more/tiny-Q4_0.gguf")
    );
    weights::open(&fetch(&hub, "someone/tiny:F16").unwrap(), Dtype::Auto).unwrap();
    assert_eq!(hub.cached_models().len(), 1);
}

#[test]
fn gated_models_say_how_to_get_access() {
    let mut served = tiny_files();
    served.token = Some("right".into());
    let (server, cache) = (FakeHub::start(served), tempfile::tempdir().unwrap());
    let mut hub = client(&server.endpoint, cache.path());
    let error = fetch(&hub, REPOSITORY).unwrap_err();
    for words in [
        "Request access at https://huggingface.co/someone/tiny",
        "hf auth login",
        "HF_TOKEN",
    ] {
        assert!(error.contains(words), "{error}");
    }
    hub.token = Some("wrong".into());
    let error = fetch(&hub, REPOSITORY).unwrap_err();
    assert!(
        error.contains("your Hugging Face token has no access"),
        "{error}"
    );
    hub.token = Some("right".into());
    weights::open(&fetch(&hub, REPOSITORY).unwrap(), Dtype::Auto).unwrap();
}

#[test]
fn missing_repositories_and_files_are_explained() {
    let (server, cache) = (FakeHub::start(tiny_files()), tempfile::tempdir().unwrap());
    let mut hub = client(&server.endpoint, cache.path());
    let error = fetch(&hub, "nobody/nothing").unwrap_err();
    assert!(
        error.contains("there is no nobody/nothing at http://127.0.0.1"),
        "{error}"
    );
    hub.offline = true;
    let error = fetch(&hub, REPOSITORY).unwrap_err();
    assert!(
        error.contains("not in the cache") && error.contains("HF_HUB_OFFLINE"),
        "{error}"
    );
    // A port without a listener.
    let unreachable = client("http://127.0.0.1:9", cache.path());
    let error = fetch(&unreachable, REPOSITORY).unwrap_err();
    assert!(error.contains("cannot reach http://127.0.0.1:9"), "{error}");
}

#[test]
fn a_model_of_another_architecture_is_refused_before_its_weights_are_downloaded() {
    let mut served = tiny_files();
    let mut config = tiny::config_json();
    config["architectures"] = serde_json::json!(["Qwen2ForCausalLM"]);
    served
        .files
        .insert("config.json".into(), config.to_string().into_bytes());
    let (server, cache) = (FakeHub::start(served), tempfile::tempdir().unwrap());
    let error = fetch(&client(&server.endpoint, cache.path()), REPOSITORY).unwrap_err();
    assert!(error.contains("Qwen2ForCausalLM"), "{error}");
    assert!(
        !server
            .requests
            .lock()
            .unwrap()
            .iter()
            .any(|path| path.ends_with("safetensors"))
    );
}

#[test]
fn a_repository_without_weights_is_explained() {
    let mut served = Served::default();
    served.files.insert("pytorch_model.bin".into(), vec![0]);
    served.files.insert("../../evil.gguf".into(), vec![0]);
    let (server, cache) = (FakeHub::start(served), tempfile::tempdir().unwrap());
    let error = fetch(&client(&server.endpoint, cache.path()), REPOSITORY).unwrap_err();
    assert!(error.contains("no safetensors and no GGUF"), "{error}");
}
