//! The engine, connected to itself or to literal frames, without a socket.

mod extended;
mod model;
mod rules;
mod windows;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::frame::{FrameHead, HEAD};
use super::hpack::Encoder;
use super::{BodyEvent, BudgetLimits, Code, Connection, Head, Key, PREFACE, Role, Settings};
use crate::message::KnownField;

/// Counts wake-ups.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Bell {
    fn rings(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

fn settings() -> Settings {
    Settings {
        streams: 100,
        pending_resets: 20,
        local_resets: 100,
        stream_window: 64 << 10,
        connection_window: 1 << 20,
        frame: 16 << 10,
        header_list: 16 << 10,
        fields: 100,
        informational: 100,
        trailers: 8 << 10,
        header_table: 4 << 10,
        send_buffer_max: 64 << 10,
    }
}

fn budget() -> BudgetLimits {
    BudgetLimits {
        leave: 750,
        close: 1_000,
        window_ms: 10_000,
    }
}

/// A block with a request.
fn asking() -> Vec<u8> {
    let mut block = Vec::new();
    let mut encoder = Encoder::new(&mut block);
    assert!(encoder.method(b"POST") && encoder.scheme(b"http") && encoder.path(b"/"));
    block
}

/// A block with a response.
fn answering(status: u16) -> Vec<u8> {
    let mut block = Vec::new();
    Encoder::new(&mut block).status(status);
    block
}

/// A block with trailers.
fn trailing(value: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    assert!(Encoder::new(&mut block).field(KnownField::Other, b"x-end", value, false));
    block
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    FrameHead {
        length: u32::try_from(payload.len()).unwrap(),
        kind,
        flags,
        stream,
    }
    .write(&mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

/// Takes all output of a connection, as frames.
fn drain(connection: &mut Connection) -> Vec<(FrameHead, Vec<u8>)> {
    let mut bytes = connection.outgoing().to_vec();
    connection.sent(bytes.len());
    if bytes.starts_with(PREFACE) {
        bytes.drain(..PREFACE.len());
    }
    let mut frames = Vec::new();
    while let Some(head) = FrameHead::parse(&bytes) {
        let rest = bytes.split_off(HEAD + head.length as usize);
        frames.push((head, bytes.split_off(HEAD)));
        bytes = rest;
    }
    assert!(bytes.is_empty(), "only whole frames are said");
    frames
}

/// A server after a client's preface.
fn server(own: Settings) -> Connection {
    let mut server = Connection::new(Role::Server, own, budget());
    feed(
        &mut server,
        &[PREFACE, &frame(4, 0, 0, b""), &frame(4, 1, 0, b"")].concat(),
    );
    drain(&mut server);
    server
}

/// A client after a server's preface.
fn client(own: Settings) -> Connection {
    let mut client = Connection::new(Role::Client, own, budget());
    feed(
        &mut client,
        &[frame(4, 0, 0, b""), frame(4, 1, 0, b"")].concat(),
    );
    drain(&mut client);
    client
}

fn feed(connection: &mut Connection, bytes: &[u8]) {
    assert_eq!(connection.receive(bytes, 0), Ok(bytes.len()));
}

/// Passes up to `most` bytes of output from `from` to `to`; returns how many.
fn carry(from: &mut Connection, to: &mut Connection, most: usize) -> usize {
    let n = from.outgoing().len().min(most);
    let taken = to.receive(&from.outgoing()[..n], 0).unwrap();
    from.sent(taken);
    taken
}

/// Passes output until neither side has any.
fn settle(one: &mut Connection, other: &mut Connection) {
    while carry(one, other, usize::MAX) + carry(other, one, usize::MAX) > 0 {}
}

fn quiet() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn take(
    connection: &mut Connection,
    key: Key,
) -> Option<Result<(Vec<u8>, bool), super::StreamError>> {
    let mut data = Vec::new();
    match connection.poll_take(key, &quiet(), &mut data) {
        Poll::Pending => None,
        Poll::Ready(Err(gone)) => Some(Err(gone)),
        Poll::Ready(Ok(BodyEvent::Data { last })) => Some(Ok((data, last))),
        Poll::Ready(Ok(BodyEvent::End(_))) => Some(Ok((data, true))),
    }
}

/// True if the other side may again send as much as at the start.
fn is_whole(connection: &Connection, own: &Settings) -> bool {
    let given = connection.receiving.window + i64::from(connection.receiving.unclaimed);
    given == i64::from(own.connection_window.max(65_535))
}
