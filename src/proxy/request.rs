//! One request from its head to its end, whatever its client and its endpoint speak.

use std::future::pending;

use tokio::time::Instant;

use crate::fleet::QueueSlot;
use crate::model::{AttemptFailure, Outcome};
use crate::net::Deadline;
use crate::table::Release;

use super::connect::{Connected, connect};
use super::error::{ProxyError, UpstreamError};
use super::h2::{self as http2, PooledStream, StreamHandle};
use super::http1_upstream;
use super::io::{ClientBody, RequestHead, RequestMeta, Responder, yield_once};
use super::pool::Connection;
use super::prepare::{Prepared, is_last_endpoint, note_connect_failure, prepare};
use super::problem::answer_problem;
use super::relay::{RelayResult, total_limit};
use super::request_context::RequestContext;
use crate::net::Buffer;

/// How the request left the client's connection.
pub(super) enum RequestEnd {
    /// The response is whole; the connection may go on if everything else allows it.
    Whole,
    /// Something was cut: nothing more may be sent to the client on this connection.
    Cut,
    /// The client and the endpoint talk to each other directly from here on.
    Upgraded(Box<Upgraded>),
}

/// The endpoint's side of a tunnel.
pub(super) enum Upgraded {
    /// A connection of HTTP/1.1, and what came behind its 101.
    Socket {
        connection: Connection,
        received: Option<Buffer>,
    },
    /// A stream of HTTP/2, and its place on the connection.
    Stream {
        handle: StreamHandle,
        #[expect(dead_code, reason = "it is counted until it is dropped")]
        place: PooledStream,
    },
}

/// How long a request waits for a place unless its release says.
const QUEUE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// Serves one request. `head` is emptied as soon as it is not needed any more.
///
/// What is to be done next stays where `next` is, and is lent to what does it: an argument that an `async fn` takes by
/// value is kept twice for as long as it runs.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would keep its arguments twice"
)]
pub(super) fn serve<H: RequestHead, C: ClientBody, R: Responder>(
    context: &mut RequestContext,
    meta: &RequestMeta,
    next: &mut Result<Prepared, ProxyError>,
    head: &mut Option<H>,
    client: &mut C,
    responder: &mut R,
) -> impl Future<Output = RequestEnd> {
    async move {
        loop {
            match step(context, meta, next, head, client, responder).await {
                Step::Again => {}
                Step::Finished(finished) => return finished,
                // What is rare lives in boxes of its own, so that a request that only relays stays small.
                Step::Failed(error) => {
                    // Nobody may read for long what is written now, and the endpoint's connection does not wait for that.
                    *next = Ok(Prepared::Dial);
                    context.refuse(&error);
                    let is_nearly_read = meta.is_nearly_read(context.bytes_in.get());
                    return Box::pin(answer_problem(
                        context,
                        *meta,
                        &error,
                        is_nearly_read,
                        responder,
                    ))
                    .await;
                }
            }
            let parts = head
                .as_ref()
                .expect("the head stays until the answer begins");
            // It waited for something, so what time it is has to be found out anew.
            context.worker.timers.now();
            *next = parts.look(|parts| prepare(context, parts));
        }
    }
}

enum Step {
    Again,
    Failed(ProxyError),
    Finished(RequestEnd),
}

#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would keep its arguments twice"
)]
fn step<H: RequestHead, C: ClientBody, R: Responder>(
    context: &mut RequestContext,
    meta: &RequestMeta,
    next: &mut Result<Prepared, ProxyError>,
    head: &mut Option<H>,
    client: &mut C,
    responder: &mut R,
) -> impl Future<Output = Step> {
    async move {
        let waited = match next {
            Ok(Prepared::Http1(start)) => {
                if !std::mem::replace(&mut context.has_yielded, true) {
                    yield_once(&context.worker.is_yielding).await;
                    if !context.is_current() {
                        let connection = start.connection.take();
                        context.dialed = connection.map(Connected::Http1).map(Box::new);
                        return Step::Again;
                    }
                }
                let driven =
                    http1_upstream::send_request(context, meta, start, head, client, responder)
                        .await;
                return match driven {
                    RelayResult::Finished(finished) => Step::Finished(finished),
                    RelayResult::Retry => Step::Again,
                    RelayResult::Unanswered(error) => Step::Failed(error),
                    RelayResult::Upgraded(upgraded) => {
                        Step::Finished(RequestEnd::Upgraded(upgraded))
                    }
                };
            }
            Ok(Prepared::Http2(_)) => {
                let Ok(Prepared::Http2(start)) = std::mem::replace(next, Ok(Prepared::Dial)) else {
                    unreachable!("it was looked at a line above");
                };
                let conversing = http2::converse(context, meta, *start, head, client, responder);
                return match Box::pin(conversing).await {
                    RelayResult::Finished(finished) => Step::Finished(finished),
                    RelayResult::Retry => Step::Again,
                    RelayResult::Unanswered(error) => Step::Failed(error),
                    RelayResult::Upgraded(upgraded) => {
                        Step::Finished(RequestEnd::Upgraded(upgraded))
                    }
                };
            }
            Ok(Prepared::Dial) => Box::pin(dial(context, meta, client)).await,
            Ok(Prepared::Wait(release)) => Box::pin(queue(context, meta, release, client)).await,
            Err(error) => Err(WaitAborted::Error(std::mem::replace(
                error,
                ProxyError::NoRoute,
            ))),
        };
        match waited {
            Ok(()) => Step::Again,
            Err(WaitAborted::Error(error)) => Step::Failed(error),
            Err(WaitAborted::Client) => {
                context.end(Outcome::ClientGone(None));
                Step::Finished(RequestEnd::Cut)
            }
        }
    }
}

