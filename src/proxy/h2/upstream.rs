//! HTTP/2 connections to endpoints, shared by the requests of one worker.
//!
//! Streams are counted against what the peer allows; beyond that another connection is opened, since a request that
//! waits inside the engine could neither select again nor be seen to wait. A connection is dialed by one request at a
//! time; others that need it meanwhile wait for it, and so do not dial one each.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Waker};

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::hold::Hold;
use super::link::Link;
use super::settings;
use super::upstream_driver::Driver;
use crate::fleet::{ConnectionBudget, Places};
use crate::http2::{Connection, Gone, Role};
use crate::net::Stream;
use crate::proxy::error::UpstreamError;
use crate::proxy::pool::{Counted, PoolKey};
use crate::proxy::worker::Worker;

/// Streams on one connection, whatever the peer allows: one socket is one queue.
const MOST_STREAMS: usize = 1_000;

/// The connections of one worker.
pub(in crate::proxy) struct Upstreams {
    groups: RefCell<HashMap<PoolKey, Rc<Group>>>,
    tasks: RefCell<JoinSet<()>>,
    /// Connections that were opened so far: each has its number.
    opened: Cell<u64>,
    /// Connections without streams that are kept to one endpoint.
    most_idle: usize,
}

/// Connections that are interchangeable.
#[derive(Default)]
pub(super) struct Group {
    members: RefCell<Vec<Rc<Member>>>,
    is_dialing: Cell<bool>,
    dialed: Notify,
}

/// One connection.
pub(super) struct Member {
    link: Rc<Link>,
    number: u64,
    /// Of the endpoint's connections, of which it is one.
    places: Arc<Places>,
    budget: Arc<ConnectionBudget>,
    worker: usize,
    streams: Cell<usize>,
    is_closed: Cell<bool>,
    /// The endpoint has not answered a ping: it gets no new streams until it says something.
    is_suspect: Cell<bool>,
    /// It takes no new streams, so that another worker gets its place among the endpoint's connections.
    is_held_back: Cell<bool>,
    // Wakes the connection's task when the number of streams falls to zero or rises from it.
    task: RefCell<Option<Waker>>,
}

/// A place for one stream on a connection, counted until it is dropped.
pub(in crate::proxy) struct Place {
    member: Rc<Member>,
    /// The connection was not opened for this request, nor while it waited.
    is_kept: bool,
}

/// Lets the next request dial, however the dialing ended.
struct Dialing<'g>(&'g Group);

// === impl Upstreams ===

impl Upstreams {
    /// No connections; at most `most_idle` without streams will be kept to one endpoint.
    pub(in crate::proxy) fn new(most_idle: usize) -> Self {
        Self {
            groups: RefCell::default(),
            tasks: RefCell::default(),
            opened: Cell::new(0),
            most_idle,
        }
    }

    /// A place on a connection that is open, without waiting.
    pub(in crate::proxy) fn take(&self, key: PoolKey) -> Option<Place> {
        let member = self.groups.borrow().get(&key)?.take(None)?;
        Some(Place::new(member, true))
    }

    pub(super) fn most_idle(&self) -> usize {
        self.most_idle
    }

    /// How many connections were opened so far.
    pub(in crate::proxy) fn opened(&self) -> u64 {
        self.opened.get()
    }

