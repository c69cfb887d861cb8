use super::*;
use crate::engine::decode::{
    ClosingToken, LayerChoice, Origin, Round, RoundTokens, Stats, StopReason,
};
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
fn a_conversation_is_kept_with_what_was_taken_back() {
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
fn what_the_layers_say_is_kept_where_that_is_wanted() {
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
fn the_own_session_is_renamed_deleted_and_another_begins() {
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
        "what is open already stays open"
    );
    assert_eq!(recorder.read("last").unwrap().title, "Greeting");
    assert!(recorder.delete(&id).unwrap());
    ask(&mut recorder, 1, vec![say(Role::User, "again")]);
    answer(&mut recorder, 1, "yes");
    assert_eq!(
        recorder.journal.session().model().unwrap().name,
        "m",
        "the model is noted anew"
    );
    recorder.restore(&id).unwrap();
    assert!(!recorder.delete(&id).unwrap());
    assert_eq!(texts(&recorder), ["again", "yes"]);
}

#[test]
fn a_saved_session_is_taken_up_from_its_path() {
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

/// A file of the user's is not replaced, nor another session; what was saved here before is. The journal that is being
/// written is left alone: it holds the session already.
#[test]
fn saving_replaces_only_what_was_saved() {
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
        "a copy that the list shows by its name"
    );
    assert_eq!(recorder.journal.session().title, "");
    recorder.close().unwrap();
    assert_eq!(transcript::load(&own).unwrap().turns.len(), 6);
}

#[test]
fn a_name_may_begin_at_home() {
    let home = directories::BaseDirs::new().map(|folders| folders.home_dir().to_owned());
    assert_eq!(
        home.map(|home| home.join("a/b")),
        Some(expand_home("~/a/b"))
    );
    for name in ["a", "~", "~a/b", "/a/~/b"] {
        assert_eq!(expand_home(name), Path::new(name));
    }
}

/// Clearing a chat, even under an answer, leaves its session in the list and begins another.
#[test]
fn a_cleared_chat_stays_and_another_begins() {
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
    assert!(!recorder.path().exists(), "nothing was said yet");
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
        "and can be taken up"
    );
}

/// Where nothing can be written, clearing loses nothing either: all goes out once there is room.
#[test]
fn clearing_under_a_full_disk_loses_nothing() {
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

/// What the user sets after the last answer, or in a session that was only opened for it, is there the next time.
#[test]
fn what_is_set_after_the_last_answer_is_kept() {
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
        "as it was asked"
    );
    ask(&mut recorder, 0, vec![say(Role::User, "hello")]);
    assert_eq!(
        recorder.journal.session().current_mode(),
        transcript::Mode::Chat
    );
}

/// Before anything was said, every step of a slider would be a line that nobody needs.
#[test]
fn what_is_set_before_the_first_prompt_comes_with_it() {
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
    Event::Model(ModelEvent::Loaded(Box::new(
        crate::engine::loaded_model::ModelInfo {
            name: name.into(),
            path: "/nowhere".into(),
            config,
            dtype: "q8_0".into(),
            device: "cpu".into(),
            weight_bytes: 1,
            has_chat_template: true,
            chat_template_fault: None,
            defaults: Default::default(),
        },
    )))
}

fn names(session: &Session) -> Vec<&str> {
    session
        .models
        .iter()
        .map(|model| model.name.as_str())
        .collect()
}

/// A model that is loaded in the place of another is noted at once; the one at the start with its first answer, since
/// a session may only be looked at.
#[test]
fn a_switched_model_is_noted() {
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

/// That its hash is known once and not yet known the next time makes no other model of it.
#[test]
fn a_model_whose_hash_is_unknown_is_the_same() {
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

/// A name under which a session is saved means that session, or the name is refused.
#[test]
fn what_is_saved_under_a_name_is_found_by_it() {
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

/// A copy that goes on elsewhere is not replaced by what this program remembers of it.
#[test]
fn a_copy_that_was_changed_elsewhere_is_left_alone() {
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

/// A link among the sessions may lead anywhere: what is behind it is read, and never written, touched or moved.
#[cfg(unix)]
#[test]
fn what_is_behind_a_link_is_left_alone() {
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
    assert_ne!(own, link, "it goes on in a copy");
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
        2,
        "it leads there still"
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
