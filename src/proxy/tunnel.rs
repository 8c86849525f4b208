//! A WebSocket after its 101: bytes pass both ways until both sides have ended, or nothing has moved for too long.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use crate::model::Outcome;
use crate::net::{Buffer, BufferSize, Deadline, Stream};

use super::exchange::Upgraded;
use super::ticket::Ticket;
use super::worker::Worker;

/// One direction.
struct Direction<'t> {
    from: &'t Stream,
    to: &'t Stream,
    moved: &'t Cell<u64>,
    received: Option<Buffer>,
}

/// Passes bytes between a client and what its request was upgraded to. The tunnel counts as the request does, until it
/// ends.
pub(super) async fn pass_on(
    ticket: &mut Ticket,
    client: &Stream,
    received: Option<Buffer>,
    upgraded: Upgraded,
) {
    let selection = ticket
        .selection
        .as_ref()
        .expect("an upgrade follows a selection");
    let worker = Rc::clone(&ticket.worker);
    let timeouts = worker
        .shared
        .settings
        .for_route(&selection.route.spec().timeouts);
    let near = Side {
        stream: client,
        received,
        sent: &ticket.bytes_in,
    };
    let far = Side {
        stream: &upgraded.connection.stream,
        received: upgraded.received,
        sent: &ticket.bytes_out,
    };
    let is_ended = || ticket.is_ended();
    tunnel(&worker, near, far, timeouts.websocket_idle, is_ended).await;
    if ticket.is_ended() {
        ticket.recalled();
    }
    ticket.end(Outcome::Answered(101));
}

/// One side of a tunnel: its connection, what it has sent already, and a counter of what it sends.
struct Side<'t> {
    stream: &'t Stream,
    received: Option<Buffer>,
    sent: &'t Cell<u64>,
}

/// Passes bytes between two sides.
///
/// A side that ends its direction has this passed on, and may go on reading. An error ends both, and so does `is_ended`.
async fn tunnel(
    worker: &Worker,
    client: Side<'_>,
    upstream: Side<'_>,
    idle: Duration,
    is_ended: impl Fn() -> bool,
) {
    let deadline = worker.timers.deadline();
    deadline.set_from_now(idle);
    let (near, far) = (client.stream, upstream.stream);
    let up = Direction {
        from: near,
        to: far,
        moved: client.sent,
        received: client.received,
    };
    let down = Direction {
        from: far,
        to: near,
        moved: upstream.sent,
        received: upstream.received,
    };
    let mut up = pin!(up.run(worker, &deadline, idle));
    let mut down = pin!(down.run(worker, &deadline, idle));
    let (mut up_ended, mut down_ended) = (false, false);
    poll_fn(|cx| {
        if !up_ended && let Poll::Ready(result) = up.as_mut().poll(cx) {
            up_ended = true;
            if result.is_err() {
                return Poll::Ready(());
            }
        }
        if !down_ended && let Poll::Ready(result) = down.as_mut().poll(cx) {
            down_ended = true;
            if result.is_err() {
                return Poll::Ready(());
            }
        }
        if is_ended() || (up_ended && down_ended) {
            Poll::Ready(())
        } else {
            deadline.poll_expired(cx)
        }
    })
    .await;
}

impl Direction<'_> {
    async fn run(mut self, worker: &Worker, deadline: &Deadline, idle: Duration) -> io::Result<()> {
        loop {
            if let Some(buffer) = self.received.take().filter(|buffer| !buffer.is_empty()) {
                self.to
                    .write_all_vectored(&mut [IoSlice::new(buffer.data())])
                    .await?;
                self.moved.set(self.moved.get() + buffer.len() as u64);
                deadline.set_from_now(idle);
            }
            self.from.readable().await?;
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
