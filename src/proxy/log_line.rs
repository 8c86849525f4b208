//! The line of a request in the access log.

use crate::model::{AttemptFailure, Outcome, OutcomeClass};
use crate::net::Tick;
use crate::telemetry::AccessRecord;

use super::error_reason::ErrorReason;
use super::log_fields::LogFields;
use super::request_context::RequestContext;
use super::select::Decision;

impl RequestContext {
    /// Writes the line, unless it is one of the successes that are left out.
    pub(super) fn write_log(
        &self,
        fields: &LogFields,
        outcome: Outcome,
        is_refused: bool,
        ended: Tick,
    ) {
        let is_answer = self.error.is_some_and(ErrorReason::is_answer);
        let is_refused = is_refused && !is_answer;
        let is_success = !is_refused && outcome.class() == OutcomeClass::Success;
        let log = self.worker.access_log.borrow();
        if !log.is_on() || is_success && !log.takes_success(self.worker.random()) {
            return;
        }
        drop(log);
        let [referer, user_agent] = fields.agent.as_ref().map_or([None, None], |agent| {
            agent.each_ref().map(|text| text.as_deref())
        });
        let decision = self.decision();
        let release = decision.map(Decision::release);
        self.worker.access_log.borrow_mut().write(&AccessRecord {
            time: fields.started_at,
            request_id: &self.id.to_string(),
            client: self.peer.client.ip(),
            protocol: fields.protocol,
            method: &fields.method,
            host: &fields.host,
            path: &fields.path,
            status: self.status.get().unwrap_or(outcome.code()),
            outcome: if is_refused {
                "refused"
            } else {
                outcome.class().as_str()
            },
            error: self.error.map(ErrorReason::as_str),
            field: None,
            route: self.route().map(|route| route.spec().name.as_str()),
            release: release.map(|release| release.name().as_str()),
            version: release.map(|release| release.version().as_str()),
            endpoint: self.endpoint,
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
            referer,
            user_agent,
        });
    }
}
