//! Messages of the protocol: one JSON object per text frame.

use crate::engine::decode::{Round, StopReason};
use crate::engine::loaded_model::ModelInfo;
use crate::engine::weights::ModelChoice;
use crate::engine::worker::{Command, Event};
use serde::{Deserialize, Deserializer, Serialize};
use std::time::Duration;

/// Version of the protocol. It changes whenever one side would misread the other.
pub const PROTOCOL: u32 = 2;
/// Path of the WebSocket.
pub const PATH: &str = "/engine";
/// Max bytes of a frame to the server; conversations are the largest.
pub const MAX_COMMAND: usize = 4 << 20;
/// Max bytes of a frame to the client; parts of a lens are the largest.
pub const MAX_REPORT: usize = 16 << 20;
/// Max bytes of buffered frames to the client. Beyond that a client reads no further, and a server ends the connection.
pub const MAX_WAITING: usize = 2 * MAX_REPORT;

/// Keepalive settings, the same on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// Interval of pings.
    pub every: Duration,
    /// How long the other side may be silent, or block a write.
    pub patience: Duration,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(10),
            patience: Duration::from_secs(30),
        }
    }
}

/// The first frame of a client. All versions of the protocol can read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`] of the client.
    pub protocol: u32,
    /// Version of the program.
    pub version: String,
    /// What the client connects for; `None` if this version does not know the mode.
    #[serde(default = "Mode::usual", deserialize_with = "Mode::read")]
    pub mode: Option<Mode>,
}

/// What a client connects for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// To use an engine of its own.
    #[default]
    Engine,
    /// To follow the requests of other clients.
    Watch,
}

impl Mode {
    fn usual() -> Option<Self> {
        Some(Self::default())
    }

    /// Reads any value, because later versions may have other modes.
    fn read<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Self>, D::Error> {
        let value = serde_json::Value::deserialize(source)?;
        Ok(serde_json::from_value(value).ok())
    }
}

/// The answer to [`Hello`]. All versions of the protocol can read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// [`PROTOCOL`] of the server.
    pub protocol: u32,
    /// Version of the program.
    pub version: String,
    /// Why the server refuses the client and closes the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A frame to the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// For the client's worker.
    Command(Command),
    /// List the models that the server can load.
    Models,
}

/// A frame to the client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// From the client's worker.
    Event(Event),
    /// The models that the server can load.
    Models(Vec<ModelChoice>),
    /// An event of another client's request.
    Watched {
        /// Number of the request.
        request: u64,
        /// The event.
        said: Said,
    },
    /// Events of other clients' requests were left out, because this client was too slow.
    Missed {
        /// About how many.
        reports: u64,
        /// The requests that are in progress now, with their numbers.
        open: Vec<(u64, Watched)>,
    },
}

/// An event of a watched request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    /// It has begun.
    Begun(Watched),
    /// It has decoded a round.
    Round(Box<Round>),
    /// It has ended.
    Ended(StopReason),
    /// It failed.
    Failed(String),
}

/// A request of another client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// `http` or `engine`.
    pub client: String,
    /// The text to continue, or the last message of a conversation.
    pub prompt: String,
    /// Whether it is a conversation.
    pub chat: bool,
    /// The model that answers.
    pub model: Box<ModelInfo>,
}

impl Hello {
    /// The hello of this version.
    pub fn new(mode: Mode) -> Self {
        Self {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").into(),
            mode: Some(mode),
        }
    }
}

impl Welcome {
    /// The answer of this version.
    pub fn new(refused: Option<String>) -> Self {
        Self {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").into(),
            refused,
        }
    }
}
