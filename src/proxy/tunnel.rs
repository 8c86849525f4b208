//! A WebSocket, or what else a route lets through, once both sides have agreed to it: bytes pass both ways until both sides
//! have ended, or nothing has moved for too long.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::yield_now;

use crate::model::Outcome;
use crate::net::{Buffer, Deadline};

use super::budget::Budget;
use super::outcome::{Upgraded, UpgradedEndpoint};
use super::request_context::RequestContext;
use super::select::Selected;
use super::tunnel_end::{Aborted, Received, TunnelEnd};
use super::websocket::{CLOSE_GOING_AWAY, CLOSE_MASKED, CLOSE_RESTART, FrameTracker};
use super::worker::Worker;

/// One direction.
struct Direction<'t> {
    from: TunnelEnd<'t>,
    to: TunnelEnd<'t>,
    moved: &'t Cell<u64>,
    /// Nothing while a write is under way, and where there are no frames.
    bounds: &'t Cell<Option<FrameTracker>>,
    received: Option<Received>,
}

/// A client and an endpoint that talk to each other directly. It counts as the request does, until it ends.
pub(super) struct Tunnel {
    // Dropped first: a request is recorded while it still counts as in flight.
    pub(super) context: RequestContext,
    pub(super) upgraded: Box<Upgraded>,
    /// The bytes that the client has sent behind its request.
    pub(super) received: Option<Buffer>,
    /// Its bytes are the frames of a WebSocket; otherwise they are opaque.
    pub(super) is_websocket: bool,
}

/// The end of a tunnel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// Both sides have ended their direction.
    ByBoth,
    /// Nothing has moved for too long, or its release is gone.
    ByUs,
    /// The client aborted.
    ByClient,
    /// The endpoint aborted.
    ByEndpoint,
    /// The endpoint has ended its direction and reads no more.
    Closed,
}

impl Tunnel {
    /// Passes bytes between the two until it ends.
    pub(super) fn run<'t>(
        &'t mut self,
        client: TunnelEnd<'t>,
    ) -> Pin<Box<dyn Future<Output = ()> + 't>> {
        let Self {
            context,
            upgraded,
            received,
            is_websocket,
        } = self;
        let Upgraded { selected, endpoint } = &mut **upgraded;
        let (endpoint, ahead) = match endpoint {
            UpgradedEndpoint::Socket {
                connection,
                received,
            } => (TunnelEnd::Socket(&connection.stream), received.take()),
            UpgradedEndpoint::Stream { handle, .. } => (TunnelEnd::Stream(handle), None),
        };
        let received = [received.take(), ahead];
        let request = (context, &*selected);
        Box::pin(pass_on(request, client, endpoint, received, *is_websocket))
    }
}

/// `received` are the bytes that the client and the endpoint have sent already.
async fn pass_on(
    (context, selected): (&mut RequestContext, &Selected),
    client: TunnelEnd<'_>,
    endpoint: TunnelEnd<'_>,
    received: [Option<Buffer>; 2],
    is_websocket: bool,
) {
    let worker = Rc::clone(&context.worker);
    let settings = &worker.shared.settings;
    let timeouts = settings.for_route(&selected.route().spec().timeouts);
    let fresh = || Cell::new(is_websocket.then(FrameTracker::default));
    let (to_client, to_endpoint) = (fresh(), fresh());
    let [behind, ahead] = received.map(|buffer| {
        let buffer = buffer.filter(|buffer| !buffer.is_empty());
        buffer.map(Received::Buffer)
    });
    let up = Direction {
        from: client,
        to: endpoint,
        moved: &context.bytes_in,
        bounds: &to_endpoint,
        received: behind,
    };
    let down = Direction {
        from: endpoint,
        to: client,
        moved: &context.bytes_out,
        bounds: &to_client,
        received: ahead,
    };
    let is_cut = || selected.work.is_cut();
    let ended = tunnel(&worker, up, down, timeouts.websocket_idle, is_cut).await;
    // Before the sides get time to read the end: a client whose connection ends meanwhile drops this.
    if let Some(cut) = selected.work.cut() {
        context.release_left(cut);
    }
    let status = context.status.get().unwrap_or(101);
    context.end(Outcome::Answered(status));
    match ended {
        Ended::ByBoth => {}
        Ended::ByUs => {
            let close = if is_cut() {
                CLOSE_RESTART
            } else {
                CLOSE_GOING_AWAY
            };
            let has_heard = [
                send_close_frame(client, &to_client, close),
                send_close_frame(endpoint, &to_endpoint, CLOSE_MASKED),
            ];
            Box::pin(linger(&worker, [client, endpoint], has_heard)).await;
        }
        Ended::ByClient => endpoint.abort(client),
        Ended::ByEndpoint => client.abort(endpoint),
        Ended::Closed => Box::pin(client.linger(&worker)).await,
    }
}

