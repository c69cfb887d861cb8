use super::*;
use crate::engine::decode::{
    ClosingToken, LayerChoice, Origin, Round, RoundTokens, Stats, StopReason,
};
use crate::engine::prompt::{Message, Role};
use crate::engine::worker::{ConversationId, ModelEvent, RunEvent, Task};
use std::sync::Arc;

fn recorder(folder: &Path) -> Recorder {
    Recorder::with_store(Store::at(folder), Detail::Layers)
}

fn say(role: Role, content: &str) -> Message {
    Message {
        role,
        content: content.into(),
    }
}

fn ask(recorder: &mut Recorder, run: u64, messages: Vec<Message>) {
    let command = Command::Start {
        run: RunId(run),
        settings: Arc::default(),
        conversation: ConversationId::default(),
        task: Task::Generate(Prompt::Chat(messages)),
    };
    recorder.command(&command).unwrap();
}

fn answer(recorder: &mut Recorder, run: u64, text: &str) {
    let last = ClosingToken::new(1, text, Origin::Plain, 0.5);
    let tokens = RoundTokens::chain(Vec::new(), 0, Some(last));
    let round = {
        let mut made = Round::new(0, 5, Settings::default(), tokens);
        made.verify_seconds = 0.1;
        made
    };
    recorder
        .event(&Event::Run(RunId(run), RunEvent::Round(Box::new(round))))
        .unwrap();
    let (reason, stats) = (StopReason::Eos, Stats::default());
    recorder
        .event(&Event::Run(
            RunId(run),
            RunEvent::Finished { reason, stats },
        ))
        .unwrap();
}

fn texts(recorder: &Recorder) -> Vec<String> {
    recorder
        .journal
        .session()
        .turns
        .iter()
        .map(|turn| turn.content())
        .collect()
}

#[test]
fn the_journal_follows_a_conversation_with_edits() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = recorder(folder.path());
    let hello = say(Role::User, "hello");
    ask(
        &mut recorder,
        0,
        vec![say(Role::System, "be kind"), hello.clone()],
    );
    answer(&mut recorder, 0, "hi");
    let more = vec![
        say(Role::System, "be kind"),
        hello.clone(),
        say(Role::Assistant, "hi"),
        say(Role::User, "more"),
    ];
    ask(&mut recorder, 1, more);
    answer(&mut recorder, 1, "well");
    assert_eq!(texts(&recorder), ["hello", "hi", "more", "well"]);
    ask(&mut recorder, 2, vec![hello]);
    answer(&mut recorder, 1, "late");
    answer(&mut recorder, 2, "hey");
    assert_eq!(texts(&recorder), ["hello", "hey"]);
    assert_eq!(recorder.journal.session().system(), "");

    let path = recorder.journal.path().to_owned();
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    recorder.close().unwrap();
    let mut again = self::recorder(folder.path());
    let shown = again.resume(&name).unwrap();
    let said: Vec<String> = shown.turns.iter().map(|turn| turn.content()).collect();
    assert_eq!(said, ["hello", "hey"]);
    ask(
        &mut again,
        0,
        vec![
            say(Role::User, "hello"),
            say(Role::Assistant, "hey"),
            say(Role::User, "on"),
        ],
    );
    answer(&mut again, 0, "!");
    assert_eq!(texts(&again), ["hello", "hey", "on", "!"]);
}

#[test]
fn lens_rows_are_recorded_only_with_layer_detail() {
    let folder = tempfile::tempdir().unwrap();
    for (detail, kept) in [(Detail::Layers, true), (Detail::Candidates, false)] {
        let mut recorder = Recorder::with_store(Store::at(folder.path()), detail);
        ask(&mut recorder, 3, vec![say(Role::User, "hello")]);
        answer(&mut recorder, 3, "hi");
        let choice = LayerChoice {
            layer: 1,
            id: 0,
            text: "hi".into(),
            p: 0.5,
        };
        let rows = vec![LensRow {
            position: 0,
            id: 0,
            layers: vec![choice],
        }];
        let costs = CostModel {
            layers: 1,
            ..CostModel::default()
        };
        let event = |run| {
            Event::Run(
                RunId(run),
                RunEvent::Lens {
                    rows: rows.clone(),
                    of: 1,
                    costs: costs.clone(),
                },
            )
        };
        recorder.event(&event(2)).unwrap();
        recorder.event(&event(3)).unwrap();
        let path = recorder.path().to_owned();
        recorder.close().unwrap();
        let lens = transcript::load(&path)
            .unwrap()
            .runs()
            .next()
            .unwrap()
            .lens
            .clone();
        assert_eq!(lens.map(|lens| lens.rows), kept.then(|| rows.clone()));
    }
}

