//! The frames of a client: JSON in text frames, with time limits and pings.

use crate::remote::{Heartbeat, Hello};
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use serde::Serialize;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How long a client may take to say goodbye.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// A socket before its client has said what it wants.
pub struct Frames {
    socket: WebSocket,
    heartbeat: Heartbeat,
}

/// The side that sends.
pub struct Writer {
    sink: SplitSink<WebSocket, Message>,
    heartbeat: Heartbeat,
    ping: tokio::time::Interval,
}

/// The side that receives.
pub struct Reader {
    stream: SplitStream<WebSocket>,
    heartbeat: Heartbeat,
}

/// Why a client is no longer served; it is told, if it listens.
pub type End = String;

impl Frames {
    pub fn new(socket: WebSocket, heartbeat: Heartbeat) -> Self {
        Self { socket, heartbeat }
    }

    /// The first frame; none if the client sends something else.
    pub async fn hello(&mut self) -> Option<Hello> {
        let frame = timeout(self.heartbeat.patience, self.socket.recv()).await;
        match frame.ok()?? {
            Ok(Message::Text(text)) => serde_json::from_str(&text).ok(),
            _ => None,
        }
    }

    pub async fn send(&mut self, value: &impl Serialize) -> Result<(), End> {
        let message = text(value)?;
        let sent = timeout(self.heartbeat.patience, self.socket.send(message)).await;
        sent.map_err(|_| slow())?.map_err(|_| End::new())
    }

    pub async fn close(mut self, end: &str) {
        let _ = timeout(CLOSE_TIME, self.socket.send(goodbye(end))).await;
        // Whoever is gone leaves an error. The rest is read, or the system would discard what was sent.
        let rest = async { while let Some(Ok(_)) = self.socket.recv().await {} };
        let _ = timeout(CLOSE_TIME, rest).await;
    }

    pub fn split(self) -> (Writer, Reader) {
        let (sink, stream) = self.socket.split();
        let mut ping = interval(self.heartbeat.every);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let writer = Writer {
            sink,
            heartbeat: self.heartbeat,
            ping,
        };
        let reader = Reader {
            stream,
            heartbeat: self.heartbeat,
        };
        (writer, reader)
    }
}

impl Writer {
    /// Puts a frame into the buffer of the socket, or waits until it has room.
    pub async fn put(&mut self, value: &impl Serialize) -> Result<(), End> {
        let message = text(value)?;
        let sent = timeout(self.heartbeat.patience, self.sink.feed(message)).await;
        sent.map_err(|_| slow())?.map_err(|_| End::new())
    }

    /// Sends what was put.
    pub async fn flush(&mut self) -> Result<(), End> {
        let sent = timeout(self.heartbeat.patience, self.sink.flush()).await;
        sent.map_err(|_| slow())?.map_err(|_| End::new())
    }

    /// Waits until a ping is due.
    pub async fn ping_is_due(&mut self) {
        self.ping.tick().await;
    }

    pub async fn ping(&mut self) -> Result<(), End> {
        let ping = self.sink.send(Message::Ping(Vec::new().into()));
        let sent = timeout(self.heartbeat.patience, ping).await;
        sent.map_err(|_| slow())?.map_err(|_| End::new())
    }

    /// Says why the connection ends.
    pub async fn close(&mut self, end: &str) {
        let _ = timeout(CLOSE_TIME, self.sink.send(goodbye(end))).await;
    }
}

impl Reader {
    /// The next text. Pings are answered meanwhile.
    pub async fn next(&mut self) -> Result<Utf8Bytes, End> {
        loop {
            match timeout(self.heartbeat.patience, self.stream.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => return Ok(text),
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
                Ok(Some(Ok(Message::Binary(_)))) => return Err("a binary frame".into()),
                Ok(Some(Err(error))) => return Err(error.to_string()),
                Ok(None | Some(Ok(Message::Close(_)))) => return Err(End::new()),
                Err(_) => return Err("the client has fallen silent".into()),
            }
        }
    }
}

fn text(value: &impl Serialize) -> Result<Message, End> {
    let json = serde_json::to_string(value);
    let json = json.map_err(|error| format!("a report cannot be written: {error}"))?;
    Ok(Message::text(json))
}

fn slow() -> End {
    "the client is too slow".into()
}

/// A close frame. Its reason may have 123 bytes.
fn goodbye(end: &str) -> Message {
    let ends = |at: &usize| end.is_char_boundary(*at);
    let length = (0..=end.len().min(120)).rev().find(ends).unwrap_or(0);
    let reason = end[..length].to_owned();
    Message::Close(Some(CloseFrame {
        code: 1001,
        reason: reason.into(),
    }))
}
