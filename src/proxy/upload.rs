//! The body of a request on its way to an endpoint, and again if an attempt has failed.

use std::future::poll_fn;
use std::pin::pin;

use tokio::task::yield_now;

use crate::message::{Reason, Rejection};

use super::budget::Budget;
use super::error::{ClientError, UpstreamError};
use super::guards::count_refusal;
use super::io::{BodySink, ClientBody, RelayError};
use super::mcp_start::LONGEST_REQUEST;
use super::request_context::RequestContext;
use super::rpc_id::rpc_id;

/// The endpoint's side of a body.
pub(super) trait RequestSink: BodySink<Error = UpstreamError> {
    /// True if the body may have to be sent again.
    fn keeps_body(&self) -> bool;

    /// True if nothing of the request was written, its head included.
    fn is_untouched(&self) -> bool;

    /// The fault of a request that could not be sent because the endpoint takes none like it.
    fn refused(&self) -> Option<Rejection> {
        None
    }
}

/// Moves a body to the endpoint. A pending head leaves with the first frame, or at once if none is ready.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would keep its arguments twice"
)]
pub(super) fn upload<C: ClientBody, K: RequestSink>(
    context: &RequestContext,
    client: &mut C,
    sink: &mut K,
) -> impl Future<Output = Result<(), RelayError<ClientError, UpstreamError>>> {
    async move {
        let is_read = context.attempts.is_some() || context.peeked.is_some();
        if is_read && Box::pin(send_again(context, sink)).await? {
            if !sink.keeps_body() && context.session_start.is_none() {
                context.body.discard(&context.worker);
            }
            return Ok(());
        }
        if !client.is_ready() {
            sink.flush().await.map_err(RelayError::Sink)?;
        }
        let mut budget = Budget::new(&context.worker.turns);
        loop {
            let frame = if budget.is_greedy() {
                let mut next = pin!(client.next_frame());
                poll_fn(|cx| budget.poll_next(cx, next.as_mut())).await
            } else {
                client.next_frame().await
            };
            let mut frame = frame.map_err(RelayError::Source)?;
            if let Some(trailers) = &mut frame.trailers {
                trailers.taken = context.taken_trailers();
            }
            let (last, length) = (frame.last, frame.data.len());
            if context.error_form.is_json_rpc() && context.bytes_in.get() == 0 {
                // The rest of a body that comes in parts is not waited for.
                if let Some(id) = rpc_id(frame.data) {
                    let _is_first = context.rpc_id.set(id);
                }
            }
            let read = context.bytes_in.get() + length as u64;
            let guarded = context.guarded.get();
            if guarded.is_some_and(|guarded| !guarded.takes_body_of(read)) {
                let rejection = Rejection::request(Reason::BodyTooLarge);
                if let Some(route) = context.route() {
                    count_refusal(&route.spec().name, &rejection.into());
                }
                return Err(RelayError::Source(ClientError::Invalid(rejection)));
            }
            context.bytes_in.set(read);
            let keeps = sink.keeps_body()
                || context.session_start.is_some() && read <= LONGEST_REQUEST as u64;
            context.body.read(&frame, keeps, &context.worker);
            if let Some(mirrored) = &context.mirrored {
                mirrored.read(&frame);
            }
            if let Err(error) = sink.send(frame).await {
                if sink.is_untouched() {
                    context.body.put_back(&frame, &context.worker);
                }
                return Err(RelayError::Sink(error));
            }
            if last {
                return Ok(());
            }
            if budget.spend(length) {
                yield_now().await;
            }
        }
    }
}

/// Sends the body as far as it was read for an earlier attempt; true if that was all of it.
async fn send_again<K: RequestSink>(
    context: &RequestContext,
    sink: &mut K,
) -> Result<bool, RelayError<ClientError, UpstreamError>> {
    let Some(kept) = context.body.lend(&context.worker) else {
        return Ok(false);
    };
    if let Some(frame) = kept.frame() {
        sink.send(frame).await.map_err(RelayError::Sink)?;
    }
    Ok(kept.is_over())
}
