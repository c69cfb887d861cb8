//! The menu above the prompt while a slash command is written.

use super::screens::snapshot;
use super::support::{Harness, Shelf, said};
use skiplens::app::commands::COMMANDS;
use skiplens::app::{
    Context, Control, Effect, Folder, FolderEntry, ModelChoice, Msg, Pane, Preset, Target,
    ThemeName,
};
use skiplens::engine::decode::Controller;
use skiplens::engine::worker::Command;

fn labels(h: &Harness) -> Vec<String> {
    let menu = h.state().menu().expect("a menu");
    menu.entries
        .iter()
        .map(|entry| entry.label.clone())
        .collect()
}

fn folder(h: &mut Harness, path: &str, names: &[&str]) {
    let entries = names
        .iter()
        .map(|name| FolderEntry {
            name: name.trim_end_matches('/').into(),
            is_folder: name.ends_with('/'),
        })
        .collect();
    let path = path.into();
    h.send(Msg::Folder(Folder { path, entries }));
}

#[test]
fn a_slash_lists_the_commands_and_typing_narrows_them() {
    let mut h = Harness::ready(100, 30);
    h.write("/");
    assert_eq!(labels(&h).len(), COMMANDS.len());
    assert!(
        h.screen().contains("/set NAME VALUE  ") && h.screen().contains("change a setting"),
        "{}",
        h.screen()
    );
    h.write("re");
    assert_eq!(labels(&h), ["/replay [NAME]", "/retry"]);
    h.press("down enter");
    assert!(h.state().menu().is_none());
    assert_eq!(h.state().prompt.text(), "/retry", "it was refused");
    let notice = h.state().notice.as_ref().expect("a notice");
    assert_eq!(
        notice.text, "nothing was asked yet",
        "/retry was carried out"
    );
}

/// Everything in the list can be reached, the selection is always in sight.
#[test]
fn the_whole_menu_is_reached_with_the_arrow_keys() {
    let mut h = Harness::ready(80, 24);
    h.write("/");
    for command in COMMANDS {
        let row = h.screen();
        let usage = command.usage;
        assert!(row.contains(usage), "{usage} is out of sight:\n{row}");
        h.press("down");
    }
    assert_eq!(
        h.state().menu().unwrap().selected,
        Some(0),
        "around the end"
    );
    h.press("up");
    assert!(h.screen().contains("/?"), "{}", h.screen());
}

#[test]
fn tab_and_enter_take_names_and_values() {
    let mut h = Harness::ready(100, 30);
    h.write("/se");
    h.press("tab");
    assert_eq!(h.state().prompt.text(), "/set ");
    h.write("contr");
    assert_eq!(labels(&h), ["controller"]);
    h.press("enter");
    assert_eq!(h.state().prompt.text(), "/set controller ");
    h.write("ad");
    assert_eq!(labels(&h), ["adaptive K"]);
    h.press("tab");
    assert_eq!(h.state().prompt.text(), "/set controller adaptive K");
    h.press("enter");
    assert_eq!(
        h.state().settings.controller,
        Controller::AdaptiveSpeculations
    );
    h.write("/set theme mo");
    h.press("enter");
    assert_eq!(h.app.shared.appearance.theme, ThemeName::Monochrome);
}

/// Without the menu too.
#[test]
fn values_take_unambiguous_beginnings() {
    let mut h = Harness::ready(160, 30);
    let give = |h: &mut Harness, command: &str| {
        h.state_mut().prompt.set("");
        h.write(command);
        h.press("esc enter");
        let notice = h.state().notice.clone().expect("a notice");
        (notice.text, notice.is_error)
    };
    assert!(!give(&mut h, "/set contr ad").1);
    assert_eq!(
        h.state().settings.controller,
        Controller::AdaptiveSpeculations
    );
    assert!(!give(&mut h, "/set strat autor").1);
    assert!(!give(&mut h, "/set kvq of").1);
    assert!(!h.state().settings.kvq_reuse);
    assert!(!give(&mut h, "/set theme l").1);
    let (text, is_error) = give(&mut h, "/set sample o");
    assert!(is_error && text.contains("on or off"), "{text}");
    h.app
        .shared
        .config
        .presets
        .insert("late exit".into(), Preset::default());
    assert!(!give(&mut h, "/preset late").1);
}

/// A name may be written with spaces while its value is suggested or explained.
#[test]
fn names_with_spaces_are_completed_and_explained() {
    let mut h = Harness::ready(160, 50);
    h.write("/set dr vo");
    assert_eq!(labels(&h), ["draft_vocab"]);
    h.write(" 10");
    assert!(h.screen().contains("0 to 49152"), "{}", h.screen());
    h.press("enter");
    assert_eq!(h.state().settings.draft_vocab, 10);
    // Enter does not replace an ambiguous name.
    h.write("/set top 5");
    assert_eq!(labels(&h), ["top_p", "top_k"]);
    h.press("enter");
    assert_eq!(h.state().prompt.text(), "/set top 5");
}

/// The selected entry shows all that it says, the others what fits.
#[test]
fn the_selected_entry_is_whole() {
    let mut h = Harness::ready(80, 24);
    h.write("/set ");
    for control in Control::of_model(h.state().model.as_ref()) {
        let screen = h.screen();
        let words = screen.replace(['│', '┃'], " ");
        let last = control.meaning().split(' ').next_back().expect("a word");
        assert!(
            words.split_whitespace().any(|word| word == last),
            "{control:?}\n{screen}"
        );
        assert!(screen.contains(control.name()), "{control:?}\n{screen}");
        h.press("down");
    }
}

