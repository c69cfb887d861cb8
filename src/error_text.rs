//! Errors of the system and of JSON, in words for users: without error numbers and names of Rust types.

use color_eyre::eyre::Report;
use serde_json::error::Category;
use std::io::{self, ErrorKind};
use tokio_tungstenite::tungstenite;

/// What went wrong while reading or writing. The caller names the file.
pub fn io(error: &io::Error) -> String {
    let known = match error.kind() {
        ErrorKind::NotFound => "no such file or folder",
        ErrorKind::PermissionDenied => "permission denied",
        ErrorKind::AlreadyExists => "it exists already",
        ErrorKind::IsADirectory => "it is a folder, not a file",
        ErrorKind::NotADirectory => "part of the path is a file, not a folder",
        ErrorKind::StorageFull => "the disk is full; free some space and try again",
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only",
        ErrorKind::AddrInUse => "the address is in use by another program",
        ErrorKind::AddrNotAvailable => "this machine has no such address",
        ErrorKind::ConnectionRefused => "the connection was refused",
        ErrorKind::UnexpectedEof => "it ends too early",
        _ => "",
    };
    if !known.is_empty() && is_of_the_system(error) {
        return known.into();
    }
    let text = error.to_string();
    match text.as_str() {
        "stream did not contain valid UTF-8" => "it is not text in UTF-8".into(),
        _ => without_number(&text),
    }
}

/// Whether the message is the system's or that of the kind, not one that a library wrote for this error.
fn is_of_the_system(error: &io::Error) -> bool {
    error.get_ref().is_none()
}

/// The system's message without its number, starting in lower case like other causes.
fn without_number(text: &str) -> String {
    let is_number = |rest: &str| {
        rest.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-')
    };
    let message = text
        .rsplit_once(" (os error ")
        .filter(|(_, rest)| rest.strip_suffix(')').is_some_and(is_number));
    let Some((message, _)) = message else {
        return text.to_owned();
    };
    let mut chars = message.chars();
    match (chars.next(), chars.next()) {
        (Some(first), second) if !second.is_some_and(char::is_uppercase) => {
            first.to_lowercase().to_string() + &message[first.len_utf8()..]
        }
        _ => message.to_owned(),
    }
}

/// The message of a report and its causes, without causes that the message already contains.
pub fn report(report: &Report) -> String {
    let mut words = String::new();
    for cause in report.chain() {
        let cause = match cause.downcast_ref::<io::Error>() {
            Some(error) => io(error),
            None => cause.to_string(),
        };
        if words.is_empty() {
            words = cause;
        } else if !words.contains(&cause) {
            words += &format!(": {cause}");
        }
    }
    words
}

/// What went wrong with a request over HTTP.
pub fn http(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => io(error),
        error => error.to_string(),
    }
}

/// What went wrong with a WebSocket.
pub fn websocket(error: &tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Io(error) => io(error),
        error => error.to_string(),
    }
}

/// What is wrong with a CSV table.
pub fn csv(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Io(error) => io(error),
        _ => error.to_string(),
    }
}

/// What is wrong with a JSON text, and where. The caller names the file and what it should contain.
pub fn json(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let suffix = format!(" at line {line} column {column}");
    let whole = error.to_string();
    let fault = whole.strip_suffix(&suffix).unwrap_or(&whole);
    let at = match line {
        0 => String::new(),
        _ => format!(" (line {line}, column {column})"),
    };
    match error.classify() {
        Category::Eof if line <= 1 && column == 0 => "it is empty, not JSON".into(),
        Category::Eof => format!("the JSON ends too early{at}; is it complete?"),
        Category::Syntax => format!("not valid JSON: {fault}{at}"),
        Category::Data => format!("{}{at}", data(fault)),
        Category::Io => without_number(fault),
    }
}

/// What is wrong with the value of the field `name`. `found` is the value as the user wrote it, and `fault` serde's
/// message, which may name types of Rust, or one of our own.
pub fn field(name: &str, found: Option<&str>, fault: &str) -> String {
    let is = || match found {
        Some(found) => format!("{name} is {found}"),
        None => name.to_owned(),
    };
    let expected = fault
        .rsplit_once(", expected ")
        .map(|(_, expected)| expected);
    match expected {
        Some(names) if fault.starts_with("unknown variant ") => {
            format!("{}; it may be {}", is(), plain_names(names))
        }
        Some(expected) if fault.starts_with("invalid ") => {
            format!("{}; it must be {}", is(), expected_in_json(expected))
        }
        _ if ["missing field ", "duplicate field ", "unknown field "]
            .iter()
            .any(|start| fault.starts_with(start)) =>
        {
            data(fault)
        }
        // A message of our own.
        _ => format!("{}; {fault}", is()),
    }
}

