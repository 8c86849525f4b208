//! One request over HTTP/2, on its own connection.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use super::{
    error::{CheckError, Http2Error, check_status},
    expect::BodyMatch,
    user_agent::USER_AGENT,
};
use crate::{
    http2::{
        BodyEvent, BudgetLimits, Connection, Head, Key, Role, Settings, StreamError, hpack::Encoder,
    },
    message::KnownField,
    model::{HealthMethod, HealthSpec, Scheme},
    net::Stream,
};

/// Limits for a single response: a check reads a head and the start of a body.
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
    send_buffer_max: 16_384,
};

/// A client charges nothing to the abuse budget.
const BUDGET: BudgetLimits = BudgetLimits {
    leave: u32::MAX,
    close: u32::MAX,
    window_ms: 1,
};

/// Sends the request and validates the response.
pub(super) async fn ask(
    stream: Stream,
    scheme: Scheme,
    authority: &str,
    health: &HealthSpec,
) -> Result<(), CheckError> {
    let failed = CheckError::Http2;
    let block = head(scheme, authority, health).ok_or(failed(Http2Error::Request))?;
    let mut asking = Exchange::open(stream, &block, true).map_err(failed)?;
    let mut buffer = vec![0; 32 * 1024];
    // The response and its connection are driven here, so that nothing outlives the check.
    let status = poll_fn(|cx| asking.poll(cx, &mut buffer, Exchange::poll_status));
    check_status(status.await.map_err(failed)?, health)?;
    let Some(text) = &health.body else {
        return Ok(());
    };
    let mut body = BodyMatch::new(text);
    let mut find = |asking: &mut Exchange, cx: &mut Context<'_>| asking.poll_find(&mut body, cx);
    let found = poll_fn(|cx| asking.poll(cx, &mut buffer, &mut find));
    if found.await.map_err(failed)? {
        Ok(())
    } else {
        Err(CheckError::Body(text.clone()))
    }
}

fn head(scheme: Scheme, authority: &str, health: &HealthSpec) -> Option<Vec<u8>> {
    let mut block = Vec::new();
    let mut encoder = Encoder::new(&mut block);
    let is_valid = encoder.method(health.method.as_str().as_bytes())
        && encoder.scheme(scheme.as_str().as_bytes())
        && encoder.path(health.path.as_bytes())
        && encoder.authority(authority.as_bytes())
        && encoder.field(
            KnownField::UserAgent,
            b"user-agent",
            USER_AGENT.as_bytes(),
            false,
        )
        && (health.method != HealthMethod::Post
            || encoder.field(KnownField::ContentLength, b"content-length", b"0", false));
    is_valid.then_some(block)
}

/// A request in progress.
pub(super) struct Exchange {
    stream: Stream,
    engine: Connection,
    key: Key,
    /// Number of bytes in the buffer that are not consumed yet.
    filled: usize,
}

// === impl Exchange ===

impl Exchange {
    /// Begins a request; nothing follows its head if `is_over`.
    pub(super) fn open(stream: Stream, block: &[u8], is_over: bool) -> Result<Self, Http2Error> {
        let mut engine = Connection::new(Role::Client, SETTINGS, BUDGET);
        let key = engine.open(block, is_over).map_err(Http2Error::Gone)?;
        Ok(Self {
            stream,
            engine,
            key,
            filled: 0,
        })
    }

    /// Sends the whole body of the request.
    pub(super) fn poll_send(
        &mut self,
        cx: &Context<'_>,
        data: &mut &[u8],
    ) -> Poll<Result<(), StreamError>> {
        self.engine.poll_send(self.key, cx, data, true)
    }

    /// Receives a head of the response.
    pub(super) fn poll_head(&mut self, cx: &Context<'_>) -> Poll<Result<Head, StreamError>> {
        self.engine.poll_head(self.key, cx)
    }

    /// Receives the next part of the body.
    pub(super) fn poll_take(
        &mut self,
        cx: &Context<'_>,
        piece: &mut Vec<u8>,
    ) -> Poll<Result<BodyEvent, StreamError>> {
        let taken = ready!(self.engine.poll_take(self.key, cx, piece));
        self.engine.release_capacity(self.key, piece.len());
        Poll::Ready(taken)
    }

    /// Drives the connection until the response has the needed part.
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        mut wanted: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<Result<T, StreamError>>,
    ) -> Poll<Result<T, Http2Error>> {
        loop {
            // A socket that accepts nothing may still deliver the response.
            if let Poll::Ready(Err(error)) = self.poll_drain(cx) {
                return Poll::Ready(Err(error.into()));
            }
            if let Poll::Ready(result) = wanted(self, cx) {
                return Poll::Ready(result.map_err(Http2Error::Gone));
            }
            ready!(self.poll_receive(cx, buffer))?;
        }
    }

    /// Status of the final response.
    fn poll_status(&mut self, cx: &mut Context<'_>) -> Poll<Result<u16, StreamError>> {
        loop {
            let head = ready!(self.poll_head(cx))?;
            if head.status() >= 200 {
                return Poll::Ready(Ok(head.status()));
            }
        }
    }

    /// True if the body contains the text.
    fn poll_find(
        &mut self,
        body: &mut BodyMatch<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<bool, StreamError>> {
        loop {
            let mut piece = Vec::new();
            match ready!(self.poll_take(cx, &mut piece))? {
                BodyEvent::End(_) => return Poll::Ready(Ok(false)),
                BodyEvent::Data { last } => match body.push(&piece) {
                    Some(found) => return Poll::Ready(Ok(found)),
                    None if last => return Poll::Ready(Ok(false)),
                    None => {}
                },
            }
        }
    }

    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<(), Http2Error>> {
        loop {
            ready!(self.stream.poll_readable(cx))?;
            match self.stream.try_read(&mut buffer[self.filled..]) {
                Ok(0) => return Poll::Ready(Err(Http2Error::Ended)),
                Ok(n) => self.filled += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Poll::Ready(Err(error.into())),
            }
            // An error of the connection ends the stream, which reports it.
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
