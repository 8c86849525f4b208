//! E-value against "the canary's rate is above stable's by `margin` or more": evidence that it is fine where bad units are
//! rare.
//!
//! The canary's rate is bet on with a beta(½, ½) mixture, against the lower end of a confidence sequence of stable's rate
//! plus the margin. Rates are compared that were measured at the same time under one share, so only within a step.

use super::number::{LARGEST, ln_beta, real};

/// Part of the error that is spent on stable's rate.
const STABLE_PART: f64 = 0.2;

/// Counts above this are scaled down, where the gamma function has no digits left; it makes evidence weaker.
const MOST_UNITS: f64 = 1e9;

/// Bad units and units of one arm.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    bad: f64,
    units: f64,
}

impl Sample {
    pub(super) fn new(bad: u64, units: u64) -> Self {
        let units = real(units.max(bad));
        let scale = (MOST_UNITS / units.max(1.0)).min(1.0);
        Self {
            bad: real(bad) * scale,
            units: units * scale,
        }
    }

    fn rate(self) -> f64 {
        self.bad / self.units.max(1.0)
    }

    /// Logarithm of the beta mixture over the likelihood at a rate between 0 and 1.
    fn ln_e(self, rate: f64) -> f64 {
        let good = self.units - self.bad;
        let mixture = ln_beta(0.5 + self.bad, 0.5 + good) - ln_beta(0.5, 0.5);
        mixture - self.bad * rate.ln() - good * (-rate).ln_1p()
    }

    /// Lower end of the confidence sequence of the rate, valid at all times together with this error.
    fn lower_rate(self, error: f64) -> f64 {
        if self.bad <= 0.0 {
            return 0.0;
        }
        let bound = -error.ln();
        let (mut low, mut high) = (0.0, self.rate().min(1.0 - 1e-12));
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if middle > 0.0 && self.ln_e(middle) <= bound {
                high = middle;
            } else {
                low = middle;
            }
        }
        low
    }
}

/// E-value, scaled so that it is compared with `1 / beta` like others.
pub(super) fn e(canary: Sample, stable: Sample, margin: f64, beta: f64) -> f64 {
    let most = (stable.lower_rate(STABLE_PART * beta) + margin).min(0.999);
    if canary.bad >= most * canary.units {
        return 0.0;
    }
    let exponent = canary.ln_e(most).min(LARGEST.ln());
    (1.0 - STABLE_PART) * exponent.exp()
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

    #[test]
    fn the_lower_rate_is_below_the_rate_and_comes_closer() {
        let low = |bad, units| Sample::new(bad, units).lower_rate(0.01);
        assert!(low(10, 1_000) > 0.001 && low(10, 1_000) < 0.005);
        assert!(low(10_000, 1_000_000) > 0.0095 && low(10_000, 1_000_000) < 0.01);
        assert!(low(5, 5) > 0.1);
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
