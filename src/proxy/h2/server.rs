//! A client's HTTP/2 connection: its frames, streams and lifetime.
//!
//! One task owns the connection and all its streams: their output leaves in one write after all of them were polled.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::task::unconstrained;
use tokio::time::Instant;

use super::connection_io::Http2Io;
use super::keepalive::{Keepalive, PingState};
use super::settings;
use super::stream::{self, ClientIo};
use super::timeout::SHUTDOWN_TIMEOUT;
use crate::http2::{self, Code, Connection, Key, Role};
use crate::net::{Buffer, Deadline, Stream};
use crate::proxy::lingering_close;
use crate::proxy::poll_again::poll_again;
use crate::proxy::settings::PeerInfo;
use crate::proxy::worker::Worker;

/// A connection that is being served.
struct Server {
    io: Rc<Http2Io>,
    client: Rc<ClientIo>,
    keepalive: Keepalive,
    idle: Deadline,
    /// Starts the graceful shutdown when it expires; after that, the time until the final GOAWAY.
    age: Option<Deadline>,
    state: State,
    is_idle: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// The client's preface and settings are incomplete.
    Greeting,
    Open,
    /// Graceful shutdown: no new streams, those in flight may finish.
    Leaving,
    /// Closing, whatever is in flight.
    Closing,
}

/// Serves a connection whose client speaks HTTP/2. `before` holds the bytes read so far, the preface included; from
/// `oldest` on the connection is shut down gracefully.
pub(in crate::proxy) async fn serve(
    worker: Rc<Worker>,
    stream: Stream,
    before: Option<Buffer>,
    (peer, preview): (PeerInfo, bool),
    oldest: Option<Instant>,
) {
    let server_settings = &worker.shared.settings;
    let limits = &server_settings.limits.http2;
    let engine = Connection::new(
        Role::Server,
        settings::of_server(limits, &server_settings.message),
        settings::budget(limits),
    );
    let io = Http2Io::new(stream, before, Rc::clone(&worker.buffers), engine);
    let mut server = Server::new(worker, io, (peer, preview), oldest);
    let client = Rc::clone(&server.client);
    let start = |(key, head): (Key, http2::Head)| stream::serve(Rc::clone(&client), key, head);
    let mut streams = FuturesUnordered::new();
    // This task serves many streams, so the runtime's budget for one task does not fit.
    unconstrained(poll_fn(|cx| server.poll(cx, &mut streams, &start))).await;
    drop(streams);
    server.finish().await;
}

// === impl Server ===

impl Server {
    fn new(
        worker: Rc<Worker>,
        io: Rc<Http2Io>,
        (peer, preview): (PeerInfo, bool),
        oldest: Option<Instant>,
    ) -> Self {
        let timeouts = &worker.shared.settings.timeouts;
        let keepalive = Keepalive::new(
            worker.timers.deadline(),
            [timeouts.http2_ping.0, timeouts.http2_ping_answer.0],
        );
        let age = oldest.map(|oldest| {
            let deadline = worker.timers.deadline();
            let now = Instant::now();
            deadline.set(now, oldest.saturating_duration_since(now));
            deadline
        });
        let idle = worker.timers.deadline();
        idle.set_from_now(timeouts.head.0);
        Self {
            io: Rc::clone(&io),
            keepalive,
            idle,
            age,
            state: State::Greeting,
            is_idle: true,
            client: Rc::new(ClientIo {
                worker,
                io,
                peer,
                preview,
            }),
        }
    }

