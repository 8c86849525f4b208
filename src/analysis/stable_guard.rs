//! Guard of the stable release: while it fails itself, no canary is blamed for what both do.

use serde::{Deserialize, Serialize};

use super::number::real;

/// Units that are remembered; of older ones half the weight goes each time that so many are new.
const WINDOW: u64 = 1_000;

/// Fewest units that say something.
const FEWEST: u64 = 50;

/// Recent units of the stable release, and failures among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct StableGuard {
    units: u64,
    failed: u64,
}

impl StableGuard {
    /// Adds units of the stable release.
    pub(super) fn observe(&mut self, started: u64, failed: u64) {
        self.units = self.units.saturating_add(started);
        self.failed = self.failed.saturating_add(failed);
        while self.units > WINDOW {
            self.units /= 2;
            self.failed /= 2;
        }
    }

    /// Share of failures, if it is above a limit beyond doubt (the lower end of Wilson's interval at two standard
    /// deviations).
    pub(super) fn failing(self, limit: f64) -> Option<f64> {
        let units = real(self.units.max(self.failed));
        let rate = real(self.failed) / units.max(1.0);
        let spread = (rate * (1.0 - rate) / units.max(1.0) + 1.0 / (units * units).max(1.0)).sqrt();
        let low = (rate + 2.0 / units.max(1.0) - 2.0 * spread) / (1.0 + 4.0 / units.max(1.0));
        (self.units >= FEWEST && low > limit).then_some(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stable_release_that_fails_is_seen_and_one_that_recovers_is_trusted() {
        let mut guard = StableGuard::default();
        guard.observe(49, 49);
        assert_eq!(guard.failing(0.2), None);
        guard.observe(1, 1);
        assert!(guard.failing(0.2).is_some());
        for _ in 0..40 {
            guard.observe(100, 1);
        }
        assert_eq!(guard.failing(0.2), None);
        guard.observe(u64::MAX, u64::MAX);
        assert!(guard.failing(0.2).is_some_and(f64::is_finite));
    }

    #[test]
    fn the_limit_itself_is_no_failure() {
        let mut guard = StableGuard::default();
        guard.observe(1_000, 210);
        assert_eq!(guard.failing(0.2), None);
        guard.observe(0, 50);
        assert!(guard.failing(0.2).is_some());
    }
}
