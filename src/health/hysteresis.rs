//! Rise and fall thresholds of health checks. No clock, no network.
//!
//! A healthy endpoint becomes unhealthy after `fall` failed checks in a row, and healthy again after `rise` successful
//! ones. The first check decides alone, so that a change that waits for it gets a result soon, and until the first
//! success one success is enough: there was no lost trust to regain. Others do the same. Envoy
//! (`HealthCheck.healthy_threshold`): "during startup, only a single successful health check is required to mark a
//! host healthy". `HAProxy` (`init-state up`, its default): one failed check takes a new server down.

use std::time::Duration;

use crate::fleet::Health;

/// Interval between the first two checks of an endpoint that was not healthy yet. It doubles with each check.
const FIRST_RETRY: Duration = Duration::from_millis(250);

/// Consecutive results, and the current health that follows from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hysteresis {
    health: Health,
    rise: u32,
    fall: u32,
    /// Results in a row that contradict `health`.
    against: u32,
    /// Failures of an endpoint that was never healthy; `None` once it was.
    unproven: Option<u32>,
}

// === impl Hysteresis ===

impl Hysteresis {
    /// Starts without results. A rise or fall of 0 counts as 1.
    pub(super) fn new(health: Health, rise: u32, fall: u32) -> Self {
        Self {
            health,
            rise: rise.max(1),
            fall: fall.max(1),
            against: 0,
            unproven: (health != Health::Healthy).then_some(0),
        }
    }

    /// Time until the next check. An endpoint that was never healthy is checked sooner at first: one that starts
    /// together with the proxy, or just before a change that waits for it, should not be missed for a whole interval.
    pub(super) fn pause(&self, interval: Duration) -> Duration {
        let doubled = |bad: u32| FIRST_RETRY.saturating_mul(1 << bad.saturating_sub(1).min(20));
        self.unproven
            .map_or(interval, |bad| interval.min(doubled(bad)))
    }

    /// Records a result; returns the new health if it changes.
    pub(super) fn observe(&mut self, good: bool) -> Option<Health> {
        let unproven = self.unproven;
        self.unproven = unproven.filter(|_| !good).map(|bad| bad.saturating_add(1));
        let (to, needed) = match (self.health, good) {
            (Health::Healthy, true) | (Health::Unhealthy, false) => {
                self.against = 0;
                return None;
            }
            (Health::Unknown, true) => (Health::Healthy, 1),
            (Health::Unhealthy, true) if unproven.is_some() => (Health::Healthy, 1),
            (Health::Unhealthy, true) => (Health::Healthy, self.rise),
            (Health::Unknown, false) => (Health::Unhealthy, 1),
            (Health::Healthy, false) => (Health::Unhealthy, self.fall),
        };
        self.against += 1;
        if self.against < needed {
            return None;
        }
        self.against = 0;
        self.health = to;
        Some(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Health changes after a series of results (`+` success, `-` failure), one letter for each change.
    fn changes(start: Health, answers: &str) -> String {
        let mut streak = Hysteresis::new(start, 2, 3);
        let letter = |answer: char| match streak.observe(answer == '+') {
            None => '.',
            Some(Health::Healthy) => 'H',
            Some(Health::Unhealthy) => 'U',
            Some(Health::Unknown) => '?',
        };
        answers.chars().map(letter).collect()
    }

    #[test]
    fn the_first_answer_decides_and_the_first_good_one_is_enough() {
        assert_eq!(changes(Health::Unknown, "+"), "H");
        assert_eq!(changes(Health::Unknown, "--+"), "U.H");
        assert_eq!(changes(Health::Unknown, "-+---+"), "UH..U.");
    }

    #[test]
    fn an_endpoint_falls_after_three_and_rises_after_two_in_a_row() {
        assert_eq!(changes(Health::Healthy, "--+--+---"), "........U");
        assert_eq!(changes(Health::Healthy, "---+-+-++"), "..U.....H");
        assert_eq!(changes(Health::Unknown, "+---++---"), "H..U.H..U");
    }

    #[test]
    fn an_endpoint_that_was_never_healthy_is_asked_sooner_at_first() {
        let mut streak = Hysteresis::new(Health::Unknown, 2, 3);
        let mut pauses = |good| {
            streak.observe(good);
            streak.pause(Duration::from_secs(5)).as_millis()
        };
        let bad = [(); 8].map(|()| pauses(false));
        assert_eq!(bad, [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000, 5_000]);
        assert_eq!([pauses(true), pauses(false)], [5_000; 2]);
        let interval = Duration::from_millis(10);
        let mut streak = Hysteresis::new(Health::Unhealthy, 2, 3);
        streak.observe(false);
        assert_eq!(streak.pause(interval), interval, "never later than said");
    }

    #[test]
    fn a_rise_or_fall_of_nothing_is_one() {
        let mut streak = Hysteresis::new(Health::Healthy, 0, 0);
        assert_eq!(streak.observe(false), Some(Health::Unhealthy));
        assert_eq!(streak.observe(true), Some(Health::Healthy));
    }
}
