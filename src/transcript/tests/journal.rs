use super::*;
use crate::transcript::Journal;

/// A journal file of the sample session.
fn sample_file() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.jsonl");
    save(&sample(), &path, false).unwrap();
    (folder, path)
}

#[test]
fn a_file_truncated_at_any_offset_is_repaired() {
    let (_folder, path) = sample_file();
    let whole = std::fs::read(&path).unwrap();
    let header = whole.iter().position(|byte| *byte == b'\n').unwrap();
    for end in 0..whole.len() {
        std::fs::write(&path, &whole[..end]).unwrap();
        if end < header {
            assert!(
                matches!(load(&path), Err(Error::NotAJournal { .. })),
                "cut at {end}"
            );
            continue;
        }
        let rounds = whole[..end]
            .split(|byte| *byte == b'\n')
            .filter(|line| is_round(line))
            .count();
        assert_eq!(
            load(&path).unwrap().rounds().count(),
            rounds,
            "cut at {end}"
        );
        let (mut journal, notes) = Journal::resume(&path).unwrap();
        let torn = !whole[..end].ends_with(b"\n") && whole[end] != b'\n';
        assert_eq!(notes.len(), usize::from(torn), "cut at {end}: {notes:?}");
        journal.append(Entry::User("and on".into())).unwrap();
        drop(journal);
        let session = load(&path).unwrap();
        assert_eq!(session.rounds().count(), rounds, "cut at {end}");
        assert_eq!(session.turns.last().unwrap().text, "and on");
    }
}

/// Whether a line, which may be cut off, is a complete round.
fn is_round(line: &[u8]) -> bool {
    line.starts_with(b"{\"kind\":\"round\"")
        && serde_json::from_slice::<serde_json::Value>(line).is_ok()
}

#[test]
fn a_session_without_messages_leaves_no_file() {
    let entries = vec![
        Entry::Title("t".into()),
        Entry::System("s".into()),
        Entry::Settings(Settings::default()),
        Entry::Model(ModelRecord::default()),
        Entry::Truncate(0),
    ];
    let (folder, journal) = journal_of(entries);
    journal.close().unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[cfg(unix)]
#[test]
fn files_and_folders_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, journal) = journal_of(vec![Entry::User("hello".into())]);
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(journal.path()), 0o600);
    assert_eq!(mode(&Store::at(folder.path()).sessions()), 0o700);
    let saved = folder.path().join("x");
    save(journal.session(), &saved, false).unwrap();
    assert_eq!(mode(&saved), 0o600);
}

#[test]
fn two_programs_never_write_to_one_file() {
    let (folder, journal) = journal_of(vec![Entry::User("hello".into())]);
    assert!(matches!(
        Journal::resume(journal.path()),
        Err(Error::InUse { .. })
    ));
    let store = Store::at(folder.path());
    assert!(matches!(store.delete("last"), Err(Error::InUse { .. })));
    let path = journal.path().to_owned();
    drop(journal);
    assert!(Journal::resume(&path).is_ok());
}

/// A folder that cannot be created simulates a full disk: entries stay pending, and are written once there is space.
#[test]
fn failed_writes_are_retried() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    std::fs::write(&root, b"in the way").unwrap();
    let mut journal = Journal::begin(&Store::at(&root));
    for text in ["a", "b"] {
        assert!(matches!(
            journal.append(Entry::User(text.into())),
            Err(Error::Io { .. })
        ));
    }
    std::fs::remove_file(&root).unwrap();
    journal.append(Entry::User("c".into())).unwrap();
    let loaded = load(journal.path()).unwrap();
    assert_eq!(
        loaded
            .turns
            .iter()
            .map(|turn| turn.text.as_str())
            .collect::<String>(),
        "abc"
    );
}

