//! One request from its head to its end, whatever its client and its endpoint speak.

use std::future::pending;

use tokio::time::Instant;

use crate::fleet::Waiting;
use crate::model::{AttemptFailure, Outcome};
use crate::net::Deadline;
use crate::table::Release;

use super::begin::{Begun, begin, is_last_endpoint, note_connect_failure};
use super::connect::{Connected, connect};
use super::drive::{Driven, total_limit};
use super::error::{ProxyError, UpstreamError};
use super::h2::{self as http2, Hold, Place};
use super::http1_upstream;
use super::pool::Connection;
use super::problem::answer_problem;
use super::seam::{Asking, ClientBody, RequestHead, Responder, after_the_others};
use super::ticket::Ticket;
use crate::net::Buffer;

/// How the request left the client's connection.
pub(super) enum Finished {
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
        hold: Hold,
        #[expect(dead_code, reason = "it is counted until it is dropped")]
        place: Place,
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
    ticket: &mut Ticket,
    asking: &Asking,
    next: &mut Result<Begun, ProxyError>,
    head: &mut Option<H>,
    client: &mut C,
    responder: &mut R,
) -> impl Future<Output = Finished> {
    async move {
        loop {
            match step(ticket, asking, next, head, client, responder).await {
                Step::Again => {}
                Step::Finished(finished) => return finished,
                // What is rare lives in boxes of its own, so that a request that only relays stays small.
                Step::Failed(error) => {
                    // Nobody may read for long what is written now, and the endpoint's connection does not wait for that.
                    *next = Ok(Begun::Dial);
                    ticket.refuse(&error);
                    let is_nearly_read = asking.is_nearly_read(ticket.bytes_in.get());
                    return Box::pin(answer_problem(
                        ticket,
                        *asking,
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
            ticket.worker.timers.now();
            *next = parts.look(|parts| begin(ticket, parts));
        }
    }
}

enum Step {
    Again,
    Failed(ProxyError),
    Finished(Finished),
}

#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would keep its arguments twice"
)]
fn step<H: RequestHead, C: ClientBody, R: Responder>(
    ticket: &mut Ticket,
    asking: &Asking,
    next: &mut Result<Begun, ProxyError>,
    head: &mut Option<H>,
    client: &mut C,
    responder: &mut R,
) -> impl Future<Output = Step> {
    async move {
        let waited = match next {
            Ok(Begun::Http1(start)) => {
                if !std::mem::replace(&mut ticket.has_waited, true) {
                    after_the_others(&ticket.worker.is_turning).await;
                    if !ticket.is_current() {
                        let connection = start.connection.take();
                        ticket.spare = connection.map(Connected::Http1).map(Box::new);
                        return Step::Again;
                    }
                }
                let driven =
                    http1_upstream::converse(ticket, asking, start, head, client, responder).await;
                return match driven {
                    Driven::Finished(finished) => Step::Finished(finished),
                    Driven::Retry => Step::Again,
                    Driven::Unanswered(error) => Step::Failed(error),
                    Driven::Upgraded(upgraded) => Step::Finished(Finished::Upgraded(upgraded)),
                };
            }
            Ok(Begun::Http2(_)) => {
                let Ok(Begun::Http2(start)) = std::mem::replace(next, Ok(Begun::Dial)) else {
                    unreachable!("it was looked at a line above");
                };
                let conversing = http2::converse(ticket, asking, *start, head, client, responder);
                return match Box::pin(conversing).await {
                    Driven::Finished(finished) => Step::Finished(finished),
                    Driven::Retry => Step::Again,
                    Driven::Unanswered(error) => Step::Failed(error),
                    Driven::Upgraded(upgraded) => Step::Finished(Finished::Upgraded(upgraded)),
                };
            }
            Ok(Begun::Dial) => Box::pin(dial(ticket, asking, client)).await,
            Ok(Begun::Wait(release)) => Box::pin(queue(ticket, asking, release, client)).await,
            Err(error) => Err(Left::Error(std::mem::replace(error, ProxyError::NoRoute))),
        };
        match waited {
            Ok(()) => Step::Again,
            Err(Left::Error(error)) => Step::Failed(error),
            Err(Left::Client) => {
                ticket.end(Outcome::ClientGone(None));
                Step::Finished(Finished::Cut)
            }
        }
    }
}

/// Why a wait before the commit ended without what it waited for.
enum Left {
    Client,
    Error(ProxyError),
}

/// Connects to the endpoint that was selected. One deadline holds for all endpoints that are tried.
async fn dial<C: ClientBody>(
    ticket: &mut Ticket,
    asking: &Asking,
    client: &mut C,
) -> Result<(), Left> {
    let selection = ticket
        .selection
        .as_ref()
        .expect("dialing follows a selection");
    let timeouts = ticket
        .worker
        .shared
        .settings
        .for_route(&selection.route().spec().timeouts);
    let now = Instant::now();
    let until = *ticket.connect_by.get_or_insert(now + timeouts.connect);
    let deadline = ticket.worker.timers.deadline();
    deadline.set_from_now(until.saturating_duration_since(now));
    let attempts = ticket.attempts.as_ref();
    let newer_than = attempts.and_then(|attempts| attempts.newer_than);
    let connected = unless_over(
        ticket,
        asking,
        client,
        connect(
            &ticket.worker,
            selection,
            newer_than,
            &deadline,
            is_last_endpoint(ticket),
        ),
    )
    .await;
    if let Err(Left::Error(error @ ProxyError::RequestTimeout)) = &connected {
        ticket.count_failed_attempt(AttemptFailure::RequestTimeout, error);
    }
    match connected? {
        Ok(Some(connection)) => {
            ticket.spare = Some(Box::new(connection));
            Ok(())
        }
        Ok(None) => Ok(()),
        Err(error) => {
            note_connect_failure(ticket, error).map_err(Left::Error)?;
            if Instant::now() >= until {
                return Err(Left::Error(ProxyError::Upstream(
                    UpstreamError::ConnectTimeout,
                )));
            }
            Ok(())
        }
    }
}

/// Waits for a place on a release. It is not committed: when the table changes, it selects again.
async fn queue<C: ClientBody>(
    ticket: &mut Ticket,
    asking: &Asking,
    release: &Release,
    client: &mut C,
) -> Result<(), Left> {
    let limits = &release.spec().limits;
    let seat = take_seat(ticket, release).ok_or(Left::Error(ProxyError::Overloaded))?;
    let longest = limits.queue_timeout.map_or(QUEUE_TIMEOUT, |span| span.0);
    let Some(left) = longest.checked_sub(ticket.worker.timers.now().since(ticket.started)) else {
        return Err(Left::Error(ProxyError::QueueTimeout));
    };
    let deadline = ticket.worker.timers.deadline();
    deadline.set_from_now(left);
    let turn = wait_for_turn(ticket, &seat, &deadline);
    if unless_over(ticket, asking, client, turn).await? {
        ticket.waiting = Some(seat);
        Ok(())
    } else {
        Err(Left::Error(ProxyError::QueueTimeout))
    }
}

/// The seat that it has already, or one at the end of the queue.
fn take_seat(ticket: &mut Ticket, release: &Release) -> Option<Box<Waiting>> {
    let limits = &release.spec().limits;
    let limit = limits.concurrency.unwrap_or(u32::MAX);
    let queue = || {
        let most = limits.queue.unwrap_or(0);
        let places = release.roster().places();
        places.queue(limit, most, ticket.worker.slot).map(Box::new)
    };
    ticket.waiting.take().or_else(queue)
}

async fn wait_for_turn(ticket: &Ticket, seat: &Waiting, deadline: &Deadline) -> bool {
    tokio::select! {
        () = seat.granted() => true,
        () = ticket.worker.table_changed.notified() => true,
        () = deadline.expired() => false,
    }
}

/// Runs `work` unless the client leaves or the time for the whole request is over. A client whose body is unread is
/// looked out for by its connection.
async fn unless_over<C: ClientBody, T>(
    ticket: &Ticket,
    asking: &Asking,
    client: &mut C,
    work: impl Future<Output = T>,
) -> Result<T, Left> {
    let limit = total_limit(ticket, asking);
    let too_long = async {
        match &limit {
            Some(limit) => limit.expired().await,
            None => pending().await,
        }
    };
    let gone = async {
        if asking.framing.is_empty() {
            client.gone().await;
        } else {
            pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = gone => Err(Left::Client),
        () = too_long => Err(Left::Error(ProxyError::RequestTimeout)),
    }
}
