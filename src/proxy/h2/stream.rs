//! One stream of a client's connection, from its head to its end.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::Request;

use super::client_stream::{Body, Watch, Way, sides};
use super::head::{Head, is_malformed};
use super::wire::Wire;
use crate::message::{self, Rejection};
use crate::proxy::begin::{Begun, begin};
use crate::proxy::error::ProxyError;
use crate::proxy::exchange;
use crate::proxy::forward::RequestId;
use crate::proxy::problem::answer_refused;
use crate::proxy::seam::Asking;
use crate::proxy::settings::PeerInfo;
use crate::proxy::ticket::Ticket;
use crate::proxy::worker::Worker;

/// Turns of the worker's loop for which a stream that breaks off waits, so that what was sent of it leaves.
const TURNS: usize = 8;

/// What the streams of one connection have in common.
pub(super) struct Client {
    pub(super) worker: Rc<Worker>,
    pub(super) wire: Rc<Wire>,
    pub(super) peer: PeerInfo,
    pub(super) preview: bool,
}

/// Serves one request. A path that came with a fragment is refused: the one that is left is not what was asked for.
pub(super) async fn serve(
    client: Rc<Client>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    has_fragment: bool,
) {
    let (head, body) = request.into_parts();
    let is_over = body.is_end_stream();
    let head = Request::from_parts(head, ());
    let opened = if has_fragment {
        Err(Rejection::request(message::Reason::InvalidTarget))
    } else {
        open(&client, head, is_over)
    };
    match opened {
        Ok(opened) => forward(&client, opened, body, respond).await,
        Err(rejection) if is_malformed(rejection.reason) => {
            ProxyError::from(rejection).reason().count();
            respond.send_reset(Reason::PROTOCOL_ERROR);
        }
        Err(rejection) => {
            let error = ProxyError::from(rejection);
            error.reason().count();
            let (_body, mut way, _watch) = client.sides(body, respond, false);
            let id = RequestId::Own(u128::from(client.worker.draw()));
            answer_refused(&id, &error, &mut way).await;
        }
    }
}

/// A request whose head was found to be good.
struct Opened {
    head: Head,
    asking: Asking,
    ticket: Ticket,
    first: Result<Begun, ProxyError>,
}

/// Judges a head and, in the same synchronous section, selects for it.
fn open(client: &Client, head: Request<()>, is_over: bool) -> Result<Opened, Rejection> {
    let head = Head::new(head, is_over, Arc::clone(&client.worker.shared))?;
    let (asking, ticket, first) = head.first_look(|parts| {
        let mut ticket = Ticket::new(&client.worker, client.peer, client.preview, parts);
        let admitted = ticket.admit(parts);
        let first = admitted.and_then(|()| begin(&mut ticket, parts));
        (parts.asking(), ticket, first)
    })?;
    Ok(Opened {
        head,
        asking,
        ticket,
        first,
    })
}

async fn forward(client: &Client, opened: Opened, body: RecvStream, respond: SendResponse<Bytes>) {
    let Opened {
        head,
        asking,
        mut ticket,
        mut first,
    } = opened;
    let (mut body, mut way, watch) = client.sides(body, respond, asking.is_grpc);
    let mut head = Some(head);
    let is_served = {
        let mut serving = pin!(exchange::serve(
            &mut ticket,
            &asking,
            &mut first,
            &mut head,
            &mut body,
            &mut way
        ));
        // A client can leave at any moment, also while its body waits for the endpoint.
        poll_fn(|cx| match serving.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending => watch.poll_reset(cx).map(|()| false),
        })
        .await
    };
    drop(first);
    drop(ticket);
    if is_served && way.is_whole() {
        body.end().await;
    } else if is_served {
        // What was sent of an answer that breaks off should arrive: a reset takes back what the connection still holds.
        // The connection's task runs in each of these turns; one does when nothing else is going on.
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
    }
}

// === impl Client ===

impl Client {
    fn sides(
        &self,
        body: RecvStream,
        respond: SendResponse<Bytes>,
        is_grpc: bool,
    ) -> (Body, Way, Watch) {
        let timeouts = &self.worker.shared.settings.timeouts;
        // Both directions of a call may be quiet for long, as a stream of tokens may.
        let patience = if is_grpc {
            timeouts.silence
        } else {
            timeouts.body
        };
        let deadline = || self.worker.timers.deadline();
        let wire = Rc::clone(&self.wire);
        sides(body, respond, wire, [deadline(), deadline()], patience.0)
    }
}