/// The names that serde lists.
fn plain_names(names: &str) -> String {
    names.trim_start_matches("one of ").replace('`', "")
}

/// serde's message about a value that is valid JSON but not what was expected, in JSON's words.
pub fn data(fault: &str) -> String {
    if let Some(missing) = fault.strip_prefix("missing field ") {
        return format!("the field {} is missing", missing.replace('`', ""));
    }
    if let Some(duplicate) = fault.strip_prefix("duplicate field ") {
        return format!("the field {} occurs twice", duplicate.replace('`', ""));
    }
    let Some((found, expected)) = fault.rsplit_once(", expected ") else {
        return fault.to_owned();
    };
    for (start, what) in [("unknown field ", "field"), ("unknown variant ", "value")] {
        if let Some(name) = found.strip_prefix(start) {
            let name = name.replace('`', "");
            return format!(
                "there is no {what} {name}; it may be {}",
                plain_names(expected)
            );
        }
    }
    let found = ["invalid type: ", "invalid value: ", "invalid length "]
        .iter()
        .find_map(|start| found.strip_prefix(start));
    match found {
        Some(found) => format!(
            "{} where {} is expected",
            found.replace('`', ""),
            expected_in_json(expected)
        ),
        None => fault.to_owned(),
    }
}

/// What serde expects, in JSON's words.
fn expected_in_json(expected: &str) -> &str {
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u32" => "a whole number from 0 to 4294967295",
        "u16" | "u64" | "usize" => "a whole number of at least 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" | "a JSON number" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        "string or map" => "a string or an object",
        expected if expected.starts_with("struct ") => "an object",
        expected => expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use color_eyre::eyre::WrapErr;
    use proptest::prelude::*;
    use serde::Deserialize;
    use std::io::Write;

    #[test]
    fn system_errors_have_words_and_no_numbers() {
        let missing = std::fs::read("/no/such/file").unwrap_err();
        assert_eq!(io(&missing), "no such file or folder");
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[0xFF]).unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap_err();
        assert_eq!(io(&text), "it is not text in UTF-8");
        // A library's own words are kept.
        let own = io::Error::new(ErrorKind::NotFound, "no such model");
        assert_eq!(io(&own), "no such model");
        assert_eq!(without_number("Broken pipe (os error 32)"), "broken pipe");
        assert_eq!(without_number("IO failed (os error -3)"), "IO failed");
        assert_eq!(without_number("(os error)"), "(os error)");
    }

    #[test]
    fn a_cause_is_printed_once() {
        let missing = || io::Error::from(ErrorKind::NotFound);
        let twice = Report::new(crate::engine::Error::io("x", missing()));
        assert_eq!(report(&twice), "x: no such file or folder");
        let chain = Err::<(), _>(missing()).wrap_err("the log").unwrap_err();
        assert_eq!(report(&chain), "the log: no such file or folder");
    }

    proptest! {
        #[test]
        fn no_error_of_the_system_shows_its_number(code in 1i32..200) {
            let told = io(&io::Error::from_raw_os_error(code));
            prop_assert!(!told.contains("os error") && !told.is_empty(), "{told}");
        }
    }

    #[test]
    fn json_faults_are_explained_without_names_of_types() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Point {
            #[expect(dead_code, reason = "only read")]
            x: u32,
        }
        for (text, told) in [
            ("", "it is empty, not JSON"),
            (
                "{\"x\": 1",
                "the JSON ends too early (line 1, column 7); is it complete?",
            ),
            ("x", "not valid JSON: expected value (line 1, column 1)"),
            ("{}", "the field x is missing (line 1, column 2)"),
            (
                "{\"y\": 1}",
                "there is no field y; it may be x (line 1, column 4)",
            ),
            (
                "{\"x\": \"1\"}",
                "string \"1\" where a whole number from 0 to 4294967295 is expected (line 1, column 9)",
            ),
        ] {
            let fault = serde_json::from_str::<Point>(text).unwrap_err();
            assert_eq!(json(&fault), told);
        }
    }
}
