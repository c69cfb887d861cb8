use super::*;
use crate::app::input::action::{ChatAction, EditAction, ViewAction, WhatIfAction};
use crossterm::event::{KeyCode, KeyModifiers};

#[test]
fn every_built_in_key_parses_and_is_unique() {
    let map = KeyMap::default();
    assert_eq!(map.bindings.len(), bindings::tables().len());
    for (at, (context, key, _)) in map.bindings.iter().enumerate() {
        assert!(
            !map.bindings[..at]
                .iter()
                .any(|(c, k, _)| (c, k) == (context, key)),
            "{context:?} {key} twice"
        );
    }
}

#[test]
fn an_override_replaces_and_a_bad_key_is_named() {
    let overrides = |key: &str| {
        Overrides::from([(
            Context::Global,
            BTreeMap::from([(key.into(), AppAction::Help.into())]),
        )])
    };
    let map = KeyMap::with(&overrides("ctrl-p")).expect("a key");
    let event = KeyEvent::new(KeyCode::Char('p'), KeyModifiers::CONTROL);
    assert_eq!(
        map.action(Pane::Prompt, event),
        Some(&AppAction::Help.into())
    );
    assert_eq!(map.key_of(Pane::Prompt, &AppAction::Palette.into()), None);
    assert!(
        KeyMap::with(&overrides("hyper-p"))
            .unwrap_err()
            .contains("hyper-p")
    );
}

#[test]
fn every_context_can_be_rebound() {
    for context in Context::ALL {
        let keys = BTreeMap::from([("f11".to_owned(), ChatAction::Clear.into())]);
        let map = KeyMap::with(&Overrides::from([(context, keys)])).unwrap();
        let event = KeyEvent::new(KeyCode::F(11), KeyModifiers::NONE);
        assert_eq!(
            map.action(context, event),
            Some(&ChatAction::Clear.into()),
            "{context:?}"
        );
    }
}

#[test]
fn an_overlay_shuts_out_what_lies_beneath() {
    let map = KeyMap::default();
    let press =
        |context: Context, code| map.action(context, KeyEvent::new(code, KeyModifiers::NONE));
    assert_eq!(press(Context::Pager, KeyCode::F(7)), None);
    assert_eq!(
        press(Context::Pager, KeyCode::Esc),
        Some(&AppAction::Back.into())
    );
    assert_eq!(
        press(Context::Race, KeyCode::Up),
        Some(&ViewAction::ScrollUp.into())
    );
    assert_eq!(
        press(Context::System, KeyCode::Enter),
        Some(&EditAction::Accept.into())
    );
}

#[test]
fn actions_have_readable_names_in_the_settings_file() {
    let overrides: Overrides = toml::from_str(
        "[global]\nctrl-e = { nudge = [\"exit-layer\", \"up\"] }\nf7 = \"clear\"\n[what-if]\nx = \"apply-cell\"\n",
    )
    .expect("overrides");
    assert_eq!(overrides[&Context::Global]["f7"], ChatAction::Clear.into());
    assert_eq!(
        overrides[&Context::WhatIf]["x"],
        WhatIfAction::ApplyCell.into()
    );
}
