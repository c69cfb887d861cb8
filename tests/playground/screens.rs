//! Screens as snapshots, with styles, in every palette.

use super::support::Harness;
use skiplens::app::{ColorDepth, Look, Msg, Options, ThemeName};
use skiplens::engine::worker::{Event, RunId};

/// A chat with everything in it: rejected drafts, changed settings, a chosen token, an unfinished draft.
fn scene(width: u16, height: u16, look: Look) -> Harness {
    let mut h = Harness::ready(width, height);
    h.state.look = look;
    h.press("ctrl-x");
    h.ask("Why is the sky blue?");
    h.write("And at sunset?");
    h.press("enter");
    h.engine(44);
    h.press("alt-right alt-up");
    h.engine(30);
    h.tick(60_000);
    h
}

fn snapshot(name: &str, h: &Harness) {
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, h.styled());
    });
}

#[test]
fn palettes() {
    for theme in ThemeName::ALL {
        for (width, height) in [(80, 24), (160, 50)] {
            let look = Look { theme, ..Look::default() };
            snapshot(&format!("{}-{width}x{height}", theme.label()), &scene(width, height, look));
        }
    }
}

#[test]
fn poor_terminals() {
    let plain = Look { depth: ColorDepth::None, ..Look::default() };
    snapshot("no-color-80x24", &scene(80, 24, plain));
    let few = Look { depth: ColorDepth::Ansi16, ..Look::default() };
    snapshot("ansi16-80x24", &scene(80, 24, few));
    let many = Look { depth: ColorDepth::Ansi256, ..Look::default() };
    snapshot("ansi256-80x24", &scene(80, 24, many));
    let ascii = Look { ascii: true, depth: ColorDepth::Ansi16, ..Look::default() };
    let h = scene(80, 24, ascii);
    assert!(h.screen().is_ascii(), "{}", h.screen());
    snapshot("ascii-80x24", &h);
}

#[test]
fn moments() {
    let mut h = Harness::starting(80, 24, Options::default());
    h.send(Msg::Engine(Event::Loading { stage: "reading weights".into(), fraction: Some(0.4) }));
    snapshot("loading", &h);
    h.send(Msg::Engine(Event::LoadFailed("model.gguf: tensor blk.3.attn_q.weight is missing".into())));
    snapshot("load-failed", &h);
    let mut h = Harness::ready(80, 24);
    snapshot("welcome", &h);
    h.write("Why is the sky blue?");
    h.press("enter");
    h.engine(1);
    snapshot("prefill", &h);
    let message = "the prompt has 9000 tokens, but the context of this model holds 8192; shorten the prompt";
    h.send(Msg::Engine(Event::Failed { run: RunId(0), message: message.into() }));
    snapshot("run-failed", &h);
    h.press("f1");
    snapshot("help", &h);
    h.press("esc ctrl-p");
    snapshot("commands", &h);
    h.press("esc");
    h.resize(50, 12);
    snapshot("small", &h);
}

#[test]
fn inspector() {
    for (width, height) in [(80, 24), (160, 50)] {
        let mut h = Harness::ready(width, height);
        h.press("tab tab d");
        h.press("esc");
        h.ask("Why is the sky blue?");
        h.press("tab tab left left left");
        h.tick(60_000);
        snapshot(&format!("inspector-{width}x{height}"), &h);
    }
}

#[test]
fn what_if() {
    for (width, height) in [(80, 24), (160, 50)] {
        let mut h = Harness::ready(width, height);
        h.ask("Why is the sky blue?");
        h.press("f4");
        h.engine(usize::MAX);
        h.press("down right");
        snapshot(&format!("what-if-{width}x{height}"), &h);
    }
    let mut h = Harness::ready(80, 24);
    h.state.look = Look { ascii: true, depth: ColorDepth::None, ..Look::default() };
    h.ask("Why is the sky blue?");
    h.press("f4");
    h.engine(1);
    assert!(h.screen().is_ascii(), "{}", h.screen());
    snapshot("what-if-no-color-80x24", &h);
}

#[test]
fn overlays_in_other_palettes() {
    for theme in [ThemeName::Light, ThemeName::ColorBlind] {
        let mut h = Harness::ready(100, 30);
        h.state.look.theme = theme;
        h.ask("Why is the sky blue?");
        h.press("f4");
        h.engine(usize::MAX);
        h.press("down right");
        snapshot(&format!("what-if-{}-100x30", theme.label()), &h);
        h.press("esc f7");
        h.engine(90);
        snapshot(&format!("race-{}-100x30", theme.label()), &h);
    }
}

/// The autopilot moves K while the sliders stay where the user put them.
#[test]
fn autopilot() {
    for (width, height) in [(80, 24), (160, 50)] {
        let mut h = Harness::ready(width, height);
        h.ask_command("/set autopilot adaptive-k");
        h.write("Why is the sky blue?");
        h.press("enter");
        h.engine(80);
        h.tick(60_000);
        snapshot(&format!("autopilot-{width}x{height}"), &h);
    }
}

/// With detail on, the inspector follows the newest token while it is written.
#[test]
fn layers_while_writing() {
    for (width, height) in [(80, 24), (160, 50)] {
        let mut h = Harness::ready(width, height);
        h.write("Why is the sky blue?");
        h.press("enter tab tab d");
        h.engine(60);
        h.tick(60_000);
        snapshot(&format!("layers-{width}x{height}"), &h);
    }
}

#[test]
fn race() {
    for (width, height) in [(80, 24), (160, 50)] {
        let mut h = Harness::ready(width, height);
        h.ask("Why is the sky blue?");
        h.press("f7");
        h.engine(90);
        snapshot(&format!("race-{width}x{height}"), &h);
        h.engine(usize::MAX);
        snapshot(&format!("race-exact-{width}x{height}"), &h);
    }
}
