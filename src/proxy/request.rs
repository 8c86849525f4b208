//! The life of a request, whatever its client and its endpoint speak: prepared, sent, and again until it has an end.

use std::pin::Pin;
use std::rc::Rc;

use super::connect::Connected;
use super::error::ProxyError;
use super::h2 as http2;
use super::http1_client::{Http1Head, validate};
use super::http1_upstream;
use super::internal_request::{
    InternalBody, InternalError, InternalRequest, InternalResponse, Recorder,
};
use super::io::{ClientBody, RequestHead, RequestMeta, RequestParts, Responder};
use super::mcp_session::move_session;
use super::outcome::{Attempted, RequestEnd, Upgraded, UpgradedEndpoint};
use super::pause::wait_for_resume;
use super::peek::peek;
use super::prepare::prepare;
use super::problem::respond_problem;
use super::relay_body::yield_once;
use super::request_context::RequestContext;
use super::select::Selected;
use super::settings::PeerInfo;
use super::stage::{Request, Stage};
use super::waiting::{WaitAborted, dial, queue, wait_for_start};
use super::worker::Worker;
use crate::http1::Reusable;
use crate::model::Outcome;

/// The result of a step.
enum Step {
    /// It is prepared anew, for the connection if one was opened.
    Prepare(Option<Connected>),
    Failed(ProxyError),
    Finished(RequestEnd),
}

/// Serves one request. `head` is emptied as soon as it is not needed any more.
///
/// The stage stays where the request is, and is lent to its steps: an argument that an `async fn` takes by value is kept
/// twice for as long as it runs.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would keep its arguments twice"
)]
pub(super) fn serve<H: RequestHead, C: ClientBody, R: Responder>(
    request: &mut Request,
    meta: &RequestMeta,
    head: &mut Option<H>,
    client: &mut C,
    responder: &mut R,
) -> impl Future<Output = RequestEnd> {
    async move {
        loop {
            let dialed = match step(request, meta, head, client, responder).await {
                Step::Prepare(dialed) => dialed,
                Step::Finished(end) => return end,
                Step::Failed(error) => {
                    // The head goes with what may have been processed, which is not sent anywhere else.
                    let may_recover = head.is_some();
                    let sides = (&mut *client, &mut *responder);
                    let ended = recover_or_fail(request, meta, error, may_recover, sides);
                    match Box::pin(ended).await {
                        Some(end) => return end,
                        None => None,
                    }
                }
            };
            let Some(head) = head else {
                // The head goes when the response begins, and no attempt is repeated after that.
                return RequestEnd::Cut;
            };
            // It waited for something, so the cached time is old.
            request.context.worker.timers.now();
            request.prepare(dialed, head);
        }
    }
}

#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would keep its arguments twice"
)]
fn step<H: RequestHead, C: ClientBody, R: Responder>(
    request: &mut Request,
    meta: &RequestMeta,
    head: &mut Option<H>,
    client: &mut C,
    responder: &mut R,
) -> impl Future<Output = Step> {
    async move {
        let Request { context, stage } = request;
        // The rare stages live in boxes of their own, so that a request that is only relayed stays small.
        match stage {
            Stage::Http1(selected, encoded) => {
                if !std::mem::replace(&mut context.has_yielded, true) {
                    yield_once(&context.worker.is_yielding).await;
                    if !context.keeps(selected) {
                        return Step::Prepare(stage.take_connection());
                    }
                }
                let way = (context, &*selected);
                let sent =
                    http1_upstream::send_request(way, encoded, meta, head, client, responder).await;
                request.after_http1(sent)
            }
            Stage::Http2(selected, start) => {
                let way = (context, &*selected);
                let sending = http2::send_request(way, start, meta, head, client, responder);
                let sent = Box::pin(sending).await;
                request.after_http2(sent)
            }
            Stage::Selected(selected) => {
                let dialed = Box::pin(dial(context, selected, meta, client)).await;
                dialed.map_or_else(|aborted| request.abort(aborted), Step::Prepare)
            }
            Stage::Paused(pause) => {
                let resumed = Box::pin(wait_for_resume(context, pause, meta, client)).await;
                resumed.map_or_else(|aborted| request.abort(aborted), |()| Step::Prepare(None))
            }
            Stage::Queued(release) => {
                let granted = Box::pin(queue(context, release, meta, client)).await;
                granted.map_or_else(|aborted| request.abort(aborted), |()| Step::Prepare(None))
            }
            Stage::Unread => {
                let peeked = Box::pin(peek(context, meta, client)).await;
                peeked.map_or_else(|aborted| request.abort(aborted), |()| Step::Prepare(None))
            }
            Stage::Moving(session) => {
                let Some(head) = head else {
                    return Step::Finished(RequestEnd::Cut);
                };
                let (worker, peer) = (&context.worker, context.peer);
                let send = async |own| call(Rc::clone(worker), peer, own).await;
                let moved = Box::pin(move_session(worker, session, head, send)).await;
                moved.map_or_else(Step::Failed, |()| Step::Prepare(None))
            }
            Stage::Received => Step::Prepare(None),
            Stage::Failed(..) => request.failed(),
        }
    }
}

