//! Pools of HTTP/2 connections to endpoints, one per endpoint and worker.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::pooled_connection::{PooledConnection, PooledStream};
use crate::proxy::pool::PoolKey;

/// The connections of one worker.
pub(in crate::proxy) struct Upstreams {
    groups: RefCell<HashMap<PoolKey, Rc<EndpointPool>>>,
    pub(super) tasks: RefCell<JoinSet<()>>,
    /// Number of connections opened so far: each has its number.
    pub(super) opened: Cell<u64>,
    /// Maximum number of idle connections kept to one endpoint.
    most_idle: usize,
}

/// Interchangeable connections.
#[derive(Default)]
pub(super) struct EndpointPool {
    pub(super) members: RefCell<Vec<Rc<PooledConnection>>>,
    pub(super) is_dialing: Cell<bool>,
    pub(super) dialed: Notify,
}

// === impl Upstreams ===

impl Upstreams {
    /// Creates an empty set; at most `most_idle` idle connections will be kept to one endpoint.
    pub(in crate::proxy) fn new(most_idle: usize) -> Self {
        Self {
            groups: RefCell::default(),
            tasks: RefCell::default(),
            opened: Cell::new(0),
            most_idle,
        }
    }

    /// Takes a permit on an open connection, without waiting.
    pub(in crate::proxy) fn take(&self, key: PoolKey) -> Option<PooledStream> {
        let member = self.groups.borrow().get(&key)?.take(None)?;
        Some(PooledStream::new(member, true))
    }

    pub(super) fn most_idle(&self) -> usize {
        self.most_idle
    }

    /// Number of connections opened so far.
    pub(in crate::proxy) fn opened(&self) -> u64 {
        self.opened.get()
    }

    /// Closes connections that another worker waits for: idle ones at once, others as soon as they are idle.
    pub(in crate::proxy) fn give_up(&self) {
        for group in self.groups.borrow().values() {
            for member in group.members.borrow().iter() {
                member.wake_if_wanted();
            }
        }
    }

    /// Removes ended connections.
    pub(super) fn sweep(&self) {
        while self.tasks.borrow_mut().try_join_next().is_some() {}
        self.groups.borrow_mut().retain(|_, group| {
            group
                .members
                .borrow_mut()
                .retain(|member| !member.is_closed.get());
            group.is_dialing.get() || !group.members.borrow().is_empty()
        });
    }

    pub(super) fn group(&self, key: PoolKey) -> Rc<EndpointPool> {
        Rc::clone(self.groups.borrow_mut().entry(key).or_default())
    }
}

// === impl EndpointPool ===

impl EndpointPool {
    /// A connection on which a stream can start at once, with a number of at least `newer_than`.
    pub(super) fn take(&self, newer_than: Option<u64>) -> Option<Rc<PooledConnection>> {
        let least = newer_than.unwrap_or_default();
        self.take_where(|member| {
            let is_fit = member.number >= least && member.has_room() && !member.is_suspect.get();
            is_fit && member.io.engine().can_take_stream()
        })
    }

    /// A connection on which a stream may have to wait for others.
    pub(super) fn squeeze(&self) -> Option<Rc<PooledConnection>> {
        self.take_where(PooledConnection::has_room)
    }

    fn take_where(
        &self,
        is_fit: impl Fn(&PooledConnection) -> bool,
    ) -> Option<Rc<PooledConnection>> {
        let mut members = self.members.borrow_mut();
        members.retain(|member| member.is_open());
        // The fullest with room, so that the others may become idle.
        let free = members.iter().filter(|member| is_fit(member));
        free.max_by_key(|member| member.streams.get()).cloned()
    }

    /// True if the endpoint allows no streams: another connection would not help.
    pub(super) fn is_refusing(&self) -> bool {
        let members = self.members.borrow();
        let mut open = members.iter().filter(|member| member.is_open());
        open.any(|member| member.io.engine().allowed() == 0)
    }

    /// Number of connections without streams.
    pub(super) fn idle(&self) -> usize {
        let members = self.members.borrow();
        let is_idle =
            |member: &&Rc<PooledConnection>| member.streams() == 0 && !member.is_closed.get();
        members.iter().filter(is_idle).count()
    }
}
