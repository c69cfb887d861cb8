//! A response as server-sent events, one per round. Waiting clients get their position in the queue as a comment.

use super::answer::{Progress, Step};
use super::api::response::{Choice, ChoiceContent, Delta};
use super::engine::{Ticket, Update};
use super::error::ApiError;
use super::plan::Shape;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::stream::unfold;
use serde::Serialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

/// Interval after which a comment keeps a silent stream alive.
const SILENCE: Duration = Duration::from_secs(10);

struct Stream {
    progress: Progress,
    updates: UnboundedReceiver<Update>,
    ticket: Ticket,
    /// Whether the job waits in the queue.
    waits: bool,
    /// The position reported last.
    place: Option<usize>,
    /// Events to send.
    ready: VecDeque<Bytes>,
    over: bool,
}

/// The response that streams an answer. Dropping it cancels the job.
pub fn response(
    progress: Progress,
    updates: UnboundedReceiver<Update>,
    ticket: Ticket,
) -> Response {
    let mut stream = Stream {
        progress,
        updates,
        ticket,
        waits: true,
        place: None,
        ready: VecDeque::new(),
        over: false,
    };
    stream.tell_place();
    let body = unfold(stream, |mut stream| async {
        let bytes = stream.next().await?;
        Some((Ok::<_, Infallible>(bytes), stream))
    });
    let mut response = Body::from_stream(body).into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Otherwise nginx would buffer the events.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

impl Stream {
    async fn next(&mut self) -> Option<Bytes> {
        while self.ready.is_empty() {
            if self.over {
                return None;
            }
            tokio::select! {
                biased;
                update = self.updates.recv() => self.take(update),
                () = self.ticket.moved(), if self.waits => self.tell_place(),
                () = tokio::time::sleep(SILENCE) => self.ready.push_back(Bytes::from_static(b": \n\n")),
            }
        }
        self.ready.pop_front()
    }

    /// Sends the position in the queue, if it changed since the last report.
    fn tell_place(&mut self) {
        let place = self.ticket.position();
        if let Some(place) = place.filter(|_| self.place != place) {
            let comment = format!(": number {place} in the queue\n\n");
            self.ready.push_back(comment.into());
        }
        self.place = place;
    }

    fn take(&mut self, update: Option<Update>) {
        let starts = matches!(update, Some(Update::Started { .. }));
        match self.progress.take(update) {
            Ok(Step::Nothing) if starts => {
                self.waits = false;
                self.open_choices();
            }
            Ok(Step::Nothing) => {}
            Ok(Step::Piece(piece)) => {
                if piece.says_something() {
                    let ends = piece.stop.is_some();
                    let choice = self.progress.choice(piece, false);
                    let mut chunk = self.progress.envelope(vec![choice]);
                    chunk.timings = ends.then(|| self.progress.timings());
                    chunk.usage = self.progress.plan.includes_usage.then_some(None);
                    self.event(&chunk);
                }
            }
            Ok(Step::Done) => {
                if self.progress.plan.includes_usage {
                    let chunk = self.progress.closing(Vec::new());
                    self.event(&chunk);
                }
                self.end();
            }
            Err(error) => {
                self.event(&error.body());
                self.end();
            }
        }
    }

    /// The role of every choice of a chat, before its first text.
    fn open_choices(&mut self) {
        if self.progress.plan.shape != Shape::Chat {
            return;
        }
        for index in 0..self.progress.plan.choices() {
            let delta = Delta {
                role: Some("assistant"),
                content: Some(String::new()),
            };
            let mut chunk = self.progress.envelope(vec![Choice {
                index,
                content: ChoiceContent::ChatChunk {
                    delta,
                    logprobs: None,
                },
                finish_reason: None,
                stop_reason: None,
                skiplens: None,
            }]);
            chunk.usage = self.progress.plan.includes_usage.then_some(None);
            self.event(&chunk);
        }
    }

    fn event(&mut self, value: &impl Serialize) {
        let json = serde_json::to_string(value)
            .or_else(|fault| serde_json::to_string(&ApiError::internal(fault.to_string()).body()));
        let json = json.unwrap_or_default();
        self.ready.push_back(format!("data: {json}\n\n").into());
    }

    fn end(&mut self) {
        self.ready
            .push_back(Bytes::from_static(b"data: [DONE]\n\n"));
        self.over = true;
    }
}
