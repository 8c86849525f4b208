//! A TLS connection over a socket, used directly: no task, no split halves, no buffer of its own while idle.
//!
//! The session is borrowed only inside synchronous calls, never across an await, so that one task can read and write
//! at once. Ciphertext is read into a scratch buffer of the thread, up to a whole record at a time, and fed from there.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::task::{Context, Poll, ready};

use rustls::Connection;
use tokio::net::TcpStream;

use super::tcp::{read_tcp, write_tcp};
use super::tls_refusal::{PLAIN_HTTP_RESPONSE, PlainHttp, TlsRefusal, is_plain_http};

const SCRATCH: usize = 32 * 1024;
/// Largest part of a plaintext request that is read, so that its client sees the response and not a reset.
const LINGER_BYTES: usize = 64 * 1024;

thread_local! {
    static CIPHERTEXT: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// A TLS connection after its handshake.
pub struct TlsStream {
    tcp: TcpStream,
    session: RefCell<Session>,
}

struct Session {
    connection: Connection,
    /// Decrypted bytes that can be read.
    plaintext: usize,
    /// Ciphertext that the session could not take yet; nearly always empty.
    leftover: Vec<u8>,
    /// The socket has reached its end.
    eof: bool,
    /// The first bytes were HTTP, not TLS.
    got_plain_http: bool,
}

/// Adapts a socket to the traits of the TLS library.
struct Socket<'a>(&'a TcpStream);

// === impl TlsStream ===

impl TlsStream {
    /// Runs the handshake to its end. The caller sets the deadline.
    ///
    /// # Errors
    /// The error of the socket or of the TLS library.
    pub(super) async fn handshake(tcp: TcpStream, connection: Connection) -> io::Result<Self> {
        let session = Session {
            connection,
            plaintext: 0,
            leftover: Vec::new(),
            eof: false,
            got_plain_http: false,
        };
        let stream = Self {
            tcp,
            session: RefCell::new(session),
        };
        while stream.session.borrow().connection.is_handshaking() {
            stream.flush().await?;
            if !stream.session.borrow().connection.is_handshaking() {
                break;
            }
            std::future::poll_fn(|cx| stream.tcp.poll_read_ready(cx)).await?;
            if let Err(error) = stream.advance_handshake() {
                if TlsRefusal::of(&error) == Some(TlsRefusal::PlainHttp) {
                    stream.refuse_plain_http().await;
                }
                return Err(error);
            }
        }
        stream.flush().await?;
        Ok(stream)
    }

    fn advance_handshake(&self) -> io::Result<()> {
        let session = &mut *self.session.borrow_mut();
        match session.receive(&self.tcp, &mut []) {
            Ok(_) if session.eof => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(_) if session.got_plain_http => {
                Err(io::Error::new(io::ErrorKind::InvalidData, PlainHttp))
            }
            Err(error) => {
                // The alert carries the reason; if it does not fit, the close is enough.
                let _ = session.send(&self.tcp);
                Err(error)
            }
        }
    }

    /// Sends a plaintext response, as far as it fits, and lets the client read it: a close with unread bytes would
    /// reset the connection. The caller's deadline bounds it.
    async fn refuse_plain_http(&self) {
        let _ = write_tcp(&self.tcp, &[IoSlice::new(PLAIN_HTTP_RESPONSE)]);
        let _ = socket2::SockRef::from(&self.tcp).shutdown(std::net::Shutdown::Write);
        let mut discarded = [0; 4096];
        let mut read = 0;
        while read < LINGER_BYTES {
            if self.tcp.readable().await.is_err() {
                return;
            }
            match read_tcp(&self.tcp, &mut discarded) {
                Ok(some @ 1..) => read += some,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    async fn flush(&self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// See [`super::Stream::poll_readable`].
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let session = self.session.borrow();
        if session.plaintext > 0 || session.eof || !session.leftover.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.tcp.poll_read_ready(cx)
    }

    /// See [`super::Stream::try_read`].
    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let session = &mut *self.session.borrow_mut();
        let got = session.take_plaintext(buffer)?;
        let rest = &mut buffer[got..];
        if rest.is_empty() {
            return Ok(got);
        }
        match session.receive(&self.tcp, rest) {
            Ok(more) if got + more > 0 => Ok(got + more),
            Ok(_) => session.read_end(),
            Err(_) if got > 0 => Ok(got),
            Err(error) => Err(error),
        }
    }

    /// See [`super::Stream::try_write`].
    pub(super) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let session = &mut *self.session.borrow_mut();
        session.send(&self.tcp)?;
        let took = session.connection.writer().write_vectored(slices)?;
        match session.send(&self.tcp) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(took),
        }
    }

