//! Metrics of drills.

use metrics::{counter, gauge};

use super::drill_record::DrillRecord;
use crate::{model::RouteName, telemetry::names};

/// Counts a drill that has ended, and sets what is known of its routes.
pub(super) fn count_end(record: &DrillRecord, routes: &[RouteName]) {
    let drill = &record.drill;
    let (level, state) = (drill.level.as_str(), drill.state.as_str());
    counter!(names::DRILLS_ENDED.0, "level" => level, "state" => state).increment(1);
    let ended_at = drill.ended_at.map_or(0, |at| at.0);
    for route in routes {
        set(route, drill.passed, ended_at);
    }
}

/// Sets the outcome and the time of the last drill of a route.
#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, and times are good to the millisecond"
)]
pub(super) fn set(route: &RouteName, passed: bool, ended_at_micros: u64) {
    let label = [("route", route.to_string())];
    gauge!(names::DRILL_PASSED.0, &label).set(f64::from(u8::from(passed)));
    let seconds = ended_at_micros as f64 / 1_000_000.0;
    gauge!(names::DRILL_TIMESTAMP.0, &label).set(seconds);
}
