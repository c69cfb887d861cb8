use super::*;
use crate::engine::decode::Controller;

#[test]
fn the_table_is_in_the_order_of_the_controls() {
    for (at, spec) in TABLE.iter().enumerate() {
        assert_eq!(spec.control as usize, at, "{:?}", spec.control);
    }
}

#[test]
fn every_control_goes_by_its_name_and_its_label() {
    for control in Control::ALL {
        assert_eq!(Control::named(control.name()), Ok(control));
        assert_eq!(Control::named(control.label()), Ok(control));
    }
}

#[test]
fn short_names_that_fit_one_control_are_enough() {
    use Control::*;
    for (name, control) in [
        ("e", ExitLayer),
        ("K", Speculations),
        ("t", Temperature),
        ("temp", Temperature),
        ("max", MaxTokens),
        ("tokens", MaxTokens),
        ("penalty", RepetitionPenalty),
        ("vocab", DraftVocab),
        ("spec", Speculations),
        ("Top-P", TopP),
        ("auto", Controller),
        ("cont", Controller),
        ("ngram", NoRepeatNgram),
    ] {
        assert_eq!(Control::named(name), Ok(control), "{name}");
    }
    assert_eq!(Control::named("top"), Err(vec![TopP, TopK]));
    assert_eq!(Control::named("colour"), Err(Vec::new()));
    assert_eq!(Control::named(""), Err(Vec::new()));
}

#[test]
fn every_control_sets_what_it_gets() {
    for control in Control::ALL {
        let mut settings = Settings {
            controller: Controller::Confidence { threshold: 0.5 },
            ..Settings::default()
        };
        let kind = control.kind(None);
        for value in [0.0, 0.05, 1.0, 2.0, 7.0] {
            let value = kind.snap(value);
            control.set(&mut settings, value);
            assert_eq!(control.get(&settings), value, "{control:?}");
        }
    }
}

#[test]
fn the_names_of_older_settings_files_are_read() {
    let control: Control = serde_json::from_str("\"autopilot\"").unwrap();
    assert_eq!(control, Control::Controller);
}
