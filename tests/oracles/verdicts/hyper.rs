//! The reading of hyper, over a pipe in memory. It shares httparse with us, so it is not an independent reader.

use std::{cell::RefCell, convert::Infallible, rc::Rc};

use http_body_util::{BodyExt, Empty};
use hyper::{
    HeaderMap, Request, Response,
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::message::{Message, Reading, pair, text};

const PIPE: usize = 1 << 20;

/// The reading of a hyper server.
pub(crate) async fn request(bytes: &[u8]) -> Reading {
    let messages = Rc::new(RefCell::new(Vec::new()));
    let (mut client, server) = tokio::io::duplex(PIPE);
    client.write_all(bytes).await.expect("the pipe has room");
    client.shutdown().await.expect("the pipe is open");
    let read = messages.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let read = read.clone();
        async move {
            let (head, body) = request.into_parts();
            let start = head.method.as_str().to_owned();
            let target = head.uri.to_string();
            if let Ok(body) = body.collect().await {
                read.borrow_mut()
                    .push(message(start, target, &head.headers, body));
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(server), service)
        .await;
    let mut answers = Vec::new();
    client
        .read_to_end(&mut answers)
        .await
        .expect("the pipe is closed");
    let is_refused = served.as_ref().is_err_and(hyper::Error::is_parse)
        || text(&answers).contains("HTTP/1.1 400");
    let reason = served
        .err()
        .map_or(String::new(), |error| error.to_string());
    Reading {
        messages: messages.take(),
        outcome: if is_refused { "reject" } else { "done" },
        reason,
    }
}

/// The reading of a hyper client, informational responses left out.
pub(crate) async fn response(bytes: &[u8], asked: &str) -> Reading {
    let (client, mut server) = tokio::io::duplex(PIPE);
    let answer = async {
        // A response that comes before the request would be an error of its own.
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(server.read_u8().await.expect("hyper sends the request"));
        }
        // It closes in the middle of a message that it refuses.
        let _ = server.write_all(bytes).await;
        let _ = server.shutdown().await;
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(client))
        .await
        .expect("nothing is read yet");
    let request = Request::builder()
        .method(asked)
        .uri("/")
        .header("host", "a.example")
        .body(Empty::<Bytes>::new());
    let exchange = async {
        let (head, body) = sender
            .send_request(request.expect("a valid request"))
            .await?
            .into_parts();
        let start = head.status.as_u16().to_string();
        let body = body.collect().await?;
        drop(sender);
        Ok::<_, hyper::Error>(message(start, String::new(), &head.headers, body))
    };
    match tokio::join!(exchange, connection, answer).0 {
        Ok(message) => Reading {
            messages: vec![message],
            outcome: "done",
            reason: String::new(),
        },
        Err(error) => {
            let outcome = if error.is_incomplete_message() {
                "more"
            } else {
                "reject"
            };
            Reading {
                messages: Vec::new(),
                outcome,
                reason: error.to_string(),
            }
        }
    }
}

fn message(
    start: String,
    target: String,
    fields: &HeaderMap,
    body: http_body_util::Collected<Bytes>,
) -> Message {
    let list = |fields: &HeaderMap| {
        fields
            .iter()
            .map(|(name, value)| pair(name.as_str().as_bytes(), value.as_bytes()))
            .collect()
    };
    let trailers = body.trailers().map(list).unwrap_or_default();
    Message {
        start,
        target,
        fields: list(fields),
        body: text(&body.to_bytes()),
        trailers,
    }
}
