use super::*;
use crate::transcript::Journal;

/// Start of the first session of [`store_with`]. The others follow at intervals of a [`MINUTE`].
const BEGUN: u64 = 1_750_000_000_000;
const MINUTE: u64 = 60_000;

/// Sessions created and written one minute apart. File times are too coarse to order files that a test creates in a
/// row.
fn store_with(texts: &[&str]) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path());
    for (text, at) in texts.iter().zip((BEGUN..).step_by(MINUTE as usize)) {
        let mut journal =
            Journal::adopt(&store, Session::new(line::Header::new(String::new(), at)));
        journal.append_at(Entry::User((*text).into()), at).unwrap();
        let path = journal.path().to_owned();
        journal.close().unwrap();
        written_at(&path, at);
    }
    (folder, store)
}

fn written_at(path: &std::path::Path, ms: u64) {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(ms);
    std::fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(at)
        .unwrap();
}

/// Version 0.1.0 counted questions and answers as turns of their own.
#[test]
fn turns_of_older_journals_are_counted_as_now() {
    let of = |text: &str| match serde_json::from_str(text).unwrap() {
        line::JournalLine::Summary(totals) => (totals.turns, totals.messages),
        other => panic!("{other:?}"),
    };
    assert_eq!(of(r#"{"kind":"summary","turns":3}"#), (2, 3));
    let totals = line::Totals {
        turns: 3,
        messages: 5,
        ..line::Totals::default()
    };
    let written = serde_json::to_string(&line::JournalLine::Summary(totals)).unwrap();
    assert_eq!(of(&written), (3, 5));
}

#[test]
fn the_list_is_newest_first_and_reports_damaged_files() {
    let (_folder, store) = store_with(&["first", "second"]);
    let broken = store.path_of("99999999-broken");
    std::fs::write(&broken, b"{\"format\":\"other\",\"schema\":1}\n").unwrap();
    written_at(&broken, BEGUN + 2 * MINUTE);
    let list = store.list().unwrap();
    let titles: Vec<&str> = list
        .iter()
        .map(|summary| summary.totals.title.as_str())
        .collect();
    assert_eq!(titles, ["", "second", "first"]);
    assert!(
        list[0]
            .fault
            .as_deref()
            .unwrap()
            .contains("not a skiplens journal")
    );
    assert_eq!(
        (&list[1].fault, list[1].created_ms),
        (&None, BEGUN + MINUTE)
    );
    written_at(&broken, BEGUN + MINUTE / 2);
    assert!(
        store.list().unwrap()[1].fault.is_some(),
        "a damaged file is sorted by its modification time"
    );
}

#[test]
fn sessions_with_the_same_time_are_listed_by_id() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path());
    std::fs::create_dir_all(store.sessions()).unwrap();
    ["b", "c", "a"]
        .iter()
        .for_each(|id| save(&sample(), &store.path_of(id), false).unwrap());
    let ids: Vec<String> = store
        .list()
        .unwrap()
        .into_iter()
        .map(|summary| summary.id)
        .collect();
    assert_eq!(ids, ["c", "b", "a"]);
}

/// Even within a millisecond, or if the clock is set back.
#[test]
fn ids_sort_in_order_of_creation() {
    let store = Store::at("/nonexistent");
    let now = clock::now_ms();
    let ids: Vec<String> = [now, now, now - 5000, now, now + 1]
        .map(|now| store.new_id(now))
        .into();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
}

#[test]
fn an_empty_folder_has_no_last_session() {
    let (_folder, store) = store_with(&[]);
    let told = store.find("last").unwrap_err().to_string();
    assert!(
        told.starts_with("no sessions in ") && told.ends_with("sessions"),
        "{told}"
    );
}

#[test]
fn a_missing_folder_is_an_empty_list() {
    assert_eq!(Store::at("/nonexistent/skiplens").list().unwrap(), vec![]);
}

#[test]
fn renamed_sessions_keep_their_text() {
    let (_folder, store) = store_with(&["hello"]);
    let path = store.find("last").unwrap();
    store.rename(&path, " The greeting ").unwrap();
    assert_eq!(Summary::of(&path).totals.title, "The greeting");
    assert_eq!(store.load("last").unwrap().turns[0].text, "hello");
}

#[test]
fn deleting_can_be_undone() {
    let (_folder, store) = store_with(&["hello"]);
    let id = store.list().unwrap()[0].id.clone();
    let trashed = store.delete(&id).unwrap();
    assert!(trashed.exists() && store.list().unwrap().is_empty());
    assert_eq!(store.list_trash().unwrap().len(), 1);
    assert!(matches!(store.delete(&id), Err(Error::NotFound { .. })));
    store.restore(&id).unwrap();
    assert_eq!(store.list().unwrap()[0].totals.title, "hello");
}