#[test]
fn late_rounds_are_dropped() {
    let begin = |run| Entry::Run {
        run: RunId(run),
        prompt: Prompt::Text(String::new()),
        settings: Settings::default(),
    };
    let round = sample().rounds().next().unwrap().clone();
    let late = |run| Entry::Round {
        run: RunId(run),
        round: Box::new(round.clone()),
    };
    let (_folder, mut journal) = journal_of(vec![
        begin(1),
        late(1),
        Entry::Truncate(0),
        late(1),
        begin(2),
        late(1),
        late(2),
    ]);
    assert_eq!(journal.session().rounds().count(), 1);
    let end = RunEnd::failed("no");
    journal.append(Entry::End { run: RunId(2), end }).unwrap();
    journal.append(late(2)).unwrap();
    let loaded = salvage(journal.path()).unwrap();
    assert_eq!(&loaded.session, journal.session());
    assert!(loaded.notes.is_empty(), "{:?}", loaded.notes);
}

#[test]
fn invalid_numbers_from_the_engine_do_not_corrupt_the_file() {
    let mut round = sample().rounds().next().unwrap().clone();
    round.tokens_mut().drafted[0].p_draft = Some(f32::NAN);
    round.tokens_mut().drafted[0].p_verify = Some(f32::INFINITY);
    round.draft_seconds = -1.0;
    std::sync::Arc::make_mut(&mut round.settings)
        .sampling
        .temperature = f32::NAN;
    let run = RunId(0);
    let begin = Entry::Run {
        run,
        prompt: Prompt::Text(String::new()),
        settings: Settings::default(),
    };
    let (_folder, journal) = journal_of(vec![
        begin,
        Entry::Round {
            run,
            round: Box::new(round),
        },
    ]);
    assert_eq!(&load(journal.path()).unwrap(), journal.session());
}

#[test]
fn detail_is_reduced_to_the_given_level() {
    let detail = TokenDetail {
        draft_top: vec![Candidate {
            id: 1,
            text: "a".into(),
            p: 0.5,
        }],
        layers: vec![LayerChoice {
            layer: 1,
            id: 2,
            text: "b".into(),
            p: 0.25,
        }],
        ..TokenDetail::default()
    };
    let mut round = sample().rounds().next().unwrap().clone();
    round.tokens_mut().drafted[0].detail = Some(Box::new(detail.clone()));
    let wanted = [
        (Detail::Off, None),
        (
            Detail::Candidates,
            Some(TokenDetail {
                layers: vec![],
                ..detail.clone()
            }),
        ),
        (Detail::Layers, Some(detail)),
    ];
    for (level, expected) in wanted {
        let line = line::RoundLine::new(RunId(0), &round.settings, round.clone(), level);
        assert_eq!(line.drafted[0].detail.as_deref(), expected.as_ref());
    }
}

/// A controller may change exit layer and speculations in every round. The changes are recorded with the round, and the
/// user's settings do not change.
#[test]
fn changes_by_a_controller_are_recorded_with_the_round() {
    let run = RunId(0);
    let settings = Settings {
        controller: Controller::AdaptiveSpeculations,
        ..Settings::default()
    };
    let begin = Entry::Run {
        run,
        prompt: Prompt::Text(String::new()),
        settings: settings.clone(),
    };
    let round = sample().rounds().next().unwrap().clone();
    let moved = (1..9).map(|k| {
        let settings = Settings {
            num_speculations: k,
            ..settings.clone()
        };
        Entry::Round {
            run,
            round: Box::new({
                let mut made = round.clone();
                made.settings = settings.into();
                made.controller_note = Some("all accepted".into());
                made
            }),
        }
    });
    let (_folder, journal) = journal_of([begin].into_iter().chain(moved).collect());
    let loaded = load(journal.path()).unwrap();
    assert_eq!(loaded.settings, settings);
    let ks: Vec<usize> = loaded
        .rounds()
        .map(|round| round.settings.num_speculations)
        .collect();
    assert_eq!(ks, Vec::from_iter(1..9));
    let file = std::fs::read_to_string(journal.path()).unwrap();
    assert_eq!(file.matches("\"kind\":\"settings\"").count(), 1);
}
