//! One request from its head to its last byte: what was selected for it, what is counted for it, how it ended.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::SystemTime;

use tokio::time::Instant;

use crate::fleet::QueueSlot;
use crate::message::{KnownField, Version};
use crate::model::{AttemptFailure, Outcome, RequestView};
use crate::net::Tick;
use crate::telemetry::AccessRecord;

use super::connect::Connected;
use super::error::{ErrorChain, ProxyError, Reason, UpstreamError};
use super::forward::{RequestId, hops_left, traced};
use super::io::{RequestMeta, RequestParts};
use super::retry::{Attempts, Evidence, FailedAttempt};
use super::retry_body::RetryBody;
use super::select::{Decision, Selection};
use super::settings::PeerInfo;
use super::worker::{RequestPermit, Worker};

/// A request that is being served. What is counted for it is counted until it is dropped.
pub(super) struct RequestContext {
    pub(super) worker: Rc<Worker>,
    pub(super) peer: PeerInfo,
    pub(super) preview: bool,
    pub(super) id: RequestId,
    pub(super) selection: Option<Selection>,
    /// What was decided where nothing could be selected: its release is named as if it had answered.
    pub(super) unselected: Option<Box<Decision>>,
    /// A connection that was dialed for this request and carries it unless the table changed meanwhile.
    pub(super) dialed: Option<Box<Connected>>,
    /// The attempts so far, once one has failed.
    pub(super) attempts: Option<Box<Attempts>>,
    /// What was read of the body, in case that an attempt fails.
    pub(super) body: RetryBody,
    /// Its seat in the queue of a release.
    pub(super) waiting: Option<Box<QueueSlot>>,
    /// When the time for connecting is over, all endpoints together.
    pub(super) connect_deadline: Option<Instant>,
    /// What it is split by without an affinity key.
    pub(super) random: u64,
    /// It has let the others have their turn before it was committed.
    pub(super) has_yielded: bool,
    pub(super) started: Tick,
    pub(super) first_byte: Cell<Option<Tick>>,
    pub(super) bytes_in: Cell<u64>,
    pub(super) bytes_out: Cell<u64>,
    /// The status of the final head, once the client was sent one.
    pub(super) status: Cell<Option<u16>>,
    /// Why we answered it ourselves, or why its answer was cut.
    error: Option<Reason>,
    /// We answered it ourselves.
    is_refused: bool,
    outcome: Option<Outcome>,
    line: Option<Box<AccessLogFields>>,
    // Counts it among all requests.
    permit: Option<RequestPermit>,
}

/// What the access log wants of the head.
struct AccessLogFields {
    started_at: SystemTime,
    protocol: &'static str,
    method: String,
    host: String,
    path: String,
}

impl RequestContext {
    /// Starts the books of a request.
    pub(super) fn new(
        worker: &Rc<Worker>,
        peer: PeerInfo,
        preview: bool,
        parts: &RequestParts<'_>,
    ) -> Self {
        let line = worker.access_log.borrow().is_on().then(|| {
            Box::new(AccessLogFields {
                started_at: SystemTime::now(),
                protocol: protocol(parts.facts.version),
                method: parts.method().to_owned(),
                host: parts.host().to_owned(),
                path: parts.path().to_owned(),
            })
        });
        Self {
            peer,
            preview,
            id: RequestId::of(parts, peer.is_trusted, || {
                (worker.random(), worker.random())
            }),
            selection: None,
            unselected: None,
            dialed: None,
            attempts: None,
            body: RetryBody::default(),
            waiting: None,
            connect_deadline: None,
            random: worker.random(),
            has_yielded: false,
            started: worker.timers.now(),
            first_byte: Cell::new(None),
            bytes_in: Cell::new(0),
            bytes_out: Cell::new(0),
            status: Cell::new(None),
            error: None,
            is_refused: false,
            outcome: None,
            line,
            permit: None,
            worker: Rc::clone(worker),
        }
    }

