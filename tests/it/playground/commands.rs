//! Slash commands: what they set, why they are refused, and that a refused one can be corrected.

use super::support::Harness;
use skiplens::app::{Effect, Msg, Phase, ThemeName};
use skiplens::engine::decode::{Controller, Strategy};
use skiplens::engine::sampling::Coupling;
use skiplens::engine::worker::Command;

#[test]
fn commands_set_what_they_name() {
    let mut h = Harness::ready(100, 30);
    for command in [
        "/set exit_layer 12",
        "/set num-speculations 6",
        "/set temperature 0.7",
        "/set seed 7",
        "/set strategy autoregressive",
        "/set coupling rejection",
        "/set sample off",
        "/set kvq_reuse false",
        "/set controller adaptive-k",
        "/set system \"Be brief.\"",
        "/set theme light",
        "/set max 300",
        "/set penalty 1.2",
        "/set vocab 512",
    ] {
        h.ask_command(command);
        assert!(
            h.state()
                .notice
                .as_ref()
                .is_some_and(|notice| !notice.is_error),
            "{command}: {:?}",
            h.state().notice
        );
    }
    let s = &h.state().settings;
    assert_eq!(
        (s.exit_layer, s.num_speculations, s.sampling.seed),
        (12, 6, 7)
    );
    assert_eq!(
        (s.strategy, s.sampling.coupling),
        (Strategy::Autoregressive, Coupling::Rejection)
    );
    assert!(!s.sampling.sample && !s.kvq_reuse);
    assert_eq!(
        (s.max_steps, s.sampling.repetition_penalty, s.draft_vocab),
        (300, 1.2, 512)
    );
    assert_eq!(
        (h.state().system.as_str(), h.app.shared.appearance.theme),
        ("Be brief.", ThemeName::Light)
    );
}

#[test]
fn commands_that_cannot_be_carried_out_say_why() {
    let mut h = Harness::ready(160, 30);
    for (command, words) in [
        ("/set exit_layer 99", "1 to 29"),
        ("/set exit_layer x", "1 to 29"),
        ("/set exit -2", "1 to 29, or -1 for the model's default"),
        ("/set exit 2.5", "exit_layer is a whole number"),
        ("/set top_k -1", "top_k is a whole number from 0 to 200"),
        ("/set strategy auto", "/set controller auto"),
        (
            "/set strategy auto",
            "autoregressive, early exit, self-speculative",
        ),
        ("/set controller lookup", "/set proposers lookup"),
        ("/set colour red", "exit_layer"),
        ("/set top 5", "`top` may be top_p or top_k"),
        ("/set temprature 0.5", "did you mean temperature?"),
        ("/set drft vocab 100", "did you mean draft_vocab?"),
        (
            "/set draft vo x",
            "draft_vocab is a whole number from 0 to 49152",
        ),
        ("/set thene light", "did you mean theme?"),
        ("/set theme neon", "monochrome"),
        ("/set sample maybe", "on or off"),
        ("/frobnicate", "/?"),
        ("/vesus plain", "did you mean /versus?"),
        ("/copy everything", "/copy takes no argument"),
        ("/exit now", "/bye takes no argument"),
        ("/preset none", "no preset"),
    ] {
        h.ask_command(command);
        let notice = h.state().notice.as_ref().expect("a notice");
        assert!(
            notice.is_error && notice.text.contains(words),
            "{command}: {}",
            notice.text
        );
        // It can be corrected.
        assert_eq!(h.state().prompt.text(), command);
        assert!(h.state().menu().is_none());
    }
    h.press("ctrl-u");
    h.write("/set");
    h.press("esc enter");
    let notice = h.state().notice.as_ref().expect("a notice");
    assert!(notice.text.contains("needs an argument"), "{}", notice.text);
    assert!(h.state().turns.is_empty());
}

/// As on the command line and over HTTP: settings outlive models, so a value for a larger one is taken.
#[test]
fn a_draft_vocabulary_beyond_the_model_is_accepted_and_said_to_have_no_effect() {
    let mut h = Harness::ready(160, 30);
    h.ask_command("/set draft_vocab 100000");
    let notice = h.state().notice.as_ref().expect("a notice");
    let told = "draft_vocab 100000 has no effect: the vocabulary has 49152 tokens";
    assert!(!notice.is_error && notice.text == told, "{}", notice.text);
    assert_eq!(h.state().settings.draft_vocab, 49152);
    assert!(h.state().prompt.is_empty());
    h.ask_command("/set draft_vocab 49152");
    let notice = h.state().notice.as_ref().expect("a notice");
    assert!(!notice.text.contains("no effect"), "{}", notice.text);
    // Values below the range are still errors.
    h.ask_command("/set draft_vocab -1");
    let notice = h.state().notice.as_ref().expect("a notice");
    assert!(notice.is_error, "{}", notice.text);
}

