//! Settings of the verification of rollbacks.

use serde::{Deserialize, Serialize};

use crate::model::{HumanDuration, Problem};

/// Fewest and most requests: *recovered* takes some hundred.
const REQUESTS: (u64, u64) = (500, 1_000_000);
/// Shortest and longest time.
const WITHIN: (HumanDuration, HumanDuration) =
    (HumanDuration::seconds(2), HumanDuration::seconds(24 * 3600));

/// Verification of rollbacks: after each, users are compared with before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Verification {
    /// True if rollbacks are verified.
    pub enabled: bool,
    /// Requests of a route after which a verification ends, whatever is shown by then.
    pub requests: u64,
    /// Time after which it ends.
    pub within: HumanDuration,
}

impl Default for Verification {
    fn default() -> Self {
        Self {
            enabled: true,
            requests: 2_000,
            within: HumanDuration::seconds(600),
        }
    }
}

impl Verification {
    /// Checks the bounds.
    pub(super) fn check(&self, found: &mut Vec<Problem>) {
        let requests = self.requests;
        if !(REQUESTS.0..=REQUESTS.1).contains(&requests) {
            let message = format!("{requests} is not from {} to {}", REQUESTS.0, REQUESTS.1);
            found.push(
                Problem::new("verification.requests", message)
                    .hint("with fewer than some hundred requests nothing is shown"),
            );
        }
        let within = self.within;
        if !(WITHIN.0..=WITHIN.1).contains(&within) {
            let message = format!("{within} is not from {} to {}", WITHIN.0, WITHIN.1);
            found.push(
                Problem::new("verification.within", message)
                    .hint("`verification.enabled = false` switches verifications off"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_checked_and_the_default_is_within_them() {
        let problems = |verification: Verification| {
            let mut found = Vec::new();
            verification.check(&mut found);
            found.into_iter().map(|one| one.path).collect::<Vec<_>>()
        };
        assert!(problems(Verification::default()).is_empty());
        let wrong = Verification {
            enabled: true,
            requests: 499,
            within: HumanDuration::seconds(1),
        };
        assert_eq!(
            problems(wrong),
            ["verification.requests", "verification.within"]
        );
    }
}
