//! Connection limits per endpoint: the check before a connection is opened, and the wait for a free or an idle one.
//!
//! Each worker keeps its own connections. At the limit, idle connections of other workers are requested: they close,
//! which makes room for a new one here. While a request waits, a connection that becomes idle goes to the first waiter.
//! Below the limit none of this costs anything.

use std::sync::Arc;

use crate::fleet::CountedConnection;
use crate::net::Deadline;

use super::error::UpstreamError;
use super::pool::ConnectionCount;
use super::select::Selected;
use super::worker::Worker;

/// Outcome of a wait for a connection.
pub(super) enum Admission<T> {
    /// A new connection may be opened.
    New(ConnectionCount),
    /// An existing connection can be used.
    Existing(T),
    /// The table changed: the caller selects again.
    TableChanged,
}

fn limit(selected: &Selected) -> u32 {
    let limits = &selected.release().spec().limits;
    limits.connections_per_endpoint.unwrap_or(u32::MAX)
}

fn budgeted(worker: &Worker, selected: &Selected) -> Option<CountedConnection> {
    worker
        .shared
        .connections
        .acquire(selected.release().roster())
}

/// Counts a new connection, if the limits allow one and no request waits for it.
pub(super) fn at_once(worker: &Worker, selected: &Selected) -> Option<ConnectionCount> {
    let endpoint = selected.in_flight.endpoint();
    let place = endpoint.connection_limit().acquire(limit(selected))?;
    Some(ConnectionCount::new(
        endpoint,
        place,
        budgeted(worker, selected)?,
    ))
}

/// Waits until another connection may be opened or `existing` finds one, first come, first served.
///
/// # Errors
/// When the deadline passes before.
pub(super) async fn wait<T>(
    worker: &Worker,
    selected: &Selected,
    existing: impl Fn() -> Option<T>,
    deadline: &Deadline,
) -> Result<Admission<T>, UpstreamError> {
    let endpoint = selected.in_flight.endpoint();
    let limit = limit(selected);
    // Requests in flight have a limit of their own, which bounds this queue as well.
    let waiting = Arc::clone(endpoint.connection_limit()).queue(limit, u32::MAX, worker.slot);
    let mut waiting = waiting.ok_or(UpstreamError::ConnectionLimit)?;
    let place = loop {
        waiting = match waiting.place(limit) {
            Ok(place) => break place,
            Err(waiting) => waiting,
        };
        worker.shared.want_idle();
        tokio::select! {
            () = waiting.woken() => {}
            () = worker.table_changed.notified() => return Ok(Admission::TableChanged),
            () = deadline.expired() => return Err(UpstreamError::ConnectionLimit),
        }
        // Woken without a permit: a connection may have become idle on this worker.
        if let Some(existing) = existing() {
            return Ok(Admission::Existing(existing));
        }
    };
    loop {
        if let Some(budgeted) = budgeted(worker, selected) {
            return Ok(Admission::New(ConnectionCount::new(
                endpoint, place, budgeted,
            )));
        }
        let closing = worker.shared.connections.wait();
        worker.shared.want_idle();
        tokio::select! {
            () = closing.freed() => {}
            () = worker.table_changed.notified() => return Ok(Admission::TableChanged),
            () = deadline.expired() => return Err(UpstreamError::ConnectionLimit),
        }
    }
}