/// Why a wait before the commit ended without what it waited for.
enum WaitAborted {
    Client,
    Error(ProxyError),
}

/// Connects to the endpoint that was selected. One deadline holds for all endpoints that are tried.
async fn dial<C: ClientBody>(
    context: &mut RequestContext,
    meta: &RequestMeta,
    client: &mut C,
) -> Result<(), WaitAborted> {
    let selection = context
        .selection
        .as_ref()
        .expect("dialing follows a selection");
    let timeouts = context
        .worker
        .shared
        .settings
        .for_route(&selection.route().spec().timeouts);
    let now = Instant::now();
    let until = *context
        .connect_deadline
        .get_or_insert(now + timeouts.connect);
    let deadline = context.worker.timers.deadline();
    deadline.set_from_now(until.saturating_duration_since(now));
    let attempts = context.attempts.as_ref();
    let newer_than = attempts.and_then(|attempts| attempts.newer_than);
    let connected = or_client_closed(
        context,
        meta,
        client,
        connect(
            &context.worker,
            selection,
            newer_than,
            &deadline,
            is_last_endpoint(context),
        ),
    )
    .await;
    if let Err(WaitAborted::Error(error @ ProxyError::RequestTimeout)) = &connected {
        context.count_failed_attempt(AttemptFailure::RequestTimeout, error);
    }
    match connected? {
        Ok(Some(connection)) => {
            context.dialed = Some(Box::new(connection));
            Ok(())
        }
        Ok(None) => Ok(()),
        Err(error) => {
            note_connect_failure(context, error).map_err(WaitAborted::Error)?;
            if Instant::now() >= until {
                return Err(WaitAborted::Error(ProxyError::Upstream(
                    UpstreamError::ConnectTimeout,
                )));
            }
            Ok(())
        }
    }
}

/// Waits for a place on a release. It is not committed: when the table changes, it selects again.
async fn queue<C: ClientBody>(
    context: &mut RequestContext,
    meta: &RequestMeta,
    release: &Release,
    client: &mut C,
) -> Result<(), WaitAborted> {
    let limits = &release.spec().limits;
    let queue_slot =
        take_seat(context, release).ok_or(WaitAborted::Error(ProxyError::Overloaded))?;
    let longest = limits.queue_timeout.map_or(QUEUE_TIMEOUT, |span| span.0);
    let Some(left) = longest.checked_sub(context.worker.timers.now().since(context.started)) else {
        return Err(WaitAborted::Error(ProxyError::QueueTimeout));
    };
    let deadline = context.worker.timers.deadline();
    deadline.set_from_now(left);
    let turn = yield_to_ready_tasks(context, &queue_slot, &deadline);
    if or_client_closed(context, meta, client, turn).await? {
        context.waiting = Some(queue_slot);
        Ok(())
    } else {
        Err(WaitAborted::Error(ProxyError::QueueTimeout))
    }
}

/// The seat that it has already, or one at the end of the queue.
fn take_seat(context: &mut RequestContext, release: &Release) -> Option<Box<QueueSlot>> {
    let limits = &release.spec().limits;
    let limit = limits.concurrency.unwrap_or(u32::MAX);
    let queue = || {
        let most = limits.queue.unwrap_or(0);
        let places = release.roster().places();
        places.queue(limit, most, context.worker.slot).map(Box::new)
    };
    context.waiting.take().or_else(queue)
}

async fn yield_to_ready_tasks(
    context: &RequestContext,
    queue_slot: &QueueSlot,
    deadline: &Deadline,
) -> bool {
    tokio::select! {
        () = queue_slot.granted() => true,
        () = context.worker.table_changed.notified() => true,
        () = deadline.expired() => false,
    }
}

/// Runs `work` unless the client leaves or the time for the whole request is over. A client whose body is unread is
/// looked out for by its connection.
async fn or_client_closed<C: ClientBody, T>(
    context: &RequestContext,
    meta: &RequestMeta,
    client: &mut C,
    work: impl Future<Output = T>,
) -> Result<T, WaitAborted> {
    let limit = total_limit(context, meta);
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
