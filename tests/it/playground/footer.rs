//! The bottom line: what the keys do now, what just happened, what a command does.

use super::support::Harness;
use skiplens::app::Context;
use skiplens::app::hints::hints;
use skiplens::app::input::Overrides;
use skiplens::app::input::action::{
    AppAction, ChatAction, EditAction, ListAction, ViewAction, WhatIfAction,
};
use skiplens::app::{Action, App, Config, Control, Msg, Options, Overlay, Pane};
use std::collections::BTreeMap;

fn footer(h: &Harness) -> String {
    h.screen().lines().last().expect("a footer").to_string()
}

fn labels(app: &App) -> Vec<String> {
    hints(app).into_iter().map(|hint| hint.label).collect()
}

/// What changes the focused control depends on what it is.
#[test]
fn the_keys_are_those_of_the_focused_control() {
    let mut h = Harness::ready(160, 50);
    h.press("tab");
    assert!(
        footer(&h).contains("←→ change") && footer(&h).contains("enter type a number"),
        "{}",
        footer(&h)
    );
    h.press("down down down");
    assert_eq!(h.state().controls.focused, Control::Strategy);
    assert!(
        footer(&h).contains("←→ change") && !footer(&h).contains("coarse"),
        "{}",
        footer(&h)
    );
    h.press("G");
    assert!(
        footer(&h).contains("enter edit") && !footer(&h).contains("change"),
        "{}",
        footer(&h)
    );
    h.press("enter");
    assert_eq!(
        labels(&h.app),
        ["apply", "new line", "open $EDITOR", "discard"]
    );
    h.press("esc g 1");
    assert!(
        footer(&h).contains("apply") && footer(&h).contains("discard"),
        "{}",
        footer(&h)
    );
}

/// The keys stay in sight beside what just happened, as far as there is room.
#[test]
fn a_notice_leaves_the_keys_in_sight() {
    let mut h = Harness::ready(100, 30);
    h.press("alt-right");
    assert!(footer(&h).starts_with(" exit layer 8 "), "{}", footer(&h));
    assert!(footer(&h).contains("f1 help"), "{}", footer(&h));
}

/// What went wrong is said to its end, the reason above all, on as many rows as that takes.
#[test]
fn a_long_notice_is_not_cut() {
    let mut h = Harness::ready(80, 24);
    let folder = "/home/someone/.local/share/skiplens/sessions/20261123-152034-123-0abcd.jsonl";
    let wrong = format!("{folder}: the disk is full; free some space and try again");
    h.send(Msg::EffectFailed(wrong.clone()));
    let dense = |text: &str| text.replace([' ', '\n'], "");
    assert!(
        dense(&h.screen()).contains(&dense(&wrong)),
        "{}",
        h.screen()
    );
    h.tick(4_500);
    assert!(h.state().notice.is_some(), "there is time to read it");
    h.tick(60_000);
    assert!(h.state().notice.is_none());
    h.resize(40, 12);
    h.send(Msg::EffectFailed("word ".repeat(100)));
    assert!(h.screen().contains("controls") || h.screen().contains("chat"));
    assert!(footer(&h).ends_with('…'), "{}", footer(&h));
}

/// However little room there is, how to leave is said.
#[test]
fn at_eighty_columns_the_way_out_is_shown() {
    let mut h = Harness::ready(80, 24);
    h.ask("hi");
    h.tick(60_000);
    assert!(
        footer(&h).contains("ctrl-c quit") && footer(&h).contains("f1 help"),
        "{}",
        footer(&h)
    );
}

#[test]
fn the_keys_of_the_menu_are_named() {
    let mut h = Harness::ready(160, 50);
    h.write("/ret");
    let expected = "enter run  tab complete";
    assert!(footer(&h).contains(expected), "{}", footer(&h));
    h.press("tab");
    assert_eq!(
        (h.state().prompt.text(), h.state().focus),
        ("/retry", Pane::Prompt)
    );
    h.press("tab");
    assert_eq!(
        h.state().focus,
        Pane::Controls,
        "nothing is left to complete"
    );
    h.press("esc ctrl-u");
    h.write("/set");
    assert!(footer(&h).contains("enter take"), "{}", footer(&h));
}

/// Words that name a key name the one that is bound.
#[test]
fn words_follow_the_bindings() {
    let bind =
        |context, key: &str, action: Action| (context, BTreeMap::from([(key.to_string(), action)]));
    let keys = Overrides::from([
        bind(
            skiplens::app::input::Context::Chat,
            "d",
            ViewAction::Bottom.into(),
        ),
        bind(
            skiplens::app::input::Context::Global,
            "ctrl-x",
            AppAction::Help.into(),
        ),
    ]);
    let mut h = Harness::starting(
        160,
        50,
        Options {
            config: Config {
                keys,
                ..Config::default()
            },
            ..Options::default()
        },
    );
    h.send(Msg::Engine(super::support::loaded()));
    h.ask("hi");
    h.press("tab tab left");
    assert!(
        h.screen().contains("record layers records layers"),
        "{}",
        h.screen()
    );
    h.press("ctrl-x");
    assert!(matches!(h.state().overlay, Some(Overlay::Help { .. })));
    assert!(!h.screen().contains("ctrl-x shows them"), "{}", h.screen());
}