    /// Ready when the connection is over.
    fn poll<F: Future<Output = ()>>(
        &mut self,
        cx: &mut Context<'_>,
        streams: &mut FuturesUnordered<F>,
        start: &impl Fn((Key, http2::Head)) -> F,
    ) -> Poll<()> {
        loop {
            let received = self.io.poll_receive(cx);
            streams.extend(std::iter::from_fn(|| self.io.engine().accept()).map(start));
            while let Poll::Ready(Some(())) = streams.poll_next_unpin(cx) {}
            let is_full = self.io.engine().is_full();
            let drained = self.io.poll_drain(cx);
            let is_broken =
                matches!(drained, Poll::Ready(Err(_))) || self.io.engine().broken().is_some();
            let has_left = drained.is_ready() && self.io.engine().is_drained();
            if received.is_ready() || is_broken || has_left {
                return Poll::Ready(());
            }
            let next = self.next_state(cx, streams.is_empty());
            if next > self.state {
                self.enter(next);
                continue;
            }
            if drained.is_ready() && (is_full || self.io.has_more()) {
                // There is room again for waiting data; other tasks run first.
                poll_again(cx);
            }
            return Poll::Pending;
        }
    }

    /// Sends a final GOAWAY, if the client still reads, and closes.
    async fn finish(&self) {
        let broken = self.io.engine().broken();
        if let Some(broken) = broken.filter(|broken| broken.code != Code::NO_ERROR) {
            tracing::debug!(client = %self.client.peer.client, error = %broken, "HTTP/2 connection ended");
        }
        self.idle.set_from_now(SHUTDOWN_TIMEOUT);
        // A client that floods the connection would go on for as long as anything is read.
        let is_flood = broken.is_some_and(|broken| broken.code == Code::ENHANCE_YOUR_CALM);
        let is_sent = tokio::select! {
            is_sent = self.io.finish() => is_sent,
            () = self.idle.expired() => false,
        };
        if is_sent && !is_flood {
            lingering_close::linger(&self.client.worker, self.io.stream()).await;
        }
    }

    /// Next state of the connection.
    fn next_state(&mut self, cx: &mut Context<'_>, is_idle: bool) -> State {
        if self.state == State::Greeting {
            return self.next_state_before_settings(cx);
        }
        if self.keepalive.poll(cx, &self.io) == PingState::No {
            return State::Closing;
        }
        if is_idle != self.is_idle {
            self.is_idle = is_idle;
            self.arm();
        }
        let is_old = self
            .age
            .as_ref()
            .is_some_and(|age| age.poll_expired(cx).is_ready());
        if is_old && self.state == State::Leaving {
            // The client has had time to receive the GOAWAY.
            self.io.engine().final_goaway();
        }
        let is_leaving = self.io.engine().is_leaving();
        match (self.idle.poll_expired(cx).is_ready(), self.state) {
            (true, State::Leaving) => State::Closing,
            (true, _) => State::Leaving,
            (false, _) if is_old || is_leaving || self.client.worker.is_draining() => {
                State::Leaving
            }
            (false, _) => State::Open,
        }
    }

    fn next_state_before_settings(&self, cx: &mut Context<'_>) -> State {
        let is_greeted = self.io.engine().is_greeted();
        match self.idle.poll_expired(cx).is_ready() {
            _ if is_greeted => State::Open,
            true => State::Closing,
            false => State::Greeting,
        }
    }

    fn arm(&self) {
        match (self.is_idle, self.state) {
            (false, State::Greeting | State::Open | State::Leaving) => self.idle.clear(),
            (true, State::Greeting | State::Open) => {
                let timeouts = &self.client.worker.shared.settings.timeouts;
                self.idle.set_from_now(timeouts.http2_idle.0);
            }
            (true, State::Leaving) | (_, State::Closing) => {
                self.idle.set_from_now(SHUTDOWN_TIMEOUT);
            }
        }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        match state {
            State::Greeting | State::Open => {}
            State::Leaving => {
                self.io.engine().graceful_shutdown();
                let heard = self.client.worker.timers.deadline();
                heard.set_from_now(SHUTDOWN_TIMEOUT);
                self.age = Some(heard);
            }
            State::Closing => self.io.engine().close(Code::NO_ERROR),
        }
        self.arm();
    }
}
