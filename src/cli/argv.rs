//! LayerSkip's spelling of options: `--exit_layer 8 --generation_strategy self_speculative --sample False`.

use std::ffi::OsString;

/// Rewrites `--some_option` to `--some-option` and LayerSkip's names to ours, so that its users' command lines work.
/// Whatever follows a lone `--` is left as it is.
pub fn normalise(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut options = true;
    args.into_iter()
        .map(|arg| match arg.to_str() {
            Some("--") => {
                options = false;
                arg
            }
            Some(text) if options && text.starts_with("--") => OsString::from(rename(text)),
            _ => arg,
        })
        .collect()
}

fn rename(option: &str) -> String {
    let (name, value) = match option.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (option, None),
    };
    let name = match name.replace('_', "-").as_str() {
        "--generation-strategy" => "--strategy".to_owned(),
        other => other.to_owned(),
    };
    value.map_or(name.clone(), |value| format!("{name}={value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(args: &[&str]) -> Vec<String> {
        normalise(args.iter().map(OsString::from))
            .into_iter()
            .map(|arg| arg.into_string().unwrap())
            .collect()
    }

    #[test]
    fn layerskip_names_become_ours_and_values_stay() {
        assert_eq!(
            spelled(&[
                "skiplens",
                "--exit_layer",
                "8",
                "--generation_strategy=self_speculative",
                "--prompt",
                "a_b"
            ]),
            [
                "skiplens",
                "--exit-layer",
                "8",
                "--strategy=self_speculative",
                "--prompt",
                "a_b"
            ],
        );
        assert_eq!(spelled(&["x", "--", "--a_b"]), ["x", "--", "--a_b"]);
    }
}
