//! A connection of HTTP/2 that carries copies, one after the other.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use super::failure::{CopyAnswer, SendError};
use super::json_body::JsonBody;
use crate::http2::{BodyEvent, BudgetLimits, Code, Connection, Head, Key, Role, Settings};
use crate::message::KnownField;
use crate::net::Stream;
use crate::proxy::grpc::GrpcStatus;

/// Limits for one answer at a time.
const SETTINGS: Settings = Settings {
    streams: 0,
    pending_resets: 0,
    local_resets: usize::MAX,
    stream_window: 65_535,
    connection_window: 65_535,
    frame: 16_384,
    header_list: 65_536,
    informational: 100,
    trailers: 16_384,
    fields: 200,
    header_table: 4_096,
    send_buffer_max: 65_536,
};

/// The cost of an endpoint is bounded by the timeout of each copy.
const BUDGET: BudgetLimits = BudgetLimits {
    leave: u32::MAX,
    close: u32::MAX,
    window_ms: 1,
};

/// A connection, and the bytes that came and are not consumed yet.
pub(super) struct Http2Connection {
    stream: Stream,
    engine: Connection,
    buffer: Vec<u8>,
    filled: usize,
}

/// An answer as far as it has come.
#[derive(Default)]
struct Received<'j> {
    status: Option<u16>,
    /// Status of a call of gRPC, as the one of HTTP that it means.
    call: Option<u16>,
    bytes: u64,
    is_whole: bool,
    /// Keeps the body.
    json: Option<&'j mut JsonBody>,
}

impl Http2Connection {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            engine: Connection::new(Role::Client, SETTINGS, BUDGET),
            buffer: vec![0; 32 * 1024],
            filled: 0,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.engine.broken().is_none() && self.stream.is_idle()
    }

    /// Sends a request and reads its answer, at most `most` bytes of the body.
    pub(super) async fn exchange(
        &mut self,
        (block, body): (&[u8], &[u8]),
        most: u64,
        json: Option<&mut JsonBody>,
    ) -> Result<CopyAnswer, SendError> {
        let opened = self.engine.open(block, body.is_empty());
        let key = opened.map_err(|_| SendError::Ended)?;
        let mut unsent = body;
        let mut received = Received {
            json,
            ..Received::default()
        };
        let exchanged = poll_fn(|cx| {
            self.poll(
                cx,
                key,
                (&mut unsent, !body.is_empty()),
                (&mut received, most),
            )
        });
        let exchanged = exchanged.await;
        self.engine.release(key, Code::CANCEL);
        exchanged?;
        let status = received.call.or(received.status);
        Ok(CopyAnswer {
            status: status.ok_or(SendError::BROKEN)?,
            bytes: received.bytes,
            is_reusable: received.is_whole && self.engine.broken().is_none(),
        })
    }

    /// Drives the connection until the answer is over.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        key: Key,
        (unsent, has_body): (&mut &[u8], bool),
        (received, most): (&mut Received<'_>, u64),
    ) -> Poll<Result<(), SendError>> {
        loop {
            if has_body && !unsent.is_empty() {
                // An endpoint that answers before it has read everything resets the stream only.
                let _answered_or_waiting = self.engine.poll_send(key, cx, unsent, true);
            }
            // A socket that accepts nothing may still deliver the answer.
            if let Poll::Ready(Err(_)) = self.poll_drain(cx) {
                return Poll::Ready(Err(received.broken()));
            }
            if let Poll::Ready(result) = self.poll_answer(cx, key, (received, most)) {
                return Poll::Ready(result);
            }
            ready!(self.poll_receive(cx)).map_err(|()| received.broken())?;
        }
    }

    fn poll_answer(
        &mut self,
        cx: &Context<'_>,
        key: Key,
        (received, most): (&mut Received<'_>, u64),
    ) -> Poll<Result<(), SendError>> {
        while received.status.is_none() {
            let head = ready!(self.engine.poll_head(key, cx));
            let head = head.map_err(|_| received.broken())?;
            received.note(&head);
            if let Some(json) = &mut received.json {
                json.begin(head.fields());
            }
            received.status = Some(head.status()).filter(|status| *status >= 200);
        }
        loop {
            let mut piece = Vec::new();
            let taken = ready!(self.engine.poll_take(key, cx, &mut piece));
            self.engine.release_capacity(key, piece.len());
            received.bytes += piece.len() as u64;
            if let Some(json) = &mut received.json {
                json.read(&piece);
            }
            match taken.map_err(|_| received.broken())? {
                BodyEvent::End(trailers) => {
                    if let Some(trailers) = &trailers {
                        received.note(trailers);
                    }
                    received.is_whole = true;
                }
                BodyEvent::Data { last } => received.is_whole = last,
            }
            if received.is_whole || received.bytes > most {
                received.bytes = received.bytes.min(most);
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        loop {
            ready!(self.stream.poll_readable(cx)).map_err(|_| ())?;
            match self.stream.try_read(&mut self.buffer[self.filled..]) {
                Ok(0) => return Poll::Ready(Err(())),
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => return Poll::Ready(Err(())),
            }
            // An error of the connection ends the stream, which reports it.
            let taken = self.engine.receive(&self.buffer[..self.filled], 0);
            let taken = taken.unwrap_or(self.filled);
            self.buffer.copy_within(taken..self.filled, 0);
            self.filled -= taken;
            return Poll::Ready(Ok(()));
        }
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.engine.outgoing().is_empty() {
            match self.stream.try_write(self.engine.outgoing()) {
                Ok(written) => self.engine.sent(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.stream.poll_writable(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.stream.poll_flush(cx)
    }
}

impl Received<'_> {
    fn note(&mut self, head: &Head) {
        let mut fields = head.fields();
        let status = fields.find(|field| field.known == KnownField::GrpcStatus);
        let status = status.and_then(|field| GrpcStatus::parse(field.value));
        self.call = status.map(GrpcStatus::as_http).or(self.call);
    }

    fn broken(&self) -> SendError {
        if self.status.is_none() {
            SendError::Ended
        } else {
            SendError::BROKEN
        }
    }
}
