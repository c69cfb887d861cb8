//! Screens as snapshots, with styles, in every palette.

use super::support::{Harness, Shelf, said};
use skiplens::app::commands::COMMANDS;
use skiplens::app::{Appearance, ColorDepth, Control, Msg, Options, ThemeName};
use skiplens::engine::worker::{Event, Failure, ModelEvent, RunEvent, RunId};
use skiplens::transcript::export::svg::Cell;

/// A chat with everything in it: rejected drafts, changed settings, a chosen token, an unfinished draft.
fn scene(width: u16, height: u16, look: Appearance) -> Harness {
    let mut h = Harness::ready(width, height);
    h.app.shared.appearance = look;
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

/// Compares a screen with its snapshot. With `SKIPLENS_PICTURES=DIR`, also writes it as a picture to look at.
pub fn snapshot(name: &str, h: &Harness) {
    if let Some(folder) = std::env::var_os("SKIPLENS_PICTURES") {
        let picture = skiplens::ui::screenshot(h.buffer(), h.app.shared.appearance);
        let path = std::path::Path::new(&folder).join(format!("{name}.svg"));
        std::fs::write(path, picture.svg()).expect("a folder for pictures");
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, h.styled());
    });
}

#[test]
fn palettes() {
    for theme in ThemeName::ALL {
        for (width, height) in SIZES {
            let look = Appearance {
                theme,
                ..Appearance::default()
            };
            snapshot(
                &format!("{}-{width}x{height}", theme.label()),
                &scene(width, height, look),
            );
        }
    }
}

#[test]
fn poor_terminals() {
    let plain = Appearance {
        depth: ColorDepth::None,
        ..Appearance::default()
    };
    snapshot("no-color-80x24", &scene(80, 24, plain));
    let few = Appearance {
        depth: ColorDepth::Ansi16,
        ..Appearance::default()
    };
    snapshot("ansi16-80x24", &scene(80, 24, few));
    let many = Appearance {
        depth: ColorDepth::Ansi256,
        ..Appearance::default()
    };
    snapshot("ansi256-80x24", &scene(80, 24, many));
    let ascii = Appearance {
        ascii: true,
        depth: ColorDepth::Ansi16,
        ..Appearance::default()
    };
    let h = scene(80, 24, ascii);
    assert!(h.screen().is_ascii(), "{}", h.screen());
    snapshot("ascii-80x24", &h);
}

#[test]
fn moments() {
    let mut h = Harness::starting(80, 24, Options::default());
    h.send(Msg::Engine(Event::Model(ModelEvent::Loading {
        stage: "reading weights".into(),
        fraction: Some(0.4),
    })));
    snapshot("loading", &h);
    h.send(Msg::Engine(Event::Model(ModelEvent::Failed(
        Failure::internal("model.gguf: tensor blk.3.attn_q.weight is missing"),
    ))));
    snapshot("load-failed", &h);
    let mut h = Harness::ready(80, 24);
    snapshot("welcome", &h);
    h.write("Why is the sky blue?");
    h.press("enter");
    h.engine(1);
    snapshot("prefill", &h);
    let message =
        "the prompt has 9000 tokens, but the context of this model holds 8192; shorten the prompt";
    h.send(Msg::Engine(Event::Run(
        RunId(0),
        RunEvent::Failed(Failure::internal(message)),
    )));
    snapshot("run-failed", &h);
    h.press("f1");
    snapshot("help", &h);
    h.press("esc ctrl-p");
    snapshot("commands", &h);
    h.press("esc");
    h.resize(50, 12);
    snapshot("small", &h);
}

/// Sizes that every panel is looked at in.
const SIZES: [(u16, u16); 4] = [(80, 24), (100, 32), (160, 50), (220, 60)];

