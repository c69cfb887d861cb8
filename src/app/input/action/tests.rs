use super::*;
use std::collections::BTreeMap;

fn read(text: &str) -> Result<Action, String> {
    let table: Result<BTreeMap<String, Action>, _> = toml::from_str(&format!("key = {text}"));
    table
        .map(|mut table| table.remove("key").unwrap())
        .map_err(|error| error.message().to_owned())
}

#[test]
fn an_action_reads_back_as_it_is_written() {
    let actions: [Action; 10] = [
        AppAction::Focus(Pane::Chat).into(),
        ChatAction::Clear.into(),
        EditAction::DeleteWord.into(),
        ControlsAction::Nudge(Control::ExitLayer, Step::Max).into(),
        ControlsAction::Set(Control::Temperature, 0.5).into(),
        ViewAction::Top.into(),
        ListAction::Choose.into(),
        WhatIfAction::BestCell.into(),
        SessionsAction::Open.into(),
        ReplayAction::By(-10).into(),
    ];
    for action in actions {
        let written = toml::Value::try_from(&action).unwrap().to_string();
        assert_eq!(read(&written), Ok(action), "{written}");
    }
}

#[test]
fn names_of_older_settings_files_are_read() {
    for (written, action) in [
        ("\"prompt-up\"", EditAction::LineUp.into()),
        ("{ browse = \"open\" }", SessionsAction::Open.into()),
        ("{ play = { by = 3 } }", ReplayAction::By(3).into()),
        (
            "{ adjust = \"greatest\" }",
            ControlsAction::Adjust(Step::Max).into(),
        ),
        (
            "{ focus-control = \"autopilot\" }",
            ControlsAction::FocusControl(Control::Controller).into(),
        ),
        ("{ set = [\"seed\", 3] }", {
            ControlsAction::Set(Control::Seed, 3.0).into()
        }),
        ("{ load-model = \"x\" }", {
            ChatAction::LoadModel(Some("x".into())).into()
        }),
    ] as [(&str, Action); 7]
    {
        assert_eq!(read(written), Ok(action), "{written}");
    }
}

#[test]
fn what_is_no_action_is_named() {
    for (written, words) in [
        ("\"explode\"", "there is no action `explode`"),
        ("{ explode = 1 }", "there is no action `explode`"),
        (
            "{ nudge = [\"exit-layer\", \"sideways\"] }",
            "there is no value sideways; it may be ",
        ),
        ("{ focus = \"moon\" }", "there is no value moon; it may be "),
        ("7", "integer 7 where a string or an object is expected"),
    ] {
        let error = read(written).unwrap_err();
        assert!(error.contains(words), "{written}: {error}");
    }
}
