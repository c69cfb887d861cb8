//! `skiplens generate` without a prompt on a terminal: reads prompts and answers each, in colour and with a summary.

use super::output;
use crate::engine::Result;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use std::io::IsTerminal;

/// The prompt of the line editor.
const ASK: &str = "> ";

/// Whether both input and output are a terminal.
pub fn at_terminal() -> bool {
    std::io::stdin().is_terminal() && output::stdout().is_terminal()
}

/// Reads prompts and answers each, until Ctrl-D. A failed answer is reported, and the next prompt read.
///
/// # Errors
/// If the terminal cannot be read, or the answer cannot be printed.
pub fn ask(mut answer: impl FnMut(String) -> color_eyre::Result<()>) -> color_eyre::Result<()> {
    let mut editor = DefaultEditor::new()?;
    output::eprint("Enter sends a prompt, Ctrl-C stops an answer, Ctrl-D ends.\n");
    loop {
        let line = match editor.readline(ASK) {
            Ok(line) => line,
            // Ctrl-C clears the line.
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if line.trim().is_empty() {
            continue;
        }
        // An in-memory history cannot fail.
        let _ = editor.add_history_entry(&line);
        answer(line)?;
    }
}

/// Prints an error that concerns only one answer.
pub fn report_error<T>(outcome: Result<T>) -> Option<T> {
    outcome
        .map_err(|error| output::error(&error.to_string()))
        .ok()
}
