//! Share of the canary: the probability that a unit goes to it.

use serde::{Deserialize, Serialize};

use super::{
    number::{fraction, real},
    tally::Tally,
};

/// Fewest units of both arms from which a share is counted: smaller strata lose what they show.
const FEWEST_UNITS: u64 = 40;

/// Share of the canary among canary and stable, from 0 to 1, when a unit was assigned.
///
/// The configured one wherever it can be had: it is exact, and needs no strata.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Share {
    #[serde(deserialize_with = "fraction")]
    value: f64,
    is_counted: bool,
}

impl Share {
    /// No canary.
    pub const NONE: Self = Self {
        value: 0.0,
        is_counted: false,
    };

    /// Share that the weights of a split come to. Other releases of the split do not matter.
    pub fn of_weights(canary: u32, stable: u32) -> Self {
        let total = u64::from(canary) + u64::from(stable);
        Self {
            value: f64::from(canary) / real(total.max(1)),
            is_counted: false,
        }
    }

    /// The same share of sessions, whose requests are counted: one with many requests is one draw, so that the counts cannot
    /// contradict the share.
    #[must_use]
    pub const fn of_sessions(self) -> Self {
        Self {
            is_counted: true,
            ..self
        }
    }

    /// Share that was counted in one stratum, for where units are not assigned as the weights say (a fallback, an
    /// endpoint that was ejected). The bad units of the stratum must be among the counted ones.
    ///
    /// Sampling without replacement varies less than drawing each unit (Hoeffding 1963), so evidence from counts is valid
    /// as well. `None` below 40 units, where too little is left of it.
    pub fn of_counts(units: Tally) -> Option<Self> {
        (units.total() >= FEWEST_UNITS).then(|| Self {
            value: (real(units.canary) / real(units.total())).min(1.0),
            is_counted: true,
        })
    }

    /// The share as a number.
    pub const fn value(self) -> f64 {
        self.value
    }

    /// True if it was counted, or is one of sessions, and so is no claim that counts of requests could contradict.
    pub(super) const fn is_counted(self) -> bool {
        self.is_counted
    }

    /// True if both arms get something.
    pub(super) fn is_split(self) -> bool {
        self.value > 0.0 && self.value < 1.0
    }

    /// Share that the canary has of bad units if it fails `tolerance` times as often as stable.
    pub(super) fn tolerating(self, tolerance: f64) -> f64 {
        tolerance * self.value / (tolerance * self.value + 1.0 - self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_make_a_share_whatever_they_are() {
        for (canary, stable, share) in [
            (5, 95, 0.05),
            (0, 0, 0.0),
            (7, 0, 1.0),
            (u32::MAX, u32::MAX, 0.5),
        ] {
            let value = Share::of_weights(canary, stable).value();
            assert!((value - share).abs() < 1e-12, "{canary}:{stable} {value}");
        }
    }

    #[test]
    fn a_small_stratum_has_no_share() {
        assert!(Share::of_counts(Tally::new(2, 37)).is_none());
        let share = Share::of_counts(Tally::new(2, 38)).unwrap();
        assert!((share.value() - 0.05).abs() < 1e-12);
        assert!(Share::of_counts(Tally::new(u64::MAX, u64::MAX)).is_some());
    }
}
