//! Coming to a model: progress, giving it up, and what is offered where there is none.

use super::support::{Harness, loaded};
use skiplens::app::input::action::ChatAction;
use skiplens::app::{ModelChoice, Msg, Options, Overlay, Phase, Target};
use skiplens::engine::loaded_model::ModelRequest;
use skiplens::engine::weights::PUBLISHED_MODEL;
use skiplens::engine::worker::{Command, Event, Failure, ModelEvent};

const MISSING: &str = "the bundled model skiplens-smollm2-135m.gguf was not found";

fn choice(model: Option<&str>) -> ModelChoice {
    let label = model.unwrap_or("bundled model").into();
    ModelChoice {
        model: model.map(str::to_string),
        label,
        ..ModelChoice::default()
    }
}

/// An app whose first load fails.
fn failed(asked: Option<&str>) -> Harness {
    let request = ModelRequest {
        model: asked.map(str::to_string),
        ..ModelRequest::default()
    };
    let models = [None, Some("a/b"), Some(PUBLISHED_MODEL)]
        .map(choice)
        .into();
    let mut h = Harness::starting(
        100,
        30,
        Options {
            request,
            models,
            ..Options::default()
        },
    );
    h.send(Msg::Engine(Event::Model(ModelEvent::Failed(
        Failure::internal(MISSING),
    ))));
    h
}

fn asked_for(h: &Harness) -> Option<&str> {
    match h.commands.last() {
        Some(Command::Load(request)) => request.model.as_deref(),
        other => panic!("no load but {other:?}"),
    }
}

fn downloading(fraction: f32) -> Msg {
    Msg::Engine(Event::Model(ModelEvent::Loading {
        stage: "downloading model.safetensors".into(),
        fraction: Some(fraction),
    }))
}

#[test]
fn a_model_that_cannot_be_loaded_says_what_to_do() {
    let mut h = Harness::starting(80, 24, Default::default());
    assert!(h.screen().contains("opening the model"), "{}", h.screen());
    h.send(Msg::Engine(Event::Model(ModelEvent::Failed(
        Failure::internal("model.gguf: truncated"),
    ))));
    let screen = h.screen();
    assert!(
        screen.contains("could not be loaded")
            && screen.contains("truncated")
            && screen.contains("/model")
    );
    h.write("hello");
    h.press("enter");
    assert!(h.screen().contains("no model is loaded"), "{}", h.screen());
    assert_eq!(h.state().prompt.text(), "hello", "the text is not lost");
}

#[test]
fn typing_goes_on_when_a_message_opens_by_itself() {
    let mut h = Harness::ready(100, 32);
    h.write("/model nothere");
    h.press("enter");
    h.send(Msg::Engine(Event::Model(ModelEvent::Failed(
        Failure::internal("nothere: no such model"),
    ))));
    assert!(h.screen().contains("could not be loaded"), "{}", h.screen());
    h.write("What");
    assert_eq!(h.state().prompt.text(), "What");
    assert!(h.state().overlay.is_none());
}

/// Where the bundled model is missing one key fetches the published one, and what it is worth is said before.
#[test]
fn one_key_fetches_the_published_model() {
    let mut h = failed(None);
    let screen = h.screen();
    assert!(
        screen.contains("enter  fetch the published model") && screen.contains("not tuned"),
        "{screen}"
    );
    h.press("enter");
    assert_eq!(asked_for(&h), Some(PUBLISHED_MODEL));
    h.send(downloading(0.43));
    assert!(
        h.screen().contains("downloading model.safetensors") && h.screen().contains("43 %"),
        "{}",
        h.screen()
    );
    h.engine(usize::MAX);
    h.ask("hi");
    assert!(!h.state().turns[0].is_empty());
}

#[test]
fn the_offer_can_be_clicked_and_is_chosen_in_the_picker() {
    let mut h = failed(None);
    h.press("f2 enter");
    assert_eq!(asked_for(&h), Some(PUBLISHED_MODEL));
    let mut h = failed(None);
    let offer = h.find(&Target::Hint(ChatAction::Send.into()));
    h.click(offer.x, offer.y);
    assert_eq!(asked_for(&h), Some(PUBLISHED_MODEL));
}

#[test]
fn what_is_offered_depends_on_what_failed() {
    let mut h = failed(Some("/nowhere/model.gguf"));
    assert!(
        h.screen().contains("enter  load the bundled model"),
        "{}",
        h.screen()
    );
    h.press("enter");
    assert_eq!(asked_for(&h), None);
    let mut h = failed(Some(PUBLISHED_MODEL));
    assert!(h.screen().contains("enter  try again"), "{}", h.screen());
    h.press("enter");
    assert_eq!(asked_for(&h), Some(PUBLISHED_MODEL));
    let mut h = failed(None);
    h.send(Msg::EngineGone);
    assert!(
        h.state().offer().is_none() && !h.screen().contains("fetch"),
        "{}",
        h.screen()
    );
}

