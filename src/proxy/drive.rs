//! A committed request: the body goes up while the answer comes down, in one task, until both are at an end.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use crate::message::{Known, Reason, Rejection, Version};
use crate::model::{AttemptFailure, Outcome};
use crate::net::Deadline;
use crate::table::Route;

use super::error::{ClientError, ProxyError, UpstreamError};
use super::exchange::{Finished, Upgraded};
use super::forward;
use super::retry::Evidence;
use super::seam::{
    Answer, Asking, Broken, ClientBody, Responder, Responding, ResponseParts, after_the_others,
    relay,
};
use super::ticket::Ticket;
use super::upload::{RequestSink, upload};

/// How a committed request went.
pub(super) enum Driven {
    /// The client has its answer, or as much of it as it will get.
    Finished(Finished),
    /// No answer came, and it may be sent again.
    Retry,
    /// No answer came: the client is to be told why.
    Unanswered(ProxyError),
    /// The connection, or the stream, is a tunnel from here on.
    Upgraded(Box<Upgraded>),
}

/// How the two directions came to an end.
pub(super) enum End {
    /// The client broke off, or broke a rule.
    Client(ClientError),
    /// The whole took longer than it may.
    TooLong,
    /// Its release left long ago.
    Recalled,
    /// The endpoint broke off, or broke a rule.
    Upstream(UpstreamError),
    /// The client was told that what it asked for follows.
    Upgraded,
    /// It went wrong after the answer began, but nothing of the answer had left, so that the client can be told why.
    Unsent(ProxyError),
    /// The answer is whole.
    Whole,
}

/// Moves a request and its answer. `forget` is called as soon as the head will not be needed again.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would keep its arguments twice"
)]
pub(super) fn drive<C, R, K, A>(
    ticket: &Ticket,
    asking: &Asking,
    (client, responder): (&mut C, &mut R),
    (sink, answer): (&mut K, &mut A),
    forget: impl FnOnce(),
) -> impl Future<Output = End>
where
    C: ClientBody,
    R: Responder,
    K: RequestSink,
    A: Answer,
{
    async move {
        let end = {
            let request_is_read = Cell::new(false);
            let turning = &ticket.worker.is_turning;
            let mut upload = pin!(async {
                match upload(ticket, client, sink).await {
                    Ok(()) => {
                        request_is_read.set(true);
                        client.gone().await;
                        Some(ClientError::Gone)
                    }
                    Err(Broken::Source(error)) => Some(error),
                    // The endpoint reads no more; its answer, if there is one, says why.
                    Err(Broken::Sink(_)) => sink.refused().map(ClientError::Invalid),
                }
            });
            let mut download = pin!(download(
                (ticket, asking),
                answer,
                &mut *responder,
                &request_is_read,
                forget
            ));
            let limit = total_limit(ticket, asking);
            let mut is_uploading = true;
            poll_fn(|cx| {
                // Once the request is whole, its answer may end it; nobody has to ask whether the client is still there.
                let is_read = request_is_read.get();
                if is_read {
                    turning.set(false);
                    let polled = download.as_mut().poll(cx);
                    // After a turn it goes on at once, and may well be over then.
                    if polled.is_ready() || turning.get() {
                        return polled;
                    }
                }
                if is_uploading && let Poll::Ready(ended) = upload.as_mut().poll(cx) {
                    is_uploading = false;
                    if let Some(error) = ended {
                        return Poll::Ready(End::Client(error));
                    }
                }
                if !is_read && let Poll::Ready(end) = download.as_mut().poll(cx) {
                    return Poll::Ready(end);
                }
                if ticket.is_ended() {
                    return Poll::Ready(End::Recalled);
                }
                let expired = limit.as_ref().map(|limit| limit.poll_expired(cx));
                expired.map_or(Poll::Pending, |polled| polled.map(|()| End::TooLong))
            })
            .await
        };
        broken_off(ticket, asking, end, responder)
    }
}

