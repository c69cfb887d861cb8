//! LayerSkip's command lines keep their meaning.

use super::Tiny;

const PROMPT: [&str; 4] = ["--prompt", "hello the door", "--max_steps", "12"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&PROMPT[..], more].concat()
}

/// In LayerSkip, autoregressive decoding with an exit layer is early exit at that layer.
#[test]
fn autoregressive_with_an_exit_layer_is_early_exit() {
    let tiny = Tiny::new();
    let ours = tiny.generate(&with(&["--strategy", "early-exit", "-E", "1"]));
    for line in [
        &[
            "--generation_strategy",
            "autoregressive",
            "--exit_layer",
            "1",
        ][..],
        &["--strategy", "autoregressive", "-E", "1"],
        &["--exit-layer=1", "--generation-strategy=autoregressive"],
    ] {
        let early = tiny.generate(&with(line));
        assert_eq!(early.text(), ours.text(), "{line:?}");
        assert_eq!(early.settings()["strategy"], "early-exit", "{line:?}");
        assert!(
            early.said.contains("E 1 · early exit, not verified"),
            "{line:?}: {}",
            early.said
        );
    }
    for line in [
        &["--generation_strategy", "autoregressive"][..],
        &[
            "--generation_strategy",
            "autoregressive",
            "--exit_layer",
            "-1",
        ],
        &[
            "--generation_strategy",
            "autoregressive",
            "--exit_layer",
            "None",
        ],
    ] {
        let plain = tiny.generate(&with(line));
        assert_eq!(plain.settings()["strategy"], "autoregressive", "{line:?}");
        assert!(!plain.said.contains("early exit"), "{}", plain.said);
    }
}

/// Spelling out the defaults of LayerSkip's options changes nothing.
#[test]
fn defaults_can_be_spelled_out() {
    let tiny = Tiny::new();
    let plain = tiny.generate(&PROMPT);
    for line in [
        &["--exit_layer", "-1"][..],
        &["--num_speculations", "-1"],
        &["--exit-layer=-1", "-K", "-1"],
        &["-E-1", "-K=-1"],
        &["--seed", "42"],
        &["--sample", "True"],
        &["--temperature", "0.6"],
        &["--top_k", "0"],
        &["--top_p", "0.9"],
        &["--no_repeat_ngram_size", "None"],
        &["--stop_words", "None"],
        &["--stop_token_ids", "None"],
        &["--model_args", "None"],
        &["--streamer", "none"],
        &[
            "--exit_layer",
            "None",
            "--num_speculations",
            "None",
            "--top_k",
            "None",
        ],
        &[
            "--seed",
            "None",
            "--temperature",
            "None",
            "--sample",
            "None",
        ],
    ] {
        let run = tiny.generate(&with(line));
        assert_eq!(run.text(), plain.text(), "{line:?}");
        assert_eq!(run.settings(), plain.settings(), "{line:?}");
        assert_eq!(run.notes(), Vec::<&str>::new(), "{line:?}");
    }
    let greedy = tiny.generate(&with(&["--sample", "false"]));
    for line in [
        &["--no_sample"][..],
        &["--no-sample"],
        &["--sample", "False"],
        &["--sample", "f"],
        &["--sample", "true", "--no_sample"],
    ] {
        assert_eq!(tiny.generate(&with(line)).text(), greedy.text(), "{line:?}");
    }
}

/// Options without a meaning here are refused by name, or reported as having no effect.
#[test]
fn options_without_a_meaning_are_named() {
    let tiny = Tiny::new();
    let told = tiny.refused(&with(&["--model_args", "low_cpu_mem_usage=True"]));
    assert!(told.contains("--model-args"), "{told}");
    let told = tiny.refused(&with(&["--streamer", "loud"]));
    assert!(told.contains("--streamer"), "{told}");
    let run = tiny.generate(&with(&["--output_dir", "./logs"]));
    assert!(run.notes()[0].starts_with("--output-dir has no effect"));
    assert!(!tiny.path("logs").exists());
}

/// Streamers show the same text.
#[test]
fn streamers_show_the_text() {
    let tiny = Tiny::new();
    let text = |streamer: &str| {
        let line = with(&["--streamer", streamer, "--model", "tiny.gguf"]);
        let output = tiny.run(&[&["generate"], &line[..]].concat());
        assert!(output.status.success());
        output.stdout
    };
    let texts = ["none", "standard", "speculative"].map(text);
    assert!(texts[0].len() > 1 && texts.iter().all(|text| *text == texts[0]));
}

#[test]
fn options_without_effect_are_named() {
    let tiny = Tiny::new();
    let cases: [(&[&str], &str); 8] = [
        (
            &[
                "--generation_strategy",
                "autoregressive",
                "--num_speculations",
                "3",
            ],
            "--num-speculations has no effect: autoregressive",
        ),
        (
            &[
                "--strategy",
                "early-exit",
                "-E",
                "1",
                "--coupling",
                "rejection",
            ],
            "--coupling has no effect: early exit",
        ),
        (
            &[
                "--sample",
                "False",
                "--temperature",
                "0.7",
                "--top_p",
                "0.5",
            ],
            "--temperature, --top-p have no effect: decoding is greedy",
        ),
        (
            &["--sample", "--temperature", "0"],
            "--sample has no effect",
        ),
        (
            &["--draft-vocab", "100000"],
            "--draft-vocab 100000 has no effect: the vocabulary has",
        ),
        (
            &["--stop_token_ids", "99999"],
            "--stop-token-ids 99999 has no effect",
        ),
        (&["--color", "always"], "--color has no effect"),
        (&["--streamer", "standard"], "--streamer has no effect"),
    ];
    for (line, said) in cases {
        let run = tiny.generate(&with(line));
        let notes = run.notes();
        assert_eq!(notes.len(), 1, "{line:?}: {notes:?}");
        assert!(notes[0].starts_with(said), "{line:?}: {notes:?}");
    }
    let line = ["bench", "--model", "tiny.gguf", "--seconds", "0", "-n", "4"];
    let output = tiny.run(&[&line[..], &["--strategy", "autoregressive"]].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--strategy has no effect"), "{said}");
    let before = ["-E", "1", "generate", "--model", "tiny.gguf", "-p", "x"];
    let told = super::fault(&tiny.run(&before), "an option before the command");
    assert!(told.contains("--exit-layer stands before"), "{told}");
}
