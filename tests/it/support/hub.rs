//! A local hub, which answers as the Hugging Face hub does, for the files of one model and of data sets.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The repository that it serves.
pub const REPOSITORY: &str = "someone/tiny";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A running hub. Its thread ends with the test.
pub struct FakeHub {
    /// `http://127.0.0.1:port`.
    pub endpoint: String,
    /// Requested paths.
    pub requests: Arc<Mutex<Vec<String>>>,
    /// Offsets at which downloads began.
    pub begun: Arc<Mutex<Vec<usize>>>,
}

/// What the hub serves, and to whom.
#[derive(Default, Clone)]
pub struct Served {
    pub files: BTreeMap<String, Vec<u8>>,
    /// Files of data sets, by `repository@revision`.
    pub datasets: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// The token that gives access to the files; `None` if they are public.
    pub token: Option<String>,
    /// Whether files are sent in small pieces with pauses between them.
    pub slowly: bool,
}

impl FakeHub {
    pub fn start(served: Served) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let begun = Arc::new(Mutex::new(Vec::new()));
        let (log, starts) = (requests.clone(), begun.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (served, log, starts) = (served.clone(), log.clone(), starts.clone());
                std::thread::spawn(move || answer(stream, &served, &log, &starts));
            }
        });
        Self {
            endpoint,
            requests,
            begun,
        }
    }
}

/// A request: its path, where its range begins and whether it ends, and its token.
struct Request {
    path: String,
    range: Option<(usize, Option<usize>)>,
    token: Option<String>,
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let (mut range, mut token) = (None, None);
    for line in lines.take_while(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once(": ") else {
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let (from, to) = value.trim_start_matches("bytes=").split_once('-')?;
                range = Some((from.parse().ok()?, to.parse().ok()));
            }
            "authorization" => token = value.strip_prefix("Bearer ").map(str::to_owned),
            _ => {}
        }
    }
    Some(Request { path, range, token })
}

fn answer(
    mut stream: TcpStream,
    served: &Served,
    log: &Mutex<Vec<String>>,
    starts: &Mutex<Vec<usize>>,
) {
    let Some(request) = read(&stream) else { return };
    log.lock().unwrap().push(request.path.clone());
    starts
        .lock()
        .unwrap()
        .extend(request.range.map(|(from, _)| from));
    let info = format!("/api/models/{REPOSITORY}/revision/main");
    let prefix = format!("/{REPOSITORY}/resolve/main/");
    let file = request
        .path
        .strip_prefix(&prefix)
        .map(|name| served.files.get(name));
    if let Some(reply) = of_dataset(&request, served) {
        stream.write_all(&reply).ok();
        return;
    }
    let allowed = served.token.is_none() || served.token == request.token;
    let reply = match file {
        None if request.path == info => reply("200 OK", "", info_json(&served.files).as_bytes()),
        Some(Some(_)) if !allowed && request.token.is_some() => reply("403 Forbidden", "", b""),
        Some(Some(_)) if !allowed => reply("401 Unauthorized", "", b""),
        Some(Some(data)) => serve(&request, data),
        _ => reply("404 Not Found", "", b""),
    };
    if !served.slowly {
        stream.write_all(&reply).ok();
        return;
    }
    for piece in reply.chunks(8 * 1024) {
        if stream
            .write_all(piece)
            .and_then(|()| stream.flush())
            .is_err()
        {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn serve(request: &Request, data: &[u8]) -> Vec<u8> {
    let (from, to) = request.range.unwrap_or((0, None));
    let end = to.map_or(data.len(), |to| (to + 1).min(data.len()));
    let etag = format!(
        "{:x}",
        data.iter().fold(data.len() as u64, |h, &b| h
            .wrapping_mul(31)
            .wrapping_add(b.into()))
    );
    let headers = format!(
        "etag: \"{etag}\"\r\nx-repo-commit: {COMMIT}\r\ncontent-range: bytes {from}-{}/{}\r\n",
        end.saturating_sub(1),
        data.len()
    );
    reply("206 Partial Content", &headers, &data[from.min(end)..end])
}

/// The answer to a request for a data set.
fn of_dataset(request: &Request, served: &Served) -> Option<Vec<u8>> {
    for (named, files) in &served.datasets {
        let (repository, revision) = named.split_once('@')?;
        let revision = revision.replace('/', "%2F");
        if request.path == format!("/api/datasets/{repository}/revision/{revision}") {
            return Some(reply("200 OK", "", info_json(files).as_bytes()));
        }
        let prefix = format!("/datasets/{repository}/resolve/{revision}/");
        if let Some(name) = request.path.strip_prefix(&prefix) {
            return files.get(name).map(|data| serve(request, data));
        }
    }
    None
}

fn info_json(files: &BTreeMap<String, Vec<u8>>) -> String {
    let files: Vec<_> = files
        .keys()
        .map(|name| serde_json::json!({ "rfilename": name }))
        .collect();
    serde_json::json!({ "siblings": files, "sha": COMMIT }).to_string()
}

fn reply(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
