//! HTTP/2 connections to endpoints, shared by the requests of one worker.
//!
//! Streams are counted against what the peer allows; beyond that another connection is opened, since a request that
//! waits inside the engine could neither select again nor be seen to wait. A connection is dialed by one request at a
//! time; others that need it meanwhile wait for it, and so do not dial one each.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::hold::Hold;
use super::keepalive::{Alive, Keepalive};
use super::link::Link;
use super::settings;
use crate::http2::{Broken, Code, Connection, Gone, Role};
use crate::net::Stream;
use crate::proxy::error::UpstreamError;
use crate::proxy::pool::{Counted, PoolKey};
use crate::proxy::worker::Worker;

/// Streams on one connection, whatever the peer allows: one socket is one queue.
const MOST_STREAMS: usize = 1_000;

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// The connections of one worker.
#[derive(Default)]
pub(in crate::proxy) struct Upstreams {
    groups: RefCell<HashMap<PoolKey, Rc<Group>>>,
    tasks: RefCell<JoinSet<()>>,
}

/// Connections that are interchangeable.
#[derive(Default)]
struct Group {
    members: RefCell<Vec<Rc<Member>>>,
    is_dialing: Cell<bool>,
    dialed: Notify,
}

/// One connection.
struct Member {
    link: Rc<Link>,
    streams: Cell<usize>,
    is_closed: Cell<bool>,
    // Wakes the connection's task when the number of streams falls to zero or rises from it.
    task: RefCell<Option<Waker>>,
}

/// A place for one stream on a connection, counted until it is dropped.
pub(in crate::proxy) struct Place(Rc<Member>);

/// Lets the next request dial, however the dialing ended.
struct Dialing<'g>(&'g Group);

// === impl Upstreams ===

impl Upstreams {
    /// A place on a connection that is open, without waiting.
    pub(in crate::proxy) fn take(&self, key: PoolKey) -> Option<Place> {
        self.groups.borrow().get(&key)?.take()
    }

    /// Forgets what has ended.
    fn sweep(&self) {
        while self.tasks.borrow_mut().try_join_next().is_some() {}
        self.groups.borrow_mut().retain(|_, group| {
            group
                .members
                .borrow_mut()
                .retain(|member| !member.is_closed.get());
            group.is_dialing.get() || !group.members.borrow().is_empty()
        });
    }

    fn group(&self, key: PoolKey) -> Rc<Group> {
        Rc::clone(self.groups.borrow_mut().entry(key).or_default())
    }
}

/// A place on a connection to an endpoint: on one that has room, on one that somebody is dialing, or on a new one.
///
/// Cancellation safe.
pub(in crate::proxy) async fn place(
    worker: &Rc<Worker>,
    key: PoolKey,
    dial: impl AsyncFnOnce() -> Result<(Stream, Counted), UpstreamError>,
    deadline: &crate::net::Deadline,
) -> Result<Place, UpstreamError> {
    worker.http2.sweep();
    let group = worker.http2.group(key);
    loop {
        if let Some(place) = group.take() {
            return Ok(place);
        }
        let dialed = group.dialed.notified();
        if !group.is_dialing.replace(true) {
            break;
        }
        tokio::select! {
            () = dialed => {}
            () = deadline.expired() => return Err(UpstreamError::ConnectTimeout),
        }
    }
    let _dialing = Dialing(&group);
    let (stream, counted) = match dial().await {
        Ok(dialed) => dialed,
        // No other connection may be opened, so one that is short has to do.
        Err(UpstreamError::ConnectionLimit) => {
            return group.squeeze().ok_or(UpstreamError::ConnectionLimit);
        }
        Err(error) => return Err(error),
    };
    let member = tokio::select! {
        opened = open(worker, stream, (Rc::downgrade(&group), counted)) => opened?,
        () = deadline.expired() => return Err(UpstreamError::ConnectTimeout),
    };
    group.members.borrow_mut().push(Rc::clone(&member));
    Ok(Place::new(member))
}

/// Starts HTTP/2 on a connection and waits until the peer has said what it allows.
async fn open(
    worker: &Rc<Worker>,
    stream: Stream,
    (group, counted): (Weak<Group>, Counted),
) -> Result<Rc<Member>, UpstreamError> {
    let limits = &worker.shared.settings.limits.http2;
    let engine = Connection::new(
        Role::Client,
        settings::of_client(limits, &worker.shared.settings.message, MOST_STREAMS),
        settings::budget(limits),
    );
    let link = Link::new(stream, None, Rc::clone(&worker.buffers), engine);
    let mut driver = Driver::new(worker, Rc::clone(&link));
    poll_fn(|cx| driver.poll_greeted(cx))
        .await
        .map_err(UpstreamError::Connect)?;
    let member = Rc::new(Member {
        link,
        streams: Cell::new(0),
        is_closed: Cell::new(false),
        task: RefCell::new(None),
    });
    let task = drive(driver, Rc::clone(&member), group, counted);
    worker.http2.tasks.borrow_mut().spawn_local(task);
    Ok(member)
}

/// Moves a connection's frames until it ends or is not needed any more.
async fn drive(mut driver: Driver, member: Rc<Member>, group: Weak<Group>, counted: Counted) {
    poll_fn(|cx| driver.poll(cx, &member)).await;
    member.is_closed.set(true);
    // Whoever comes now dials; the socket ends here and not when somebody looks for the next connection.
    if let Some(group) = group.upgrade() {
        let mut members = group.members.borrow_mut();
        members.retain(|other| !Rc::ptr_eq(other, &member));
    }
    driver.finish().await;
    drop(counted);
}

