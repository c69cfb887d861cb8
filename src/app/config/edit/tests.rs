use super::super::Config;
use super::*;
use crate::app::ThemeName;
use crate::engine::decode::{Controller, Settings};
use proptest::prelude::*;

const FILE: &str = "# kept in git\n\n# by night\ntheme = 'monochrome'   # for the old laptop\n\n[keys.chat]\nz = \"regenerate\"   # left hand\n\n\
                    # mine\n[presets.calm]\nsystem = \"Be brief.\"\n[presets.calm.settings]\nexit_layer = 4 # early\n";

fn preset(exit_layer: usize) -> Preset {
    Preset {
        system: "Be\n\"kind\".".into(),
        settings: Settings {
            exit_layer,
            ..Settings::default()
        },
    }
}

fn read(text: &str) -> Config {
    toml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The lines of `text` that are not in `other`.
fn beyond<'a>(text: &'a str, other: &str) -> Vec<&'a str> {
    let known: Vec<&str> = other.lines().collect();
    text.lines().filter(|line| !known.contains(line)).collect()
}

#[test]
fn a_value_is_changed_where_it_stands() {
    let edited = ConfigChange::Theme(ThemeName::Light).edit(FILE).unwrap();
    let expected = FILE.replace("'monochrome'", "\"light\"");
    assert_eq!(edited, expected);
    let same = ConfigChange::Theme(ThemeName::Monochrome)
        .edit(FILE)
        .unwrap();
    assert_eq!(same, FILE, "what means the same is left as it is written");
}

#[test]
fn a_new_value_goes_below_the_comments_at_the_head() {
    let change = ConfigChange::Mouse(false);
    for (text, expected) in [
        ("", "mouse = false\n"),
        ("# only this", "# only this\nmouse = false\n"),
        (
            "# of the file\n\n# of the table\n[keys.chat]\n",
            "# of the file\n\nmouse = false\n\n# of the table\n[keys.chat]\n",
        ),
        (
            "# of the table\n[keys.chat]\n",
            "mouse = false\n\n# of the table\n[keys.chat]\n",
        ),
        (
            "# first\nascii = true # second\n\n[keys.chat]\n",
            "# first\nascii = true # second\nmouse = false\n\n[keys.chat]\n",
        ),
        (
            "keys.chat.z = \"quit\"\n",
            "keys.chat.z = \"quit\"\nmouse = false\n",
        ),
    ] {
        assert_eq!(change.edit(text).unwrap(), expected);
    }
}

#[test]
fn a_preset_is_written_below_the_others() {
    let edited = ConfigChange::KeepPreset("late exit".into(), preset(20))
        .edit(FILE)
        .unwrap();
    let (before, added) = edited.split_at(FILE.len());
    assert_eq!(before, FILE);
    assert!(added.starts_with("\n[presets.\"late exit\"]\n"), "{added}");
    let config = read(&edited);
    assert_eq!(config.presets["late exit"], preset(20));
    assert_eq!(config.presets["calm"].settings.exit_layer, 4);
}

#[test]
fn a_preset_that_is_kept_again_changes_only_what_differs() {
    let change = |exit_layer| ConfigChange::KeepPreset("calm".into(), preset(exit_layer));
    let once = change(9).edit(FILE).unwrap();
    assert!(
        once.contains("exit_layer = 9 # early") && once.contains("# mine\n[presets.calm]"),
        "{once}"
    );
    assert_eq!(read(&once).presets["calm"], preset(9));
    let twice = change(10).edit(&once).unwrap();
    assert_eq!(beyond(&twice, &once), ["exit_layer = 10 # early"]);
    let mut confident = preset(9);
    confident.settings.controller = Controller::Confidence { threshold: 0.25 };
    for preset in [confident, preset(9)] {
        let edited = ConfigChange::KeepPreset("calm".into(), preset.clone())
            .edit(&once)
            .unwrap();
        assert_eq!(read(&edited).presets["calm"], preset);
    }
}

#[test]
fn a_preset_on_one_line_stays_there() {
    let file =
        "presets = { calm = { system = \"x\", settings = { exit_layer = 4 } } }\nascii = true\n";
    let edited = ConfigChange::KeepPreset("calm".into(), preset(9))
        .edit(file)
        .unwrap();
    assert_eq!(read(&edited).presets["calm"], preset(9));
    assert!(
        edited.starts_with("presets = { calm = {") && !edited.contains("\n["),
        "{edited}"
    );
    let edited = ConfigChange::KeepPreset("late".into(), preset(9))
        .edit(file)
        .unwrap();
    assert_eq!(read(&edited).presets.len(), 2);
}

#[test]
fn a_forgotten_preset_takes_nothing_with_it() {
    let edited = ConfigChange::ForgetPreset("calm".into())
        .edit(FILE)
        .unwrap();
    assert!(read(&edited).presets.is_empty());
    assert_eq!(edited, FILE[..FILE.find("\n# mine").unwrap()]);
    assert_eq!(
        ConfigChange::ForgetPreset("none".into())
            .edit(FILE)
            .unwrap(),
        FILE
    );
}

#[test]
fn line_ends_of_windows_stay() {
    let file = FILE.replace('\n', "\r\n");
    let edited = ConfigChange::Mouse(false).edit(&file).unwrap();
    assert_eq!(beyond(&edited, &file), ["mouse = false"]);
    assert_eq!(edited.matches('\n').count(), edited.matches("\r\n").count());
}

#[test]
fn a_broken_file_is_left_alone() {
    for (file, words) in [("theme = \n", "TOML"), ("presets = 3\n", "not a table")] {
        let fault = ConfigChange::KeepPreset("a".into(), preset(1))
            .edit(file)
            .unwrap_err();
        assert!(fault.contains(words), "{fault}");
    }
}

fn any_change() -> impl Strategy<Value = ConfigChange> {
    let name = || prop_oneof![Just("calm".to_owned()), "[a-z \".\\[#é]{1,8}"];
    let preset = || {
        (1usize..30, "[a-z\n\"'\\\\]{0,6}", any::<bool>()).prop_map(|(exit, system, confident)| {
            let mut preset = preset(exit);
            preset.system = system;
            if confident {
                preset.settings.controller = Controller::Confidence { threshold: 0.5 };
            }
            preset
        })
    };
    prop_oneof![
        (0usize..4).prop_map(|at| ConfigChange::Theme(ThemeName::ALL[at])),
        any::<bool>().prop_map(ConfigChange::Mouse),
        any::<bool>().prop_map(ConfigChange::ShowRejected),
        (name(), preset()).prop_map(|(name, preset)| ConfigChange::KeepPreset(name, preset)),
        name().prop_map(ConfigChange::ForgetPreset),
    ]
}

proptest! {
    /// However many changes are made, the file means what the state does, and keeps the user's own lines.
    #[test]
    fn the_file_follows_the_state(changes in proptest::collection::vec(any_change(), 1..8), start in 0usize..3) {
        let files = ["", FILE, "# a head\n\n[presets]\n# none yet\n\n[keys.global]\nf7 = \"clear\" # why not\n"];
        let mut text = files[start].to_owned();
        let mut config = read(&text);
        for change in changes {
            text = change.edit(&text).unwrap();
            config.apply(change);
            prop_assert_eq!(read(&text), config.clone(), "{}", text);
        }
        let comments = |text: &str| text.lines().filter(|line| line.contains("left hand") || line.contains("why not") || line.starts_with("# a head") || line.starts_with("# kept in git")).count();
        prop_assert_eq!(comments(&text), comments(files[start]));
    }
}
