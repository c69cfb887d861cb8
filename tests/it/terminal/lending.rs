//! Handing the terminal to an editor or a shell, and taking it back.

use super::session::{Session, binary};
use portable_pty::CommandBuilder;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const NOWHERE: &str = "/nowhere/model.gguf";

/// The editor gets the restored terminal; its text becomes the prompt.
#[test]
fn the_editor_gets_the_terminal_and_its_text_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let editor = folder.path().join("editor");
    std::fs::write(
        &editor,
        "#!/bin/sh\necho the editor has: $(cat \"$1\")\nread line\nprintf \"$line\" > \"$1\"\n",
    )
    .expect("the editor");
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o755)).expect("a program");
    let vars = [("EDITOR", editor.as_path()), ("VISUAL", Path::new(""))];
    let mut session = Session::start_with(Path::new(NOWHERE), 80, 24, &[], &vars);
    session.wait("the failure", |screen| {
        screen.contains("could not be loaded")
    });
    session.type_("half a question\x07");
    session.wait("the editor", |screen| {
        screen.contains("the editor has: half a question")
    });
    assert!(!session.alternate(), "the screen is the editor's");
    session.type_("written elsewhere\n");
    session.wait("the text", |screen| {
        screen.contains("› written elsewhere") && screen.contains("controls")
    });
    assert!(session.alternate());
    session.type_("\x03\x03");
    assert_eq!(session.assert_restored(), 0);
}

/// `$EDITOR` is split as a shell does it, and the signals of ctrl-c and ctrl-\\ reach only the editor.
#[test]
fn the_editor_is_quoted_and_interrupted_by_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let editor = folder.path().join("my editor");
    std::fs::write(
        &editor,
        "#!/bin/sh\ntrap 'echo interrupted' INT\ntrap 'echo told to quit' QUIT\nfor a in \"$@\"; do printf '[%s]' \"$a\"; \
         last=$a; done; echo\nuntil read line && [ \"$line\" = done ]; do :; done\nprintf edited > \"$last\"\n",
    )
    .expect("the editor");
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o755)).expect("a program");
    let line = format!("'{}' -w \"\"", editor.display());
    let vars = [("EDITOR", Path::new(&line)), ("VISUAL", Path::new(""))];
    let mut session = Session::start_with(Path::new(NOWHERE), 80, 24, &[], &vars);
    session.wait("the failure", |screen| {
        screen.contains("could not be loaded")
    });
    session.type_("\x07");
    session.wait("the arguments", |screen| {
        screen.contains("[-w][][") && screen.contains(".md]")
    });
    session.type_("\x03");
    session.wait("an interrupt", |screen| screen.contains("interrupted"));
    session.type_("\x1c");
    session.wait("a quit", |screen| screen.contains("told to quit"));
    session.type_("done\n");
    session.wait("the text", |screen| {
        screen.contains("› edited") && screen.contains("controls")
    });
    session.type_("\x03\x03");
    assert_eq!(
        session.assert_restored(),
        0,
        "here it is an interrupt again"
    );
}

/// Ctrl-Z hands the terminal to the shell; `fg` restores the screen.
#[test]
fn suspending_leaves_the_terminal_to_the_shell() {
    let mut command = CommandBuilder::new("sh");
    let script =
        "set -m; \"$0\" \"$@\"; echo in the shell; read answer; fg >/dev/null; echo left with $?";
    command.args(["-c", script]);
    command.arg(binary());
    command.args(["--model", NOWHERE]);
    let mut session = Session::of(command, 80, 24);
    session.wait("the failure", |screen| {
        screen.contains("could not be loaded")
    });
    session.type_("kept");
    session.wait("the prompt", |screen| screen.contains("› kept"));
    session.type_("\x1a");
    session.wait("the shell", |screen| screen.contains("in the shell"));
    assert!(!session.alternate());
    session.type_("\n");
    session.wait("the screen", |screen| {
        screen.contains("controls") && screen.contains("› kept")
    });
    assert!(session.alternate());
    session.type_("\x03\x03");
    session.wait("the end", |screen| screen.contains("left with 0"));
    assert_eq!(session.assert_restored(), 0);
}