#[test]
fn the_current_session_can_be_renamed_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = recorder(folder.path());
    recorder.model = Some(ModelRecord {
        name: "m".into(),
        ..ModelRecord::default()
    });
    ask(&mut recorder, 0, vec![say(Role::User, "hello")]);
    answer(&mut recorder, 0, "hi");
    let path = recorder.path().to_owned();
    let id = path.file_stem().unwrap().to_string_lossy().into_owned();
    recorder.rename(&path, "Greeting").unwrap();
    assert_eq!(recorder.store().list().unwrap()[0].totals.title, "Greeting");
    assert_eq!(
        recorder.resume(&id).unwrap().turns.len(),
        2,
        "the current session stays open"
    );
    assert_eq!(recorder.read("last").unwrap().title, "Greeting");
    assert!(recorder.delete(&id).unwrap());
    ask(&mut recorder, 1, vec![say(Role::User, "again")]);
    answer(&mut recorder, 1, "yes");
    assert_eq!(
        recorder.journal.session().model().unwrap().name,
        "m",
        "the new session has the model"
    );
    recorder.restore(&id).unwrap();
    assert!(!recorder.delete(&id).unwrap());
    assert_eq!(texts(&recorder), ["again", "yes"]);
}

#[test]
fn a_saved_session_resumes_from_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = recorder(folder.path());
    ask(&mut recorder, 0, vec![say(Role::User, "hello")]);
    answer(&mut recorder, 0, "hi");
    let path = folder.path().join("mine.jsonl");
    recorder.save(path.to_str().unwrap()).unwrap();
    let shown = recorder.resume(path.to_str().unwrap()).unwrap();
    assert_eq!(shown.turns[1].content(), "hi");
    assert_ne!(recorder.journal.path(), path);
    let page = folder.path().join("mine.html");
    recorder.save(page.to_str().unwrap()).unwrap();
    assert!(std::fs::read_to_string(page).unwrap().contains("<html"));
}

/// A session is not written under the extension of another program's format.
#[test]
fn formats_of_other_programs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = recorder(folder.path());
    ask(&mut recorder, 0, vec![say(Role::User, "hello")]);
    answer(&mut recorder, 0, "hi");
    for name in ["chat.pdf", "chat.txt"] {
        let path = folder.path().join(name);
        let fault = recorder.save(path.to_str().unwrap()).unwrap_err();
        assert!(
            matches!(fault, transcript::Error::Format { .. }),
            "{name}: {fault}"
        );
        assert!(!path.exists());
    }
    // Other dots are part of a name.
    for name in ["chat.JSONL", "chat.bak", "v1.5", "to Mr. Smith"] {
        recorder
            .save(folder.path().join(name).to_str().unwrap())
            .unwrap();
    }
}

