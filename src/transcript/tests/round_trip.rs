use super::*;
use crate::engine::decode::Stats;

fn saved_and_loaded(session: &Session) -> Session {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("saved.jsonl");
    save(session, &path, false).unwrap();
    load(&path).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The file equals the session in memory, both open and closed.
    #[test]
    fn a_journal_reads_back(entries in any_entries()) {
        let (_folder, journal) = journal_of(entries);
        let (session, path) = (journal.session().clone(), journal.path().to_owned());
        if !journal.is_written() {
            prop_assert!(session.turns.is_empty() && !path.exists());
            return Ok(());
        }
        let under_way = load(&path).unwrap();
        prop_assert_eq!(&under_way, &session);
        drop(journal);
        prop_assert_eq!(&load(&path).unwrap(), &session);
        prop_assert_eq!(Summary::of(&path).totals, session.totals());
    }

    #[test]
    fn a_saved_session_loads_with_the_same_statistics(session in any_session()) {
        let loaded = saved_and_loaded(&session);
        prop_assert_eq!(&loaded, &session);
        prop_assert_eq!(Stats::of(loaded.rounds()), Stats::of(session.rounds()));
        prop_assert_eq!(loaded.messages(), session.messages());
    }

    /// Continuing after a resume, or as a copy, keeps the existing content.
    #[test]
    fn resumed_and_adopted_sessions_continue(before in any_entries(), after in any_entries()) {
        let (folder, journal) = journal_of(before);
        let (written, path) = (journal.is_written(), journal.path().to_owned());
        let session = journal.session().clone();
        drop(journal);
        let store = Store::at(folder.path());
        let mut journals = vec![super::super::Journal::adopt(&store, session.clone())];
        if written {
            let (resumed, notes) = super::super::Journal::resume(&path).unwrap();
            prop_assert!(notes.is_empty());
            prop_assert_eq!(resumed.session(), &session);
            journals.push(resumed);
        }
        for mut journal in journals {
            journal.set_detail(Detail::Layers);
            after.iter().for_each(|entry| journal.append_at(entry.clone(), 5).unwrap());
            if journal.is_written() {
                let (path, expected) = (journal.path().to_owned(), journal.session().clone());
                journal.close().unwrap();
                prop_assert_eq!(load(&path).unwrap(), expected);
            }
        }
    }
}

#[test]
fn prompts_are_stored_by_reference_and_restored() {
    let session = sample();
    assert_eq!(session.turns[1].runs[0].prompt, PromptForm::Conversation);
    let Some(Prompt::Chat(messages)) = session.prompt_of(1, 0) else {
        panic!("the prompt is not a chat")
    };
    let said: Vec<&str> = messages
        .iter()
        .map(|message| message.content.as_str())
        .collect();
    assert_eq!(said, ["Be brief.", "Which colour is the sky?"]);
    assert_eq!(session.prompt_of(1, 1), None);
    assert_eq!(session.prompt_of(9, 0), None);
}

#[test]
fn a_continued_answer_keeps_its_prompt() {
    let begin = [Entry::User("Once".into()), Entry::Assistant(" upon".into())];
    let (_folder, mut journal) = journal_of(begin.into());
    let prompt = Prompt::Text("Once upon".into());
    let entry = Entry::Run {
        run: RunId(0),
        prompt: prompt.clone(),
        settings: Settings::default(),
    };
    journal.append(entry).unwrap();
    assert_eq!(journal.session().turns.len(), 2);
    assert_eq!(
        journal.session().turns[1].runs[0].prompt,
        PromptForm::Completion
    );
    assert_eq!(journal.session().prompt_of(1, 0), Some(prompt));
}

#[test]
fn a_stop_string_is_cut_from_the_text() {
    let mut session = sample();
    let end = RunEnd::finished(StopReason::StopString("is <b".into()), &Stats::default(), 0);
    session.turns[1].runs[0].end = Some(end);
    assert_eq!(session.turns[1].content(), "The sky ");
}

#[test]
fn settings_are_written_only_when_they_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.jsonl");
    save(&sample(), &path, false).unwrap();
    let file = std::fs::read_to_string(&path).unwrap();
    assert_eq!(file.matches("\"kind\":\"settings\"").count(), 1);
    assert_eq!(file.matches("\"kind\":\"round\"").count(), 3);
    assert!(
        !file.contains('\x1b'),
        "a journal is safe to show on a terminal"
    );
}
