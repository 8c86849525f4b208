//! E-process against "the canary is not worse": a mixture over how much worse it is, and since when.

use serde::{Deserialize, Deserializer, Serialize};

use super::{
    number::{LARGEST, checked, real},
    tally::Tally,
};

/// Ratios of the canary's rate to stable's that are bet on.
const RATIOS: [f64; 7] = [1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0];

const COUNT: f64 = 7.0;

/// Part of the stake that bets on a regression that is not there at the start.
const LATE: f64 = 0.25;

/// Part of the waiting stake that starts at the first bad unit. It falls as 1/m: with a fixed one, nothing would be left
/// to bet on a regression after some thousands of bad units.
const START: f64 = 0.001;

/// One e-process. Given a bad unit, it is the canary's with probability `share` if the canary is not worse, whatever the
/// rate of bad units is at that moment; the bet on a ratio multiplies its stake by `ratio / (1 + share (ratio - 1))` or,
/// if it was stable's, by `1 / (1 + share (ratio - 1))`, which is 1 on average.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Mixture {
    /// Stakes of the bets that have started, one for each ratio.
    #[serde(deserialize_with = "stakes")]
    stakes: [f64; RATIOS.len()],
    /// Bad units so far, of both arms.
    units: u64,
}

impl Mixture {
    pub(super) const fn new() -> Self {
        Self {
            stakes: [(1.0 - LATE) / COUNT; RATIOS.len()],
            units: 0,
        }
    }

    /// Adds the bad units of one stratum. A share of 0 or 1 leaves nothing to compare.
    ///
    /// The bets that start now count from the next stratum on, so that one more bad canary never lowers the e-value.
    pub(super) fn observe(&mut self, share: f64, bad: Tally) {
        if bad.total() == 0 || !(share > 0.0 && share < 1.0) {
            return;
        }
        let before = waiting(self.units);
        self.units = self.units.saturating_add(bad.total());
        let starting = (before - waiting(self.units)).max(0.0) / COUNT;
        for (stake, ratio) in self.stakes.iter_mut().zip(RATIOS) {
            let next = *stake * factor(share, ratio, bad) + starting;
            *stake = next.min(LARGEST);
        }
    }

    /// The e-value: the stakes that have started, and what waits.
    pub(super) fn e(&self) -> f64 {
        (self.stakes.iter().sum::<f64>() + waiting(self.units)).min(LARGEST)
    }
}

/// Stake that has not started after so many bad units.
fn waiting(units: u64) -> f64 {
    LATE / (1.0 + START * real(units))
}

/// Product of the factors of some bad units of one stratum.
fn factor(share: f64, ratio: f64, bad: Tally) -> f64 {
    let scale = 1.0 + share * (ratio - 1.0);
    match (bad.canary, bad.stable) {
        (0, 1) => 1.0 / scale,
        (1, 0) => ratio / scale,
        (canary, _) => {
            let exponent = real(canary) * ratio.ln() - real(bad.total()) * scale.ln();
            exponent.min(LARGEST.ln()).exp()
        }
    }
}

fn stakes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[f64; RATIOS.len()], D::Error> {
    let stakes = <[f64; RATIOS.len()]>::deserialize(deserializer)?;
    for stake in stakes {
        checked::<D::Error>(stake, LARGEST)?;
    }
    Ok(stakes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(strata: &[(f64, u64, u64)]) -> f64 {
        let mut mixture = Mixture::new();
        for (share, canary, stable) in strata {
            mixture.observe(*share, Tally::new(*canary, *stable));
        }
        mixture.e()
    }

    #[test]
    fn nothing_is_worth_one() {
        assert!((Mixture::new().e() - 1.0).abs() < 1e-12);
        assert!((after(&[(0.05, 0, 0), (0.0, 3, 9), (1.0, 9, 0)]) - 1.0).abs() < 1e-12);
    }

    /// The mean over the arm of the next bad unit is what it was: the law that bounds false alarms.
    #[test]
    fn the_next_bad_unit_is_a_fair_bet() {
        for share in [0.01, 0.05, 0.5, 0.99] {
            for (canary, stable) in [(0, 0), (3, 10), (0, 500), (40, 700), (7, 7)] {
                let mut mixture = Mixture::new();
                mixture.observe(share, Tally::new(canary, stable));
                let next = |tally| {
                    let mut next = mixture.clone();
                    next.observe(share, tally);
                    next.e()
                };
                let mean = share * next(Tally::new(1, 0)) + (1.0 - share) * next(Tally::new(0, 1));
                assert!(
                    (mean / mixture.e() - 1.0).abs() < 1e-12,
                    "{share} {canary} {stable}"
                );
            }
        }
    }

    #[test]
    fn three_failures_in_a_row_at_five_percent_are_an_alarm() {
        assert!(after(&[(0.05, 2, 0)]) < 100.0);
        assert!(after(&[(0.05, 3, 0)]) > 200.0);
    }

    #[test]
    fn a_late_regression_is_seen_after_a_million_bad_units_of_healthy_times() {
        let mut mixture = Mixture::new();
        for _ in 0..50_000 {
            mixture.observe(0.05, Tally::new(1, 19));
        }
        let mut bad = 0;
        while mixture.e() < 100.0 {
            mixture.observe(0.05, Tally::new(1, 2));
            bad += 1;
        }
        assert!((10..40).contains(&bad), "{bad}");
    }

    proptest! {
        #[test]
        fn a_bad_canary_never_lowers_it_and_a_bad_stable_never_raises_it(
            share in 0.001..0.999_f64, canary in 0..500_u64, stable in 0..5_000_u64, more in 1..50_u64,
        ) {
            let now = after(&[(share, canary, stable)]);
            let up = after(&[(share, canary, stable), (share, more, 0)]);
            let down = after(&[(share, canary, stable), (share, 0, more)]);
            prop_assert!(up >= now * (1.0 - 1e-12));
            prop_assert!(down <= now * (1.0 + 1e-12));
        }

        #[test]
        fn it_is_finite_and_below_its_bound_for_any_counts(
            strata in proptest::collection::vec((0.0..=1.0_f64, any::<u64>(), any::<u64>(), 0..64_u32, 0..64_u32), 0..20),
        ) {
            let mut mixture = Mixture::new();
            let mut bound = 0.0;
            for (share, canary, stable, small, smaller) in strata {
                let bad = Tally::new(canary >> small, stable >> smaller);
                mixture.observe(share, bad);
                if share > 0.0 {
                    bound += real(bad.canary) * (1.0 / share).ln();
                }
                prop_assert!(mixture.e().is_finite() && mixture.e() >= 0.0);
                prop_assert!(mixture.stakes.iter().all(|stake| stake.is_finite()));
                prop_assert!(mixture.e().ln() <= bound + 1e-6 * bound.abs() + 1e-9);
            }
        }

        /// Strata with one share merge into one, in any order: a bet depends on counts only.
        #[test]
        fn strata_with_one_share_merge(
            share in 0.01..0.9_f64, first in (0..30_u64, 0..300_u64), second in (0..30_u64, 0..300_u64),
        ) {
            for ratio in RATIOS {
                let of = |(canary, stable)| factor(share, ratio, Tally::new(canary, stable));
                let apart = of(first) * of(second);
                let merged = of((first.0 + second.0, first.1 + second.1));
                prop_assert!((apart - merged).abs() <= 1e-9 * merged + 1e-300);
            }
        }
    }
}
