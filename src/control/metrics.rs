//! What the control plane counts.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use super::Controller;
use crate::{model::Cause, telemetry::names};

/// Counters of swaps and convergence.
#[derive(Debug, Default)]
pub(super) struct Metrics;

#[expect(
    clippy::unused_self,
    reason = "the recorder is the process's own, the place is the controller's"
)]
impl Metrics {
    pub(super) fn swapped(&self, cause: &Cause, took: Duration) {
        counter!(names::SWAPS.0, "cause" => cause.as_str()).increment(1);
        histogram!(names::SWAP_SECONDS.0).record(took.as_secs_f64());
    }

    pub(super) fn converged(&self, took: Duration) {
        histogram!(names::CONVERGENCE_SECONDS.0).record(took.as_secs_f64());
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, and revisions are counted, not measured"
)]
impl Controller {
    /// Sets the gauges to what is so now.
    pub(super) fn observe(&self) {
        let progress = self.history.progress();
        let (durable, errors) = {
            let progress = progress.borrow();
            (progress.durable(), progress.errors)
        };
        counter!(names::HISTORY_ERRORS.0).absolute(errors);
        gauge!(names::HISTORY_PENDING.0).set(self.history.standing().pending as f64);
        gauge!(names::HISTORY_DURABLE_REVISION.0).set(durable.0 as f64);
        let ready = self.rollback_ready();
        gauge!(names::ROLLBACK_READY.0).set(f64::from(u8::from(ready)));
    }

    /// Sets the gauge of drift. It looks at every entry of the table, so no change waits for it.
    pub(super) fn observe_drift(&self) {
        gauge!(names::DRIFT.0).set(f64::from(u8::from(self.drift().drifted)));
    }
}
