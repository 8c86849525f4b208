//! Check that units are assigned as the weights say, since all evidence rests on it.

use serde::{Deserialize, Serialize};

use super::{
    number::{fraction, real},
    share::Share,
    tally::Tally,
};

/// Factor of the share that is looked for, up and down.
const FACTOR: f64 = 2.0;

/// Logarithm of the evidence at which the share is off: once in a billion units where it is not.
const BOUND: f64 = 20.7;

/// Cumulative sums of the evidence for a share of twice and of half the configured one (Page 1954), as parts of twice the
/// bound. They forget: a share that is right again is soon seen to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ShareCheck {
    #[serde(deserialize_with = "fraction")]
    above: f64,
    #[serde(deserialize_with = "fraction")]
    below: f64,
}

impl ShareCheck {
    /// Adds units that started.
    pub(super) fn observe(&mut self, share: Share, started: Tally) {
        if !share.is_split() || share.is_counted() || started.total() == 0 {
            return;
        }
        step(&mut self.above, share.value(), FACTOR, started);
        step(&mut self.below, share.value(), 1.0 / FACTOR, started);
    }

    /// True if the canary gets far more than its share: its bad units would seem too many.
    pub(super) fn is_above(self) -> bool {
        self.above > 0.5
    }

    /// True if the canary gets far more or far less than its share.
    pub(super) fn is_off(self) -> bool {
        self.is_above() || self.below > 0.5
    }
}

fn step(sum: &mut f64, share: f64, factor: f64, started: Tally) {
    let scale = (share * (factor - 1.0)).ln_1p();
    let evidence = real(started.canary) * factor.ln() - real(started.total()) * scale;
    *sum = (*sum + evidence / (2.0 * BOUND)).clamp(0.0, 1.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(share: u32, looks: &[(u64, u64, usize)]) -> ShareCheck {
        let mut check = ShareCheck::default();
        for (canary, stable, times) in looks {
            for _ in 0..*times {
                check.observe(
                    Share::of_weights(share, 100 - share),
                    Tally::new(*canary, *stable),
                );
            }
        }
        check
    }

    #[test]
    fn the_right_share_is_right_and_a_wrong_one_is_seen_soon() {
        assert!(!after(5, &[(5, 95, 100_000)]).is_off());
        assert!(after(5, &[(10, 90, 15)]).is_above());
        let empty = after(5, &[(0, 100, 10)]);
        assert!(empty.is_off() && !empty.is_above());
        assert!(after(5, &[(5, 95, 10_000), (10, 90, 15)]).is_above());
    }

    #[test]
    fn a_share_that_is_right_again_is_trusted_again() {
        assert!(!after(5, &[(10, 90, 1_000), (5, 95, 20)]).is_off());
        assert!(!after(5, &[(u64::MAX, 0, 1), (0, u64::MAX, 1), (5, 95, 100)]).is_off());
    }

    #[test]
    fn a_counted_share_is_no_claim() {
        let mut check = ShareCheck::default();
        let share = Share::of_counts(Tally::new(2, 38)).unwrap();
        check.observe(share, Tally::new(400, 0));
        assert!(!check.is_off());
    }
}
