use super::*;
use crate::transcript::Journal;

/// Reads a file of a valid header and `lines`.
fn read_lines(lines: &[&[u8]]) -> Result<Session> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.jsonl");
    let mut bytes = serde_json::to_vec(&line::Header::new("x".into(), 0)).unwrap();
    for line in lines {
        bytes.push(b'\n');
        bytes.extend_from_slice(line);
    }
    bytes.push(b'\n');
    std::fs::write(&path, bytes).unwrap();
    load(&path)
}

fn fault_of(line: &str) -> String {
    let run = br#"{"kind":"run","turn":0,"run":1}"#;
    match read_lines(&[run, line.as_bytes()]) {
        Err(Error::Broken { line: 3, fault, .. }) => fault,
        other => panic!("{line} gave {other:?}"),
    }
}

#[test]
fn invalid_rounds_are_rejected() {
    let token = r#"{"id":1,"text":"a","p_draft":0.5,"p_verify":null}"#;
    for (line, fault) in [
        (r#""accepted":1"#.to_owned(), "accepted 1 of 0"),
        (
            format!(r#""drafted":[{token}],"accepted":2"#),
            "accepted 2 of 1",
        ),
        (r#""accepted":-1"#.into(), "is expected"),
        (
            format!(r#""drafted":[{token},{token}],"accepted":1,"path":[1]"#),
            "do not follow",
        ),
        (
            format!(r#""drafted":[{token}],"accepted":1,"path":[7]"#),
            "do not follow",
        ),
        (
            format!(
                r#""drafted":[{}]"#,
                token.replace(r#""text""#, r#""parent":{"node":3},"text""#)
            ),
            "before the one it follows",
        ),
        (r#""draft_seconds":-0.5"#.into(), "invalid duration"),
        (r#""verify_seconds":1e300"#.into(), "invalid duration"),
        (r#""verify_seconds":NaN"#.into(), "expected value"),
        (
            r#""position":18446744073709551615"#.into(),
            "invalid position",
        ),
        (
            format!(r#""drafted":[{}]"#, token.replace("0.5", "[]")),
            "is expected",
        ),
        (
            format!(r#""drafted":[{}]"#, token.replace("0.5", "-0.5")),
            "probability",
        ),
        (
            format!(r#""drafted":[{}]"#, token.replace("0.5", "1e39")),
            "probability",
        ),
        (
            r#""last":{"id":1,"text":"","origin":"prompt","p_draft":null,"p_verify":1}"#.into(),
            "origin",
        ),
        (
            r#""last":{"id":4294967296,"text":"","origin":"plain","p_draft":null,"p_verify":1}"#
                .into(),
            "is expected",
        ),
    ] {
        let fixed = if line.contains("position") {
            ""
        } else {
            r#""position":0,"#
        };
        let line = format!(r#"{{"kind":"round","run":1,"index":0,{fixed}{line}}}"#);
        let told = fault_of(&line);
        assert!(told.contains(fault), "{line}: {told}");
    }
}

#[test]
fn damaged_lines_are_errors_with_a_line_number() {
    let deep = format!(r#"{{"kind":"system","text":{}"#, "[".repeat(100_000));
    for line in [
        "{",
        "nonsense",
        "[]",
        "{}",
        r#"{"kind":"user"}"#,
        r#"{"kind":7}"#,
        &deep,
        r#"{"kind":"settings","sampling":{"top_p":1e99}}"#,
    ] {
        assert!(!fault_of(line).is_empty());
    }
    assert!(read_lines(&[b"{\"kind\":\"user\",\"turn\":0,\"text\":\"\xff\"}"]).is_err());
}

#[test]
fn unknown_kinds_and_stray_lines_are_skipped_with_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.jsonl");
    let mut text = serde_json::to_string(&line::Header::new("x".into(), 0)).unwrap();
    text += "\n{\"kind\":\"mood\",\"x\":[[1]]}\n\n{\"kind\":\"end\",\"run\":9,\"outcome\":{\"failed\":\"\"}}\n";
    text += "{\"kind\":\"run\",\"turn\":18446744073709551615,\"run\":1}\n{\"kind\":\"user\",\"turn\":7,\"text\":\"hi\",\"new\":1}\n";
    std::fs::write(&path, &text).unwrap();
    let loaded = salvage(&path).unwrap();
    assert!(loaded.fault.is_none());
    assert_eq!(loaded.session.turns[0].text, "hi");
    assert_eq!(loaded.notes.len(), 3, "{:?}", loaded.notes);
    assert!(loaded.notes[0].contains("\"mood\""));
    std::fs::write(&path, text.clone() + &"{\"kind\":\"mood\"}\n".repeat(1000)).unwrap();
    assert_eq!(salvage(&path).unwrap().notes.len(), 21);
}

#[test]
fn a_newer_schema_is_rejected_with_a_clear_message() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.jsonl");
    let text = "{\"format\":\"skiplens-session\",\"schema\":2,\"made_of\":\"other things\"}\n{\"kind\":\"dream\"}\n";
    std::fs::write(&path, text).unwrap();
    let told = load(&path).unwrap_err().to_string();
    assert!(
        told.contains("newer skiplens") && told.contains("schema 2"),
        "{told}"
    );
    assert!(matches!(
        Journal::resume(&path),
        Err(Error::Future {
            found: 2,
            known: 1,
            ..
        })
    ));
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        text,
        "the file is unchanged"
    );
}

#[test]
fn other_files_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.jsonl");
    for bytes in [
        &b""[..],
        b"\n",
        b"\0\0\0",
        b"{}",
        b"{\"format\":\"skiplens-session\",\"schema\":0}",
        b"\x7fELF\xff\xff",
        b"[1]",
    ] {
        std::fs::write(&path, bytes).unwrap();
        assert!(
            matches!(load(&path), Err(Error::NotAJournal { .. })),
            "{bytes:?}"
        );
    }
    std::fs::write(&path, vec![b'a'; 1 << 20]).unwrap();
    assert!(load(&path).is_err());
    assert!(load(folder.path()).is_err(), "it is a folder");
    assert!(
        load(std::path::Path::new("/dev/zero")).is_err(),
        "it is a device"
    );
}

/// Large settings, stored once and applied to many short rounds, must not exhaust memory.
#[test]
fn settings_cannot_exhaust_memory() {
    let settings = format!(
        r#"{{"kind":"settings","stop_strings":["{}"]}}"#,
        "x".repeat(8 << 20)
    );
    let round = br#"{"kind":"round","run":1,"index":0,"position":0}"#.as_slice();
    let run = br#"{"kind":"run","turn":0,"run":1}"#.as_slice();
    let lines: Vec<&[u8]> = [run, settings.as_bytes()]
        .into_iter()
        .chain(std::iter::repeat_n(round, 64))
        .collect();
    let told = read_lines(&lines).unwrap_err().to_string();
    assert!(told.contains("too much memory"), "{told}");
}

#[test]
fn the_part_before_the_damage_can_be_salvaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.jsonl");
    save(&sample(), &path, false).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let at = text.rfind("{\"kind\":\"round\"").unwrap();
    std::fs::write(&path, format!("{}garbage\n{}", &text[..at], &text[at..])).unwrap();
    assert!(load(&path).is_err() && Journal::resume(&path).is_err());
    let loaded = salvage(&path).unwrap();
    assert_eq!(loaded.session.rounds().count(), 2);
    assert!(loaded.fault.unwrap().to_string().contains("line"));
}

proptest! {
    /// Any damage gives a session or an error.
    #[test]
    fn damage_never_panics(bytes in vec(any::<u8>(), 0..40), at in any::<prop::sample::Index>(), cut in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.jsonl");
        save(&sample(), &path, false).unwrap();
        let mut file = std::fs::read(&path).unwrap();
        let at = at.index(file.len());
        let end = if cut { file.len() } else { (at + bytes.len()).min(file.len()) };
        file.splice(at..end, bytes);
        std::fs::write(&path, file).unwrap();
        if let Ok(loaded) = salvage(&path) {
            let _ = (loaded.session.totals(), loaded.session.stats(), loaded.session.messages());
        }
        let _ = (Summary::of(&path), Journal::resume(&path));
    }
}
