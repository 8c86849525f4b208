//! One connection, plain or TLS, used by reference: one task can read and write at once.
//!
//! Reads and writes never block; readiness is awaited first. After a short read the socket is known to be empty, so
//! there is no second read just to see `WouldBlock`: a request on a reused connection costs one read and one write.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Waker, ready};

use rustix::io::Errno;
use rustix::net::RecvFlags;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::tcp::{acknowledge_tcp, read_tcp, write_tcp};
use super::tls_stream::TlsStream;

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// Cleartext.
    Tcp(TcpStream),
    /// TLS, after its handshake.
    Tls(Box<TlsStream>),
}

/// Kind of end of the received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eof {
    /// An announced end: FIN, or `close_notify` on TLS.
    Clean,
    /// TLS without `close_notify`: an attacker may have truncated the data.
    Truncated,
}

// === impl Stream ===

impl Stream {
    /// Ready when a read is likely to return data or the end.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => tcp.poll_read_ready(cx),
            Self::Tls(tls) => tls.poll_readable(cx),
        }
    }

    /// Ready when a write is likely to take data.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_write_ready(cx)
    }

    /// Waits until a read is likely to return data or the end. Cancellation safe.
    ///
    /// # Errors
    /// When the runtime is shutting down.
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    /// Waits until a write is likely to take data. Cancellation safe.
    ///
    /// # Errors
    /// When the runtime is shutting down.
    pub async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_writable(cx)).await
    }

    /// Reads the available bytes; 0 is a clean end.
    ///
    /// # Errors
    /// `WouldBlock` when none are available, `UnexpectedEof` when a TLS connection was truncated, or the error of the
    /// system.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => read_tcp(tcp, buffer),
            Self::Tls(tls) => tls.try_read(buffer),
        }
    }

    /// Writes as much as fits. On TLS, bytes that were taken may still have to be flushed.
    ///
    /// # Errors
    /// `WouldBlock` when nothing fits, or the error of the system.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => write_tcp(tcp, &[IoSlice::new(bytes)]),
            Self::Tls(tls) => tls.try_write(&[IoSlice::new(bytes)]),
        }
    }

    /// Writes as much as fits of several slices.
    ///
    /// # Errors
    /// As [`Stream::try_write`].
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => write_tcp(tcp, slices),
            Self::Tls(tls) => tls.try_write(slices),
        }
    }

    /// Ready once all taken bytes were written to the socket.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Tls(tls) => tls.poll_flush(cx),
        }
    }

    /// Writes all of `slices`, which are advanced, and flushes; ready when nothing is left.
    #[expect(clippy::mut_mut, reason = "it is what `IoSlice::advance_slices` takes")]
    pub fn poll_write_all(
        &self,
        cx: &mut Context<'_>,
        slices: &mut &mut [IoSlice<'_>],
    ) -> Poll<io::Result<()>> {
        IoSlice::advance_slices(slices, 0);
        while !slices.is_empty() {
            match self.try_write_vectored(slices) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(n) => IoSlice::advance_slices(slices, n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.poll_writable(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.poll_flush(cx)
    }

    /// Writes all of `bytes` and flushes. Not cancellation safe: a part may have been written.
    ///
    /// # Errors
    /// The error of the system.
    pub async fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        self.write_all_vectored(&mut [IoSlice::new(bytes)]).await
    }

    /// Writes all of `slices` and flushes. Not cancellation safe.
    ///
    /// # Errors
    /// The error of the system.
    pub async fn write_all_vectored(&self, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut slices = slices;
        poll_fn(|cx| self.poll_write_all(cx, &mut slices)).await
    }

    /// Ends our direction: `close_notify` on TLS (as far as it fits), then FIN.
    pub fn shutdown_write(&self) {
        if let Self::Tls(tls) = self {
            tls.send_close_notify();
        }
        // An error here means that the connection is already gone.
        let _ = SockRef::from(self.tcp()).shutdown(Shutdown::Write);
    }

    /// Announces on TLS that no more data follows, without closing; does nothing on cleartext.
    pub fn close_notify(&self) {
        if let Self::Tls(tls) = self {
            tls.send_close_notify();
        }
    }

    /// Makes the close abrupt: the other side sees a reset, so that a truncated message never looks complete.
    pub fn reset_on_close(&self) {
        // An error here means that the connection is already gone.
        let _ = SockRef::from(self.tcp()).set_linger(Some(std::time::Duration::ZERO));
    }

    /// True if the connection is idle: no end, no error, no unexpected bytes.
    ///
    /// Costs no system call unless the runtime has seen an event.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        if self.poll_readable(&mut cx).is_pending() {
            return true;
        }
        let mut byte = [0];
        matches!(self.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// The same with a system call, which sees what the runtime has not seen yet. Bytes on a TLS connection may be those
    /// of the protocol.
    #[must_use]
    pub fn is_idle_now(&self) -> bool {
        let mut byte = [0_u8];
        match rustix::net::recv(self.tcp(), &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((0, _)) => false,
            Ok(_) => matches!(self, Self::Tls(_)),
            Err(error) => error == Errno::AGAIN,
        }
    }

    /// True if the other side has closed or reset its direction, even if there are unread bytes before that end.
    #[must_use]
    pub fn is_read_closed(&self) -> bool {
        let ready = pin!(self.tcp().ready(Interest::READABLE));
        let polled = ready.poll(&mut Context::from_waker(Waker::noop()));
        matches!(polled, Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }

    /// Acknowledges at once what has come: the peer may wait for it before it writes on.
    pub fn acknowledge(&self) {
        acknowledge_tcp(self.tcp());
    }

    /// The other side's address.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn peer_address(&self) -> io::Result<SocketAddr> {
        self.tcp().peer_addr()
    }

    /// The underlying socket.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(tcp) => tcp,
            Self::Tls(tls) => tls.tcp(),
        }
    }

    /// The TLS session, if there is one.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsStream> {
        match self {
            Self::Tcp(_) => None,
            Self::Tls(tls) => Some(tls),
        }
    }

    /// The protocol negotiated by ALPN.
    #[must_use]
    pub fn alpn(&self) -> Option<Vec<u8>> {
        self.tls().and_then(TlsStream::alpn)
    }
}
