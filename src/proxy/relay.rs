//! A committed request: its body goes up while the response comes down, in one task, until both are at an end.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};

use crate::fleet::McpStream;
use crate::model::{AgentProtocol, CutCause};
use crate::net::Deadline;

use super::agent_card::relay_card;
use super::body_form::BodyForm;
use super::compressors::Compressor;
use super::error::{ClientError, ProxyError, UpstreamError};
use super::event_stream::{EventBoundary, last_event};
use super::io::{ClientBody, RelayError, RequestMeta, Responder, UpstreamResponse};
use super::learn::{LearningSource, kept_for_mirror};
use super::outcome::RelayEnd;
use super::relay_body::{relay_body, yield_once};
use super::relay_compressed::relay_compressed;
use super::request_context::RequestContext;
use super::response_head::{Head, pass_heads};
use super::stage::Committed;
use super::upload::{RequestSink, upload};
use super::work_class::{Cut, ResponseClass};

/// Moves the rest of a request and its response. `forget` is called as soon as the head will not be needed again.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would keep its arguments twice"
)]
pub(super) fn relay<C: ClientBody, R: Responder, K: RequestSink, A: UpstreamResponse>(
    committed: Committed<'_>,
    meta: &RequestMeta,
    (client, responder): (&mut C, &mut R),
    (sink, response): (&mut K, &mut A),
    forget: impl FnOnce(),
) -> impl Future<Output = RelayEnd> {
    async move {
        let context = committed.context;
        let events = EventBoundary::new();
        let end = {
            let request_is_read = &context.request_is_read;
            request_is_read.set(false);
            let yielding = &context.worker.is_yielding;
            let mut upload = pin!(upload_and_watch(context, client, sink, request_is_read));
            let mut download = pin!(download(
                (committed, meta),
                response,
                (&mut *responder, &events),
                request_is_read,
                forget
            ));
            let limit = context.total_limit(meta);
            let response_limit = context.response_limit();
            let mut is_uploading = true;
            poll_fn(|cx| {
                // Once the request is whole, its response may end it, and the client need not be watched before.
                let is_read = request_is_read.get();
                if is_read {
                    yielding.set(false);
                    let polled = download.as_mut().poll(cx);
                    // After it has yielded it goes on at once, and may well be over then.
                    if polled.is_ready() || yielding.get() {
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
                if let Some(late) = poll_late(cx, context, response_limit.as_deref()) {
                    return Poll::Ready(late);
                }
                poll_ended(cx, committed, limit.as_ref())
            })
            .await
        };
        if context.status.get().is_none() || matches!(end, RelayEnd::Whole | RelayEnd::Upgraded) {
            return end;
        }
        retract_or_abort((context, &events), meta, end, responder)
    }
}

/// The end of a request whose response has not begun in time.
fn poll_late(
    cx: &mut Context<'_>,
    context: &RequestContext,
    limit: Option<&(Deadline, bool)>,
) -> Option<RelayEnd> {
    let (limit, is_of_try) = limit?;
    if context.status.get().is_some() || limit.poll_expired(cx).is_pending() {
        return None;
    }
    let of_try = is_of_try.then_some(UpstreamError::TryTimeout);
    Some(RelayEnd::Upstream(
        of_try.unwrap_or(UpstreamError::FirstByteTimeout),
    ))
}

/// Ready when the request has to end, whatever its two directions do.
fn poll_ended(
    cx: &mut Context<'_>,
    committed: Committed<'_>,
    limit: Option<&Deadline>,
) -> Poll<RelayEnd> {
    if let Some(cut) = committed.cut() {
        return Poll::Ready(RelayEnd::Cut(cut));
    }
    let expired = limit.map(|limit| limit.poll_expired(cx));
    expired.map_or(Poll::Pending, |polled| polled.map(|()| RelayEnd::TooLong))
}

/// Moves the body of the request, then waits until the client leaves.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would keep its arguments twice"
)]
fn upload_and_watch<C: ClientBody, K: RequestSink>(
    context: &RequestContext,
    client: &mut C,
    sink: &mut K,
    request_is_read: &Cell<bool>,
) -> impl Future<Output = Option<ClientError>> {
    async move {
        match upload(context, client, sink).await {
            Ok(()) => {
                request_is_read.set(true);
                client.closed().await;
                Some(ClientError::Gone)
            }
            Err(RelayError::Source(error)) => Some(error),
            // The endpoint reads no more; its response, if there is one, says why.
            Err(RelayError::Sink(_)) => sink.refused().map(ClientError::Invalid),
        }
    }
}

/// Retracts a response that has failed after it began, if nothing of it has left; otherwise gRPC gets a status, and a
/// stream of events that is cut a last one.
#[cold]
fn retract_or_abort<R: Responder>(
    (context, events): (&RequestContext, &EventBoundary),
    meta: &RequestMeta,
    end: RelayEnd,
    responder: &mut R,
) -> RelayEnd {
    let is_there = !matches!(end, RelayEnd::Client(ClientError::Gone));
    if !is_there && events.is_delivered() {
        return RelayEnd::Delivered;
    }
    if is_there && responder.retract() {
        context.status.set(None);
        context.first_byte.set(None);
        if let Some(mirrored) = &context.mirrored {
            mirrored.forget_answer();
        }
        return end.unanswered().map_or_else(|end| end, RelayEnd::Unsent);
    }
    if meta.is_grpc {
        match &end {
            RelayEnd::TooLong => responder.abort(&ProxyError::RequestTimeout),
            RelayEnd::Cut(cut) => responder.abort(&ProxyError::ReleaseLeft(*cut)),
            _ => {}
        }
    }
    if let RelayEnd::Cut(cut) = &end
        && cut.class.is_events
        && events.is_between()
    {
        responder.append(end_of_events(context, *cut).as_bytes());
    }
    end
}