#[test]
fn emptying_the_trash_removes_only_old_sessions() {
    let (_folder, store) = store_with(&["old", "new"]);
    let [new, old] = [0, 1].map(|at| store.list().unwrap()[at].id.clone());
    let trashed = store.delete(&old).unwrap();
    let long_ago = clock::now_ms() - TRASH_KEEPS.as_millis() as u64 - 60 * MINUTE;
    written_at(&trashed, long_ago);
    // For an old session, the time in the trash starts with its deletion.
    written_at(&store.find(&new).unwrap(), long_ago);
    store.delete(&new).unwrap();
    let bytes = trashed.metadata().unwrap().len();
    assert_eq!(
        store.empty_trash(TRASH_KEEPS).unwrap(),
        Removed { sessions: 1, bytes }
    );
    assert_eq!(store.list_trash().unwrap()[0].id, new);
    assert_eq!(
        store
            .empty_trash(std::time::Duration::ZERO)
            .unwrap()
            .sessions,
        1
    );
    assert_eq!(
        store.empty_trash(std::time::Duration::ZERO).unwrap(),
        Removed::default()
    );
}

#[test]
fn sessions_are_found_by_unambiguous_names() {
    let (_folder, store) = store_with(&["a", "b"]);
    let list = store.list().unwrap();
    assert_eq!(store.find(&list[1].id).unwrap(), list[1].path);
    assert_eq!(store.find("last").unwrap(), list[0].path);
    assert!(matches!(
        store.find("20"),
        Err(Error::Ambiguous { count: 2, .. })
    ));
    assert!(matches!(store.find("nothing"), Err(Error::NotFound { .. })));
    assert!(matches!(store.find(""), Err(Error::NotFound { .. })));
    let told = store.load("/nowhere/s.jsonl").unwrap_err().to_string();
    assert!(
        told.starts_with("/nowhere/s.jsonl: ") && !told.contains("session"),
        "a path is not a name: {told}"
    );
}

#[test]
fn the_last_session_is_the_most_recently_written() {
    let (_folder, store) = store_with(&["old", "new"]);
    save(&sample(), &store.path_of("zebra"), false).unwrap();
    assert_eq!(store.list().unwrap()[2].id, "zebra", "it is the oldest");
    let old = store.list().unwrap()[1].path.clone();
    assert_eq!(store.find("last").unwrap(), store.path_of("zebra"));
    written_at(&old, clock::now_ms() + MINUTE);
    assert_eq!(store.find("last").unwrap(), old);
}

#[test]
fn search_ignores_the_case_of_titles_and_text() {
    let (_folder, store) = store_with(&[
        "The İstanbul bridge",
        "nothing here",
        "x\n\nÄpfel und Birnen",
    ]);
    let found = |query: &str| {
        store
            .search(query)
            .unwrap()
            .map(|hit| hit.excerpt)
            .collect::<Vec<_>>()
    };
    assert_eq!(found("BRIDGE"), [""]);
    assert_eq!(found("äpfel"), ["x⏎⏎Äpfel und Birnen"]);
    assert!(found("absent").is_empty());
    let ids = |list: Vec<Summary>| {
        list.into_iter()
            .map(|summary| summary.id)
            .collect::<Vec<_>>()
    };
    let all = store.search("").unwrap().map(|hit| hit.summary).collect();
    assert_eq!(
        ids(all),
        ids(store.list().unwrap()),
        "all sessions, in the order of the list"
    );
}

/// Excerpts keep the case of the text and consist of whole words. An ellipsis marks text that is cut off.
#[test]
fn a_hit_is_shown_with_its_context() {
    let long = "İİİ much is said before it comes to the point, and then The FOX jumps; after it there is again much said";
    let text = format!("a title\n{long}");
    let (_folder, store) = store_with(&[&text]);
    let found = |query: &str| {
        store
            .search(query)
            .unwrap()
            .map(|hit| hit.excerpt)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        found("the fox"),
        ["…before it comes to the point, and then The FOX jumps; after it there is again much…"]
    );
    assert_eq!(
        found("again much said"),
        ["…then The FOX jumps; after it there is again much said"]
    );
    assert_eq!(
        found("İİİ"),
        ["a title⏎İİİ much is said before it comes to the…"]
    );
}

#[test]
fn saving_replaces_only_if_requested() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.jsonl");
    save(&sample(), &path, false).unwrap();
    assert!(matches!(
        save(&Session::default(), &path, false),
        Err(Error::Exists { .. })
    ));
    assert_eq!(load(&path).unwrap(), sample());
    let renamed = Session {
        title: "other".into(),
        ..sample()
    };
    save(&renamed, &path, true).unwrap();
    assert_eq!(load(&path).unwrap(), renamed);
    assert!(save(&sample(), folder.path(), true).is_err());
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "no temporary file is left"
    );
}
