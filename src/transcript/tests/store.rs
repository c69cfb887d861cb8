use super::*;
use crate::transcript::Journal;

fn store_with(texts: &[&str]) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path());
    for text in texts {
        let mut journal = Journal::begin(&store);
        journal.append(Entry::User((*text).into())).unwrap();
        journal.close().unwrap();
    }
    (folder, store)
}

#[test]
fn the_list_shows_all_newest_first_and_names_what_is_broken() {
    let (_folder, store) = store_with(&["first", "second"]);
    std::fs::write(store.path_of("99999999-broken"), b"{\"format\":\"other\",\"schema\":1}\n").unwrap();
    let list = store.list().unwrap();
    let titles: Vec<&str> = list.iter().map(|summary| summary.totals.title.as_str()).collect();
    assert_eq!(titles, ["", "second", "first"]);
    assert!(list[0].fault.as_deref().unwrap().contains("not a skiplens journal"));
    assert!(list[1].fault.is_none() && list[1].created_ms > 0);
}

#[test]
fn no_folder_is_an_empty_list() {
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
    assert!(matches!(store.delete(&id), Err(Error::NotFound(_))));
    store.restore(&id).unwrap();
    assert_eq!(store.list().unwrap()[0].totals.title, "hello");
}

#[test]
fn the_trash_forgets_what_was_deleted_long_ago() {
    let (_folder, store) = store_with(&["old", "new"]);
    let [new, old] = [0, 1].map(|at| store.list().unwrap()[at].id.clone());
    let trashed = store.delete(&old).unwrap();
    let hour = std::time::Duration::from_secs(3600);
    let long_ago = std::time::SystemTime::now() - TRASH_KEEPS - hour;
    std::fs::File::options().write(true).open(&trashed).unwrap().set_modified(long_ago).unwrap();
    // An old session that is deleted now has all its days before it.
    let path = store.find(&new).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    store.delete(&new).unwrap();
    let bytes = trashed.metadata().unwrap().len();
    assert_eq!(store.empty_trash(TRASH_KEEPS).unwrap(), Removed { sessions: 1, bytes });
    assert_eq!(store.list_trash().unwrap()[0].id, new);
    assert_eq!(store.empty_trash(std::time::Duration::ZERO).unwrap().sessions, 1);
    assert_eq!(store.empty_trash(std::time::Duration::ZERO).unwrap(), Removed::default());
}

#[test]
fn names_may_be_short_where_they_fit_one() {
    let (_folder, store) = store_with(&["a", "b"]);
    let list = store.list().unwrap();
    assert_eq!(store.find(&list[1].id).unwrap(), list[1].path);
    assert_eq!(store.find("last").unwrap(), list[0].path);
    assert!(matches!(store.find("20"), Err(Error::Ambiguous { count: 2, .. })));
    assert!(matches!(store.find("nothing"), Err(Error::NotFound(_))));
    assert!(matches!(store.find(""), Err(Error::NotFound(_))));
}

#[test]
fn the_last_session_is_the_one_written_to_last_whatever_its_name() {
    let (_folder, store) = store_with(&["old", "new"]);
    save(&sample(), &store.path_of("zebra"), false).unwrap();
    assert_eq!(store.list().unwrap()[2].id, "zebra", "it began long ago");
    let old = store.list().unwrap()[1].path.clone();
    let soon = std::time::SystemTime::now() + std::time::Duration::from_secs(9);
    std::fs::File::options().write(true).open(&old).unwrap().set_modified(soon).unwrap();
    assert_eq!(store.find("last").unwrap(), old);
}

#[test]
fn searches_find_titles_and_text_whatever_the_case() {
    let (_folder, store) = store_with(&["The İstanbul bridge", "nothing here", "x\n\nÄpfel und Birnen"]);
    let found = |query: &str| store.search(query).unwrap().map(|hit| hit.excerpt).collect::<Vec<_>>();
    assert_eq!(found("BRIDGE"), [""]);
    assert_eq!(found("äpfel"), ["x⏎⏎äpfel und birnen"]);
    assert!(found("absent").is_empty());
}

#[test]
fn saving_replaces_only_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.jsonl");
    save(&sample(), &path, false).unwrap();
    assert!(matches!(save(&Session::default(), &path, false), Err(Error::Exists { .. })));
    assert_eq!(load(&path).unwrap(), sample());
    let renamed = Session { title: "other".into(), ..sample() };
    save(&renamed, &path, true).unwrap();
    assert_eq!(load(&path).unwrap(), renamed);
    assert!(save(&sample(), folder.path(), true).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside");
}
