//! The frames of a client: JSON in text frames, with time limits and pings.

use crate::error_text;
use crate::remote::{Heartbeat, Hello};
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use serde::Serialize;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Timeout for closing the connection of a client that is gone, silent or stuck, which holds its place until then.
const GOODBYE_TIME: Duration = Duration::from_secs(1);

/// The socket of a client, before the handshake and after the last frame.
pub struct Frames {
    socket: WebSocket,
    heartbeat: Heartbeat,
    /// Whether the client has left, or has not kept a time limit.
    is_gone: bool,
}

/// The side that sends.
pub struct Writer {
    sink: SplitSink<WebSocket, Message>,
    heartbeat: Heartbeat,
    ping: tokio::time::Interval,
    is_gone: bool,
}

/// The side that receives.
pub struct Reader {
    stream: SplitStream<WebSocket>,
    heartbeat: Heartbeat,
    is_gone: bool,
}

/// Why a connection ends, for the close frame; empty if the client is gone already.
pub type End = String;

impl Frames {
    pub fn new(socket: WebSocket, heartbeat: Heartbeat) -> Self {
        Self {
            socket,
            heartbeat,
            is_gone: false,
        }
    }

    /// The first frame.
    ///
    /// # Errors
    /// If the client sends something else, or nothing in time.
    pub async fn hello(&mut self) -> Result<Hello, End> {
        let frame = timeout(self.heartbeat.patience, self.socket.recv()).await;
        let no_hello = "the first frame must be a hello";
        self.is_gone = matches!(frame, Err(_) | Ok(None | Some(Ok(Message::Close(_)))));
        match frame.map_err(|_| silent())? {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text)
                .map_err(|error| format!("{no_hello}: {}", error_text::json(&error))),
            Some(Ok(Message::Close(_))) | None => Err(End::new()),
            Some(Ok(_)) => Err(no_hello.into()),
            Some(Err(error)) => Err(error.to_string()),
        }
    }

    pub async fn send(&mut self, value: &impl Serialize) -> Result<(), End> {
        let message = Message::text(json(value)?);
        let outcome = sent(timeout(self.heartbeat.patience, self.socket.send(message)).await);
        self.is_gone = outcome.is_err();
        outcome
    }

    /// Closes the connection, and tells the client why. A client that is slow to read has as long for that as for
    /// everything else, unless it is gone.
    pub async fn close(mut self, end: &str) {
        let patience = match self.is_gone {
            true => self.heartbeat.patience.min(GOODBYE_TIME),
            false => self.heartbeat.patience,
        };
        let told = timeout(patience, self.socket.send(goodbye(end))).await;
        if !matches!(told, Ok(Ok(()))) {
            return;
        }
        // If input is left unread, the system resets the connection and the client may never see the reason.
        let rest = async { while let Some(Ok(_)) = self.socket.recv().await {} };
        let _ = timeout(patience, rest).await;
    }

    pub fn split(self) -> (Writer, Reader) {
        let (sink, stream) = self.socket.split();
        let mut ping = interval(self.heartbeat.every);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let writer = Writer {
            sink,
            heartbeat: self.heartbeat,
            ping,
            is_gone: false,
        };
        let reader = Reader {
            stream,
            heartbeat: self.heartbeat,
            is_gone: false,
        };
        (writer, reader)
    }
}

impl Writer {
    /// Writes a frame to the buffer of the socket, and waits for room if necessary.
    pub async fn put(&mut self, value: &impl Serialize) -> Result<(), End> {
        self.feed(Message::text(json(value)?)).await
    }

    /// As [`Self::put`], a text that is a frame already.
    pub async fn put_frame(&mut self, frame: Utf8Bytes) -> Result<(), End> {
        self.feed(Message::Text(frame)).await
    }

    /// Sends frames. What each takes is released once it is in the buffer of the socket.
    pub async fn send<T>(&mut self, frames: &mut Vec<(String, T)>) -> Result<(), End> {
        for (frame, _taken) in frames.drain(..) {
            self.feed(Message::text(frame)).await?;
        }
        self.flush().await
    }

    async fn feed(&mut self, message: Message) -> Result<(), End> {
        let feed = self.sink.feed(message);
        let outcome = sent(timeout(self.heartbeat.patience, feed).await);
        self.is_gone |= outcome.is_err();
        outcome
    }

    /// Sends what is in the buffer.
    pub async fn flush(&mut self) -> Result<(), End> {
        let outcome = sent(timeout(self.heartbeat.patience, self.sink.flush()).await);
        self.is_gone |= outcome.is_err();
        outcome
    }

    /// Waits until a ping is due.
    pub async fn ping_is_due(&mut self) {
        self.ping.tick().await;
    }

    pub async fn ping(&mut self) -> Result<(), End> {
        self.feed(Message::Ping(Vec::new().into())).await?;
        self.flush().await
    }

    /// Closes the connection, and tells the client why. `reader` is the other side of the same socket.
    pub async fn close(self, reader: Reader, end: &str) {
        // They fit together, because they were split from one.
        if let Ok(socket) = self.sink.reunite(reader.stream) {
            let frames = Frames {
                socket,
                heartbeat: self.heartbeat,
                is_gone: self.is_gone || reader.is_gone,
            };
            frames.close(end).await;
        }
    }
}

impl Reader {
    /// The next text. Pings are answered meanwhile.
    pub async fn next(&mut self) -> Result<Utf8Bytes, End> {
        loop {
            let frame = timeout(self.heartbeat.patience, self.stream.next()).await;
            self.is_gone = matches!(frame, Err(_) | Ok(None | Some(Ok(Message::Close(_)))));
            match frame {
                Ok(Some(Ok(Message::Text(text)))) => return Ok(text),
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
                Ok(Some(Ok(Message::Binary(_)))) => {
                    return Err("binary frames are not understood".into());
                }
                Ok(Some(Err(error))) => return Err(error.to_string()),
                Ok(None | Some(Ok(Message::Close(_)))) => return Err(End::new()),
                Err(_) => return Err(silent()),
            }
        }
    }
}

/// The text of a frame.
///
/// # Errors
/// If the value cannot be written as JSON.
pub fn json(value: &impl Serialize) -> Result<String, End> {
    serde_json::to_string(value).map_err(|error| format!("a report cannot be written: {error}"))
}

/// The outcome of sending with a time limit.
fn sent<E>(outcome: Result<Result<(), axum::Error>, E>) -> Result<(), End> {
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::new()),
        Err(_) => Err("the client is too slow".into()),
    }
}

fn silent() -> End {
    "the client has fallen silent".into()
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