/// The keys of overlays and of text can be rebound as well, and the footer shows what they are bound to.
#[test]
fn keys_of_overlays_and_text_can_be_rebound() {
    let bind =
        |context, key: &str, action: Action| (context, BTreeMap::from([(key.to_string(), action)]));
    let keys = Overrides::from([
        bind(Context::WhatIf, "z", WhatIfAction::CellDown.into()),
        bind(Context::Pager, "z", ViewAction::Bottom.into()),
        bind(Context::Picker, "ctrl-z", ListAction::EntryDown.into()),
        bind(Context::Text, "ctrl-b", EditAction::DeleteBack.into()),
        bind(Context::Race, "z", ChatAction::Race.into()),
        bind(Context::System, "f2", EditAction::Accept.into()),
    ]);
    let mut h = Harness::starting(
        100,
        30,
        Options {
            config: Config {
                keys,
                ..Config::default()
            },
            ..Options::default()
        },
    );
    h.send(Msg::Engine(super::support::loaded()));
    h.ask("hi");
    h.press("f4");
    let cell = |h: &Harness| match h.state().overlay {
        Some(Overlay::WhatIf(map)) => map.exit_layer,
        _ => panic!("{:?}", h.state().overlay),
    };
    let before = cell(&h);
    assert!(footer(&h).contains('z'), "{}", footer(&h));
    h.press("z");
    assert_eq!(cell(&h), before + 1);
    h.press("esc f1 z");
    assert!(!matches!(
        h.state().overlay,
        Some(Overlay::Help { scroll: 0, .. }) | None
    ));
    h.press("esc ctrl-p ctrl-z");
    assert!(matches!(&h.state().overlay, Some(Overlay::Picker(picker)) if picker.selected == 1));
    h.write("ab");
    h.press("ctrl-b");
    assert!(
        matches!(&h.state().overlay, Some(Overlay::Picker(picker)) if picker.filter.text() == "a")
    );
    h.press("esc");
    h.write("xy");
    h.press("ctrl-b");
    assert_eq!(h.state().prompt.text(), "x");
    h.press("tab G enter");
    h.write("Be brief.");
    h.press("f2");
    assert_eq!(h.state().system, "Be brief.");
    assert!(h.state().overlay.is_none());
}

/// The palette finds every control and says where a key holds that does not hold everywhere.
#[test]
fn the_palette_knows_controls_and_where_keys_hold() {
    let mut h = Harness::ready(100, 40);
    h.ask("hi");
    h.press("ctrl-p");
    h.write("markdown");
    assert!(h.screen().contains("m in the chat"), "{}", h.screen());
    h.press("esc ctrl-p");
    h.write("temperature");
    assert!(
        h.screen().contains("set temperature") && h.screen().contains("0.60"),
        "{}",
        h.screen()
    );
    h.press("enter right");
    assert_eq!(
        (
            h.state().focus,
            Control::Temperature.get(&h.state().settings)
        ),
        (Pane::Controls, 0.65)
    );
    h.press("ctrl-p");
    h.write("go to the rounds");
    h.press("enter");
    assert_eq!(h.state().focus, Pane::Rounds);
}

/// A click on a key with modifiers does what the key does.
#[test]
fn keys_with_modifiers_can_be_clicked() {
    let mut h = Harness::ready(100, 30);
    h.press("tab G enter");
    let column = footer(&h).find("ctrl-g").expect("the editor's key") as u16;
    h.click(column, 29);
    assert!(
        matches!(h.effects.last(), Some(skiplens::app::Effect::Edit(_))),
        "{:?}",
        h.effects
    );
}

/// Every key in the footer of the lens and of the help does something there, and the way out is always shown.
#[test]
fn the_keys_of_lens_and_help_do_what_they_say() {
    let pressed = |name: &str| match name.trim() {
        "←" => "left".to_owned(),
        "→" => "right".to_owned(),
        "↑" => "up".to_owned(),
        "↓" => "down".to_owned(),
        name => name.to_owned(),
    };
    for (width, height) in [(80, 24), (160, 50)] {
        for open in ["f10", "f1", "/? exit", "/? moonshine"] {
            let opened = || {
                let mut h = Harness::ready(width, height);
                h.ask("Why is the sky blue?");
                match open.starts_with('/') {
                    true => h.ask_command(open),
                    false => h.press(open),
                }
                h.engine(usize::MAX);
                h.press(if open == "f10" { "left left" } else { "" });
                h.tick(60_000);
                h.draw();
                h
            };
            let shown = hints(&opened().app);
            let bottom = footer(&opened());
            assert!(bottom.contains("esc close"), "{open}: {bottom}");
            for hint in &shown {
                let works = hint.keys.iter().any(|(key, _)| {
                    let mut h = opened();
                    let before = h.state().clone();
                    h.press(&pressed(key));
                    *h.state() != before
                });
                assert!(works, "{open}, {width}: {hint:?}");
            }
        }
    }
}

/// The last layer verifies, so the lens does not offer it as an exit layer.
#[test]
fn the_lens_does_not_offer_the_last_layer_as_an_exit() {
    let mut h = Harness::ready(80, 24);
    h.ask("Why is the sky blue?");
    h.press("f10");
    assert!(!footer(&h).contains("token"), "nothing to move over yet");
    h.engine(usize::MAX);
    assert!(footer(&h).contains("exit layer"), "{}", footer(&h));
    for _ in 0..30 {
        h.press("up");
    }
    assert!(!footer(&h).contains("exit layer"), "{}", footer(&h));
    h.press("enter");
    assert_eq!(h.state().settings.exit_layer, 7);
    assert!(
        h.screen().contains("layer 30 is the last one"),
        "{}",
        h.screen()
    );
}
