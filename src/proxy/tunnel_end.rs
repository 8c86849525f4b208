//! One end of a tunnel: a connection of its own, or a stream of a shared one.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::h2::StreamHandle;
use super::lingering_close;
use super::worker::Worker;
use crate::http2::{BodyEvent, Code, StreamError};
use crate::net::{Buffer, BufferSize, Stream};

/// Timeout for a stream's end once our direction has ended.
const LINGER: Duration = Duration::from_secs(1);

/// One end.
#[derive(Clone, Copy)]
pub(super) enum TunnelEnd<'t> {
    /// A connection of its own.
    Socket(&'t Stream),
    /// A stream of HTTP/2.
    Stream(&'t StreamHandle),
}

/// Bytes read from one end, to be written to the other.
pub(super) enum Received {
    /// From a connection.
    Buffer(Buffer),
    /// From a stream; takes part of its window until written.
    Data(Vec<u8>),
}

/// The end was aborted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aborted;

impl From<io::Error> for Aborted {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl From<StreamError> for Aborted {
    fn from(_: StreamError) -> Self {
        Self
    }
}

// === impl Received ===

impl Received {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Buffer(buffer) => buffer.data(),
            Self::Data(data) => data,
        }
    }
}

// === impl TunnelEnd ===

impl TunnelEnd<'_> {
    /// Waits for bytes; `None` when the other side has ended its direction.
    pub(super) async fn read(self, worker: &Worker) -> Result<Option<Received>, Aborted> {
        match self {
            Self::Socket(stream) => loop {
                stream.readable().await?;
                let mut buffer = worker.buffers.take(BufferSize::Small);
                match stream.try_read(buffer.space()) {
                    Ok(0) => return Ok(None),
                    Ok(read) => {
                        buffer.filled(read);
                        return Ok(Some(Received::Buffer(buffer)));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.into()),
                }
            },
            Self::Stream(handle) => {
                let mut data = Vec::new();
                let taken = poll_fn(|cx| handle.engine().poll_take(handle.key(), cx, &mut data));
                Ok(match taken.await? {
                    BodyEvent::Data { .. } => Some(Received::Data(data)),
                    // A tunnel has no trailers (RFC 9113, section 8.5).
                    BodyEvent::End(_) => None,
                })
            }
        }
    }

    /// Sends all of `bytes`.
    pub(super) async fn write(self, bytes: &[u8]) -> Result<(), Aborted> {
        match self {
            Self::Socket(stream) => {
                let mut slices = [IoSlice::new(bytes)];
                stream.write_all_vectored(&mut slices).await?;
            }
            Self::Stream(handle) => {
                let mut rest = bytes;
                poll_fn(|cx| handle.poll_write(cx, &mut rest)).await?;
            }
        }
        Ok(())
    }

    /// Records that the bytes were written: a stream's peer may send as many again.
    pub(super) fn passed(self, received: &Received) {
        if let Self::Stream(handle) = self {
            handle
                .engine()
                .release_capacity(handle.key(), received.bytes().len());
        }
    }

    /// Ends our direction.
    pub(super) fn finish(self) {
        match self {
            Self::Socket(stream) => stream.shutdown_write(),
            Self::Stream(handle) => handle.finish(),
        }
    }

    /// Sends the last bytes and ends our direction, if all of them can be written at once: the rest would wait for a
    /// side that does not read.
    pub(super) fn finish_with(self, last: &[u8]) -> bool {
        let has_left = match self {
            Self::Socket(stream) => stream.try_write(last).is_ok(),
            Self::Stream(handle) => {
                let (mut rest, cx) = (last, Context::from_waker(Waker::noop()));
                matches!(handle.poll_write(&cx, &mut rest), Poll::Ready(Ok(())))
            }
        };
        if has_left && let Self::Stream(handle) = self {
            handle.finish();
        }
        has_left
    }

    /// Ready once a stream was reset; on an endpoint's stream, earlier data is still to be read.
    pub(super) fn poll_broken(self, cx: &Context<'_>) -> Poll<()> {
        match self {
            Self::Socket(_) => Poll::Pending,
            Self::Stream(handle) => handle.poll_broken(cx),
        }
    }

    /// Aborts this end because `other` was aborted. A stream is reset, and so is a connection if the other end is a
    /// stream (RFC 8441, section 5). A connection whose other end is a connection is closed, so that its last bytes are
    /// read.
    pub(super) fn abort(self, other: Self) {
        match (self, other) {
            (Self::Stream(handle), _) => handle.reset(Code::CANCEL),
            (Self::Socket(stream), Self::Stream(_)) => stream.reset_on_close(),
            (Self::Socket(_), Self::Socket(_)) => {}
        }
    }

    /// Waits, within limits, for the other side to end its direction as well, so that it reads our last bytes.
    pub(super) async fn linger(self, worker: &Worker) {
        match self {
            Self::Socket(stream) => lingering_close::close(worker, stream).await,
            Self::Stream(_) => {
                let deadline = worker.timers.deadline();
                deadline.set_from_now(LINGER);
                let end = async {
                    while let Ok(Some(received)) = self.read(worker).await {
                        self.passed(&received);
                    }
                };
                tokio::select! {
                    biased;
                    () = end => {}
                    () = deadline.expired() => {}
                }
            }
        }
    }
}
