//! The list of models.

use super::screens::snapshot;
use super::support::Harness;
use skiplens::app::{Effect, Folder, FolderEntry, ModelChoice, Msg, Overlay, Phase};
use skiplens::engine::worker::{Command, Event, Failure, ModelEvent};

fn choices() -> Vec<ModelChoice> {
    let choice = |model: Option<&str>, note: &str, help: &str| ModelChoice {
        model: model.map(str::to_owned),
        label: model.unwrap_or("bundled model").into(),
        note: note.into(),
        help: help.into(),
    };
    vec![
        choice(None, "Q8_0 · 30 layers · 143 MB · comes with skiplens", ""),
        choice(
            Some("models/tiny.gguf"),
            "Q4_K · 12 layers · 21 MB · models",
            "",
        ),
        choice(
            Some("facebook/layerskip-llama2-70B"),
            "80 layers · 138 GB · access on request · does not fit",
            "It needs about 159 GB of memory; 12 GB are free. Gated: request access at \
             https://huggingface.co/facebook/layerskip-llama2-70B, then run `hf auth login`, or set HF_TOKEN to a \
             token from https://huggingface.co/settings/tokens.",
        ),
    ]
}

fn folder(path: &str, names: &[&str]) -> Msg {
    let entries = names
        .iter()
        .map(|name| FolderEntry {
            name: name.trim_end_matches('/').into(),
            is_folder: name.ends_with('/'),
        })
        .collect();
    Msg::Folder(Folder {
        path: path.into(),
        entries,
    })
}

fn asked_for(h: &Harness) -> Option<&str> {
    match h.commands.last() {
        Some(Command::Load(request)) => request.model.as_deref(),
        other => panic!("no load but {other:?}"),
    }
}

#[test]
fn opening_the_list_looks_for_models() {
    let mut h = Harness::ready(100, 30);
    h.press("f2");
    let in_use = h.state().model.as_ref().expect("a model").weight_bytes;
    assert_eq!(h.effects.last(), Some(&Effect::FindModels { in_use }));
    h.send(Msg::Models(choices()));
    assert!(
        h.screen().contains("Q4_K · 12 layers · 21 MB"),
        "{}",
        h.screen()
    );
    h.press("down");
    let mut more = choices();
    more.insert(
        1,
        ModelChoice {
            label: "new".into(),
            ..ModelChoice::default()
        },
    );
    h.send(Msg::Models(more));
    h.press("enter");
    assert_eq!(
        asked_for(&h),
        Some("models/tiny.gguf"),
        "the selection stays"
    );
}

/// For a gated or too large model the list says what to do before it is chosen.
#[test]
fn what_is_to_know_of_the_selected_model_is_shown() {
    let mut h = Harness::ready(100, 30);
    h.press("f2");
    h.send(Msg::Models(choices()));
    assert!(!h.screen().contains("HF_TOKEN"));
    h.press("up");
    let words: String = h.screen().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("159 GB") && words.contains("HF_TOKEN"),
        "{}",
        h.screen()
    );
}

#[test]
fn a_path_is_completed_in_the_list() {
    let mut h = Harness::ready(100, 30);
    h.press("f2");
    h.send(Msg::Models(choices()));
    h.write("./m");
    assert_eq!(h.effects.last(), Some(&Effect::ListFolder("./".into())));
    h.send(folder(
        "./",
        &["models/", "main.rs", "mini.gguf", "other.gguf"],
    ));
    assert!(h.screen().contains("./models/") && h.screen().contains("./mini.gguf"));
    assert!(!h.screen().contains("main.rs") && !h.screen().contains("other.gguf"));
    h.press("enter");
    assert_eq!(
        h.effects.last(),
        Some(&Effect::ListFolder("./models/".into()))
    );
    h.send(folder("./models/", &["a.gguf", "b.gguf"]));
    h.press("down tab");
    let Some(Overlay::Picker(picker)) = &h.state().overlay else {
        panic!("{:?}", h.state().overlay);
    };
    assert_eq!(picker.filter.text(), "./models/b.gguf");
    h.press("enter");
    assert_eq!(asked_for(&h), Some("./models/b.gguf"));
}

/// A model that cannot be loaded costs the present one nothing but the time to load it again.
#[test]
fn after_an_error_the_present_model_runs_again() {
    let mut h = Harness::ready(100, 30);
    h.press("f2");
    h.send(Msg::Models(choices()));
    h.press("down enter");
    let failure = Failure::internal("models/tiny.gguf: damaged");
    h.send(Msg::Engine(Event::Model(ModelEvent::Failed(failure))));
    assert!(h.screen().contains("damaged"), "{}", h.screen());
    assert_eq!(asked_for(&h), None, "the bundled model");
    h.send(Msg::Engine(super::support::loaded()));
    h.press("esc");
    assert_eq!(h.state().phase, Phase::Idle);
    h.ask("hi");
    assert!(!h.state().turns[0].is_empty());
}

#[test]
fn pictures_of_the_models() {
    for (width, height) in [(80, 24), (160, 50)] {
        let mut h = Harness::ready(width, height);
        h.press("f2");
        h.send(Msg::Models(choices()));
        h.press("up");
        snapshot(&format!("models-{width}x{height}"), &h);
    }
}
