//! A remote server: its engine generates the answers, or the requests of its other clients are watched.

/// The server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remote {
    /// Host and port.
    pub host: String,
    /// Whether the requests of its other clients are watched, read-only.
    pub watches: bool,
    /// The watched requests in progress: their numbers and the ids of their turns.
    pub(in crate::app) requests: Vec<(u64, u64)>,
}

impl Remote {
    /// The server at `host`; `watches` to follow the requests of others.
    pub fn new(host: String, watches: bool) -> Self {
        Self {
            host,
            watches,
            requests: Vec::new(),
        }
    }
}