/// What an end means to an answer that has begun: it is taken back if nothing of it has left.
fn broken_off<R: Responder>(ticket: &Ticket, asking: &Asking, end: End, responder: &mut R) -> End {
    if ticket.status.get().is_none() || matches!(end, End::Whole | End::Upgraded) {
        return end;
    }
    let can_be_told = !matches!(end, End::Client(ClientError::Gone));
    if can_be_told && responder.take_back() {
        ticket.status.set(None);
        ticket.first_byte.set(None);
        return end.unanswered().map_or_else(|end| end, End::Unsent);
    }
    if asking.is_grpc {
        match &end {
            End::TooLong => responder.break_off(&ProxyError::RequestTimeout),
            End::Recalled => responder.break_off(&ProxyError::ReleaseRemoved),
            _ => {}
        }
    }
    end
}

impl End {
    /// What a client that has seen nothing yet is told; the end itself if there is nothing to tell or nobody to be told.
    fn unanswered(self) -> Result<ProxyError, Self> {
        match self {
            Self::Client(ClientError::Invalid(rejection)) => Ok(ProxyError::Refused(rejection)),
            Self::Client(ClientError::Silent) => {
                Ok(Rejection::request(Reason::RequestTimeout).into())
            }
            Self::Upstream(error) => Ok(ProxyError::Upstream(error)),
            Self::TooLong => Ok(ProxyError::RequestTimeout),
            Self::Recalled => Ok(ProxyError::ReleaseRemoved),
            Self::Unsent(error) => Ok(error),
            end @ (Self::Client(ClientError::Gone) | Self::Upgraded | Self::Whole) => Err(end),
        }
    }
}

/// When the whole request has to be over, if it has to.
pub(super) fn total_limit(ticket: &Ticket, asking: &Asking) -> Option<Deadline> {
    let route = &ticket.decision()?.route;
    let timeouts = ticket
        .worker
        .shared
        .settings
        .for_route(&route.spec().timeouts);
    let limit = timeouts.request.into_iter().chain(asking.within).min()?;
    let deadline = ticket.worker.timers.deadline();
    deadline.set_from(ticket.started, limit);
    Some(deadline)
}

/// What a response head turned out to be.
enum Head {
    Final,
    Informational { to_flush: bool },
    Upgrade,
}

#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would keep its arguments twice"
)]
fn download<R: Responder, A: Answer>(
    (ticket, asking): (&Ticket, &Asking),
    answer: &mut A,
    responder: &mut R,
    request_is_read: &Cell<bool>,
    forget: impl FnOnce(),
) -> impl Future<Output = End> {
    async move {
        let head = loop {
            let taken = answer
                .head(|parts| {
                    let is_read =
                        request_is_read.get() || asking.is_nearly_read(ticket.bytes_in.get());
                    take_head(ticket, responder, parts, is_read)
                })
                .await;
            match taken {
                Ok(Ok(Head::Informational { to_flush: false })) => {}
                Ok(Ok(Head::Informational { to_flush: true })) => {
                    if let Err(error) = responder.flush().await {
                        return End::Client(error);
                    }
                }
                Ok(Ok(head)) => break head,
                Ok(Err(error)) | Err(error) => return End::Upstream(error),
            }
        };
        forget();
        ticket.body.discard(&ticket.worker);
        let turning = &ticket.worker.is_turning;
        if !responder.is_gathered() {
            after_the_others(turning).await;
        }
        if matches!(head, Head::Upgrade) {
            return responder
                .flush()
                .await
                .map_or_else(End::Client, |()| End::Upgraded);
        }
        let turns = &ticket.worker.turns;
        match relay(
            answer,
            responder,
            || exposed(ticket),
            &ticket.bytes_out,
            turns,
        )
        .await
        {
            Ok(()) => End::Whole,
            Err(Broken::Source(error)) => End::Upstream(error),
            Err(Broken::Sink(error)) => End::Client(error),
        }
    }
}

/// The name of the field that tells the client which release answers.
fn exposed(ticket: &Ticket) -> Option<&str> {
    let selection = ticket.selection.as_ref()?;
    selection.route().spec().expose_release.as_deref()
}