/// A number is explained, not suggested: Enter sends what is written.
#[test]
fn a_number_is_explained() {
    let mut h = Harness::ready(160, 50);
    h.write("/set exit 8");
    assert!(h.screen().contains("exit_layer  1 to 29"), "{}", h.screen());
    assert_eq!(h.app.context(), Context::Prompt);
    h.press("enter");
    assert_eq!(h.state().settings.exit_layer, 8);
}

#[test]
fn paths_are_completed_folder_by_folder() {
    let mut h = Harness::ready(100, 30);
    h.write("/sweep lo");
    assert!(h.effects.contains(&Effect::ListFolder(String::new())));
    folder(&mut h, "", &["logs/", "lost.csv", "other.csv", ".hidden/"]);
    assert_eq!(labels(&h), ["logs/", "lost.csv"]);
    h.write("g");
    h.press("tab");
    assert_eq!(h.state().prompt.text(), "/sweep logs/");
    assert_eq!(h.effects.last(), Some(&Effect::ListFolder("logs/".into())));
    folder(&mut h, "elsewhere/", &["late.csv"]);
    assert!(
        h.state().menu().unwrap().entries.is_empty(),
        "a late answer"
    );
    folder(&mut h, "logs/", &["a sweep.csv", "\u{1b}[2J"]);
    assert_eq!(labels(&h), ["a sweep.csv"]);
    h.press("tab enter");
    assert!(
        matches!(h.effects.last(), Some(Effect::OpenSweep(path)) if path.ends_with("a sweep.csv"))
    );
}

/// What is typed in full is what counts, unless the user goes to a suggestion.
#[test]
fn a_suggestion_for_a_free_text_is_not_taken_unasked() {
    let choice = |name: &str| ModelChoice {
        model: Some(name.into()),
        label: name.into(),
        note: "downloaded".into(),
        ..ModelChoice::default()
    };
    let mut h = Harness::ready(100, 30);
    h.app.shared.models = vec![choice("some/model-large"), choice("another/one")];
    h.write("/model some/model");
    folder(&mut h, "some/", &["model.gguf", "readme.md"]);
    assert_eq!(labels(&h), ["some/model-large", "model.gguf"]);
    h.press("enter");
    assert!(
        matches!(h.commands.last(), Some(Command::Load(request)) if request.model.as_deref() == Some("some/model"))
    );
    h.engine(1);
    h.write("/model some/model");
    h.press("down enter");
    assert!(
        matches!(h.commands.last(), Some(Command::Load(request)) if request.model.as_deref() == Some("some/model-large"))
    );
}

#[test]
fn esc_closes_the_menu_and_keeps_what_is_written() {
    let mut h = Harness::ready(100, 30);
    h.write("/sh");
    assert_eq!(h.app.context(), Context::Menu);
    h.press("esc");
    assert!(h.state().menu().is_none());
    assert_eq!(h.state().prompt.text(), "/sh");
    h.press("tab");
    assert!(h.state().menu().is_some(), "tab completes all the same");
    h.press("esc ctrl-u");
    h.write("a question / answer");
    assert!(h.state().menu().is_none());
    h.press("ctrl-u");
    h.write("/etc/hosts");
    assert!(h.state().menu().is_none(), "a path is no command");
}

/// A command that comes back from the history does not catch the arrow keys.
#[test]
fn the_history_passes_over_commands() {
    let mut h = Harness::ready(100, 30);
    for text in ["/keep a", "/keep b"] {
        h.ask_command(text);
    }
    h.press("up up");
    assert_eq!(h.state().prompt.text(), "/keep a");
}

#[test]
fn a_click_takes_a_suggestion() {
    let mut h = Harness::ready(100, 30);
    h.write("/s");
    let row = h.find(&Target::Entry(3));
    h.click(row.x + 2, row.y);
    assert!(h.state().overlay.is_some(), "/show is open");
    assert_eq!(h.state().focus, Pane::Prompt);
}

#[test]
fn pictures_of_the_menu() {
    for (width, height) in [(80, 24), (160, 50)] {
        let mut h = Harness::ready(width, height);
        h.ask("Why is the sky blue?");
        h.tick(60_000);
        h.write("/s");
        snapshot(&format!("menu-{width}x{height}"), &h);
        h.write("et ");
        h.press("down down");
        snapshot(&format!("menu-set-{width}x{height}"), &h);
    }
}

/// Sessions are completed by their names and titles, beside files.
#[test]
fn sessions_and_files_complete_the_commands_that_open_sessions() {
    let mut h = Harness::ready(100, 30);
    let sessions = vec![
        said("Broken", 0),
        said("Why is the sky blue?", 1),
        said("What is the tide?", 2),
    ];
    let ids: Vec<String> = sessions.iter().map(|s| s.header.id.clone()).collect();
    let mut shelf = Shelf {
        broken: vec![ids[0].clone()],
        sessions,
        ..Shelf::default()
    };
    for command in ["/load", "/replay"] {
        h.write(&format!("{command} "));
        shelf.serve(&mut h);
        folder(&mut h, "", &["notes/", "old.jsonl"]);
        let all = [ids[2].as_str(), ids[1].as_str(), "notes/", "old.jsonl"];
        assert_eq!(labels(&h), all);
        assert!(
            h.screen().contains("Why is the sky blue?"),
            "{}",
            h.screen()
        );
        // Part of a title is enough.
        h.write("sky");
        assert_eq!(labels(&h), [ids[1].as_str()]);
        h.press("down tab");
        assert_eq!(h.state().prompt.text(), format!("{command} {}", ids[1]));
        h.press("ctrl-c");
    }
}