/// Saving replaces files that this process saved, but no file of the user and no other session. Saving to the current
/// journal does not replace it: it already contains the session.
#[test]
fn saving_replaces_only_files_saved_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = recorder(folder.path());
    ask(&mut recorder, 0, vec![say(Role::User, "hello")]);
    answer(&mut recorder, 0, "hi");
    let own = recorder.path().to_owned();
    let notes = folder.path().join("notes.md");
    std::fs::write(&notes, "mine").unwrap();
    transcript::save(
        &Session::default(),
        &recorder.store().path_of("other"),
        false,
    )
    .unwrap();
    for name in [notes.to_str().unwrap(), "other"] {
        assert!(
            matches!(recorder.save(name), Err(transcript::Error::Exists { .. })),
            "{name}"
        );
    }
    for name in [
        own.to_str().unwrap(),
        own.file_stem().unwrap().to_str().unwrap(),
    ] {
        assert_eq!(recorder.save(name).unwrap(), own);
    }
    assert_eq!(std::fs::read_to_string(&notes).unwrap(), "mine");
    let page = folder.path().join("page.html");
    for question in ["more", "and more"] {
        let said = recorder.journal.session().messages();
        ask(
            &mut recorder,
            1,
            [said, vec![say(Role::User, question)]].concat(),
        );
        answer(&mut recorder, 1, "yes");
        assert_eq!(recorder.save(page.to_str().unwrap()).unwrap(), page);
        assert!(std::fs::read_to_string(&page).unwrap().contains(question));
    }
    recorder.save("evening").unwrap();
    let kept = recorder.store().load("evening").unwrap();
    assert_eq!(
        (kept.title.as_str(), kept.turns.len()),
        ("evening", 6),
        "the copy has its name as title"
    );
    assert_eq!(recorder.journal.session().title, "");
    recorder.close().unwrap();
    assert_eq!(transcript::load(&own).unwrap().turns.len(), 6);
}

/// Clearing a chat, even during an answer, keeps its session in the list and starts a new one.
#[test]
fn clearing_a_chat_keeps_it_and_starts_a_new_session() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = recorder(folder.path());
    recorder.start_new_session().unwrap();
    ask(&mut recorder, 0, vec![say(Role::User, "hello")]);
    answer(&mut recorder, 0, "hi");
    let said = recorder.journal.session().messages();
    ask(
        &mut recorder,
        1,
        [said, vec![say(Role::User, "more")]].concat(),
    );
    let first = recorder.path().to_owned();
    recorder.start_new_session().unwrap();
    answer(&mut recorder, 1, "late");
    assert!(!recorder.path().exists(), "there is no message yet");
    ask(&mut recorder, 2, vec![say(Role::User, "hello")]);
    answer(&mut recorder, 2, "again");
    assert_eq!(texts(&recorder), ["hello", "again"]);
    let kept = transcript::load(&first).unwrap();
    assert_eq!(
        kept.turns
            .iter()
            .map(|turn| turn.content())
            .collect::<Vec<_>>(),
        ["hello", "hi", "more", ""]
    );
    assert_eq!(
        kept.runs().last().unwrap().stop(),
        Some(&StopReason::Cancelled)
    );
    assert_eq!(recorder.store().list().unwrap().len(), 2);
    let id = first.file_stem().unwrap().to_string_lossy().into_owned();
    assert_eq!(
        recorder.resume(&id).unwrap().turns.len(),
        4,
        "it can be resumed"
    );
}

/// If the disk is full, clearing loses nothing: all lines are written once there is space.
#[test]
fn clearing_with_a_full_disk_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    std::fs::write(&root, "in the way").unwrap();
    let mut recorder = recorder(&root);
    let command = |run, text: &str| {
        let prompt = Prompt::Chat(vec![say(Role::User, text)]);
        Command::Start {
            run: RunId(run),
            settings: Arc::default(),
            conversation: ConversationId::default(),
            task: Task::Generate(prompt),
        }
    };
    assert!(recorder.command(&command(0, "first")).is_err());
    drop(recorder.start_new_session());
    std::fs::remove_file(&root).unwrap();
    recorder.command(&command(1, "second")).unwrap();
    let file = std::fs::read_to_string(recorder.path()).unwrap();
    assert!(file.contains("first") && file.contains("second"), "{file}");
}

fn take_up(folder: &Path, path: &Path) -> (Recorder, Session) {
    let mut recorder = recorder(folder);
    let id = path.file_stem().unwrap().to_string_lossy().into_owned();
    let session = recorder.resume(&id).unwrap();
    (recorder, session)
}