/// Commands that are refused for now stay in the prompt, and so do those whose effect fails later.
#[test]
fn a_refused_command_stays_in_the_prompt() {
    let mut h = Harness::ready(100, 30);
    h.write("hi");
    h.press("enter");
    h.engine(20);
    for command in ["/versus 8 4", "/load evening", "/retry", "/sweep"] {
        h.ask_command(command);
        assert_eq!(h.state().prompt.text(), command);
        let notice = h.state().notice.as_ref().expect("a notice");
        assert!(notice.is_error, "{command}: {}", notice.text);
    }
    h.press("ctrl-u");
    h.engine(usize::MAX);
    h.ask_command("/load evning");
    assert!(h.state().prompt.is_empty());
    h.send(Msg::EffectFailed("no session matches evning".into()));
    assert_eq!(h.state().prompt.text(), "/load evning");
    // What the user has written since is not replaced, nor does another failure bring back what succeeded.
    h.ask_command("/save evening");
    h.write("and then");
    h.send(Msg::EffectFailed("the disk is full".into()));
    assert_eq!(h.state().prompt.text(), "and then");
    // Nor is text that was put into the prompt without a key press.
    h.ask_command("/load evning");
    h.state_mut().prompt.set("/set top_p");
    h.send(Msg::EffectFailed("no session matches evning".into()));
    assert_eq!(h.state().prompt.text(), "/set top_p");
    h.press("ctrl-u");
    h.ask_command("/save evening");
    h.send(Msg::EffectDone("saved".into()));
    h.send(Msg::EffectFailed("the disk is full".into()));
    assert!(h.state().prompt.is_empty());
}

#[test]
fn opponents_are_written_as_the_screen_writes_them() {
    for text in ["8 4", "E 8 K 4", "e8 k4", "E=8, K=4"] {
        let mut h = Harness::ready(100, 30);
        h.ask("hi");
        h.ask_command(&format!("/versus {text}"));
        assert!(h.screen().contains("E 8 K 4"), "{text}\n{}", h.screen());
    }
}

#[test]
fn other_commands_do_what_they_say() {
    let mut h = Harness::ready(100, 34);
    h.ask("hi");
    h.ask_command("/show");
    assert!(h.screen().contains("acceptance rate"), "{}", h.screen());
    h.press("esc");
    h.ask_command("/save evening");
    assert!(matches!(h.effects.last(), Some(Effect::SaveSession(name)) if name == "evening"));
    let session = super::support::session_of(h.state());
    h.ask_command("/clear");
    assert!(h.state().turns.is_empty());
    h.send(Msg::SessionLoaded(session));
    assert_eq!(h.state().turns.len(), 1);
    h.ask_command("/model some/model");
    assert!(
        matches!(h.commands.last(), Some(Command::Load(request)) if request.model.as_deref() == Some("some/model"))
    );
    assert!(matches!(h.state().phase, Phase::Loading { .. }));
    h.ask_command("/?");
    assert!(h.screen().contains("/set NAME VALUE"), "{}", h.screen());
    h.press("esc");
    for command in ["/? no-repeat", "/help no repeat"] {
        h.ask_command(command);
        let screen = h.screen();
        assert!(screen.contains("no_repeat_ngram"), "{screen}");
        assert!(!screen.contains("/sessions"), "{screen}");
        h.press("esc");
    }
    h.ask_command("/? lens");
    assert!(h.screen().contains("In the lens"), "{}", h.screen());
    h.press("esc");
    h.ask_command("/? frobnicate");
    assert!(h.screen().contains("does not mention"), "{}", h.screen());
    h.press("esc");
    h.ask_command("/bye");
    assert!(h.app.shared.quit);
    h.app.shared.quit = false;
    h.write("/etc/hosts is a file");
    h.send(Msg::Engine(super::support::loaded()));
    h.press("enter");
    assert_eq!(h.state().turns.len(), 2, "a path is no command");
}

/// As on the command line, -1 is the model's default: a controller stays, and another model brings its own default.
#[test]
fn minus_one_is_the_models_default() {
    let mut h = Harness::ready(100, 30);
    h.ask_command("/set exit 12");
    h.ask_command("/set K 9");
    h.ask_command("/set controller auto");
    h.ask_command("/set exit -1");
    assert!(
        h.screen().contains("exit layer 7, the model's default"),
        "{}",
        h.screen()
    );
    h.ask_command("/set num_speculations -1");
    let settings = &h.state().settings;
    assert_eq!((settings.exit_layer, settings.num_speculations), (7, 4));
    assert_eq!(settings.controller, Controller::Auto);
    h.press("alt-u");
    assert_eq!(h.state().settings.num_speculations, 9, "it can be undone");
    let mut other = super::support::model();
    other.defaults.exit_layer = Some(3);
    h.send(Msg::Engine(super::support::loaded_as(other)));
    assert_eq!(h.state().settings.exit_layer, 3);
}

/// A value that ends the controller says so beside the new value.
#[test]
fn a_pair_of_ones_own_says_that_the_controller_is_off() {
    let mut h = Harness::ready(100, 30);
    h.ask_command("/set controller auto");
    h.ask_command("/set exit 9");
    let screen = h.screen();
    assert!(screen.contains("exit layer 9; controller off"), "{screen}");
}
