//! `correctness` reports no errors for equal texts, and what it compared.

use super::{Tiny, fault, json, only, said};

#[test]
fn greedy_and_shared_noise_have_no_errors() {
    let tiny = Tiny::new();
    tiny.prompts(4);
    for (nth, sampling) in [&["--sample", "False"][..], &["--temperature", "0.9"]]
        .into_iter()
        .enumerate()
    {
        let logs = format!("logs{nth}");
        let rest = [
            &["--max_steps", "12", "-K", "3", "--output_dir", &logs],
            sampling,
        ]
        .concat();
        let output = tiny.on_prompts(&["correctness"], &rest).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(
            said(&output).contains("errors 0 of 4 (0.0 %)"),
            "{}",
            said(&output)
        );
        let report = json(&only(&tiny.path(&logs)));
        assert_eq!(
            (report["errors"].as_u64(), report["error_pct"].as_f64()),
            (Some(0), Some(0.0))
        );
        assert!(report["mismatches"].as_array().unwrap().is_empty());
    }
}

#[test]
fn rejection_is_compared_as_a_distribution() {
    let tiny = Tiny::new();
    tiny.prompts(2);
    let rest = [
        "--coupling",
        "rejection",
        "-K",
        "3",
        "--repetitions",
        "60",
        "--output_dir",
        "logs",
    ];
    let output = tiny.on_prompts(&["correctness"], &rest).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let report = json(&only(&tiny.path("logs")));
    assert_eq!(report["differs"], false);
    assert!(report["p_value"].as_f64().unwrap() > 0.001);
    let told = fault(
        &tiny
            .on_prompts(&["correctness"], &["--strategy", "early-exit"])
            .output()
            .unwrap(),
        "early exit",
    );
    assert!(told.contains("omit --strategy"), "{told}");
}
