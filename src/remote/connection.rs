//! One connection to a server, from the handshake on.

use super::{Address, Heartbeat, Hello, MAX_REPORT, Mode, PROTOCOL, Report, Request, Welcome, tls};
use crate::engine::{Error, ErrorKind};
use crate::error_text;
use futures::{SinkExt, StreamExt};
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

/// How long a connection may take to be made, the server's welcome included.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// A server, and how to use it.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its address.
    pub address: Address,
    /// The bearer token that it wants.
    pub api_key: Option<String>,
    /// What to do there.
    pub mode: Mode,
    /// How to notice that it is gone.
    pub heartbeat: Heartbeat,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It may work later.
    #[error("{0}")]
    Broken(String),
    /// It will not work until the user or the server changes something.
    #[error("{0}")]
    Refused(String),
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Setting(fault.to_string())
    }
}

impl Fault {
    /// The category of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Broken(_) => ErrorKind::Machine,
            Self::Refused(_) => ErrorKind::Input,
        }
    }
}

/// An open connection.
pub(super) struct Connection {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    heartbeat: Heartbeat,
    /// When the server was last heard.
    heard: Instant,
    ping: tokio::time::Interval,
}

impl Target {
    /// Connects and exchanges versions.
    pub(super) async fn connect(&self) -> Result<Connection, Fault> {
        let host = self.address.host();
        let late = |_| Fault::Broken(format!("{host} does not answer"));
        timeout(CONNECT_TIME, self.try_connect())
            .await
            .map_err(late)?
    }

    async fn try_connect(&self) -> Result<Connection, Fault> {
        let host = self.address.host();
        let unusable = |what: &str| Fault::Refused(format!("{what} cannot be sent to {host}"));
        let request = self.address.uri().clone().into_client_request();
        let mut request = request.map_err(|_| unusable("this address"))?;
        if let Some(key) = &self.api_key {
            let value = HeaderValue::from_str(&format!("Bearer {key}"));
            let mut value = value.map_err(|_| unusable("this API key"))?;
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_REPORT))
            .max_frame_size(Some(MAX_REPORT));
        let connector = self.address.is_secure().then(tls::connector).transpose()?;
        let connected = connect_async_tls_with_config(request, Some(config), true, connector).await;
        let (socket, _) = connected.map_err(|error| self.explain(error))?;
        let mut ping = interval(self.heartbeat.every);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut connection = Connection {
            socket,
            heartbeat: self.heartbeat,
            heard: Instant::now(),
            ping,
        };
        connection.put(&Hello::new(self.mode)).await?;
        let text = connection.frame().await?;
        let welcome: Welcome = serde_json::from_str(&text)
            .map_err(|_| Fault::Refused(format!("{host} does not speak skiplens' protocol")))?;
        match welcome {
            Welcome {
                protocol, version, ..
            } if protocol != PROTOCOL => Err(Fault::Refused(format!(
                "this is skiplens {} (protocol {PROTOCOL}), the server at {host} is {} (protocol {protocol}); install \
                 the same version on both",
                env!("CARGO_PKG_VERSION"),
                shortened(&version)
            ))),
            Welcome {
                refused: Some(why), ..
            } => Err(Fault::Refused(format!("{host}: {}", shortened(&why)))),
            Welcome { .. } => Ok(connection),
        }
    }

    /// The fault for an error of the handshake, with what to do.
    fn explain(&self, error: tungstenite::Error) -> Fault {
        let host = self.address.host();
        match error {
            tungstenite::Error::Http(response) => match response.status() {
                StatusCode::UNAUTHORIZED if self.api_key.is_some() => Fault::Refused(format!(
                    "{host} refuses this API key; --api-key or SKIPLENS_API_KEY gives the one that it was started with"
                )),
                StatusCode::UNAUTHORIZED => Fault::Refused(format!(
                    "{host} wants an API key: --api-key KEY, or SKIPLENS_API_KEY"
                )),
                StatusCode::NOT_FOUND => Fault::Refused(format!(
                    "the server at {host} has no engine to connect to: it is no `skiplens serve`, or an older one"
                )),
                status => {
                    let body = response.into_body().unwrap_or_default();
                    let why = serde_json::from_slice::<serde_json::Value>(&body).ok();
                    let why =
                        why.and_then(|why| Some(why["error"]["message"].as_str()?.to_owned()));
                    let why = why.map_or_else(|| status.to_string(), |why| shortened(&why));
                    Fault::Broken(format!("{host}: {why}"))
                }
            },
            error => {
                let untrusted = match &error {
                    tungstenite::Error::Io(error) => tls::explain(host, error),
                    _ => None,
                };
                let unreachable = || {
                    let refused = matches!(&error, tungstenite::Error::Io(error)
                        if error.kind() == io::ErrorKind::ConnectionRefused);
                    Fault::Broken(match refused {
                        true => format!(
                            "{host} cannot be reached: the connection was refused; is `skiplens serve` running there?"
                        ),
                        false => {
                            format!(
                                "{host} cannot be reached: {}",
                                error_text::websocket(&error)
                            )
                        }
                    })
                };
                untrusted.unwrap_or_else(unreachable)
            }
        }
    }
}

impl Connection {
    /// Sends a request.
    pub async fn send(&mut self, request: &Request) -> Result<(), Fault> {
        self.put(request).await
    }

    /// Sends any value as a text frame.
    async fn put(&mut self, value: &impl serde::Serialize) -> Result<(), Fault> {
        let json = serde_json::to_string(value)
            .map_err(|error| Fault::Broken(format!("a message cannot be written: {error}")))?;
        self.write(Message::text(json)).await
    }

    async fn write(&mut self, message: Message) -> Result<(), Fault> {
        match timeout(self.heartbeat.patience, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Fault::Broken(error_text::websocket(&error))),
            Err(_) => Err(Fault::Broken("it no longer accepts data".into())),
        }
    }

    /// The next report and its size in bytes. Pings the server while it waits. Cancel safe.
    pub async fn next(&mut self) -> Result<(Report, usize), Fault> {
        let text = self.frame().await?;
        let report = serde_json::from_str(&text).map_err(|error| {
            Fault::Refused(format!(
                "it sent what this version does not know: {}",
                error_text::json(&error)
            ))
        })?;
        Ok((report, text.len()))
    }

    /// The next text.
    async fn frame(&mut self) -> Result<String, Fault> {
        loop {
            let deadline = self.heard + self.heartbeat.patience;
            let frame = tokio::select! {
                frame = self.socket.next() => frame,
                _ = self.ping.tick() => {
                    self.write(Message::Ping(Vec::new().into())).await?;
                    continue;
                }
                () = sleep_until(deadline) => {
                    return Err(Fault::Broken("it has fallen silent".into()));
                }
            };
            self.heard = Instant::now();
            match frame {
                Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
                Some(Ok(Message::Close(Some(close)))) if !close.reason.is_empty() => {
                    return Err(Fault::Broken(shortened(&close.reason)));
                }
                Some(Ok(Message::Close(_))) | None => {
                    return Err(Fault::Broken("it closed the connection".into()));
                }
                Some(Ok(Message::Binary(_))) => {
                    return Err(Fault::Refused(
                        "it does not speak skiplens' protocol".into(),
                    ));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(Fault::Broken(error_text::websocket(&error))),
            }
        }
    }

    /// Says goodbye, as far as the server listens.
    pub async fn close(mut self) {
        let _ = timeout(Duration::from_secs(1), self.socket.close(None)).await;
    }
}

/// A text of the other side, cut to a readable length.
fn shortened(text: &str) -> String {
    const MAX: usize = 300;
    text.chars().take(MAX).collect()
}
