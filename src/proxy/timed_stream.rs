//! One direction of an HTTP/1.1 connection: waits and writes with an idle timeout.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::num::NonZeroU32;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::fleet::AckStalls;
use crate::message::Rejection;
use crate::net::{LazyDeadline, Stream, Tick, Timers};

use super::error::{ClientError, UpstreamError};

/// Errors of reading or writing one side of a connection.
#[derive(Debug)]
pub(super) enum IoError {
    Closed(Option<io::Error>),
    Invalid(Rejection),
    IdleTimeout,
}

/// One direction of a connection and its idle timeout.
pub(super) struct TimedStream<'s> {
    pub(super) stream: &'s Stream,
    silence: LazyDeadline<'s>,
}

/// A time in milliseconds, small enough for the box of a request; it is odd, so that none takes no more room.
#[derive(Clone, Copy)]
struct Millis(NonZeroU32);

/// Progress of a write.
#[derive(Default)]
pub(super) struct Written {
    pub(super) bytes: usize,
    is_waiting: bool,
}

// === impl Millis ===

impl Millis {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it begins anew after 49 days, and pauses are shorter"
    )]
    const fn of(time: Tick) -> Self {
        Self(NonZeroU32::MIN.saturating_add(time.millis() as u32 & !1))
    }

    const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.get().wrapping_sub(earlier.0.get()) as u64)
    }
}

// === impl TimedStream ===

impl<'s> TimedStream<'s> {
    pub(super) fn new(stream: &'s Stream, timers: &'s Timers, silence: Duration) -> Self {
        Self {
            stream,
            silence: timers.limit(silence),
        }
    }

    /// Waits until bytes can be read, up to the idle timeout. Cancellation safe. `stalls` are given inside a message, where
    /// the peer may wait for an acknowledgement.
    ///
    /// Not an `async fn`: that would keep its arguments twice, in the box of each request.
    pub(super) fn readable(
        &self,
        stalls: Option<&AckStalls>,
    ) -> impl Future<Output = Result<(), IoError>> {
        let mut since = None;
        poll_fn(move |cx| {
            if let Poll::Ready(result) = self.stream.poll_readable(cx) {
                if let (Some(stalls), Some(since)) = (stalls, since) {
                    self.resume(stalls, since);
                }
                return Poll::Ready(result.map_err(|error| IoError::Closed(Some(error))));
            }
            if since.is_none() {
                since = Some(self.pause(stalls));
            }
            self.silence
                .poll_expired(cx)
                .map(|()| Err(IoError::IdleTimeout))
        })
    }

    /// Begins to wait. Returns the time.
    fn pause(&self, stalls: Option<&AckStalls>) -> Millis {
        self.silence.start();
        if stalls.is_some_and(AckStalls::are_likely) {
            self.stream.acknowledge();
        }
        Millis::of(self.silence.timers().recent())
    }

    /// Learns from a wait inside a message.
    #[cold]
    fn resume(&self, stalls: &AckStalls, since: Millis) {
        stalls.observe(Millis::of(self.silence.timers().now()).since(since));
    }

    /// Writes all of `slices`; the idle timeout applies to each wait.
    pub(super) async fn write(&self, slices: &mut [IoSlice<'_>]) -> Result<(), IoError> {
        let mut written = Written::default();
        poll_fn(|cx| self.poll_write(cx, &mut slices.to_vec(), &mut written)).await
    }

    /// Does the same, and continues an earlier write: the slices have to be the same each time.
    pub(super) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        slices: &mut [IoSlice<'_>],
        written: &mut Written,
    ) -> Poll<Result<(), IoError>> {
        let mut slices = slices;
        IoSlice::advance_slices(&mut slices, written.bytes);
        let count = |slices: &[IoSlice<'_>]| slices.iter().map(|slice| slice.len()).sum::<usize>();
        let before = count(slices);
        let polled = self.stream.poll_write_all(cx, &mut slices);
        let moved = before - count(slices);
        written.bytes += moved;
        if let Poll::Ready(result) = polled {
            return Poll::Ready(result.map_err(|error| IoError::Closed(Some(error))));
        }
        written.is_waiting &= moved == 0;
        self.poll_silent(cx, &mut written.is_waiting)
    }

    fn poll_silent<T>(&self, cx: &mut Context<'_>, armed: &mut bool) -> Poll<Result<T, IoError>> {
        if !std::mem::replace(armed, true) {
            self.silence.start();
        }
        self.silence
            .poll_expired(cx)
            .map(|()| Err(IoError::IdleTimeout))
    }
}

// === impl IoError ===

impl From<IoError> for ClientError {
    fn from(error: IoError) -> Self {
        match error {
            IoError::Closed(_) => Self::Gone,
            IoError::Invalid(rejection) => Self::Invalid(rejection),
            IoError::IdleTimeout => Self::Silent,
        }
    }
}

impl From<IoError> for UpstreamError {
    fn from(error: IoError) -> Self {
        match error {
            IoError::Closed(source) => Self::Closed(source),
            IoError::Invalid(rejection) => Self::Invalid(rejection),
            IoError::IdleTimeout => Self::IdleTimeout,
        }
    }
}
