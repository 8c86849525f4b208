//! The socket below the HTTP/2 library: writes are gathered, inbound frames are metered.
//!
//! The library flushes after almost every frame of data. Here a flush only remembers; once the connection's future has
//! been polled, its owner calls [`Wire::poll_drain`], and everything that this poll has produced leaves in one write. So
//! a token leaves at the end of the poll that brought it, and a hundred streams share a system call.
//!
//! When the meter's verdict gets worse, reading pauses until the owner has taken note of it, so that a flood cannot run
//! on inside one poll.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::budget::Verdict;
use super::meter::Meter;
use crate::net::{Buffer, BufferPool, BufferSize, Stream};

/// What is gathered before the library has to wait.
const GATHERED: usize = 64 * 1024;

/// One connection's socket with what is on its way out.
pub(super) struct Wire {
    stream: Stream,
    pool: Rc<BufferPool>,
    /// Bytes that were read before the library took over.
    before: RefCell<Option<Buffer>>,
    out: RefCell<Option<Buffer>>,
    meter: Option<RefCell<Meter>>,
    noted: Cell<Verdict>,
    opened: Instant,
    received: Cell<u64>,
    failed: Cell<bool>,
}

/// The wire as the library wants it.
pub(super) struct WireIo(Rc<Wire>);

// === impl Wire ===

impl Wire {
    /// Takes a connection over, with what was read of it already. Without a meter nothing is counted.
    pub(super) fn new(
        stream: Stream,
        before: Option<Buffer>,
        pool: Rc<BufferPool>,
        meter: Option<Meter>,
    ) -> Rc<Self> {
        Rc::new(Self {
            stream,
            pool,
            before: RefCell::new(before.filter(|buffer| !buffer.is_empty())),
            out: RefCell::new(None),
            meter: meter.map(RefCell::new),
            noted: Cell::new(Verdict::Calm),
            opened: Instant::now(),
            received: Cell::new(0),
            failed: Cell::new(false),
        })
    }

    /// The library's side.
    pub(super) fn io(self: &Rc<Self>) -> WireIo {
        WireIo(Rc::clone(self))
    }

    /// Bytes received so far: whether they have grown says whether the peer is alive.
    pub(super) fn received(&self) -> u64 {
        self.received.get()
    }

    /// Whether the path of a stream's request had a fragment, which the library does not show.
    pub(super) fn take_fragment(&self, stream: u32) -> bool {
        let take = |meter: &RefCell<Meter>| meter.borrow_mut().take_fragment(stream);
        self.meter.as_ref().is_some_and(take)
    }

    /// Whether the trailers of a stream's request had pseudo-fields, which the library does not show.
    pub(super) fn take_bad_trailers(&self, stream: u32) -> bool {
        let take = |meter: &RefCell<Meter>| meter.borrow_mut().take_bad_trailers(stream);
        self.meter.as_ref().is_some_and(take)
    }

    /// The verdict, if it is worse than the one that was taken last. Reading goes on after that, unless it was the last.
    pub(super) fn take_verdict(&self) -> Option<Verdict> {
        let verdict = self.verdict();
        (verdict > self.noted.replace(verdict)).then_some(verdict)
    }

    fn verdict(&self) -> Verdict {
        let verdict = |meter: &RefCell<Meter>| meter.borrow().verdict();
        self.meter.as_ref().map_or(Verdict::Calm, verdict)
    }

    fn is_paused(&self) -> bool {
        let verdict = self.verdict();
        verdict == Verdict::Close || verdict > self.noted.get()
    }

    /// Sends what was gathered; ready once all of it has left. To be called after each poll of the connection.
    pub(super) fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.failed.get() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let mut out = self.out.borrow_mut();
        while let Some(buffer) = out.as_mut() {
            match self.stream.try_write(buffer.data()) {
                Ok(0) => return self.fail(io::ErrorKind::WriteZero.into()),
                Ok(n) => buffer.consume(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.stream.poll_writable(cx))?;
                }
                Err(error) => return self.fail(error),
            }
            if buffer.is_empty() {
                *out = None;
            }
        }
        self.stream.poll_flush(cx)
    }

    fn fail(&self, error: io::Error) -> Poll<io::Result<()>> {
        self.failed.set(true);
        Poll::Ready(Err(error))
    }

    /// Makes closing abrupt, so that nothing of ours looks whole.
    pub(super) fn reset_on_close(&self) {
        self.stream.reset_on_close();
    }

    fn take_before(&self, buffer: &mut ReadBuf<'_>) -> usize {
        let mut before = self.before.borrow_mut();
        let Some(bytes) = before.as_mut() else {
            return 0;
        };
        let n = bytes.len().min(buffer.remaining());
        buffer.put_slice(&bytes.data()[..n]);
        bytes.consume(n);
        if bytes.is_empty() {
            *before = None;
        }
        n
    }

    fn poll_receive(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.take_before(buffer) > 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.stream.poll_readable(cx))?;
            match self.stream.try_read(buffer.initialize_unfilled()) {
                Ok(n) => {
                    buffer.advance(n);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn count_received(&self, bytes: &[u8]) {
        self.received.set(self.received.get() + bytes.len() as u64);
        if let Some(meter) = &self.meter {
            meter.borrow_mut().received(bytes, || self.now_ms());
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Takes what fits of `bytes`.
    fn gather(&self, bytes: &[u8]) -> usize {
        let mut out = self.out.borrow_mut();
        let buffer = out.get_or_insert_with(|| self.pool.take(BufferSize::Small));
        let n = bytes.len().min(GATHERED.saturating_sub(buffer.len()));
        if n == 0 || !buffer.append(&bytes[..n]) {
            return 0;
        }
        if let Some(meter) = &self.meter {
            meter.borrow_mut().sent(&bytes[..n], || self.now_ms());
        }
        n
    }

    fn poll_gather(
        &self,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.failed.get() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        loop {
            let mut total = 0;
            for slice in slices.iter().filter(|slice| !slice.is_empty()) {
                let n = self.gather(slice);
                total += n;
                if n < slice.len() {
                    break;
                }
            }
            if total > 0 || slices.iter().all(|slice| slice.is_empty()) {
                return Poll::Ready(Ok(total));
            }
            ready!(self.poll_drain(cx))?;
        }
    }
}

// === impl WireIo ===

impl AsyncRead for WireIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = &self.0;
        if wire.is_paused() {
            // Whoever polls the connection looks at the verdict next.
            return Poll::Pending;
        }
        let start = buffer.filled().len();
        ready!(wire.poll_receive(cx, buffer))?;
        wire.count_received(&buffer.filled()[start..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WireIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_gather(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_gather(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.0.poll_drain(cx))?;
        self.0.stream.shutdown_write();
        Poll::Ready(Ok(()))
    }
}
