//! I/O of one HTTP/2 connection: a socket and the protocol engine on it.
//!
//! Received bytes go into the engine at once, from a buffer that is held only while a frame in it is incomplete. The
//! engine's output is written once at the end of the poll that produced it, so that a token leaves at once and a
//! hundred streams share a system call.

use std::cell::{Cell, RefCell, RefMut};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use crate::http2::Connection;
use crate::net::{Buffer, BufferPool, BufferSize, Stream};
use crate::proxy::budget::Spent;
use crate::proxy::poll_again::poll_again;

/// One connection.
pub(super) struct Http2Io {
    stream: Stream,
    pool: Rc<BufferPool>,
    engine: RefCell<Connection>,
    /// Bytes of an incomplete frame.
    input: RefCell<Option<Buffer>>,
    opened: Instant,
    received: Cell<u64>,
    /// The last read filled its buffer: more is available than a small one holds.
    is_busy: Cell<bool>,
}

// === impl Http2Io ===

impl Http2Io {
    /// Takes over a connection, with the bytes read so far.
    pub(super) fn new(
        stream: Stream,
        before: Option<Buffer>,
        pool: Rc<BufferPool>,
        engine: Connection,
    ) -> Rc<Self> {
        Rc::new(Self {
            stream,
            pool,
            engine: RefCell::new(engine),
            input: RefCell::new(before.filter(|buffer| !buffer.is_empty())),
            opened: Instant::now(),
            received: Cell::new(0),
            is_busy: Cell::new(false),
        })
    }

    /// The engine; must not be held across an await.
    pub(super) fn engine(&self) -> RefMut<'_, Connection> {
        self.engine.borrow_mut()
    }

    /// Bytes received so far: growth proves that the peer is alive.
    pub(super) fn received(&self) -> u64 {
        self.received.get()
    }

    /// True if a frame was received in part.
    pub(super) fn is_within_frame(&self) -> bool {
        let input = self.input.borrow();
        input.as_ref().is_some_and(|buffer| !buffer.is_empty())
    }

    /// Writes all pending output and ends our direction; false if the peer no longer reads. The caller sets the
    /// deadline.
    pub(super) async fn finish(&self) -> bool {
        let is_sent = poll_fn(|cx| self.poll_drain(cx)).await.is_ok();
        if is_sent {
            self.stream.shutdown_write();
        }
        is_sent
    }

    /// The underlying connection.
    pub(super) const fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Feeds received bytes to the engine; ready once nothing more will be received.
    pub(super) fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.engine().lend(|| self.pool.take_growable());
        let mut spent = Spent::default();
        loop {
            if self.feed().is_err() {
                return Poll::Ready(());
            }
            if self.engine().is_full() {
                // The caller drains next, and polls again once that has made room.
                return Poll::Pending;
            }
            match ready!(self.poll_read(cx)) {
                Ok(0) | Err(_) => {
                    self.engine().lost();
                    return Poll::Ready(());
                }
                Ok(n) => {
                    self.received.set(self.received.get() + n as u64);
                    if spent.spend(n) {
                        break;
                    }
                }
            }
        }
        poll_again(cx);
        if self.feed().is_err() {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Feeds the buffered bytes to the engine.
    fn feed(&self) -> Result<(), ()> {
        let mut input = self.input.borrow_mut();
        let Some(buffer) = input.as_mut() else {
            return self.engine().broken().map_or(Ok(()), |_| Err(()));
        };
        let taken = self
            .engine()
            .receive(buffer.data(), self.now_ms())
            .map_err(drop)?;
        buffer.consume(taken);
        if buffer.is_empty() {
            *input = None;
        }
        Ok(())
    }

    fn poll_read(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_readable(cx))?;
            let mut input = self.input.borrow_mut();
            let buffer = input.get_or_insert_with(|| self.pool.take(self.size()));
            if buffer.space().is_empty() {
                buffer.compact();
            }
            if buffer.space().is_empty() && !buffer.grow() {
                return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
            }
            let space = buffer.space();
            let room = space.len();
            match self.stream.try_read(space) {
                Ok(n) => {
                    buffer.filled(n);
                    self.is_busy.set(n == room);
                    return Poll::Ready(Ok(n));
                }
                Err(error) => {
                    if buffer.is_empty() {
                        *input = None;
                    }
                    if error.kind() != io::ErrorKind::WouldBlock {
                        return Poll::Ready(Err(error));
                    }
                }
            }
        }
    }

    fn size(&self) -> BufferSize {
        if self.is_busy.get() {
            self.pool.for_body(BufferSize::Medium)
        } else {
            BufferSize::Small
        }
    }

    /// Writes the engine's output; ready once all of it is written. Must be called at the end of each poll.
    pub(super) fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut engine = self.engine();
        while !engine.outgoing().is_empty() {
            match self.stream.try_write(engine.outgoing()) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(n) => engine.sent(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.stream.poll_writable(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        if let Some(memory) = engine.take_memory() {
            self.pool.recycle_growable(memory);
        }
        self.stream.poll_flush(cx)
    }

    /// True if output is pending.
    pub(super) fn has_more(&self) -> bool {
        !self.engine().outgoing().is_empty()
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
