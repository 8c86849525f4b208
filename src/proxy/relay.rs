//! A committed request: the body goes up while the answer comes down, in one task, until both are at an end.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use crate::message::{KnownField, Reason, Rejection, Version};
use crate::model::{AttemptFailure, Outcome};
use crate::net::Deadline;
use crate::table::Route;

use super::error::{ClientError, ProxyError, UpstreamError};
use super::forward;
use super::io::{
    ClientBody, RelayError, RequestMeta, Responder, ResponseParts, ResponseStart, UpstreamResponse,
    relay_body, yield_once,
};
use super::request::{RequestEnd, Upgraded};
use super::request_context::RequestContext;
use super::retry::Evidence;
use super::upload::{RequestSink, upload};

/// How a committed request went.
pub(super) enum RelayResult {
    /// The client has its answer, or as much of it as it will get.
    Finished(RequestEnd),
    /// No answer came, and it may be sent again.
    Retry,
    /// No answer came: the client is to be told why.
    Unanswered(ProxyError),
    /// The connection, or the stream, is a tunnel from here on.
    Upgraded(Box<Upgraded>),
}

/// How the two directions came to an end.
pub(super) enum RelayEnd {
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
pub(super) fn relay<C, R, K, A>(
    context: &RequestContext,
    meta: &RequestMeta,
    (client, responder): (&mut C, &mut R),
    (sink, answer): (&mut K, &mut A),
    forget: impl FnOnce(),
) -> impl Future<Output = RelayEnd>
where
    C: ClientBody,
    R: Responder,
    K: RequestSink,
    A: UpstreamResponse,
{
    async move {
        let end = {
            let request_is_read = Cell::new(false);
            let turning = &context.worker.is_yielding;
            let mut upload = pin!(async {
                match upload(context, client, sink).await {
                    Ok(()) => {
                        request_is_read.set(true);
                        client.closed().await;
                        Some(ClientError::Gone)
                    }
                    Err(RelayError::Source(error)) => Some(error),
                    // The endpoint reads no more; its answer, if there is one, says why.
                    Err(RelayError::Sink(_)) => sink.refused().map(ClientError::Invalid),
                }
            });
            let mut download = pin!(download(
                (context, meta),
                answer,
                &mut *responder,
                &request_is_read,
                forget
            ));
            let limit = total_limit(context, meta);
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
                        return Poll::Ready(RelayEnd::Client(error));
                    }
                }
                if !is_read && let Poll::Ready(end) = download.as_mut().poll(cx) {
                    return Poll::Ready(end);
                }
                if context.is_ended() {
                    return Poll::Ready(RelayEnd::Recalled);
                }
                let expired = limit.as_ref().map(|limit| limit.poll_expired(cx));
                expired.map_or(Poll::Pending, |polled| polled.map(|()| RelayEnd::TooLong))
            })
            .await
        };
        broken_off(context, meta, end, responder)
    }
}

/// What an end means to an answer that has begun: it is taken back if nothing of it has left.
fn broken_off<R: Responder>(
    context: &RequestContext,
    meta: &RequestMeta,
    end: RelayEnd,
    responder: &mut R,
) -> RelayEnd {
    if context.status.get().is_none() || matches!(end, RelayEnd::Whole | RelayEnd::Upgraded) {
        return end;
    }
    let can_be_told = !matches!(end, RelayEnd::Client(ClientError::Gone));
    if can_be_told && responder.take_back() {
        context.status.set(None);
        context.first_byte.set(None);
        return end.unanswered().map_or_else(|end| end, RelayEnd::Unsent);
    }
    if meta.is_grpc {
        match &end {
            RelayEnd::TooLong => responder.abort(&ProxyError::RequestTimeout),
            RelayEnd::Recalled => responder.abort(&ProxyError::ReleaseRemoved),
            _ => {}
        }
    }
    end
}

