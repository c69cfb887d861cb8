//! A server elsewhere whose engine writes the answers, or whose requests are followed.

/// The server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remote {
    /// Host and port.
    pub host: String,
    /// Whether the requests of its other clients are followed, and nothing is asked.
    pub watches: bool,
    /// The requests under way: their numbers, and the ids of their turns.
    pub(in crate::app) requests: Vec<(u64, u64)>,
}

impl Remote {
    /// The server at `host`; `watches` if the requests of others are to be followed.
    pub fn new(host: String, watches: bool) -> Self {
        Self {
            host,
            watches,
            requests: Vec::new(),
        }
    }
}
