//! Metrics of the control plane.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use super::revision_log::RevisionLog;
use crate::{model::Cause, telemetry::names};

pub(super) fn count_swap(cause: &Cause, took: Duration) {
    counter!(names::SWAPS.0, "cause" => cause.as_str()).increment(1);
    histogram!(names::SWAP_SECONDS.0).record(took.as_secs_f64());
}

pub(super) fn record_convergence(took: Duration) {
    histogram!(names::CONVERGENCE_SECONDS.0).record(took.as_secs_f64());
}

/// Sets the gauges of the history and of the rollback.
#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, and revisions are counted, not measured"
)]
pub(super) fn set_gauges(log: &RevisionLog, is_rollback_ready: bool) {
    let progress = log.history.progress();
    let (durable, errors) = {
        let progress = progress.borrow();
        (progress.durable(), progress.errors)
    };
    counter!(names::HISTORY_ERRORS.0).absolute(errors);
    gauge!(names::HISTORY_PENDING.0).set(log.history.standing().pending as f64);
    gauge!(names::HISTORY_DURABLE_REVISION.0).set(durable.0 as f64);
    gauge!(names::ROLLBACK_READY.0).set(f64::from(u8::from(is_rollback_ready)));
}

pub(super) fn set_drift(is_drifted: bool) {
    gauge!(names::DRIFT.0).set(f64::from(u8::from(is_drifted)));
}
