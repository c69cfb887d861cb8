//! The server over a real socket, on a tiny model.

mod answers;
mod evaluation;
mod load;
mod refusals;
mod remote;

use crate::support::gguf::GgufBuilder;
use crate::support::tiny;
use serde_json::{Value, json};
use skiplens::engine::decode::Settings;
use skiplens::engine::loaded_model::{LoadedModel, ModelRequest};
use skiplens::server::{self, Options, Server};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// A server of the tiny model. Dropping it stops the server.
struct Served {
    server: Option<Server>,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

/// An answer over HTTP.
struct Reply {
    status: u16,
    head: String,
    body: String,
}

fn options() -> Options {
    Options::new(Settings {
        exit_layer: 1,
        num_speculations: 3,
        ..Settings::default()
    })
}

impl Served {
    fn new() -> Self {
        Self::with(options())
    }

    fn with(options: Options) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), options)
    }

    /// A server at this address.
    fn at(address: SocketAddr, options: Options) -> Self {
        Self::of(tiny::gguf(), address, options)
    }

    /// A server of this model.
    fn of(model: GgufBuilder, address: SocketAddr, options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.gguf");
        model.write(&path);
        let request = ModelRequest {
            model: Some(path.to_string_lossy().into_owned()),
            threads: Some(1),
            ..ModelRequest::default()
        };
        let model = LoadedModel::load(&request, &mut |_, _| {}).unwrap();
        let listener = TcpListener::bind(address).unwrap();
        let server = server::start(model, listener, options).unwrap();
        Self {
            address: server.address,
            server: Some(server),
            folder,
        }
    }

    /// The file of the model.
    fn model(&self) -> std::path::PathBuf {
        self.folder.path().join("tiny.gguf")
    }

    fn stop(&mut self) {
        self.server.take().unwrap().stop();
    }

    /// Sends a request with HTTP/1.0, so that the end of the connection ends the answer.
    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(120)))
            .unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        stream
    }

    fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        read(self.send(method, path, headers, body))
    }

    fn get(&self, path: &str) -> Reply {
        self.request("GET", path, "", "")
    }

    fn post(&self, path: &str, body: &Value) -> Reply {
        self.request("POST", path, "", &body.to_string())
    }

    /// The answer of `/v1/completions` to a valid body.
    fn complete(&self, body: Value) -> Value {
        self.post("/v1/completions", &body).good()
    }

    fn chat(&self, body: Value) -> Value {
        self.post("/v1/chat/completions", &body).good()
    }

    /// The value of a metric without labels.
    fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").body;
        let line = text.lines().find_map(|line| {
            let (key, value) = line.split_once(' ')?;
            (key == name).then(|| value.parse().unwrap())
        });
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// Waits until the engine is idle and the queue empty.
    fn wait_until_idle(&self) {
        for _ in 0..600 {
            let busy = ["vllm:num_requests_running", "vllm:num_requests_waiting"];
            if busy.map(|name| self.metric(name)) == [0.0, 0.0] {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the engine is still busy");
    }
}

fn read(mut stream: TcpStream) -> Reply {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    Reply {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|fault| panic!("{fault}: {}", self.body))
    }

    fn good(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.json()
    }

    /// The events of a stream. Asserts that it ends with `[DONE]`.
    fn events(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{}", self.body);
        assert!(self.head.contains("text/event-stream"));
        let events = self.body.split("\n\n").filter(|event| !event.is_empty());
        let mut data: Vec<&str> = events
            .filter(|event| !event.starts_with(':'))
            .map(|event| event.strip_prefix("data: ").unwrap())
            .collect();
        assert_eq!(data.pop(), Some("[DONE]"));
        data.into_iter()
            .map(|event| serde_json::from_str(event).unwrap())
            .collect()
    }
}

fn hello() -> Value {
    json!([{"role": "user", "content": "hello"}])
}