    /// Has connections closed that another worker waits for: at once without streams, else as soon as they have none.
    pub(in crate::proxy) fn give_up(&self) {
        for group in self.groups.borrow().values() {
            for member in group.members.borrow().iter() {
                member.wake_if_wanted();
            }
        }
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

/// A place on a connection to an endpoint: on one that has room, on one that is being dialed, or on a new one. None with a
/// number below `newer_than` is taken.
///
/// Cancellation safe.
pub(in crate::proxy) async fn place(
    worker: &Rc<Worker>,
    (key, newer_than): (PoolKey, Option<u64>),
    dial: impl AsyncFnOnce() -> Result<(Stream, Counted), UpstreamError>,
    deadline: &crate::net::Deadline,
) -> Result<Place, UpstreamError> {
    worker.http2.sweep();
    let group = worker.http2.group(key);
    loop {
        if let Some(member) = group.take(newer_than) {
            return Ok(Place::new(member, false));
        }
        if group.is_refusing() {
            return Err(UpstreamError::NoStreams);
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
            let squeezed = group.squeeze().ok_or(UpstreamError::ConnectionLimit)?;
            return Ok(Place::new(squeezed, true));
        }
        Err(error) => return Err(error),
    };
    let member = tokio::select! {
        opened = open(worker, stream, (Rc::downgrade(&group), counted)) => opened?,
        () = deadline.expired() => return Err(UpstreamError::ConnectTimeout),
    };
    group.members.borrow_mut().push(Rc::clone(&member));
    member.welcome();
    if group.is_refusing() {
        return Err(UpstreamError::NoStreams);
    }
    Ok(Place::new(member, false))
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
    let mut driver = Driver::new(worker, Rc::clone(&link), Weak::clone(&group));
    poll_fn(|cx| driver.poll_greeted(cx))
        .await
        .map_err(UpstreamError::Connect)?;
    let number = worker.http2.opened.get();
    worker.http2.opened.set(number + 1);
    let member = Rc::new(Member {
        link,
        number,
        places: Arc::clone(counted.places()),
        budget: Arc::clone(&worker.shared.connections),
        worker: worker.slot,
        streams: Cell::new(0),
        is_closed: Cell::new(false),
        is_suspect: Cell::new(false),
        is_held_back: Cell::new(false),
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
    /// A connection on which a stream gets on at once, none with a number below `newer_than`.
    fn take(&self, newer_than: Option<u64>) -> Option<Rc<Member>> {
        let least = newer_than.unwrap_or_default();
        self.take_where(|member| {
            let is_fit = member.number >= least && member.has_room() && !member.is_suspect.get();
            is_fit && member.link.engine().can_take_stream()
        })
    }

    /// A connection on which a stream may have to wait for the others.
    fn squeeze(&self) -> Option<Rc<Member>> {
        self.take_where(Member::has_room)
    }

    fn take_where(&self, is_fit: impl Fn(&Member) -> bool) -> Option<Rc<Member>> {
        let mut members = self.members.borrow_mut();
        members.retain(|member| member.is_open());
        // The fullest that has room, so that the others may become idle.
        let free = members.iter().filter(|member| is_fit(member));
        free.max_by_key(|member| member.streams.get()).cloned()
    }

    /// Whether the endpoint allows no streams: another connection would bring none either.
    fn is_refusing(&self) -> bool {
        let members = self.members.borrow();
        let mut open = members.iter().filter(|member| member.is_open());
        open.any(|member| member.link.engine().allowed() == 0)
    }

    /// Connections without streams.
    pub(super) fn idle(&self) -> usize {
        let members = self.members.borrow();
        let is_idle = |member: &&Rc<Member>| member.streams() == 0 && !member.is_closed.get();
        members.iter().filter(is_idle).count()
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
        if self.is_held_back.get() {
            return false;
        }
        let allowed = self.link.engine().allowed();
        self.streams.get() < allowed.min(MOST_STREAMS)
    }

    pub(super) fn streams(&self) -> usize {
        self.streams.get()
    }

    pub(super) fn suspect(&self, is_suspect: bool) {
        self.is_suspect.set(is_suspect);
    }

    /// Whether nothing would be lost without it: it has no streams, and gets none.
    pub(super) fn is_useless(&self) -> bool {
        self.streams.get() == 0 && (!self.is_open() || self.is_suspect.get())
    }

    /// Remembers whom to wake when its streams end.
    pub(super) fn listen(&self, cx: &Context<'_>) {
        *self.task.borrow_mut() = Some(cx.waker().clone());
    }

    /// Takes no new streams for a while, or takes them again: then those who wait on this worker come here.
    pub(super) fn hold_back(&self, is_held_back: bool) {
        let was_held_back = self.is_held_back.replace(is_held_back);
        if was_held_back && !is_held_back {
            self.welcome();
        }
    }

    /// Wakes those who wait on this worker for a connection: they may have streams here, whoever waits before them elsewhere.
    fn welcome(&self) {
        if self.places.waiting() > 0 {
            self.places.wake_all_of(self.worker);
        }
    }

    /// Whether its endpoint may have no more connections and the first who waits for one is on another worker.
    pub(super) fn is_wanted_elsewhere(&self) -> bool {
        self.places.is_first_elsewhere(self.worker)
    }

    /// Whether it is to be closed now that it has no streams, because somebody else waits for it. If the first who waits is
    /// on this worker it is woken, to take it.
    pub(super) fn is_for_another_worker(&self) -> bool {
        let is_wanted = self.places.waiting() > 0 && !self.places.wake_first_of(self.worker);
        is_wanted || self.budget.waiting() > 0
    }

    fn count(&self, streams: usize) {
        self.streams.set(streams);
        if self.places.waiting() > 0 {
            // One that waits for another connection may have this stream's place.
            self.places.wake_first_of(self.worker);
        }
        if streams <= 1 {
            self.wake();
        }
    }

    fn wake_if_wanted(&self) {
        if self.streams.get() == 0 || self.is_held_back.get() || self.is_wanted_elsewhere() {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(task) = self.task.borrow().as_ref() {
            task.wake_by_ref();
        }
    }
}

// === impl Place ===

impl Place {
    fn new(member: Rc<Member>, is_kept: bool) -> Self {
        member.count(member.streams.get() + 1);
        Self { member, is_kept }
    }

    /// Whether the connection was there before the request.
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// Whether the endpoint takes CONNECT with a `:protocol`.
    pub(super) fn takes_protocols(&self) -> bool {
        self.member.link.engine().takes_protocols()
    }

    /// The longest list of fields that the endpoint takes.
    pub(super) fn longest_list(&self) -> usize {
        self.member.link.engine().longest_list()
    }

    /// Opens the stream with a head that was encoded; `is_over` if it is all there is.
    pub(super) fn open(&self, block: &[u8], is_over: bool) -> Result<Hold, Gone> {
        let link = &self.member.link;
        let key = link.engine().open(block, is_over)?;
        Ok(Hold::new(Rc::clone(link), key, is_over))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.member.count(self.member.streams.get() - 1);
    }
}
