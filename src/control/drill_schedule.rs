//! The time of the next drill that begins by itself. Pure: times and random numbers are parameters.

use std::time::Duration;

/// Longest time until the first drill of a route after a start.
const LONGEST_FIRST: Duration = Duration::from_secs(300);
/// Longest time between two looks: a route may be new, or a rollout may have ended.
const LONGEST_LOOK: Duration = Duration::from_secs(60);

/// Time until the next drill of a route: its interval, up to a tenth more by `jitter` from 0 to 1. `age` is the time since
/// the last one has ended, if there was one, and `uptime` that since the start.
pub(super) fn due_in(
    age: Option<Duration>,
    uptime: Duration,
    every: Duration,
    jitter: f64,
) -> Duration {
    let spread = (every / 10).mul_f64(jitter.clamp(0.0, 1.0));
    match age {
        None => spread.min(LONGEST_FIRST).saturating_sub(uptime),
        Some(age) => (every + spread).saturating_sub(age),
    }
}

/// True if a route that is due in this time takes part in a drill that begins now: one revision rehearses the way back of
/// all of them.
pub(super) fn joins(due_in: Duration, every: Duration) -> bool {
    due_in <= every / 5
}

/// Time until the next look.
pub(super) fn look_in(next: Duration, every: Duration) -> Duration {
    let shortest = (every / 20).clamp(Duration::from_millis(50), LONGEST_LOOK);
    next.clamp(shortest, LONGEST_LOOK)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_route_is_due_an_interval_after_its_last_drill_and_soon_if_it_had_none() {
        assert_eq!(due_in(Some(HOUR), HOUR, DAY, 0.0), HOUR * 23);
        assert_eq!(due_in(Some(2 * DAY), HOUR, DAY, 1.0), Duration::ZERO);
        assert!(due_in(Some(Duration::ZERO), HOUR, DAY, 1.0) <= DAY + DAY / 10);
        assert_eq!(due_in(None, Duration::ZERO, DAY, 1.0), LONGEST_FIRST);
        assert_eq!(due_in(None, HOUR, DAY, 1.0), Duration::ZERO);
    }

    #[test]
    fn routes_that_are_due_soon_join_and_looks_are_neither_rare_nor_without_a_pause() {
        assert!(joins(HOUR, DAY) && !joins(DAY / 2, DAY));
        assert_eq!(look_in(DAY, DAY), LONGEST_LOOK);
        assert_eq!(
            look_in(Duration::ZERO, Duration::from_secs(1)),
            Duration::from_millis(50)
        );
    }
}