/// A session with one answer, closed.
fn answered(folder: &Path) -> PathBuf {
    let mut recorder = recorder(folder);
    ask(&mut recorder, 0, vec![say(Role::User, "hello")]);
    answer(&mut recorder, 0, "hi");
    let path = recorder.path().to_owned();
    recorder.close().unwrap();
    path
}

/// Changes after the last answer, or in a session that is opened only for them, are kept.
#[test]
fn changes_after_the_last_answer_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = answered(folder.path());
    let settings = Settings {
        exit_layer: 17,
        stop_strings: vec!["then".into()],
        ..Settings::default()
    };
    let entries = [
        Entry::Settings(settings.clone()),
        Entry::System("be kind".into()),
        Entry::Mode(transcript::Mode::Completion),
    ];
    for entry in entries {
        let (mut recorder, _) = take_up(folder.path(), &path);
        recorder.note(entry).unwrap();
        recorder.close().unwrap();
    }
    let (mut recorder, session) = take_up(folder.path(), &path);
    assert_eq!(
        (&session.settings, session.system()),
        (&settings, "be kind")
    );
    assert_eq!(session.current_mode(), transcript::Mode::Completion);
    assert_eq!(
        session.mode_of(0),
        transcript::Mode::Chat,
        "the mode of its run"
    );
    ask(&mut recorder, 0, vec![say(Role::User, "hello")]);
    assert_eq!(
        recorder.journal.session().current_mode(),
        transcript::Mode::Chat
    );
}

/// Before the first message, changes are not recorded one by one: every step of a slider would add a useless line.
#[test]
fn changes_before_the_first_prompt_are_recorded_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = recorder(folder.path());
    for exit_layer in 1..20 {
        let settings = Settings {
            exit_layer,
            ..Settings::default()
        };
        recorder.note(Entry::Settings(settings)).unwrap();
    }
    assert!(!recorder.path().exists());
    ask(&mut recorder, 0, vec![say(Role::User, "hello")]);
    let file = std::fs::read_to_string(recorder.path()).unwrap();
    assert_eq!(file.matches("\"kind\":\"settings\"").count(), 1, "{file}");
}

fn loaded(name: &str) -> Event {
    let config = crate::engine::config::LlamaConfig {
        vocab_size: 8,
        hidden_size: 8,
        intermediate_size: 8,
        num_layers: 2,
        num_heads: 1,
        num_kv_heads: 1,
        head_dim: 8,
        rms_norm_eps: 1e-5,
        rope_theta: 1e4,
        rope_scaling: crate::engine::config::RopeScaling::None,
        context_length: 64,
        tie_word_embeddings: true,
    };
    Event::Model(ModelEvent::Loaded {
        fingerprint: None,
        info: Box::new(crate::engine::loaded_model::ModelInfo {
            name: name.into(),
            path: "/nowhere".into(),
            config,
            dtype: "q8_0".into(),
            device: "cpu".into(),
            device_reason: None,
            exits_path: None,
            adapters: Vec::new(),
            borrowed_adapters: Vec::new(),
            adapters_fault: None,
            weight_bytes: 1,
            has_chat_template: true,
            chat_template_fault: None,
            defaults: Default::default(),
        }),
    })
}

fn names(session: &Session) -> Vec<&str> {
    session
        .models
        .iter()
        .map(|model| model.name.as_str())
        .collect()
}

/// A model that replaces another is recorded at once. The first model is recorded with its first answer, because the
/// user may only be reading the session.
#[test]
fn a_model_switch_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = recorder(folder.path());
    recorder.event(&loaded("a")).unwrap();
    ask(&mut recorder, 0, vec![say(Role::User, "hello")]);
    answer(&mut recorder, 0, "hi");
    recorder.event(&loaded("a")).unwrap();
    assert_eq!(names(recorder.journal.session()), ["a"]);
    recorder.event(&loaded("b")).unwrap();
    let path = recorder.path().to_owned();
    recorder.close().unwrap();
    assert_eq!(names(&transcript::load(&path).unwrap()), ["a", "b"]);

    let before = std::fs::read(&path).unwrap();
    let (mut again, _) = take_up(folder.path(), &path);
    again.event(&loaded("c")).unwrap();
    again.close().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