/// Sends a close frame, if the side is between two frames.
fn send_close_frame(to: TunnelEnd<'_>, bounds: &Cell<Option<FrameTracker>>, frame: &[u8]) -> bool {
    let is_between = bounds
        .get()
        .is_some_and(|bounds| bounds.at_frame_boundary());
    is_between && to.finish_with(frame)
}

/// Gives the sides that got a close frame the time to read it. The connection of an endpoint is closed at once.
async fn linger(worker: &Worker, [client, endpoint]: [TunnelEnd<'_>; 2], has_heard: [bool; 2]) {
    let near = async {
        if has_heard[0] {
            client.linger(worker).await;
        }
    };
    let far = async {
        if has_heard[1] && matches!(endpoint, TunnelEnd::Stream(_)) {
            endpoint.linger(worker).await;
        }
    };
    tokio::join!(near, far);
}

/// Passes bytes both ways.
///
/// A side that ends its direction has this passed on, and may go on reading. A break ends both, and so do silence and
/// `is_cut`.
async fn tunnel(
    worker: &Worker,
    up: Direction<'_>,
    down: Direction<'_>,
    idle: Duration,
    is_cut: impl Fn() -> bool,
) -> Ended {
    let deadline = worker.timers.deadline();
    deadline.set_from_now(idle);
    let (client, endpoint) = (up.from, up.to);
    let mut up = pin!(up.run(worker, &deadline, idle));
    let mut down = pin!(down.run(worker, &deadline, idle));
    let (mut up_ended, mut down_ended, mut is_closed) = (false, false, false);
    poll_fn(|cx| {
        if !up_ended && let Poll::Ready(end) = up.as_mut().poll(cx) {
            match end {
                Ok(()) => up_ended = true,
                Err(Side::From) => return Poll::Ready(Ended::ByClient),
                // What it has said before it stopped reading is passed on, whatever that was.
                Err(Side::To) => (up_ended, is_closed) = (true, true),
            }
        }
        if !down_ended && let Poll::Ready(end) = down.as_mut().poll(cx) {
            match end {
                Ok(()) => down_ended = true,
                Err(Side::From) => return Poll::Ready(Ended::ByEndpoint),
                Err(Side::To) => return Poll::Ready(Ended::ByClient),
            }
        }
        if up_ended && down_ended {
            Poll::Ready(if is_closed {
                Ended::Closed
            } else {
                Ended::ByBoth
            })
        } else if is_cut() {
            Poll::Ready(Ended::ByUs)
        } else if let Some(broken) = broken(cx, client, endpoint, down_ended) {
            Poll::Ready(broken)
        } else {
            deadline.poll_expired(cx).map(|()| Ended::ByUs)
        }
    })
    .await
}

/// Which stream was broken off. Of what an endpoint has sent before, all is passed on first.
fn broken(
    cx: &Context<'_>,
    client: TunnelEnd<'_>,
    endpoint: TunnelEnd<'_>,
    down_ended: bool,
) -> Option<Ended> {
    if client.poll_broken(cx).is_ready() {
        return Some(Ended::ByClient);
    }
    let is_closed = down_ended && endpoint.poll_broken(cx).is_ready();
    is_closed.then_some(Ended::Closed)
}

/// The side of a direction that broke off.
enum Side {
    From,
    To,
}

impl Direction<'_> {
    async fn run(
        mut self,
        worker: &Worker,
        deadline: &Deadline,
        idle: Duration,
    ) -> Result<(), Side> {
        let mut budget = Budget::new(&worker.turns);
        loop {
            if let Some(received) = self.received.take() {
                let bounds = self.bounds.take();
                let bytes = received.bytes();
                let written: Result<(), Aborted> = self.to.write(bytes).await;
                written.map_err(|Aborted| Side::To)?;
                self.bounds.set(bounds.map(|mut bounds| {
                    bounds.pass(bytes);
                    bounds
                }));
                let length = bytes.len();
                self.moved.set(self.moved.get() + length as u64);
                deadline.set_from_now(idle);
                self.from.passed(&received);
                drop(received);
                if budget.spend(length) {
                    yield_now().await;
                }
            }
            let next = if budget.is_greedy() {
                let mut next = pin!(self.from.read(worker));
                poll_fn(|cx| budget.poll_next(cx, next.as_mut())).await
            } else {
                self.from.read(worker).await
            };
            match next {
                Ok(Some(received)) => self.received = Some(received),
                Ok(None) => {
                    self.to.finish();
                    return Ok(());
                }
                Err(Aborted) => return Err(Side::From),
            }
        }
    }
}
