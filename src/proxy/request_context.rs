//! The context of one request from its head to its last byte, and the record of its end: statistics and access log.

use std::cell::{Cell, OnceCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::fleet::McpStream;
use crate::message::KnownField;
use crate::model::Outcome;
use crate::net::{Deadline, Tick};
use crate::telemetry::ErrorChain;

use super::acme_challenge;
use super::body_form::Peeked;
use super::card_request::CardRequest;
use super::error::ProxyError;
use super::error_form::ErrorForm;
use super::error_reason::ErrorReason;
use super::forward::{RequestId, hops_left, traced};
use super::guarded::Guarded;
use super::io::{RequestMeta, RequestParts};
use super::log_fields::LogFields;
use super::mcp_start::SessionStart;
use super::mirror::Chosen;
use super::queue_position::QueuePosition;
use super::retry::Attempts;
use super::retry_body::RetryBody;
use super::route_cache::CachedRoute;
use super::select::{Decision, Selected};
use super::session::Session;
use super::settings::PeerInfo;
use super::span_context::SpanContext;
use super::taken_fields::TakenFields;
use super::work_class::Cut;
use super::worker::{RequestPermit, Worker};

/// The context of a request, whatever its stage. Dropping it records the request.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct RequestContext {
    pub(super) worker: Rc<Worker>,
    pub(super) peer: PeerInfo,
    pub(super) preview: bool,
    pub(super) id: RequestId,
    /// The release that was decided on last, whether or not it could respond.
    decision: Option<Decision>,
    /// The endpoint that was selected last.
    pub(super) endpoint: Option<SocketAddr>,
    /// The attempts so far, once one has failed.
    pub(super) attempts: Option<Box<Attempts>>,
    /// The body as far as it was read, in case that an attempt fails.
    pub(super) body: RetryBody,
    /// Its position in the queues of a release.
    pub(super) waiting: Option<Box<QueuePosition>>,
    /// It has moved its session.
    pub(super) has_moved: bool,
    /// The session that it may begin.
    pub(super) session_start: Option<Box<SessionStart>>,
    /// The stream of a session of MCP that it opens.
    pub(super) session_stream: Option<Box<McpStream>>,
    /// The card that it requests, if that is to be rewritten.
    pub(super) card: Option<Box<CardRequest>>,
    /// Its copy, if it was chosen to be mirrored.
    pub(super) mirrored: Option<Box<Chosen>>,
    /// Notes of the guards of its route, if that has any.
    pub(super) guarded: OnceCell<Box<Guarded>>,
    /// Deadline for connecting, all endpoints together.
    pub(super) connect_deadline: Option<Instant>,
    /// Random split key when there is no affinity key.
    pub(super) random_key: u64,
    /// The result of a look at its body, if the body was read before the decision.
    pub(super) peeked: Option<Box<Peeked>>,
    /// Its session as of the last decision. Valid only on a route with sessions.
    pub(super) session: Cell<Session>,
    /// It opens a session of MCP, on a route of such agents.
    pub(super) opens_session: bool,
    /// It has yielded once before it was committed.
    pub(super) has_yielded: bool,
    /// Its release could not answer: it goes to the fallback of its route.
    pub(super) has_fallen_back: bool,
    /// The last attempt has sent the whole request: what fails from then on is not for want of the client's body.
    pub(super) request_is_read: Cell<bool>,
    pub(super) started: Tick,
    pub(super) first_byte: Cell<Option<Tick>>,
    pub(super) bytes_in: Cell<u64>,
    pub(super) bytes_out: Cell<u64>,
    /// The status of the final head, once the client was sent one.
    pub(super) status: Cell<Option<u16>>,
    /// Reason of our own response, or of a response that was cut.
    pub(super) error: Option<ErrorReason>,
    /// Form of our own errors on its route.
    pub(super) error_form: ErrorForm,
    /// The id of the request, where the client speaks JSON-RPC.
    pub(super) rpc_id: OnceCell<Box<str>>,
    /// The response is ours.
    pub(super) is_refused: bool,
    outcome: Option<Outcome>,
    log_fields: Option<Box<LogFields>>,
    /// Its place in a trace, if it is recorded, or would be as a failure.
    pub(super) span: Option<Box<SpanContext>>,
    // Counts it among all requests.
    permit: Option<RequestPermit>,
}

