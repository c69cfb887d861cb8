//! Mistakes of the user: one message that says what to do, and status 2.

use super::{Tiny, fault};

#[test]
fn mistakes_are_reported_in_one_message() {
    let tiny = Tiny::new();
    std::fs::write(tiny.path("broken.json"), "{").unwrap();
    for (line, named) in [
        (&[][..], "needs a terminal"),
        (&["--resume"], "no session"),
        (&["transcript", "replay", "--screen", "last"], "no session"),
        (&["transcript", "show"], "no session"),
        (&["transcript", "show", "broken.json"], "broken.json"),
        (&["transcript", "import", "broken.json"], "broken.json"),
        (&["transcript", "export"], "--format"),
        (
            &["generate", "--prompt-file", "/none"],
            "/none: No such file",
        ),
        (
            &["generate", "-p", "x", "--prompt-file", "y"],
            "--prompt-file",
        ),
        (&["generate", "-p", "x", "--model", "/none"], "/none"),
        (
            &["generate", "-p", "x", "--json", "--detail", "--nonsense"],
            "--nonsense",
        ),
        (&["bench", "--model", "/none"], "/none"),
        (&["nonsense"], "nonsense"),
    ] {
        for var in ["NO_COLOR", "RUST_BACKTRACE"] {
            let output = tiny.command(line).env(var, "1").output().unwrap();
            let told = fault(&output, &format!("{line:?}"));
            assert!(told.contains(named), "{line:?}: {told}");
            assert!(told.matches("os error").count() <= 1, "{line:?}: {told}");
            assert!(output.stdout.is_empty(), "{line:?}");
        }
    }
}
