//! How a client's connection ends: an answer to bytes that are no request, and a close that lets its client read it.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::Poll;
use std::time::Duration;

use crate::http1::HeadWriter;
use crate::net::{BufferSize, Deadline, Stream};

use super::error::ProxyError;
use super::forward::RequestId;
use super::http1_body::TimedStream;
use super::problem::Own;
use super::refused_head::RefusedHead;
use super::settings::PeerInfo;
use super::worker::Worker;

/// How long a client may send nothing while it reads the end of an answer after which nothing follows.
const QUIET: Duration = Duration::from_secs(2);
/// How long all of that may take.
const LINGER: Duration = Duration::from_secs(10);
/// How much of what nobody wants is read meanwhile, so that its client sees the answer rather than a reset.
const LINGER_BYTES: usize = 1024 * 1024;

/// Answers bytes that are no request, and closes.
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

/// Ends a connection so that the client can read what it was sent: a close while bytes of the client's are unread, or on
/// their way, would reset it, and what the client has not read yet would be gone. So what comes is read, until the client
/// ends its side as well, or for as long as is reasonable.
pub(super) async fn close(worker: &Worker, stream: &Stream) {
    stream.shutdown_write();
    linger(worker, stream).await;
}

/// Reads and throws away what comes behind the end of our direction.
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
        // Most clients end their side at once, and need no buffer for that.
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