    /// See [`super::Stream::poll_flush`].
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.session.borrow_mut().send(&self.tcp) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
            ready!(self.tcp.poll_write_ready(cx))?;
        }
    }

    pub(super) fn send_close_notify(&self) {
        let session = &mut *self.session.borrow_mut();
        session.connection.send_close_notify();
        // As far as it fits: the `close_notify` is not waited for.
        let _ = session.send(&self.tcp);
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// The negotiated protocol.
    #[must_use]
    pub fn alpn(&self) -> Option<Vec<u8>> {
        self.session
            .borrow()
            .connection
            .alpn_protocol()
            .map(<[u8]>::to_vec)
    }

    /// True if HTTP/2 was negotiated.
    #[must_use]
    pub fn is_h2(&self) -> bool {
        self.speaks(b"h2")
    }

    /// True if this protocol was negotiated.
    pub(super) fn speaks(&self, protocol: &[u8]) -> bool {
        self.session.borrow().connection.alpn_protocol() == Some(protocol)
    }

    /// The server name that the client sent; `None` on a connection to an endpoint.
    #[must_use]
    pub fn server_name(&self) -> Option<String> {
        match &self.session.borrow().connection {
            Connection::Server(server) => server.server_name().map(str::to_owned),
            Connection::Client(_) => None,
        }
    }

    /// True if the other side sent a certificate, which was then verified.
    #[must_use]
    pub fn has_peer_certificate(&self) -> bool {
        self.session
            .borrow()
            .connection
            .peer_certificates()
            .is_some_and(|chain| !chain.is_empty())
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("tcp", &self.tcp)
            .finish_non_exhaustive()
    }
}

// === impl Session ===

impl Session {
    /// Moves decrypted bytes into `buffer`.
    fn take_plaintext(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut got = 0;
        while self.plaintext > 0 && got < buffer.len() {
            let n = self.connection.reader().read(&mut buffer[got..])?;
            self.plaintext = self.plaintext.saturating_sub(n);
            got += n;
        }
        Ok(got)
    }

    /// Reads ciphertext, decrypts it, and moves the result into `buffer`. 0 means the end or a partial record.
    fn receive(&mut self, tcp: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.leftover.is_empty() {
            let leftover = std::mem::take(&mut self.leftover);
            return self.feed(&leftover, buffer);
        }
        if self.eof {
            return Ok(0);
        }
        CIPHERTEXT.with_borrow_mut(|scratch| {
            loop {
                let read = read_tcp(tcp, scratch)?;
                if read == 0 {
                    self.eof = true;
                    // The library records the end, and whether it was announced.
                    self.connection.read_tls(&mut io::empty())?;
                    return Ok(0);
                }
                let got = self.feed(&scratch[..read], buffer)?;
                if got > 0 || buffer.is_empty() || self.eof {
                    return Ok(got);
                }
            }
        })
    }

    fn feed(&mut self, mut ciphertext: &[u8], buffer: &mut [u8]) -> io::Result<usize> {
        let (first, mut got) = (ciphertext, 0);
        while !ciphertext.is_empty() {
            if self.plaintext >= 8 * 1024 {
                self.leftover = ciphertext.to_vec();
                break;
            }
            if self.connection.read_tls(&mut ciphertext)? == 0 {
                // The peer has sent `close_notify`; the bytes after it are ignored.
                self.eof = true;
                break;
            }
            let state = match self.connection.process_new_packets() {
                Ok(state) => state,
                Err(error) => {
                    self.got_plain_http = self.is_first_of_http(&error, first);
                    return Err(invalid(error));
                }
            };
            self.plaintext = state.plaintext_bytes_to_read();
            self.eof |= state.peer_has_closed();
            got += self.take_plaintext(&mut buffer[got..])?;
        }
        Ok(got)
    }

    /// True if a handshake fails because its client speaks plain HTTP.
    fn is_first_of_http(&self, error: &rustls::Error, first: &[u8]) -> bool {
        let is_no_record = matches!(
            error,
            rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)
        );
        is_no_record && matches!(self.connection, Connection::Server(_)) && is_plain_http(first)
    }

    /// Result of a read at the end: 0 if the end was announced, `UnexpectedEof` if not.
    fn read_end(&mut self) -> io::Result<usize> {
        if self.eof {
            self.connection.reader().read(&mut [0])
        } else {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    /// Writes ciphertext until none is left.
    fn send(&mut self, tcp: &TcpStream) -> io::Result<()> {
        while self.connection.wants_write() {
            if self.connection.write_tls(&mut Socket(tcp))? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }
}

// === impl Socket ===

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_tcp(self.0, &[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        write_tcp(self.0, slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests;
