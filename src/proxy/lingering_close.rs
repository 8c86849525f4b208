//! Lingering close of a client's connection, and the response to bytes that are no request.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::Poll;
use std::time::Duration;

use crate::http1::HeadWriter;
use crate::net::{BufferSize, Deadline, Stream};

use super::error::ProxyError;
use super::error_form::ErrorForm;
use super::forward::RequestId;
use super::http1_body::TimedStream;
use super::problem::Own;
use super::refused_head::RefusedHead;
use super::settings::PeerInfo;
use super::worker::Worker;

/// Idle timeout of a client that still reads the last response of its connection.
const QUIET: Duration = Duration::from_secs(2);
/// Timeout for the whole close.
const LINGER: Duration = Duration::from_secs(10);
/// Largest amount of unwanted bytes that is read meanwhile, so that the client sees the response and not a reset.
const LINGER_BYTES: usize = 1024 * 1024;

/// Responds to bytes that are no request, and closes.
pub(super) async fn reply_and_close(
    worker: &Worker,
    stream: &Stream,
    peer: PeerInfo,
    refused: RefusedHead<'_>,
) {
    let error = ProxyError::Refused(refused.rejection);
    error.reason().count();
    let id = RequestId::Own(u128::from(worker.random()));
    let own = Own {
        worker,
        id: &id,
        error: &error,
        form: ErrorForm::Problem,
        may_be_done: false,
        guarded: None,
        changes: None,
        to_head: refused.is_head(),
        request_is_read: false,
    };
    let body = own.body();
    let framing = own.framing(&body);
    let body = own.sent(body);
    refused.log(worker, peer, &id, body.len());
    let mut out = worker.take_buffer();
    let mut writer = HeadWriter::response(&mut out, error.status(), b"");
    own.write_fields(&mut writer);
    writer.add("connection", "close");
    if writer.finish(framing).is_ok() {
        let channel = TimedStream::new(stream, &worker.timers, QUIET);
        let mut slices = [IoSlice::new(&out), IoSlice::new(&body)];
        if channel.write(&mut slices).await.is_ok() {
            close(worker, stream).await;
        }
    }
    worker.recycle_buffer(out);
}

/// Closes a connection so that the client can read the last response. A close while bytes of the client are unread, or
/// on their way, would reset the connection and discard what the client has not read yet. So bytes are read until the
/// client closes its side as well, within limits.
pub(super) async fn close(worker: &Worker, stream: &Stream) {
    stream.shutdown_write();
    linger(worker, stream).await;
}

/// Reads and discards bytes after our side was shut down.
pub(super) async fn linger(worker: &Worker, stream: &Stream) {
    let (whole, quiet) = (worker.timers.deadline(), worker.timers.deadline());
    whole.set_from_now(LINGER);
    let mut scrap = None;
    let mut read = 0;
    while read < LINGER_BYTES {
        quiet.set_from_now(QUIET);
        if !is_readable(stream, [&whole, &quiet]).await {
            return;
        }
        // Most clients close their side at once, which needs no buffer.
        let scrap = scrap.get_or_insert_with(|| worker.buffers.take(BufferSize::Small));
        match stream.try_read(scrap.space()) {
            Ok(some @ 1..) => read += some,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => return,
        }
    }
}

async fn is_readable(stream: &Stream, deadlines: [&Deadline; 2]) -> bool {
    poll_fn(|cx| match stream.poll_readable(cx) {
        Poll::Ready(result) => Poll::Ready(result.is_ok()),
        Poll::Pending => {
            let is_over = deadlines.map(|deadline| deadline.poll_expired(cx).is_ready());
            if is_over.contains(&true) {
                Poll::Ready(false)
            } else {
                Poll::Pending
            }
        }
    })
    .await
}
