//! Consent: the checks that a change overrides, and how long it may wait for health first.

use std::time::Duration;

/// The checks that a change overrides, and the time that it may wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a permission of its own"
)]
pub struct Consent {
    /// Give more to a release without a healthy endpoint; remove a release that is of use.
    pub force: bool,
    /// Give more to a release in quarantine.
    pub quarantined: bool,
    /// Go back across a release that does not allow it for its data.
    pub data: bool,
    /// Leave a release that has a weight out of a split that is set.
    pub drop: bool,
    /// End at once what is in flight on releases that leave their route.
    pub cut: bool,
    /// Timeout for a check to find each release healthy that gets more. Without it a change waits for first checks
    /// alone.
    pub wait: Duration,
}

impl From<bool> for Consent {
    fn from(force: bool) -> Self {
        Self {
            force,
            quarantined: force,
            data: force,
            ..Self::default()
        }
    }
}
