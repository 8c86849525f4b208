//! One stream of a client's connection, from its head to its end.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use super::client_stream::{Body, Way, sides};
use super::head::{Head, announced, is_malformed};
use super::hold::Hold;
use super::link::Link;
use crate::http2::{self, Code, Key};
use crate::message::{Reason, Rejection};
use crate::proxy::begin::{Begun, begin};
use crate::proxy::error::ProxyError;
use crate::proxy::exchange::{self, Finished};
use crate::proxy::forward::RequestId;
use crate::proxy::problem::{Own, answer_refused};
use crate::proxy::refused::RefusedHead;
use crate::proxy::seam::Asking;
use crate::proxy::settings::PeerInfo;
use crate::proxy::ticket::Ticket;
use crate::proxy::tunnel::Tunnel;
use crate::proxy::tunnel_end::TunnelEnd;
use crate::proxy::worker::Worker;

/// What the streams of one connection have in common.
pub(super) struct Client {
    pub(super) worker: Rc<Worker>,
    pub(super) link: Rc<Link>,
    pub(super) peer: PeerInfo,
    pub(super) preview: bool,
}

/// Serves one request.
pub(super) async fn serve(client: Rc<Client>, key: Key, head: http2::Head) {
    let hold = Hold::new(Rc::clone(&client.link), key, false);
    match open(&client, &hold, head) {
        // What a stream needs once it is judged is large, and the set of streams moves what it is given.
        Ok(opened) => Box::pin(forward(&client, &hold, opened)).await,
        Err(refused) => Box::pin(refuse(&client, &hold, *refused)).await,
    }
}

async fn refuse(client: &Client, hold: &Hold, (rejection, head): (Rejection, Head)) {
    let worker = &*client.worker;
    let error = ProxyError::from(rejection);
    error.reason().count();
    let id = RequestId::Own(u128::from(worker.draw()));
    let limits = &worker.shared.settings.message;
    let refused = RefusedHead::http2(head.raw(), rejection, limits);
    let own = Own {
        worker,
        id: &id,
        error: &error,
        to_head: refused.is_head(),
        request_is_read: false,
    };
    if is_malformed(rejection.reason) {
        refused.log(worker, client.peer, &id, 0);
        hold.reset(Code::PROTOCOL_ERROR);
        return;
    }
    refused.log(worker, client.peer, &id, own.sent(own.body()).len());
    let (_body, mut way) = client.sides(hold, false, false);
    answer_refused(own, &mut way).await;
}

/// A request whose head was found to be good.
struct Opened {
    head: Head,
    asking: Asking,
    ticket: Ticket,
    first: Result<Begun, ProxyError>,
}

/// Judges a head and, in the same synchronous section, selects for it.
fn open(client: &Client, hold: &Hold, head: http2::Head) -> Result<Opened, Box<(Rejection, Head)>> {
    let head = Head::new(head, Arc::clone(&client.worker.shared));
    let looked = head.first_look(|parts| {
        let length = announced(parts.facts.framing);
        if length.is_some_and(|length| !hold.engine().expect(hold.key(), length)) {
            return Err(Rejection::request(Reason::LengthMismatch));
        }
        let mut ticket = Ticket::new(&client.worker, client.peer, client.preview, parts);
        let admitted = ticket.admit(parts);
        let first = admitted.and_then(|()| begin(&mut ticket, parts));
        Ok((parts.asking(), ticket, first))
    });
    match looked.flatten() {
        Ok((asking, ticket, first)) => Ok(Opened {
            head,
            asking,
            ticket,
            first,
        }),
        Err(rejection) => Err(Box::new((rejection, head))),
    }
}

// An async fn would keep its arguments twice.
fn forward<'s>(client: &'s Client, hold: &'s Hold, opened: Opened) -> impl Future<Output = ()> {
    let Opened {
        head,
        asking,
        mut ticket,
        mut first,
    } = opened;
    let (mut body, mut way) = client.sides(hold, asking.is_grpc, asking.asked.websocket);
    let mut head = Some(head);
    async move {
        let finished = {
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
                Poll::Ready(finished) => Poll::Ready(Some(finished)),
                Poll::Pending => hold.poll_broken(cx).map(|()| None),
            })
            .await
        };
        drop(first);
        if let Some(Finished::Upgraded(upgraded)) = finished {
            way.hand_over();
            let mut tunnel = Tunnel {
                ticket,
                received: None,
                upgraded,
                is_websocket: true,
            };
            return Box::pin(tunnel.run(TunnelEnd::Stream(hold))).await;
        }
        drop(ticket);
        if finished.is_some() && way.is_whole() {
            body.end().await;
        }
    }
}

// === impl Client ===

impl Client {
    fn sides<'s>(&'s self, hold: &'s Hold, is_grpc: bool, is_socket: bool) -> (Body<'s>, Way<'s>) {
        let timeouts = &self.worker.shared.settings.timeouts;
        // Both directions of a call may be quiet for long, as a stream of tokens may.
        let patience = if is_grpc {
            timeouts.silence
        } else {
            timeouts.body
        };
        let deadline = || self.worker.timers.deadline();
        let deadlines = [deadline(), deadline()];
        sides(hold, &self.worker, deadlines, (patience.0, is_socket))
    }
}