impl RequestContext {
    /// The context of a request whose head is `parts`.
    pub(super) fn new(
        worker: &Rc<Worker>,
        peer: PeerInfo,
        preview: bool,
        parts: &RequestParts<'_>,
    ) -> Self {
        let id = RequestId::of(parts, peer.is_trusted, || {
            (worker.random(), worker.random())
        });
        let traces = worker.shared.settings.traces;
        let span =
            traces.and_then(|traces| SpanContext::begin(traces, parts, &id, || worker.random()));
        let (is_on, wants_agent) = {
            let log = worker.access_log.borrow();
            (log.is_on(), log.wants_agent())
        };
        let is_noted = is_on || span.is_some();
        let log_fields = is_noted.then(|| Box::new(LogFields::of(parts, wants_agent)));
        Self {
            peer,
            preview,
            id,
            decision: None,
            endpoint: None,
            attempts: None,
            body: RetryBody::default(),
            has_moved: false,
            session_start: None,
            session_stream: None,
            card: None,
            mirrored: None,
            guarded: OnceCell::new(),
            waiting: None,
            connect_deadline: None,
            random_key: worker.random(),
            peeked: None,
            session: Cell::default(),
            opens_session: false,
            has_yielded: false,
            has_fallen_back: false,
            request_is_read: Cell::new(false),
            started: worker.timers.now(),
            first_byte: Cell::new(None),
            bytes_in: Cell::new(0),
            bytes_out: Cell::new(0),
            status: Cell::new(None),
            error: None,
            error_form: ErrorForm::default(),
            rpc_id: OnceCell::new(),
            is_refused: false,
            outcome: None,
            log_fields,
            span,
            permit: None,
            worker: Rc::clone(worker),
        }
    }

    /// Checks every request before anything is selected for it, and counts it.
    ///
    /// # Errors
    /// A request that has been here before, that may not go further, or that is one too many.
    pub(super) fn admit(&mut self, parts: &RequestParts<'_>) -> Result<(), ProxyError> {
        if parts.facts.present.contains(KnownField::Via)
            && is_loop(parts, &self.worker.shared.settings.via)
        {
            let rejection = crate::message::Rejection::request(crate::message::Reason::Loop);
            return Err(ProxyError::Refused(rejection));
        }
        if parts.facts.present.contains(KnownField::MaxForwards) && hops_left(parts) == Some(0) {
            return Err(ProxyError::LastHop(traced(parts)));
        }
        acme_challenge::pass(&self.worker.shared.settings, self.peer, parts)?;
        self.permit = Some(
            self.worker
                .acquire_request()
                .ok_or(ProxyError::Overloaded)?,
        );
        Ok(())
    }

    /// Notes that the response is ours, and logs why.
    pub(super) fn refuse(&mut self, error: &ProxyError) {
        let reason = error.reason();
        self.error = Some(reason);
        self.is_refused = true;
        reason.count();
        let decision = self.decision();
        if let (ProxyError::ReleaseLeft(cut), Some(decision)) = (error, decision) {
            decision.cells().record_cut(cut.class.class, cut.cause);
        }
        tracing::debug!(
            request_id = %self.id,
            reason = reason.as_str(),
            fault = ?error.fault(),
            release = decision.map(|decision| decision.release().name().as_str()),
            endpoint = self.endpoint.map(|endpoint| endpoint.to_string()),
            error = %ErrorChain(error),
            "request refused",
        );
        if error.fault() == crate::model::Fault::Upstream
            || error.is_want_of_release() && decision.is_some()
        {
            self.outcome = Some(Outcome::Failed(error.status()));
        }
        if error.by_route().is_some() {
            self.outcome = Some(Outcome::Answered(error.status()));
        }
    }

    /// Notes why a response that had begun to leave was cut.
    pub(super) fn cut(&mut self, error: &ProxyError) {
        self.error = Some(error.reason());
        tracing::debug!(request_id = %self.id, error = %ErrorChain(error), "response truncated");
    }

    /// The release that was decided on last, whether or not it could respond.
    pub(super) fn decision(&self) -> Option<&Decision> {
        self.decision.as_ref()
    }

    /// Notes the route that gives the response itself, refuses the request or lets it wait.
    pub(super) fn answer_by(&mut self, route: Rc<CachedRoute>) {
        self.guarded.get_or_init(Box::default);
        if let Some(guarded) = self.guarded.get_mut() {
            guarded.answered_by = Some(route);
        }
    }

    /// The route of the release that was decided on, or else the one that answers.
    pub(super) fn route(&self) -> Option<&CachedRoute> {
        let decided = self.decision().map(|decision| &decision.route);
        let answering = || self.guarded.get()?.answered_by.as_ref();
        decided.or_else(answering).map(|route| &**route)
    }

    /// Notes the release that was decided on, and the endpoint if one was selected.
    pub(super) fn decide(&mut self, decision: Option<Decision>, endpoint: Option<SocketAddr>) {
        self.decision = decision;
        self.endpoint = endpoint;
    }

