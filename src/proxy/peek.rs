//! A body that is read before the release is decided on: messages of A2A name their task only there.

use std::time::Duration;

use crate::message::RequestFraming;

use super::agent_ids;
use super::body_form::Peeked;
use super::error::{ClientError, ProxyError};
use super::io::{BodyFrame, ClientBody, RequestMeta};
use super::outcome::RelayEnd;
use super::request_context::RequestContext;
use super::rpc_id::rpc_id;
use super::waiting::WaitAborted;

/// Time for a body to be read: its request holds memory, and is not decided on yet.
const LONGEST: Duration = Duration::from_secs(10);

/// Reads the body into the buffer that repeats are sent from, and notes the id in it. One that is too long for that is
/// not read, and the request is split; where the memory for all of them is used up, the client is to come back.
pub(super) async fn peek<C: ClientBody>(
    context: &mut RequestContext,
    meta: &RequestMeta,
    client: &mut C,
) -> Result<(), WaitAborted> {
    let mut peeked = Peeked::default();
    if let RequestFraming::Length(length) = meta.framing
        && context.body.fits(length, &context.worker)
    {
        let deadline = context.worker.timers.deadline();
        deadline.set_from_now(LONGEST);
        tokio::select! {
            biased;
            read = read(context, client) => read.map_err(aborted)?,
            () = deadline.expired() => return Err(aborted(ClientError::Silent)),
        }
        if !context.body.is_whole() {
            return Err(WaitAborted::Error(ProxyError::Overloaded));
        }
        peeked.id = context.body.look(agent_ids::of_request_body);
        peeked.is_for_card = context.body.look(agent_ids::is_for_card);
        if let Some(id) = context.body.look(rpc_id) {
            let _is_first = context.rpc_id.set(id);
        }
    }
    context.peeked = Some(Box::new(peeked));
    Ok(())
}

async fn read<C: ClientBody>(context: &RequestContext, client: &mut C) -> Result<(), ClientError> {
    loop {
        let frame = client.next_frame().await?;
        let read = context.bytes_in.get() + frame.data.len() as u64;
        context.bytes_in.set(read);
        // Trailers cannot be sent again, and may be dropped (RFC 9110, section 6.5.1).
        let trailers = None;
        let kept = BodyFrame { trailers, ..frame };
        context.body.read(&kept, true, &context.worker);
        if kept.last || !context.body.is_whole() {
            return Ok(());
        }
    }
}

fn aborted(error: ClientError) -> WaitAborted {
    match RelayEnd::Client(error).unanswered() {
        Ok(error) => WaitAborted::Error(error),
        Err(_) => WaitAborted::Client,
    }
}
