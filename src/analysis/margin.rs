//! E-value against "the canary's rate is above stable's by `margin` or more": evidence that it is fine where bad units are
//! rare.
//!
//! The canary's rate is bet on with a beta(½, ½) mixture, against the lower end of a confidence sequence of stable's rate
//! plus the margin. Rates are compared that were measured at the same time under one share, so only within a step.

use super::sample::Sample;

/// Part of the error that is spent on stable's rate.
const STABLE_PART: f64 = 0.2;

/// E-value, scaled so that it is compared with `1 / beta` like others.
pub(super) fn e(canary: Sample, stable: Sample, margin: f64, beta: f64) -> f64 {
    let most = stable.lower_rate(STABLE_PART * beta) + margin;
    (1.0 - STABLE_PART) * canary.e_below(most)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(canary: (u64, u64), stable: (u64, u64)) -> f64 {
        e(
            Sample::new(canary.0, canary.1),
            Sample::new(stable.0, stable.1),
            0.01,
            0.05,
        )
    }

    #[test]
    fn silence_and_bad_canaries_are_no_evidence() {
        assert!(of((0, 0), (0, 0)) < 1.0);
        assert!(of((0, 0), (0, 100_000)) < 1.0);
        assert!(of((30, 1_000), (20, 20_000)) < 1.0);
    }

    #[test]
    fn a_rare_failure_is_fine_after_some_hundred_units() {
        assert!(of((0, 300), (6, 6_000)) < 20.0);
        assert!(of((1, 1_100), (22, 22_000)) > 20.0);
    }

    proptest! {
        #[test]
        fn it_is_finite_for_any_counts_and_falls_with_each_bad_canary(
            bad in any::<u64>(), units in any::<u64>(), stable_bad in any::<u64>(), stable in any::<u64>(),
            small in 0..64_u32,
        ) {
            let now = of((bad >> small, units), (stable_bad, stable));
            prop_assert!(now.is_finite() && now >= 0.0);
            let (bad, units) = (bad % 1_000, units % 100_000 + 1_000);
            let stable = (stable_bad % 1_000, stable % 1_000_000 + 1_000);
            prop_assert!(of((bad + 1, units), stable) <= of((bad, units), stable) * (1.0 + 1e-9));
        }
    }
}