#[test]
fn a_download_is_given_up_with_one_key() {
    for leave in ["esc", "ctrl-c"] {
        let mut h = failed(None);
        h.press("enter");
        h.send(downloading(0.5));
        h.press(leave);
        assert_eq!(h.commands.last(), Some(&Command::CancelLoad));
        h.send(downloading(0.6));
        h.engine(usize::MAX);
        assert!(matches!(h.state().phase, Phase::Failed { .. }) && !h.app.shared.quit);
        assert!(
            h.screen().contains("cancelled") && h.screen().contains("resumes"),
            "{}",
            h.screen()
        );
        h.press("enter");
        h.engine(usize::MAX);
        assert_eq!(
            h.state().phase,
            Phase::Idle,
            "the program is as usable as before"
        );
    }
}

/// A prompt that waits for the model is taken back first.
#[test]
fn esc_takes_a_waiting_prompt_back_before_it_gives_up_the_model() {
    let mut h = Harness::starting(100, 30, Options::default());
    h.write("early");
    h.press("enter esc");
    assert!(!h.commands.contains(&Command::CancelLoad));
    h.press("esc");
    assert_eq!(h.commands.last(), Some(&Command::CancelLoad));
    h.send(Msg::Engine(Event::Model(ModelEvent::Cancelled)));
    h.send(Msg::Engine(loaded()));
    assert_eq!(
        (h.state().turns.len(), h.state().prompt.text()),
        (0, "early")
    );
}

/// Whether the new model cannot be had or is not wanted any more, the one before comes back.
#[test]
fn the_model_before_comes_back() {
    let mut h = Harness::ready(100, 30);
    h.ask("hi");
    h.ask_command("/model a/b");
    h.send(downloading(0.1));
    h.press("esc");
    h.engine(1);
    assert_eq!(asked_for(&h), None);
    h.engine(usize::MAX);
    assert_eq!(h.state().phase, Phase::Idle);
    h.ask_command("/model nothing");
    h.send(Msg::Engine(Event::Model(ModelEvent::Failed(
        Failure::internal("nothing: no such file or folder"),
    ))));
    assert!(matches!(h.state().overlay, Some(Overlay::Text { .. })));
    assert!(h.screen().contains("no such file"), "{}", h.screen());
    h.engine(usize::MAX);
    h.press("esc");
    assert!(h.state().model.is_some() && h.state().turns.len() == 1);
    h.ask("again");
    assert_eq!(h.state().turns.len(), 2);
}

/// What is asked for while a load is being given up is not given up with it.
#[test]
fn another_model_asked_for_meanwhile_is_loaded() {
    let mut h = Harness::ready(100, 30);
    h.ask_command("/model a/b");
    h.press("esc");
    h.ask_command("/model c/d");
    let sent = h.commands.len();
    h.send(Msg::Engine(Event::Model(ModelEvent::Cancelled)));
    assert_eq!(h.commands.len(), sent);
    assert!(matches!(h.state().phase, Phase::Loading { .. }));
    h.send(Msg::Engine(loaded()));
    assert_eq!(h.state().phase, Phase::Idle);
}

/// A click on a key of the footer does what that key does, whatever lies over the screen.
#[test]
fn the_footer_of_a_list_can_be_clicked() {
    let mut h = Harness::ready(100, 30);
    h.press("ctrl-p");
    let selected = |h: &Harness| match &h.state().overlay {
        Some(Overlay::Picker(picker)) => picker.selected,
        other => panic!("no list but {other:?}"),
    };
    let column = |h: &Harness, key: &str| {
        let footer = h.screen().lines().last().expect("a footer").to_string();
        footer[..footer.find(key).expect("the key")].chars().count() as u16
    };
    let (up, down, enter) = (column(&h, "↑"), column(&h, "↓"), column(&h, "enter"));
    h.click(down, 29);
    h.click(down, 29);
    h.click(up, 29);
    assert_eq!(selected(&h), 1);
    h.write("presets");
    h.click(enter, 29);
    assert!(
        matches!(&h.state().overlay, Some(Overlay::Picker(picker)) if picker.title == "presets"),
        "{}",
        h.screen()
    );
    h.press("esc f1");
    h.click(column(&h, "↓"), 29);
    assert!(matches!(
        h.state().overlay,
        Some(Overlay::Help { scroll: 1, .. })
    ));
    h.click(column(&h, "esc"), 29);
    assert!(h.state().overlay.is_none());
}