/// What `open` shows: in every size, and in every palette at 100×32.
fn panel(name: &str, open: impl Fn(&mut Harness)) {
    let sizes = SIZES.map(|size| (size, ThemeName::Default));
    let themes = [
        ThemeName::Light,
        ThemeName::ColorBlind,
        ThemeName::Monochrome,
    ];
    for ((width, height), theme) in sizes.into_iter().chain(themes.map(|name| (SIZES[1], name))) {
        let mut h = Harness::ready(width, height);
        h.app.shared.appearance.theme = theme;
        open(&mut h);
        let label = match theme {
            ThemeName::Default => String::new(),
            theme => format!("-{}", theme.label()),
        };
        snapshot(&format!("{name}{label}-{width}x{height}"), &h);
    }
}

#[test]
fn inspector() {
    panel("inspector", |h| {
        h.press("tab tab d");
        h.press("esc");
        h.ask("Why is the sky blue?");
        h.press("tab tab left left left");
        h.tick(60_000);
    });
}

/// A correction, with what the draft had said.
#[test]
fn correction() {
    panel("correction", |h| {
        h.ask("Why is the sky blue?");
        h.press("tab tab N");
        h.tick(60_000);
    });
}

#[test]
fn round_details() {
    panel("round", |h| {
        h.ask("Why is the sky blue?");
        h.press("tab tab tab left");
        h.tick(60_000);
    });
}

#[test]
fn what_if() {
    panel("what-if", |h| {
        h.ask("Why is the sky blue?");
        h.press("f4");
        h.engine(usize::MAX);
        h.press("down right");
    });
    let mut h = Harness::ready(80, 24);
    h.app.shared.appearance = Appearance {
        ascii: true,
        depth: ColorDepth::None,
        ..Appearance::default()
    };
    h.ask("Why is the sky blue?");
    h.press("f4");
    h.engine(1);
    assert!(h.screen().is_ascii(), "{}", h.screen());
    snapshot("what-if-no-color-80x24", &h);
}

#[test]
fn lens() {
    panel("lens", |h| {
        h.ask("Why is the sky blue?");
        h.press("f10");
        h.engine(usize::MAX);
        h.press("home right right right right");
    });
}

/// The lens and the map beside the chat, where there is room.
#[test]
fn lens_beside_the_chat() {
    panel("side", |h| {
        h.ask("Why is the sky blue?");
        h.press("f10");
        h.engine(usize::MAX);
        h.press("esc");
        h.tick(60_000);
    });
}

#[test]
fn race() {
    panel("race", |h| {
        h.ask("Why is the sky blue?");
        h.press("f7");
        h.engine(90);
    });
    panel("race-exact", |h| {
        h.ask("Why is the sky blue?");
        h.press("f7");
        h.engine(usize::MAX);
    });
}

/// A sweep that is over.
#[test]
fn sweep() {
    for (width, height) in [(80, 24), (100, 30), (160, 50)] {
        let mut h = Harness::ready(width, height);
        h.ask("Why is the sky blue?");
        h.ask_command("/sweep");
        h.engine(usize::MAX);
        h.tick(60_000);
        snapshot(&format!("sweep-{width}x{height}"), &h);
    }
}

/// The controller moves K while the sliders stay where the user put them.
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

