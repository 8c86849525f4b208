//! Counts of the two arms.

use serde::{Deserialize, Serialize};

/// One of the two sides that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arm {
    /// The release on trial.
    Canary,
    /// The release that it is compared with, on the same route at the same time.
    Stable,
}

/// A count for each arm. Sums saturate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Count of the canary.
    pub canary: u64,
    /// Count of the stable release.
    pub stable: u64,
}

impl Tally {
    /// Counts of both.
    pub const fn new(canary: u64, stable: u64) -> Self {
        Self { canary, stable }
    }

    /// Count of both arms together.
    pub const fn total(self) -> u64 {
        self.canary.saturating_add(self.stable)
    }

    /// Adds a count to one arm.
    pub const fn count(&mut self, arm: Arm, count: u64) {
        match arm {
            Arm::Canary => self.canary = self.canary.saturating_add(count),
            Arm::Stable => self.stable = self.stable.saturating_add(count),
        }
    }

    /// Adds the counts of another tally.
    pub const fn add(&mut self, other: Self) {
        self.count(Arm::Canary, other.canary);
        self.count(Arm::Stable, other.stable);
    }
}
