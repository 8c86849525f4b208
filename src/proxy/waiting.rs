//! The waits of a request before it is committed: for a connection to its endpoint, and for a permit of its release.

use std::future::pending;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::fleet::{Endpoint, Health};
use crate::model::AttemptFailure;
use crate::net::Deadline;
use crate::table::Release;

use super::connect::{Connected, connect};
use super::error::{ProxyError, UpstreamError};
use super::io::{ClientBody, RequestMeta};
use super::observe;
use super::queue_position::QueuePosition;
use super::request_context::RequestContext;
use super::select::Selected;

/// Longest wait for a permit, unless the release has a limit of its own.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest wait for a release that has no endpoint yet, of a request that opens a session of MCP: a client takes an
/// error for a server of the older generation, for good.
const START_TIMEOUT: Duration = Duration::from_secs(10);

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
    let until = connect_until(context, selected);
    let (worker, now) = (&context.worker, Instant::now());
    let deadline = worker.timers.deadline();
    let timeouts = worker
        .shared
        .settings
        .for_route(&selected.route().spec().timeouts);
    // A request that opens a session tries for longer, but each time no longer than others.
    let left = until.saturating_duration_since(now);
    deadline.set_from_now(left.min(timeouts.connect));
    let attempts = context.attempts.as_ref();
    let newer_than = attempts.and_then(|attempts| attempts.newer_than);
    let may_wait = is_last_endpoint(context, selected) || is_pinned_here(context, selected);
    let connecting = connect(worker, selected, newer_than, &deadline, may_wait);
    let connected = or_client_closed(context, meta, client, connecting).await;
    if let Err(WaitAborted::Error(error @ ProxyError::RequestTimeout)) = &connected {
        context.count_failed_attempt(AttemptFailure::RequestTimeout, error);
    }
    match connected? {
        Ok(connection) => Ok(connection),
        Err(error) => {
            if let Some(length) = restart_pause(context, selected, &error, until) {
                return pause(context, meta, client, length).await.map(|()| None);
            }
            note_connect_failure(context, selected, error, may_wait).map_err(WaitAborted::Error)?;
            if Instant::now() >= until {
                let error = ProxyError::Upstream(UpstreamError::ConnectTimeout);
                return Err(WaitAborted::Error(error));
            }
            Ok(None)
        }
    }
}

/// Deadline for connecting, which begins with the first wait for a connection.
fn connect_until(context: &mut RequestContext, selected: &Selected) -> Instant {
    let settings = &context.worker.shared.settings;
    let timeouts = settings.for_route(&selected.route().spec().timeouts);
    let mut longest = timeouts.connect;
    if context.opens_session {
        longest = longest.max(START_TIMEOUT);
    }
    *context
        .connect_deadline
        .get_or_insert_with(|| Instant::now() + longest)
}

/// The pause before the endpoints of a release are tried again, if all of them refuse connections: one that restarts
/// takes them again in a moment. Only the first refusals count as failures.
fn restart_pause(
    context: &mut RequestContext,
    selected: &Selected,
    error: &UpstreamError,
    until: Instant,
) -> Option<Duration> {
    let attempts = context.attempts.as_ref();
    let is_one_full = attempts.is_some_and(|attempts| !attempts.full.is_empty());
    if !is_refused(error)
        || is_one_full
        || context.may_fall_back()
        || !are_all_out(context, selected)
    {
        return None;
    }
    count_connect_failure(context, selected, error);
    let random = context.worker.random();
    let pause = context.attempts.get_or_insert_default().pause(random);
    (Instant::now() + pause < until).then_some(pause)
}

/// True if nothing listens at the address.
fn is_refused(error: &UpstreamError) -> bool {
    matches!(error, UpstreamError::Connect(inner) if inner.kind() == ErrorKind::ConnectionRefused)
}

/// Counts a failure to connect against the endpoint, unless it was refused while we wait for a restart.
fn count_connect_failure(context: &mut RequestContext, selected: &Selected, error: &UpstreamError) {
    let attempts = context.attempts.as_ref();
    if is_refused(error) && attempts.is_some_and(|attempts| attempts.pauses > 0) {
        return;
    }
    if error.is_refusal() {
        observe::refused(&context.worker, selected);
    }
    context.count_failed_attempt(error.failure(), error);
}

