//! Values of options: they may begin with a dash, and errors name the valid values.

use super::{Tiny, fault};

#[test]
fn texts_that_begin_with_a_dash_arrive() {
    let tiny = Tiny::new();
    for text in [
        "- milk, eggs",
        "-5 + 3 =",
        "---",
        "-",
        "--not-an-option",
        "-nothing",
        "--a_b",
    ] {
        for line in [["--prompt", text], ["-p", text]] {
            let run = tiny.generate(&[&line[..], &["-n", "4"]].concat());
            assert_eq!(run.report["prompt"]["text"], text, "{line:?}");
        }
        let run = tiny.generate(&["-p", "x", "--stop-words", text, "- b", "-n", "4"]);
        let words = &run.settings()["stop_strings"];
        assert_eq!(*words, serde_json::json!([text, "- b"]));
    }
    let run = tiny.generate(&["--chat", "-p", "- a", "--system", "- b", "-n", "4"]);
    let messages = &run.report["prompt"]["chat"];
    assert_eq!(messages[0]["content"], "- b");
    assert_eq!(messages[1]["content"], "- a");
    std::fs::write(tiny.path("-file"), "from a file").unwrap();
    let run = tiny.generate(&["--prompt-file", "-file", "-n", "4"]);
    assert_eq!(run.report["prompt"]["text"], "from a file");
}

/// After a forgotten value, the next option is not taken for it.
#[test]
fn an_option_is_no_value() {
    let tiny = Tiny::new();
    let told = tiny.refused(&["--prompt", "--json"]);
    assert!(told.contains("a value is required for '--prompt"), "{told}");
    let run = tiny.generate(&["--prompt=--json", "-n", "4"]);
    assert_eq!(run.report["prompt"]["text"], "--json");
    let told = tiny.refused(&["-p", "x", "--stop-words", "a", "--typo"]);
    assert!(told.contains("--typo"), "{told}");
}

#[test]
fn numbers_out_of_range_are_refused_with_the_range() {
    let tiny = Tiny::new();
    let max = u64::MAX.to_string();
    let cases = [
        (["--seed", "-1"], max.as_str()),
        (["--seed", "18446744073709551616"], &max),
        (["--seed", "1.5"], &max),
        (["-n", "-1"], &max),
        (["--max_steps", "-1"], &max),
        (["--top_k", "-1"], &max),
        (["--no_repeat_ngram_size", "-1"], &max),
        (["--draft-vocab", "-1"], &max),
        (["--stop_token_ids", "-1"], "4294967295"),
        (["--exit_layer", "-2"], "-1 for the model's default"),
        (["--exit_layer", "0"], "1 to 1"),
        (["--exit_layer", "2"], "1 to 1"),
        (["-K", "-2"], "-1 for the model's default"),
        (["-K", "0"], "at least 1"),
        (["--tree", "64"], "0 (a chain) to 63"),
        (["--proposers", "both"], "exit, lookup, exit+lookup or auto"),
        (["--controller", "best"], "adaptive or auto"),
        (["--confidence", "1.5"], "0 to 1"),
        (["--threads", "-1"], "1 to 256"),
        (["--threads", "0"], "1 to 256"),
        (["--threads", "100000"], "1 to 256"),
        (["--temperature", "-1"], "0 (greedy) to 100"),
        (["--top-p", "-0.5"], "more than 0 and at most 1"),
        (["--min-p", "-0.5"], "0 (off) to 1"),
        (["--repetition-penalty", "-1"], "0.01 to 100"),
    ];
    for (line, range) in cases {
        let told = tiny.refused(&[&["-p", "x"], &line[..]].concat());
        assert!(told.contains(range), "{line:?}: {told}");
    }
    for (line, range) in [
        (
            &["bench", "--model", "tiny.gguf", "--seconds", "-1"][..],
            "0 to 3600",
        ),
        (
            &["bench", "--model", "tiny.gguf", "--seconds", "1e9"],
            "0 to 3600",
        ),
        (&["transcript", "replay", "--speed", "-1"], "above 0"),
        (&["transcript", "replay", "--from", "-1"], max.as_str()),
        (
            &["transcript", "trash", "empty", "--older-than", "-1"],
            &max,
        ),
    ] {
        let told = fault(&tiny.run(line), &format!("{line:?}"));
        assert!(told.contains(range), "{line:?}: {told}");
    }
}

#[test]
fn empty_values_are_refused() {
    let tiny = Tiny::new();
    std::fs::write(tiny.path("empty"), "").unwrap();
    for (line, named) in [
        (&["-p", ""][..], "--prompt"),
        (&["--prompt="], "--prompt"),
        (&["--chat", "-p", ""], "--prompt"),
        (&["--prompt-file", "empty"], "empty"),
        (&["--prompt-file", "-"], "standard input"),
        (&[], "standard input"),
        (&["-p", "x", "--stop-words", ""], "--stop-words"),
    ] {
        let told = tiny.refused(line);
        assert!(told.contains(named), "{line:?}: {told}");
        assert!(told.contains("empty"), "{line:?}: {told}");
    }
    let told = fault(
        &tiny.run(&["generate", "--model", "", "-p", "x"]),
        "no model",
    );
    assert!(told.contains("--model") && told.contains("empty"), "{told}");
}

/// Prefill leaves the last token of the prompt to the first round; it is counted nevertheless.
#[test]
fn all_tokens_of_the_prompt_are_counted() {
    let tiny = Tiny::new();
    let run = tiny.generate(&["-p", "a", "-n", "1"]);
    let first = run.said.lines().next().unwrap();
    let tokens: usize = first
        .strip_prefix("prompt ")
        .and_then(|rest| rest.split(' ').next())
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(
        tokens as u64,
        run.report["stats"]["prefill_tokens"].as_u64().unwrap() + 1,
        "{first}"
    );
}
