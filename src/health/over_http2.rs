//! One request over HTTP/2, on a connection of its own.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use thiserror::Error;

use super::check::USER_AGENT;
use crate::{
    http2::{BudgetLimits, Connection, Gone, Key, Role, Settings, hpack::Encoder},
    message::Known,
    model::{EndpointUrl, Scheme},
    net::Stream,
};

/// Why there was no answer.
#[derive(Debug, Error)]
pub(super) enum Error {
    /// The connection ended first.
    #[error("the connection ended before the answer")]
    Ended,
    /// The other side refused the request, or broke the protocol.
    #[error("the answer was broken off: {}", .0.code)]
    Gone(Gone),
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The path cannot be asked for.
    #[error("the path cannot be asked for over HTTP/2")]
    Request,
}

/// One answer's worth: a check reads a head and nothing else.
const SETTINGS: Settings = Settings {
    streams: 0,
    pending_resets: 0,
    local_resets: usize::MAX,
    stream_window: 65_535,
    connection_window: 65_535,
    frame: 16_384,
    header_list: 16_384,
    informational: 100,
    trailers: 16_384,
    fields: 200,
    header_table: 4_096,
    gathered: 16_384,
};

/// A client counts nothing that a server sends.
const BUDGET: BudgetLimits = BudgetLimits {
    leave: u32::MAX,
    close: u32::MAX,
    window_ms: 1,
};

/// Asks for a path; answers with the status.
pub(super) async fn ask(stream: Stream, url: &EndpointUrl, path: &str) -> Result<u16, Error> {
    let mut engine = Connection::new(Role::Client, SETTINGS, BUDGET);
    let block = head(url, path).ok_or(Error::Request)?;
    let key = engine.open(&block, true).map_err(Error::Gone)?;
    let mut buffer = vec![0; 32 * 1024];
    let mut asking = Asking {
        stream,
        engine,
        key,
        filled: 0,
    };
    // The answer and the connection that brings it are driven here, so that nothing outlives the check.
    poll_fn(|cx| asking.poll(cx, &mut buffer)).await
}

fn head(url: &EndpointUrl, path: &str) -> Option<Vec<u8>> {
    let scheme = match url.scheme() {
        Scheme::Http => b"http".as_slice(),
        Scheme::Https => b"https",
    };
    let mut block = Vec::new();
    let mut encoder = Encoder::new(&mut block);
    let is_valid = encoder.method(b"GET")
        && encoder.scheme(scheme)
        && encoder.path(path.as_bytes())
        && encoder.authority(url.authority().as_bytes())
        && encoder.field(
            Known::UserAgent,
            b"user-agent",
            USER_AGENT.as_bytes(),
            false,
        );
    is_valid.then_some(block)
}

/// A request on its way.
struct Asking {
    stream: Stream,
    engine: Connection,
    key: Key,
    /// How much of the buffer is not understood yet.
    filled: usize,
}

// === impl Asking ===

impl Asking {
    fn poll(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<u16, Error>> {
        loop {
            // A socket that takes nothing may still bring the answer.
            if let Poll::Ready(Err(error)) = self.poll_drain(cx) {
                return Poll::Ready(Err(error.into()));
            }
            while let Poll::Ready(head) = self.engine.poll_head(self.key, cx) {
                match head {
                    Ok(head) if head.status() < 200 => {}
                    head => {
                        return Poll::Ready(head.map(|head| head.status()).map_err(Error::Gone));
                    }
                }
            }
            ready!(self.poll_receive(cx, buffer))?;
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<(), Error>> {
        loop {
            ready!(self.stream.poll_readable(cx))?;
            match self.stream.try_read(&mut buffer[self.filled..]) {
                Ok(0) => return Poll::Ready(Err(Error::Ended)),
                Ok(n) => self.filled += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Poll::Ready(Err(error.into())),
            }
            // What breaks the connection breaks the stream, which says so.
            let taken = self.engine.receive(&buffer[..self.filled], 0);
            let taken = taken.unwrap_or(self.filled);
            buffer.copy_within(taken..self.filled, 0);
            self.filled -= taken;
            return Poll::Ready(Ok(()));
        }
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.engine.outgoing().is_empty() {
            match self.stream.try_write(self.engine.outgoing()) {
                Ok(n) => self.engine.sent(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.stream.poll_writable(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.stream.poll_flush(cx)
    }
}
