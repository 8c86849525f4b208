//! HTTP/2 connections to endpoints, shared by the requests of one worker.
//!
//! Streams are counted against the peer's limit; beyond that another connection is opened, since a request that waits
//! inside the engine could neither select again nor appear as waiting. One request at a time dials a connection; others
//! that need it wait for the result instead of dialing one each.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use super::connection_io::Http2Io;
use super::endpoint_pool::EndpointPool;
use super::pooled_connection::{MOST_STREAMS, PooledConnection, PooledStream};
use super::settings;
use super::upstream_driver::Driver;
use crate::http2::{Connection, Role};
use crate::net::Stream;
use crate::proxy::error::UpstreamError;
use crate::proxy::pool::{ConnectionCount, PoolKey};
use crate::proxy::worker::Worker;

/// Lets the next request dial, however the dial ended.
struct Dialing<'g>(&'g EndpointPool);

/// Acquires a permit for a stream: on a connection with room, on one that is being dialed, or on a new one. Connections
/// with a number below `newer_than` are not used.
///
/// Cancellation safe.
pub(in crate::proxy) async fn acquire_stream(
    worker: &Rc<Worker>,
    (key, newer_than): (PoolKey, Option<u64>),
    dial: impl AsyncFnOnce() -> Result<(Stream, ConnectionCount), UpstreamError>,
    deadline: &crate::net::Deadline,
) -> Result<PooledStream, UpstreamError> {
    worker.http2.sweep();
    let group = worker.http2.group(key);
    loop {
        if let Some(member) = group.take(newer_than) {
            return Ok(PooledStream::new(member, false));
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
        // No other connection may be opened, so a crowded one has to do.
        Err(UpstreamError::ConnectionLimit) => {
            let squeezed = group.squeeze().ok_or(UpstreamError::ConnectionLimit)?;
            return Ok(PooledStream::new(squeezed, true));
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
    Ok(PooledStream::new(member, false))
}

/// Starts HTTP/2 on a connection and waits for the peer's settings.
async fn open(
    worker: &Rc<Worker>,
    stream: Stream,
    (group, counted): (Weak<EndpointPool>, ConnectionCount),
) -> Result<Rc<PooledConnection>, UpstreamError> {
    let limits = &worker.shared.settings.limits.http2;
    let engine = Connection::new(
        Role::Client,
        settings::of_client(limits, &worker.shared.settings.message, MOST_STREAMS),
        settings::budget(limits),
    );
    let io = Http2Io::new(stream, None, Rc::clone(&worker.buffers), engine);
    let mut driver = Driver::new(worker, Rc::clone(&io), Weak::clone(&group));
    poll_fn(|cx| driver.poll_greeted(cx))
        .await
        .map_err(UpstreamError::Connect)?;
    let number = worker.http2.opened.get();
    worker.http2.opened.set(number + 1);
    let member = Rc::new(PooledConnection {
        io,
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

/// Moves a connection's frames until it ends or is no longer needed.
async fn drive(
    mut driver: Driver,
    member: Rc<PooledConnection>,
    group: Weak<EndpointPool>,
    counted: ConnectionCount,
) {
    poll_fn(|cx| driver.poll(cx, &member)).await;
    member.is_closed.set(true);
    // The next request dials; the socket is closed here and not at the next search for a connection.
    if let Some(group) = group.upgrade() {
        let mut members = group.members.borrow_mut();
        members.retain(|other| !Rc::ptr_eq(other, &member));
    }
    driver.finish().await;
    drop(counted);
}

impl Drop for Dialing<'_> {
    fn drop(&mut self) {
        self.0.is_dialing.set(false);
        self.0.dialed.notify_waiters();
    }
}
