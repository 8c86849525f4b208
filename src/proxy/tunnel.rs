//! A WebSocket, or what else a route lets through, after its 101: bytes pass both ways until both sides have ended, or nothing has moved for too long.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use crate::model::Outcome;
use crate::net::{Buffer, BufferSize, Deadline, Stream};

use super::budget::Budget;
use super::exchange::Upgraded;
use super::farewell;
use super::ticket::Ticket;
use super::websocket::{FrameBounds, GOODBYE, GOODBYE_MASKED};
use super::worker::Worker;

/// One direction.
struct Direction<'t> {
    from: &'t Stream,
    to: &'t Stream,
    moved: &'t Cell<u64>,
    /// Nothing while a write is under way, and where there are no frames.
    bounds: &'t Cell<Option<FrameBounds>>,
    received: Option<Buffer>,
}

/// What a client and the endpoint need to talk to each other directly. It counts as the request does, until it ends.
pub(super) struct Tunnel {
    pub(super) ticket: Ticket,
    /// What the client has sent behind its request.
    pub(super) received: Option<Buffer>,
    pub(super) upgraded: Upgraded,
    /// Its bytes are the frames of a WebSocket; otherwise nobody here knows what they are.
    pub(super) is_websocket: bool,
}

impl Tunnel {
    /// Passes bytes between the two until it ends.
    pub(super) fn run<'t>(
        &'t mut self,
        client: &'t Stream,
    ) -> Pin<Box<dyn Future<Output = ()> + 't>> {
        let Self {
            ticket,
            received,
            upgraded,
            is_websocket,
        } = self;
        Box::pin(pass_on(
            ticket,
            client,
            received.take(),
            upgraded,
            *is_websocket,
        ))
    }
}

async fn pass_on(
    ticket: &mut Ticket,
    client: &Stream,
    received: Option<Buffer>,
    upgraded: &mut Upgraded,
    is_websocket: bool,
) {
    let selection = ticket
        .selection
        .as_ref()
        .expect("an upgrade follows a selection");
    let worker = Rc::clone(&ticket.worker);
    let timeouts = worker
        .shared
        .settings
        .for_route(&selection.route().spec().timeouts);
    let fresh = || Cell::new(is_websocket.then(FrameBounds::default));
    let (to_client, to_endpoint) = (fresh(), fresh());
    let endpoint = &upgraded.connection.stream;
    let near = Side {
        stream: client,
        received,
        sent: &ticket.bytes_in,
        bounds: &to_endpoint,
    };
    let far = Side {
        stream: endpoint,
        received: upgraded.received.take(),
        sent: &ticket.bytes_out,
        bounds: &to_client,
    };
    let is_ended = || ticket.is_ended();
    if tunnel(&worker, near, far, timeouts.websocket_idle, is_ended).await {
        say_goodbye(endpoint, &to_endpoint, GOODBYE_MASKED);
        if say_goodbye(client, &to_client, GOODBYE) {
            Box::pin(farewell::close(&worker, client)).await;
        }
    }
    if ticket.is_ended() {
        ticket.recalled();
    }
    ticket.end(Outcome::Answered(101));
}

/// Tells a side that this end goes away, if there is a place for it between two frames.
fn say_goodbye(to: &Stream, bounds: &Cell<Option<FrameBounds>>, goodbye: &[u8]) -> bool {
    let is_between = bounds.get().is_some_and(|bounds| bounds.is_between());
    // What does not fit at once is for a side that does not read.
    is_between && to.try_write(goodbye).is_ok()
}

/// One side of a tunnel: its connection, what it has sent already, and a counter of what it sends.
struct Side<'t> {
    stream: &'t Stream,
    received: Option<Buffer>,
    sent: &'t Cell<u64>,
    /// Of the frames that it sends.
    bounds: &'t Cell<Option<FrameBounds>>,
}

/// Passes bytes between two sides.
///
/// A side that ends its direction has this passed on, and may go on reading. An error ends both, and so do silence and
/// `is_ended`. Whether it was us who ended it.
async fn tunnel(
    worker: &Worker,
    client: Side<'_>,
    upstream: Side<'_>,
    idle: Duration,
    is_ended: impl Fn() -> bool,
) -> bool {
    let deadline = worker.timers.deadline();
    deadline.set_from_now(idle);
    let (near, far) = (client.stream, upstream.stream);
    let up = Direction {
        from: near,
        to: far,
        moved: client.sent,
        bounds: client.bounds,
        received: client.received,
    };
    let down = Direction {
        from: far,
        to: near,
        moved: upstream.sent,
        bounds: upstream.bounds,
        received: upstream.received,
    };
    let mut up = pin!(up.run(worker, &deadline, idle));
    let mut down = pin!(down.run(worker, &deadline, idle));
    let (mut up_ended, mut down_ended) = (false, false);
    poll_fn(|cx| {
        if !up_ended && let Poll::Ready(result) = up.as_mut().poll(cx) {
            up_ended = true;
            if result.is_err() {
                return Poll::Ready(false);
            }
        }
        if !down_ended && let Poll::Ready(result) = down.as_mut().poll(cx) {
            down_ended = true;
            if result.is_err() {
                return Poll::Ready(false);
            }
        }
        if up_ended && down_ended {
            Poll::Ready(false)
        } else if is_ended() {
            Poll::Ready(true)
        } else {
            deadline.poll_expired(cx).map(|()| true)
        }
    })
    .await
}

impl Direction<'_> {
    async fn run(mut self, worker: &Worker, deadline: &Deadline, idle: Duration) -> io::Result<()> {
        let mut budget = Budget::new(&worker.turns);
        loop {
            if let Some(buffer) = self.received.take().filter(|buffer| !buffer.is_empty()) {
                let bounds = self.bounds.take();
                self.to
                    .write_all_vectored(&mut [IoSlice::new(buffer.data())])
                    .await?;
                self.bounds.set(bounds.map(|mut bounds| {
                    bounds.pass(buffer.data());
                    bounds
                }));
                self.moved.set(self.moved.get() + buffer.len() as u64);
                deadline.set_from_now(idle);
                let length = buffer.len();
                drop(buffer);
                budget.pay(length).await;
            }
            if budget.is_greedy() {
                let mut readable = pin!(self.from.readable());
                poll_fn(|cx| budget.poll_next(cx, readable.as_mut())).await?;
            } else {
                self.from.readable().await?;
            }
            let mut buffer = worker.buffers.take(BufferSize::Small);
            match self.from.try_read(buffer.space()) {
                Ok(0) => {
                    self.to.shutdown_write();
                    return Ok(());
                }
                Ok(read) => {
                    buffer.filled(read);
                    self.received = Some(buffer);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}
