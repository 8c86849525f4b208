//! Tokens as server-sent events.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use hyper::body::Frame;
use serde::Deserialize;
use tokio::{sync::mpsc, time::sleep};

use super::agent::Agent;
use crate::model::HumanDuration;

/// Most tokens in one stream, and longest pause between two.
const MOST_TOKENS: u32 = 100_000;
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Query arguments of a stream.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    tokens: u32,
    every: HumanDuration,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            tokens: 20,
            every: HumanDuration(Duration::from_millis(100)),
        }
    }
}

/// A stream of tokens, each of which names the release; complete ones end with `[DONE]`.
pub(super) fn stream(agent: &Agent, asked: &Asked, cut: bool) -> Response {
    let tokens = asked.tokens.min(MOST_TOKENS);
    let every = asked.every.0.min(LONGEST_PAUSE);
    let (release, version) = (agent.release.clone(), agent.version.clone());
    let (sender, receiver) = mpsc::channel(1);
    // The task ends with the stream: at the latest when the receiver is dropped.
    tokio::spawn(async move {
        for number in 0..tokens {
            if cut && number == tokens / 2 {
                let broken = io::Error::other("the stream is aborted by an injected fault");
                let _ = sender.send(Err(broken)).await;
                return;
            }
            let event = format!(
                "data: {{\"release\":\"{release}\",\"version\":\"{version}\",\"token\":{number}}}\n\n"
            );
            if sender.send(Ok(event.into())).await.is_err() {
                return;
            }
            sleep(every).await;
        }
        // A client that left right at the end has missed nothing.
        let _ = sender
            .send(Ok(Bytes::from_static(b"data: [DONE]\n\n")))
            .await;
    });
    let head = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
    ];
    (head, Body::new(Tokens(receiver))).into_response()
}

/// A body that is sent chunk by chunk, or aborted.
struct Tokens(mpsc::Receiver<io::Result<Bytes>>);

impl hyper::body::Body for Tokens {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = self.0.poll_recv(cx);
        piece.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