/// A hash that is not known yet does not make it a different model.
#[test]
fn a_model_with_an_unknown_hash_is_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = recorder(folder.path());
    let model = |hash: Option<&str>| ModelRecord {
        name: "m".into(),
        hash: hash.map(str::to_owned),
        ..ModelRecord::default()
    };
    first.model = Some(model(Some("1234")));
    ask(&mut first, 0, vec![say(Role::User, "hello")]);
    answer(&mut first, 0, "hi");
    let path = first.path().to_owned();
    first.close().unwrap();
    let (mut again, _) = take_up(folder.path(), &path);
    again.model = Some(model(None));
    let said = [
        say(Role::User, "hello"),
        say(Role::Assistant, "hi"),
        say(Role::User, "more"),
    ];
    ask(&mut again, 0, said.to_vec());
    assert_eq!(again.journal.session().models, [model(Some("1234"))]);
    assert!(!model(Some("1")).is(&model(Some("2"))));
}

/// A name used for saving finds that session, or is rejected.
#[test]
fn a_saved_session_is_found_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = recorder(folder.path());
    ask(&mut recorder, 0, vec![say(Role::User, "hello")]);
    answer(&mut recorder, 0, "hi");
    let fault = recorder.save("last").unwrap_err();
    assert!(
        matches!(&fault, transcript::Error::Reserved { name } if name == "last"),
        "{fault}"
    );
    for name in [
        "evening",
        "Last",
        "lastly",
        "2",
        ".",
        "..",
        ".hidden",
        "two words",
        "ü",
        "-x",
        "~",
    ] {
        let path = recorder.save(name).unwrap();
        assert_eq!(recorder.find(name).unwrap(), path, "{name:?}");
        assert_eq!(recorder.read(name).unwrap().turns.len(), 2, "{name:?}");
    }
}

/// A saved copy that another program has changed is not overwritten.
#[test]
fn a_copy_changed_elsewhere_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = recorder(folder.path());
    ask(&mut recorder, 0, vec![say(Role::User, "hello")]);
    answer(&mut recorder, 0, "hi");
    let copy = recorder.save("evening").unwrap();
    recorder.store().rename(&copy, "another title").unwrap();
    let fault = recorder.save("evening").unwrap_err();
    assert!(
        matches!(fault, transcript::Error::Changed { .. }),
        "{fault}"
    );
    assert_eq!(transcript::load(&copy).unwrap().title, "another title");
    std::fs::remove_file(&copy).unwrap();
    recorder.save("evening").unwrap();
}

/// A link among the sessions may point anywhere: its target is read, but never written, touched or moved.
#[cfg(unix)]
#[test]
fn the_target_of_a_link_is_never_modified() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("elsewhere.jsonl");
    std::fs::rename(answered(folder.path()), &elsewhere).unwrap();
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    std::fs::File::options()
        .write(true)
        .open(&elsewhere)
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
    let before = std::fs::read(&elsewhere).unwrap();
    let mut recorder = recorder(folder.path());
    let link = recorder.store().path_of("link");
    std::os::unix::fs::symlink("../elsewhere.jsonl", &link).unwrap();

    assert_eq!(recorder.resume("link").unwrap().turns.len(), 2);
    let own = recorder.path().to_owned();
    assert_ne!(own, link, "it continues in a copy");
    let said = [
        say(Role::User, "hello"),
        say(Role::Assistant, "hi"),
        say(Role::User, "more"),
    ];
    ask(&mut recorder, 0, said.to_vec());
    answer(&mut recorder, 0, "yes");
    assert_eq!(transcript::load(&own).unwrap().turns.len(), 4);
    assert!(matches!(
        recorder.rename(&link, "x"),
        Err(transcript::Error::Linked { .. })
    ));

    recorder.delete("link").unwrap();
    assert!(!link.is_symlink());
    let store = recorder.store().clone();
    assert_eq!(
        store.list_trash().unwrap()[0].totals.turns,
        1,
        "the link still works"
    );
    assert_eq!(
        store.empty_trash(transcript::TRASH_KEEPS).unwrap().sessions,
        0
    );
    recorder.restore("link").unwrap();
    assert!(link.is_symlink());
    recorder.delete("link").unwrap();
    store.empty_trash(std::time::Duration::ZERO).unwrap();

    assert_eq!(std::fs::read(&elsewhere).unwrap(), before);
    assert_eq!(elsewhere.metadata().unwrap().modified().unwrap(), long_ago);
}

