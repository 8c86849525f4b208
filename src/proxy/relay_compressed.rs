//! The relay of a body that is compressed on its way.
//!
//! Compressed data is held until there is enough of it for a write, or until the endpoint pauses: then all that came can be
//! read by the client, so that a stream of records flows. A body that breaks off has no end, neither that of gzip nor that of
//! its framing.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::task::yield_now;

use super::budget::Budget;
use super::compressors::Compressor;
use super::error::ClientError;
use super::fair_queue::FairQueue;
use super::io::{BodyFrame, BodySink, BodySource, RelayError};
use super::relay_body::BodyAccount;
use super::taken_fields::TakenFields;

/// Bytes that are compressed at a time.
const PIECE: usize = 16 * 1024;
/// Compressed bytes that are sent without waiting for more.
const ENOUGH: usize = 8 * 1024;

/// Compressed data on its way to a sink.
struct Outgoing<'r, K, A> {
    sink: &'r mut K,
    account: &'r A,
    compressor: Box<Compressor>,
    bytes: Vec<u8>,
    /// Data went in that may not have come out.
    holds: bool,
}

/// Moves a body from source to sink, compressed. It is [`super::relay_body::relay_body`] but for that.
pub(super) async fn relay_compressed<'e, S: BodySource, K: BodySink<Error = ClientError>>(
    source: &mut S,
    sink: &mut K,
    taken: impl Fn() -> TakenFields<'e>,
    (account, compressor): (&impl BodyAccount, Box<Compressor>),
    queue: &FairQueue,
) -> Result<(), RelayError<S::Error, ClientError>> {
    if !source.is_ready() {
        sink.flush().await.map_err(RelayError::Sink)?;
    }
    let mut out = Outgoing {
        sink,
        account,
        compressor,
        bytes: Vec::new(),
        holds: false,
    };
    let mut budget = Budget::new(queue);
    loop {
        let frame = {
            let mut next = pin!(source.next_frame());
            if let Some(frame) = next_soon(&mut budget, next.as_mut(), out.holds).await {
                frame
            } else {
                out.flush().await.map_err(RelayError::Sink)?;
                poll_fn(|cx| budget.poll_next(cx, next.as_mut())).await
            }
        };
        let mut frame = frame.map_err(RelayError::Source)?;
        for piece in frame.data.chunks(PIECE) {
            out.write(piece).await.map_err(RelayError::Sink)?;
            if budget.spend(piece.len()) {
                yield_now().await;
            }
        }
        if frame.last {
            if let Some(trailers) = &mut frame.trailers {
                trailers.taken = taken();
            }
            return out.finish(frame).await.map_err(RelayError::Sink);
        }
    }
}

/// The next frame. If something is held, `None` if there is none even after a look at the sockets.
async fn next_soon<F: Future>(
    budget: &mut Budget<'_>,
    mut next: Pin<&mut F>,
    holds: bool,
) -> Option<F::Output> {
    let mut polled =
        |next: Pin<&mut F>, cx: &mut std::task::Context<'_>| budget.poll_next(cx, next);
    if !holds {
        return Some(poll_fn(|cx| polled(next.as_mut(), cx)).await);
    }
    for is_last in [false, true] {
        let now = poll_fn(|cx| Poll::Ready(polled(next.as_mut(), cx))).await;
        match now {
            Poll::Ready(frame) => return Some(frame),
            Poll::Pending if is_last => {}
            Poll::Pending => yield_now().await,
        }
    }
    None
}

impl<K: BodySink<Error = ClientError>, A: BodyAccount> Outgoing<'_, K, A> {
    /// Compresses data, and sends what is enough.
    async fn write(&mut self, data: &[u8]) -> Result<(), ClientError> {
        self.holds = true;
        let written = self.compressor.write(data, &mut self.bytes);
        written.map_err(|_| ClientError::Gone)?;
        if self.bytes.len() >= ENOUGH {
            self.send().await?;
        }
        Ok(())
    }

    /// Sends all that came.
    async fn flush(&mut self) -> Result<(), ClientError> {
        self.holds = false;
        let flushed = self.compressor.flush(&mut self.bytes);
        flushed.map_err(|_| ClientError::Gone)?;
        if self.bytes.is_empty() {
            return Ok(());
        }
        self.send().await
    }

    async fn send(&mut self) -> Result<(), ClientError> {
        self.account.add(self.bytes.len() as u64);
        self.sink.send(BodyFrame::more(&self.bytes)).await?;
        self.bytes.clear();
        Ok(())
    }

    /// Sends the end, with the trailers of the last frame.
    async fn finish(mut self, last: BodyFrame<'_>) -> Result<(), ClientError> {
        let finished = self.compressor.finish(&mut self.bytes);
        finished.map_err(|_| ClientError::Gone)?;
        self.account.add(self.bytes.len() as u64);
        let end = BodyFrame {
            data: &self.bytes,
            ..last
        };
        self.sink.send(end).await
    }
}
