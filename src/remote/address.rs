//! Addresses of servers.

use super::PATH;
use crate::engine::{Error, Result};
use std::fmt;
use std::str::FromStr;
use tokio_tungstenite::tungstenite::http::Uri;

/// The address of a server's engine. It is read from a URL with the scheme `ws`, `wss`, `http` or `https`, by default `ws`,
/// and the port of the scheme unless it names another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    uri: Uri,
}

impl Address {
    /// The URL of the WebSocket.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Whether the connection uses TLS.
    pub fn is_secure(&self) -> bool {
        self.uri.scheme_str() == Some("wss")
    }

    /// Host and port, as messages name the server.
    pub fn host(&self) -> &str {
        self.uri.authority().map_or("", |host| host.as_str())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}

impl FromStr for Address {
    type Err = Error;

    /// # Errors
    /// If the text is not such a URL, or contains a user name or a query.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            let example = "it looks like ws://HOST:8080 or https://HOST";
            Error::Setting(format!(
                "{text:?} is not the address of a server: {why}; {example}"
            ))
        };
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme.to_lowercase(), rest),
            None => ("ws".to_owned(), text),
        };
        let scheme = match scheme.as_str() {
            "ws" | "http" => "ws",
            "wss" | "https" => "wss",
            _ => return Err(wrong("its scheme is none of ws, wss, http and https")),
        };
        // `skiplens serve` prints its address with `/v1`, because OpenAI's clients want it.
        let base = rest.trim_end_matches('/');
        let base = base.strip_suffix(PATH).unwrap_or(base);
        let base = base.strip_suffix("/v1").unwrap_or(base);
        let uri: Uri = format!("{scheme}://{base}{PATH}")
            .parse()
            .map_err(|_| wrong("it cannot be read"))?;
        match uri.authority() {
            Some(host) if host.as_str().contains('@') => Err(wrong("it holds a user name")),
            Some(_) if uri.query().is_some() => Err(wrong("it holds a query")),
            Some(host) if !host.host().is_empty() => Ok(Self { uri }),
            _ => Err(wrong("it has no host")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (written, read) in [
            ("ws://a:80", "ws://a:80/engine"),
            ("http://127.0.0.1:8080/v1", "ws://127.0.0.1:8080/engine"),
            ("https://a.b/", "wss://a.b/engine"),
            ("WSS://a/llm/engine", "wss://a/llm/engine"),
            ("a:8080", "ws://a:8080/engine"),
            ("[::1]:8080", "ws://[::1]:8080/engine"),
        ] {
            let address: Address = written.parse().unwrap();
            assert_eq!(address.to_string(), read);
        }
        for wrong in [
            "",
            "ws://",
            "ftp://a",
            "ws://a b",
            "http://user:pass@a",
            "ws://a?b=c",
        ] {
            let fault = wrong.parse::<Address>().unwrap_err().to_string();
            assert!(fault.contains("looks like ws://"), "{wrong}: {fault}");
        }
    }
}