/// What the model no longer sees is in the journal, while the conversation stays whole.
#[test]
fn turns_left_out_for_want_of_room_are_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = recorder(folder.path());
    ask(&mut recorder, 0, vec![say(Role::User, "one")]);
    answer(&mut recorder, 0, "1");
    let more = vec![
        say(Role::User, "one"),
        say(Role::Assistant, "1"),
        say(Role::User, "two"),
    ];
    ask(&mut recorder, 1, more);
    let messages = 2;
    recorder
        .event(&Event::Run(RunId(1), RunEvent::Dropped { messages }))
        .unwrap();
    answer(&mut recorder, 1, "2");
    let path = recorder.journal.path().to_owned();
    recorder.close().unwrap();
    let session = transcript::load(&path).unwrap();
    assert_eq!(session.turns.len(), 4);
    assert_eq!(session.turns[3].runs[0].dropped, 2);
    let seen = Prompt::Chat(vec![say(Role::User, "two")]);
    assert_eq!(session.prompt_of(3, 0), Some(seen));
}

/// Every answer is in the journal; the one that is shown is the one that counts.
#[test]
fn answers_that_are_given_again_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = recorder(folder.path());
    let question = say(Role::User, "one");
    for (run, text) in [(0, "first"), (1, "second"), (2, "third")] {
        if run > 0 {
            recorder.keep_answer();
        }
        ask(&mut recorder, run, vec![question.clone()]);
        answer(&mut recorder, run, text);
    }
    assert_eq!(texts(&recorder), ["one", "third"]);
    let shown = Prompt::Chat(vec![question.clone(), say(Role::Assistant, "first")]);
    recorder.show_answers(&shown).unwrap();
    assert_eq!(texts(&recorder), ["one", "first"]);
    // The chat goes on with an answer that is shown since, and was not told.
    let more = vec![
        question,
        say(Role::Assistant, "second"),
        say(Role::User, "two"),
    ];
    ask(&mut recorder, 3, more);
    answer(&mut recorder, 3, "end");
    assert_eq!(texts(&recorder), ["one", "second", "two", "end"]);
    let path = recorder.journal.path().to_owned();
    let held = recorder.journal.session().clone();
    recorder.close().unwrap();
    let session = transcript::load(&path).unwrap();
    assert_eq!(session, held);
    let all: Vec<String> = session.turns[1]
        .answers()
        .map(|(_, runs)| runs.iter().map(|run| run.text()).collect())
        .collect();
    assert_eq!(all, ["first", "second", "third"]);
    assert_eq!(session.turns[1].variant, 1);
    let exported = transcript::export::Format::of_path(Path::new("a.md")).unwrap();
    let text = exported.export(&session);
    assert!(text.contains("answer 2 of 3"), "{text}");
    assert!(!text.contains("first") && !text.contains("third"), "{text}");
}

/// An edited question is another one: its answer is not kept beside that of the first.
#[test]
fn another_question_in_its_place_drops_the_answers() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = recorder(folder.path());
    ask(&mut recorder, 0, vec![say(Role::User, "one")]);
    answer(&mut recorder, 0, "first");
    recorder.keep_answer();
    ask(&mut recorder, 1, vec![say(Role::User, "one")]);
    answer(&mut recorder, 1, "second");
    ask(&mut recorder, 2, vec![say(Role::User, "other")]);
    answer(&mut recorder, 2, "third");
    assert_eq!(texts(&recorder), ["other", "third"]);
    assert!(recorder.journal.session().turns[1].others.is_empty());
}