    /// What every request must pass before anything is selected for it.
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
        self.permit = Some(
            self.worker
                .acquire_request()
                .ok_or(ProxyError::Overloaded)?,
        );
        Ok(())
    }

    /// Notes that we answer ourselves, and logs why.
    pub(super) fn refuse(&mut self, error: &ProxyError) {
        let reason = error.reason();
        self.error = Some(reason);
        self.is_refused = true;
        reason.count();
        let decision = self.decision();
        tracing::debug!(
            request_id = %self.id,
            reason = reason.as_str(),
            fault = ?error.fault(),
            release = decision.map(|decision| decision.release().name().as_str()),
            endpoint = self.endpoint().map(|endpoint| endpoint.to_string()),
            error = %ErrorChain(error),
            "request refused",
        );
        if error.fault() == crate::model::Fault::Upstream
            || error.is_want_of_release() && decision.is_some()
        {
            self.outcome = Some(Outcome::Failed(error.status()));
        }
    }

    /// Notes why an answer that had begun to leave was cut.
    pub(super) fn cut(&mut self, error: &ProxyError) {
        self.error = Some(error.reason());
        tracing::debug!(request_id = %self.id, error = %ErrorChain(error), "answer cut");
    }

    /// Counts an attempt that brought no answer against the release that it was made for.
    pub(super) fn count_failed_attempt(
        &mut self,
        failure: AttemptFailure,
        error: &dyn std::error::Error,
    ) {
        let attempts = self.attempts.get_or_insert_default();
        attempts.failed += 1;
        attempts.last = Some(failure);
        let Some(decision) = self.decision() else {
            return;
        };
        decision
            .cells()
            .record_failed_attempt(self.worker.slot, failure);
        tracing::debug!(
            request_id = %self.id,
            reason = failure.as_str(),
            release = decision.release().name().as_str(),
            endpoint = self.endpoint().map(|endpoint| endpoint.to_string()),
            error = %ErrorChain(error),
            "attempt failed",
        );
    }

    /// Does so for one that may have been sent, and says whether it is sent again.
    pub(super) fn attempt_failed(
        &mut self,
        error: &UpstreamError,
        evidence: Evidence,
        meta: &RequestMeta,
    ) -> bool {
        self.count_failed_attempt(error.failure(), error);
        let (Some(attempts), Some(selection)) = (&mut self.attempts, &self.selection) else {
            return false;
        };
        let now = Instant::now();
        let settings = &self.worker.shared.settings;
        let connect = || {
            now + settings
                .for_route(&selection.route().spec().timeouts)
                .connect
        };
        let until = match (attempts.newer_than, self.connect_deadline) {
            (Some(_), Some(until)) => until,
            // The time for connecting begins with the first failure.
            _ => connect(),
        };
        self.connect_deadline = Some(until);
        let failed = FailedAttempt {
            evidence,
            is_idempotent: meta.is_idempotent,
            holds_body: self.body.is_whole(),
            attempts: attempts.failed,
            is_in_time: now < until,
        };
        let again = failed.may_be_repeated();
        if again {
            attempts.repeat(evidence, self.worker.http2.opened());
        }
        again
    }

    /// The release that was decided on last, whether or not it could answer.
    pub(super) fn decision(&self) -> Option<&Decision> {
        let selected = self.selection.as_ref().map(|selection| &selection.decision);
        selected.or(self.unselected.as_deref())
    }

    fn endpoint(&self) -> Option<SocketAddr> {
        let selection = self.selection.as_ref()?;
        Some(selection.in_flight.endpoint().address())
    }

    /// Whether its release left so long ago that it is to end.
    pub(super) fn is_ended(&self) -> bool {
        let selection = self.selection.as_ref();
        selection.is_some_and(|selection| selection.in_flight.is_aborted())
    }

    /// Notes that we end it because its release left: no fault of anybody.
    pub(super) fn release_drained(&mut self) {
        let status = self.status.get().unwrap_or(503);
        self.refuse(&ProxyError::ReleaseRemoved);
        self.end(Outcome::Answered(status));
    }

    /// Whether what was selected stays: the table that it was selected from is still live, or it is bound to its release.
    pub(super) fn is_current(&self) -> bool {
        self.selection.as_ref().is_some_and(|selection| {
            selection.decision.revision == self.worker.revision() || self.is_bound()
        })
    }

    /// Whether an endpoint of its release may have seen a byte of it.
    pub(super) fn is_bound(&self) -> bool {
        let attempts = self.attempts.as_ref();
        attempts.is_some_and(|attempts| attempts.is_bound)
    }

    /// How many attempts there were; an answer, and what was still on its way, comes on top of those that failed.
    fn attempts(&self) -> u32 {
        let failed = self.attempts.as_ref().map_or(0, |attempts| attempts.failed);
        let is_last_failed = matches!(self.outcome, Some(Outcome::Failed(_)));
        failed.saturating_add(u32::from(!is_last_failed && self.selection.is_some()))
    }

    /// Says how it ended. Without that, it ends as a client that left.
    pub(super) fn end(&mut self, outcome: Outcome) {
        self.outcome.get_or_insert(outcome);
    }

    fn write_line(&self, line: &AccessLogFields, outcome: Outcome, is_refused: bool, ended: Tick) {
        let decision = self.decision();
        let release = decision.map(Decision::release);
        self.worker.access_log.borrow_mut().write(&AccessRecord {
            time: line.started_at,
            request_id: &self.id.to_string(),
            client: self.peer.client.ip(),
            protocol: line.protocol,
            method: &line.method,
            host: &line.host,
            path: &line.path,
            status: self.status.get().unwrap_or(outcome.code()),
            outcome: if is_refused {
                "refused"
            } else {
                outcome.class().as_str()
            },
            error: self.error.map(Reason::as_str),
            field: None,
            route: decision.map(|decision| decision.route.spec().name.as_str()),
            release: release.map(|release| release.name().as_str()),
            version: release.map(|release| release.version().as_str()),
            endpoint: self.endpoint(),
            revision: decision
                .map_or_else(|| self.worker.revision(), |decision| decision.revision)
                .0,
            decision: decision.map(|decision| decision.reason.as_str()),
            attempts: self.attempts(),
            attempt_error: self
                .attempts
                .as_ref()
                .and_then(|attempts| attempts.last.map(AttemptFailure::as_str)),
            duration: ended.since(self.started),
            first_byte: self.first_byte.get().map(|at| at.since(self.started)),
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
        });
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
            let first_byte = self.first_byte.get().map(|at| at.since(self.started));
            let slot = self.worker.slot;
            decision
                .cells()
                .record(slot, outcome, ended.since(self.started), first_byte);
            decision
                .cells()
                .record_bytes(slot, self.bytes_in.get(), self.bytes_out.get());
        }
        if let Some(line) = self.line.take() {
            self.write_line(&line, outcome, is_refused, ended);
        }
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
        Version::Http2 => "HTTP/2",
    }
}

/// Whether our own name stands in `Via` already.
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
