//! How an HTTP/1.1 connection ends: an answer to bytes that are no request, and a close that lets its client read it.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::Poll;
use std::time::Duration;

use crate::http1::HeadWriter;
use crate::message::{Rejection, ResponseFraming};
use crate::net::{BufferSize, Stream};

use super::error::ProxyError;
use super::forward::RequestId;
use super::http1_body::Channel;
use super::problem;
use super::settings::PeerInfo;
use super::worker::Worker;

/// How long a client may take to read the end of an answer after which nothing follows.
const LINGER: Duration = Duration::from_secs(2);
/// How much of a request that nobody wants is read, so that its client sees the answer rather than a reset.
const LINGER_BYTES: usize = 256 * 1024;

/// Answers bytes that are no request, and closes.
pub(super) async fn reject(worker: &Worker, stream: &Stream, peer: PeerInfo, rejection: Rejection) {
    let error = ProxyError::Refused(rejection);
    error.reason().count();
    tracing::debug!(client = %peer.client, reason = rejection.reason.as_str(), "request refused");
    let id = RequestId::Own(u128::from(worker.draw()));
    let body = problem::problem(&error, &id);
    let mut out = worker.take_head();
    let mut writer = HeadWriter::response(&mut out, error.status(), b"");
    problem::write_fields(&mut writer, &error, &id);
    writer.add("connection", "close");
    let length = ResponseFraming::Length(body.len() as u64);
    if writer.finish(length).is_ok() {
        let channel = Channel::new(stream, &worker.timers, LINGER);
        let mut slices = [IoSlice::new(&out), IoSlice::new(&body)];
        if channel.write(&mut slices).await.is_ok() {
            close(worker, stream, false).await;
        }
    }
    worker.give_head(out);
}

/// Ends a connection so that the client can read what it was sent: closing with bytes unread would reset it.
pub(super) async fn close(worker: &Worker, stream: &Stream, everything_is_read: bool) {
    stream.shutdown_write();
    if everything_is_read {
        return;
    }
    let deadline = worker.timers.deadline();
    deadline.set_from_now(LINGER);
    let mut scrap = worker.buffers.take(BufferSize::Small);
    let mut read = 0;
    while read < LINGER_BYTES {
        let readable = poll_fn(|cx| match stream.poll_readable(cx) {
            Poll::Ready(result) => Poll::Ready(result.is_ok()),
            Poll::Pending => deadline.poll_expired(cx).map(|()| false),
        });
        if !readable.await {
            return;
        }
        match stream.try_read(scrap.space()) {
            Ok(some @ 1..) => read += some,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => return,
        }
    }
}
