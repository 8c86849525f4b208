//! Driver of one HTTP/2 connection to an endpoint: its frames, pings and end.

use std::io;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use super::connection_io::Http2Io;
use super::endpoint_ping::EndpointPing;
use super::endpoint_pool::EndpointPool;
use super::handover::Handover;
use super::pooled_connection::PooledConnection;
use super::timeout::SHUTDOWN_TIMEOUT;
use crate::http2::{Code, ConnectionError};
use crate::proxy::worker::Worker;

/// An open connection, with the timers that end it.
pub(super) struct Driver {
    io: Rc<Http2Io>,
    group: Weak<EndpointPool>,
    ping: EndpointPing,
    handover: Handover,
    most_idle: usize,
    idle: crate::net::Deadline,
    is_idle: bool,
    longest_idle: Duration,
}

// === impl Driver ===

impl Driver {
    pub(super) fn new(worker: &Rc<Worker>, io: Rc<Http2Io>, group: Weak<EndpointPool>) -> Self {
        let timeouts = &worker.shared.settings.timeouts;
        Self {
            ping: EndpointPing::new(
                worker.timers.deadline(),
                timeouts.endpoint_ping.map(|span| span.0),
                timeouts.http2_ping_answer.0,
            ),
            handover: Handover::new(worker.timers.deadline()),
            io,
            group,
            most_idle: worker.http2.most_idle(),
            idle: worker.timers.deadline(),
            is_idle: false,
            longest_idle: timeouts.endpoint_idle.0,
        }
    }

    /// Ends the connection: streams in flight are aborted, and a GOAWAY is sent if the endpoint still reads.
    pub(super) async fn finish(&self) {
        self.io.engine().lost();
        self.idle.set_from_now(SHUTDOWN_TIMEOUT);
        tokio::select! {
            _ = self.io.finish() => {}
            () = self.idle.expired() => {}
        }
    }

    /// Moves received frames and pending output; ready when the connection is over. Writers wake this task.
    fn poll_connection(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.engine().clear_waker();
        let received = self.io.poll_receive(cx);
        let drained = self.io.poll_drain(cx);
        match (received, drained) {
            (_, Poll::Ready(Err(error))) => {
                self.io.engine().lost();
                return Poll::Ready(Err(error));
            }
            (Poll::Ready(()), _) => return Poll::Ready(Ok(())),
            (Poll::Pending, _) => {}
        }
        self.io.engine().register_waker(cx);
        Poll::Pending
    }

    /// Ready once the peer's settings were read: the first frame that it sends.
    pub(super) fn poll_greeted(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.poll_connection(cx);
        if self.io.engine().is_greeted() {
            return Poll::Ready(Ok(()));
        }
        let broken = self.io.engine().broken();
        let why = |broken: Option<ConnectionError>| match broken {
            Some(broken) if broken.code != Code::NO_ERROR => io::Error::other(broken),
            _ => io::ErrorKind::UnexpectedEof.into(),
        };
        polled.map(|ended| Err(ended.err().unwrap_or_else(|| why(broken))))
    }

    /// Ready when the connection has ended, is of no more use, or was idle for too long.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, member: &PooledConnection) -> Poll<()> {
        member.listen(cx);
        if self.poll_connection(cx).is_ready() {
            return Poll::Ready(());
        }
        self.ping.poll(cx, &self.io, member);
        self.handover.poll(cx, member);
        let is_idle = member.streams() == 0;
        if is_idle != self.is_idle {
            self.is_idle = is_idle;
            if is_idle {
                self.idle.set_from_now(self.longest_idle);
            } else {
                self.idle.clear();
            }
        }
        let is_given_up = || member.is_useless() || member.is_for_another_worker();
        if is_idle && (is_given_up() || self.is_one_too_many()) {
            return Poll::Ready(());
        }
        self.idle.poll_expired(cx)
    }

    /// True if more connections to the endpoint are idle than are kept.
    fn is_one_too_many(&self) -> bool {
        let group = self.group.upgrade();
        group.is_some_and(|group| group.idle() > self.most_idle)
    }
}