/// Gives a request that failed another chance, if there is one and it may; otherwise its end.
async fn recover_or_fail<C: ClientBody, R: Responder>(
    request: &mut Request,
    meta: &RequestMeta,
    error: ProxyError,
    may_recover: bool,
    (client, responder): (&mut C, &mut R),
) -> Option<RequestEnd> {
    let step = if may_recover {
        recover(request, meta, error, client).await
    } else {
        Step::Failed(error)
    };
    match step {
        Step::Prepare(_) => None,
        Step::Finished(end) => Some(end),
        Step::Failed(error) => Some(fail(request, meta, error, responder).await),
    }
}

/// Lets the fallback of the route answer a request that failed, or waits for a release that starts.
async fn recover<C: ClientBody>(
    request: &mut Request,
    meta: &RequestMeta,
    error: ProxyError,
    client: &mut C,
) -> Step {
    if request.context.falls_back(&error) {
        request.fall_back(&error);
        return Step::Prepare(None);
    }
    if !matches!(error, ProxyError::NoEndpoint) {
        return Step::Failed(error);
    }
    match wait_for_start(&mut request.context, meta, client).await {
        Ok(true) => Step::Prepare(None),
        Ok(false) => Step::Failed(error),
        Err(aborted) => request.abort(aborted),
    }
}

/// Sends a request of our own as if it came from `peer`, and returns the whole response. It may name its release itself.
///
/// The future is a trait object, since the request that waits for it is of the same kind.
fn call(
    worker: Rc<Worker>,
    peer: PeerInfo,
    own: InternalRequest,
) -> Pin<Box<dyn Future<Output = Result<InternalResponse, InternalError>>>> {
    Box::pin(async move {
        let limits = &worker.shared.settings.message;
        let start = |parts: &RequestParts<'_>| {
            let peer = PeerInfo {
                is_own: true,
                ..peer
            };
            let request = Request::start(&worker, (peer, true), parts);
            (request, parts.meta())
        };
        let (mut request, meta) = validate(&own.head, limits, start)?;
        let buffer = worker.buffers.copy_exact(&own.head);
        let mut head = Some(Http1Head::new(buffer, 0..own.head.len(), limits));
        let mut body = InternalBody(own.body);
        let mut recorder = Recorder::new(own.most);
        match serve(&mut request, &meta, &mut head, &mut body, &mut recorder).await {
            RequestEnd::Whole => Ok(recorder.response),
            RequestEnd::Cut | RequestEnd::Upgraded(_) => Err(InternalError::Incomplete),
        }
    })
}

/// Responds with a problem in place of an endpoint.
async fn fail<R: Responder>(
    request: &mut Request,
    meta: &RequestMeta,
    error: ProxyError,
    responder: &mut R,
) -> RequestEnd {
    let context = &mut request.context;
    context.refuse(&error);
    let is_nearly_read = meta.is_nearly_read(context.bytes_in.get());
    respond_problem(context, *meta, &error, is_nearly_read, responder).await
}

impl Request {
    /// Admits a request and prepares it, in one synchronous section.
    pub(super) fn start(
        worker: &Rc<Worker>,
        (peer, preview): (PeerInfo, bool),
        parts: &RequestParts<'_>,
    ) -> Self {
        let mut request = Self::received(worker, (peer, preview), parts);
        request.prepare_first(parts);
        request
    }

    /// Does the same in the place where the request stays: it is too large to be moved often.
    pub(super) fn start_in(
        place: &mut Option<Self>,
        worker: &Rc<Worker>,
        from: (PeerInfo, bool),
        parts: &RequestParts<'_>,
    ) {
        let request = place.insert(Self::received(worker, from, parts));
        request.prepare_first(parts);
    }

