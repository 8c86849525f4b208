//! A request in the statistics of its release.

use std::time::Duration;

use super::{request_context::RequestContext, select::Decision};
use crate::{
    model::{DecisionReason, Outcome},
    net::Tick,
    stats::{BadUnit, Halves, OutcomeTable},
};

impl RequestContext {
    /// Records the request in the statistics of its release.
    #[inline]
    pub(super) fn record(&self, decision: &Decision, outcome: Outcome, ended: Tick) {
        let (cells, slot) = (decision.cells(), self.worker.slot);
        match decision.reason {
            DecisionReason::Split => {}
            DecisionReason::Override => return cells.record_override(slot, outcome),
            reason => cells.record_decision(slot, reason, self.session.get().is_lost),
        }
        let first_byte = self.first_byte.get().map(|at| at.since(self.started));
        let duration = ended.since(self.started);
        cells.record(slot, outcome, duration, first_byte);
        if cells.notes(outcome, duration, first_byte) {
            self.note_bad(cells, decision, outcome, duration);
        }
        if let Some(halves) = decision.halves() {
            self.record_half(halves, decision, (outcome, duration));
        }
        cells.record_bytes(slot, self.bytes_in.get(), self.bytes_out.get());
        if let Some(flags) = decision.route.flags() {
            for cells in flags.cells(decision.flags) {
                cells.record(slot, outcome, duration, first_byte);
            }
        }
    }

    /// Notes a bad request with its session, for who looks at these counters.
    #[cold]
    #[inline(never)]
    pub(super) fn note_bad(
        &self,
        cells: &OutcomeTable,
        decision: &Decision,
        outcome: Outcome,
        duration: Duration,
    ) {
        cells.note(BadUnit {
            unit: self.unit(decision),
            outcome,
            duration,
            first_byte: self.first_byte.get().map(|at| at.since(self.started)),
        });
    }

    /// Records the request in its half of the release's requests.
    #[inline(never)]
    pub(super) fn record_half(
        &self,
        halves: &Halves,
        decision: &Decision,
        (outcome, duration): (Outcome, Duration),
    ) {
        let first_byte = self.first_byte.get().map(|at| at.since(self.started));
        let cells = halves.of(self.unit(decision));
        cells.record(self.worker.slot, outcome, duration, first_byte);
        if cells.notes(outcome, duration, first_byte) {
            self.note_bad(cells, decision, outcome, duration);
        }
    }

    /// Hash of its session; of a request without one it is random.
    fn unit(&self, decision: &Decision) -> u64 {
        let has_sessions = decision.route.has_sessions();
        let session = self.session.get().key().filter(|_| has_sessions);
        session.unwrap_or(self.random_key)
    }
}