/// At 80×24 no text of the program ends in an ellipsis, whichever panel is looked at.
#[test]
fn nothing_is_cut_off_at_eighty_columns() {
    let whole = |name: &str, h: &Harness| {
        let screen = h.screen();
        assert!(!screen.contains('…'), "{name}\n{screen}");
    };
    let asked = || {
        let mut h = Harness::ready(80, 24);
        h.ask("Why is the sky blue?");
        h.tick(60_000);
        h
    };
    let overlays = ["f1", "f3", "f4", "f7", "f10", "alt-s", "ctrl-p"];
    for key in overlays {
        let mut h = asked();
        h.press(key);
        whole(key, &h);
        h.engine(40);
        whole(key, &h);
        h.engine(usize::MAX);
        whole(key, &h);
    }
    let mut h = asked();
    h.press("tab");
    for control in Control::of_model(h.state().model.as_ref()) {
        whole(control.name(), &h);
        h.press("down");
    }
    // Tokens with their details, and rounds.
    for detail in [false, true] {
        let mut h = Harness::ready(80, 24);
        h.state_mut().settings.detail = detail;
        h.ask("Why is the sky blue?");
        h.tick(60_000);
        h.press("tab tab");
        for _ in 0..60 {
            whole("token", &h);
            h.press("left");
        }
        h.press("tab");
        for _ in 0..20 {
            whole("round", &h);
            h.press("left");
        }
    }
    // Controllers give reasons.
    for controller in ["adaptive", "confidence"] {
        let mut h = Harness::ready(80, 24);
        h.ask_command(&format!("/set controller {controller}"));
        h.ask("Why is the sky blue?");
        h.tick(60_000);
        whole(controller, &h);
        h.press("f7");
        h.engine(usize::MAX);
        whole("a race with a controller", &h);
        h.press("esc");
        whole("after a race with a controller", &h);
    }
    // Phase by phase.
    let mut h = Harness::ready(80, 24);
    h.write("Why is the sky blue?");
    h.press("enter");
    h.engine(12);
    h.press("f5");
    for _ in 0..12 {
        h.engine(1);
        whole("step", &h);
        h.press("f6");
    }
    // The menu, entry by entry.
    let mut h = asked();
    h.write("/");
    for command in COMMANDS {
        whole(command.usage, &h);
        h.press("down");
    }
    for command in COMMANDS {
        h.press("ctrl-u");
        h.write(command.words());
        whole(command.usage, &h);
        h.write(" 1");
        whole(command.usage, &h);
    }
}

#[test]
fn sessions() {
    for (width, height) in [(80, 24), (160, 50)] {
        let mut h = Harness::ready(width, height);
        h.ask("What is the tide?");
        let titles = [
            "A file that is broken",
            "Why is the sky blue?",
            "夜の空はなぜ暗いのですか",
            "What is the tide?",
        ];
        let sessions: Vec<_> = titles
            .iter()
            .zip(0..)
            .map(|(title, at)| said(title, at))
            .collect();
        let id = |at: usize| sessions[at].header.id.clone();
        let (own, broken) = (id(3), vec![id(0)]);
        let mut shelf = Shelf {
            sessions,
            own,
            broken,
            ..Shelf::default()
        };
        h.press("ctrl-s");
        shelf.serve(&mut h);
        h.press("down down");
        snapshot(&format!("sessions-{width}x{height}"), &h);
    }
}

#[test]
fn replay() {
    for (width, height) in [(80, 24), (160, 50)] {
        let mut h = Harness::ready(width, height);
        h.send(Msg::ReplayLoaded(said("Why is the sky blue?", 1)));
        h.press("shift-right shift-right right + +");
        h.tick(1000);
        h.tick(1010);
        snapshot(&format!("replay-{width}x{height}"), &h);
        h.press("space s");
        h.tick(60_000);
        snapshot(&format!("replay-paused-{width}x{height}"), &h);
    }
}

/// A picture holds what the screen does, cell for cell.
#[test]
fn picture() {
    let mut h = Harness::ready(100, 30);
    h.send(Msg::ReplayLoaded(said("夜の空は <b>", 1)));
    h.press("end tab tab left");
    let picture = skiplens::ui::screenshot(h.buffer(), h.app.shared.appearance);
    assert!(picture.rows.len() == 30 && picture.rows.iter().all(|row| row.len() == 100));
    let text = |row: &Vec<Cell>| {
        row.iter()
            .map(|cell| cell.symbol.as_str())
            .collect::<String>()
    };
    let rows: Vec<String> = picture
        .rows
        .iter()
        .map(|row| text(row).trim_end().to_owned())
        .collect();
    assert_eq!(rows.join("\n"), h.screen());
    assert!(
        picture
            .rows
            .iter()
            .flatten()
            .any(|cell| cell.style.reversed)
    );
    let svg = picture.svg();
    assert!(svg.contains("夜") && svg.contains("&lt;b&gt;") && svg.contains("#4fd1ae"));
}