/// Waits for a while, or until the table changes.
async fn pause<C: ClientBody>(
    context: &RequestContext,
    meta: &RequestMeta,
    client: &mut C,
    length: Duration,
) -> Result<(), WaitAborted> {
    let deadline = context.worker.timers.deadline();
    deadline.set_from_now(length);
    let ended = async {
        tokio::select! {
            () = context.worker.table_changed.notified() => {}
            () = deadline.expired() => {}
        }
    };
    or_client_closed(context, meta, client, ended).await
}

/// Waits until an endpoint of a release may have started, if the request is one that waits for that; false if not.
pub(super) async fn wait_for_start<C: ClientBody>(
    context: &mut RequestContext,
    meta: &RequestMeta,
    client: &mut C,
) -> Result<bool, WaitAborted> {
    let now = Instant::now();
    let until = *context
        .connect_deadline
        .get_or_insert_with(|| now + START_TIMEOUT);
    if !context.opens_session || context.is_bound() || now >= until {
        return Ok(false);
    }
    let random = context.worker.random();
    let length = context.attempts.get_or_insert_default().pause(random);
    pause(context, meta, client, length).await.map(|()| true)
}

/// Waits for a permit of a release, or for an endpoint with room. The request is not committed: when the table changes,
/// it is selected for again.
pub(super) async fn queue<C: ClientBody>(
    context: &mut RequestContext,
    release: &Release,
    meta: &RequestMeta,
    client: &mut C,
) -> Result<(), WaitAborted> {
    let mut position = context.waiting.take().unwrap_or_default();
    if !position.join(release, &context.worker) {
        return Err(WaitAborted::Error(ProxyError::Overloaded));
    }
    let longest = release.spec().limits.queue_timeout;
    let longest = longest.map_or(QUEUE_TIMEOUT, |span| span.0);
    let waited = context.worker.timers.now().since(context.started);
    let Some(left) = longest.checked_sub(waited) else {
        return Err(WaitAborted::Error(ProxyError::QueueTimeout));
    };
    let deadline = context.worker.timers.deadline();
    deadline.set_from_now(left);
    let granted = granted_or_change(context, &position, &deadline);
    if or_client_closed(context, meta, client, granted).await? {
        context.waiting = Some(position);
        Ok(())
    } else {
        Err(WaitAborted::Error(ProxyError::QueueTimeout))
    }
}

/// Waits for the request's turn or for another table; false once the deadline has passed.
async fn granted_or_change(
    context: &RequestContext,
    position: &QueuePosition,
    deadline: &Deadline,
) -> bool {
    tokio::select! {
        () = position.granted(&context.worker) => true,
        () = context.worker.table_changed.notified() => true,
        () = deadline.expired() => false,
    }
}

/// Runs `work` unless the client leaves or the time for the whole request is over. A client whose body is unread is
/// watched by its connection.
pub(super) async fn or_client_closed<C: ClientBody, T>(
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
    let tried = attempts.map_or(0, |attempts| attempts.tried.len());
    tried >= other_endpoints(context, selected) || are_all_out(context, selected)
}

/// True if the session of a request is pinned to the selected endpoint: that it has no connection left does not make it
/// lost.
fn is_pinned_here(context: &RequestContext, selected: &Selected) -> bool {
    let pinned = context.session.get().pinned();
    pinned.is_some_and(|pinned| pinned.endpoint == selected.in_flight.endpoint().address())
}

/// True if every other endpoint of the release was tried or is unhealthy.
fn are_all_out(context: &RequestContext, selected: &Selected) -> bool {
    let attempts = context.attempts.as_ref();
    let tried = attempts.map_or(&[][..], |attempts| &attempts.tried);
    let address = selected.in_flight.endpoint().address();
    let endpoints = selected.release().roster().endpoints();
    let is_out = |other: &Arc<Endpoint>| {
        other.address() == address
            || other.health() == Health::Unhealthy
            || tried.contains(&other.address())
    };
    endpoints.iter().all(is_out)
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
    count_connect_failure(context, selected, &error);
    let endpoint = selected.in_flight.endpoint();
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
