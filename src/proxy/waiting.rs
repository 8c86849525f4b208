//! The waits of a request before it is committed: for a connection to its endpoint, and for a permit of its release.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::fleet::{Endpoint, Health, QueueSlot};
use crate::model::AttemptFailure;
use crate::net::Deadline;
use crate::table::Release;

use super::connect::{Connected, connect};
use super::error::{ProxyError, UpstreamError};
use super::io::{ClientBody, RequestMeta};
use super::request_context::RequestContext;
use super::select::Selected;

/// Longest wait for a permit, unless the release has a limit of its own.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// The reason why a wait ended without its result.
pub(super) enum WaitAborted {
    /// The client has left.
    Client,
    /// The request gets a response of ours.
    Error(ProxyError),
}

/// Connects to the selected endpoint. One deadline holds for all endpoints that are tried. Without a connection, another
/// endpoint is to be selected.
pub(super) async fn dial<C: ClientBody>(
    context: &mut RequestContext,
    selected: &Selected,
    meta: &RequestMeta,
    client: &mut C,
) -> Result<Option<Connected>, WaitAborted> {
    let worker = &context.worker;
    let settings = &worker.shared.settings;
    let timeouts = settings.for_route(&selected.route().spec().timeouts);
    let now = Instant::now();
    let until = *context
        .connect_deadline
        .get_or_insert(now + timeouts.connect);
    let deadline = worker.timers.deadline();
    deadline.set_from_now(until.saturating_duration_since(now));
    let attempts = context.attempts.as_ref();
    let newer_than = attempts.and_then(|attempts| attempts.newer_than);
    let may_wait = is_last_endpoint(context, selected);
    let connecting = connect(worker, selected, newer_than, &deadline, may_wait);
    let connected = or_client_closed(context, meta, client, connecting).await;
    if let Err(WaitAborted::Error(error @ ProxyError::RequestTimeout)) = &connected {
        context.count_failed_attempt(AttemptFailure::RequestTimeout, error);
    }
    match connected? {
        Ok(connection) => Ok(connection),
        Err(error) => {
            note_connect_failure(context, selected, error, may_wait).map_err(WaitAborted::Error)?;
            if Instant::now() >= until {
                let error = ProxyError::Upstream(UpstreamError::ConnectTimeout);
                return Err(WaitAborted::Error(error));
            }
            Ok(None)
        }
    }
}

/// Waits for a permit of a release. The request is not committed: when the table changes, it is selected for again.
pub(super) async fn queue<C: ClientBody>(
    context: &mut RequestContext,
    release: &Release,
    meta: &RequestMeta,
    client: &mut C,
) -> Result<(), WaitAborted> {
    let limits = &release.spec().limits;
    let slot = queue_slot(context, release).ok_or(WaitAborted::Error(ProxyError::Overloaded))?;
    let longest = limits.queue_timeout.map_or(QUEUE_TIMEOUT, |span| span.0);
    let waited = context.worker.timers.now().since(context.started);
    let Some(left) = longest.checked_sub(waited) else {
        return Err(WaitAborted::Error(ProxyError::QueueTimeout));
    };
    let deadline = context.worker.timers.deadline();
    deadline.set_from_now(left);
    let granted = permit_or_change(context, &slot, &deadline);
    if or_client_closed(context, meta, client, granted).await? {
        context.waiting = Some(slot);
        Ok(())
    } else {
        Err(WaitAborted::Error(ProxyError::QueueTimeout))
    }
}

/// The slot that the request has already, or one at the end of the queue.
fn queue_slot(context: &mut RequestContext, release: &Release) -> Option<Box<QueueSlot>> {
    let limits = &release.spec().limits;
    let limit = limits.concurrency.unwrap_or(u32::MAX);
    let queue = || {
        let most = limits.queue.unwrap_or(0);
        let requests = release.roster().concurrency_limit();
        requests
            .queue(limit, most, context.worker.slot)
            .map(Box::new)
    };
    context.waiting.take().or_else(queue)
}

/// Waits for a permit or for another table; false once the deadline has passed.
async fn permit_or_change(context: &RequestContext, slot: &QueueSlot, deadline: &Deadline) -> bool {
    tokio::select! {
        () = slot.granted() => true,
        () = context.worker.table_changed.notified() => true,
        () = deadline.expired() => false,
    }
}

/// Runs `work` unless the client leaves or the time for the whole request is over. A client whose body is unread is
/// watched by its connection.
async fn or_client_closed<C: ClientBody, T>(
    context: &RequestContext,
    meta: &RequestMeta,
    client: &mut C,
    work: impl Future<Output = T>,
) -> Result<T, WaitAborted> {
    let limit = context.total_limit(meta);
    let too_long = async {
        match &limit {
            Some(limit) => limit.expired().await,
            None => pending().await,
        }
    };
    let gone = async {
        if meta.framing.is_empty() {
            client.closed().await;
        } else {
            pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = gone => Err(WaitAborted::Client),
        () = too_long => Err(WaitAborted::Error(ProxyError::RequestTimeout)),
    }
}

/// True if no endpoint would be tried after the selected one.
fn is_last_endpoint(context: &RequestContext, selected: &Selected) -> bool {
    let attempts = context.attempts.as_ref();
    let tried = attempts.map_or(&[][..], |attempts| &attempts.tried);
    let address = selected.in_flight.endpoint().address();
    let endpoints = selected.release().roster().endpoints();
    let is_out = |other: &Arc<Endpoint>| {
        other.address() == address
            || other.health() == Health::Unhealthy
            || tried.contains(&other.address())
    };
    tried.len() >= other_endpoints(context, selected) || endpoints.iter().all(is_out)
}

/// Number of other endpoints to try when a connection fails.
fn other_endpoints(context: &RequestContext, selected: &Selected) -> usize {
    let of_route = selected.route().retries().other_endpoints();
    of_route.unwrap_or(context.worker.shared.settings.limits.retries) as usize
}

/// Counts a failure to connect against the endpoint; an error if no endpoint is to be tried any more. An endpoint that
/// was only full, and not waited for, is tried again once there is no other.
fn note_connect_failure(
    context: &mut RequestContext,
    selected: &Selected,
    error: UpstreamError,
    has_waited: bool,
) -> Result<(), ProxyError> {
    let endpoint = selected.in_flight.endpoint();
    if error.is_refusal() {
        endpoint.refused(context.worker.now_ms());
    }
    context.count_failed_attempt(error.failure(), &error);
    let others = other_endpoints(context, selected);
    let attempts = context.attempts.get_or_insert_default();
    attempts.tried.push(endpoint.address());
    if matches!(error, UpstreamError::ConnectionLimit) && !has_waited {
        attempts.full.push(endpoint.address());
    }
    let endpoints = selected.release().roster().endpoints();
    let is_tried = |other: &Arc<Endpoint>| attempts.tried.contains(&other.address());
    let is_last = attempts.tried.len() > others || endpoints.iter().all(is_tried);
    if is_last && !attempts.retry_full() {
        return Err(ProxyError::Upstream(error));
    }
    Ok(())
}