fn take_head<R: Responder>(
    ticket: &Ticket,
    responder: &mut R,
    parts: &ResponseParts<'_>,
    request_is_read: bool,
) -> Result<Head, UpstreamError> {
    let selection = ticket
        .selection
        .as_ref()
        .expect("an answer follows a selection");
    let release = selection.release().name().as_str();
    let exposed = exposed(ticket);
    if parts.facts.is_informational() {
        let to_flush = responder.inform(parts.facts.status, |out| {
            forward::write_response(out, parts, exposed);
        });
        return Ok(Head::Informational { to_flush });
    }
    let expose = exposed.map(|name| (name, release));
    let worker = &ticket.worker;
    let now = worker.timers.now();
    let responding = Responding {
        status: parts.facts.status,
        reason: parts.reason,
        upgrade: upgrade(parts, selection.route())?,
        framing: parts.facts.framing,
        request_is_read,
    };
    let status = responder.respond(&responding, |out| {
        forward::write_response(out, parts, exposed);
        forward::write_response_own(out, parts, &ticket.id, expose, || worker.date());
    })?;
    ticket.status.set(Some(status));
    ticket.first_byte.set(Some(now));
    Ok(if parts.facts.is_upgrade {
        Head::Upgrade
    } else {
        Head::Final
    })
}

/// The protocol that follows an upgrade, which the judge found to be a WebSocket or something that was asked for; what that
/// may be, the route says.
fn upgrade<'h>(
    parts: &ResponseParts<'h>,
    route: &Route,
) -> Result<Option<&'h [u8]>, UpstreamError> {
    if !parts.facts.is_upgrade {
        return Ok(None);
    }
    if parts.facts.version == Version::Http2 {
        return Ok(Some(b"websocket"));
    }
    let mut fields = parts.fields.clone();
    let protocol = fields.find(|field| field.known == Known::Upgrade);
    let protocol = protocol.map(|field| field.value).unwrap_or_default();
    if protocol.eq_ignore_ascii_case(b"websocket") {
        return Ok(Some(b"websocket"));
    }
    let is_allowed = route.spec().upgrades_to(protocol);
    let refused = || UpstreamError::Invalid(Rejection::response(Reason::UnsolicitedUpgrade));
    is_allowed.then_some(Some(protocol)).ok_or_else(refused)
}

/// What an end means: to the books, to the client, and for whether the request is sent again. `evidence` is what it shows
/// if the endpoint broke off.
pub(super) fn conclude(
    ticket: &mut Ticket,
    asking: &Asking,
    end: End,
    evidence: Evidence,
) -> Driven {
    let Some(status) = ticket.status.get() else {
        return conclude_unanswered(ticket, asking, end, evidence);
    };
    match end {
        End::Whole | End::Upgraded => {
            ticket.end(Outcome::Answered(status));
            return Driven::Finished(Finished::Whole);
        }
        End::Recalled => ticket.recalled(),
        End::Client(error) => {
            ticket.end(Outcome::ClientGone(Some(status)));
            if let Ok(error) = End::Client(error).unanswered() {
                ticket.cut(&error);
            }
        }
        end @ (End::TooLong | End::Unsent(_) | End::Upstream(_)) => {
            ticket.end(Outcome::Cut(status));
            if let Ok(error) = end.unanswered() {
                ticket.cut(&error);
            }
        }
    }
    Driven::Finished(Finished::Cut)
}

fn conclude_unanswered(
    ticket: &mut Ticket,
    asking: &Asking,
    end: End,
    evidence: Evidence,
) -> Driven {
    let evidence = match end {
        End::Upstream(UpstreamError::Closed(_) | UpstreamError::Unprocessed(_)) => evidence,
        _ => Evidence::Unknown,
    };
    match end.unanswered() {
        Ok(ProxyError::Upstream(error)) => {
            if ticket.attempt_failed(&error, evidence, asking) {
                Driven::Retry
            } else {
                Driven::Unanswered(ProxyError::Upstream(error))
            }
        }
        Ok(error) => {
            if matches!(error, ProxyError::RequestTimeout) {
                ticket.count_failed_attempt(AttemptFailure::RequestTimeout, &error);
            }
            Driven::Unanswered(error)
        }
        Err(End::Client(_)) => {
            ticket.end(Outcome::ClientGone(None));
            Driven::Finished(Finished::Cut)
        }
        Err(_) => {
            ticket.end(Outcome::Answered(200));
            Driven::Finished(Finished::Whole)
        }
    }
}
