//! One stream of a client's connection, from its head to its end.

use std::future::poll_fn;
use std::pin::{Pin, pin};
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
use crate::proxy::error_form::ErrorForm;
use crate::proxy::forward::RequestId;
use crate::proxy::io::RequestMeta;
use crate::proxy::outcome::RequestEnd;
use crate::proxy::problem::{Own, respond_refused};
use crate::proxy::refused_head::RefusedHead;
use crate::proxy::request;
use crate::proxy::settings::PeerInfo;
use crate::proxy::stage::Request;
use crate::proxy::tunnel::Tunnel;
use crate::proxy::tunnel_end::TunnelEnd;
use crate::proxy::worker::Worker;

/// The state that all streams of a client's connection share.
pub(super) struct ClientIo {
    pub(super) worker: Rc<Worker>,
    pub(super) io: Rc<Http2Io>,
    pub(super) peer: PeerInfo,
    pub(super) preview: bool,
}

/// Serves one request.
pub(super) async fn serve(client: Rc<ClientIo>, key: Key, head: http2::Head) {
    let handle = StreamHandle::new(Rc::clone(&client.io), key, false);
    respond(&client, &handle, head).await;
}

/// Not an `async fn`: a request lives in its box alone, and the set of streams moves the little that is beside it.
fn respond<'s>(
    client: &'s ClientIo,
    handle: &'s StreamHandle,
    head: http2::Head,
) -> Pin<Box<dyn Future<Output = ()> + 's>> {
    match open(client, handle, head) {
        Ok(opened) => Box::pin(forward(client, handle, opened)),
        Err(refused) => Box::pin(refuse(client, handle, *refused)),
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
        form: ErrorForm::Problem,
        may_be_done: false,
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
    respond_refused(own, &mut writer).await;
}

/// A request whose head is valid.
struct Opened {
    head: Head,
    meta: RequestMeta,
    request: Request,
}

/// Validates a head and, in the same synchronous section, selects for it.
fn open(
    client: &ClientIo,
    handle: &StreamHandle,
    head: http2::Head,
) -> Result<Opened, Box<(Rejection, Head)>> {
    let head = Head::new(head, Arc::clone(&client.worker.shared));
    let validated = head.validate(|parts| {
        let length = content_length(parts.facts.framing);
        if length.is_some_and(|length| !handle.engine().expect(handle.key(), length)) {
            return Err(Rejection::request(Reason::LengthMismatch));
        }
        let from = (client.peer, client.preview);
        Ok((parts.meta(), Request::start(&client.worker, from, parts)))
    });
    match validated.flatten() {
        Ok((meta, request)) => Ok(Opened {
            head,
            meta,
            request,
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
        mut request,
    } = opened;
    let (mut body, mut writer) = client.split(handle, meta.is_grpc, meta.asked.websocket);
    let mut head = Some(head);
    async move {
        let end = {
            let mut serving = pin!(request::serve(
                &mut request,
                &meta,
                &mut head,
                &mut body,
                &mut writer
            ));
            // A client can leave at any moment, also while its body waits for the endpoint.
            poll_fn(|cx| match serving.as_mut().poll(cx) {
                Poll::Ready(end) => Poll::Ready(Some(end)),
                Poll::Pending => handle.poll_broken(cx).map(|()| None),
            })
            .await
        };
        if let Some(RequestEnd::Upgraded(upgraded)) = end {
            writer.hand_over();
            let mut tunnel = Tunnel {
                context: request.context,
                upgraded,
                received: None,
                is_websocket: true,
            };
            return Box::pin(tunnel.run(TunnelEnd::Stream(handle))).await;
        }
        drop(request);
        if end.is_some() && writer.is_whole() {
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