    /// Fields that are dropped from the trailers of the request: its route writes or removes them in the head.
    pub(super) fn taken_trailers(&self) -> TakenFields<'_> {
        let decision = self.decision();
        decision.map_or(TakenFields::None, |decision| {
            TakenFields::OfRequest(&decision.route)
        })
    }

    /// Deadline for the begin of the response, and true if it is that of this attempt, if its route has one.
    #[inline]
    pub(super) fn response_limit(&self) -> Option<Box<(Deadline, bool)>> {
        let spec = &self.decision()?.route.spec().timeouts;
        if spec.first_byte.is_none() && spec.per_try.is_none() {
            return None;
        }
        let waited = self.worker.timers.now().since(self.started);
        let left = spec.first_byte.map(|span| span.0.saturating_sub(waited));
        let of_try = spec.per_try.map_or(Duration::MAX, |span| span.0);
        let deadline = self.worker.timers.deadline();
        match left {
            Some(left) if left <= of_try => {
                deadline.set_from_now(left);
                Some(Box::new((deadline, false)))
            }
            _ => {
                deadline.set_from_now(of_try);
                Some(Box::new((deadline, true)))
            }
        }
    }

    /// Deadline for the whole request, if it has one.
    pub(super) fn total_limit(&self, meta: &RequestMeta) -> Option<Deadline> {
        let settings = &self.worker.shared.settings;
        let timeouts = settings.for_route(&self.decision()?.route.spec().timeouts);
        let limit = timeouts.request.into_iter().chain(meta.within).min()?;
        let deadline = self.worker.timers.deadline();
        deadline.set_from(self.started, limit);
        Some(deadline)
    }

    /// Notes that we end it because its release left or the process ends: no fault of either side.
    pub(super) fn release_left(&mut self, cut: Cut) {
        let status = self.status.get().unwrap_or(503);
        self.refuse(&ProxyError::ReleaseLeft(cut));
        self.end(Outcome::Answered(status));
    }

    /// True if a selection stays: its table is still live, or the request is bound to its release.
    pub(super) fn keeps(&self, selected: &Selected) -> bool {
        selected.decision.revision == self.worker.revision() || self.is_bound()
    }

    /// True if an endpoint of its release may have seen a byte of it.
    pub(super) fn is_bound(&self) -> bool {
        let attempts = self.attempts.as_ref();
        attempts.is_some_and(|attempts| attempts.is_bound)
    }

    /// Number of attempts: those that failed, and one that brought a response or was still under way.
    pub(super) fn attempts(&self) -> u32 {
        let all = |attempts: &Attempts| attempts.before_fallback + attempts.failed;
        let failed = self.attempts.as_deref().map_or(0, all);
        let is_last_failed = matches!(self.outcome, Some(Outcome::Failed(_)));
        failed.saturating_add(u32::from(!is_last_failed && self.endpoint.is_some()))
    }

    /// Status by which the response is judged: that of its head, or of gRPC behind its body.
    pub(super) fn final_status(&self) -> u16 {
        let of_head = || self.status.get().unwrap_or_default();
        self.outcome.map_or_else(of_head, Outcome::code)
    }

    /// Sets the outcome, unless there is one. Without any, the client has left.
    pub(super) fn end(&mut self, outcome: Outcome) {
        self.outcome.get_or_insert(outcome);
    }
}

impl Drop for RequestContext {
    fn drop(&mut self) {
        let ended = self.worker.timers.now();
        let outcome = self
            .outcome
            .unwrap_or(Outcome::ClientGone(self.status.get()));
        let is_refused = self.is_refused && !matches!(outcome, Outcome::Failed(_));
        if let Some(decision) = self.decision()
            && !is_refused
        {
            self.record(decision, outcome, ended);
        }
        if let Some(fields) = self.log_fields.take() {
            self.write_log(&fields, outcome, is_refused, ended);
            if let Some(span) = self.span.take() {
                self.write_span(*span, *fields, outcome, ended);
            }
        }
        if let Some(chosen) = self.mirrored.take() {
            self.finish_mirrored(*chosen, outcome, ended.since(self.started));
        }
    }
}

/// True if our own name is in `Via` already.
fn is_loop(parts: &RequestParts<'_>, own: &str) -> bool {
    let fields = parts
        .fields
        .clone()
        .filter(|field| field.known == KnownField::Via);
    fields
        .flat_map(|field| field.value.split(|&byte| byte == b','))
        .any(|hop| {
            let mut words = hop
                .split(|&byte| byte == b' ' || byte == b'\t')
                .filter(|word| !word.is_empty());
            words
                .nth(1)
                .is_some_and(|by| by.eq_ignore_ascii_case(own.as_bytes()))
        })
}