// === impl Group ===

impl Group {
    /// A place where the stream gets on at once.
    fn take(&self) -> Option<Place> {
        self.take_where(|member| member.has_room() && member.link.engine().can_take_stream())
    }

    /// A place where the stream may have to wait for the others.
    fn squeeze(&self) -> Option<Place> {
        self.take_where(Member::has_room)
    }

    fn take_where(&self, is_fit: impl Fn(&Member) -> bool) -> Option<Place> {
        let mut members = self.members.borrow_mut();
        members.retain(|member| member.is_open());
        // The fullest that has room, so that the others may become idle.
        let free = members.iter().filter(|member| is_fit(member));
        let fullest = free.max_by_key(|member| member.streams.get())?;
        Some(Place::new(Rc::clone(fullest)))
    }
}

impl Drop for Dialing<'_> {
    fn drop(&mut self) {
        self.0.is_dialing.set(false);
        self.0.dialed.notify_waiters();
    }
}

// === impl Member ===

impl Member {
    /// Whether new streams may be opened: the peer has not said that it goes away.
    fn is_open(&self) -> bool {
        !self.is_closed.get() && self.link.engine().allows_more()
    }

    fn has_room(&self) -> bool {
        let allowed = self.link.engine().allowed();
        self.streams.get() < allowed.min(MOST_STREAMS)
    }

    fn count(&self, streams: usize) {
        self.streams.set(streams);
        if streams <= 1
            && let Some(task) = self.task.borrow().as_ref()
        {
            task.wake_by_ref();
        }
    }
}

// === impl Place ===

impl Place {
    fn new(member: Rc<Member>) -> Self {
        member.count(member.streams.get() + 1);
        Self(member)
    }

    /// The longest list of fields that the endpoint takes.
    pub(super) fn longest_list(&self) -> usize {
        self.0.link.engine().longest_list()
    }

    /// Opens the stream with a head that was encoded; `is_over` if it is all there is.
    pub(super) fn open(&self, block: &[u8], is_over: bool) -> Result<Hold, Gone> {
        let key = self.0.link.engine().open(block, is_over)?;
        Ok(Hold::new(Rc::clone(&self.0.link), key, is_over))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.count(self.0.streams.get() - 1);
    }
}

/// A connection with what keeps it alive.
struct Driver {
    link: Rc<Link>,
    keepalive: Keepalive,
    idle: crate::net::Deadline,
    is_idle: bool,
    longest_idle: Duration,
}

// === impl Driver ===

impl Driver {
    fn new(worker: &Rc<Worker>, link: Rc<Link>) -> Self {
        let timeouts = &worker.shared.settings.timeouts;
        Self {
            keepalive: Keepalive::new(
                worker.timers.deadline(),
                [timeouts.http2_ping.0, timeouts.http2_ping_answer.0],
            ),
            link,
            idle: worker.timers.deadline(),
            is_idle: false,
            longest_idle: timeouts.http2_idle.0,
        }
    }

    /// Ends the connection: what is in flight on it breaks off, and the endpoint is told, as far as it listens.
    async fn finish(&self) {
        self.link.engine().lost();
        self.idle.set_from_now(GOODBYE);
        tokio::select! {
            () = self.link.finish() => {}
            () = self.idle.expired() => {}
        }
    }

    /// Moves what arrived and what is to leave; ready when the connection is over. Whoever writes to it wakes this task.
    fn poll_connection(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.engine().forget_listener();
        let received = self.link.poll_receive(cx);
        let drained = self.link.poll_drain(cx);
        match (received, drained) {
            (_, Poll::Ready(Err(error))) => {
                self.link.engine().lost();
                return Poll::Ready(Err(error));
            }
            (Poll::Ready(()), _) => return Poll::Ready(Ok(())),
            (Poll::Pending, _) => {}
        }
        self.link.engine().listen(cx);
        Poll::Pending
    }

    /// Ready once the peer's settings were read: the first thing that it sends.
    fn poll_greeted(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.poll_connection(cx);
        if self.link.engine().is_greeted() {
            return Poll::Ready(Ok(()));
        }
        let broken = self.link.engine().broken();
        let why = |broken: Option<Broken>| match broken {
            Some(broken) if broken.code != Code::NO_ERROR => io::Error::other(broken),
            _ => io::ErrorKind::UnexpectedEof.into(),
        };
        polled.map(|ended| Err(ended.err().unwrap_or_else(|| why(broken))))
    }

    /// Ready when the connection has ended, is dead, or was idle for too long.
    fn poll(&mut self, cx: &mut Context<'_>, member: &Member) -> Poll<()> {
        *member.task.borrow_mut() = Some(cx.waker().clone());
        if self.keepalive.poll(cx, &self.link) == Alive::No {
            self.link.reset_on_close();
            self.link.engine().lost();
            return Poll::Ready(());
        }
        if self.poll_connection(cx).is_ready() {
            return Poll::Ready(());
        }
        let is_idle = member.streams.get() == 0;
        if is_idle != self.is_idle {
            self.is_idle = is_idle;
            if is_idle {
                self.idle.set_from_now(self.longest_idle);
            } else {
                self.idle.clear();
            }
        }
        self.idle.poll_expired(cx)
    }
}
