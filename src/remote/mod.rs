//! The engine of a remote `skiplens serve`, over a WebSocket; `docs/remote.md` describes the protocol.
//!
//! ```text
//! tui ── Client ── thread ── WebSocket ── server/remote ── worker (one for each client)
//!  ▲                 │
//!  └──── notices ◀───┘  events, or that the connection is lost and restored
//! ```

mod address;
mod client;
mod connection;
mod protocol;
mod tls;

pub use address::Address;
pub use client::{Client, Notice};
pub use connection::{Fault, Target};
pub use protocol::{
    Heartbeat, Hello, MAX_COMMAND, MAX_REPORT, MAX_WAITING, Mode, PATH, PROTOCOL, Report, Request,
    Said, Watched, Welcome,
};
