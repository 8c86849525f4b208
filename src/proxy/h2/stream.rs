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
    Box::pin(exchange(client, handle, head))
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
        guarded: None,
        changes: None,
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

/// Validates a head and, in the same synchronous section, selects for it.
///
/// The request is written where it stays: it is too large to be moved often.
fn open(
    client: &ClientIo,
    handle: &StreamHandle,
    head: &Head,
    place: &mut Option<Request>,
) -> Result<RequestMeta, Rejection> {
    let validated = head.validate(|parts| {
        let length = content_length(parts.facts.framing);
        if length.is_some_and(|length| !handle.engine().expect(handle.key(), length)) {
            return Err(Rejection::request(Reason::LengthMismatch));
        }
        let from = (client.peer, client.preview);
        Request::start_in(place, &client.worker, from, parts);
        Ok(parts.meta())
    });
    validated.flatten()
}

/// Serves one request. It is opened in the box where it is served: what a future captures is moved into its box.
// An async fn would keep its arguments twice.
fn exchange<'s>(
    client: &'s ClientIo,
    handle: &'s StreamHandle,
    head: http2::Head,
) -> impl Future<Output = ()> {
    let mut head = Some(Head::new(head, Arc::clone(&client.worker.shared)));
    async move {
        let mut place = None;
        let opened = head
            .as_ref()
            .map(|head| open(client, handle, head, &mut place));
        let (meta, request) = match (opened, &mut place) {
            (Some(Ok(meta)), Some(request)) => (meta, request),
            (Some(Err(rejection)), _) => {
                if let Some(head) = head {
                    Box::pin(refuse(client, handle, (rejection, head))).await;
                }
                return;
            }
            _ => return,
        };
        let (mut body, mut writer) = client.split(handle, meta.is_grpc, meta.asked.websocket);
        let end = {
            let mut serving = pin!(request::serve(
                request,
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
        let is_ended = match end {
            Some(RequestEnd::Upgraded(upgraded)) => {
                writer.hand_over();
                let Some(request) = place else { return };
                let mut tunnel = Tunnel {
                    context: request.context,
                    upgraded,
                    received: None,
                    is_websocket: true,
                };
                return Box::pin(tunnel.run(TunnelEnd::Stream(handle))).await;
            }
            end => end.is_some(),
        };
        drop(place);
        if is_ended && writer.is_whole() {
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