    #[inline]
    fn received(
        worker: &Rc<Worker>,
        (peer, preview): (PeerInfo, bool),
        parts: &RequestParts<'_>,
    ) -> Self {
        Self {
            context: RequestContext::new(worker, peer, preview, parts),
            stage: Stage::Received,
        }
    }

    #[inline]
    fn prepare_first(&mut self, parts: &RequestParts<'_>) {
        self.stage = match self.context.admit(parts) {
            Ok(()) => prepare(&mut self.context, (None, None), parts),
            Err(error) => Stage::Failed(error, None),
        };
    }

    fn prepare<H: RequestHead>(&mut self, dialed: Option<Connected>, head: &H) {
        let selected = std::mem::take(&mut self.stage).into_selected();
        let context = &mut self.context;
        if let Some(guarded) = context.guarded.get()
            && !selected
                .as_ref()
                .is_some_and(|selected| context.keeps(selected))
        {
            guarded.reset();
        }
        self.stage = head.look(|parts| prepare(context, (selected, dialed), parts));
    }

    /// Gives up the release that could not answer: the next selection is the fallback of the route.
    fn fall_back(&mut self, error: &ProxyError) {
        self.context.fall_back(error);
        self.stage = Stage::default();
    }

    fn after_http1(&mut self, sent: http1_upstream::Sent) -> Step {
        let http1_upstream::Sent {
            attempted,
            reusable,
            received,
        } = sent;
        if !matches!(attempted, Attempted::Upgraded) {
            self.end_connection(reusable.as_ref());
            return Step::of(attempted);
        }
        match std::mem::take(&mut self.stage) {
            Stage::Http1(selected, encoded) => Step::upgraded(
                selected,
                UpgradedEndpoint::Socket {
                    connection: encoded.connection,
                    received,
                },
            ),
            _ => Step::Finished(RequestEnd::Cut),
        }
    }

    fn after_http2(&mut self, sent: http2::Sent) -> Step {
        let Some(handle) = sent
            .handle
            .filter(|_| matches!(sent.attempted, Attempted::Upgraded))
        else {
            self.end_connection(None);
            return Step::of(sent.attempted);
        };
        match std::mem::take(&mut self.stage) {
            Stage::Http2(selected, start) => Step::upgraded(
                selected,
                UpgradedEndpoint::Stream {
                    handle,
                    stream: start.stream,
                },
            ),
            _ => Step::Finished(RequestEnd::Cut),
        }
    }

    /// Gives the endpoint's connection back to its pool, or closes it: it does not wait for a client that is slow to close.
    fn end_connection(&mut self, reusable: Option<&Reusable>) {
        let connected = self.stage.take_connection();
        if let (Some(Connected::Http1(connection)), Some(reusable)) = (connected, reusable) {
            let worker = &self.context.worker;
            // The clock was read when the response began or was last waited for; that long ago makes the wait shorter only.
            let longest = worker.shared.settings.timeouts.endpoint_idle.0;
            let now_ms = worker.cached_now_ms();
            worker
                .pools
                .give_back(connection, reusable, longest, now_ms);
        }
    }

    fn abort(&mut self, aborted: WaitAborted) -> Step {
        match aborted {
            WaitAborted::Error(error) => Step::Failed(error),
            WaitAborted::Client => {
                self.context.end(Outcome::ClientGone(None));
                Step::Finished(RequestEnd::Cut)
            }
        }
    }

    fn failed(&mut self) -> Step {
        match std::mem::take(&mut self.stage) {
            Stage::Failed(error, selected) => {
                self.stage = selected.map_or_else(Stage::default, Stage::Selected);
                Step::Failed(error)
            }
            stage => {
                self.stage = stage;
                Step::Prepare(None)
            }
        }
    }
}

impl Step {
    fn of(attempted: Attempted) -> Self {
        match attempted {
            Attempted::Finished(end) => Self::Finished(end),
            Attempted::Retry => Self::Prepare(None),
            Attempted::Unanswered(error) => Self::Failed(error),
            Attempted::Upgraded => Self::Finished(RequestEnd::Cut),
        }
    }

    fn upgraded(selected: Selected, endpoint: UpgradedEndpoint) -> Self {
        Self::Finished(RequestEnd::Upgraded(Box::new(Upgraded {
            selected,
            endpoint,
        })))
    }
}
