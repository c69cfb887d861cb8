//! `/engine`: WebSockets through which playgrounds use engines of their own, or follow the requests of other clients.

mod engine;
mod follow;
mod frames;
mod models;

pub use models::Models;

use super::Shared;
use super::error::{ApiError, Result};
use crate::remote::{Hello, MAX_COMMAND, Mode, PROTOCOL, Welcome};
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use frames::Frames;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Max clients at a time: each has its own thread and sequences.
pub const MAX_CLIENTS: usize = 16;

/// Accepts the WebSocket of a client.
///
/// # Errors
/// If the request is not a WebSocket's or comes from a web page, or there are too many clients.
pub async fn open(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    upgrade: std::result::Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response> {
    // Browsers let any page open a WebSocket to any address, and send the page's origin.
    if headers.contains_key(header::ORIGIN) {
        return Err(ApiError::forbidden(
            "/engine is not for web pages; skiplens --connect uses it",
        ));
    }
    let upgrade = upgrade.map_err(|fault| {
        let message = format!("/engine is a WebSocket for skiplens --connect: {fault}");
        ApiError::invalid(message)
    })?;
    let place = shared.clients.clone().try_acquire_owned();
    let place = place.map_err(|_| ApiError::too_many_clients(MAX_CLIENTS))?;
    Ok(upgrade
        .max_message_size(MAX_COMMAND)
        .max_frame_size(MAX_COMMAND)
        .on_upgrade(move |socket| client(socket, shared, place)))
}

/// Serves a client until it leaves, falls silent, breaks the protocol, or the server ends.
async fn client(socket: WebSocket, shared: Arc<Shared>, place: OwnedSemaphorePermit) {
    let mut stopped = shared.stopped.clone();
    let mut frames = Frames::new(socket, shared.options.heartbeat);
    let hello = match frames.hello().await {
        Ok(hello) => hello,
        Err(end) => return frames.close(&end).await,
    };
    let mode = match admit(&hello, &shared) {
        Ok(mode) => mode,
        Err(refused) => {
            // A client that is gone needs no answer.
            let _ = frames.send(&Welcome::new(Some(refused))).await;
            return frames.close("").await;
        }
    };
    if let Err(end) = frames.send(&Welcome::new(None)).await {
        return frames.close(&end).await;
    }
    let (mut writer, mut reader) = frames.split();
    let end = match mode {
        Mode::Engine => engine::serve(&mut writer, &mut reader, &shared, &mut stopped, place).await,
        Mode::Watch => follow::serve(&mut writer, &mut reader, &shared, &mut stopped).await,
    };
    writer.close(reader, &end).await;
}

/// What a client connects for, or why it is refused.
fn admit(hello: &Hello, shared: &Shared) -> std::result::Result<Mode, String> {
    match hello.mode {
        Some(Mode::Watch) if hello.protocol == PROTOCOL && !shared.watch.is_allowed() => {
            Err("this server was started with --no-watch".to_owned())
        }
        Some(mode) if hello.protocol == PROTOCOL => Ok(mode),
        // A mode that is not known comes from another version, too.
        _ => Err(format!(
            "this server is skiplens {} (protocol {PROTOCOL}), the client {} (protocol {}); install the same version on both",
            env!("CARGO_PKG_VERSION"),
            hello.version.chars().take(40).collect::<String>(),
            hello.protocol
        )),
    }
}
