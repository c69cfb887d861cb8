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
        ("draft vo", DraftVocab),
        ("dr voc", DraftVocab),
        ("draftvocab", DraftVocab),
        ("topp", TopP),
        ("rep-pen", RepetitionPenalty),
        ("max  st", MaxTokens),
        ("kvq", KvqReuse),
    ] {
        assert_eq!(Control::named(name), Ok(control), "{name}");
    }
    assert_eq!(Control::named("top"), Err(vec![TopP, TopK]));
    assert_eq!(Control::named("colour"), Err(Vec::new()));
    assert_eq!(Control::named(""), Err(Vec::new()));
}

#[test]
fn a_name_may_have_several_words_before_its_value() {
    use Control::*;
    for (text, control, value) in [
        ("draft vo 100", DraftVocab, "100"),
        ("draft 100", DraftVocab, "100"),
        ("top p 0.9", TopP, "0.9"),
        ("no repeat ngram 3", NoRepeatNgram, "3"),
        ("controller adaptive k", Controller, "adaptive k"),
        ("system Be  brief.", SystemPrompt, "Be  brief."),
        (
            "system prompt injection is bad",
            SystemPrompt,
            "prompt injection is bad",
        ),
        ("system seed words", SystemPrompt, "seed words"),
        ("SYSTEM prompt", SystemPrompt, "prompt"),
        ("  K 8", Speculations, "8"),
        ("temp", Temperature, ""),
    ] {
        assert_eq!(Control::split(text), Ok((control, value)), "{text}");
    }
    assert_eq!(Control::split("top 5"), Err(("top", vec![TopP, TopK])));
    assert_eq!(Control::split("colour red"), Err(("colour", Vec::new())));
}

#[test]
fn misspelt_names_have_suggestions() {
    for (misspelt, meant) in [
        ("temprature", "temperature"),
        ("vocav", "draft_vocab"),
        ("exit_leyer", "exit_layer"),
        ("num_predct", "max_steps"),
        ("seeed", "seed"),
    ] {
        let found = Control::resembling(misspelt);
        assert_eq!(found.first(), Some(&meant), "{misspelt}: {found:?}");
    }
    assert!(Control::resembling("colour").is_empty());
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
