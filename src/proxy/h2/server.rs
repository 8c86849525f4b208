//! A client's HTTP/2 connection: its frames, its streams, how long it stays.
//!
//! One task owns the connection and everything that it has started; each stream is a task of its own on the same worker,
//! and ends with the connection at the latest.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::Connection;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::budget::Verdict;
use super::keepalive::{Alive, Keepalive};
use super::meter::Meter;
use super::settings;
use super::stream::{self, Client};
use super::wire::{Wire, WireIo};
use crate::http1::H2_PREFACE;
use crate::net::{Buffer, Deadline, Stream};
use crate::proxy::settings::PeerInfo;
use crate::proxy::worker::Worker;

/// How long a goodbye may take once nothing is in flight any more.
const GOODBYE: Duration = Duration::from_secs(1);

/// A connection that is being served.
struct Server {
    connection: Connection<WireIo, Bytes>,
    wire: Rc<Wire>,
    streams: JoinSet<()>,
    client: Rc<Client>,
    keepalive: Keepalive,
    idle: Deadline,
    /// Asked to go when it expires.
    age: Option<Deadline>,
    state: State,
    is_idle: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Open,
    /// Asked to go: no new streams, those in flight may finish.
    Leaving,
    /// Being closed, whatever is in flight.
    Closing,
}

/// Serves a connection whose client speaks HTTP/2. `before` is what was read of it already, the preface included; from
/// `oldest` on it is asked to go.
pub(in crate::proxy) async fn serve(
    worker: Rc<Worker>,
    stream: Stream,
    before: Option<Buffer>,
    (peer, preview): (PeerInfo, bool),
    oldest: Option<Instant>,
) {
    let limits = &worker.shared.settings.limits.http2;
    let preface = u32::try_from(H2_PREFACE.len()).expect("it has 24 bytes");
    let lists = [limits.header_list, limits.header_table].map(settings::bytes);
    let meter = Meter::new(settings::budget(limits), preface, lists);
    let wire = Wire::new(stream, before, Rc::clone(&worker.buffers), Some(meter));
    let Some(connection) = handshake(&worker, &wire).await else {
        return;
    };
    let mut server = Server::new(worker, connection, wire, (peer, preview), oldest);
    poll_fn(|cx| server.poll(cx)).await;
    server.streams.shutdown().await;
}

async fn handshake(worker: &Worker, wire: &Rc<Wire>) -> Option<Connection<WireIo, Bytes>> {
    let settings = &worker.shared.settings;
    let deadline = worker.timers.deadline();
    deadline.set_from_now(settings.timeouts.head.0);
    let mut handshake = settings::serve(&settings.limits.http2, wire.io());
    poll_fn(|cx| {
        let polled = std::pin::Pin::new(&mut handshake).poll(cx);
        let drained = wire.poll_drain(cx);
        match (polled, drained) {
            (Poll::Ready(connection), _) => Poll::Ready(connection.ok()),
            (Poll::Pending, Poll::Ready(Err(_))) => Poll::Ready(None),
            (Poll::Pending, _) => deadline.poll_expired(cx).map(|()| None),
        }
    })
    .await
}

// === impl Server ===

impl Server {
    fn new(
        worker: Rc<Worker>,
        mut connection: Connection<WireIo, Bytes>,
        wire: Rc<Wire>,
        (peer, preview): (PeerInfo, bool),
        oldest: Option<Instant>,
    ) -> Self {
        let timeouts = &worker.shared.settings.timeouts;
        let keepalive = Keepalive::new(
            connection.ping_pong(),
            worker.timers.deadline(),
            [timeouts.http2_ping.0, timeouts.http2_ping_answer.0],
        );
        let age = oldest.map(|oldest| {
            let deadline = worker.timers.deadline();
            let now = Instant::now();
            deadline.set(now, oldest.saturating_duration_since(now));
            deadline
        });
        Self {
            connection,
            wire: Rc::clone(&wire),
            streams: JoinSet::new(),
            keepalive,
            idle: worker.timers.deadline(),
            age,
            state: State::Open,
            is_idle: false,
            client: Rc::new(Client {
                worker,
                wire,
                peer,
                preview,
            }),
        }
    }

    /// Ready when the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.poll_streams(cx).is_ready() || self.poll_wire(cx).is_ready() {
                return Poll::Ready(());
            }
            while let Poll::Ready(Some(_)) = self.streams.poll_join_next(cx) {}
            let next = self.judge(cx);
            if next == State::Closing && self.state == State::Leaving && self.streams.is_empty() {
                return Poll::Ready(());
            }
            if next <= self.state {
                return Poll::Pending;
            }
            self.enter(next);
        }
    }

    /// Takes up new streams; ready when there will be no more and all have ended.
    fn poll_streams(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    let client = Rc::clone(&self.client);
                    let has_fragment = self.wire.take_fragment(respond.stream_id().as_u32());
                    let serving = stream::serve(client, request, respond, has_fragment);
                    self.streams.spawn_local(serving);
                }
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(client = %self.client.peer.client, %error, "HTTP/2 connection failed");
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Sends what the last poll has produced; ready when the socket is broken.
    fn poll_wire(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.wire.poll_drain(cx) {
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }

    /// What is to become of the connection.
    fn judge(&mut self, cx: &mut Context<'_>) -> State {
        match self.wire.take_verdict() {
            Some(Verdict::Close) => return State::Closing,
            Some(Verdict::Leave) => return State::Leaving,
            Some(Verdict::Calm) | None => {}
        }
        if self.keepalive.poll(cx, &self.wire) == Alive::No {
            return State::Closing;
        }
        let is_idle = self.streams.is_empty();
        if is_idle != self.is_idle {
            self.is_idle = is_idle;
            self.arm();
        }
        let is_old = self
            .age
            .as_ref()
            .is_some_and(|age| age.poll_expired(cx).is_ready());
        match (self.idle.poll_expired(cx).is_ready(), self.state) {
            (true, State::Leaving) => State::Closing,
            (true, _) => State::Leaving,
            (false, _) if is_old || self.client.worker.is_draining() => State::Leaving,
            (false, _) => State::Open,
        }
    }

    fn arm(&self) {
        match (self.is_idle, self.state) {
            (false, State::Open | State::Leaving) => self.idle.clear(),
            (true, State::Open) => {
                let timeouts = &self.client.worker.shared.settings.timeouts;
                self.idle.set_from_now(timeouts.http2_idle.0);
            }
            (true, State::Leaving) | (_, State::Closing) => self.idle.set_from_now(GOODBYE),
        }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        match state {
            State::Open => {}
            State::Leaving => self.connection.graceful_shutdown(),
            State::Closing => self
                .connection
                .abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM),
        }
        self.arm();
    }
}
