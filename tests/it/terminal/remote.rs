//! The playground on the engine of a server, both real programs.

use super::session::{Session, binary};
use crate::support::tiny;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running `skiplens serve`, killed when the test ends.
struct Serve {
    child: Child,
    /// Host and port.
    address: String,
}

impl Serve {
    fn start(model: &Path, port: &str) -> Self {
        let mut child = Command::new(binary())
            .args(["serve", "--port", port, "--threads", "1", "--model"])
            .arg(model)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a server");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("its address");
        let url = line.trim().strip_prefix("http://").expect("a URL");
        let address = url.trim_end_matches("/v1").to_owned();
        Self { child, address }
    }

    fn kill(&mut self) {
        self.child.kill().expect("a signal");
        self.child.wait().expect("an end");
    }

    /// Answers a text over HTTP.
    fn complete(&self, prompt: &str) {
        let body = format!("{{\"prompt\": {prompt:?}, \"max_tokens\": 12}}");
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        let length = body.len();
        write!(
            stream,
            "POST /v1/completions HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.contains("200 OK"), "{answer}");
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(address: &str, more: &[&str]) -> Session {
    let mut args: Vec<&OsStr> = vec![OsStr::new("--connect"), OsStr::new(address)];
    args.extend(more.iter().map(OsStr::new));
    Session::with(&args, tempfile::tempdir().expect("a home"), (120, 34))
}

#[test]
fn a_chat_survives_the_death_of_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("tiny.gguf");
    tiny::gguf().write(&model);
    let mut serve = Serve::start(&model, "0");
    let address = serve.address.clone();
    let mut session = connect(&address, &["-n", "20"]);
    session.wait("the model of the server", |screen| {
        screen.contains("2 layers") && screen.contains("skiplens  tiny")
    });
    session.type_("hello\r");
    session.wait("an answer", |screen| screen.contains("max tokens reached"));
    serve.kill();
    session.wait("the loss", |screen| screen.contains("no connection"));
    session.type_("the hello\r");
    let port = address.rsplit(':').next().expect("a port");
    let serve = Serve::start(&model, port);
    session.wait("both answers", |screen| {
        screen.matches("max tokens reached").count() == 2
    });
    drop(serve);
    session.type_("/bye\r");
    assert_eq!(session.assert_restored(), 0);
}

#[test]
fn requests_of_others_appear_on_the_screen_of_a_watcher() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("tiny.gguf");
    tiny::gguf().write(&model);
    let serve = Serve::start(&model, "0");
    let mut session = connect(&serve.address, &["--watch"]);
    session.wait("the screen", |screen| screen.contains("watching"));
    serve.complete("hello");
    session.wait("the request", |screen| screen.contains("hello"));
    session.type_("\x03");
    assert_eq!(session.assert_restored(), 0);
}

#[test]
fn a_server_that_cannot_be_used_is_explained_before_the_screen_opens() {
    let told = |address: &str| {
        let output = Command::new(binary())
            .args(["--connect", address])
            .output()
            .expect("the program");
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(
        told("ftp://a").contains("ws://HOST:8080"),
        "{}",
        told("ftp://a")
    );
}
