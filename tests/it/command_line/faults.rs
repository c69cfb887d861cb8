//! Mistakes of the user: one message that says what to do, and status 2.

use super::{Tiny, fault};
use std::fs;

/// Whether a message has neither error numbers of the system nor serde's words.
fn is_plain(told: &str) -> bool {
    let raw = [
        "os error",
        "IO error",
        "io: ",
        "at line",
        "entity not found",
        "missing field",
        "invalid type",
        "expected value",
    ];
    raw.iter().all(|raw| !told.contains(raw))
}

#[test]
fn mistakes_are_reported_in_one_message() {
    let tiny = Tiny::new();
    fs::write(tiny.path("broken.json"), "{").unwrap();
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
            "/none: no such file or folder",
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
            assert!(is_plain(&told), "{line:?}: {told}");
            assert!(output.stdout.is_empty(), "{line:?}");
        }
    }
}

/// Files that are missing, are of another kind or are damaged: the message names the file and what is wrong with it.
#[test]
fn unusable_files_are_named_with_what_is_wrong() {
    let tiny = Tiny::new();
    let write = |name: &str, text: &[u8]| fs::write(tiny.path(name), text).unwrap();
    write("empty.jsonl", b"");
    write("broken.jsonl", b"{\"query\": \"x\",\n");
    write("binary.txt", &[0xff, 0xfe, 0, 1]);
    write("text.csv", b"a,b\n1,2,3\n");
    for (folder, config) in [("half", "{\"architectures\""), ("none", ""), ("list", "[]")] {
        fs::create_dir(tiny.path(folder)).unwrap();
        write(&format!("{folder}/config.json"), config.as_bytes());
        write(&format!("{folder}/model.safetensors"), b"x");
    }
    fs::create_dir_all(tiny.path("out/sweep")).unwrap();
    write("out/sweep/manifest.json", b"{}");
    let model = ["--model", "tiny.gguf", "--threads", "1"];
    let eval = |path: &'static str| ["eval", "--data-path", path].to_vec();
    let generate = |path: &'static str| ["generate", "--prompt-file", path].to_vec();
    let with = |model: &'static str| ["generate", "-p", "x", "--model", model].to_vec();
    for (line, named, wrong) in [
        (generate("none.txt"), "none.txt", "no such file or folder"),
        (generate("half"), "half", "it is a folder"),
        (generate("binary.txt"), "binary.txt", "not text in UTF-8"),
        (
            generate("tiny.gguf/x"),
            "tiny.gguf/x",
            "part of the path is a file",
        ),
        (eval("none.jsonl"), "none.jsonl", "no such file or folder"),
        (eval("empty.jsonl"), "empty.jsonl", "no rows"),
        (eval("broken.jsonl"), "broken.jsonl, line 1", "not a row"),
        (with("half"), "half/config.json", "ends too early"),
        (with("none"), "none/config.json", "empty, not JSON"),
        (with("list"), "list/config.json", ""),
    ] {
        let options = match line[0] {
            "eval" => &model[..],
            _ => &[],
        };
        let line = [&line[..], options].concat();
        let told = fault(&tiny.run(&line), &format!("{line:?}"));
        for part in [named, wrong] {
            assert!(told.contains(part), "{line:?}: {told}");
        }
        assert!(is_plain(&told), "{line:?}: {told}");
    }
    let line = ["sweep", "run", "out/sweep", "--model", "tiny.gguf"];
    let told = fault(&tiny.run(&line), "a manifest of nothing");
    assert!(told.contains("manifest.json") && is_plain(&told), "{told}");
    // A port in use, and no server.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let told = fault(
        &tiny.run(&["serve", "--model", "tiny.gguf", "--port", &port]),
        "a port in use",
    );
    assert!(
        told.contains("in use") && told.contains("--port") && is_plain(&told),
        "{told}"
    );
    drop(listener);
    let health = tiny.run(&["health", "--port", &port]);
    let told = String::from_utf8(health.stderr).unwrap();
    assert!(
        told.contains("the connection was refused") && is_plain(&told),
        "{told}"
    );
    let url = format!("http://127.0.0.1:{port}");
    let told = fault(&tiny.run(&["--connect", &url]), "no server");
    assert!(
        told.contains("is `skiplens serve` running there?") && is_plain(&told),
        "{told}"
    );
}
