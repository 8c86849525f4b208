//! The body of a request on its way to an endpoint, and again if an attempt has failed.

use std::future::poll_fn;
use std::pin::pin;

use crate::message::Rejection;

use super::budget::Budget;
use super::error::{ClientError, UpstreamError};
use super::seam::{BodySink, Broken, ClientBody};
use super::ticket::Ticket;

/// The endpoint's side of a body.
pub(super) trait RequestSink: BodySink<Error = UpstreamError> {
    /// Whether what is sent may have to be sent again.
    fn keeps_body(&self) -> bool;

    /// Whether nothing of the request was written, its head included.
    fn is_untouched(&self) -> bool;

    /// What is wrong with the request, if it could not be sent because the endpoint takes none like it.
    fn refused(&self) -> Option<Rejection> {
        None
    }
}

/// Moves a body to the endpoint. A head that waits leaves with the first piece, or at once if none is there.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would keep its arguments twice"
)]
pub(super) fn upload<C: ClientBody, K: RequestSink>(
    ticket: &Ticket,
    client: &mut C,
    sink: &mut K,
) -> impl Future<Output = Result<(), Broken<ClientError, UpstreamError>>> {
    async move {
        if ticket.attempts.is_some() && Box::pin(send_again(ticket, sink)).await? {
            return Ok(());
        }
        if !client.is_ready() {
            sink.flush().await.map_err(Broken::Sink)?;
        }
        let mut budget = Budget::new(&ticket.worker.turns);
        loop {
            let piece = if budget.is_greedy() {
                let mut next = pin!(client.piece());
                poll_fn(|cx| budget.poll_next(cx, next.as_mut())).await
            } else {
                client.piece().await
            };
            let piece = piece.map_err(Broken::Source)?;
            let (last, length) = (piece.last, piece.data.len());
            ticket.bytes_in.set(ticket.bytes_in.get() + length as u64);
            ticket.body.read(&piece, sink.keeps_body(), &ticket.worker);
            if let Err(error) = sink.send(piece).await {
                if sink.is_untouched() {
                    ticket.body.put_back(&piece, &ticket.worker);
                }
                return Err(Broken::Sink(error));
            }
            if last {
                return Ok(());
            }
            budget.pay(length).await;
        }
    }
}

/// Sends what was read for an earlier attempt; whether that was all of the body.
async fn send_again<K: RequestSink>(
    ticket: &Ticket,
    sink: &mut K,
) -> Result<bool, Broken<ClientError, UpstreamError>> {
    let Some(kept) = ticket.body.lend(&ticket.worker) else {
        return Ok(false);
    };
    if let Some(piece) = kept.piece() {
        sink.send(piece).await.map_err(Broken::Sink)?;
    }
    Ok(kept.is_over())
}
