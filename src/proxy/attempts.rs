//! Failed attempts of a request: what they count as, and if the request is sent again, or to the fallback of its route.

use tokio::time::Instant;

use crate::model::{AttemptFailure, DecisionReason, Outcome};
use crate::telemetry::ErrorChain;

use super::error::{ProxyError, UpstreamError};
use super::io::RequestMeta;
use super::request_context::RequestContext;
use super::retry::{Attempts, Evidence, FailedAttempt};
use super::select::{Decision, Selected};

impl RequestContext {
    /// Counts an attempt that brought no response against the release that it was made for.
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
        if decision.reason != DecisionReason::Override {
            let cells = decision.cells();
            cells.record_failed_attempt(self.worker.slot, failure);
        }
        tracing::debug!(
            request_id = %self.id,
            reason = failure.as_str(),
            release = decision.release().name().as_str(),
            endpoint = self.endpoint.map(|endpoint| endpoint.to_string()),
            error = %ErrorChain(error),
            "attempt failed",
        );
    }

    /// Counts an attempt that may have been sent; true if the request is sent again.
    pub(super) fn attempt_failed(
        &mut self,
        selected: &Selected,
        error: &UpstreamError,
        evidence: Evidence,
        meta: &RequestMeta,
    ) -> bool {
        self.count_failed_attempt(error.failure(), error);
        let settings = &self.worker.shared.settings;
        let timeouts = settings.for_route(&selected.route().spec().timeouts);
        let attempts = self.attempts.get_or_insert_default();
        if attempts.newer_than.is_none() || self.connect_deadline.is_none() {
            // The time for connecting begins with the first failure.
            self.connect_deadline = Some(Instant::now() + timeouts.connect);
        }
        let made = attempts.failed;
        let failed = self.failed_attempt((selected, evidence), meta, made);
        let again = failed.may_be_repeated() && self.grants(selected, evidence);
        let attempts = self.attempts.get_or_insert_default();
        attempts.is_final = !failed.is_safe();
        if again {
            let is_pinned = selected.decision.reason == DecisionReason::Pin;
            if matches!(evidence, Evidence::Answered | Evidence::TimedOut) && !is_pinned {
                attempts.avoid(selected.in_flight.endpoint().address());
            }
            attempts.repeat(evidence, self.worker.http2.opened());
        }
        again
    }

    /// The attempt that failed last, as the retry policy judges it; `attempts` were made.
    fn failed_attempt(
        &self,
        (selected, evidence): (&Selected, Evidence),
        meta: &RequestMeta,
        attempts: u32,
    ) -> FailedAttempt {
        let policy = selected.route().retries();
        let is_in_time = |until| Instant::now() < until;
        FailedAttempt {
            evidence,
            is_idempotent: meta.may_be_repeated(policy),
            holds_body: self.body.is_whole(),
            attempts,
            most: policy.attempts(),
            is_in_time: self.connect_deadline.is_none_or(is_in_time),
        }
    }

    /// Takes a retry from the budget of the release. What was provably not processed takes none: it multiplies no work.
    /// For a status, it was taken before the response was given up.
    fn grants(&self, selected: &Selected, evidence: Evidence) -> bool {
        let (cells, slot) = (selected.decision.cells(), self.worker.slot);
        match evidence {
            Evidence::NotSent | Evidence::Refused => cells.record_retry(slot),
            // Taken before the response was given up.
            Evidence::Answered if !self.may_fall_back() => {}
            _ => return cells.take_retry(slot, self.worker.now_ms()),
        }
        true
    }

    /// True if the response with this status is given up, because the request is sent again or goes to the fallback.
    #[cold]
    pub(super) fn gives_up(&self, selected: &Selected, status: u16, meta: &RequestMeta) -> bool {
        if !selected.route().retries().repeats(status) {
            return false;
        }
        let before = self.attempts.as_ref().map_or(0, |attempts| attempts.failed);
        let failed = self.failed_attempt((selected, Evidence::Answered), meta, before + 1);
        if !failed.is_safe() {
            return false;
        }
        // A session lives at the endpoint that responds.
        let is_pinned = selected.decision.reason == DecisionReason::Pin;
        let (cells, slot) = (selected.decision.cells(), self.worker.slot);
        self.may_fall_back()
            || !is_pinned
                && failed.may_be_repeated()
                && cells.take_retry(slot, self.worker.now_ms())
    }

    /// True if the release that was decided on may be replaced by the fallback of its route. A request that names its
    /// release, or is pinned to it, stays.
    pub(super) fn may_fall_back(&self) -> bool {
        let falls_back = |decision: &Decision| {
            decision.reason == DecisionReason::Split && decision.fallback().is_some()
        };
        !self.has_fallen_back && self.decision().is_some_and(falls_back)
    }

    /// True if an endpoint may have executed the request, which is not idempotent: it must not be sent again by its client
    /// either.
    pub(super) fn may_be_done(&self, meta: &RequestMeta) -> bool {
        let is_final = |attempts: &Attempts| attempts.is_final;
        let is_safe = |decision: &Decision| meta.may_be_repeated(decision.route.retries());
        self.attempts.as_deref().is_some_and(is_final) && !self.decision().is_some_and(is_safe)
    }

    /// True if the request, which failed by this error, is safe to send to the fallback of its route.
    pub(super) fn falls_back(&self, error: &ProxyError) -> bool {
        let is_final = |attempts: &Attempts| attempts.is_final;
        (error.is_want_of_release() || matches!(error, ProxyError::Upstream(_)))
            && self.may_fall_back()
            && self.body.is_whole()
            && !self.attempts.as_deref().is_some_and(is_final)
    }

    /// Counts the failure of the release that was decided on, and lets the fallback of its route answer.
    pub(super) fn fall_back(&mut self, error: &ProxyError) {
        let Some((decision, to)) = self.decision().and_then(|one| Some((one, one.fallback()?)))
        else {
            return;
        };
        let duration = self.worker.timers.now().since(self.started);
        let outcome = Outcome::Failed(error.status());
        let (cells, slot) = (decision.cells(), self.worker.slot);
        cells.record(slot, outcome, duration, None);
        if cells.notes(outcome, duration, None) {
            self.note_bad(cells, decision, outcome, duration);
        }
        if let Some(halves) = decision.halves() {
            self.record_half(halves, decision, (outcome, duration));
        }
        cells.record_fallback(slot);
        let route = decision.route.spec().name.as_str();
        let (from, to) = (decision.release().name().as_str(), to.name().as_str());
        let error = ErrorChain(error);
        tracing::debug!(request_id = %self.id, route, from, to, %error, "fallback");
        if let Some(attempts) = &mut self.attempts {
            attempts.fall_back();
        }
        self.connect_deadline = None;
        self.waiting = None;
        self.has_fallen_back = true;
    }
}