impl RelayEnd {
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
pub(super) fn total_limit(context: &RequestContext, meta: &RequestMeta) -> Option<Deadline> {
    let route = &context.decision()?.route;
    let timeouts = context
        .worker
        .shared
        .settings
        .for_route(&route.spec().timeouts);
    let limit = timeouts.request.into_iter().chain(meta.within).min()?;
    let deadline = context.worker.timers.deadline();
    deadline.set_from(context.started, limit);
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
fn download<R: Responder, A: UpstreamResponse>(
    (context, meta): (&RequestContext, &RequestMeta),
    answer: &mut A,
    responder: &mut R,
    request_is_read: &Cell<bool>,
    forget: impl FnOnce(),
) -> impl Future<Output = RelayEnd> {
    async move {
        let head = loop {
            let taken = answer
                .head(|parts| {
                    let is_read =
                        request_is_read.get() || meta.is_nearly_read(context.bytes_in.get());
                    take_head(context, responder, parts, is_read)
                })
                .await;
            match taken {
                Ok(Ok(Head::Informational { to_flush: false })) => {}
                Ok(Ok(Head::Informational { to_flush: true })) => {
                    if let Err(error) = responder.flush().await {
                        return RelayEnd::Client(error);
                    }
                }
                Ok(Ok(head)) => break head,
                Ok(Err(error)) | Err(error) => return RelayEnd::Upstream(error),
            }
        };
        forget();
        context.body.discard(&context.worker);
        let turning = &context.worker.is_yielding;
        if !responder.is_buffered() {
            yield_once(turning).await;
        }
        if matches!(head, Head::Upgrade) {
            return responder
                .flush()
                .await
                .map_or_else(RelayEnd::Client, |()| RelayEnd::Upgraded);
        }
        let turns = &context.worker.turns;
        match relay_body(
            answer,
            responder,
            || exposed(context),
            &context.bytes_out,
            turns,
        )
        .await
        {
            Ok(()) => RelayEnd::Whole,
            Err(RelayError::Source(error)) => RelayEnd::Upstream(error),
            Err(RelayError::Sink(error)) => RelayEnd::Client(error),
        }
    }
}

/// The name of the field that tells the client which release answers.
fn exposed(context: &RequestContext) -> Option<&str> {
    let selection = context.selection.as_ref()?;
    selection.route().spec().expose_release.as_deref()
}

fn take_head<R: Responder>(
    context: &RequestContext,
    responder: &mut R,
    parts: &ResponseParts<'_>,
    request_is_read: bool,
) -> Result<Head, UpstreamError> {
    let selection = context
        .selection
        .as_ref()
        .expect("an answer follows a selection");
    let release = selection.release().name().as_str();
    let exposed = exposed(context);
    if parts.facts.is_informational() {
        let to_flush = responder.send_informational(parts.facts.status, |out| {
            forward::write_response(out, parts, exposed);
        });
        return Ok(Head::Informational { to_flush });
    }
    let expose = exposed.map(|name| (name, release));
    let worker = &context.worker;
    let now = worker.timers.now();
    let responding = ResponseStart {
        status: parts.facts.status,
        reason: parts.reason,
        upgrade: upgrade(parts, selection.route())?,
        framing: parts.facts.framing,
        request_is_read,
    };
    let status = responder.respond(&responding, |out| {
        forward::write_response(out, parts, exposed);
        forward::write_response_own(out, parts, &context.id, expose, || worker.date());
    })?;
    context.status.set(Some(status));
    context.first_byte.set(Some(now));
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
    let protocol = fields.find(|field| field.known == KnownField::Upgrade);
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
    context: &mut RequestContext,
    meta: &RequestMeta,
    end: RelayEnd,
    evidence: Evidence,
) -> RelayResult {
    let Some(status) = context.status.get() else {
        return conclude_unanswered(context, meta, end, evidence);
    };
    match end {
        RelayEnd::Whole | RelayEnd::Upgraded => {
            context.end(Outcome::Answered(status));
            return RelayResult::Finished(RequestEnd::Whole);
        }
        RelayEnd::Recalled => context.release_drained(),
        RelayEnd::Client(error) => {
            context.end(Outcome::ClientGone(Some(status)));
            if let Ok(error) = RelayEnd::Client(error).unanswered() {
                context.cut(&error);
            }
        }
        end @ (RelayEnd::TooLong | RelayEnd::Unsent(_) | RelayEnd::Upstream(_)) => {
            context.end(Outcome::Cut(status));
            if let Ok(error) = end.unanswered() {
                context.cut(&error);
            }
        }
    }
    RelayResult::Finished(RequestEnd::Cut)
}

fn conclude_unanswered(
    context: &mut RequestContext,
    meta: &RequestMeta,
    end: RelayEnd,
    evidence: Evidence,
) -> RelayResult {
    let evidence = match end {
        RelayEnd::Upstream(UpstreamError::Closed(_) | UpstreamError::Unprocessed(_)) => evidence,
        _ => Evidence::Unknown,
    };
    match end.unanswered() {
        Ok(ProxyError::Upstream(error)) => {
            if context.attempt_failed(&error, evidence, meta) {
                RelayResult::Retry
            } else {
                RelayResult::Unanswered(ProxyError::Upstream(error))
            }
        }
        Ok(error) => {
            if matches!(error, ProxyError::RequestTimeout) {
                context.count_failed_attempt(AttemptFailure::RequestTimeout, &error);
            }
            RelayResult::Unanswered(error)
        }
        Err(RelayEnd::Client(_)) => {
            context.end(Outcome::ClientGone(None));
            RelayResult::Finished(RequestEnd::Cut)
        }
        Err(_) => {
            context.end(Outcome::Answered(200));
            RelayResult::Finished(RequestEnd::Whole)
        }
    }
}
