//! `skiplens generate` as a user runs it, on the bundled model.

use serde_json::Value;
use std::collections::HashSet;
use std::io::Write;
use std::process::{Command, Output, Stdio};

fn skiplens(args: &[&str]) -> Output {
    skiplens_with_input(args, "")
}

fn skiplens_with_input(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_skiplens"))
        .args(args)
        .env(
            "SKIPLENS_DATA_DIR",
            std::env::temp_dir().join("skiplens-test-data"),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

fn json(args: &[&str]) -> Value {
    let output = skiplens(args);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

const PROMPT: &str = "Why is the sky blue?";

#[test]
fn every_setting_gives_the_autoregressive_text() {
    for sample in ["false", "true"] {
        let common = [
            "generate",
            "--prompt",
            PROMPT,
            "--chat",
            "--json",
            "--max-steps",
            "40",
            "--sample",
            sample,
        ];
        let run = |more: &[&str]| json(&[&common, more].concat());
        let plain = run(&["--strategy", "autoregressive"]);
        assert!(!plain["text"].as_str().unwrap().is_empty());
        for more in [
            &["-E", "4", "-K", "6"][..],
            &["-E", "12", "-K", "2", "--threads", "1"],
            &["-E", "29", "-K", "16", "--kvq-reuse", "false"],
            &["--draft-vocab", "8000"],
        ] {
            let speculative = run(more);
            assert_eq!(speculative["text"], plain["text"], "{more:?}");
            check_record(&speculative);
        }
    }
}

#[test]
fn every_way_to_draft_gives_the_autoregressive_text() {
    let prompt = "Repeat this sentence three times: The quick brown fox jumps over the lazy dog.";
    let common = [
        "generate",
        "--prompt",
        prompt,
        "--chat",
        "--json",
        "--max-steps",
        "60",
        "--sample",
        "false",
    ];
    let run = |more: &[&str]| json(&[&common, more].concat());
    let plain = run(&["--strategy", "autoregressive"]);
    let accepted =
        |report: &Value, by: &str| report["stats"]["by_proposer"][by]["accepted"].clone();
    for (more, exits, looks_up) in [
        (&["--proposers", "lookup", "-K", "8"][..], false, true),
        (&["--proposers", "exit+lookup", "-K", "4"], true, true),
        (&["--tree", "6", "-K", "2"], true, false),
        (&["--confidence", "0.4"], true, false),
        (&["--controller", "adaptive"], true, false),
        (
            &["--controller", "auto", "--proposers", "lookup"],
            false,
            true,
        ),
    ] {
        let drafted = run(more);
        assert_eq!(drafted["text"], plain["text"], "{more:?}");
        assert_eq!(accepted(&drafted, "lookup") != 0, looks_up, "{more:?}");
        assert_eq!(accepted(&drafted, "early_exit") != 0, exits, "{more:?}");
        let tokens = drafted["tokens"].as_array().unwrap();
        let by = |name: &str| {
            tokens
                .iter()
                .filter(|token| token["proposed_by"] == name)
                .count()
        };
        assert_eq!(by("lookup"), accepted(&drafted, "lookup"));
        assert_eq!(by("early-exit"), accepted(&drafted, "early_exit"));
    }
    // The controller's choices depend on the machine; the text does not.
    let auto = run(&[]);
    assert_eq!(auto["text"], plain["text"]);
    assert!(
        auto["rounds"][0]["control"].as_str().is_some(),
        "it says why"
    );
}

/// Statistics, tokens and rounds agree.
fn check_record(report: &Value) {
    let stats = &report["stats"];
    let count = |name: &str| stats[name].as_u64().unwrap();
    assert_eq!(count("drafted"), count("accepted") + count("rejected"));
    let tokens = report["tokens"].as_array().unwrap();
    assert_eq!(tokens.len() as u64, count("tokens"));
    let of = |origin: &str| {
        tokens
            .iter()
            .filter(|token| token["origin"] == origin)
            .count() as u64
    };
    assert_eq!(of("accepted"), count("accepted"));
    let rounds = report["rounds"].as_array().unwrap();
    assert_eq!(rounds.len() as u64, count("rounds"));
    assert_eq!(
        of("corrected") + of("bonus") + of("plain") + of("accepted"),
        count("tokens")
    );
    let text: String = tokens
        .iter()
        .map(|token| token["text"].as_str().unwrap())
        .collect();
    assert_eq!(text, report["text"].as_str().unwrap());
    let drafted: usize = rounds
        .iter()
        .map(|round| round["drafted"].as_array().unwrap().len())
        .sum();
    assert_eq!(drafted as u64, count("drafted"));
}

#[test]
fn layerskips_spelling_works() {
    let args = [
        "generate",
        "--prompt",
        "Once upon a time",
        "--exit_layer",
        "6",
        "--num_speculations",
        "3",
    ];
    let more = [
        "--generation_strategy",
        "self_speculative",
        "--sample",
        "False",
        "--max_steps",
        "12",
        "--json",
    ];
    let report = json(&[&args[..], &more].concat());
    let settings = &report["rounds"][0]["settings"];
    assert_eq!(settings["exit_layer"], 6);
    assert_eq!(settings["num_speculations"], 3);
    assert_eq!(settings["sampling"]["sample"], false);
    assert_eq!(report["stats"]["tokens"], 12);
}

#[test]
fn text_goes_to_stdout_and_the_summary_to_stderr() {
    // With E and K set, every round drafts; the controller might decode plainly.
    let args = [
        "generate",
        "-E",
        "6",
        "-K",
        "2",
        "--max-steps",
        "8",
        "--sample",
        "false",
        "--color",
        "always",
    ];
    let coloured = skiplens_with_input(&args, "The capital of France is");
    let text = String::from_utf8(coloured.stdout).unwrap();
    assert!(text.contains("\x1b["), "{text}");
    let plain = skiplens_with_input(&args[..9], "The capital of France is");
    let plain_text = String::from_utf8(plain.stdout).unwrap();
    assert!(!plain_text.contains('\x1b'));
    assert!(plain_text.contains("Paris"), "{plain_text}");
    assert!(
        String::from_utf8(plain.stderr)
            .unwrap()
            .contains("% of drafts accepted")
    );
}

#[test]
fn stop_words_cut_the_text() {
    let args = [
        "generate",
        "--prompt",
        "1, 2, 3, 4, 5,",
        "--sample",
        "false",
        "--max-steps",
        "40",
        "--json",
    ];
    let whole = json(&args)["text"].as_str().unwrap().to_owned();
    let middle: String = whole.chars().skip(5).take(3).collect();
    let report = json(&[&args[..], &["--stop-words", &middle]].concat());
    let text = report["text"].as_str().unwrap();
    assert_eq!(text, &whole[..whole.find(&middle).unwrap()]);
    assert_eq!(report["stop"]["stop-string"], middle);
}

#[test]
fn bad_input_is_refused_with_a_message_and_status_2() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.gguf");
    std::fs::write(
        &broken,
        b"GGUF\x03\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    )
    .unwrap();
    let long = "word ".repeat(20_000);
    let cases: [(&[&str], &str); 9] = [
        (&["--exit-layer", "0"], "exit layer"),
        (&["--exit-layer", "30"], "1 to 29"),
        (&["--num-speculations", "0"], "at least 1"),
        (&["--temperature", "-1"], "temperature"),
        (&["--top-p", "2"], "top-p"),
        (
            &["--model", "/nonexistent/model.gguf"],
            "/nonexistent/model.gguf",
        ),
        (&["--model", broken.to_str().unwrap()], "broken.gguf"),
        (&["--dtype", "q9"], "q9"),
        (&["--device", "abacus"], "abacus"),
    ];
    for (args, words) in cases {
        let output = skiplens(&[&["generate", "--prompt", "x", "--max-steps", "2"], args].concat());
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
        assert!(message.contains(words), "{args:?}: {message}");
        assert!(!message.contains("panicked"), "{message}");
    }
    let output = skiplens_with_input(&["generate"], &long);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("context"));
}

#[test]
fn tokens_of_a_round_are_adjacent() {
    let report = json(&[
        "generate",
        "--prompt",
        PROMPT,
        "--json",
        "--max-steps",
        "30",
        "-K",
        "3",
    ]);
    let rounds: Vec<u64> = report["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["round"].as_u64().unwrap())
        .collect();
    assert!(rounds.is_sorted());
    assert_eq!(
        rounds.iter().collect::<HashSet<_>>().len() as u64,
        report["stats"]["rounds"].as_u64().unwrap()
    );
}
