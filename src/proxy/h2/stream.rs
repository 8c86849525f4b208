//! One stream of a client's connection, from its head to its end.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use super::client_stream::{RequestBody, ResponseWriter, split};
use super::connection_io::Http2Io;
use super::head::{Head, content_length, is_malformed};
use super::stream_handle::StreamHandle;
use crate::http2::{self, Code, Key};
use crate::message::{Reason, Rejection};
use crate::proxy::error::ProxyError;
use crate::proxy::forward::RequestId;
use crate::proxy::io::RequestMeta;
use crate::proxy::prepare::{Prepared, prepare};
use crate::proxy::problem::{Own, answer_refused};
use crate::proxy::refused_head::RefusedHead;
use crate::proxy::request::{self, RequestEnd};
use crate::proxy::request_context::RequestContext;
use crate::proxy::settings::PeerInfo;
use crate::proxy::tunnel::Tunnel;
use crate::proxy::tunnel_end::TunnelEnd;
use crate::proxy::worker::Worker;

/// What the streams of one connection have in common.
pub(super) struct ClientIo {
    pub(super) worker: Rc<Worker>,
    pub(super) io: Rc<Http2Io>,
    pub(super) peer: PeerInfo,
    pub(super) preview: bool,
}

/// Serves one request.
pub(super) async fn serve(client: Rc<ClientIo>, key: Key, head: http2::Head) {
    let handle = StreamHandle::new(Rc::clone(&client.io), key, false);
    match open(&client, &handle, head) {
        // What a stream needs once it is judged is large, and the set of streams moves what it is given.
        Ok(opened) => Box::pin(forward(&client, &handle, opened)).await,
        Err(refused) => Box::pin(refuse(&client, &handle, *refused)).await,
    }
}

async fn refuse(client: &ClientIo, handle: &StreamHandle, (rejection, head): (Rejection, Head)) {
    let worker = &*client.worker;
    let error = ProxyError::from(rejection);
    error.reason().count();
    let id = RequestId::Own(u128::from(worker.random()));
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
        handle.reset(Code::PROTOCOL_ERROR);
        return;
    }
    refused.log(worker, client.peer, &id, own.sent(own.body()).len());
    let (_body, mut writer) = client.split(handle, false, false);
    answer_refused(own, &mut writer).await;
}

/// A request whose head was found to be good.
struct Opened {
    head: Head,
    meta: RequestMeta,
    context: RequestContext,
    first: Result<Prepared, ProxyError>,
}

/// Judges a head and, in the same synchronous section, selects for it.
fn open(
    client: &ClientIo,
    handle: &StreamHandle,
    head: http2::Head,
) -> Result<Opened, Box<(Rejection, Head)>> {
    let head = Head::new(head, Arc::clone(&client.worker.shared));
    let looked = head.validate(|parts| {
        let length = content_length(parts.facts.framing);
        if length.is_some_and(|length| !handle.engine().expect(handle.key(), length)) {
            return Err(Rejection::request(Reason::LengthMismatch));
        }
        let mut context = RequestContext::new(&client.worker, client.peer, client.preview, parts);
        let admitted = context.admit(parts);
        let first = admitted.and_then(|()| prepare(&mut context, parts));
        Ok((parts.meta(), context, first))
    });
    match looked.flatten() {
        Ok((meta, context, first)) => Ok(Opened {
            head,
            meta,
            context,
            first,
        }),
        Err(rejection) => Err(Box::new((rejection, head))),
    }
}

// An async fn would keep its arguments twice.
fn forward<'s>(
    client: &'s ClientIo,
    handle: &'s StreamHandle,
    opened: Opened,
) -> impl Future<Output = ()> {
    let Opened {
        head,
        meta,
        mut context,
        mut first,
    } = opened;
    let (mut body, mut writer) = client.split(handle, meta.is_grpc, meta.asked.websocket);
    let mut head = Some(head);
    async move {
        let finished = {
            let mut serving = pin!(request::serve(
                &mut context,
                &meta,
                &mut first,
                &mut head,
                &mut body,
                &mut writer
            ));
            // A client can leave at any moment, also while its body waits for the endpoint.
            poll_fn(|cx| match serving.as_mut().poll(cx) {
                Poll::Ready(finished) => Poll::Ready(Some(finished)),
                Poll::Pending => handle.poll_broken(cx).map(|()| None),
            })
            .await
        };
        drop(first);
        if let Some(RequestEnd::Upgraded(upgraded)) = finished {
            writer.hand_over();
            let mut tunnel = Tunnel {
                context,
                received: None,
                upgraded,
                is_websocket: true,
            };
            return Box::pin(tunnel.run(TunnelEnd::Stream(handle))).await;
        }
        drop(context);
        if finished.is_some() && writer.is_whole() {
            body.end().await;
        }
    }
}

// === impl ClientIo ===

impl ClientIo {
    fn split<'s>(
        &'s self,
        handle: &'s StreamHandle,
        is_grpc: bool,
        is_socket: bool,
    ) -> (RequestBody<'s>, ResponseWriter<'s>) {
        let timeouts = &self.worker.shared.settings.timeouts;
        // Both directions of a call may be quiet for long, as a stream of tokens may.
        let patience = if is_grpc {
            timeouts.silence
        } else {
            timeouts.body
        };
        let deadline = || self.worker.timers.deadline();
        let deadlines = [deadline(), deadline()];
        split(handle, &self.worker, deadlines, (patience.0, is_socket))
    }
}
