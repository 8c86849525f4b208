//! Metrics of the control plane.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use super::{revision_log::RevisionLog, rollout_record, shared_state::SharedState};
use crate::{
    api::{FleetState, OfferOutcome, VerificationVerdict},
    model::{Cause, HookName},
    rollout::State,
    telemetry::names,
};

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
    let damaged = log.history.beside().damaged().len();
    gauge!(names::HISTORY_DAMAGED_FILES.0).set(damaged as f64);
    gauge!(names::ROLLBACK_READY.0).set(f64::from(u8::from(is_rollback_ready)));
}

/// Sets the gauges of a node of a fleet.
#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, and revisions are counted, not measured"
)]
pub(super) fn set_fleet(state: &SharedState) {
    let is_following = state.standing == FleetState::Following;
    gauge!(names::FLEET_FOLLOWING.0).set(f64::from(u8::from(is_following)));
    gauge!(names::FLEET_REVISION.0).set(state.taken_up as f64);
    gauge!(names::FLEET_DISPUTED.0).set(state.rollbacks.disputed().count() as f64);
    gauge!(names::FLEET_BLOCKED.0).set(f64::from(u8::from(state.blocked.is_some())));
    let contact = state.contact.map_or(0, |at| at.millis() / 1_000);
    gauge!(names::FLEET_CONTACT.0).set(contact as f64);
}

/// Counts an offer of rollbacks to another node, by what it does; `None` if it does not answer.
pub(super) fn count_offer(outcome: Option<OfferOutcome>) {
    let outcome = match outcome {
        Some(OfferOutcome::Taken) => "taken",
        Some(OfferOutcome::Known) => "known",
        Some(OfferOutcome::Refused) => "refused",
        None => "failed",
    };
    counter!(names::FLEET_OFFERS.0, "outcome" => outcome).increment(1);
}

/// Says whether this node leads its fleet.
pub(super) fn set_fleet_leader(leads: bool) {
    gauge!(names::FLEET_LEADER.0).set(f64::from(u8::from(leads)));
}

/// Sets the numbers of rollouts that run, by state.
pub(super) fn set_rollouts(states: impl Iterator<Item = State>) {
    let mut counts =
        [State::Planned, State::Running, State::Paused, State::Baking].map(|state| (state, 0_u32));
    for state in states {
        let mut found = counts.iter_mut();
        if let Some((_, count)) = found.find(|(other, _)| *other == state) {
            *count += 1;
        }
    }
    for (state, count) in counts {
        let name = rollout_record::state(state).as_str();
        gauge!(names::ROLLOUTS.0, "state" => name).set(f64::from(count));
    }
}

/// Sets the number of releases in quarantine.
#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, and there are a thousand at most"
)]
pub(super) fn set_quarantined(count: usize) {
    gauge!(names::QUARANTINED.0).set(count as f64);
}

pub(super) fn count_rollout_end(state: State) {
    let name = rollout_record::state(state).as_str();
    counter!(names::ROLLOUTS_ENDED.0, "state" => name).increment(1);
}

/// Counts a call of a hook by its outcome.
pub(super) fn count_hook(hook: &HookName, outcome: &'static str) {
    let labels = [("hook", hook.to_string()), ("outcome", outcome.to_owned())];
    counter!(names::HOOK_CALLS.0, &labels).increment(1);
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, and messages are counted in thousands"
)]
pub(super) fn set_hooks_owed(count: usize) {
    gauge!(names::HOOKS_OWED.0).set(count as f64);
}

pub(super) fn set_verifications(running: usize) {
    let running = u32::try_from(running).unwrap_or(u32::MAX);
    gauge!(names::VERIFICATIONS_RUNNING.0).set(f64::from(running));
}

/// Shows every verdict from the start: a counter that begins with 1 has not increased for Prometheus.
pub(super) fn show_verifications() {
    for verdict in VerificationVerdict::ALL {
        counter!(names::VERIFICATIONS.0, "verdict" => verdict.as_str()).increment(0);
    }
    set_verifications(0);
}

pub(super) fn count_verification(verdict: VerificationVerdict) {
    counter!(names::VERIFICATIONS.0, "verdict" => verdict.as_str()).increment(1);
}

pub(super) fn set_drift(is_drifted: bool) {
    gauge!(names::DRIFT.0).set(f64::from(u8::from(is_drifted)));
}

/// Sets the numbers of routes and releases that have key figures, and that found no room.
#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, and routes are counted in thousands"
)]
pub(super) fn set_kpi_series(series: usize, left_out: usize) {
    gauge!(names::KPI_SERIES.0).set(series as f64);
    gauge!(names::KPI_SERIES_LEFT_OUT.0).set(left_out as f64);
}

/// Counts an event.
pub(super) fn count_event() {
    counter!(names::EVENTS.0).increment(1);
}

/// Counts events that a client was too slow for.
pub(super) fn count_lost_events(lost: u64) {
    counter!(names::EVENTS_LOST.0).increment(lost);
}

/// Sets the number of clients that read events.
pub(super) fn set_event_clients(clients: usize) {
    gauge!(names::EVENT_CLIENTS.0).set(f64::from(u32::try_from(clients).unwrap_or(u32::MAX)));
}

/// Shows the counters of events from the start: a counter that begins with 1 has not increased for Prometheus.
pub(super) fn show_events() {
    counter!(names::EVENTS.0).increment(0);
    counter!(names::EVENTS_LOST.0).increment(0);
    set_event_clients(0);
}
