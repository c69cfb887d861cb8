//! A remote server: its engine generates the answers, or the requests of its other clients are watched.

use crate::engine::loaded_model::ModelInfo;

/// The server.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Remote {
    /// Host and port.
    pub host: String,
    /// Whether the requests of its other clients are watched, read-only.
    pub watches: bool,
    /// Whether the connection is lost, or was given up.
    pub(in crate::app) is_lost: bool,
    /// The watched requests in progress.
    pub(in crate::app) requests: Vec<Request>,
}

/// A request of another client.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::app) struct Request {
    /// Its number on the server.
    pub number: u64,
    /// Id of its turn on screen.
    pub turn: u64,
    /// The model that answers.
    pub model: Box<ModelInfo>,
}

impl Remote {
    /// The server at `host`; `watches` to follow the requests of others.
    pub fn new(host: String, watches: bool) -> Self {
        Self {
            host,
            watches,
            ..Self::default()
        }
    }
}