/// The last event of a stream that is cut. Clients come back at different times.
fn end_of_events(context: &RequestContext, cut: Cut) -> String {
    let error = ProxyError::ReleaseLeft(cut);
    let retry_ms = 1_000 + context.worker.random() % 4_000;
    let fields = context
        .error_form
        .event(&error, context.rpc_id.get().map(AsRef::as_ref));
    last_event(&fields, retry_ms)
}

#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would keep its arguments twice"
)]
fn download<R: Responder, A: UpstreamResponse>(
    (committed, meta): (Committed<'_>, &RequestMeta),
    response: &mut A,
    (responder, events): (&mut R, &EventBoundary),
    request_is_read: &Cell<bool>,
    forget: impl FnOnce(),
) -> impl Future<Output = RelayEnd> {
    async move {
        let context = committed.context;
        let head = match pass_heads((committed, meta), response, responder, request_is_read).await {
            // Nothing was sent to the client yet, so another attempt may follow, which needs the head.
            Ok(Head::Card(held)) => {
                return Box::pin(relay_card(committed, held, response, responder)).await;
            }
            Ok(head) => head,
            Err(end) => return end,
        };
        forget();
        if let Some(start) = context.session_start.as_deref() {
            start.keep_request(&context.body);
        }
        context.body.discard(&context.worker);
        let yielding = &context.worker.is_yielding;
        if !responder.is_buffered() {
            yield_once(yielding).await;
        }
        if matches!(head, Head::Upgrade) {
            return responder
                .flush()
                .await
                .map_or_else(RelayEnd::Client, |()| RelayEnd::Upgraded);
        }
        let turns = &context.worker.turns;
        let is_events = matches!(head, Head::Final { is_events: true });
        let moved = (context, is_events.then_some(events));
        let taken = || committed.taken();
        let forms = learning(committed);
        let is_plain = forms.is_none()
            && context.session_stream.is_none()
            && kept_for_mirror(committed).is_none()
            && !is_compressed(context);
        let relayed = if is_plain {
            // The one place where a body is relayed without more ado, so that the compiler makes one piece of it.
            Some(relay_body(response, responder, taken, moved, turns).await)
        } else {
            let response = LearningSource::new(response, committed, forms);
            match take_compressor(context) {
                None => Box::pin(relay_learning(committed, response, responder, moved)).await,
                Some(compressor) => {
                    let moved = (context, compressor);
                    Box::pin(relay_coded(committed, response, responder, moved)).await
                }
            }
        };
        let Some(relayed) = relayed else {
            return RelayEnd::Cut(of_moved(committed, is_events));
        };
        match relayed {
            Ok(()) => RelayEnd::Whole,
            Err(RelayError::Source(error)) => RelayEnd::Upstream(error),
            Err(RelayError::Sink(error)) => RelayEnd::Client(error),
        }
    }
}

/// Relays a body that is looked at on its way, or whose session may move; `None` if it has.
async fn relay_learning<R: Responder, A: UpstreamResponse>(
    committed: Committed<'_>,
    mut response: LearningSource<'_, A>,
    responder: &mut R,
    moved: (&RequestContext, Option<&EventBoundary>),
) -> Option<Result<(), RelayError<A::Error, ClientError>>> {
    let context = committed.context;
    let taken = || committed.taken();
    let turns = &context.worker.turns;
    let relayed = relay_body(&mut response, responder, taken, moved, turns);
    until_moved(relayed, context.session_stream.as_deref()).await
}

/// The same for one that is compressed.
async fn relay_coded<R: Responder, A: UpstreamResponse>(
    committed: Committed<'_>,
    mut response: LearningSource<'_, A>,
    responder: &mut R,
    moved: (&RequestContext, Box<Compressor>),
) -> Option<Result<(), RelayError<A::Error, ClientError>>> {
    let context = committed.context;
    let taken = || committed.taken();
    let turns = &context.worker.turns;
    let relayed = relay_compressed(&mut response, responder, taken, moved, turns);
    until_moved(relayed, context.session_stream.as_deref()).await
}

/// True if the body is compressed on its way.
#[inline]
fn is_compressed(context: &RequestContext) -> bool {
    let guarded = context.guarded.get();
    guarded.is_some_and(|guarded| guarded.has_compressor())
}

#[cold]
fn take_compressor(context: &RequestContext) -> Option<Box<Compressor>> {
    context.guarded.get()?.take_compressor()
}

/// The result of a relay; `None` if the session has moved whose stream it is.
async fn until_moved<T>(relayed: impl Future<Output = T>, stream: Option<&McpStream>) -> Option<T> {
    let Some(stream) = stream else {
        return Some(relayed.await);
    };
    tokio::select! {
        biased;
        relayed = relayed => Some(relayed),
        () = stream.ended() => None,
    }
}

/// The end of a stream whose session has moved: its server has nothing more to say.
fn of_moved(committed: Committed<'_>, is_events: bool) -> Cut {
    Cut {
        cause: CutCause::Left(committed.cause_of_leaving()),
        class: ResponseClass::of_stream(is_events),
    }
}

/// Protocol and form of a response that ids are learned from; `None` for all others.
fn learning(committed: Committed<'_>) -> Option<(AgentProtocol, BodyForm)> {
    let protocol = committed.selected.route().agent_protocol()?;
    Some((protocol, committed.context.session.get().learns?))
}
